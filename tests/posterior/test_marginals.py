"""Curves, points, averages of correlations, I²."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtr, ndtri

from cases import molloy, problem
from metarho.engines.exact.panels import FINE, Axis, Reach, Seen, refine
from metarho.posterior.average import average_correlation, average_correlation_slope
from metarho.posterior.heterogeneity import i2, i2_inverse, typical_variance
from metarho.posterior.marginals import Curve, Point
from metarho.posterior.mixtures import inverse_of

type Array = NDArray[np.float64]


def _curve(
    density: Callable[[Array], Array], centre: float, scale: float, lower: float, upper: float
) -> Curve:
    def look(axes: Sequence[Axis]) -> Seen:
        with np.errstate(divide="ignore"):
            return Seen(np.log(density(axes[0].nodes)))

    first = Axis("sinh", centre, scale, np.zeros(1))
    low, high = (float(first.to_u(np.array(end))) for end in (lower, upper))
    start = Axis("sinh", centre, scale, np.linspace(low, high, 9))
    (axis,) = refine(look, [start], [Reach(low, high)], FINE)
    return Curve(axis, density(axis.nodes))


def _normal_curve(mean: float, sd: float) -> Curve:
    return _curve(
        lambda x: np.asarray(stats.norm.pdf(x, mean, sd)),
        mean + sd,
        sd / 2,
        mean - 12 * sd,
        mean + 12 * sd,
    )


@given(st.floats(-5, 5), st.floats(1e-3, 10), st.floats(0.001, 0.999))
@settings(max_examples=50, deadline=None)
def test_a_curve_has_the_quantiles_and_cdf_of_its_density(
    mean: float, sd: float, share: float
) -> None:
    curve = _normal_curve(mean, sd)
    x = float(curve.quantile(np.array(share)))
    assert x == pytest.approx(stats.norm.ppf(share, mean, sd), abs=1e-8 * sd)
    assert float(curve.cdf(np.array(x))) == pytest.approx(share, abs=1e-10)
    assert float(curve.density(np.array(x))) == pytest.approx(stats.norm.pdf(x, mean, sd), rel=1e-6)


def test_the_shortest_interval_of_a_skewed_density_is_shortest() -> None:
    curve = _curve(lambda x: np.asarray(stats.gamma.pdf(x, 3)), 2.0, 1.0, 0.0, 60.0)
    shortest = curve.summary(0.9, "hdi")
    assert shortest.lower is not None and shortest.upper is not None
    low, high = (float(stats.gamma.pdf(end, 3)) for end in (shortest.lower, shortest.upper))
    # At the ends of a shortest interval the density is the same.
    assert low == pytest.approx(high, rel=1e-3)
    held = stats.gamma.cdf(shortest.upper, 3) - stats.gamma.cdf(shortest.lower, 3)
    assert held == pytest.approx(0.9, abs=1e-8)


def test_a_density_is_zero_outside_its_panels() -> None:
    curve = _normal_curve(0, 1)
    assert curve.density(np.array([-100.0, 100.0])).tolist() == [0.0, 0.0]
    assert curve.cdf(np.array([-100.0, 100.0])) == pytest.approx([0.0, 1.0], abs=1e-15)


def test_a_point_says_its_value_five_times_with_no_spread() -> None:
    summary = Point(0.3).summary(0.95, "eti")
    numbers = [summary.mean, summary.sd, summary.median, summary.lower, summary.upper]
    assert numbers == [0.3, 0.0, 0.3, 0.3, 0.3]
    assert Point(0.3).cdf(np.array([0.2, 0.3])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("tau", [0.0, 0.05, 0.5, 0.999, 1.001, 3.0, 50.0])
@pytest.mark.parametrize("mu", [-2.0, -0.1, 0.0, 0.4, 3.0])
def test_average_correlations_equal_adaptive_integration(mu: float, tau: float) -> None:
    seen = float(average_correlation(np.array(mu), np.array(tau)))
    truth, _ = quad(
        lambda e: math.tanh(mu + tau * e) * stats.norm.pdf(e),
        -12,
        12,
        points=sorted({-1.0, 0.0, 1.0, float(np.clip(-mu / max(tau, 1e-9), -11, 11))}),
        epsabs=1e-13,
        limit=400,
    )
    assert seen == pytest.approx(truth, abs=1e-10)


def test_the_slope_of_average_correlations_is_their_derivative() -> None:
    mu, tau = np.array([0.2, 0.2, -0.5]), np.array([0.1, 2.0, 0.7])
    step = 1e-5
    difference = average_correlation(mu + step, tau) - average_correlation(mu - step, tau)
    assert average_correlation_slope(mu, tau) == pytest.approx(difference / (2 * step), abs=1e-8)


def test_i2_at_metafor_s_tau2_is_metafor_s_i2() -> None:
    # metafor 5.0.1, rma(yi, vi, method="EE") on dat.molloy2014: vt, the typical variance.
    assert typical_variance(problem(molloy())) == pytest.approx(0.00502765963339873, rel=1e-12)


@given(st.floats(0, 5), st.floats(1e-4, 1))
def test_i2_and_its_inverse_undo_each_other(tau: float, s2: float) -> None:
    percent = i2(np.array(tau**2), s2)
    assert 0 <= float(percent) <= 100
    # Near 100% a change of tau hardly shows.
    assert float(i2_inverse(percent, s2)) == pytest.approx(tau, rel=1e-6, abs=1e-9)


@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=20))
def test_an_inverse_is_right_whatever_it_was_asked_before(shares: list[float]) -> None:
    inverse = inverse_of(lambda x: float(ndtr(x)), -18.0, 18.0)
    found = [inverse(share) for share in (*shares, *shares)]
    # Found to 1e-15 of the share, which is 2e-10 of its place where the density is 5e-6.
    assert found == pytest.approx([float(ndtri(share)) for share in (*shares, *shares)], abs=1e-9)


def test_an_inverse_begins_where_it_has_been() -> None:
    seen: list[float] = []

    def cdf(x: float) -> float:
        seen.append(x)
        return float(ndtr(x))

    inverse = inverse_of(cdf, -18.0, 18.0)
    inverse(0.3)
    first = len(seen)
    inverse(0.3 + 1e-7)
    assert len(seen) - first < first / 2
