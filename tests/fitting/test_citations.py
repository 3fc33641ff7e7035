"""Priors that were cited: evidence that would be used twice is said, and so is another scale."""

from __future__ import annotations

from pathlib import Path

import pytest

import metarho
from metarho.batch.describe import describe
from metarho.batch.findings import Findings
from metarho.batch.plan import plan
from metarho.batch.run import execute, resolved_config
from metarho.report.drawings import draw_all
from metarho.report.page import render, report_of
from metarho.spec.lookup import shipped_folder

MOLLOY = Path(__file__).parents[1] / "references" / "molloy2014.csv"
COLUMNS = {"ri": "ri", "ni": "ni"}
CITED = "alliance-internet-2019"


def notes(mu: str, *, overlaps: tuple[str, ...] = (), source: str | Path = MOLLOY) -> list[str]:
    columns = COLUMNS if source == MOLLOY else None
    where = None if source == MOLLOY else 'role == "main"'
    studies = metarho.load_studies(
        source, columns=columns, where=where, intervals="drop", overlaps=overlaps
    )
    fit = metarho.fit(metarho.load_model("random-effects"), studies, priors={"mu": mu})
    return [note for note in fit.notes if note.startswith("mu: ")]


def test_a_shipped_set_that_a_prior_was_made_from_is_remarked_on() -> None:
    (note,) = notes(CITED, source="internet-alliance")
    assert note == (
        f"mu: {CITED} must be expected to hold studies of this evidence (internet-alliance), which "
        f"are then used twice; discount it ('{CITED} power 0.3' or '{CITED} robust 0.2'), or take "
        "another prior"
    )


@pytest.mark.parametrize("discount", ["power 0.3", "robust 0.2"])
def test_a_discount_is_offered_once(discount: str) -> None:
    (note,) = notes(f"{CITED} {discount}", source="internet-alliance")
    assert note.endswith(f"used twice; it is discounted ({discount})")


def test_a_publication_that_the_evidence_holds_is_remarked_on() -> None:
    (note,) = notes("alliance-f2f-2011", overlaps=("10.1037/A0022186", "10.1000/other"))
    assert "(10.1037/a0022186)" in note
    (note,) = notes("alliance-youth-2018", overlaps=("karver 2018",))
    assert "(Karver 2018)" in note


def test_without_an_overlap_nothing_is_said() -> None:
    assert notes(CITED) == []
    assert notes("alliance-f2f-2018-wide", source="internet-alliance") == []
    # The same prior, not cited: nobody knows where it comes from.
    assert notes("Normal(mu=0.2575, sigma=0.0327)", source="internet-alliance") == []


def test_what_is_cited_does_not_change_the_numbers() -> None:
    studies = metarho.load_studies(MOLLOY, columns=COLUMNS)
    model = metarho.load_model("random-effects")
    cited, written = (
        metarho.fit(model, studies, priors={"mu": text})
        for text in ("alliance-f2f-2018-wide", "Normal(mu=0.285, sigma=0.06)")
    )
    assert cited.seed == written.seed  # and so the key
    assert cited.parameters == written.parameters


def test_everyone_s_defaults_are_one_run() -> None:
    made = plan(shipped_folder("configs") / "everyones-defaults.yaml")
    cited = {
        cell.prior_set: [one.prior.cited for one in cell.problem.priors.values()]
        for cell in made.cells
    }
    assert cited == {
        "robma4": ["robma4-mu-z", "robma4-tau-z"],
        "robma3": ["robma3-mu-z", "robma3-tau-z"],
        "metabma": ["metabma-mu-z", "metabma-tau-z"],
        "bayesmeta": ["bayesmeta-mu", "bayesmeta-uniform"],
        "multinma": ["multinma-mu", "multinma-tau"],
        "bayesma": ["bayesma-mu", "bayesma-tau"],
        "brms": ["", "brms-tau"],
        "metastan": ["robma4-mu-z", "metastan-tau-z"],
        "harrer": ["harrer-mu-z", "harrer-tau-z"],
    }
    assert made.citations == ()


CONFIG = """
studies:
  source: {source}
  measure: {measure}
  columns: {{{columns}}}
  overlaps: [10.1159/000501565]
models: [random-effects]
priors:
  default: {{}}
  internet: {{mu: alliance-internet-2019, tau: bayesmeta-dumouchel}}
"""


def config(folder: Path, measure: str = "ZCOR", columns: str = "ri: ri, ni: ni") -> Path:
    path = folder / "mine.yaml"
    text = CONFIG.format(source=MOLLOY, measure=measure, columns=columns)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan_prints_what_a_name_resolved_to_and_what_is_used_twice(tmp_path: Path) -> None:
    made = plan(config(tmp_path), tmp_path / "out")
    lines = describe(made)
    assert (
        "  internet: mu ~ Normal(mu=0.2575, sigma=0.0327) [alliance-internet-2019] *; "
        "tau ~ DuMouchel() [bayesmeta-dumouchel] *"
    ) in lines
    assert [line for line in lines if "used twice" in line] == [f"note: {made.citations[0]}"]
    # What is written beside the results can be read where the catalogue has changed.
    assert "alliance-internet-2019" not in resolved_config(made)
    assert "mu: Normal(mu=0.2575, sigma=0.0327)" in resolved_config(made)


def test_the_report_says_what_was_cited_and_what_is_used_twice(tmp_path: Path) -> None:
    made = plan(config(tmp_path), tmp_path / "out")
    # Nothing more is asked of the run: comparisons take most of a report's time.
    asked = Findings(execute(made), {}, None, None, None, None, (), {"checks": "nobody asked"})
    page, _ = render(report_of(asked, draw_all(asked)))
    assert '<td class="x">prior set</td><td class="x">alliance-internet-2019</td>' in page
    assert "which are then used twice" in page


def test_a_prior_on_z_where_effects_are_not_is_remarked_on(tmp_path: Path) -> None:
    made = plan(config(tmp_path, "COR"), tmp_path / "out")
    assert (
        "mu: alliance-internet-2019 is a prior on Fisher's z, and the effects here are on r"
    ) in made.citations
    # DuMouchel's has no scale of its own.
    assert not any("dumouchel" in note for note in made.citations)
