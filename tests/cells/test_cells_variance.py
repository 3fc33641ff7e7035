"""The variance over cells by decision, against hand, permutations and dense regressions."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from metarho.cells.variance import (
    COLUMNS,
    Shares,
    VarianceByDecision,
    variance_by_decision,
    variance_rows,
)
from metarho.compare.rows import Row, Value

type Array = NDArray[np.float64]

# Least squares by two routes on at most a few hundred cells: rounding only.
ROUNDING = 1e-9
DECISIONS = ("model", "priors", "where")


def split(
    rows: Sequence[Row], estimand: Sequence[str] = (), decisions: Sequence[str] = DECISIONS
) -> VarianceByDecision:
    return variance_by_decision(rows, decisions, estimand)


def _cell(answer: float | None, status: str = "ok", **decisions: Value) -> Row:
    start = {"model": "m", "priors": "p", "where": "w", "status": status, "median": answer}
    return {**start, **decisions}


def _r_squared(rows: Sequence[Row], decisions: Sequence[str], held: Sequence[str]) -> float:
    """R² within combinations of what is held, by dense least squares on dummies."""

    def dummies(labels: Sequence[object]) -> Array:
        seen = list(dict.fromkeys(labels))
        return np.array([[float(label == one) for one in seen] for label in labels])

    y = np.array([row["median"] for row in rows], dtype=float)
    base = dummies([tuple(row[name] for name in held) for row in rows])
    full = np.hstack([base, *(dummies([row[name] for row in rows]) for name in decisions)])

    def left(x: Array) -> float:
        residual = y - x @ np.linalg.lstsq(x, y, rcond=1e-10)[0]
        return float(residual @ residual)

    return 1 - left(full) / left(base)


def _by_permutations(
    rows: Sequence[Row], decisions: Sequence[str], held: Sequence[str] = ()
) -> dict[str, float]:
    """LMG as it is told: what a decision adds when it is its turn, over all orders."""
    added = dict.fromkeys(decisions, 0.0)
    for order in itertools.permutations(decisions):
        for place, name in enumerate(order):
            more = _r_squared(rows, order[: place + 1], held)
            added[name] += more - _r_squared(rows, order[:place], held)
    return {name: total / math.factorial(len(decisions)) for name, total in added.items()}


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Cells of up to three decisions, not a full product, with answers that are far from ties."""
    size = draw(st.integers(2, 14))
    return [
        _cell(
            draw(st.integers(-50, 50)) / 10,
            model=draw(st.sampled_from(["a", "b"])),
            priors=draw(st.sampled_from([0.0, 0.5, 1.0])),
            where=draw(st.sampled_from(["x", "y", "z"])),
        )
        for _ in range(size)
    ]


def test_a_balanced_table_is_its_analysis_of_variance() -> None:
    # By hand: the grand mean is 5; model means 3, 7 (SS = 6·4 = 24); prior means 4, 5, 6
    # (SS = 4·1·2 = 8, of two cells each: 2·(1 + 0 + 1) = 4); the interaction has ±1 in four cells.
    answers = {("a", 1): 3.0, ("a", 2): 3.0, ("a", 3): 3.0,
               ("b", 1): 5.0, ("b", 2): 7.0, ("b", 3): 9.0}  # fmt: skip
    rows = [_cell(y, model=model, priors=prior) for (model, prior), y in answers.items()]
    found = split(rows)
    assert found.within is found.everywhere and found.between is None
    # Total: 4 + 4 + 4 + 0 + 4 + 16 = 32 = 24 + 4 + 4.
    assert found.everywhere.shares == pytest.approx({"model": 24 / 32, "priors": 4 / 32}, abs=1e-14)
    assert found.everywhere.rest == pytest.approx(4 / 32, abs=1e-14)
    assert found.sd == pytest.approx(math.sqrt(32 / 6), abs=1e-14)
    assert (found.cells, found.without) == (6, 0)
    # Three dummies, five deviations from the mean.
    assert found.everywhere.by_chance == pytest.approx(3 / 5)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_shares_are_those_of_all_orders(rows: list[Row]) -> None:
    found = split(rows).everywhere
    if found.shares:
        expected = _by_permutations(rows, list(found.shares))
        assert found.shares == pytest.approx(expected, abs=ROUNDING)
        assert found.rest == pytest.approx(1 - sum(expected.values()), abs=ROUNDING)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_with_the_estimand_held_they_are_those_within_it(rows: list[Row]) -> None:
    found = split(rows, ["where"]).within
    if found.shares:
        held = ["where"] if len({row["where"] for row in rows}) > 1 else []
        expected = _by_permutations(rows, list(found.shares), held)
        assert found.shares == pytest.approx(expected, abs=ROUNDING)


