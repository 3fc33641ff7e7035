"""Attribution of differences: against fits switched one by one in every order, and its rules."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

import metarho
from diff_cases import CONFIG, STUDIES, run_of
from metarho.batch.attribution import VERSIONS, attribution, partitions
from metarho.batch.diff import CellChange, diff
from metarho.batch.mixtures import Pair, cell_inputs
from metarho.batch.plain_answers import QUANTITIES, Answer
from metarho.batch.run_folder import RunFolder

CHANGED = STUDIES.replace("0.45,30", "0.25,30").replace("Dora,1,0.05,120,2012,online\n", "")


def cell(old: RunFolder, new: RunFolder, prior_set: str = "sceptical") -> CellChange:
    return next(one for one in diff(old, new).cells if one.decisions["priors"] == prior_set)


def shares(one: CellChange, quantity: str = "median") -> dict[str, float | None]:
    assert one.attribution is not None
    return {share.unit: share.moved[quantity] for share in one.attribution.shares}


def check_sums(one: CellChange) -> None:
    """All shares sum to the difference, to the rounding of some dozen numbers below 10."""
    for quantity in QUANTITIES:
        moved = [share or 0.0 for share in shares(one, quantity).values()]
        assert math.fsum(moved) == pytest.approx(one.differences[quantity], abs=1e-13)


def test_shares_are_those_of_fits_made_by_hand_in_every_order(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old")
    new = run_of(tmp_path, "new", CONFIG.replace("sigma=0.15", "sigma=0.3"), CHANGED)

    def median(switched: frozenset[str]) -> float:
        """By the public functions, from a table written for the purpose."""
        rows = [
            row.replace("0.45,30", "0.25,30") if "Carl" in switched else row
            for row in STUDIES.splitlines()
            if not (row.startswith("Dora") and "Dora" in switched)
        ]
        path = tmp_path / "mixed.csv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        columns = {"ri": "r", "ni": "n", "study": "study", "effect": "effect"}
        fit = metarho.fit(
            metarho.load_model("random-effects"),
            metarho.load_studies(path, columns=columns),
            priors={"mu": f"Normal(mu=0, sigma={0.3 if 'mu' in switched else 0.15})"},
        )
        found = fit.derived["rho_median"].median
        assert found is not None
        return found

    expected = dict.fromkeys(("Carl", "Dora", "mu"), 0.0)
    for order in permutations(expected):
        for index, unit in enumerate(order):
            before, after = frozenset(order[:index]), frozenset(order[: index + 1])
            expected[unit] += (median(after) - median(before)) / 6
    one = cell(old, new)
    found = shares(one)
    assert set(found) == {"study Carl", "study Dora", "prior of mu"}
    for name, value in zip(
        ("study Carl", "study Dora", "prior of mu"), expected.values(), strict=True
    ):
        # Quantiles of both ways of reading a fit agree to this.
        assert found[name] == pytest.approx(value, abs=1e-9)
    check_sums(one)


def test_the_only_change_takes_all(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old")
    one = cell(old, run_of(tmp_path, "new", studies=STUDIES.replace("0.45,30", "0.25,30")))
    assert shares(one) == {"study Carl": one.differences["median"]}
    assert one.differences["median"] != 0


def test_a_change_without_effect_has_exactly_nothing(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old")
    # One study a sample: nothing correlates. And alpha is about words, of which there are none.
    config = CONFIG.replace("studies.csv,", "studies.csv, alpha: 0.1,")
    one = cell(old, run_of(tmp_path, "new", config, CHANGED))
    assert shares(one)["reading: alpha"] == 0.0
    check_sums(one)


def test_the_interval_moves_its_ends_and_nothing_else(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old")
    new = run_of(tmp_path, "new", CONFIG + "interval: {prob: 0.8}\n", CHANGED)
    one = cell(old, new)
    assert shares(one, "median")["interval"] == 0.0
    assert shares(one, "tau")["interval"] == 0.0
    assert (shares(one, "lower")["interval"] or 0) > 0.01
    check_sums(one)


def test_what_the_folder_says_otherwise_is_of_versions(tmp_path: Path) -> None:
    old, new = run_of(tmp_path, "old"), run_of(tmp_path, "new", studies=CHANGED)

    def moved(answer: Answer) -> Answer:
        return replace(answer, numbers={**answer.numbers, "median": 0.2})

    otherwise = replace(old, answers=tuple(moved(one) for one in old.answers))
    known = next(a for a in old.answers if a.decisions["priors"] == "sceptical").numbers["median"]
    assert known is not None
    one = cell(otherwise, new)
    assert shares(one)[VERSIONS] == pytest.approx(known - 0.2, abs=1e-15)
    assert shares(one, "lower")[VERSIONS] == 0.0
    check_sums(one)
    # So where it is the new run that says something else.
    late = replace(new, answers=tuple(moved(one) for one in new.answers))
    one = cell(old, late)
    own = next(a for a in new.answers if a.decisions["priors"] == "sceptical").numbers["median"]
    assert own is not None
    assert shares(one)[VERSIONS] == pytest.approx(0.2 - own, abs=1e-15)
    check_sums(one)
    assert VERSIONS not in shares(cell(old, new))


def test_a_mixture_that_cannot_be_fitted_joins_what_depends(tmp_path: Path) -> None:
    head = "study,effect,r,n\n"
    old = run_of(tmp_path, "old", studies=head + "Adam,1,0.3,40\n")
    new = run_of(
        tmp_path,
        "new",
        CONFIG.replace("sigma=0.15", "sigma=0.3"),
        head + "Zoe,1,0.2,50\n",
    )
    one = cell(old, new)
    assert set(shares(one)) == {"evidence", "prior of mu"}
    assert one.attribution is not None
    assert "depend on one another" in one.attribution.note
    assert "no row is left" in one.attribution.note
    check_sums(one)


def test_many_changed_studies_are_taken_together(tmp_path: Path) -> None:
    names = [f"S{index}" for index in range(9)]
    tables = [
        "study,effect,r,n\n"
        + "".join(f"{name},1,0.{digit}{index + 1},50\n" for index, name in enumerate(names))
        for digit in (2, 3)
    ]
    old = run_of(tmp_path, "old", studies=tables[0])
    new = run_of(tmp_path, "new", CONFIG.replace("sigma=0.15", "sigma=0.3"), tables[1])
    one = cell(old, new)
    assert set(shares(one)) == {"evidence", "prior of mu"}
    assert one.attribution is not None
    assert "more than 8 changes" in one.attribution.note
    check_sums(one)


def test_coarser_units_end_in_one() -> None:
    changes = [
        ("evidence", "A"),
        ("evidence", "B"),
        ("reading", "where"),
        ("model", "mods"),
        ("priors", "mu"),
    ]
    sizes = [len(units) for units in partitions(changes)]
    assert sizes == [5, 4, 2, 1]
    for units in partitions(changes):
        assert sorted(one for unit in units for one in unit.changes) == sorted(changes)


def test_measure_and_model_are_units_too(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "random-effects.yaml").write_text(
        'random: none\npriors: {mu: "Normal(mu=0, sigma=0.5)"}\n', encoding="utf-8"
    )
    new = run_of(
        tmp_path, "new", CONFIG.replace("effect: effect}", "effect: effect}, measure: COR")
    )
    one = cell(old, new)
    assert {"reading: measure", "model: random"} <= set(shares(one))
    # Without heterogeneity its prior says nothing; with it, it is the one that was said.
    assert shares(one)["prior of tau"] == 0.0
    check_sums(one)


def test_a_pair_alike_is_attributed_to_nothing(tmp_path: Path) -> None:
    run = run_of(tmp_path, "run")
    answer = run.answers[0]
    inputs = cell_inputs(run.inputs, answer.decisions)
    assert attribution(Pair(inputs, inputs), answer, answer).shares == ()
