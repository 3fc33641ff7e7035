"""Quantities of two levels, where their laws are known in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from cases import problem, written
from metarho.engines import exact
from metarho.engines.exact.panels import Axis
from metarho.posterior.exact import Exact
from metarho.posterior.levels import (
    Surface,
    level_i2,
    level_sd,
    mirrored,
    share_of_i2,
    total_of,
)

SIGMA = 0.3
X = np.array([0.001, 0.05, 0.2, 0.37, 0.8, 1.5])


def _axis() -> Axis:
    return Axis("sinh", 0.0, SIGMA, np.linspace(0, math.asinh(10), 9))


def _normals() -> Surface:
    axis = _axis()
    mass = stats.halfnorm.pdf(axis.nodes, scale=SIGMA) * axis.weights
    return total_of(axis, axis, np.outer(mass, mass), math.inf)


# Roots and inverse roots at the ends of a stretch leave 1e-10 of a cdf, 1e-7 of a density.
def test_the_total_of_two_half_normal_sds_is_a_rayleigh() -> None:
    total, truth = _normals(), stats.rayleigh(scale=SIGMA)
    assert total.cdf(X) == pytest.approx(truth.cdf(X), abs=1e-9)
    assert total.density(X) == pytest.approx(truth.pdf(X), rel=1e-6)
    summary = total.summary(0.95, "eti")
    ends = truth.ppf([0.5, 0.025, 0.975])
    assert [summary.median, summary.lower, summary.upper] == pytest.approx(ends, abs=1e-9)
    # The root of a sum of squares has a corner at 0, which a rule of nodes meets only roughly.
    assert summary.mean == pytest.approx(truth.mean(), rel=1e-6)


def test_axes_that_reach_far_beyond_the_mass_do_not_move_its_quantiles() -> None:
    axis = Axis("sinh", 0.0, SIGMA, np.linspace(0, math.asinh(1e17), 80))
    mass = stats.halfnorm.pdf(axis.nodes, scale=SIGMA) * axis.weights
    total = total_of(axis, axis, np.outer(mass, mass), math.inf)
    shares = np.array([0.025, 0.5, 0.975])
    truth = stats.rayleigh(scale=SIGMA).ppf(shares)
    assert total.quantile(shares) == pytest.approx(truth, abs=1e-9)


@pytest.mark.parametrize("turned", [False, True])
def test_a_rayleigh_total_with_an_arcsine_share_has_half_normal_parts(turned: bool) -> None:
    tau = _axis()
    share = Axis("arc", 0.0, 1.0, np.linspace(0, math.pi / 2, 4))
    # The density in the angle is constant where that in the share is that of Beta(1/2, 1/2).
    of_share = share.weights / share.slope(share.u) * 2 / math.pi
    mass = np.outer(of_share, stats.rayleigh.pdf(tau.nodes, scale=SIGMA) * tau.weights)
    part = (
        level_sd(mirrored(share), tau, mass[::-1], 9.0)
        if turned
        else level_sd(share, tau, mass, 9.0)
    )
    truth = stats.halfnorm(scale=SIGMA)
    assert part.cdf(X) == pytest.approx(truth.cdf(X), abs=1e-9)
    assert part.density(X) == pytest.approx(truth.pdf(X), rel=1e-8)
    summary = part.summary(0.95, "eti")
    assert summary.mean == pytest.approx(truth.mean(), rel=1e-9)
    assert summary.median == pytest.approx(truth.median(), abs=1e-10)


@pytest.mark.parametrize("total", [False, True])
def test_the_i2_of_a_level_has_the_law_that_quad_finds(total: bool) -> None:
    s2, percent = 0.05, np.array([0.01, 5.0, 30.0, 80.0, 97.0])
    tau = _axis()
    of_tau = stats.halfnorm.pdf(tau.nodes, scale=SIGMA) * tau.weights
    if total:
        share = Axis("arc", 0.0, 1.0, np.linspace(0, math.pi / 2, 4))
        surface = share_of_i2(share, tau, np.outer(share.weights, of_tau), s2)

        def below(q: float, part: float) -> float:
            odd = q / 100 * s2 / (part - q / 100) if part > q / 100 else math.inf
            return float(stats.halfnorm.cdf(math.sqrt(odd), scale=SIGMA))

        truth = [
            quad(lambda part, q=q: below(q, part), 0, 1, points=[q / 100], epsabs=1e-12)[0]
            for q in percent
        ]
    else:
        surface = level_i2(tau, tau, np.outer(of_tau, of_tau), s2)

        def under(q: float, rest: float) -> float:
            root = math.sqrt(q / (100 - q) * (rest**2 + s2))
            return float(stats.halfnorm.cdf(root, scale=SIGMA))

        truth = [
            quad(
                lambda x, q=q: under(q, x) * stats.halfnorm.pdf(x, scale=SIGMA), 0, 3, epsabs=1e-12
            )[0]
            for q in percent
        ]
    assert surface.cdf(percent) == pytest.approx(truth, abs=1e-9)
    step = 1e-4
    slope = (surface.cdf(percent + step) - surface.cdf(percent - step)) / (2 * step)
    assert surface.density(percent) == pytest.approx(slope, rel=1e-4)


def test_level_sds_of_a_heavy_total_lack_the_moments_that_the_total_lacks(tmp_path: Path) -> None:
    rows = [{"yi": 0.1, "vi": 0.01}]
    vague = {"tau": "HalfCauchy(beta=1)", "share": "DiracDelta(c=0.25)"}
    total = problem(written(tmp_path, rows), "three-level", **vague)
    seen = Exact(total, exact.integrate(total)).parameters["tau_study"].summary(0.95, "eti")
    assert seen.mean is not None and seen.sd is None
    fixed = {"tau_study": "HalfCauchy(beta=1)", "tau_effect": "DiracDelta(c=0.1)"}
    known = problem(written(tmp_path, rows), "three-level", **fixed)
    seen = Exact(known, exact.integrate(known)).tau.summary(0.95, "eti")
    assert seen.mean is not None and seen.sd is None
