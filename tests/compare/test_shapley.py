"""Shapley values against orders written out, and what defines them."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from metarho.compare.shapley import shapley


def over_all_orders(values: list[float], units: int) -> list[float]:
    """The definition: the mean change that a unit makes, over every order of switching."""
    total = [0.0] * units
    for order in permutations(range(units)):
        switched: set[int] = set()
        for unit in order:
            before = values[sum(2**one for one in switched)]
            switched.add(unit)
            total[unit] += values[sum(2**one for one in switched)] - before
    return [one / math.factorial(units) for one in total]


@pytest.mark.parametrize("units", [1, 2, 3, 5])
def test_shares_are_means_over_all_orders_and_sum_to_the_whole(units: int) -> None:
    values = np.random.default_rng(units).normal(size=2**units).tolist()
    shares = shapley(values, units)
    # Sums of at most 120 numbers of size 1: their rounding.
    assert shares == pytest.approx(over_all_orders(values, units), abs=1e-13)
    assert math.fsum(shares) == pytest.approx(values[-1] - values[0], abs=1e-14)


def test_a_unit_that_changes_nothing_has_exactly_nothing() -> None:
    rng = np.random.default_rng(3)
    without = rng.normal(size=4).tolist()
    # The third of three units: switched or not, the value is the same.
    shares = shapley([*without, *without], 3)
    assert shares[2] == 0.0
    assert shares[:2] == pytest.approx(shapley(without, 2), abs=1e-15)


def test_units_that_do_the_same_have_the_same() -> None:
    # By the number of units switched only.
    values = [float(chosen.bit_count() ** 3) for chosen in range(16)]
    assert shapley(values, 4) == pytest.approx([16.0] * 4, abs=1e-13)


def test_one_unit_takes_all_and_none_has_nothing_to_share() -> None:
    assert shapley([1.0, 3.5], 1) == (2.5,)
    assert shapley([1.0], 0) == ()


def test_a_set_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="3 units have 8 sets, and 7 values are here"):
        shapley([0.0] * 7, 3)
