"""Statistics of the evidence, against SciPy's and row by row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from metarho.checks.discrepancies import NAMED, Rows, named, no_statistic
from metarho.spec.checks import STATISTICS

type Array = NDArray[np.float64]

SHIFTED = ["q", "largest_z", "spread", "skew", "range", "asymmetry"]


def numbers(k: int, seed: int = 0) -> tuple[Array, Rows]:
    """Five sets of k rows that print numbers."""
    rng = np.random.default_rng(seed)
    v = rng.uniform(0.005, 0.05, k)
    y = rng.normal(0.1, np.sqrt(v + 0.02), (5, k))
    return y, Rows(v, np.full(k, 50.0), 2 * np.sqrt(v), np.zeros(k, dtype=bool))


def test_every_statistic_of_the_grammar_has_its_function() -> None:
    assert list(NAMED) == list(STATISTICS)


def _q(y: Array, v: Array) -> float:
    mean = np.average(y, weights=1 / v)
    return float(sum((a - mean) ** 2 / b for a, b in zip(y, v, strict=True)))


def _largest_z(y: Array, v: Array) -> float:
    """By the hat matrix of a common effect, as metafor's rstandard."""
    w = np.diag(1 / v)
    x = np.ones((len(y), 1))
    left = np.eye(len(y)) - x @ np.linalg.inv(x.T @ w @ x) @ x.T @ w
    return float(np.abs(left @ y / np.sqrt(np.diag(left @ np.diag(v) @ left.T))).max())


def _egger(y: Array, v: Array) -> float:
    found = stats.linregress(1 / np.sqrt(v), y / np.sqrt(v))
    return float(found.intercept / found.intercept_stderr)


BY_HAND: dict[str, Callable[[Array, Array], float]] = {
    "q": _q,
    "largest_z": _largest_z,
    "spread": lambda y, v: float(stats.tstd(y)),
    "skew": lambda y, v: float(stats.skew(y)),
    "range": lambda y, v: max(y) - min(y),
    "negative": lambda y, v: sum(one < 0 for one in y) / len(y),
    "asymmetry": _egger,
    "significant": lambda y, v: (
        sum(abs(a) > 2 * b**0.5 for a, b in zip(y, v, strict=True)) / len(y)
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_statistic_is_that_of_each_set_by_hand(name: str) -> None:
    y, rows = numbers(12)
    expected = [BY_HAND[name](one, rows.v) for one in y]
    assert NAMED[name](y, rows) == pytest.approx(expected, rel=1e-10)


def test_words_counts_the_rows_that_say_not_significant() -> None:
    printed = np.array([[0.0, 1, 0, -1], [1, 1, -1, 1]])
    assert NAMED["words"](printed, numbers(4)[1]).tolist() == [2, 0]


@pytest.mark.parametrize("name", SHIFTED)
@given(shift=st.floats(-2, 2), seed=st.integers(0, 1000))
def test_what_is_about_differences_does_not_see_the_mean(
    name: str, shift: float, seed: int
) -> None:
    y, rows = numbers(9, seed)
    assert NAMED[name](y + shift, rows) == pytest.approx(NAMED[name](y, rows), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", BY_HAND)
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(name: str, seed: int) -> None:
    y, rows = numbers(9, seed)
    order = np.random.default_rng(seed).permutation(9)
    moved = Rows(rows.v[order], rows.n[order], rows.critical[order], rows.is_word[order])
    assert NAMED[name](y[:, order], moved) == pytest.approx(NAMED[name](y, rows), rel=1e-9)


def test_a_named_statistic_looks_at_the_rows_it_is_about() -> None:
    is_word = np.array([False, True, False, True])
    rows = Rows(np.full(4, 0.01), np.full(4, 50.0), np.full(4, 0.2), is_word)
    printed = np.array([[0.5, 0.0, -0.1, 1.0]])
    everyone = np.ones(4, dtype=bool)
    assert named("range", "range", everyone, rows).of(printed, rows) == pytest.approx([0.6])
    assert named("words", "words", everyone, rows).of(printed, rows).tolist() == [1]
    assert rows.kinds == ("exact", "word", "exact", "word")


def test_nothing_that_varies_has_no_skew() -> None:
    assert NAMED["skew"](np.full((1, 4), 0.2), numbers(4)[1]).tolist() == [0]


@pytest.mark.parametrize(
    "name, k, said",
    [
        ("q", 1, "too few rows print a number (1, 2 are needed)"),
        ("skew", 2, "too few rows print a number (2, 3 are needed)"),
        ("negative", 0, "too few rows print a number (0, 1 are needed)"),
        ("words", 0, "no row printed a word"),
        ("asymmetry", 3, None),
    ],
)
def test_too_few_rows_have_no_statistic(name: str, k: int, said: str | None) -> None:
    assert no_statistic(name, numbers(k)[1]) == said


def test_without_a_funnel_or_n_there_is_no_asymmetry_or_significance() -> None:
    flat = Rows(np.full(5, 0.01), np.full(5, 103.0), np.full(5, np.nan), np.zeros(5, dtype=bool))
    assert no_statistic("asymmetry", flat) == "all standard errors are equal: there is no funnel"
    assert "n is unknown" in str(no_statistic("significant", flat))
