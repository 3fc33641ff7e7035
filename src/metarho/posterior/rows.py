"""Single rows given the centre of their true effect: likelihood, parts of the effect's law.

True effects are normal around the centre, Student-t or a mixture; rows that the model selects are
those that were reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from metarho.engines.exact.intervals import log_interval, log_several_shared
from metarho.engines.exact.selection import stretch_ends
from metarho.engines.measurement import known_artefacts, observed_z
from metarho.engines.problem import Problem
from metarho.posterior import exact_r_effects, student_effects
from metarho.posterior.hyperparameters import Hyperparameters, tau2_of_rows
from metarho.spec.model import Step, StepSelection

type Array = NDArray[np.float64]

# Over 9 sds of effects either way: 120 nodes tell apart what is a tenth as wide.
_PLACES, _WEIGHTS = np.polynomial.legendre.leggauss(120)
_NODES = 9.0 * _PLACES
_LOG_WEIGHTS = np.log(9.0 * _WEIGHTS) - 0.5 * (_NODES**2 + np.log(2 * np.pi))
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Part:
    """A part of the law of true effects: the log of its weight (N), its variance (N, k)."""

    log_weight: Array
    variance: Array


def parts_of_effects(problem: Problem, given: Hyperparameters) -> list[Part]:
    """The law of true effects as normal parts; of Student-t effects there is no such list."""
    tau2 = tau2_of_rows(problem, given)
    if problem.model.effects != "mixture":
        return [Part(np.zeros(given.count), tau2)]
    weight, outlier = given.others["weight"], given.others["tau_outlier"]
    with np.errstate(divide="ignore"):
        logs = np.log1p(-weight), np.log(weight)
    return [Part(logs[0], tau2), Part(logs[1], tau2 + outlier[:, None] ** 2)]


def log_likelihood_of_rows(problem: Problem, given: Hyperparameters, centre: Array) -> Array:
    """Log p(row | the centre of its effect), the effect integrated out: (N, k).

    ``centre`` (N, k) is of what is observed: small-study bias included.
    """
    evidence = problem.evidence
    tau = np.sqrt(tau2_of_rows(problem, given))
    if problem.model.likelihood == "exact-r":
        return exact_r_effects.log_likelihood(evidence, centre, tau)
    if problem.model.measurement == "true-score":
        return _log_observed_scores(problem, given, centre, tau)
    if problem.model.effects == "student-t":
        return student_effects.log_likelihood(evidence, centre, tau, given.others["nu"])
    seen, reported = zip(*by_part(problem, given, centre), strict=True)
    return np.asarray(logsumexp(seen, axis=0) - logsumexp(reported, axis=0))


def observed_of_rows(problem: Problem, given: Hyperparameters, theta: Array) -> Array:
    """Fisher's z of observed scores at true effects of true scores: (N, k)."""
    ux = known_artefacts(problem)["ux"]
    return observed_z(theta, given.latent["rxx"], given.latent["ryy"], ux)


def _log_observed_scores(
    problem: Problem, given: Hyperparameters, centre: Array, tau: Array
) -> Array:
    """Log ∫ p(row | observed_z(theta)) N(theta; centre, tau²) dtheta, by Gauss's rule: (N, k)."""
    sd = np.sqrt(problem.evidence.v)
    terms = []
    for node, weight in zip(_NODES, _LOG_WEIGHTS, strict=True):
        z = observed_of_rows(problem, given, centre + tau * node)
        rows = [log_row(problem, row, z[:, row], sd[row]) for row in range(z.shape[1])]
        terms.append(weight + np.stack(rows, axis=1))
    return np.asarray(logsumexp(terms, axis=0))


