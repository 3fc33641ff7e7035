"""True effects given hyperparameters: conditional draws, and each study's likelihood.

Both engines integrate true effects out; here they come back. With u the deviation of a study and
e that of an effect, theta = x'β + u + e, y ~ Normal(theta, v), and an interval row says that its
y lies within its ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp, ndtri_exp

from metarho.engines import law_of_r
from metarho.engines.exact.likelihood import log_interval
from metarho.engines.exact.peaks import peaks
from metarho.engines.exact.selection import limits, log_bands, log_selection, log_weights
from metarho.engines.nuts.layout import lay_out
from metarho.engines.problem import Evidence, Problem
from metarho.posterior import exact_r_effects, student_effects
from metarho.spec.model import Step, StepSelection

type Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
# Trapezoidal rule for a study's deviation, in its own sd; smooth integrands need no more.
_STEP = 0.125
_NODES = np.arange(-72, 73) * _STEP
_LOG_WEIGHTS = -0.5 * (_NODES**2 + _LOG_2PI) + np.log(_STEP)


@dataclass(frozen=True)
class Hyperparameters:
    """N joint draws: coefficients (N, p), variances on the two levels (N), kept deviations."""

    coefficients: Array
    tau2_study: Array
    tau2_effect: Array
    deviation: Array | None
    """(N, mixed studies) in units of the study sd; None where no study keeps one."""
    shapes: Mapping[str, Array] = field(default_factory=dict)
    """Parameter of the law of effects or of selection -> (N)."""


def draw_effects(problem: Problem, given: Hyperparameters, rng: np.random.Generator) -> Array:
    """Theta of every row given each draw of the hyperparameters: (N, k)."""
    if problem.model.likelihood == "exact-r":
        mean, tau = given.coefficients[:, 0], np.sqrt(given.tau2_effect)
        return exact_r_effects.draw(problem.evidence, mean, tau, rng)
    evidence, layout = problem.evidence, lay_out(problem)
    mean = given.coefficients @ problem.design.matrix.T
    tau2_study, tau2_effect = given.tau2_study[:, None], given.tau2_effect[:, None]
    if problem.model.effects == "student-t":
        tau, nu = np.sqrt(given.tau2_effect), given.shapes["nu"]
        tau2_effect = student_effects.draw_variances(evidence, mean[:, 0], tau, nu, rng)
    kept = layout.place >= 0
    u = np.zeros((len(mean), len(evidence.study_names)))
    if given.deviation is not None:
        u[:, layout.mixed] = np.sqrt(tau2_study) * given.deviation
    # y where it is known only to lie in an interval; whole-study noise where u is not yet drawn.
    d = evidence.v + tau2_effect
    y = np.broadcast_to(np.where(evidence.is_interval, 0.0, evidence.y), mean.shape).copy()
    rows = np.flatnonzero(evidence.is_interval)
    centre = mean + u[:, evidence.study]
    sd = np.sqrt(d + np.where(kept, 0.0, 1.0) * tau2_study)
    if len(rows):
        y[:, rows] = _truncated_normal(
            centre[:, rows], sd[:, rows], evidence.lower[rows], evidence.upper[rows], rng
        )
    # Deviations that were integrated out: normal given the study's y.
    first = np.unique(evidence.study, return_index=True)[1]  # rows are sorted by study
    s = np.add.reduceat(np.broadcast_to(1 / d, mean.shape), first, axis=1)
    r = np.add.reduceat((y - mean) / d, first, axis=1)
    factor = tau2_study / (1 + tau2_study * s)
    drawn = factor * r + np.sqrt(factor) * rng.standard_normal(u.shape)
    keeps = np.zeros(len(evidence.study_names), dtype=bool)
    keeps[layout.mixed] = True
    u = np.where(keeps, u, drawn)
    centre = mean + u[:, evidence.study]
    shrink = tau2_effect / d
    noise = rng.standard_normal(mean.shape)
    theta = centre + shrink * (y - centre) + np.sqrt(shrink * evidence.v) * noise
    for study in {int(evidence.study[group.rows[0]]) for group in evidence.correlated}:
        inside = np.flatnonzero(evidence.study == study)
        theta[:, inside] = _draw_correlated(problem, inside, mean[:, inside], given, rng)
    return np.asarray(theta)


def draw_errors(evidence: Evidence, count: int, rng: np.random.Generator) -> Array:
    """Sampling errors of the rows, (count, k)."""
    errors = np.sqrt(evidence.v) * rng.standard_normal((count, evidence.k))
    for group in evidence.correlated:
        root = np.linalg.cholesky(group.covariance)
        errors[:, group.rows] = rng.standard_normal((count, len(group.rows))) @ root.T
    return errors


def _draw_correlated(
    problem: Problem,
    rows: NDArray[np.intp],
    mean: Array,
    given: Hyperparameters,
    rng: np.random.Generator,
) -> Array:
    """Theta of one study's rows, (N, rows), where sampling errors correlate.

    A draw of theta and y from the model is moved by the regression of theta on y to the y seen:
    theta + T(T + C)⁻¹(y_seen − y), with T the covariance of theta and C that of the errors.
    """
    evidence = problem.evidence.only(np.isin(np.arange(problem.evidence.k), rows))
    count, k = mean.shape
    study, effect = given.tau2_study[:, None], given.tau2_effect[:, None]
    theta = mean + np.sqrt(study) * rng.standard_normal((count, 1))
    theta = theta + np.sqrt(effect) * rng.standard_normal((count, k))
    errors = draw_errors(evidence, count, rng)
    t = study[:, :, None] + effect[:, :, None] * np.eye(k)
    total = t + covariance_of_errors(evidence)
    gap = evidence.y - theta - errors
    return np.asarray(theta + (t @ np.linalg.solve(total, gap[:, :, None]))[:, :, 0])


def covariance_of_errors(evidence: Evidence) -> Array:
    """The sampling covariance of all rows (k, k): for few rows."""
    covariance = np.diag(evidence.v)
    for group in evidence.correlated:
        covariance[np.ix_(group.rows, group.rows)] = group.covariance
    return covariance


def draw_deviations(
    problem: Problem,
    mean: Array,
    tau2_study: Array,
    tau2_effect: Array,
    rng: np.random.Generator,
) -> Array | None:
    """Deviations of the mixed studies given their rows, in units of the study sd: (N, mixed).

    ``mean`` (N) is that of all studies (models with intervals here have no moderators). None where
    no study keeps a deviation. The density of a deviation is log-concave and curved at least as a
    standard normal one, which around its mode is therefore an envelope to reject from.
    """
    mixed = lay_out(problem).mixed
    if not len(mixed):
        return None
    sd_study = np.sqrt(np.maximum(tau2_study, np.finfo(float).tiny))
    sd = np.sqrt(problem.evidence.v + tau2_effect[:, None])
    columns = [_draw_deviation(problem, study, mean, sd_study, sd, rng) for study in mixed]
    return np.stack(columns, axis=1)


def _draw_deviation(
    problem: Problem,
    study: int,
    mean: Array,
    sd_study: Array,
    sd: Array,
    rng: np.random.Generator,
) -> Array:
    """Draws of one study's deviation, (N), by rejection from a normal law around its mode."""
    rows = np.flatnonzero(problem.evidence.study == study)
    everyone = np.arange(len(mean))

    def log_density(eps: Array, at: NDArray[np.intp]) -> Array:
        centre = (mean[at] + sd_study[at] * eps)[:, None]
        centre = np.broadcast_to(centre, (len(at), len(rows)))
        return -0.5 * eps**2 + _rows(problem, rows, centre, sd[np.ix_(at, rows)]).sum(axis=1)

    low, high = _reach(problem, rows, mean, sd_study, sd[:, rows])
    # To rounding, from a stretch of any length.
    mode = peaks(lambda eps: log_density(eps, everyone), low, high, 120)
    top = log_density(mode, everyone)
    result = np.empty(len(mean))
    left = everyone
    while len(left):
        noise = rng.standard_normal(len(left))
        eps = mode[left] + noise
        log_ratio = log_density(eps, left) - top[left] + 0.5 * noise**2
        taken = np.log(rng.uniform(size=len(left))) < log_ratio
        result[left[taken]] = eps[taken]
        left = left[~taken]
    return result


