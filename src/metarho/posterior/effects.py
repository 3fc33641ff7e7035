"""True effects given hyperparameters, and what rows with them would print.

Both engines integrate true effects out; here they come back. With u the deviations of a row's
groups and e its own, theta = x'β + u + e, y ~ Normal(theta + bias, v), and an interval row says
that its y lies within its ends.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

from metarho.engines import law_of_r
from metarho.engines.exact.intervals import log_interval, log_several
from metarho.engines.exact.peaks import peaks
from metarho.engines.exact.selection import stretch_ends
from metarho.engines.nuts.layout import integrated_level, lay_out
from metarho.engines.problem import Evidence, Problem
from metarho.errors import InputError
from metarho.posterior import exact_r_effects, student_effects
from metarho.posterior.hyperparameters import (
    Hyperparameters,
    bias_of_rows,
    kept_of_rows,
    mean_of_rows,
    tau2_integrated,
    tau2_of_rows,
)
from metarho.posterior.rows import (
    by_part,
    log_row,
    log_stretch_weights,
    observed_of_rows,
    part_probabilities,
    parts_of_effects,
)
from metarho.spec.model import Step, StepSelection

type Array = NDArray[np.float64]
type Index = NDArray[np.intp]


def draw_effects(problem: Problem, given: Hyperparameters, rng: np.random.Generator) -> Array:
    """Theta of every row given each draw of the hyperparameters: (N, k)."""
    evidence = problem.evidence
    if problem.reporting is not None:
        raise InputError("true effects under informative reporting are not drawn")
    if "theta" in given.latent:
        return given.latent["theta"]
    centre = mean_of_rows(problem, given) + kept_of_rows(problem, given)
    if problem.model.likelihood == "exact-r":
        tau = np.sqrt(tau2_of_rows(problem, given))
        return exact_r_effects.draw(evidence, centre, tau, rng)
    tau2_effect = _draw_variances(problem, given, centre, rng)
    y = _draw_y(problem, given, centre, tau2_effect, rng)
    mean = centre
    centre = centre + _draw_integrated(problem, given, y - mean, tau2_effect, rng)
    v = _variance_seen(evidence)
    shrink = tau2_effect / (v + tau2_effect)
    noise = np.sqrt(shrink * v) * rng.standard_normal(mean.shape)
    theta = centre + shrink * (y - centre) + noise
    for inside in _correlated_rows(problem):
        gap = y[:, inside] - mean[:, inside]
        theta[:, inside] = mean[:, inside] + _draw_correlated(problem, inside, gap, given, rng)
    return np.asarray(theta)


def _draw_variances(
    problem: Problem, given: Hyperparameters, centre: Array, rng: np.random.Generator
) -> Array:
    """The variance of each row's own effect: tau², or that of the part that it belongs to."""
    seen = centre + bias_of_rows(problem, given)
    if problem.model.effects == "student-t":
        tau = np.sqrt(tau2_of_rows(problem, given))
        return student_effects.draw_variances(problem.evidence, seen, tau, given.others["nu"], rng)
    parts = parts_of_effects(problem, given)
    if len(parts) == 1:
        return parts[0].variance
    outlier = rng.uniform(size=centre.shape) < part_probabilities(problem, given, seen)[1]
    return np.where(outlier, parts[1].variance, parts[0].variance)


def outlier_probabilities(problem: Problem, given: Hyperparameters) -> Array:
    """P(the row's effect is of the wide part of a mixture | row, draw): (N, k)."""
    centre = mean_of_rows(problem, given) + kept_of_rows(problem, given)
    chances = part_probabilities(problem, given, centre + bias_of_rows(problem, given))
    return np.asarray(chances[1])


