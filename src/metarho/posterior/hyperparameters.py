"""Joint draws of the hyperparameters, and what each row of the evidence is under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metarho.engines.nuts.layout import integrated_level, lay_out
from metarho.engines.problem import Problem

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hyperparameters:
    """N joint draws, of one problem.

    ``coefficients`` (N, p) of the mean; ``tau2`` by level (N); ``deviations`` by level (N, groups)
    in units of the level's sd, of groups that keep theirs (``engines/nuts/layout.py``); ``others``
    by name (N): the parameters of the law of effects, of selection and of the slopes of log tau.
    ``imputed`` (N, p) by their number: rows of the design that have unknown moderators. ``latent``
    (N, k) by name: reliabilities in models of true scores, and theta where it was sampled.
    """

    coefficients: Array
    tau2: Mapping[str, Array]
    deviations: Mapping[str, Array] = field(default_factory=dict)
    others: Mapping[str, Array] = field(default_factory=dict)
    imputed: Mapping[str, Array] = field(default_factory=dict)
    latent: Mapping[str, Array] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """N."""
        return len(self.coefficients)


def mean_of_rows(problem: Problem, given: Hyperparameters) -> Array:
    """The mean of true effects at each row's moderators: (N, k)."""
    mean = np.asarray(given.coefficients @ problem.design.matrix.T)
    for row, design in given.imputed.items():
        mean[:, int(row)] = (given.coefficients * design).sum(axis=1)
    return mean


def bias_of_rows(problem: Problem, given: Hyperparameters) -> Array:
    """What small studies show on top of their true effects, pet·se or peese·v: (N, k)."""
    v = problem.evidence.v
    match problem.model.selection:
        case "pet":
            return np.outer(given.others["pet"], np.sqrt(v))
        case "peese":
            return np.outer(given.others["peese"], v)
    return np.zeros((given.count, len(v)))


def tau2_of_rows(problem: Problem, given: Hyperparameters) -> Array:
    """tau² of each row's own effect, 0 where the model has no such level: (N, k)."""
    k = problem.evidence.k
    if "effect" not in given.tau2:
        return np.zeros((given.count, k))
    factor = np.ones((given.count, k))
    if problem.scale_slopes:
        slopes = np.stack([given.others[name] for name in problem.scale_slopes], axis=-1)
        factor = np.exp(2 * slopes @ problem.scale_design.matrix[:, 1:].T)
    return np.asarray(given.tau2["effect"][:, None] * factor)


def kept_of_rows(problem: Problem, given: Hyperparameters) -> Array:
    """The deviations of each row's groups that are not integrated out: (N, k)."""
    total = np.zeros((given.count, problem.evidence.k))
    for level, kept in lay_out(problem).items():
        if level in given.deviations:
            deviation = np.sqrt(given.tau2[level])[:, None] * given.deviations[level]
            total += kept.rows * deviation[:, np.maximum(kept.place, 0)]
    return total


def tau2_integrated(problem: Problem, given: Hyperparameters) -> Array:
    """tau² of the level whose deviations are integrated out, 0 where none is: (N)."""
    level = integrated_level(problem)
    return np.zeros(given.count) if level is None else given.tau2[level]
