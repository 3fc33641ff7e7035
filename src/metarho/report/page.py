"""The report: one self-contained HTML page, its Markdown for papers, and the figures beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metarho.batch.findings import Findings
from metarho.batch.plan import file_names
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.report import wording
from metarho.report.checklists import answered, guidelines, places_in
from metarho.report.drawings import draw_all
from metarho.report.figures.drawing import Drawing, write_drawing
from metarho.report.sections import SECTIONS
from metarho.report.sections.results import comparison, effect_word, headlines
from metarho.report.terminal import number, share
from metarho.store.files import write_text

# A page with more rows than this embeds no forest plot of them; the file beside it has it.
MOST_ROWS_EMBEDDED = 100

# Figures of single studies and what to see in them, in the order of the section on checks.
STUDY_FIGURES = {
    "leave-one-out": "The answer with each study left out.",
    "influence": "What moves the answer most: single studies, and assumptions.",
    "funnel": "Every row against its standard error; the shades are where a test is significant.",
    "baujat": "Which studies disagree with the others, and which of them matter.",
}


@dataclass(frozen=True)
class Body:
    """A section as it stands in the page."""

    name: str
    title: str
    body: Markup


def write_report(
    found: Findings, announce: Callable[[str, Problem | None], None] = lambda e, p: None
) -> set[str]:
    """Write figures and ``report.html``; returns their paths below the run's folder."""
    announce("drawing", None)
    drawings = draw_all(found)
    written: set[str] = set()
    for drawing in drawings:
        names = write_drawing(drawing, found.plan.folder / "figures")
        written |= {f"figures/{name}" for name in names}
    write_text(found.plan.folder / "report.html", render(found, drawings))
    return written | {"report.html"}


def render(found: Findings, drawings: Sequence[Drawing]) -> str:
    """The page. Every text from data or config is escaped; only our own SVG is markup."""
    environment = _environment()
    shared = _shared(found, drawings)
    sections = []
    for section in SECTIONS:
        values = section.values(found)
        if values is not None:
            template = environment.get_template(f"sections/{section.name}.html")
            body = Markup(template.render({**shared, **values}))
            sections.append(Body(section.name, section.title, body))
    answer = Markup(environment.get_template("sections/answer.html").render(shared))
    places = places_in(answer + Markup("").join(section.body for section in sections))
    checked = [
        (guideline, answered(guideline, places, found.plan.analysis.why))
        for guideline in guidelines()
    ]
    items = [item for _, of_guideline in checked for item in of_guideline]
    appendix = environment.get_template("sections/guidelines.html").render(
        answered=checked,
        satisfied=sum(item.is_satisfied for item in items),
        count=len(items),
    )
    return environment.get_template("report.html").render(
        title=shared["title"],
        analysis=found.plan.analysis,
        answer=answer,
        sections=sections,
        appendix=Markup(appendix),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("metarho.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "r": wording.r,
        "interval": wording.interval,
        "percent": wording.percent,
        "probability": wording.probability,
        "evidence_words": wording.evidence_words,
        "times": wording.times,
        "number": number,
        "share": share,
        "tau": tau_of,
        "svg": _svg,
        "mathml": _mathml,
        "average_name": lambda row: f"{row['over']}, by {row['weights']}",
        "place_name": lambda place: place.removeprefix("why-").replace("-", " "),
    }
    return environment


def _shared(found: Findings, drawings: Sequence[Drawing]) -> Mapping[str, object]:
    """The values that every section may use."""
    plan = found.plan
    rows = headlines(found.outcome)
    figures = {drawing.name: drawing for drawing in drawings}
    if plan.evidence.k_effects > MOST_ROWS_EMBEDDED:
        figures = {n: f for n, f in figures.items() if not n.startswith("forest-")}
    interval = plan.analysis.interval
    return {
        "title": plan.analysis.title or plan.config.stem,
        "plan": plan,
        "analysis": plan.analysis,
        "evidence": plan.evidence,
        "models": plan.models,
        # The answer is the first cell: the first model with the first prior set.
        "first": rows[0],
        "answer_model": rows[0].model,
        "comparison": comparison(rows),
        "effect_word": effect_word(plan),
        "thresholds": plan.analysis.thresholds.rho if plan.evidence.scale != "yi" else (),
        "figures": figures,
        "study_figures": STUDY_FIGURES,
        "bubbles": [name for name in figures if name.startswith("bubble-")],
        "file_of": dict(zip(plan.models, file_names(list(plan.models)), strict=True)),
        "prob": f"{interval.prob * 100:g}%",
        "kind": {"eti": "equal-tailed", "hdi": "shortest"}[interval.kind],
        "scale": {"z": "Fisher z", "r": "r", "yi": "yi"}[plan.evidence.scale],
    }


def tau_of(fit: Fit) -> Summary:
    """The total sd of true effects, on the model's scale."""
    return fit.posterior.tau.summary(fit.interval.prob, fit.interval.kind)


def _svg(drawing: Drawing) -> Markup:
    svg = drawing.svg
    # The document's own markup: escaped by Matplotlib, no scripts, no references outside.
    return Markup(svg[svg.index("<svg") :])


def _mathml(latex: str) -> Markup:
    """Mathematics of our own (``equations.py``) as browsers show it."""
    from latex2mathml.converter import convert

    return Markup(convert(latex, display="block"))