def _draw_y(
    problem: Problem,
    given: Hyperparameters,
    centre: Array,
    tau2_effect: Array,
    rng: np.random.Generator,
) -> Array:
    """What each row would have printed, less the bias: drawn where it is known as an interval.

    Of a row that sums up several tests it is what they share, the effect with the shared error.
    """
    evidence, bias = problem.evidence, bias_of_rows(problem, given)
    y = np.broadcast_to(np.where(evidence.is_interval, 0.0, evidence.y), centre.shape) - bias
    alone = np.zeros(evidence.k)
    level = integrated_level(problem)
    if level is not None:
        alone = 1 - lay_out(problem)[level].rows
    v = _variance_seen(evidence)
    sd = np.sqrt(v + tau2_effect + alone * tau2_integrated(problem, given)[:, None])
    for row in np.flatnonzero(evidence.is_interval):
        ends = evidence.lower[row], evidence.upper[row]
        selection = problem.model.selection
        if evidence.sums_up[row]:
            seen = centre[:, row] + bias[:, row]
            y[:, row] = _draw_shared(evidence, int(row), seen, sd[:, row], rng) - bias[:, row]
        elif isinstance(selection, StepSelection):
            y[:, row] = _draw_in_stretches(
                selection.step,
                given,
                _stretches(evidence, selection.step, int(row), ends),
                centre[:, row],
                sd[:, row],
                rng,
            )
        else:
            seen = centre[:, row] + bias[:, row]
            low, high = (np.full(len(seen), end) for end in ends)
            y[:, row] = _truncated_normal(seen, sd[:, row], low, high, rng) - bias[:, row]
    return y


def _variance_seen(evidence: Evidence) -> Array:
    """The error of what stands for each row: of several tests, the variance that they share."""
    return np.where(evidence.sums_up, evidence.v - evidence.v_own, evidence.v)


def _draw_shared(
    evidence: Evidence, row: int, mean: Array, sd: Array, rng: np.random.Generator
) -> Array:
    """Draws of what the tests of a row share, Normal(mean, sd²) given its word: (N).

    The chance of the word is log-concave in it, so that a normal law around the mode with the same
    sd is an envelope to reject from.
    """
    known, own = evidence.rows[row], math.sqrt(evidence.v_own[row])
    ends = np.array([evidence.lower[row], evidence.upper[row]])

    def log_density(x: Array, at: Index) -> Array:
        low, high = (ends[0] - x) / own, (ends[1] - x) / own
        word = log_several(low, high, known.tests, known.word_means)
        return np.asarray(word - 0.5 * ((x - mean[at]) / sd[at]) ** 2)

    everyone = np.arange(len(mean))
    inner = ends[np.isfinite(ends)]
    low = np.minimum(mean, inner.min() - 10 * own)
    high = np.maximum(mean, inner.max() + 10 * own)
    mode = peaks(lambda x: log_density(x, everyone), low, high, 120)
    top = log_density(mode, everyone)
    found = np.empty(len(mean))
    left = everyone
    while len(left):
        noise = rng.standard_normal(len(left))
        x = mode[left] + sd[left] * noise
        log_ratio = log_density(x, left) - top[left] + 0.5 * noise**2
        taken = np.log(rng.uniform(size=len(left))) < log_ratio
        found[left[taken]] = x[taken]
        left = left[~taken]
    return found


def _draw_integrated(
    problem: Problem,
    given: Hyperparameters,
    gap: Array,
    tau2_effect: Array,
    rng: np.random.Generator,
) -> Array:
    """Deviations that were integrated out, as each row has them: normal given y − mean (N, k)."""
    level = integrated_level(problem)
    if level is None:
        return np.zeros(gap.shape)
    evidence, kept = problem.evidence, lay_out(problem)[level]
    index, names = evidence.groups(level)
    inside = (index[:, None] == np.arange(len(names))).astype(float)
    d = _variance_seen(evidence) + tau2_effect
    s, r = (1 / d) @ inside, (gap / d) @ inside
    tau2 = tau2_integrated(problem, given)[:, None]
    factor = tau2 / (1 + tau2 * s)
    drawn = factor * r + np.sqrt(factor) * rng.standard_normal(r.shape)
    return np.asarray((1 - kept.rows) * drawn[:, index])


