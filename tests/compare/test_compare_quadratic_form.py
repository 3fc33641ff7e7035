"""Tails of weighted sums of squares, against chi-squared, adaptive integrals and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from metarho.compare.quadratic_form import tails

UNEQUAL = np.array([0.2, 0.7, 1.0, 1.0, 2.5, 9.0])


@pytest.mark.parametrize("df", range(1, 61))
@pytest.mark.parametrize("weight", [1.0, 0.03])
def test_equal_weights_are_a_chi_squared_law_far_into_both_tails(df: int, weight: float) -> None:
    law = stats.chi2(df)
    shares = [1e-30, 1e-12, 1e-4, 0.05, 0.4]
    for q in [*law.ppf(shares), *law.isf(shares)]:
        below, above = tails(weight * q, np.full((1, df), weight))
        found, wanted = (below, law.cdf(q)) if law.cdf(q) < 0.5 else (above, law.sf(q))
        # The step in t leaves 1e-13; digits are lost to exp(-s q), whose exponent is up to 100.
        assert found[0] == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("q", [1e-3, 0.5, 3.0, 40.0])
def test_two_weights_are_an_integral_over_one_of_them(q: float) -> None:
    a, b = 0.4, 3.0

    def given(e: float) -> float:
        rest = (q - a * e * e) / b
        return float(2 * stats.norm.pdf(e) * stats.chi2.sf(rest, 1))

    end = np.sqrt(q / a)
    wanted = quad(given, 0, end, epsabs=1e-13, limit=200)[0] + 2 * stats.norm.sf(end)
    # The adaptive rule meets a root at its end.
    assert tails(q, np.array([[a, b]]))[1][0] == pytest.approx(wanted, rel=1e-8)


def test_unequal_weights_have_the_tails_that_are_simulated() -> None:
    draws = np.random.default_rng(7).standard_normal((400_000, len(UNEQUAL))) ** 2 @ UNEQUAL
    for q in (1.0, 5.0, 14.0, 40.0, 80.0):
        below, above = tails(q, UNEQUAL[None])
        simulated = np.mean(draws <= q)
        # Four standard errors.
        error = 4 * np.sqrt(below[0] * above[0] / len(draws))
        assert below[0] == pytest.approx(simulated, abs=error)


def test_the_two_tails_add_to_one() -> None:
    weights = np.random.default_rng(1).gamma(1.0, 2.0, (200, 9)) + 0.01
    for q in (0.1, 10.0, 100.0):
        below, above = tails(q, weights)
        assert below + above == pytest.approx(np.ones(200), abs=1e-15)


def test_tails_meet_where_the_other_one_becomes_the_smaller() -> None:
    mean = UNEQUAL.sum()
    either = [tails(mean * (1 + sign * 1e-12), UNEQUAL[None])[0][0] for sign in (-1, 1)]
    # One is integrated on each side of 0: 1e-13 each, and 1e-12 of q.
    assert either[0] == pytest.approx(either[1], abs=1e-11)


def test_many_sets_of_weights_are_as_each_alone() -> None:
    # A weight of 1e40 beside 1, as of a heavy tail of tau, is as good as the only one.
    weights = np.array([[1.0, 1.0], [1.0, 4.0], [1.0, 1e40]])
    together = tails(3.0, weights)[0]
    for row, found in zip(weights, together, strict=True):
        assert tails(3.0, row[None])[0][0] == pytest.approx(found, rel=1e-13)
    assert 0 < together[2] < 1e-19
