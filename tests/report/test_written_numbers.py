"""Numbers as the APA's manual writes them."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarho.posterior.marginals import Summary
from metarho.report.written_numbers import (
    MINUS,
    bounded,
    interval,
    percent,
    probability,
    rounded,
    with_interval,
)

DIGITS = st.integers(1, 8)
CORRELATIONS = st.one_of(st.floats(-1, 1), st.integers(-1000, 1000).map(lambda n: n / 1000))


def value_of(text: str) -> Decimal:
    return Decimal(text.replace(MINUS, "-"))


@given(st.one_of(CORRELATIONS, st.floats(-1e12, 1e12)), DIGITS)
def test_a_rounded_number_is_the_nearest_of_its_digits_and_ties_go_away_from_0(
    value: float, digits: int
) -> None:
    text = rounded(value, digits)
    exact, found = Decimal(repr(value)), value_of(text)
    half = Decimal(5).scaleb(-digits - 1)
    assert abs(found - exact) <= half
    if abs(found - exact) == half:
        assert abs(found) > abs(exact)
    assert len(text.partition(".")[2]) == digits
    # What rounds to 0 has no sign, and a sign is a minus, not a hyphen.
    assert "-" not in text
    assert text.startswith(MINUS) == (found < 0)


@pytest.mark.parametrize(
    "value, text", [(0.125, "0.13"), (0.285, "0.29"), (2.675, "2.68"), (-0.004, "0.00")]
)
def test_ties_are_those_of_the_digits_that_are_printed(value: float, text: str) -> None:
    assert rounded(value, 2) == text


def test_what_is_not_finite_is_infinite() -> None:
    assert (rounded(math.inf, 2), rounded(-math.inf, 2)) == ("∞", f"{MINUS}∞")


@given(CORRELATIONS, DIGITS)
def test_a_correlation_has_no_zero_before_the_point_and_never_rounds_to_1(
    value: float, digits: int
) -> None:
    text = bounded(value, digits)
    assert not text.lstrip(MINUS).startswith("0")
    if abs(value) < 1:
        assert "1." not in text
    assert text != f"{MINUS}.{'0' * digits}"


@pytest.mark.parametrize(
    "value, text",
    [
        (0.24, ".24"),
        (-0.08, f"{MINUS}.08"),
        (-0.001, ".00"),
        (0.9949, ".99"),
        (0.995, "> .99"),
        (-0.9999, f"< {MINUS}.99"),
        (1.0, "1.00"),
        (-1.0, f"{MINUS}1.00"),
    ],
)
def test_correlations_are_written_so(value: float, text: str) -> None:
    assert bounded(value, 2) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (0.87, "= .870"),
        (0.9996, "> .999"),
        (0.0004, "< .001"),
        (0.0005, "= .001"),
        (0.0, "= .000"),
        (1.0, "= 1.000"),
    ],
)
def test_probabilities_are_written_with_their_relation(value: float, text: str) -> None:
    assert probability(value, 3) == text


@pytest.mark.parametrize(
    "value, digits, text",
    [
        (35.4, 2, "35%"),
        (0.3, 2, "< 1%"),
        (0.0, 2, "0%"),
        (99.7, 2, "> 99%"),
        (100.0, 2, "100%"),
        (35.44, 3, "35.4%"),
        (99.97, 3, "> 99.9%"),
    ],
)
def test_percents_are_written_so(value: float, digits: int, text: str) -> None:
    assert percent(value, digits) == text


def summary(median: float, lower: float, upper: float) -> Summary:
    return Summary(median, 0.1, median, lower, upper)


def test_an_interval_whose_ends_would_equal_the_estimate_gets_more_digits() -> None:
    assert with_interval(summary(0.24, 0.18, 0.3), 2, bounded) == ".24 [.18, .30]"
    assert with_interval(summary(0.2412, 0.2398, 0.2421), 2, bounded) == ".241 [.240, .242]"
    assert with_interval(summary(0.004, 0.0002, 0.02), 2, rounded) == "0.004 [0.000, 0.020]"
    assert with_interval(summary(0.9992, 0.9981, 0.9998), 2, bounded) == ".999 [.998, > .999]"


def test_a_scale_of_small_numbers_gets_the_digits_that_show_an_interval_s_width() -> None:
    tiny = summary(2e-5, -2.1e-5, 6.3e-5)
    assert with_interval(tiny, 2, rounded) == f"0.00002 [{MINUS}0.00002, 0.00006]"
    assert interval(tiny, 2, rounded) == f"[{MINUS}0.00002, 0.00006]"


def test_an_interval_narrower_than_all_digits_says_so() -> None:
    narrow = summary(0.5, 0.5 - 1e-14, 0.5 + 1e-14)
    assert with_interval(narrow, 2, bounded).endswith("(narrower than these digits)")


def test_what_is_known_is_fixed_and_what_is_not_is_not_known() -> None:
    assert with_interval(summary(0.1, 0.1, 0.1), 2, rounded) == "0.10 (fixed)"
    assert with_interval(Summary(None, None, None, None, None), 2, rounded) == "not known"
    assert interval(Summary(None, None, None, None, None), 2, rounded) == "not known"


@given(CORRELATIONS, CORRELATIONS, CORRELATIONS, DIGITS)
def test_printed_ends_differ_from_the_estimate_or_it_is_said(
    a: float, b: float, c: float, digits: int
) -> None:
    lower, median, upper = sorted((a, b, c))
    text = with_interval(summary(median, lower, upper), digits, bounded)
    if text.endswith("(fixed)") or "narrower" in text:
        return
    first, _, rest = text.partition(" [")
    assert first not in rest.removesuffix("]").split(", ")