def draw_errors(evidence: Evidence, count: int, rng: np.random.Generator) -> Array:
    """Sampling errors of the rows, (count, k)."""
    errors = np.sqrt(evidence.v) * rng.standard_normal((count, evidence.k))
    for group in evidence.correlated:
        root = np.linalg.cholesky(group.covariance)
        errors[:, group.rows] = rng.standard_normal((count, len(group.rows))) @ root.T
    return errors


def _correlated_rows(problem: Problem) -> list[Index]:
    """Rows whose effects are drawn together: groups with correlated errors, and what ties them."""
    evidence, level = problem.evidence, integrated_level(problem)
    if level is None:
        return [group.rows for group in evidence.correlated]
    index, _ = evidence.groups(level)
    tied = sorted({int(index[group.rows[0]]) for group in evidence.correlated})
    return [np.flatnonzero(index == group) for group in tied]


def _draw_correlated(
    problem: Problem, rows: Index, gap: Array, given: Hyperparameters, rng: np.random.Generator
) -> Array:
    """Deviations of rows from their mean, (N, rows), where sampling errors correlate.

    A draw of theta and y from the model is moved by the regression of theta on y to the y seen:
    theta + T(T + C)⁻¹(y_seen − y), with T the covariance of theta and C that of the errors.
    ``gap`` is y_seen less its mean.
    """
    evidence = problem.evidence.only(np.isin(np.arange(problem.evidence.k), rows))
    count, k = gap.shape
    shared = tau2_integrated(problem, given)[:, None]
    effect = tau2_of_rows(problem, given)[:, rows]
    theta = np.sqrt(shared) * rng.standard_normal((count, 1))
    theta = theta + np.sqrt(effect) * rng.standard_normal((count, k))
    errors = draw_errors(evidence, count, rng)
    t = shared[:, :, None] + effect[:, :, None] * np.eye(k)
    total = t + covariance_of_errors(evidence)
    moved = gap - theta - errors
    return np.asarray(theta + (t @ np.linalg.solve(total, moved[:, :, None]))[:, :, 0])


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
    kept = lay_out(problem).get("study")
    if kept is None or not len(kept.groups):
        return None
    sd_study = np.sqrt(np.maximum(tau2_study, np.finfo(float).tiny))
    sd = np.sqrt(problem.evidence.v + tau2_effect[:, None])
    columns = [_draw_deviation(problem, study, mean, sd_study, sd, rng) for study in kept.groups]
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

    def log_density(eps: Array, at: Index) -> Array:
        centre = (mean[at] + sd_study[at] * eps)[:, None]
        centre = np.broadcast_to(centre, (len(at), len(rows)))
        return -0.5 * eps**2 + _log_rows(problem, rows, centre, sd[np.ix_(at, rows)]).sum(axis=1)

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


def _log_rows(problem: Problem, rows: Index, mean: Array, sd: Array) -> Array:
    """Log p(row) of some rows, (N, rows)."""
    columns = [log_row(problem, row, mean[:, at], sd[:, at]) for at, row in enumerate(rows)]
    return np.stack(columns, axis=1)


def _reach(
    problem: Problem, rows: Index, mean: Array, sd_study: Array, sd: Array
) -> tuple[Array, Array]:
    """Ends between which the mode of a study's deviation lies, in units of the study sd."""
    evidence = problem.evidence
    marks = np.concatenate([evidence.y[rows], evidence.lower[rows], evidence.upper[rows]])
    marks = marks[np.isfinite(marks)]
    margin = 10 * sd.max(axis=1)
    low = np.minimum(mean, marks.min()) - margin
    high = np.maximum(mean, marks.max()) + margin
    return (low - mean) / sd_study, (high - mean) / sd_study


