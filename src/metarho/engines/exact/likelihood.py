"""The likelihood at the nodes: Gaussian sums that do not depend on the prior, and interval tables.

Given the variances between studies and between effects, exact rows are normal, and coefficients
with normal or flat priors are integrated out. Interval rows contribute the probability of their
interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr

from metarho.engines.exact.intervals import log_interval, log_several
from metarho.engines.exact.peaks import peaks
from metarho.engines.problem import Evidence
from metarho.errors import FitError
from metarho.spec.priors import PER_TAU, Prior

type Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
# Numbers held at once while going through nodes × studies in blocks (16 MB of doubles).
_BLOCK = 2_000_000
# The same for sums that are made again and again: half a megabyte, and rows at once.
_CACHED, _CACHED_ROWS = 65_536, 4_096
# The trapezoidal rule for a study's deviation: in steps of this many sds of what it integrates,
# its error is exp(−(2π/0.8)²/2), 4e-14; and it ends where a normal law has less than that left.
_STEP, _SDS = 0.8, 8.5
# More nodes than this for one study take gigabytes.
_MOST_NODES = 2e6
# Spreads this far below those of the rows: g is smooth over them, and around mu 22 points do.
_SMALL = 1e-2
# The same for the probability of an interval beyond its end, in the row's sd.
_ROW_SDS = 12.0


@dataclass(frozen=True)
class Sums:
    """What exact rows say of the coefficients β at N nodes, whatever the prior.

    With δ = β − ``origin`` (p):

        log p(y | β) = ``constant`` − ½(``square`` − 2 ``right``ᵀδ + δᵀ ``precision`` δ)

    ``constant`` (N), ``square`` (N), ``right`` (N, p), ``precision`` (N, p, p). The origin is near
    the estimate, so that the terms do not cancel.
    """

    origin: Array
    constant: Array
    square: Array
    right: Array
    precision: Array


@dataclass(frozen=True)
class Conditional:
    """The Gaussian part at each of N nodes: coefficients given the rest, and what is left over.

    ``log_marginal`` (N), ``mean`` (N, p), ``covariance`` (N, p, p).
    """

    log_marginal: Array
    mean: Array
    covariance: Array


def gaussian_sums(
    evidence: Evidence,
    matrix: Array,
    tau2_study: Array,
    tau2_effect: Array,
    origin: Array | None = None,
) -> Sums:
    """Sums over the exact rows at N pairs of variances, intervals left out.

    Sums with one ``origin`` (the rows' own estimate unless given) over rows of different studies
    add up.

    Within study j, with weights w = 1/(v + tau2_effect), S = Σ w and weighted means x̄, ȳ, rows
    have covariance W⁻¹ + tau2_study·11ᵀ, so that

        precision = Σ_j [Σ w (x − x̄)(x − x̄)ᵀ + x̄ x̄ᵀ/(tau2_study + 1/S)]
        constant  = ½ Σ_j [Σ log w − n_j log 2π − log(1 + tau2_study·S)]
    """
    rows = ~evidence.is_interval
    if origin is None:
        origin = estimate(matrix[rows], evidence.y[rows], evidence.v[rows])
    columns = np.column_stack([np.ones(evidence.k), matrix, evidence.y - matrix @ origin])
    columns, v = evidence.turned(columns)
    one, columns, v = columns[rows, 0], columns[rows, 1:], v[rows]
    if not np.any(tau2_study > 0):
        found = _independent(columns, v, tau2_effect)
    else:
        found = _nested(columns, one, v, evidence.study[rows], tau2_study, tau2_effect)
    constant, products = found
    return Sums(
        origin,
        constant,
        products[:, -1, -1].copy(),
        products[:, :-1, -1].copy(),
        products[:, :-1, :-1].copy(),
    )


def given_last(sums: Sums, values: Array) -> Sums:
    """The sums of all coefficients but the last, which has known values (N)."""
    away = values - sums.origin[-1]
    cross, own = sums.precision[..., :-1, -1], sums.precision[..., -1, -1]
    return Sums(
        sums.origin[:-1],
        sums.constant,
        sums.square - 2 * sums.right[..., -1] * away + own * away**2,
        sums.right[..., :-1] - cross * away[..., None],
        sums.precision[..., :-1, :-1],
    )


def sums_by_part(
    evidence: Evidence, matrix: Array, tau2_study: Array, tau2_effect: Array, origin: Array
) -> Sums:
    """The sums of each part of exact rows that is independent of the others, stacked in front.

    Parts are studies where studies deviate or errors correlate, else rows: ``constant`` (parts, N),
    and so on.
    """
    if np.any(tau2_study > 0) or evidence.correlated:
        parts = [
            gaussian_sums(evidence.only(rows), matrix[rows], tau2_study, tau2_effect, origin)
            for rows in (evidence.study == study for study in range(len(evidence.study_names)))
        ]
        return Sums(
            origin,
            np.stack([part.constant for part in parts]),
            np.stack([part.square for part in parts]),
            np.stack([part.right for part in parts]),
            np.stack([part.precision for part in parts]),
        )
    w = 1 / (evidence.v[:, None] + tau2_effect)
    y = evidence.y - matrix @ origin
    cross = matrix[:, :, None] * matrix[:, None, :]
    return Sums(
        origin,
        0.5 * (np.log(w) - _LOG_2PI),
        w * y[:, None] ** 2,
        w[:, :, None] * (matrix * y[:, None])[:, None],
        w[:, :, None, None] * cross[:, None],
    )


def estimate(x: Array, y: Array, v: Array) -> Array:
    """The least-squares estimate at weights 1/v (the shortest one, where rows do not suffice)."""
    root = 1 / np.sqrt(v)
    return np.asarray(np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0])


def _independent(columns: Array, v: Array, tau2_effect: Array) -> tuple[Array, Array]:
    """Constant and products of the columns (x and y together) where studies do not deviate."""
    nodes, (k, c) = len(tau2_effect), columns.shape
    pairs = (columns[:, :, None] * columns[:, None, :]).reshape(k, c * c)
    constant, products = np.full(nodes, -0.5 * k * _LOG_2PI), np.zeros((nodes, c, c))
    # Blocks of rows and nodes that stay in the processor's cache.
    length = min(k, _CACHED_ROWS) or 1
    step = max(1, _CACHED // length)
    for first in range(0, k, length):
        rows = slice(first, first + length)
        for start in range(0, nodes, step):
            block = slice(start, start + step)
            w = 1 / (v[rows] + tau2_effect[block, None])
            constant[block] += 0.5 * np.log(w).sum(axis=1)
            products[block] += (w @ pairs[rows]).reshape(-1, c, c)
    return constant, products


def _nested(
    columns: Array,
    one: Array,
    v: Array,
    study: NDArray[np.intp],
    tau2_study: Array,
    tau2_effect: Array,
) -> tuple[Array, Array]:
    """The same with a deviation of each study, which ``one`` carries. Rows are sorted by study."""
    nodes, (k, c) = len(tau2_effect), columns.shape
    constant, products = np.empty(nodes), np.empty((nodes, c, c))
    if k == 0:
        return np.zeros(nodes), np.zeros((nodes, c, c))
    first = np.unique(study, return_index=True)[1]
    place = np.repeat(np.arange(len(first)), np.diff(np.append(first, k)))
    step = max(1, _BLOCK // (k * c))
    for start in range(0, nodes, step):
        block = slice(start, start + step)
        w = 1 / (v + tau2_effect[block, None])
        total = np.add.reduceat(w * one**2, first, axis=1)
        weighted = (w * one)[:, :, None] * columns
        mean = np.add.reduceat(weighted, first, axis=1) / total[:, :, None]
        within = columns - one[:, None] * mean[:, place]
        between = 1 / (tau2_study[block, None] + 1 / total)
        products[block] = (w[:, :, None] * within).transpose(0, 2, 1) @ within
        products[block] += (between[:, :, None] * mean).transpose(0, 2, 1) @ mean
        spread = np.log1p(tau2_study[block, None] * total).sum(axis=1)
        constant[block] = 0.5 * (np.log(w).sum(axis=1) - k * _LOG_2PI - spread)
    return constant, products


def condition(sums: Sums, priors: Sequence[Prior], total: Array) -> Conditional:
    """Integrate the coefficients out under their priors (Normal, Flat or a point each).

    ``total`` (N) is the total sd of true effects: a prior on mu/tau has its mean and sd times it.

    With prior precision P and mean m0 (P = 0 for Flat): Λ = precision + P, m = Λ⁻¹(right + P m0),

        log p(y) = log p(y | m) − ½(m − m0)ᵀP(m − m0) + ½ log|P| − ½ log|Λ|

    and each flat coefficient adds ½ log 2π.
    """
    nodes = len(sums.constant)
    fixed = np.array([prior.is_point for prior in priors])
    is_flat = np.array([not prior.proper for prior in priors])
    normal = ~fixed & ~is_flat
    p, m0 = np.zeros((nodes, len(priors))), np.zeros((nodes, len(priors)))
    for index, prior in enumerate(priors):
        # Where squares are no longer numbers, mu is tau's own multiple to rounding.
        unit = np.maximum(total, 1e-100) if prior.on == PER_TAU else 1.0
        if prior.is_point:
            m0[:, index] = prior.values["c"]
        elif prior.proper:
            p[:, index] = (prior.values["sigma"] * unit) ** -2.0
            m0[:, index] = prior.values["mu"] * unit
    m0 = m0 - sums.origin
    free = ~fixed
    held = np.where(fixed, m0, 0.0)
    delta = held.copy()
    covariance = np.zeros((nodes, len(priors), len(priors)))
    log_det = np.zeros(nodes)
    if free.any():
        inside = np.ix_(np.arange(nodes), free, free)
        lam = sums.precision[inside] + p[:, free, None] * np.eye(int(free.sum()))
        right = sums.right[:, free] - np.einsum("nij,nj->ni", sums.precision[:, free], held)
        right = right + p[:, free] * m0[:, free]
        if free.sum() == 1:
            delta[:, free] = right / lam[:, 0]
            covariance[inside] = 1 / lam
            log_det = np.log(lam[:, 0, 0])
        else:
            delta[:, free] = np.linalg.solve(lam, right[:, :, None])[:, :, 0]
            covariance[inside] = np.linalg.inv(lam)
            log_det = np.linalg.slogdet(lam)[1]
    square = sums.square - 2 * (sums.right * delta).sum(axis=1)
    square = square + np.einsum("ni,nij,nj->n", delta, sums.precision, delta)
    square = square + ((delta - m0)[:, normal] ** 2 * p[:, normal]).sum(axis=1)
    log_marginal = sums.constant - 0.5 * (square + log_det)
    log_marginal += 0.5 * (np.log(p[:, normal]).sum(axis=1) + is_flat.sum() * _LOG_2PI)
    return Conditional(log_marginal, sums.origin + delta, covariance)


def log_likelihood_table(
    evidence: Evidence, mu: Array, tau2_study: Array, tau2_effect: Array
) -> Array:
    """Log p(all rows | mu, variances) at N nodes of heterogeneity and M of mu: shape (N, M)."""
    # A study whose deviation ties an interval to other rows has no closed form.
    rows_of = np.bincount(evidence.study)
    intervals_of = np.bincount(evidence.study, weights=evidence.is_interval)
    tied = (rows_of > 1) & (intervals_of > 0) & bool(np.any(tau2_study > 0))
    apart = ~tied[evidence.study]
    total = tau2_study + tau2_effect
    table = _exact_table(evidence.only(apart), mu, tau2_study, tau2_effect)
    ends = np.column_stack([evidence.lower, evidence.upper, evidence.v])
    single = evidence.is_interval & ~evidence.sums_up
    # Rows with the same interval and n have one probability.
    for (lower, upper, variance), count in zip(
        *np.unique(ends[single & apart], axis=0, return_counts=True), strict=True
    ):
        sd = np.sqrt(variance + tau2_study + tau2_effect)[:, None]
        table += count * log_interval((lower - mu) / sd, (upper - mu) / sd)
    for row in np.flatnonzero(evidence.sums_up & apart):
        table += _several_tests(evidence.only(np.arange(evidence.k) == row), mu, total)
    for study in np.flatnonzero(tied):
        rows = evidence.only(evidence.study == study)
        table += _tied_study(rows, mu, tau2_study, tau2_effect)
    return table


def _several_tests(evidence: Evidence, mu: Array, tau2: Array) -> Array:
    """Log P(word | mu, variance) of one row that sums up several tests, (N, M).

    Its tests are as the rows of a study whose mean is the true effect with the error they share.
    """
    (row,) = evidence.rows
    apart = replace(evidence, rows=(replace(row, rho_tests=0.0),), v=evidence.v_own)
    return _tied_study(apart, mu, tau2 + (evidence.v - evidence.v_own), np.zeros(len(tau2)))


def _exact_table(evidence: Evidence, mu: Array, tau2_study: Array, tau2_effect: Array) -> Array:
    """The exact rows' part, a parabola in mu at each node."""
    if evidence.is_interval.all():
        return np.zeros((len(tau2_study), len(mu)))
    one = np.ones((evidence.k, 1))
    sums = gaussian_sums(evidence, one, tau2_study, tau2_effect)
    precision = sums.precision[:, 0, 0]
    centre = sums.right[:, 0] / precision
    peak = sums.constant - 0.5 * (sums.square - centre * sums.right[:, 0])
    away = mu - sums.origin - centre[:, None]
    return np.asarray(peak[:, None] - 0.5 * precision[:, None] * away**2)


def _tied_study(evidence: Evidence, mu: Array, tau2_study: Array, tau2_effect: Array) -> Array:
    """Log p(rows of one study | mu, variances), (N, M): its mean u integrated by a rule.

    ∫ N(u; mu, tau2_study) g(u) du, with g(u) = Π p(row | u, tau2_effect), by the trapezoidal rule
    on a lattice of u that all nodes of mu share, so that it is a product of matrices; where
    tau_study is so small that the lattice would be long, on nodes around each mu.
    """
    if np.isneginf(evidence.lower).all():
        # Open below: the same seen in a mirror, so that what is open is open above.
        evidence, mu = _mirrored(evidence), -mu
    result = np.empty((len(tau2_study), len(mu)))
    own = np.sqrt(tau2_study)
    sd = np.sqrt(evidence.v + tau2_effect[:, None])
    narrowest = np.sqrt(evidence.v_mean + tau2_effect[:, None]).min(axis=1)
    small = own < _SMALL * narrowest
    if small.any():
        eps = np.arange(-_SDS, _SDS, _STEP)
        result[small] = _tied_around(evidence, mu, own[small], tau2_effect[small], eps)
    if not small.all():
        kept = ~small
        result[kept] = _tied_on_lattices(evidence, mu, own[kept], tau2_effect[kept], sd[kept])
    return result


def _tied_on_lattices(
    evidence: Evidence, mu: Array, own: Array, tau2_effect: Array, sd: Array
) -> Array:
    """The same for spreads of a study's mean that are not far below those of its rows, ``sd``."""
    result = np.empty((len(own), len(mu)))
    tau2_study = own**2
    low, high = _where_it_counts(evidence, mu, own, tau2_effect)
    # Beyond the last end g is 1, if all rows are open above.
    flat = (evidence.lower + _SDS * sd).max(axis=1)
    is_open = np.isposinf(evidence.upper).all()
    sharp = (1 / (evidence.v_mean + tau2_effect[:, None])).sum(axis=1)
    # Steps in powers of √2, and spreads in powers of 2, so that nodes share lattices.
    level = np.floor(np.log2(tau2_study / (1 + tau2_study * sharp)))
    reach = np.floor(np.log2(own))
    for halvings, octave in np.unique(np.column_stack([level, reach]), axis=0):
        here = np.flatnonzero((level == halvings) & (reach == octave))
        step = _STEP * 2.0 ** (halvings / 2)
        first, last = float(low[here].min()), float(high[here].max())
        end = float(flat[here].max()) if is_open else math.inf
        span = min(last, end) - first
        # In units of the spread itself, around each mu: the step is at most 0.8.
        fine = step / 2.0 ** (octave + 1)
        around = 2 * _SDS / fine
        on_lattice = span / step < around * len(mu)
        if (span / step if on_lattice else around) > _MOST_NODES:
            raise FitError(
                "the exact engine cannot integrate the mean of a study with several rows, some of "
                f"them intervals: it may vary over {min(span, around * step):.2g}, and a row fixes "
                f"it to {step:.2g}; use engine nuts, a narrower prior of heterogeneity, or "
                "intervals: drop"
            )
        if not on_lattice:
            eps = np.arange(-_SDS, _SDS, fine)
            result[here] = _tied_around(evidence, mu, own[here], tau2_effect[here], eps)
            continue
        if last < end:
            u = first + np.arange(math.ceil(span / step) + 1) * step
            weights = np.full(len(u), step)
        else:
            u, weights = _panels(first, end, 4 * step)
        effects, place = np.unique(tau2_effect[here], return_inverse=True)
        log_g = _log_rows(evidence, u[:, None], effects)
        top = log_g.max(axis=0)
        g = np.exp(log_g - top)
        spreads, which = np.unique(own[here], return_inverse=True)
        for index, spread in enumerate(spreads):
            kernel = np.exp(-0.5 * ((mu[:, None] - u) / spread) ** 2) * weights
            nodes = which == index
            total = kernel @ g[:, place[nodes]] / (spread * math.sqrt(2 * math.pi))
            if not last < end:
                total += ndtr((mu - end) / spread)[:, None] * np.exp(-top[place[nodes]])
            with np.errstate(divide="ignore"):
                result[here[nodes]] = np.log(total).T + top[place[nodes], None]
    return result


def _mirrored(evidence: Evidence) -> Evidence:
    """Interval rows with the opposite sign."""
    return replace(evidence, y=-evidence.y, lower=-evidence.upper, upper=-evidence.lower)


def _panels(first: float, last: float, width: float) -> tuple[Array, Array]:
    """Gauss nodes and weights on panels of at most a width."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    breaks = np.linspace(first, last, max(1, math.ceil((last - first) / width)) + 1)
    half = 0.5 * np.diff(breaks)[:, None]
    return (breaks[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()


def _where_it_counts(
    evidence: Evidence, mu: Array, own: Array, tau2_effect: Array
) -> tuple[Array, Array]:
    """Ends of u, (N) each, beyond which N(u; mu, own²) g(u) is nothing, whichever mu.

    It is log-concave, curved at least as N and the exact rows are, with a mode that rises with mu
    and lies between mu and where rows want it; and beyond its end a row falls like a normal law.
    """
    sd = np.sqrt(evidence.v + tau2_effect[:, None])
    exact = ~evidence.is_interval
    extent = _SDS / np.sqrt(own**-2.0 + (exact / sd**2).sum(axis=1))
    narrowest = np.minimum(own, np.sqrt(evidence.v_mean + tau2_effect[:, None]).min(axis=1))
    lower = np.where(exact, evidence.y, evidence.lower)
    upper = np.where(exact, evidence.y, evidence.upper)
    ends = np.concatenate([lower, upper])
    ends = ends[np.isfinite(ends)]
    # A row that is open above pulls the mode beyond mu, until it has all of its probability.
    pull = _SDS * sd.max(axis=1)

    def mode(at: float) -> Array:
        def log_density(u: Array) -> Array:
            return _log_rows(evidence, u, tau2_effect) - 0.5 * ((u - at) / own) ** 2

        first, last = min(at, ends.min()) - pull, max(at, ends.max()) + pull
        # To a part of the smallest distance over which rows and N change: a round leaves 0.62.
        rounds = math.log(5 * float(((last - first) / narrowest).max())) / -math.log(0.618)
        return peaks(log_density, first, last, math.ceil(rounds))

    modes = mode(float(mu.min())), mode(float(mu.max()))
    low = np.maximum(
        modes[0] - extent, (np.minimum(lower, modes[0][:, None]) - _ROW_SDS * sd).max(axis=1)
    )
    high = np.minimum(
        modes[1] + extent, (np.maximum(upper, modes[1][:, None]) + _ROW_SDS * sd).min(axis=1)
    )
    return low, high


def _tied_around(
    evidence: Evidence, mu: Array, own: Array, tau2_effect: Array, eps: Array
) -> Array:
    """The same with nodes around each mu, for a spread that is small against an effect's."""
    result = np.empty((len(own), len(mu)))
    log_weight = -0.5 * (eps**2 + _LOG_2PI) + math.log(eps[1] - eps[0])
    length = max(1, _BLOCK // (len(eps) * len(mu)))
    for start in range(0, len(own), length):
        block = slice(start, start + length)
        u = mu[:, None] + own[block, None, None] * eps
        total = _log_rows(evidence, u, tau2_effect[block, None, None]) + log_weight
        result[block] = logsumexp(total, axis=2)
    return result


def _log_rows(evidence: Evidence, u: Array, tau2_effect: Array) -> Array:
    """Σ log p(row | u, tau2_effect) over one study's rows; u and tau2_effect broadcast."""
    total = np.zeros(np.broadcast_shapes(u.shape, tau2_effect.shape))
    columns = evidence.rows, evidence.y, evidence.v, evidence.lower, evidence.upper
    for row, y, v, lower, upper in zip(*columns, strict=True):
        variance = v + tau2_effect
        if np.isnan(y) and row.tests > 1:
            # What they share is u itself.
            sd = np.sqrt(v)
            total += log_several((lower - u) / sd, (upper - u) / sd, row.tests, row.word_means)
        elif np.isnan(y):
            sd = np.sqrt(variance)
            total += log_interval((lower - u) / sd, (upper - u) / sd)
        else:
            total -= 0.5 * (np.log(variance) + _LOG_2PI + (y - u) ** 2 / variance)
    return total
