"""The section "Classical answers" and its figure: beside the posteriors, and never among them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from metarho.batch.findings import Findings, classical_of
from metarho.batch.plan import plan
from metarho.batch.run import execute
from metarho.classical import classical_answers
from metarho.data.studies import load_studies
from metarho.report.drawings import draw_all
from metarho.report.environments import html_environment
from metarho.report.figures.classical import PosteriorRow, classical
from metarho.report.figures.drawing import Drawing, write_drawing
from metarho.report.page import in_markdown, render, report_of
from metarho.report.sections.classical import values

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: [use, drop]}
models: [random-effects]
"""


def _found(folder: Path, config: str) -> Findings:
    (folder / "small.yaml").write_text(config, encoding="utf-8")
    outcome = execute(plan(folder / "small.yaml", folder / "out"))
    absent = {"checks": "nobody asked"}
    answers = classical_of(outcome.plan, absent)
    # What else a report finds takes long, and has its own tests.
    return Findings(outcome, {}, None, None, None, None, (), absent, answers)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return _found(tmp_path_factory.mktemp("report"), CONFIG)


def _drawing(found: Findings) -> Drawing:
    return next(one for one in draw_all(found) if one.name == "classical")


@pytest.fixture(scope="module")
def pages(found: Findings) -> tuple[str, str]:
    """The page, and the report for papers."""
    report = report_of(found, draw_all(found))
    page, places = render(report)
    return page, in_markdown(report, places)


def _section(found: Findings) -> str:
    """The section alone, without its figure."""
    template = html_environment().get_template("sections/classical.html")
    shared = {"evidence": found.plan.evidence, "figures": {}}
    return _words(template.render(shared | dict(values(found) or {})))


def _words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_classical_answers_have_a_section_of_their_own_after_the_results(
    pages: tuple[str, str],
) -> None:
    page, paper = pages
    words = _words(page)
    places = [page.index(f'id="{name}"') for name in ("results", "classical", "which-prior")]
    assert places == sorted(places)
    assert "No prior enters, and nothing in this section is a posterior" in words
    assert "18 of 28 rows printed none and cannot enter" in words
    assert "DerSimonian–Laird z 0.288 0.280 [0.203, 0.354] 0.055 18% [0.152, 0.399]" in words
    assert "| DerSimonian–Laird | z | 0.288 | 0.280 |" in paper
    assert paper.index("## Classical answers") > paper.index("## Results")
    section = page[places[1] : places[2]]
    # No headline of a posterior stands in it.
    assert "sceptical" not in section and "BF" not in section


def test_every_row_says_what_it_is(found: Findings) -> None:
    words = _section(found)
    assert found.classical is not None
    for row in found.classical.estimates:
        assert row.what in words


def test_the_figure_keeps_estimators_and_posteriors_apart(found: Findings, tmp_path: Path) -> None:
    drawing = _drawing(found)
    kinds = [row["kind"] for row in drawing.data]
    assert kinds == ["classical"] * 20 + ["posterior"] * 2
    assert "Classical: estimate, 95% confidence interval" in drawing.svg
    assert "Bayesian: posterior median, 95% equal-tailed interval" in drawing.svg
    assert found.classical is not None
    assert drawing.data[1]["estimate"] == found.classical["DL"].row["r_estimate"]
    assert drawing.data[-2]["estimate"] == found.answer.pooled.median
    files = {"classical.svg", "classical.png", "classical.csv"}
    assert write_drawing(drawing, tmp_path) == files


def test_moderators_of_the_answers_model_are_regressed_on(tmp_path: Path) -> None:
    # Without words a moderator is the exact engine's.
    config = CONFIG.replace("[random-effects]", "[moderated]").replace("[use, drop]", "drop")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "moderated.yaml").write_text(
        'random: effect\nmods: "~ guidance"\npriors:\n  mu: Normal(mu=0, sigma=1)\n'
        "  tau: HalfNormal(sigma=0.3)\n  beta: Normal(mu=0, sigma=0.5)\n",
        encoding="utf-8",
    )
    (tmp_path / "configs").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        words = _section(_found(tmp_path, config))
    assert "Meta-regression on z: Two levels, REML (z)" in words
    assert "guidance[T.unguided] -0.050 [-0.204, 0.105]" in words
    assert "Meta-regression on z: Three levels, REML (CR2)" in words


def test_evidence_of_words_alone_says_that_there_are_no_classical_answers(tmp_path: Path) -> None:
    words = CONFIG.replace('role == "main"', "reported == 'not significant'").replace(
        "[use, drop]", "use"
    )
    found = _found(tmp_path, words)
    assert "No classical answers: no row is left when interval rows are dropped" in _section(found)
    assert "classical" not in {one.name for one in draw_all(found)}


def test_rows_that_are_not_estimable_say_why_and_are_drawn_without_a_mark(tmp_path: Path) -> None:
    (tmp_path / "two.csv").write_text(
        "study,r,n\n$x_1$ & <b>,.1,50\n|`b`|,.3,80\n", encoding="utf-8"
    )
    config = "studies: {source: two.csv, columns: {ri: r, ni: n, study: study}}\n"
    found = _found(tmp_path, config + "models: [random-effects]\n")
    section = _section(found)
    assert "not estimable: every study has one effect: its two levels are one" in section
    assert "PET t not estimable: 2 effects do not determine a slope on sei" in section
    drawing = _drawing(found)
    assert drawing.svg.count("not estimable") == 10
    assert {row["estimate"] for row in drawing.data if row["reason"]} == {None}


def test_moderators_that_cannot_be_regressed_on_leave_the_table(tmp_path: Path) -> None:
    (tmp_path / "two.csv").write_text(
        "r,n,x,w\n.1,50,1,exact\n.3,80,1,exact\n,60,2,not significant\n", encoding="utf-8"
    )
    roles = "columns: {ri: r, ni: n, reported: w}"
    config = f"studies: {{source: two.csv, {roles}, intervals: [use]}}\nmodels: [random-effects]\n"
    found = _found(tmp_path, config)
    model = found.plan.models["random-effects"][0].model_copy(update={"mods": "~ x"})
    cell = found.plan.cells[0]
    cells = (replace(cell, problem=replace(cell.problem, model=model)),)
    absent: dict[str, str] = {}
    answers = classical_of(replace(found.plan, cells=cells), absent)
    assert answers is not None and answers.regressions == ()
    assert "collinear in the 2 rows with a number" in absent["classical"]
    told = replace(found, classical=answers, absent=absent)
    assert "No meta-regression: the moderators ~ x are collinear" in _section(told)


def test_a_figure_without_posteriors_and_with_odd_titles_is_drawn() -> None:
    studies = load_studies("internet-alliance", where='role == "main"')
    title = "$x_1$ & <b> \\frac{1}{0}"
    first, second = (
        classical(classical_answers(studies), [], "classical", title, "95%") for _ in range(2)
    )
    assert first.svg == second.svg
    assert "$x_1$ &amp; &lt;b&gt;" in first.svg
    assert "Bayesian" not in first.svg


def test_a_posterior_without_numbers_is_not_available(found: Findings) -> None:
    from metarho.posterior.marginals import NOTHING

    assert found.classical is not None
    rows = [PosteriorRow("none", NOTHING, NOTHING)]
    drawing = classical(found.classical, rows, "classical", "t", "95%")
    assert "not available" in drawing.svg
