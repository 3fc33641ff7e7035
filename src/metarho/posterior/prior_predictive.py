"""New studies like the rows, from draws of the parameters: of the priors before any data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from metarho.data.missing import draw_rows
from metarho.engines.measurement import draw_reliabilities
from metarho.engines.nuts.layout import group_levels
from metarho.engines.problem import Problem
from metarho.posterior.effects import draw_reported, replicate
from metarho.posterior.hyperparameters import Hyperparameters, mean_of_rows, tau2_of_rows
from metarho.spec.model import StepSelection

type Array = NDArray[np.float64]


def draw_prior_predictive(
    problem: Problem, values: Mapping[str, Array], rng: np.random.Generator
) -> Array:
    """A number a row, on the model's scale, from N draws of all parameters: (N, k).

    Under step selection what would be reported, effects and errors drawn anew until it is.
    """
    coefficients = np.stack([values[name] for name in problem.coefficients], axis=-1)
    others = {name: values[name] for name in (*problem.scale_slopes, *problem.shapes)}
    imputed: dict[str, Array] = {}
    if problem.imputation is not None:
        imputed = draw_rows(problem.imputation, len(coefficients), rng)
    latent: dict[str, Array] = {}
    if problem.model.measurement == "true-score":
        latent = draw_reliabilities(problem, len(coefficients), rng)
    tau2 = problem.level_variances(values)
    given = Hyperparameters(coefficients, tau2, {}, others, imputed, latent)
    return draw_new_rows(problem, given, rng)


def draw_new_rows(problem: Problem, given: Hyperparameters, rng: np.random.Generator) -> Array:
    """What new studies that are like the rows would print as numbers, under selection too: (N, k).

    One test of a row that sums up several.
    """
    if isinstance(problem.model.selection, StepSelection):
        return draw_reported(problem, given, _new_centre(problem, given, rng), rng)
    return replicate(problem, given, draw_new_effects(problem, given, rng), rng)


def draw_new_effects(problem: Problem, given: Hyperparameters, rng: np.random.Generator) -> Array:
    """True effects of new studies that are like the rows, before selection: (N, k).

    Groups of all levels are new, and so are the effects; moderators, v and n are the rows' own.
    """
    return _new_centre(problem, given, rng) + _own(problem, given, rng)


def _new_centre(problem: Problem, given: Hyperparameters, rng: np.random.Generator) -> Array:
    """The mean of each row with the deviations of new groups: (N, k)."""
    centre = mean_of_rows(problem, given)
    for level in group_levels(problem):
        index, names = problem.evidence.groups(level)
        noise = rng.standard_normal((given.count, len(names)))
        centre = centre + (np.sqrt(given.tau2[level])[:, None] * noise)[:, index]
    return centre


def _own(problem: Problem, given: Hyperparameters, rng: np.random.Generator) -> Array:
    """What effects differ from their centre by on their own."""
    sd = np.sqrt(tau2_of_rows(problem, given))
    if problem.model.effects == "student-t":
        return np.asarray(sd * rng.standard_t(given.others["nu"][:, None], sd.shape))
    if problem.model.effects == "mixture":
        outlying = rng.uniform(size=sd.shape) < given.others["weight"][:, None]
        sd = np.hypot(sd, outlying * given.others["tau_outlier"][:, None])
    return np.asarray(sd * rng.standard_normal(sd.shape))
