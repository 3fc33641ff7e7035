"""The log likelihood of each study given hyperparameters, jointly over its rows.

True effects and the deviations of all levels are integrated out: what leaving a study out needs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from metarho.data.missing import Imputation
from metarho.engines.nuts.layout import group_levels
from metarho.engines.problem import Problem, problem_without
from metarho.posterior.effects import covariance_of_errors
from metarho.posterior.hyperparameters import (
    Hyperparameters,
    bias_of_rows,
    mean_of_rows,
    tau2_of_rows,
)
from metarho.posterior.rows import log_likelihood_of_rows

type Array = NDArray[np.float64]
type Index = NDArray[np.intp]

_LOG_2PI = float(np.log(2 * np.pi))
# Trapezoidal rule over a deviation: steps of half the sd of a normal integrand leave nothing, and
# 1e-12 where selection bends it.
_STEP, _REACH = 0.5, 9.0
# Draws that share a rule.
_BLOCK = 250


def log_jacobian(problem: Problem) -> Array:
    """What turns each study's log density into one of z = atanh(r): Σ log(1 − r²) for COR, else 0.

    In this unit correlation models can be compared, whatever scale they were fitted on.
    """
    evidence = problem.evidence
    by_study = np.zeros(len(evidence.study_names))
    np.add.at(by_study, evidence.study, log_jacobian_of_rows(problem))
    return by_study


def log_jacobian_of_rows(problem: Problem) -> Array:
    """The same for each row: log(1 − r²) for COR, else 0."""
    y = problem.evidence.y
    return np.log1p(-(y**2)) if problem.measure == "COR" else np.zeros(len(y))


def no_study_likelihood(problem: Problem) -> str | None:
    """Why studies have no likelihood of their own; None when they have."""
    evidence = problem.evidence
    if problem.reporting is not None:
        return "studies are not independent given the hyperparameters under informative reporting"
    if problem.imputation is not None and problem.imputation.numbers:
        unknown = " and ".join(problem.imputation.numbers)
        return f"the log likelihood of studies with an unknown {unknown} is not computed"
    levels = group_levels(problem)
    for level in levels:
        index, names = evidence.groups(level)
        for group, name in enumerate(names):
            if np.ptp(evidence.study[index == group]):
                return (
                    f"effects of several studies share {level} {name}: studies are not independent "
                    "given the hyperparameters, and have no log likelihood of their own"
                )
    if len(levels) > 1 and evidence.is_interval.any():
        return (
            "the log likelihood of studies with intervals on more than two levels is not computed"
        )
    if levels and problem.model.measurement == "true-score":
        return "the log likelihood of studies of true scores with groups is not computed"
    if levels and problem.model.likelihood == "exact-r":
        return (
            "the log likelihood of studies under exact-r with more than one level is not computed"
        )
    if len(levels) > 1 and not problem.is_gaussian:
        return "the log likelihood of studies is computed for two levels where rows are not normal"
    return None


def study_log_likelihood(problem: Problem, given: Hyperparameters) -> Array:
    """Log p(all rows of a study | hyperparameters): (N, studies).

    Raises ValueError where ``no_study_likelihood`` gives a reason.
    """
    reason = no_study_likelihood(problem)
    if reason:
        raise ValueError(reason)
    if problem.imputation is not None:
        return _over_candidates(problem, problem.imputation, given)
    return _of_studies(problem, given)


def _over_candidates(problem: Problem, imputation: Imputation, given: Hyperparameters) -> Array:
    """The same where moderators are unknown: averaged over what they could be.

    A block lies within a study, and blocks of different studies are independent: the rows of
    all studies stand at a candidate each, and only the studies that have one are averaged.
    """
    study_of = [int(problem.evidence.study[block.rows[0]]) for block in imputation.blocks]
    found = _of_studies(problem, given)
    for study in sorted({*study_of}):
        blocks = [b for b, of in zip(imputation.blocks, study_of, strict=True) if of == study]
        rows = problem.evidence.study == study
        inside = problem_without(problem, ~rows)
        terms = []
        for choice in product(*(range(block.candidates) for block in blocks)):
            imputed: dict[str, Array] = {}
            log_chance = 0.0
            for block, candidate in zip(blocks, choice, strict=True):
                log_chance += float(imputation.log_chances(block)[candidate])
                at = np.full(given.count, candidate)
                place = np.cumsum(rows) - 1
                imputed |= {str(place[int(row)]): x for row, x in block.rows_at(at, []).items()}
            terms.append(log_chance + _of_studies(inside, replace(given, imputed=imputed))[:, 0])
        found[:, study] = logsumexp(terms, axis=0)
    return found


def _of_studies(problem: Problem, given: Hyperparameters) -> Array:
    """Log p(all rows of a study | hyperparameters and moderators): (N, studies)."""
    evidence = problem.evidence
    mean = mean_of_rows(problem, given) + bias_of_rows(problem, given)
    levels = [level for level in group_levels(problem) if np.any(given.tau2[level] > 0)]
    if not levels and not evidence.correlated:
        by_study = evidence.study[:, None] == np.arange(len(evidence.study_names))
        return np.asarray(log_likelihood_of_rows(problem, given, mean) @ by_study)
    columns = []
    for study in range(len(evidence.study_names)):
        rows = np.flatnonzero(evidence.study == study)
        if problem.is_gaussian and not evidence.is_interval[rows].any():
            columns.append(_log_normal(problem, given, rows, mean[:, rows]))
        elif levels:
            index = evidence.groups(levels[0])[0]
            groups = [rows[index[rows] == group] for group in np.unique(index[rows])]
            parts = [_over_deviation(problem, given, one, mean, levels[0]) for one in groups]
            columns.append(sum(parts[1:], parts[0]))
        else:
            # Only errors tie rows here, and never those of intervals.
            words = rows[evidence.is_interval[rows]]
            numbers = rows[~evidence.is_interval[rows]]
            alone = log_likelihood_of_rows(problem, given, mean)[:, words].sum(axis=1)
            columns.append(alone + _log_normal(problem, given, numbers, mean[:, numbers]))
    return np.stack(columns, axis=1)


def _log_normal(problem: Problem, given: Hyperparameters, rows: Index, mean: Array) -> Array:
    """Log N(y; mean, V) of a study's numbers: (N)."""
    evidence = problem.evidence
    residual = evidence.y[rows] - mean
    d = tau2_of_rows(problem, given)[:, rows]
    levels = group_levels(problem)
    tied = any(np.isin(group.rows, rows).any() for group in evidence.correlated)
    one_group = [level for level in levels if not np.ptp(evidence.groups(level)[0][rows])]
    if not tied and len(one_group) == len(levels):
        shared = sum((given.tau2[level] for level in levels), np.zeros(given.count))
        return _log_normal_shared(residual, d + evidence.v[rows], shared)
    inside = evidence.only(np.isin(np.arange(evidence.k), rows))
    total = covariance_of_errors(inside) + d[:, :, None] * np.eye(len(rows))
    for level in levels:
        index = evidence.groups(level)[0][rows]
        total = total + given.tau2[level][:, None, None] * (index[:, None] == index)
    square = (residual * np.linalg.solve(total, residual[:, :, None])[:, :, 0]).sum(axis=1)
    return np.asarray(-0.5 * (square + np.linalg.slogdet(total)[1] + len(rows) * _LOG_2PI))


