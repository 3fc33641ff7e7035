"""An ensemble in the report: its section, the page's first lines, its tables and figures."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import rows_in
from metarho.batch import findings
from metarho.batch.ensemble import ensembles, question
from metarho.batch.findings import Findings, classical_of, find
from metarho.batch.plan import Plan, plan
from metarho.batch.run import Outcome, execute
from metarho.compare.ensemble import Ensemble
from metarho.fitting import keys_of
from metarho.report import page as whole
from metarho.report import publish as publishing
from metarho.report.drawings import draw_all, of_ensembles
from metarho.report.figures.drawing import Drawing
from metarho.report.page import in_markdown, render, report_of
from metarho.report.publish import publish
from metarho.store.upkeep import named_by_runs
from report_cases import HEBREW, MARKUP, quoted

# One row printed only a word. So few rows are quick to fit.
TABLE = "r,n,how\n0.3,40,exact\n0.1,60,exact\n0.25,90,exact\n,50,not significant\n"
STUDIES = "source: ./words.csv, columns: {ri: r, ni: n, reported: how}"
CONFIG = f"""\
studies: {{{STUDIES}, intervals: [drop, use]}}
models: [random-effects, known]
priors: {{{quoted(MARKUP)}: {{}}, {quoted(HEBREW)}: {{mu: "Normal(mu=0, sigma=0.1)"}}}}
ensemble: {{weights: {{random-effects: 2, known: 1}}, heterogeneity: 1}}
"""
# Known weights are quick to integrate.
KNOWN = """\
random: effect
selection: {step: {cutpoints: [0.025], weights: [0.5]}}
priors: {mu: "Normal(mu=0, sigma=0.5)", tau: "HalfNormal(sigma=0.25)"}
"""


def _silent(*_: object) -> None:
    """Say nothing."""


def _outcome(folder: Path, config: str) -> Outcome:
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "known.yaml").write_text(KNOWN, encoding="utf-8")
    (folder / "words.csv").write_text(TABLE, encoding="utf-8")
    (folder / "mine.yaml").write_text(config, encoding="utf-8")
    return execute(plan(folder / "mine.yaml", folder / "out"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    outcome = _outcome(tmp_path_factory.mktemp("report"), CONFIG)
    averaged = ensembles(outcome.plan, question(outcome.plan), _silent, _silent)
    # What else a report finds takes long, and has its own tests.
    absent = {"checks": "nobody asked"}
    return Findings(outcome, {}, None, None, None, None, (), absent, None, averaged)


@pytest.fixture(scope="module")
def drawings(found: Findings) -> list[Drawing]:
    """Those of the ensembles: others have their own tests."""
    return list(of_ensembles(found.plan, found.ensembles))


@pytest.fixture(scope="module")
def pages(found: Findings, drawings: list[Drawing]) -> tuple[str, str]:
    """The page, and the report for papers."""
    return _pages(found, drawings)


def _pages(found: Findings, drawings: list[Drawing]) -> tuple[str, str]:
    """With no section but this one, whose figures are not all there."""
    report = report_of(found, drawings)
    own = {name: one for name, one in report.sections.items() if name == "ensemble"}
    page, places = render(replace(report, sections=own))
    return page, in_markdown(report, places)


def _words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def _section(page: str) -> str:
    start = page.index('<h2 id="ensemble"')
    return page[start : page.index("</section>", start)]


def test_the_section_has_what_the_tables_have(found: Findings, pages: tuple[str, str]) -> None:
    section, paper = _words(_section(pages[0])), pages[1]
    drop = found.ensembles[:2]
    for place, row in enumerate(drop[0].components):
        texts = [
            f"{one.components[place]['posterior']:.3f} {one.components[place]['inclusion_bf']:.3g}"
            for one in drop
        ]
        numbers = f"{row['members']} {row['prior']:.3f} {' '.join(texts)}"
        assert f"{row['component']} {numbers}" in section
        assert f"| {row['component']} | {numbers.replace(' ', ' | ')} |" in paper
    for one in found.ensembles:
        assert f"{len(one.members)} members" in section
        assert f"{one.estimates[0]['median']:.3f}" in section
    for sentence in found.ensembles[0].sentences:
        assert sentence in section.replace("&#39;", "'")
    assert "Interval rows dropped: 3 effects from 3 studies" in section
    assert "Interval rows used: 4 effects" in section


def test_every_member_is_listed_for_every_ensemble(pages: tuple[str, str]) -> None:
    section = _section(pages[0])
    # Two models, with and without an effect, four ensembles.
    assert section.count(">integration<") == 2 * 2 * 4


def test_the_first_lines_have_the_average_beside_the_answer(
    found: Findings, pages: tuple[str, str]
) -> None:
    answer = _words(pages[0][pages[0].index('id="answer"') :].partition("<nav")[0])
    first = found.ensembles[0].estimates[0]
    number = f"{first['median']:.3f} [{first['lower']:.3f}, {first['upper']:.3f}]"
    assert f"Averaged over 4 models with and without an effect, heterogeneity or bias, the pooled "\
        f"correlation is {number} ({first['spike']:.3f} at 0)" in answer  # fmt: skip
    assert f"it is {number}" in pages[1].replace("\\", "")


def test_figures_of_the_first_ensemble_are_in_the_page_and_the_others_are_linked(
    drawings: list[Drawing], pages: tuple[str, str]
) -> None:
    section = _section(pages[0])
    names = [one.name for one in drawings if one.name.startswith("spike-and-slab--")]
    assert len(names) == 4
    assert section.count('id="ensemble-spike-and-slab"') == 1
    linked = re.findall(r'href="figures/([^"]+)\.svg"', section)
    assert [name for name in linked if name.startswith("spike")] == names[1:]
    assert section.count('id="ensemble-weight-function"') == 1
    assert sum("weight-function" in name for name in linked) == 3


def test_hostile_names_of_prior_sets_stay_text(pages: tuple[str, str]) -> None:
    section = _section(pages[0])
    assert MARKUP not in section and "&lt;script&gt;alert(1)&lt;/script&gt;" in section
    assert HEBREW in section


def test_without_an_ensemble_there_is_no_section_and_one_that_cannot_be_says_why(
    found: Findings,
) -> None:
    plain = replace(found, ensembles=())
    page, _ = _pages(plain, [])
    assert 'id="ensemble"' not in page and "Averaged over" not in page
    told = replace(plain, absent={**plain.absent, "ensemble": "it has <moderators>"})
    page, paper = _pages(told, [])
    assert "No averages: it has &lt;moderators&gt;." in _section(page)
    assert "## Effect, heterogeneity" not in paper


SMALL = f"""\
studies: {{{STUDIES}, intervals: drop}}
models: [random-effects]
ensemble: {{heterogeneity: 1}}
"""


def test_averages_are_kept_and_made_anew_when_what_they_depend_on_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find(_outcome(tmp_path, SMALL), _silent, _silent)
    assert [row["component"] for row in first.ensembles[0].components] == ["effect"]

    def refuse(*_: object, **__: object) -> object:
        raise AssertionError("averaged again")

    monkeypatch.setattr(Ensemble, "estimates", refuse)
    again = find(_outcome(tmp_path, SMALL), _silent, _silent)
    assert again.ensembles[0].estimates == first.ensembles[0].estimates
    for changed in ("ensemble: {heterogeneity: 1, effect: 0.4}", "interval: {prob: 0.9}"):
        config = SMALL.partition("ensemble:")[0] if changed.startswith("ensemble") else SMALL
        config += changed
        with pytest.raises(AssertionError, match="averaged again"):
            find(_outcome(tmp_path, config), _silent, _silent)


def _published(tmp_path: Path, found: Findings, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """What was found, published without its results and its page."""
    monkeypatch.setattr(findings, "find", lambda *_: found)
    made = replace(found.plan, output=tmp_path)
    monkeypatch.setattr(publishing, "execute", lambda *_: replace(found.outcome, plan=made))
    monkeypatch.setattr(publishing, "write_results", lambda *_: set())
    monkeypatch.setattr(whole, "write_report", lambda *_: set())
    publish(made)
    return made


def test_a_run_leaves_the_tables_and_a_config_without_an_ensemble_removes_them(
    tmp_path: Path, found: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _published(tmp_path, found, monkeypatch)
    rows = rows_in(made.folder / "ensemble-members.csv")
    assert len(rows) == 16
    monkeypatch.setattr(findings, "find", lambda *_: replace(found, ensembles=()))
    publish(made)
    assert not list(made.folder.glob("ensemble-*.csv"))


def test_the_record_of_a_run_names_the_fits_of_members_so_that_the_store_keeps_them(
    tmp_path: Path, found: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _published(tmp_path, found, monkeypatch)
    fits = [member.fit for one in found.ensembles for member in one.ensemble.members]
    of_members = {key for fit in fits for key in keys_of(fit)}
    of_cells = {key for fit in found.outcome.fits for key in keys_of(fit)}
    # Members without an effect are no cells.
    assert of_members - of_cells
    assert named_by_runs(tmp_path) == of_members | of_cells


def test_averages_stand_apart_from_estimators_and_posteriors(found: Findings) -> None:
    answered = replace(found, classical=classical_of(found.plan, {}))
    drawing = next(one for one in draw_all(answered) if one.name == "classical")
    kinds = [row["kind"] for row in drawing.data]
    # Two models, two prior sets, two readings; of each of four ensembles two averages.
    assert kinds == ["classical"] * kinds.count("classical") + ["posterior"] * 8 + ["averaged"] * 8
    assert "Averaged over an ensemble: median, 95% equal-tailed interval" in drawing.svg
    rows = [row for row in drawing.data if row["kind"] == "averaged"]
    first = found.ensembles[0]
    every, given = first.averages[:2]
    assert [row["estimate"] for row in rows[:2]] == [every.summary.median, given.summary.median]
    assert rows[1]["new_upper"] == first.averages[-1].summary.upper
    assert str(rows[0]["name"]).startswith("all members, ") and "at 0" in str(rows[0]["name"])
    assert str(rows[1]["name"]).startswith("members with an effect, ")
    assert "8 averages over an ensemble" in drawing.alternative


def test_models_that_are_no_ensemble_say_so_in_the_report(tmp_path: Path) -> None:
    config = SMALL.replace("[random-effects]", "[common-effect]")
    found = find(_outcome(tmp_path, config), _silent, _silent)
    assert found.ensembles == () and "it has no heterogeneity" in found.absent["ensemble"]