@settings(max_examples=60, deadline=None)
@given(tables())
def test_variance_is_that_between_estimands_and_that_within(rows: list[Row]) -> None:
    found = split(rows, ["where"])
    y = [float(str(row["median"])) for row in rows]
    groups = [[v for v, row in zip(y, rows, strict=True) if row["where"] == w] for w in "xyz"]
    within = sum(float(np.var(group)) * len(group) for group in groups if group) / len(y)
    total = float(np.var(y))
    if total > 0 and found.between is not None:
        assert found.sd is not None and found.sd**2 == pytest.approx(total, rel=1e-12)
        assert found.between == pytest.approx(1 - within / total, abs=1e-12)
        assert found.sd_within == pytest.approx(math.sqrt(within), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_shares_sum_to_one_whatever_the_names_and_the_order(
    rows: list[Row], chance: random.Random
) -> None:
    found = split(rows).everywhere
    if found.rest is None:
        assert len({row["median"] for row in rows}) == 1 and found.shares == {}
        return
    assert all(share >= 0 for share in (*found.shares.values(), found.rest))
    assert math.fsum((*found.shares.values(), found.rest)) == pytest.approx(1, abs=1e-12)
    numbers = {"a": 7, "b": 0.5}
    renamed = [
        {**row, "priors": f"set {row['priors']}", "model": numbers[str(row["model"])]}
        for row in rows
    ]
    chance.shuffle(renamed)
    again = split(renamed, (), DECISIONS[::-1]).everywhere
    assert again.shares == pytest.approx(found.shares, abs=ROUNDING)


@settings(max_examples=40, deadline=None)
@given(tables(), st.sampled_from([1e-200, -3.0, 1e200]), st.sampled_from([0.0, 2.0]))
def test_shares_do_not_depend_on_the_unit_of_the_answer(
    rows: list[Row], unit: float, shift: float
) -> None:
    found = split(rows).everywhere
    moved = [{**row, "median": unit * (float(str(row["median"])) + shift)} for row in rows]
    again = split(moved).everywhere
    assert again.shares == pytest.approx(found.shares, abs=ROUNDING)


def test_one_decision_accounts_for_what_its_values_differ_by() -> None:
    rows = [_cell(y, model=model) for model, y in (("a", 0.0), ("a", 2.0), ("b", 4.0), ("b", 6.0))]
    assert split(rows).everywhere.shares == pytest.approx({"model": 16 / 20}, abs=1e-14)


def test_decisions_that_cannot_be_told_apart_share() -> None:
    chosen = [("a", "x", 0.1), ("a", "y", 0.2), ("b", "x", 0.5), ("b", "y", 0.9)]
    rows = [_cell(y, model=m, priors=m * 2, where=w) for m, w, y in chosen]
    shares = split(rows).everywhere.shares
    assert shares["model"] == pytest.approx(shares["priors"], abs=1e-14)
    assert shares["model"] > 0.3


def test_nearly_the_same_decisions_are_told_apart() -> None:
    # Two decisions that differ in one of 10,000 cells, and all depends on that one.
    rows = [_cell(0.0, model=str(i % 2), priors=str(i % 2)) for i in range(10_000)]
    rows[0] = _cell(1.0, model="0", priors="1")
    shares = split(rows).everywhere.shares
    expected = _by_permutations(rows, ["model", "priors"])
    assert shares == pytest.approx(expected, abs=ROUNDING) and sum(shares.values()) > 0.4


@pytest.mark.parametrize("value", [0.1, 0.0, -1e300, 1e-300])
def test_an_answer_that_does_not_vary_has_no_shares(value: float) -> None:
    # One of them differs by less than is printed.
    rows = [_cell(value * (1 + 1e-12 * (i == 3)), model="ab"[i % 2]) for i in range(7)]
    found = split(rows)
    assert (found.sd, found.between, found.sd_within) == (0.0, None, 0.0)
    assert found.everywhere == Shares({}, None, None)


def test_an_answer_that_varies_between_estimands_only_leaves_nothing_to_divide() -> None:
    rows = [_cell(float(w == "x"), where=w, model=m) for w in "xy" for m in "ab"]
    found = split(rows, ["where", "measure"])
    assert (found.between, found.sd_within, found.within) == (1.0, 0.0, Shares({}, None, None))


def test_a_decision_that_goes_with_the_estimand_has_nothing_within_it() -> None:
    answers = zip(itertools.product("xy", "ab"), (0.0, 1.0, 5.0, 7.0), strict=True)
    rows = [_cell(y, where=w, model=w, priors=p) for (w, p), y in answers]
    shares = split(rows, ["where"]).within.shares
    assert shares["model"] == 0 and shares["priors"] > 0.8


def test_cells_without_the_answer_are_left_out() -> None:
    rows = [_cell(1.0, model="a"), _cell(2.0, model="b"), _cell(3.0, "warnings", model="b")]
    bad = [
        _cell(None, "refused", model="c"),
        _cell(900.0, "not reportable", model="a"),
        _cell(math.nan, model="a"),
        _cell(math.inf, model="c"),
        _cell(None, model="c"),
    ]
    assert split([*bad, *rows]) == split(rows)
    nothing = split(bad)
    assert (nothing.cells, nothing.sd) == (0, None)
    assert nothing.everywhere == nothing.within == Shares({}, None, None)


def test_cells_that_have_a_median_and_not_the_answer_are_counted() -> None:
    rows = [{**_cell(1.0, model=model), "tau": tau} for model, tau in (("a", 0.1), ("b", None))]
    found = variance_by_decision(rows, DECISIONS, [], "tau")
    assert (found.answer, found.cells, found.without, found.sd) == ("tau", 1, 1, 0.0)


def test_answers_dealt_at_random_are_accounted_for_as_often_as_said() -> None:
    random_numbers = np.random.default_rng(20261126)
    cells = [(m, p, w) for m in "ab" for p in range(3) for w in "xyz"][:13]
    found = []
    for _ in range(600):
        y = random_numbers.normal(size=len(cells))
        rows = [_cell(float(v), model=m, priors=p, where=w)
                for v, (m, p, w) in zip(y, cells, strict=True)]  # fmt: skip
        one = split(rows).everywhere
        assert one.by_chance is not None
        found.append((sum(one.shares.values()), one.by_chance))
    by_data, said = np.mean(found, axis=0)
    # 600 values of an R² whose sd is below 0.2: four standard errors are 0.03.
    assert by_data == pytest.approx(said, abs=0.03)


def test_ten_thousand_cells_of_nine_decisions_take_less_than_a_second() -> None:
    random_numbers = np.random.default_rng(1)
    names = [f"d{j}" for j in range(9)]
    widths = (40, 6, 4, 3, 3, 3, 2, 2, 2)
    codes = np.column_stack([random_numbers.integers(width, size=10_000) for width in widths])
    y = sum(random_numbers.normal(size=w)[codes[:, j]] for j, w in enumerate(widths))
    rows: list[Row] = [
        {**dict(zip(names, map(str, chosen), strict=True)), "status": "ok", "median": float(value)}
        for chosen, value in zip(codes, np.asarray(y), strict=True)
    ]
    start = time.process_time()
    found = split(rows, (), names).everywhere
    assert time.process_time() - start < 1
    # The answer is a sum of main effects.
    assert found.rest == pytest.approx(0, abs=1e-9) and len(found.shares) == 9


def test_the_table_says_of_what_a_share_is() -> None:
    answers = zip(itertools.product("xy", "ab"), (0.0, 1.0, 5.0, 8.0), strict=True)
    rows = [_cell(y, where=w, priors=p) for (w, p), y in answers]
    found = split(rows, ["where"], ["where", "priors"])
    table = variance_rows([found], ["where"])
    assert all(tuple(row) == COLUMNS for row in table)
    assert [(row["over"], row["term"], row["changes"]) for row in table] == [
        ("all cells", "where", "estimand"),
        ("all cells", "priors", "estimation"),
        ("all cells", "interactions and rest", None),
        ("all cells", "between estimands", None),
        ("within estimands", "priors", "estimation"),
        ("within estimands", "interactions and rest", None),
    ]
    # 0, 1, 5, 8 less 3.5 have squares that sum to 41; less 0.5 and 6.5 to 5.
    sds = [math.sqrt(41 / 4)] * 4 + [math.sqrt((2 * 0.5**2 + 2 * 1.5**2) / 4)] * 2
    assert [row["sd"] for row in table] == pytest.approx(sds)
    # In a balanced table the shares within are those of all, over what lies within.
    assert found.between is not None
    assert found.between == pytest.approx(found.everywhere.shares["where"], abs=1e-12)
    part = found.within.shares["priors"] * (1 - found.between)
    assert part == pytest.approx(found.everywhere.shares["priors"], abs=1e-12)
