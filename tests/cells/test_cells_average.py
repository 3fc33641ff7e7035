"""Averages over cells: by hand, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarho.cells.average import (
    QUANTILES,
    CellAverage,
    average_cells,
    average_rows,
    check_weights,
    weight_rows,
    weighted_quantile,
)
from metarho.cells.table import options
from metarho.compare.rows import Row
from metarho.errors import InputError

DECISIONS = ("where", "model", "priors")
THRESHOLDS = (0.0, 0.1)


def _cell(
    where: str,
    model: str,
    priors: str | float | None,
    median: float | None,
    half: float = 0.1,
    status: str = "ok",
) -> Row:
    ends = (None, None) if median is None else (median - half, median + half)
    return {"where": where, "model": model, "priors": priors, "status": status, "median": median,
            "lower": ends[0], "upper": ends[1]}  # fmt: skip


ROWS = [
    _cell("all", "two", "a", 0.30),
    _cell("all", "two", "b", 0.15),
    _cell("all", "three", "a", 0.25, status="warnings"),
    _cell("all", "three", "b", None, status="refused"),
    _cell("adults", "two", "a", -0.20),
    _cell("adults", "two", "b", 0.05),
    _cell("adults", "three", "a", 0.0, status="not reportable"),
    _cell("adults", "three", "b", 0.21),
]


def averages(
    rows: Sequence[Row] = ROWS, weights: Mapping[str, Mapping[str, float]] | None = None
) -> list[CellAverage]:
    return average_cells(rows, DECISIONS, ["where"], weights or {}, THRESHOLDS)


def test_without_weights_all_cells_of_a_question_count_the_same() -> None:
    one, two = averages()
    assert (one.estimand, one.cells, one.without) == ({"where": "all"}, 3, 1)
    assert one.mean == pytest.approx((0.30 + 0.15 + 0.25) / 3, abs=1e-15)
    assert (one.least, one.largest) == (0.15, 0.30)
    # Intervals begin at 0.2, 0.05 and 0.15.
    assert one.excludes_zero == pytest.approx(1) and one.above[0.0] == pytest.approx(1)
    assert one.above[0.1] == pytest.approx(2 / 3)
    # Of the other, [-0.3, -0.1], [-0.05, 0.15] and [0.11, 0.31]: excluding 0 is on either side.
    assert (two.cells, two.without) == (3, 1)
    assert two.excludes_zero == pytest.approx(2 / 3)
    assert two.above == pytest.approx({0.0: 1 / 3, 0.1: 1 / 3})


def test_a_cell_weighs_the_product_of_its_values() -> None:
    weights = {"model": {"two": 3.0, "three": 1.0}, "priors": {"a": 1.0, "b": 4.0}}
    one, two = averages(weights=weights)
    # Of the adults two b, of 12, has an interval with 0; two a, of 3, and three b, of 4, do not.
    assert two.excludes_zero == pytest.approx(7 / 19)
    # two a: 3, two b: 12, three a: 1; three b, of 4, has no answer.
    assert one.mean == pytest.approx((3 * 0.30 + 12 * 0.15 + 1 * 0.25) / 16, abs=1e-15)
    assert one.above[0.1] == pytest.approx(4 / 16)
    assert one.quantiles == {0.05: 0.15, 0.25: 0.15, 0.5: 0.15, 0.75: 0.15, 0.95: 0.30}
    # What is asked for, and what the cells with an answer have of it.
    assert one.stated["model"] == pytest.approx({"two": 3 / 4, "three": 1 / 4})
    assert one.effective["model"] == pytest.approx({"two": 15 / 16, "three": 1 / 16})
    assert one.effective["priors"] == pytest.approx({"a": 4 / 16, "b": 12 / 16})


def test_a_value_of_weight_zero_is_out() -> None:
    one = averages(weights={"priors": {"a": 0.0, "b": 1.0}})[0]
    assert (one.cells, one.without, one.mean, one.least, one.largest) == (1, 1, 0.15, 0.15, 0.15)


def test_values_that_no_cell_has_may_have_weights() -> None:
    drawn = {"priors": {"a": 1.0, "b": 3.0}}
    beside = {"priors": {"a": 1.0, "b": 3.0, "c": 7.0}}
    assert averages(weights=beside) == averages(weights=drawn)
    one, two = averages(weights={"priors": {"a": 0.0, "b": 0.0, "c": 1.0}})
    assert (one.cells, one.mean, two.cells, two.mean) == (0, None, 0, None)


def test_questions_are_averaged_apart_or_named_as_one() -> None:
    assert [one.estimand for one in averages()] == [{"where": "all"}, {"where": "adults"}]
    (pooled,) = average_cells(ROWS, DECISIONS, [], {"where": {"all": 0, "adults": 1}}, ())
    assert pooled.estimand == {} and pooled.cells == 3
    assert pooled.effective["where"] == {"all": 0.0, "adults": pytest.approx(1)}


def test_a_question_without_an_answer_has_no_average() -> None:
    rows = [row for row in ROWS if row["where"] == "adults" or row["status"] == "refused"]
    one = averages(rows)[0]
    assert (one.estimand, one.cells, one.without) == ({"where": "all"}, 0, 1)
    assert (one.mean, one.least, one.excludes_zero, dict(one.quantiles)) == (None, None, None, {})
    table = average_rows(averages(rows))
    assert table[0]["mean_of_medians"] is None and table[0]["q50"] is None
    assert set(table[0]) <= set(table[1])


def test_tables_have_a_row_a_question_and_a_row_a_weight() -> None:
    found = averages(weights={"model": {"two": 1.0, "three": 3.0}})
    row = average_rows(found)[0]
    assert list(row) == [
        "where", "cells", "without_answer", "mean_of_medians", "least", "largest",
        *(f"q{100 * share:g}" for share in QUANTILES), "excludes_0", "above_0", "above_0.1",
    ]  # fmt: skip
    # two a and two b weigh 1, three a weighs 3.
    assert row["mean_of_medians"] == pytest.approx((0.30 + 0.15 + 3 * 0.25) / 5)
    weights = weight_rows(found)
    assert [(w["where"], w["decision"], w["value"]) for w in weights[:4]] == [
        ("all", "model", "two"), ("all", "model", "three"),
        ("all", "priors", "a"), ("all", "priors", "b"),
    ]  # fmt: skip
    assert weights[1]["stated"] == 0.75 and weights[1]["effective"] == pytest.approx(3 / 5)


@pytest.mark.parametrize("scale", [1e-300, 1e308])
def test_only_ratios_of_weights_matter(scale: float) -> None:
    weights = {"model": {"two": 1.7 * scale, "three": 0.1 * scale},
               "priors": {"a": scale, "b": scale}}  # fmt: skip
    plain = {"model": {"two": 17.0, "three": 1.0}}
    found, expected = averages(weights=weights), averages(weights=plain)
    assert [one.mean for one in found] == pytest.approx([one.mean for one in expected], rel=1e-12)


def test_numbers_and_blanks_are_values_too() -> None:
    rows = [_cell("all", "two", 0.5, 0.1), _cell("all", "two", 0.0, 0.2),
            _cell("all", "two", None, 0.4)]  # fmt: skip
    (one,) = averages(rows, {"priors": {"0.5": 1, "0": 2, "none": 1}})
    assert one.mean == pytest.approx((0.1 + 2 * 0.2 + 0.4) / 4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"prior": {"a": 1.0}}, "no decision 'prior'; allowed: model, priors, where; did you mean"),
        ({"priors": {"a": 1.0, "c": 1.0}}, "weights of priors: no value 'c'; allowed: a, b"),
        ({"priors": {"a": 1.0}}, "weights of priors: none for 'b'; give every value one"),
        ({"priors": {"a": -1.0, "b": 1.0}}, "'a' weighs -1.0; allowed: 0 and finite numbers"),
        ({"priors": {"a": math.nan, "b": 1.0}}, "'a' weighs nan"),
        ({"priors": {"a": math.inf, "b": 1.0}}, "'a' weighs inf"),
        ({"priors": {"a": 0.0, "b": 0.0}}, "weights of priors: all are 0"),
        ({"where": {"all": 1.0, "adults": 1.0}}, "where changes the estimand, and answers to"),
    ],
)
def test_weights_that_say_nothing_are_refused_with_what_is_allowed(
    weights: Mapping[str, Mapping[str, float]], message: str
) -> None:
    values = {name: options(ROWS, name) for name in DECISIONS}
    with pytest.raises(InputError) as caught:
        check_weights(values, ["where"], weights)
    assert message in caught.value.message


def test_a_share_that_weights_sum_to_exactly_is_reached() -> None:
    # In binary eight tenths sum to less than 0.8.
    assert weighted_quantile([float(i) for i in range(10)], [0.1] * 10, 0.8) == 7.0


@given(
    st.lists(
        st.tuples(st.integers(-9, 9), st.integers(0, 5)), min_size=1, max_size=12
    ).filter(lambda pairs: any(weight for _, weight in pairs)),
    st.integers(0, 20),
)  # fmt: skip
def test_a_weighted_quantile_is_that_of_repeated_values(
    pairs: list[tuple[int, int]], twentieth: int
) -> None:
    # A value of weight 3 is there three times; the quantile is NumPy's inverse distribution.
    total = sum(weight for _, weight in pairs)
    repeated = [float(value) for value, weight in pairs for _ in range(weight)]
    share = twentieth / 20
    positive = [(float(value), weight / total) for value, weight in pairs if weight]
    found = weighted_quantile([v for v, _ in positive], [w for _, w in positive], share)
    # Where the distribution function meets the share exactly, either side may be rounding's.
    near = [share, max(0.0, share - 1e-9)]
    assert found in [float(np.quantile(repeated, s, method="inverted_cdf")) for s in near]