def _reach(
    problem: Problem, rows: NDArray[np.intp], mean: Array, sd_study: Array, sd: Array
) -> tuple[Array, Array]:
    """Ends between which the mode of a study's deviation lies, in units of the study sd."""
    evidence = problem.evidence
    marks = np.concatenate([evidence.y[rows], evidence.lower[rows], evidence.upper[rows]])
    marks = marks[np.isfinite(marks)]
    margin = 10 * sd.max(axis=1)
    low = np.minimum(mean, marks.min()) - margin
    high = np.maximum(mean, marks.max()) + margin
    return (low - mean) / sd_study, (high - mean) / sd_study


def log_jacobian(problem: Problem) -> Array:
    """What turns each study's log density into one of z = atanh(r): Σ log(1 − r²) for COR, else 0.

    In this unit correlation models can be compared, whatever scale they were fitted on.
    """
    evidence = problem.evidence
    by_study = np.zeros(len(evidence.study_names))
    if problem.measure == "COR":
        np.add.at(by_study, evidence.study, np.log1p(-(evidence.y**2)))
    return by_study


def study_log_likelihood(problem: Problem, given: Hyperparameters) -> Array:
    """Log p(all rows of a study | hyperparameters), true effects integrated out: (N, studies)."""
    evidence = problem.evidence
    if not problem.is_gaussian:
        # Of two levels all: given the hyperparameters, the rows of a study are independent.
        by_study = evidence.study[:, None] == np.arange(len(evidence.study_names))
        return np.asarray(_row_log_likelihood(problem, given) @ by_study)
    mean = given.coefficients @ problem.design.matrix.T
    result = np.empty((len(mean), len(evidence.study_names)))
    sd = np.sqrt(evidence.v + given.tau2_effect[:, None])
    for study in range(len(evidence.study_names)):
        rows = np.flatnonzero(evidence.study == study)
        correlated = any(evidence.study[group.rows[0]] == study for group in evidence.correlated)
        if correlated:
            inside = evidence.only(evidence.study == study)
            t = given.tau2_effect[:, None, None] * np.eye(len(rows))
            total = t + given.tau2_study[:, None, None] + covariance_of_errors(inside)
            gap = evidence.y[rows] - mean[:, rows]
            square = (gap * np.linalg.solve(total, gap[:, :, None])[:, :, 0]).sum(axis=1)
            log_det = np.linalg.slogdet(total)[1]
            result[:, study] = -0.5 * (square + log_det + len(rows) * _LOG_2PI)
        elif not np.any(given.tau2_study > 0):
            result[:, study] = _rows(problem, rows, mean[:, rows], sd[:, rows]).sum(axis=1)
        elif len(rows) == 1:
            total = np.sqrt(sd[:, rows] ** 2 + given.tau2_study[:, None])
            result[:, study] = _rows(problem, rows, mean[:, rows], total)[:, 0]
        elif not evidence.is_interval[rows].any():
            result[:, study] = _joint_normal(
                evidence.y[rows] - mean[:, rows], sd[:, rows] ** 2, given.tau2_study
            )
        else:
            shifted = mean[:, None, rows] + (
                np.sqrt(given.tau2_study)[:, None, None] * _NODES[None, :, None]
            )
            at_nodes = _rows(problem, rows, shifted, sd[:, None, rows]).sum(axis=2)
            result[:, study] = logsumexp(at_nodes + _LOG_WEIGHTS, axis=1)
    return result