def _log_normal_shared(residual: Array, d: Array, tau2: Array) -> Array:
    """Log N(residual; 0, diag(d) + tau2·11ᵀ) for each draw."""
    s, r = (1 / d).sum(axis=1), (residual / d).sum(axis=1)
    inside = (np.log(d) + _LOG_2PI + residual**2 / d).sum(axis=1)
    between = np.log1p(tau2 * s) - tau2 * r**2 / (1 + tau2 * s)
    return np.asarray(-0.5 * (inside + between))


def _over_deviation(
    problem: Problem, given: Hyperparameters, rows: Index, mean: Array, level: str
) -> Array:
    """The likelihood of a group's rows integrated over its deviation: (N).

    Draws whose integrand is about as narrow share a trapezoidal rule.
    """
    inside = problem_without(problem, ~np.isin(np.arange(problem.evidence.k), rows))
    tau2 = given.tau2[level]
    v = problem.evidence.v_mean[rows]
    curvature = (1 / (v + tau2_of_rows(problem, given)[:, rows])).sum(axis=1)
    width = 1 / np.sqrt(1 + tau2 * curvature)
    found = np.empty(given.count)
    order = np.argsort(width)
    for start in range(0, given.count, _BLOCK):
        block = order[start : start + _BLOCK]
        step = _STEP * float(width[block].min())
        nodes = np.arange(-np.ceil(_REACH / step), np.ceil(_REACH / step) + 1) * step
        here = _repeated(given, block, len(nodes))
        centre = (
            mean[np.ix_(block, rows)][:, None] + (np.sqrt(tau2[block])[:, None] * nodes)[:, :, None]
        )
        flat = centre.reshape(-1, len(rows))
        at_nodes = log_likelihood_of_rows(inside, here, flat).sum(axis=1)
        weights = -0.5 * (nodes**2 + _LOG_2PI) + np.log(step)
        found[block] = logsumexp(at_nodes.reshape(len(block), -1) + weights, axis=1)
    return found


def _repeated(given: Hyperparameters, draws: Index, times: int) -> Hyperparameters:
    """Some draws, each repeated."""
    return Hyperparameters(
        np.repeat(given.coefficients[draws], times, axis=0),
        {name: np.repeat(values[draws], times) for name, values in given.tau2.items()},
        {},
        {name: np.repeat(values[draws], times) for name, values in given.others.items()},
    )
