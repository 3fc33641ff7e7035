"""Independent draws from priors, one table row a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from metarho.spec.priors import Prior

type Array = NDArray[np.float64]
type Draw = Callable[[np.random.Generator, Mapping[str, float], int], Array]

SAMPLERS: Mapping[str, Draw] = {
    "Normal": lambda g, a, n: g.normal(a["mu"], a["sigma"], n),
    "StudentT": lambda g, a, n: a["mu"] + a["sigma"] * g.standard_t(a["nu"], n),
    "Cauchy": lambda g, a, n: a["alpha"] + a["beta"] * g.standard_cauchy(n),
    "Uniform": lambda g, a, n: g.uniform(a["lower"], a["upper"], n),
    "HalfNormal": lambda g, a, n: np.abs(g.normal(0, a["sigma"], n)),
    "HalfStudentT": lambda g, a, n: np.abs(a["sigma"] * g.standard_t(a["nu"], n)),
    "HalfCauchy": lambda g, a, n: np.abs(a["beta"] * g.standard_cauchy(n)),
    "Exponential": lambda g, a, n: g.exponential(1 / a["lam"], n),
    "Gamma": lambda g, a, n: g.gamma(a["alpha"], 1 / a["beta"], n),
    "InverseGamma": lambda g, a, n: 1 / g.gamma(a["alpha"], 1 / a["beta"], n),
    "LogNormal": lambda g, a, n: g.lognormal(a["mu"], a["sigma"], n),
    "Beta": lambda g, a, n: g.beta(a["alpha"], a["beta"], n),
    "DiracDelta": lambda g, a, n: np.full(n, a["c"]),
}
"""Every proper family of spec."""


def draw_prior(prior: Prior, rng: np.random.Generator, count: int) -> Array | None:
    """``count`` draws; None for an improper prior."""
    if not prior.proper:
        return None
    return SAMPLERS[prior.family](rng, prior.values, count)