def _row_log_likelihood(problem: Problem, given: Hyperparameters) -> Array:
    """Log p(row | hyperparameters) of every row where rows or effects are not normal: (N, k)."""
    mean, tau = given.coefficients[:, 0], np.sqrt(given.tau2_effect)
    if problem.model.likelihood == "exact-r":
        return exact_r_effects.log_likelihood(problem.evidence, mean, tau)
    if problem.model.effects == "student-t":
        return student_effects.log_likelihood(problem.evidence, mean, tau, given.shapes["nu"])
    selection = problem.model.selection
    assert isinstance(selection, StepSelection)
    rows = np.arange(problem.evidence.k)
    sd = np.sqrt(problem.evidence.v + given.tau2_effect[:, None])
    plain = _rows(problem, rows, np.broadcast_to(mean[:, None], sd.shape), sd)
    return plain + log_selection(
        problem.evidence, selection.step, mean, given.tau2_effect, given.shapes.get("omega")
    )


def replicate(
    problem: Problem, given: Hyperparameters, theta: Array, rng: np.random.Generator
) -> Array:
    """What rows with the true effects theta (N, k) would print, on the model's scale.

    Under selection: what would be reported of them.
    """
    if isinstance(problem.model.selection, StepSelection):
        return _replicate_selected(problem, problem.model.selection.step, given, theta, rng)
    if problem.model.likelihood == "exact-r":
        return law_of_r.sample(theta, problem.evidence.sizes, rng)
    return theta + draw_errors(problem.evidence, len(theta), rng)


