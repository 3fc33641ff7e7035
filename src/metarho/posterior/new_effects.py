"""New true effects given draws of the hyperparameters: their noise, and their mean correlation.

A new study brings a new deviation on every level and a new effect of its own, of the model's law
and, where log tau has moderators, of the tau at the new study's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from metarho.engines.problem import Problem
from metarho.posterior.average import average_correlation
from metarho.posterior.student_effects import average_correlation_given

type Array = NDArray[np.float64]
type Values = Mapping[str, Array]


def variances(problem: Problem, values: Values, scale: Array) -> tuple[Array, Array]:
    """Variance between groups, of all levels, and tau² of single effects at a row of the scale."""
    by_level = problem.level_variances(values)
    zero = np.zeros(np.shape(values["mu"]))
    effect = by_level.pop("effect", zero)
    for place, name in enumerate(problem.scale_slopes):
        effect = effect * np.exp(2 * values[name] * scale[1 + place])
    return np.asarray(sum(by_level.values(), zero)), np.asarray(effect)


def draw_noise(
    problem: Problem,
    values: Values,
    scale: Array,
    extra_variance: float,
    rng: np.random.Generator,
) -> Array:
    """What a new effect differs from its mean by, with noise of a given variance besides."""
    between, effect = variances(problem, values, scale)
    normal = rng.standard_normal(effect.shape)
    if problem.model.effects == "student-t":
        own = np.sqrt(effect) * rng.standard_t(values["nu"])
        return np.asarray(np.sqrt(between + extra_variance) * normal + own)
    if problem.model.effects == "mixture":
        is_outlier = rng.uniform(size=effect.shape) < values["weight"]
        effect = effect + np.where(is_outlier, values["tau_outlier"] ** 2, 0.0)
    return np.asarray(np.sqrt(between + effect + extra_variance) * normal)


def mean_correlation(problem: Problem, values: Values, scale: Array, mean: Array) -> Array:
    """E tanh(a new true effect) around a mean, draw by draw."""
    between, effect = variances(problem, values, scale)
    if problem.model.effects == "student-t":
        return average_correlation_given(mean, between, effect, values["nu"])
    plain = average_correlation(mean, np.sqrt(between + effect))
    if problem.model.effects != "mixture":
        return plain
    outlying = average_correlation(mean, np.sqrt(between + effect + values["tau_outlier"] ** 2))
    return np.asarray((1 - values["weight"]) * plain + values["weight"] * outlying)


def total_variance(problem: Problem, values: Values, scale: Array) -> Array:
    """Variance of new true effects (Student-t effects: infinite where nu <= 2)."""
    between, effect = variances(problem, values, scale)
    match problem.model.effects:
        case "student-t":
            nu = values["nu"]
            factor = np.where(nu > 2, nu / np.maximum(nu - 2, 1e-300), np.inf)
            return np.asarray(between + np.where(effect > 0, factor, 0.0) * effect)
        case "mixture":
            return np.asarray(between + effect + values["weight"] * values["tau_outlier"] ** 2)
    return between + effect
