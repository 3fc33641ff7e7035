"""Prior densities for the exact engine, one table row a family.

A row gives the log density on the support, points that a mesh must not miss, and how the
density behaves at its ends: what decides the range of the mesh and which moments exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, xlog1py, xlogy

from metarho.spec.priors import Prior

type Array = NDArray[np.float64]
type Arguments = Mapping[str, float]

_LOG_2PI = math.log(2 * math.pi)

# Multiples of a scale at which the mesh has a break, so that a prior a thousand times narrower
# than the likelihood is still met.
_STEPS = (0.1, 1.0, 3.0, 8.0, 30.0)


@dataclass(frozen=True)
class Density:
    """How the exact engine knows a family. All functions take the prior's arguments."""

    log: Callable[[Array, Arguments], Array]
    landmarks: Callable[[Arguments], Sequence[float]]
    tail: Callable[[Arguments], float] = lambda a: math.inf
    """The density falls like x**-tail; infinite for exponential and lighter tails."""
    at_zero: Callable[[Arguments], float] = lambda a: 1.0
    """The density behaves like x**(at_zero - 1) above its lower end."""


def _around(centre: float, scale: float) -> list[float]:
    return [centre, *(centre + sign * step * scale for step in _STEPS for sign in (-1, 1))]


def _above(scale: float) -> list[float]:
    return [step * scale for step in _STEPS]


def _log_t(x: Array, nu: float, mu: float, sigma: float) -> Array:
    # Γ((nu + 1)/2) / (Γ(nu/2) √π) as a beta function, which keeps its digits for large nu.
    constant = -float(betaln(nu / 2, 0.5)) - 0.5 * math.log(nu)
    return np.asarray(
        constant - math.log(sigma) - (nu + 1) / 2 * np.log1p(((x - mu) / sigma) ** 2 / nu)
    )


def _log_normal(x: Array, mu: float, sigma: float) -> Array:
    return np.asarray(-0.5 * ((x - mu) / sigma) ** 2 - math.log(sigma) - 0.5 * _LOG_2PI)


def _log_lognormal(x: Array, mu: float, sigma: float) -> Array:
    log_x = np.log(x)
    return np.asarray(_log_normal(log_x, mu, sigma) - log_x)


def _log_gamma(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(alpha * math.log(beta) - gammaln(alpha) + xlogy(alpha - 1, x) - beta * x)


def _log_inverse_gamma(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(alpha * math.log(beta) - gammaln(alpha) - (alpha + 1) * np.log(x) - beta / x)


def _log_beta(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(xlogy(alpha - 1, x) + xlog1py(beta - 1, -x) - betaln(alpha, beta))


_LOG2 = math.log(2)

DENSITIES: Mapping[str, Density] = {
    "Normal": Density(
        lambda x, a: _log_normal(x, a["mu"], a["sigma"]),
        lambda a: _around(a["mu"], a["sigma"]),
    ),
    "StudentT": Density(
        lambda x, a: _log_t(x, a["nu"], a["mu"], a["sigma"]),
        lambda a: _around(a["mu"], a["sigma"]),
        tail=lambda a: a["nu"] + 1,
    ),
    "Cauchy": Density(
        lambda x, a: _log_t(x, 1.0, a["alpha"], a["beta"]),
        lambda a: _around(a["alpha"], a["beta"]),
        tail=lambda a: 2.0,
    ),
    "Uniform": Density(
        lambda x, a: np.full(np.shape(x), -math.log(a["upper"] - a["lower"])),
        lambda a: [a["lower"], a["upper"]],
    ),
    "Flat": Density(lambda x, a: np.zeros(np.shape(x)), lambda a: [], tail=lambda a: 0.0),
    "HalfNormal": Density(
        lambda x, a: _LOG2 + _log_normal(x, 0.0, a["sigma"]),
        lambda a: _above(a["sigma"]),
    ),
    "HalfStudentT": Density(
        lambda x, a: _LOG2 + _log_t(x, a["nu"], 0.0, a["sigma"]),
        lambda a: _above(a["sigma"]),
        tail=lambda a: a["nu"] + 1,
    ),
    "HalfCauchy": Density(
        lambda x, a: _LOG2 + _log_t(x, 1.0, 0.0, a["beta"]),
        lambda a: _above(a["beta"]),
        tail=lambda a: 2.0,
    ),
    "Exponential": Density(
        lambda x, a: math.log(a["lam"]) - a["lam"] * x,
        lambda a: _above(1 / a["lam"]),
    ),
    "Gamma": Density(
        lambda x, a: _log_gamma(x, a["alpha"], a["beta"]),
        lambda a: _above(a["alpha"] / a["beta"]),
        at_zero=lambda a: a["alpha"],
    ),
    "InverseGamma": Density(
        lambda x, a: _log_inverse_gamma(x, a["alpha"], a["beta"]),
        lambda a: _above(a["beta"] / (a["alpha"] + 1)),
        tail=lambda a: a["alpha"] + 1,
    ),
    "LogNormal": Density(
        lambda x, a: _log_lognormal(x, a["mu"], a["sigma"]),
        lambda a: [
            math.exp(max(-300.0, min(a["mu"] + sign * step * a["sigma"], 300.0)))
            for step in (0.0, 1.0, 3.0, 8.0)
            for sign in (-1, 1)
        ],
    ),
    "Beta": Density(
        lambda x, a: _log_beta(x, a["alpha"], a["beta"]),
        lambda a: [a["alpha"] / (a["alpha"] + a["beta"])],
        at_zero=lambda a: a["alpha"],
    ),
}
"""Every family of spec but DiracDelta, which is a value and not a density."""


def log_density(prior: Prior, x: Array) -> Array:
    """The log density of a prior at points of its support (Flat: 0)."""
    return DENSITIES[prior.family].log(x, prior.values)


def tail_index(prior: Prior) -> float:
    """How the upper tail falls: x**-index; infinite for light tails and points."""
    return math.inf if prior.is_point else DENSITIES[prior.family].tail(prior.values)


def at_lower_end(prior: Prior) -> float:
    """The density behaves like x**(this - 1) above its lower end."""
    return DENSITIES[prior.family].at_zero(prior.values)