def replicate(
    problem: Problem, given: Hyperparameters, theta: Array, rng: np.random.Generator
) -> Array:
    """What rows with the true effects theta (N, k) would print, on the model's scale.

    With the bias of small studies; under selection what would be reported of them.
    """
    if isinstance(problem.model.selection, StepSelection):
        return _replicate_selected(problem, problem.model.selection.step, given, theta, rng)
    if problem.model.likelihood == "exact-r":
        return law_of_r.sample(theta, problem.evidence.sizes, rng)
    if problem.model.measurement == "true-score":
        theta = observed_of_rows(problem, given, theta)
    return theta + bias_of_rows(problem, given) + draw_errors(problem.evidence, len(theta), rng)


def _replicate_selected(
    problem: Problem, step: Step, given: Hyperparameters, theta: Array, rng: np.random.Generator
) -> Array:
    sd = np.broadcast_to(np.sqrt(problem.evidence.v), theta.shape)
    return _draw_reported(problem, step, given, theta, sd, rng)


def draw_reported(
    problem: Problem, given: Hyperparameters, centre: Array, rng: np.random.Generator
) -> Array:
    """What is reported of rows whose effects are drawn around a centre, as often as it takes."""
    selection = problem.model.selection
    assert isinstance(selection, StepSelection)
    parts = parts_of_effects(problem, given)
    chances = np.stack([one for _, one in by_part(problem, given, centre)])
    share = np.exp(chances - chances.max(axis=0)).cumsum(axis=0)
    which = (share < rng.uniform(size=centre.shape) * share[-1]).sum(axis=0)
    variance = np.take_along_axis(np.stack([part.variance for part in parts]), which[None], 0)[0]
    sd = np.sqrt(problem.evidence.v + variance)
    return _draw_reported(problem, selection.step, given, centre, sd, rng)


def _draw_reported(
    problem: Problem,
    step: Step,
    given: Hyperparameters,
    mean: Array,
    sd: Array,
    rng: np.random.Generator,
) -> Array:
    """Draws of reported Normal(mean, sd), row by row: (N, k)."""
    whole = -np.inf, np.inf
    columns = [
        _draw_in_stretches(
            step,
            given,
            _stretches(problem.evidence, step, row, whole),
            mean[:, row],
            sd[:, row],
            rng,
        )
        for row in range(problem.evidence.k)
    ]
    return np.stack(columns, axis=1)


def _stretches(
    evidence: Evidence, step: Step, row: int, ends: tuple[float, float]
) -> tuple[Array, Array]:
    """Lower and upper ends of the stretches of a row's y, as far as they lie between two ends."""
    lower, upper = stretch_ends(step, evidence.v[[row]], evidence.sizes[[row]])
    return np.maximum(lower[0], ends[0]), np.minimum(upper[0], ends[1])


def _draw_in_stretches(
    step: Step,
    given: Hyperparameters,
    stretches: tuple[Array, Array],
    mean: Array,
    sd: Array,
    rng: np.random.Generator,
) -> Array:
    """Draws of a reported Normal(mean, sd): a stretch by its chance, y within it."""
    low, high = stretches
    held = np.flatnonzero(low < high)
    weights = log_stretch_weights(step, given)
    chances = [
        log_interval((low[each] - mean) / sd, (high[each] - mean) / sd) + weights[:, each]
        for each in held
    ]
    log_mass = np.stack(chances, axis=1)
    mass = np.exp(log_mass - log_mass.max(axis=1, keepdims=True)).cumsum(axis=1)
    chosen = held[(mass < rng.uniform(size=(len(mean), 1)) * mass[:, -1:]).sum(axis=1)]
    found = np.empty(len(mean))
    for each in np.unique(chosen):
        here = chosen == each
        ends_here = [np.full(here.sum(), edge[each]) for edge in (low, high)]
        found[here] = _truncated_normal(mean[here], sd[here], ends_here[0], ends_here[1], rng)
    return found


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
