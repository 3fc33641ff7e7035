"""The report: one self-contained HTML page, its Markdown for papers, the figures beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from markupsafe import Markup

from metarho.batch.findings import Findings
from metarho.engines.problem import Problem
from metarho.report.checklists import answered, guidelines, places_in
from metarho.report.drawings import draw_all
from metarho.report.environments import html_environment, markdown_environment
from metarho.report.figures.drawing import Drawing, write_drawing
from metarho.report.interactive.page_parts import policy, script, style
from metarho.report.sections import SECTIONS
from metarho.report.sections.shared import shared
from metarho.spec.why import Why
from metarho.store.files import write_text


@dataclass(frozen=True)
class Body:
    """A section as it stands in the page."""

    name: str
    title: str
    body: Markup


@dataclass(frozen=True)
class Report:
    """What a page and its Markdown are rendered from.

    ``shared`` are values that every section may use, ``sections`` those of each that is there.
    """

    shared: Mapping[str, object]
    sections: Mapping[str, Mapping[str, object]]
    why: Why


def write_report(
    found: Findings, announce: Callable[[str, Problem | None], None] = lambda e, p: None
) -> set[str]:
    """Write figures, ``report.html`` and ``report.md``; returns their paths below the folder."""
    announce("drawing", None)
    drawings = draw_all(found)
    written: set[str] = set()
    for drawing in drawings:
        names = write_drawing(drawing, found.plan.folder / "figures")
        written |= {f"figures/{name}" for name in names}
    report = report_of(found, drawings)
    page, places = render(report)
    write_text(found.plan.folder / "report.html", page)
    write_text(found.plan.folder / "report.md", in_markdown(report, places))
    return written | {"report.html", "report.md"}


def report_of(found: Findings, drawings: Sequence[Drawing]) -> Report:
    """Everything that is said, before it has a form."""
    sections = {section.name: section.values(found) for section in SECTIONS}
    return Report(
        shared(found, drawings),
        {name: values for name, values in sections.items() if values is not None},
        found.plan.analysis.why,
    )


def render(report: Report) -> tuple[str, Set[str]]:
    """The page, and the ids of what it holds.

    Every text from data or config is escaped; only our own SVG and MathML are markup.
    """
    environment = html_environment()
    titles = {section.name: section.title for section in SECTIONS}
    bodies = []
    for name, values in report.sections.items():
        template = environment.get_template(f"sections/{name}.html")
        bodies.append(
            Body(name, titles[name], Markup(template.render({**report.shared, **values})))
        )
    answer = Markup(environment.get_template("sections/answer.html").render(report.shared))
    places = places_in(answer + Markup("").join(one.body for one in bodies))
    appendix = environment.get_template("sections/guidelines.html").render(
        guidelines_of(report, places)
    )
    page = environment.get_template("report.html").render(
        {
            **report.shared,
            "answer": answer,
            "sections": bodies,
            "appendix": Markup(appendix),
            "policy": policy(),
            "style": style(),
            "script": script(),
        }
    )
    return page, places


def in_markdown(report: Report, places: Set[str]) -> str:
    """The report for papers; ``places`` are the ids of its page."""
    values: dict[str, object] = dict(report.shared) | {
        "said": {},
        "predictions": (),
        "classical": None,
        "ensembles": (),
    }
    for of_section in report.sections.values():
        values |= of_section
    values |= guidelines_of(report, places)
    return markdown_environment().get_template("report.md").render(values)


def guidelines_of(report: Report, places: Set[str]) -> Mapping[str, object]:
    """The items of every guideline, answered, and how many are satisfied."""
    checked = [(one, answered(one, places, report.why)) for one in guidelines()]
    items = [item for _, of_guideline in checked for item in of_guideline]
    satisfied = sum(item.is_satisfied for item in items)
    return {"answered": checked, "satisfied": satisfied, "count": len(items)}
