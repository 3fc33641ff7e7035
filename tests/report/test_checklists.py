"""Every item of a guideline is satisfied by what it names, and by nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from metarho.batch.findings import Findings, find
from metarho.batch.plan import plan
from metarho.batch.run import execute
from metarho.report.checklists import Answered, answered, guidelines
from metarho.report.drawings import draw_all
from metarho.report.figures.drawing import Drawing
from metarho.report.page import Report, render, report_of
from metarho.spec.why import Why

# Prior sets with reasons, one of them informed; a new study; everything that only an author says.
CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: drop}
models: [random-effects]
priors:
  default: {}
  sceptical: {mu: "Normal(mu=0, sigma=0.15)"}
new_studies: [{label: a trial, ni: 80}]
why:
  purpose: to describe
  bayesian: the question is about probabilities
  variables: alliance questionnaires and outcomes
  model: every trial differs
  exchangeability: nothing is known that tells trials apart
  priors: {sceptical: somebody who expects little}
  weights: there are none
  sense: it does
  decision: nothing is decided
  loss: there is none
  thresholds: below .1 nobody would notice
  data: in the repository, CC BY
  archive: 10.5281/zenodo.0
"""
WORDS = tuple(name for name in Why.model_fields if name != "priors")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "whole.yaml").write_text(CONFIG, encoding="utf-8")
    outcome = execute(plan(folder / "whole.yaml", folder / "out"))
    return find(outcome, lambda event, problem: None, lambda message: None)


@pytest.fixture(scope="module")
def drawings(found: Findings) -> list[Drawing]:
    return draw_all(found)


@pytest.fixture(scope="module")
def report(found: Findings, drawings: list[Drawing]) -> Report:
    return report_of(found, drawings)


def _items(report: Report) -> Mapping[tuple[str, str], Answered]:
    _, places = render(report)
    return {
        (guideline.name, one.item.id): one
        for guideline in guidelines()
        for one in answered(guideline, places, report.why)
    }


def _unsatisfied(report: Report) -> set[tuple[str, str]]:
    return {name for name, one in _items(report).items() if not one.is_satisfied}


def test_a_config_that_says_everything_leaves_no_item_open(report: Report) -> None:
    assert _unsatisfied(report) == set()
    assert "author must state" not in render(report)[0]


def test_what_guidelines_ask_is_asked_once_and_names_what_there_is(report: Report) -> None:
    _, places = render(report)
    names = [(guideline.name, item.id) for guideline in guidelines() for item in guideline.items]
    assert len(set(names)) == len(names) == 63
    for guideline in guidelines():
        for item in guideline.items:
            assert item.at or item.why
            assert {*item.at} <= places
            assert {*item.why} <= {*WORDS}


@pytest.mark.parametrize("key", WORDS)
def test_what_the_author_says_stands_in_the_report_and_its_items_hang_on_it(
    found: Findings, drawings: list[Drawing], key: str
) -> None:
    analysis = found.plan.analysis
    assert f'id="why-{key}"' in render(report_of(found, drawings))[0]
    silent = analysis.model_copy(update={"why": analysis.why.model_copy(update={key: None})})
    outcome = replace(found.outcome, plan=replace(found.plan, analysis=silent))
    report = report_of(replace(found, outcome=outcome), drawings)
    asking = {
        (guideline.name, item.id)
        for guideline in guidelines()
        for item in guideline.items
        if key in item.why
    }
    assert asking and _unsatisfied(report) == asking
    page, _ = render(report)
    assert f'id="why-{key}"' not in page
    said = re.findall(rf"author must state</span> \(<code>why: {key}</code>\)", page)
    assert len(said) == len(asking)


def test_a_prior_without_a_reason_is_shown_and_asked_for(
    found: Findings, drawings: list[Drawing]
) -> None:
    analysis = found.plan.analysis
    silent = analysis.model_copy(update={"why": analysis.why.model_copy(update={"priors": {}})})
    outcome = replace(found.outcome, plan=replace(found.plan, analysis=silent))
    report = report_of(replace(found, outcome=outcome), drawings)
    assert _unsatisfied(report) == {
        ("BARG", "1.C"),
        ("WAMBS", "1"),
        ("ROBUST", "2"),
        ("JARS-Quant, Bayesian", "Priors"),
    }
    row = re.search(
        r"<tr[^>]*><td[^>]*>sceptical</td>\s*<td[^>]*><code>mu.*?</tr>", render(report)[0]
    )
    assert row is not None and "author must state" in row[0]


def test_without_a_place_the_items_that_name_it_are_open(report: Report) -> None:
    _, places = render(report)
    named = {place for guideline in guidelines() for item in guideline.items for place in item.at}
    for place in named:
        for guideline in guidelines():
            for one in answered(guideline, places - {place}, report.why):
                assert one.is_satisfied == (place not in one.item.at)
                assert one.absent == ((place,) if place in one.item.at else ())


def test_a_new_study_that_is_not_asked_about_is_missed(
    found: Findings, drawings: list[Drawing]
) -> None:
    analysis = found.plan.analysis.model_copy(update={"new_studies": ()})
    outcome = replace(
        found.outcome,
        plan=replace(found.plan, analysis=analysis),
        predictions=((),) * len(found.plan.cells),
    )
    report = report_of(replace(found, outcome=outcome), drawings)
    assert _unsatisfied(report) == {("JARS-Quant, Bayesian", "Predictive")}


def test_what_was_not_run_is_missed_with_what_would_run_it(
    found: Findings, drawings: list[Drawing]
) -> None:
    nothing = Findings(found.outcome, {}, None, None, None, None, (), {"checks": "nobody asked"})
    report = report_of(nothing, [d for d in drawings if d.name != "sensitivity"])
    missed = _unsatisfied(report)
    assert {("BARG", "3.A"), ("BARG", "5.A"), ("BARG", "3.C"), ("WAMBS", "7")} <= missed
    assert "author must state, or run</span> (metarho ppc)" in render(report)[0]


def test_one_prior_set_is_no_comparison(tmp_path: Path) -> None:
    text = re.sub(r"\n  sceptical: \{mu.*", "", CONFIG).replace("priors: {sceptical", "weights: {x")
    text = re.sub(r"  weights: \{x.*\n", "", text)
    (tmp_path / "one.yaml").write_text(text, encoding="utf-8")
    outcome = execute(plan(tmp_path / "one.yaml", tmp_path / "out"))
    found = find(outcome, lambda event, problem: None, lambda message: None)
    missed = _unsatisfied(report_of(found, draw_all(found)))
    assert {("BARG", "5.B"), ("BARG", "5.C"), ("BARG", "5.D")} <= missed
