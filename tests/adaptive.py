"""The posterior of a common-effect or random-effects model by SciPy's adaptive integration.

Written apart from the package: textbook densities, nested adaptive quadrature, no closed forms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad_vec

type Density = Callable[[float], float]
type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Exact rows (y, v) and interval rows (lower, upper, v)."""

    exact: Sequence[tuple[float, float]]
    intervals: Sequence[tuple[float, float, float]] = ()

    def log_likelihood(self, mu: float, tau: float) -> float:
        total = 0.0
        for y, v in self.exact:
            variance = v + tau**2
            total -= 0.5 * (math.log(2 * math.pi * variance) + (y - mu) ** 2 / variance)
        for lower, upper, v in self.intervals:
            unit = math.sqrt(2 * (v + tau**2))
            a, b = (lower - mu) / unit, (upper - mu) / unit
            # The difference is taken in the tail where both terms are small.
            mass = math.erfc(a) - math.erfc(b) if a + b > 0 else math.erfc(-b) - math.erfc(-a)
            total += math.log(mass / 2) if mass > 0 else -math.inf
        return total


@dataclass(frozen=True)
class Answer:
    """What the integration found."""

    log_evidence: float
    mean_mu: float
    sd_mu: float
    mean_tau: float
    sd_tau: float


def integrate(
    rows: Rows,
    log_prior_mu: Density,
    mu_points: Sequence[float],
    log_prior_tau: Density | None,
    tau_points: Sequence[float],
) -> Answer:
    """Integrate over mu (and tau, unless it has no prior and is 0) between the given points.

    The points cut the ranges where the integrand is narrow; the ends are the ends of the ranges.
    """
    shift = max(
        rows.log_likelihood(mu, tau)
        for mu in np.linspace(mu_points[0], mu_points[-1], 41)
        for tau in (np.linspace(tau_points[0], tau_points[-1], 21) if log_prior_tau else [0.0])
    )

    def over_mu(tau: float) -> Array:
        def integrand(mu: float) -> Array:
            density = math.exp(rows.log_likelihood(mu, tau) - shift + log_prior_mu(mu))
            return density * np.array([1.0, mu, mu**2])

        return _integral(integrand, mu_points)

    def over_both(tau: float) -> Array:
        assert log_prior_tau is not None
        inner = math.exp(log_prior_tau(tau)) * over_mu(tau)
        return np.concatenate([inner, inner[0] * np.array([tau, tau**2])])

    if log_prior_tau is None:
        found = np.concatenate([over_mu(0.0), [0.0, 0.0]])
    else:
        found = _integral(over_both, tau_points)
    mean_mu, square_mu, mean_tau, square_tau = found[1:] / found[0]
    return Answer(
        math.log(found[0]) + shift,
        float(mean_mu),
        math.sqrt(square_mu - mean_mu**2),
        float(mean_tau),
        math.sqrt(max(0.0, square_tau - mean_tau**2)),
    )


def _integral(function: Callable[[float], Array], points: Sequence[float]) -> Array:
    value, _ = quad_vec(
        function, points[0], points[-1], points=points[1:-1], epsabs=1e-13, epsrel=1e-11
    )
    return np.asarray(value)


def cdf_of_new_effect(
    x: float,
    rows: Rows,
    log_prior_mu: Density,
    mu_points: Sequence[float],
    log_prior_tau: Density,
    tau_points: Sequence[float],
) -> float:
    """P(theta_new <= x) with theta_new ~ Normal(mu, tau²)."""
    shift = max(
        rows.log_likelihood(mu, tau)
        for mu in np.linspace(mu_points[0], mu_points[-1], 41)
        for tau in np.linspace(tau_points[0], tau_points[-1], 21)
    )

    def over_mu(tau: float) -> Array:
        def integrand(mu: float) -> Array:
            density = math.exp(
                rows.log_likelihood(mu, tau) - shift + log_prior_mu(mu) + log_prior_tau(tau)
            )
            below = 0.5 * math.erfc((mu - x) / (tau * math.sqrt(2)))
            return density * np.array([1.0, below])

        # The noise of a new effect turns at x, over a distance of tau.
        turns = [x + k * tau for k in (-8, -2, 0, 2, 8)]
        inside = [point for point in turns if mu_points[0] < point < mu_points[-1]]
        return _integral(integrand, sorted({*mu_points, *inside}))

    mass, below = _integral(over_mu, tau_points)
    return float(below / mass)
