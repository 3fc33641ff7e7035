"""Quantities and claims: read as text, and nothing else is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarho.errors import InputError
from metarho.spec.claims import (
    NAMES,
    Claim,
    Quantity,
    parse_claim,
    parse_quantities,
    parse_quantity,
)

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
quantities = st.one_of(
    st.sampled_from(NAMES).map(Quantity),
    st.builds(
        Quantity,
        st.sampled_from(["rho", "rho_new"]),
        st.floats(-0.99, 0.99).map(lambda x: float(f"{x:.9g}")),
    ),
)


@given(quantities)
def test_a_quantity_reads_back_as_itself(quantity: Quantity) -> None:
    assert parse_quantity(str(quantity)) == quantity


@given(quantities, st.sampled_from([">", ">=", "<", "<="]), st.floats(1e-3, 0.999))
def test_a_claim_reads_back_as_itself(quantity: Quantity, comparison: str, value: float) -> None:
    claim = Claim(quantity, comparison, float(f"{value:.9g}"))
    assert parse_claim(str(claim)) == claim


@pytest.mark.parametrize(
    ("text", "name", "threshold"),
    [
        ("P(rho > 0.1)", "rho", 0.1),
        (" P( rho_new>-.3 ) ", "rho_new", -0.3),
        ("P(rho > 1e-1)", "rho", 0.1),
        ("P(rho > 0)", "rho", 0.0),
        ("new_lower", "new_lower", None),
    ],
)
def test_spaces_and_forms_of_numbers_do_not_matter(
    text: str, name: str, threshold: float | None
) -> None:
    assert parse_quantity(text) == Quantity(name, threshold)


def test_quantities_stand_apart_by_commas_or_alone_and_count_once() -> None:
    found = parse_quantities(["lower, P(rho > 0.1)", "lower", "bf_mu"])
    assert [str(quantity) for quantity in found] == ["lower", "P(rho > 0.1)", "bf_mu"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rho_medain", "did you mean 'rho_median'"),
        ("P(rho > 1)", "between -1 and 1"),
        ("P(rho > 1.5)", "between -1 and 1"),
        ("P(mu > 0.1)", "is no quantity"),
        ("P(rho < 0.1)", "P(rho > t)"),
        ("P(rho > nan)", "is no quantity"),
        ("P(rho > ٣)", "is no quantity"),
        ("P(rho > 0.1", "is no quantity"),
        ("__import__('os')", "is no quantity"),
        ("lower\nupper", "is no quantity"),
        ("", "allowed: P(rho > t)"),
        ("x" * 100_000, "is no quantity"),
    ],
)
def test_anything_else_is_no_quantity(text: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        parse_quantity(text)
    assert told in error.value.message
    assert len(error.value.message) < 400


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lower", "is no claim"),
        ("lower > ", "is no claim"),
        ("lower == 0", "is no claim"),
        ("lower => 0", "is no claim"),
        ("0 < lower", "is no claim"),
        ("lower > 0 > 1", "is no quantity"),
        ("lower > 0; upper < 1", "is no quantity"),
        ("lowr > 0", "did you mean 'lower'"),
        ("P(rho > 0.1) >= 1", "between 0 and 1"),
        ("P(rho > 0.1) >= 95", "between 0 and 1"),
        ("P(rho > 0.1)", "is no"),
        ("bf_mu > 0", "above 0"),
        ("tau < -1", "above 0"),
        ("lower > 1e999", "larger than a computer's numbers"),
        ("lower > " + "1" * 10_000, "is no claim"),
        ("lower > inf", "is no claim"),
    ],
)
def test_anything_else_is_no_claim(text: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        parse_claim(text)
    assert told in error.value.message
    assert len(error.value.message) < 400


@given(quantities, st.sampled_from([">", ">=", "<", "<="]), st.floats(0.01, 0.99), numbers)
def test_a_claim_holds_where_its_margin_is_above_0(
    quantity: Quantity, comparison: str, value: float, found: float
) -> None:
    claim = Claim(quantity, comparison, value)
    compared = {
        ">": found > value, ">=": found >= value, "<": found < value, "<=": found <= value,
    }[comparison]  # fmt: skip
    assert claim.holds(found) == compared
    assert (claim.margin(found) > 0) == (compared and found != value)


def test_bayes_factors_are_as_far_above_as_below_on_the_log_scale() -> None:
    claim = parse_claim("bf_mu > 3")
    assert claim.margin(30) == pytest.approx(math.log(10))
    assert claim.margin(0.3) == pytest.approx(-math.log(10))
    assert claim.margin(math.inf) == math.inf
    assert claim.margin(0.0) == -math.inf


def test_a_quantity_without_a_value_fulfils_nothing() -> None:
    for text in ("bf_mu > 3", "lower < 1"):
        assert math.isnan(parse_claim(text).margin(math.nan))
        assert not parse_claim(text).holds(math.nan)
