"""What the rest of the evidence says of rows that are left out, without refitting.

The posterior without rows S has, at the nodes of the whole, the density

    prior × p(rows but S | nodes),

so the same panels integrate it, unless it is wider or sharper than the whole posterior: then it
is integrated anew. The predictive density of the rows is a ratio of two integrals,

    log p(S | the rest) = log ∫ prior × p(all rows) − log ∫ prior × p(rows but S),

with priors that depend on the rows' standard errors as they are without S in both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from metarho.engines.exact.axes import COMPONENT, Hard, hard_parameters, is_conjugate
from metarho.engines.exact.likelihood import (
    Sums,
    estimate,
    gaussian_sums,
    given_last,
    sums_by_part,
)
from metarho.engines.exact.panels import Axis, along, moved, smooth_panels
from metarho.engines.exact.quadrature import (
    Quadrature,
    conditional_on,
    flat_values,
    log_likelihood_at,
    log_prior_at,
    rule_for,
    solve,
    table_at,
    tables_at,
    variances_at,
)
from metarho.engines.exact.weight_panels import selection_of
from metarho.engines.problem import Evidence, Problem, improper, misplaced, problem_without

type Array = NDArray[np.float64]
type Rows = NDArray[np.bool_]

# Beyond this error the whole posterior's panels do not do for a left-out one.
LARGEST_ERROR = 1e-9
# Nodes that hold less than this together are left out of a predictive law.
LEAST_SHARE = 1e-11
# Gauss nodes of mu are as many as leave this of a normal law, and must agree with it to that.
_SMALL, _MOST_GAUSS_NODES, LEAST_DIFFERENCE = 1e-12, 20, 1e-10
# More nodes of heterogeneity than this are moved to few, on panels in which the law of a row, with
# its sampling error, is a polynomial to 1e-14.
_MANY_NODES, _WIDTH = 1000, 0.5
# Numbers held at once while going through nodes in blocks.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Predictive:
    """The law of each of R exact rows' y: normals with ``mean`` and ``sd`` (R, N), by ``mass`` (N).

    Given a node, a row is normal with its own sampling variance and all heterogeneity. A mass may
    be below 0 (``panels.moved``).
    """

    mass: Array
    mean: Array
    sd: Array

    def cdf(self, row: int, y: Array) -> Array:
        """Probability of at most y for one of the rows."""
        return np.asarray(ndtr((y[:, None] - self.mean[row]) / self.sd[row]) @ self.mass)


@dataclass(frozen=True)
class LeftOut:
    """What the rest of the evidence says of some rows.

    ``log_density`` is log p(rows | the rest), jointly, on the scale of the model's effect size
    (interval rows: of their probability); ``error`` bounds it and the mass that panels miss.
    None, with the ``reason``, where the rest has no proper posterior. ``refitted`` says that the
    panels of the whole posterior did not do.
    """

    rows: NDArray[np.intp]
    log_density: float | None
    error: float | None
    refitted: bool
    reason: str | None
    predictive: Predictive | None


def studies_out(problem: Problem, whole: Quadrature) -> Iterator[LeftOut]:
    """Every study left out with all its rows, in order; with the predictive law of its rows.

    Rows whose law given a node is not normal have none (exact-r, Student-t, selection).
    """
    study = problem.evidence.study
    subsets = [study == index for index in range(len(problem.evidence.study_names))]
    model = problem.model
    normal = (model.likelihood, model.effects, model.selection) == ("normal", "normal", "none")
    return left_out(problem, whole, subsets, predictive=normal)


def effects_out(problem: Problem, whole: Quadrature, rows: NDArray[np.intp]) -> Iterator[LeftOut]:
    """Each of some rows left out alone, its siblings kept, in order."""
    subsets = [np.arange(problem.evidence.k) == row for row in rows]
    return left_out(problem, whole, subsets, predictive=False)


def left_out(
    problem: Problem, whole: Quadrature, subsets: Sequence[Rows], *, predictive: bool
) -> Iterator[LeftOut]:
    """The rows of each subset left out. A subset is a whole study, or one row."""
    rests = [problem_without(problem, rows) for rows in subsets]
    reasons = [_unanswerable(rest) for rest in rests]
    possible = [index for index, reason in enumerate(reasons) if reason is None]
    chosen = [(subsets[index], rests[index]) for index in possible]
    answers = iter(_reweighted(problem, whole, chosen, predictive=predictive) if chosen else ())
    for rows, reason in zip(subsets, reasons, strict=True):
        if reason is None:
            yield next(answers)
        else:
            yield LeftOut(np.flatnonzero(rows), None, None, False, reason, None)


def _unanswerable(rest: Problem) -> str | None:
    """Why there is no posterior without the rows; None when there is one."""
    if rest.evidence.k == 0:
        return "no other rows are left"
    if rest.reporting is not None:
        return "studies are not independent given the parameters under informative reporting"
    return misplaced(rest) or improper(rest)


@dataclass(frozen=True)
class _Tables:
    """Log likelihoods at N nodes of the rest of each of S subsets, (S, N).

    Where the mean is conjugate, ``mean`` and ``variance`` (k, N) are those of each row's xᵀβ
    given the node and the rows of the other subsets; the subsets do not overlap.
    """

    of_rest: Array
    mean: Array | None
    variance: Array | None


def _reweighted(
    problem: Problem,
    whole: Quadrature,
    chosen: Sequence[tuple[Rows, Problem]],
    *,
    predictive: bool,
) -> Iterator[LeftOut]:
    hard = hard_parameters(problem)
    fine = list(whole.axes.values())
    coarse = [axis.with_order(rule_for(fine).check) for axis in fine]
    rests = [rest for _, rest in chosen]
    grids = [_grid(problem, hard, axes, rests) for axes in (coarse, fine)]
    # A node of mu more is a table more: with the mean on panels, some subsets at a time.
    nodes = math.prod(len(axis.nodes) for axis in fine)
    size = len(chosen) if is_conjugate(problem) else max(1, _BLOCK // nodes)
    variances = variances_at(problem, whole.values)
    shape = [len(axis.nodes) for axis in fine]
    # A refit would be no better than the whole posterior is.
    largest = max(LARGEST_ERROR, whole.quad_err)
    for start in range(0, len(chosen), size):
        part = slice(start, start + size)
        subsets = [rows for rows, _ in chosen[part]]
        logs, mass, tables = [], np.empty(0), _Tables(np.empty(0), None, None)
        for grid in grids:
            tables = _tables(problem, grid, subsets, rows_too=predictive and grid is grids[1])
            log_rest, mass = _integrals(grid.of_subsets(grid.log_weight, part) + tables.of_rest)
            logs.append((log_rest, grid.of_subsets(grid.log_all, part)))
        (check_rest, check_all), (log_rest, log_all) = logs
        missed = np.abs(check_all - log_all) + np.zeros(len(subsets))
        error = np.maximum(missed, np.abs(check_rest - log_rest))
        error = np.maximum(error, _beyond(hard, fine, mass.reshape(-1, *shape)))
        log_all = log_all + np.zeros(len(subsets))
        for index, (rows, rest) in enumerate(chosen[part]):
            numbers = np.flatnonzero(rows)
            law = None
            # Not `>`: an error that is not a number counts.
            if refit := not error[index] <= largest:
                anew = solve(rest)
                log_density = float(log_all[index]) - anew.log_integral
                worst = max(float(missed[index]), anew.quad_err)
                if predictive:
                    law = _law_of_refit(problem, rest, anew, numbers)
            else:
                log_density = float(log_all[index] - log_rest[index])
                worst = float(error[index])
                if predictive:
                    law = _law(problem, numbers, mass[index], tables, variances, whole.mu)
            yield LeftOut(numbers, log_density, worst, refit, None, law)


@dataclass(frozen=True)
class _Grid:
    """The whole posterior's nodes at one order, for all subsets.

    ``log_weight`` (S, N) are the nodes' weights and priors, ``log_all`` (S) the integrals of all
    rows under them; S is 1 where priors do not depend on the rows. ``of_all`` (N) is the log
    likelihood of all rows.
    """

    axes: Mapping[str, Axis]
    log_weight: Array
    of_all: Array
    log_all: Array

    def of_subsets(self, values: Array, part: slice) -> Array:
        """The values of some subsets, or the one that all share."""
        return values if len(values) == 1 else values[part]


def _grid(
    problem: Problem, hard: Sequence[Hard], axes: Sequence[Axis], rests: Sequence[Problem]
) -> _Grid:
    named = {h.name: axis for h, axis in zip(hard, axes, strict=True)}
    log_weight = _log_weights(rests, hard, axes)
    of_all = log_likelihood_at(problem, named)
    return _Grid(named, log_weight, of_all, _integrals(log_weight + of_all)[0])


def _tables(problem: Problem, grid: _Grid, subsets: Sequence[Rows], *, rows_too: bool) -> _Tables:
    if "mu" not in grid.axes:
        return _conjugate_tables(problem, grid.axes, subsets, rows_too=rows_too)
    return _panel_tables(problem, grid, subsets)


def _conjugate_tables(
    problem: Problem, axes: Mapping[str, Axis], subsets: Sequence[Rows], *, rows_too: bool
) -> _Tables:
    """Sums over studies add up: those without a subset are what comes before and after it.

    No part is subtracted, so a study that outweighs all others leaves their digits alone.
    """
    evidence, matrix = problem.evidence, problem.design.matrix
    values = flat_values({name: axis for name, axis in axes.items() if name != COMPONENT})
    tau2_study, tau2_effect = variances_at(problem, values)
    if problem.bias is not None:
        # The slope of the bias is a coefficient that each node knows.
        matrix = np.column_stack([matrix, problem.bias])
    origin = estimate(matrix, evidence.y, evidence.v)
    by_study = bool(np.any(tau2_study > 0)) or bool(evidence.correlated)
    p = matrix.shape[1]
    blocks = []
    parts = max(evidence.k, len(subsets))
    step = max(1, _BLOCK // (parts * (2 + p + p * p)))
    for start in range(0, len(tau2_study), step):
        block = slice(start, start + step)
        at = tau2_study[block], tau2_effect[block]
        by_part = sums_by_part(evidence, matrix, *at, origin)
        part = evidence.study if by_study else np.arange(evidence.k)
        rest = _sums_of_rest(evidence, matrix, by_part, part, subsets, at)
        if problem.bias is not None:
            rest = given_last(rest, values[str(problem.model.selection)][block])
        p = len(rest.origin)
        flat = Sums(
            rest.origin,
            rest.constant.ravel(),
            rest.square.ravel(),
            rest.right.reshape(-1, p),
            rest.precision.reshape(-1, p, p),
        )
        total = np.tile(np.sqrt(at[0] + at[1]), len(subsets))
        given = conditional_on(problem, flat, total)
        shape = (len(subsets), given.log_marginal.size // len(subsets))
        count = shape[1]
        mean, variance = np.empty((0, count)), np.empty((0, count))
        if rows_too:
            means = given.mean.reshape(*shape, p)
            covariances = given.covariance.reshape(*shape, p, p)
            mean, variance = np.zeros((evidence.k, count)), np.zeros((evidence.k, count))
            for index, rows in enumerate(subsets):
                x = matrix[rows]
                mean[rows] = x @ means[index].T
                variance[rows] = np.einsum("ri,nij,rj->rn", x, covariances[index], x)
        blocks.append((given.log_marginal.reshape(shape), mean, variance))
    joined = [np.concatenate(pieces, axis=-1) for pieces in zip(*blocks, strict=True)]
    return _Tables(*joined)


def _sums_of_rest(
    evidence: Evidence,
    matrix: Array,
    by_part: Sums,
    part: NDArray[np.intp],
    subsets: Sequence[Rows],
    at: tuple[Array, Array],
) -> Sums:
    """The sums over the rest of each subset, (subsets, N, …). Parts of the sums are numbered."""
    first = np.array([part[rows].min() for rows in subsets])
    last = np.array([part[rows].max() for rows in subsets])

    def outside(values: Array) -> Array:
        zero = np.zeros((1, *values.shape[1:]))
        before = np.concatenate([zero, np.cumsum(values, axis=0)])
        after = np.concatenate([np.cumsum(values[::-1], axis=0)[::-1], zero])
        return np.asarray(before[first] + after[last + 1])

    rest = Sums(
        by_part.origin,
        outside(by_part.constant),
        outside(by_part.square),
        outside(by_part.right),
        outside(by_part.precision),
    )
    for index, rows in enumerate(subsets):
        siblings = (part >= first[index]) & (part <= last[index]) & ~rows
        if siblings.any():
            own = gaussian_sums(evidence.only(siblings), matrix[siblings], *at, by_part.origin)
            rest.constant[index] += own.constant
            rest.square[index] += own.square
            rest.right[index] += own.right
            rest.precision[index] += own.precision
    return rest


def _panel_tables(problem: Problem, grid: _Grid, subsets: Sequence[Rows]) -> _Tables:
    """With the mean on panels, studies are independent given a node: their logs are subtracted.

    A row under the exact law costs more than a sum: there all subsets' rests are summed in a pass.
    """
    evidence = problem.evidence
    if problem.model.likelihood == "exact-r":
        rests = ~np.array(subsets)
        return _Tables(tables_at(problem, grid.axes, rests).reshape(len(rests), -1), None, None)
    if selection_of(problem) is not None:
        # Rows share their unknown weights: none can be taken out of the others' product.
        weights = np.broadcast_to(grid.log_weight, (len(subsets), grid.log_weight.shape[1]))
        rest_of = [
            table_at(problem, evidence.only(~rows), grid.axes, weight).ravel()
            for rows, weight in zip(subsets, weights, strict=True)
        ]
        return _Tables(np.array(rest_of), None, None)
    of_rest = []
    for rows in subsets:
        study = np.isin(evidence.study, evidence.study[rows])
        own = table_at(problem, evidence.only(study), grid.axes).ravel()
        siblings = study & ~rows
        if siblings.any():
            with np.errstate(invalid="ignore"):
                own = own - table_at(problem, evidence.only(siblings), grid.axes).ravel()
        if np.isfinite(own).all():
            of_rest.append(grid.of_all - own)
        else:
            # So far out that the rows' density is no number: nothing to divide by.
            of_rest.append(table_at(problem, evidence.only(~rows), grid.axes).ravel())
    return _Tables(np.array(of_rest), None, None)


def _log_weights(rests: Sequence[Problem], hard: Sequence[Hard], axes: Sequence[Axis]) -> Array:
    """Log of the nodes' weights and priors, each as it is without a subset: (S, N).

    (1, N) where the priors do not depend on the rows.
    """
    varies = any(applied.prior.is_reference for applied in rests[0].priors.values())
    log_weight = np.zeros([len(axis.nodes) for axis in axes])
    for dimension, axis in enumerate(axes):
        log_weight = log_weight + along(np.log(axis.weights), dimension, log_weight.ndim)
    some = rests if varies else rests[:1]
    return np.array([(log_prior_at(rest, hard, axes) + log_weight).ravel() for rest in some])


def _integrals(log_values: Array) -> tuple[Array, Array]:
    """Logs of the sums over the last axis, and the shares of the nodes in them."""
    peak = log_values.max(axis=-1, keepdims=True)
    shares = np.exp(log_values - peak)
    total = shares.sum(axis=-1, keepdims=True)
    shares /= total
    return (peak + np.log(total))[..., 0], shares


def _beyond(hard: Sequence[Hard], axes: Sequence[Axis], mass: Array) -> Array:
    """The mass (S) that S posteriors, (S, nodes…), have beyond the ends of the panels.

    In its coordinate a density falls off at an end at least exponentially, at the rate that its
    last nodes show; one that rises there is not covered at all.
    """
    worst = np.zeros(len(mass))
    for dimension, (h, axis) in enumerate(zip(hard, axes, strict=True)):
        if axis.is_atoms:
            continue
        others = tuple(d + 1 for d in range(len(axes)) if d != dimension)
        density = mass.sum(axis=others) / (axis.weights / axis.slope(axis.u))
        reach = axis.to_u(h.axis.to_x(np.array([h.reach.lower, h.reach.upper])))
        half = axis.order // 2
        open_ends = [
            (axis.breaks[0] > reach[0] + 1e-9, 0, half),
            (axis.breaks[-1] < reach[1] - 1e-9, -1, -1 - half),
        ]
        for is_open, end, inner in open_ends:
            if not is_open:
                continue
            apart = abs(float(axis.u[end] - axis.u[inner]))
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = np.log(density[:, inner] / density[:, end]) / apart
                left = np.where(rate > 0, density[:, end] / rate, math.inf)
            worst = np.maximum(worst, np.where(density[:, end] > 0, left, 0.0))
    return worst


def _law(
    problem: Problem,
    rows: NDArray[np.intp],
    mass: Array,
    tables: _Tables,
    variances: tuple[Array, Array],
    mu: Axis | None,
) -> Predictive | None:
    """The law of the exact rows among those that are left out."""
    rows = rows[~problem.evidence.is_interval[rows]]
    if not len(rows):
        return None
    v = problem.evidence.v[rows, None]
    noise = variances[0] + variances[1]
    if mu is not None:
        return _law_on_panels(problem.evidence.y[rows], v, noise, mass, mu)
    kept = mass > LEAST_SHARE / len(mass)
    assert tables.mean is not None and tables.variance is not None
    sd = np.sqrt(v + tables.variance[rows][:, kept] + noise[kept])
    return Predictive(mass[kept] / mass[kept].sum(), tables.mean[rows][:, kept], sd)


def _law_on_panels(y: Array, v: Array, noise: Array, mass: Array, mu: Axis) -> Predictive:
    """The law of rows where the mean is on panels: over nodes of heterogeneity, Gauss nodes of mu.

    Sampling error smooths the law of mu given a node, so few nodes stand for all of its panels
    (Golub and Welsch 1969, 10.1090/S0025-5718-69-99647-1). They are held against the panels
    themselves at points of the law, and left if they do not agree. Many nodes of heterogeneity
    are moved to few instead, with all panels of mu.
    """
    joint = mass.reshape(-1, len(mu.nodes))
    alive = joint.sum(axis=1) > LEAST_SHARE / len(joint)
    seen = joint.sum(axis=0) > LEAST_SHARE / len(mu.nodes)
    joint, noise, values = joint[np.ix_(alive, seen)], noise[alive], mu.nodes[seen]
    if len(noise) > _MANY_NODES:
        noisy = np.sqrt(noise)
        total = smooth_panels(float(noisy.max()), math.sqrt(v.min()), _WIDTH)
        joint = moved(noisy, joint, total)
        node, place = np.nonzero(np.abs(joint) > LEAST_SHARE / joint.size)
        share = joint[node, place]
        mean = np.broadcast_to(values[place], (len(v), len(place)))
        return Predictive(share / share.sum(), mean, np.sqrt(v + total.nodes[node] ** 2))
    by_node = joint.sum(axis=1)
    node, place = np.nonzero(joint > LEAST_SHARE / joint.size)
    share = joint[node, place]
    mean = np.broadcast_to(values[place], (len(v), len(place)))
    full = Predictive(share / share.sum(), mean, np.sqrt(v + noise[node]))
    given = joint / by_node[:, None]
    centre = given @ values
    away = values - centre[:, None]
    variance = (given * away**2).sum(axis=1)
    # What is left of a normal law of mu after n nodes, in the noise of a row.
    smooth = float((variance / (variance + v.min() + noise)).max())
    count = math.ceil(math.log(_SMALL) / math.log(smooth)) if smooth > 0 else 1
    if count > _MOST_GAUSS_NODES:
        return full
    scale = np.sqrt(np.maximum(variance, np.finfo(float).tiny))[:, None]
    weights, nodes = _gauss(given, away / scale, count)
    mean = np.broadcast_to((centre[:, None] + scale * nodes).ravel(), (len(v), nodes.size))
    short = Predictive(
        (by_node[:, None] * weights).ravel() / by_node.sum(),
        mean,
        np.sqrt(v + np.repeat(noise, count)),
    )
    unit = np.sqrt(v[:, 0] + by_node @ (variance + noise) / by_node.sum())
    points = float(by_node @ centre / by_node.sum()) + unit[:, None] * np.array([-2, 0, 2])
    points = np.column_stack([points, y])
    off = max(
        float(np.abs(short.cdf(row, at) - full.cdf(row, at)).max()) for row, at in enumerate(points)
    )
    return short if off < LEAST_DIFFERENCE else full


def _gauss(given: Array, x: Array, count: int) -> tuple[Array, Array]:
    """Weights and nodes (J, count) of the Gauss rules of J discrete laws on x, (J, M).

    Stieltjes's recurrence of their orthogonal polynomials, then the eigenvectors of its matrix.
    """
    matrix = np.zeros((len(given), count, count))
    before, now, beta = np.zeros_like(x), np.ones_like(x), np.zeros(len(x))
    for degree in range(count):
        alpha = (given * x * now**2).sum(axis=1)
        matrix[:, degree, degree] = alpha
        if degree + 1 < count:
            rest = (x - alpha[:, None]) * now - beta[:, None] * before
            beta = np.sqrt((given * rest**2).sum(axis=1))
            matrix[:, degree, degree + 1] = matrix[:, degree + 1, degree] = beta
            before, now = now, rest / np.maximum(beta, np.finfo(float).tiny)[:, None]
    nodes, vectors = np.linalg.eigh(matrix)
    return vectors[:, 0] ** 2, nodes


def _law_of_refit(
    problem: Problem, rest: Problem, anew: Quadrature, rows: NDArray[np.intp]
) -> Predictive | None:
    """The same from a posterior that was integrated anew."""
    mean = variance = None
    if anew.mean is not None and anew.covariance is not None:
        x = problem.design.matrix
        mean = x @ anew.mean.T
        variance = np.zeros_like(mean)
        variance[rows] = np.einsum("ri,nij,rj->rn", x[rows], anew.covariance, x[rows])
    nothing = np.empty(0)
    return _law(
        problem,
        rows,
        anew.mass.ravel(),
        _Tables(nothing, mean, variance),
        variances_at(rest, anew.values),
        anew.mu,
    )
