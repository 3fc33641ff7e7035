"""Stacking: weights of fits whose mixture predicts left-out studies best.

max over w of Σ_i log Σ_m w_m p(study i | all others, fit m), w on the simplex (Yao, Vehtari,
Simpson, Gelman 2018, 10.1214/17-BA1091). The interval of a weight is that of a Bayesian bootstrap
over studies: with few of them weights are hardly known, and it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.compare.scores import incomparable, study_densities
from metarho.posterior.fit import Fit

type Array = NDArray[np.float64]

# Each draw is an optimisation of its own; the ends are known to a tenth of the interval.
BOOTSTRAP_DRAWS = 400
NOTHING = 1e-9


@dataclass(frozen=True)
class Stacked:
    """The weight of a fit among those it is comparable with, and its bootstrap interval."""

    weight: float
    lower: float
    upper: float


def stacking(fits: Sequence[Fit], prob: float, seed: int) -> list[Stacked | None]:
    """The weight of each fit; None where sampled, or where a study's density does not exist."""
    found: list[Stacked | None] = [None] * len(fits)
    densities = [study_densities(fit) for fit in fits]
    left = [index for index, own in enumerate(densities) if own is not None]
    while left:
        group = [index for index in left if incomparable(fits[left[0]], fits[index]) is None]
        left = [index for index in left if index not in group]
        table = np.column_stack([own for index in group if (own := densities[index]) is not None])
        studies = len(table)
        weights = stacking_weights(table, np.ones(studies))
        rng = np.random.default_rng(seed)
        draws = rng.dirichlet(np.ones(studies), BOOTSTRAP_DRAWS) * studies
        spread = np.array([stacking_weights(table, draw) for draw in draws])
        lower, upper = np.quantile(spread, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        for place, index in enumerate(group):
            found[index] = Stacked(float(weights[place]), float(lower[place]), float(upper[place]))
    return found


def stacking_weights(log_density: Array, study_weights: Array) -> Array:
    """The weights (M) of log predictive densities (studies, M), studies weighted."""
    from scipy.optimize import minimize

    count = log_density.shape[1]
    if count == 1:
        return np.ones(1)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    # At the optimum the gradient is 1 where a weight is positive, and below elsewhere.
    scale = study_weights / study_weights.sum()

    def loss(w: Array) -> tuple[float, Array]:
        mixture = density @ w
        return -float(scale @ np.log(mixture)), -(density.T @ (scale / mixture))

    result = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-13, "maxiter": 500},
    )
    # What is left of a weight of 0 is rounding.
    weights = np.where(result.x < NOTHING, 0.0, result.x)
    return np.asarray(weights / weights.sum())