def _replicate_selected(
    problem: Problem, step: Step, given: Hyperparameters, theta: Array, rng: np.random.Generator
) -> Array:
    """Band by its chance of being reported, then y within the band."""
    evidence = problem.evidence
    weights = log_weights(step, given.shapes.get("omega"), len(theta))
    limit = limits(step, evidence.v)
    found = np.empty(theta.shape)
    for row in range(evidence.k):
        sd = np.full(len(theta), np.sqrt(evidence.v[row]))
        log_mass = log_bands(limit[row], theta[:, row], sd) + weights
        mass = np.exp(log_mass - log_mass.max(axis=1, keepdims=True)).cumsum(axis=1)
        band = (mass < rng.uniform(size=(len(theta), 1)) * mass[:, -1:]).sum(axis=1)
        ends = np.concatenate([[np.inf], limit[row], [-np.inf]])
        for each in np.unique(band):
            here = band == each
            lower, upper = np.full(here.sum(), ends[each + 1]), np.full(here.sum(), ends[each])
            found[here, row] = _truncated_normal(theta[here, row], sd[here], lower, upper, rng)
    return found


def _rows(problem: Problem, rows: NDArray[np.intp], mean: Array, sd: Array) -> Array:
    """Log p(row) for rows that are independent given mean and sd (..., rows)."""
    evidence = problem.evidence
    mean, sd = np.broadcast_arrays(mean, sd)
    result = np.empty(mean.shape)
    for position, row in enumerate(rows):
        m, s = mean[..., position], sd[..., position]
        if evidence.is_interval[row]:
            result[..., position] = log_interval(
                (evidence.lower[row] - m) / s, (evidence.upper[row] - m) / s
            )
        else:
            scaled = (evidence.y[row] - m) / s
            result[..., position] = -0.5 * (scaled**2 + _LOG_2PI) - np.log(s)
    return result


def _joint_normal(residual: Array, d: Array, tau2_study: Array) -> Array:
    """Log N(residual; 0, diag(d) + tau2_study·11ᵀ) for each draw."""
    s, r = (1 / d).sum(axis=1), (residual / d).sum(axis=1)
    inside = (np.log(d) + _LOG_2PI + residual**2 / d).sum(axis=1)
    between = np.log1p(tau2_study * s) - tau2_study * r**2 / (1 + tau2_study * s)
    return np.asarray(-0.5 * (inside + between))


def _truncated_normal(
    mean: Array, sd: Array, lower: Array, upper: Array, rng: np.random.Generator
) -> Array:
    """Draws of Normal(mean, sd) within (lower, upper), by inversion in the smaller tail."""
    a, b = (lower - mean) / sd, (upper - mean) / sd
    flip = a + b > 0
    low, high = np.where(flip, -b, a), np.where(flip, -a, b)
    # After the flip only the lower end can be open.
    mass = log_ndtr(high)
    bounded = np.isfinite(low)
    mass[bounded] = log_interval(low[bounded], high[bounded])
    log_p = np.logaddexp(log_ndtr(low), np.log(rng.uniform(size=a.shape)) + mass)
    x = ndtri_exp(np.minimum(log_p, 0.0))
    return np.asarray(np.clip(mean + sd * np.where(flip, -x, x), lower, upper))
