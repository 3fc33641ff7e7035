"""Independent draws from priors, one table row a family."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.panels import GROWTH, Axis
from metarho.engines.exact.priors import (
    Given,
    harmonic_variance,
    log_density,
    truncated_parts,
    truncated_quantile,
    typical_variance,
)
from metarho.engines.problem import Problem
from metarho.posterior.marginals import Curve
from metarho.spec.priors import PER_BAND, PER_HORSESHOE, Prior

type Array = NDArray[np.float64]
type Draw = Callable[[np.random.Generator, Given, int], Array]


def _lomax(rng: np.random.Generator, alpha: float, scale: float, count: int) -> Array:
    """(1 + x/scale)**-alpha is uniform."""
    return scale * np.expm1(rng.standard_exponential(count) / alpha)


def _shrinkage(rng: np.random.Generator, s2: float, count: int) -> Array:
    """s²/(s² + x²) is uniform."""
    return np.sqrt(s2 * np.expm1(rng.standard_exponential(count)))


def _mixture(rng: np.random.Generator, given: Given, count: int) -> Array:
    weights, normals = zip(*given.components(), strict=True)
    which = _components(rng, np.exp(weights), count)
    mu = np.array([normal["mu"] for normal in normals])
    sigma = np.array([normal["sigma"] for normal in normals])
    return np.asarray(rng.normal(mu[which], sigma[which]))


def _truncated(rng: np.random.Generator, given: Given, count: int) -> Array:
    """By the quantile function of each part."""
    parts = truncated_parts(given.prior)
    which = _components(rng, np.array([weight for weight, _ in parts]), count)
    share = rng.uniform(size=count)
    drawn = np.empty(count)
    for index, (_, part) in enumerate(parts):
        here = which == index
        drawn[here] = truncated_quantile(part, share[here])
    return drawn


def _conventional(rng: np.random.Generator, given: Given, count: int) -> Array:
    """By the quantile function, on panels as far as there is mass that doubles can tell from 0."""
    low, high = 0.5 * math.log(given.v.min()) - 20, 0.5 * math.log(given.v.max()) + 40
    breaks = np.linspace(low, high, math.ceil((high - low) / GROWTH) + 1)
    axis = Axis("log", 0.0, 1.0, breaks)
    density = np.exp(log_density(given.prior, axis.nodes, given.v))
    return Curve(axis, density).quantile(rng.uniform(size=count))


def _components(rng: np.random.Generator, weights: Array, count: int) -> NDArray[np.intp]:
    return rng.choice(len(weights), size=count, p=weights / weights.sum())


SAMPLERS: Mapping[str, Draw] = {
    "Normal": lambda g, a, n: g.normal(a["mu"], a["sigma"], n),
    "StudentT": lambda g, a, n: a["mu"] + a["sigma"] * g.standard_t(a["nu"], n),
    "Cauchy": lambda g, a, n: a["alpha"] + a["beta"] * g.standard_cauchy(n),
    "Uniform": lambda g, a, n: g.uniform(a["lower"], a["upper"], n),
    "HalfNormal": lambda g, a, n: np.abs(g.normal(0, a["sigma"], n)),
    "HalfStudentT": lambda g, a, n: np.abs(a["sigma"] * g.standard_t(a["nu"], n)),
    "HalfCauchy": lambda g, a, n: np.abs(a["beta"] * g.standard_cauchy(n)),
    "Exponential": lambda g, a, n: g.exponential(1 / a["lam"], n),
    "PenalizedComplexity": lambda g, a, n: g.exponential(a["upper"] / -math.log(a["alpha"]), n),
    "Gamma": lambda g, a, n: g.gamma(a["alpha"], 1 / a["beta"], n),
    "InverseGamma": lambda g, a, n: 1 / g.gamma(a["alpha"], 1 / a["beta"], n),
    "LogNormal": lambda g, a, n: g.lognormal(a["mu"], a["sigma"], n),
    "Lomax": lambda g, a, n: _lomax(g, a["alpha"], a["scale"], n),
    "Beta": lambda g, a, n: g.beta(a["alpha"], a["beta"], n),
    "StretchedBeta": lambda g, a, n: 2 * g.beta(a["alpha"], a["beta"], n) - 1,
    "NormalMixture": _mixture,
    "Truncated": _truncated,
    "DiracDelta": lambda g, a, n: np.full(n, a["c"]),
    "DuMouchel": lambda g, a, n: _lomax(g, 1.0, math.sqrt(harmonic_variance(a.v)), n),
    "UniformShrinkage": lambda g, a, n: _shrinkage(g, harmonic_variance(a.v), n),
    "UniformI2": lambda g, a, n: _shrinkage(g, typical_variance(a.v), n),
    "Conventional": _conventional,
}
"""Every proper family of spec."""


def draw_prior(prior: Prior, rng: np.random.Generator, count: int, v: Array) -> Array | None:
    """``count`` draws of the parameter, relative ones in their unit; None for an improper prior.

    ``v`` are the sampling variances of the evidence, which reference priors are made of.
    """
    if not prior.proper:
        return None
    drawn = SAMPLERS[prior.family](rng, Given(prior, v), count)
    if prior.on == "tau2":
        return np.sqrt(drawn)
    if prior.on == "r":
        # Draws of r that round to ±1 stay finite on z, near the farthest that doubles tell apart.
        within = np.nextafter(1.0, 0.0)
        return np.arctanh(np.clip(drawn, -within, within))
    return drawn


def draw_priors(problem: Problem, rng: np.random.Generator, count: int) -> dict[str, Array]:
    """``count`` joint draws of the parameters whose priors are proper."""
    v = problem.evidence.v
    drawn = {name: draw_prior(one.prior, rng, count, v) for name, one in problem.priors.items()}
    found = {name: values for name, values in drawn.items() if values is not None}
    spreads = all(name in found for name in problem.spreads)
    for name, applied in problem.priors.items():
        if not applied.prior.is_relative:
            continue
        if spreads or applied.prior.on in (PER_BAND, PER_HORSESHOE):
            found[name] = found[name] * problem.unit(name, found)
        else:  # in units of heterogeneity that has no prior to draw from
            del found[name]
    return found