def by_part(problem: Problem, given: Hyperparameters, centre: Array) -> list[tuple[Array, Array]]:
    """For each part of the law of effects the log of its weight times p(row) and P(reported)."""
    selection = problem.model.selection
    found = []
    for part in parts_of_effects(problem, given):
        sd = np.sqrt(problem.evidence.v + part.variance)
        weight = part.log_weight[:, None]
        if isinstance(selection, StepSelection):
            found.append(
                (
                    weight + _log_seen(problem, selection.step, given, centre, sd),
                    weight + _log_reported(problem, selection.step, given, centre, sd),
                )
            )
        else:
            seen = np.stack(
                [
                    log_row(problem, row, centre[:, row], sd[:, row])
                    for row in range(centre.shape[1])
                ],
                axis=1,
            )
            found.append((weight + seen, np.broadcast_to(weight, seen.shape)))
    return found


def part_probabilities(problem: Problem, given: Hyperparameters, centre: Array) -> Array:
    """P(part | row) of every part of the law of effects: (parts, N, k)."""
    seen = np.stack([one for one, _ in by_part(problem, given, centre)])
    return np.asarray(np.exp(seen - logsumexp(seen, axis=0)))


def log_row(problem: Problem, row: int, mean: Array, sd: Array) -> Array:
    """Log p(row) under Normal(mean, sd²): a number's density, an interval's probability."""
    evidence = problem.evidence
    if evidence.sums_up[row]:
        ends, known = (float(evidence.lower[row]), float(evidence.upper[row])), evidence.rows[row]
        own = float(evidence.v_own[row])
        return log_several_shared(ends, mean, own, sd**2 - own, known.tests, known.word_means)
    if evidence.is_interval[row]:
        return log_interval((evidence.lower[row] - mean) / sd, (evidence.upper[row] - mean) / sd)
    return np.asarray(-0.5 * (((evidence.y[row] - mean) / sd) ** 2 + _LOG_2PI) - np.log(sd))


def log_stretch_weights(step: Step, given: Hyperparameters) -> Array:
    """Log weights of the stretches of y, each its band's: (N, stretches)."""
    if step.weights is not None:
        by_band = np.tile(np.log([1.0, *step.weights]), (given.count, 1))
    else:
        with np.errstate(divide="ignore"):
            logs = [np.log(given.others[name]) for name in step.omegas]
        by_band = np.column_stack([np.zeros(given.count), *logs])
    return by_band[:, list(step.band_of)]


def _log_seen(
    problem: Problem, step: Step, given: Hyperparameters, centre: Array, sd: Array
) -> Array:
    """Log Σ over stretches of weight times p(row and in the stretch): (N, k)."""
    evidence = problem.evidence
    weights = log_stretch_weights(step, given)
    lower, upper = stretch_ends(step, evidence.v, evidence.sizes)
    found = np.empty(centre.shape)
    for row in range(evidence.k):
        mean, spread = centre[:, row], sd[:, row]
        if evidence.is_interval[row]:
            low = np.maximum(lower[row], evidence.lower[row])
            high = np.minimum(upper[row], evidence.upper[row])
            found[:, row] = _log_mass(low, high, mean, spread, weights)
        else:
            (stretch,) = np.flatnonzero(
                (evidence.y[row] >= lower[row]) & (evidence.y[row] < upper[row])
            )
            found[:, row] = log_row(problem, row, mean, spread) + weights[:, stretch]
    return found


def _log_reported(
    problem: Problem, step: Step, given: Hyperparameters, centre: Array, sd: Array
) -> Array:
    """Log of the chance that a row like each was reported: (N, k)."""
    weights = log_stretch_weights(step, given)
    lower, upper = stretch_ends(step, problem.evidence.v, problem.evidence.sizes)
    columns = [
        _log_mass(lower[row], upper[row], centre[:, row], sd[:, row], weights)
        for row in range(problem.evidence.k)
    ]
    return np.stack(columns, axis=1)


def _log_mass(lower: Array, upper: Array, mean: Array, sd: Array, weights: Array) -> Array:
    """Log Σ over stretches that have a width of weight times P(lower < y < upper): (N)."""
    held = np.flatnonzero(lower < upper)
    chances = [
        log_interval((lower[each] - mean) / sd, (upper[each] - mean) / sd) + weights[:, each]
        for each in held
    ]
    return np.asarray(logsumexp(chances, axis=0))
