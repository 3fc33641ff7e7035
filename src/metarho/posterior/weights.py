"""How much each row counts in the mean: its inverse variance, averaged over heterogeneity.

The posterior means of the weights given heterogeneity, as bayesmeta has them (Röver & Friede 2021,
10.1080/19466315.2021.1970190 uses them so); with flat priors and known heterogeneity metafor's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metarho.engines.problem import Evidence, Problem
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit

type Array = NDArray[np.float64]

# Values of heterogeneity at once: those of a thousand rows are then 8 MB.
_BLOCK = 1000


def no_weights(problem: Problem) -> str | None:
    """Why rows have no weights; None where they have."""
    model = problem.model
    if model.custom is not None:
        return "what rows count in a custom model is not known"
    if not problem.is_gaussian and model.likelihood != "exact-r":
        return "rows count by more than their variance where effects or errors are not normal"
    if not set(model.levels) <= {"study", "effect"} or "+" in model.random or problem.scale_slopes:
        return f"weights are of levels study and effect, with one sd each, not {model.random}"
    if problem.evidence.is_interval.all():
        return "no row printed a number"
    return None


def weights(fit: Fit) -> Array:
    """Each row's share in the weighted mean, (k), with sum 1 over rows that printed a number.

    Given heterogeneity the weights are the row sums of V⁻¹, V = sampling + tau_effect² I +
    tau_study² 11ᵀ within a study (1/(vi + tau²) with one row a study), as shares of their sum; they
    are averaged over the posterior of heterogeneity. NaN in interval rows, whose pull depends on
    the mean itself. Priors of the mean and moderators are left out of it. First ask
    ``no_weights``.
    """
    problem = fit.problem
    study, effect, mass = _heterogeneity(fit)
    total = np.zeros(problem.evidence.k)
    for start in range(0, len(mass), _BLOCK):
        block = slice(start, start + _BLOCK)
        given = _row_sums(problem.evidence, study[block], effect[block])
        total += mass[block] @ (given / given.sum(axis=1, keepdims=True))
    return np.where(problem.evidence.is_interval, np.nan, total / mass.sum())


def sampling_covariance(evidence: Evidence, rows: NDArray[np.intp]) -> Array:
    """The covariance of the sampling errors of some rows of one study."""
    covariance = np.diag(evidence.v[rows])
    place = {int(row): index for index, row in enumerate(rows)}
    for group in evidence.correlated:
        kept = [index for index, row in enumerate(group.rows) if int(row) in place]
        here = [place[int(group.rows[index])] for index in kept]
        if kept:
            covariance[np.ix_(here, here)] = group.covariance[np.ix_(kept, kept)]
    return covariance


def _heterogeneity(fit: Fit) -> tuple[Array, Array, Array]:
    """tau_study², tau_effect² and the mass of each of their values."""
    if isinstance(fit.posterior, Exact):
        values, mass = fit.posterior.quadrature.values, fit.posterior.quadrature.node_mass
        variances = fit.problem.level_variances(values)
    else:
        # Loaded here: exact fits do without ArviZ.
        from metarho.posterior.sampled import Sampled

        assert isinstance(fit.posterior, Sampled)
        drawn = fit.posterior.level_variances
        variances = {level: values.ravel() for level, values in drawn.items()}
        count = max((len(v) for v in variances.values()), default=1)
        mass = np.full(count, 1 / count)
    none = np.zeros(len(mass))
    return variances.get("study", none), variances.get("effect", none), mass


def _row_sums(evidence: Evidence, study: Array, effect: Array) -> Array:
    """Row sums of V⁻¹ over rows that printed a number, 0 in the others: (N, k)."""
    number = ~evidence.is_interval
    own = number / (evidence.v + effect[:, None])
    by_study = np.zeros((len(evidence.study_names), len(effect)))
    np.add.at(by_study, evidence.study, own.T)
    found = own / (1 + study[:, None] * by_study.T[:, evidence.study])
    for name in sorted({int(evidence.study[group.rows[0]]) for group in evidence.correlated}):
        rows = np.flatnonzero((evidence.study == name) & number)
        if len(rows):
            errors = sampling_covariance(evidence, rows)
            between = effect[:, None, None] * np.eye(len(rows)) + study[:, None, None]
            ones = np.ones((len(effect), len(rows), 1))
            found[:, rows] = np.linalg.solve(errors + between, ones)[:, :, 0]
    return np.asarray(found)
