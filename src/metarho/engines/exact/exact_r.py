"""The likelihood table of correlations under their exact law, true effects integrated out.

A row's density given mu and tau is ∫ g(z | theta, n) N(theta; mu, tau²) dtheta, with g the law of
``law_of_r``; that of an interval has the probability of the interval for g. Both are integrated by
the trapezoidal rule, whose error falls like exp(−(2π/step)²/2) for step in the sd of what it
integrates: steps of 0.45/√(n − 1 + 1/tau²) leave 1e-12.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from metarho.engines import law_of_r
from metarho.engines.problem import Evidence

type Array = NDArray[np.float64]

_STEP, _SDS = 0.45, 8.5
_SQRT_2PI = math.sqrt(2 * math.pi)
# A lattice with more points than this many evaluations around each mu is not worth its kernels:
# a value of the law costs about ten of a kernel.
_WORTH = 10
# Numbers held at once (16 MB of doubles).
_BLOCK = 2_000_000
# The law falls like exp(−(n − 1.5)|z − theta|): below exp(−40) of its peak it does not count next
# to what has not fallen, below exp(−745) it is 0 in double precision.
_NEGLIGIBLE, _VANISHED = 40.0, 745.0
# Correlations of effects this far out cannot be told from 1.
UNSEEN = 20.0
# The log of a density that is 0 to a computer: a number, so that a count of 0 leaves it out.
_LOG_NOTHING = -1e30
# Theta as far as the law is defined.
_FARTHEST = 600.0


@dataclass(frozen=True)
class Result:
    """What one or several rows say: a number z, or an interval on z, from n people."""

    z: float | None
    lower: float
    upper: float
    n: float

    @property
    def is_open(self) -> bool:
        """Whether it is an interval with one end."""
        return self.z is None and math.isinf(self.lower) != math.isinf(self.upper)

    @property
    def ends(self) -> tuple[float, ...]:
        """The finite values of z that it names."""
        if self.z is not None:
            return (self.z,)
        return tuple(end for end in (self.lower, self.upper) if math.isfinite(end))

    def log_given(self, theta: Array) -> Array:
        """Its log density or probability at true effects."""
        at = np.clip(theta, -_FARTHEST, _FARTHEST)
        if self.z is not None:
            return law_of_r.log_density(self.z, at, self.n)
        return law_of_r.log_probability(self.lower, self.upper, at, self.n)

    def step(self, theta: Array) -> Array:
        """For an interval with one end, a normal law's probability of it: its own shape, nearly."""
        (end,) = self.ends
        sign = 1.0 if math.isinf(self.upper) else -1.0
        return np.asarray(ndtr(sign * (theta - end) * math.sqrt(self.n - 1)))

    def step_averaged(self, mu: Array, tau: float) -> Array:
        """The same with theta ~ Normal(mu, tau²)."""
        (end,) = self.ends
        sign = 1.0 if math.isinf(self.upper) else -1.0
        return np.asarray(ndtr(sign * (mu - end) / math.sqrt(1 / (self.n - 1) + tau**2)))


@dataclass(frozen=True)
class Lattice:
    """Points of theta, a multiple of the step each, for the nodes ``tau`` (T) of one step."""

    step: float
    tau: Array
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def theta(self) -> Array:
        """All points that any of the nodes needs."""
        return np.arange(self.first.min(), self.last.max() + 1, dtype=np.float64) * self.step

    def kernel(self, node: int, mu: Array) -> tuple[slice, Array]:
        """N(theta; mu, tau²)·step on the node's own points: their slice, (M, points)."""
        start = self.first.min()
        here = slice(int(self.first[node] - start), int(self.last[node] - start) + 1)
        tau = float(self.tau[node])
        away = (mu[:, None] - self.theta[here]) / tau
        return here, np.exp(-0.5 * away**2) * (self.step / (tau * _SQRT_2PI))


def log_likelihood_table(evidence: Evidence, mu: Array, tau2: Array) -> Array:
    """Log p(all rows | mu, tau) at N values of tau² and M of mu: shape (N, M)."""
    everything = np.ones((1, evidence.k), bool)
    return np.asarray(log_likelihood_tables(evidence, mu, tau2, everything)[0])


def log_likelihood_tables(
    evidence: Evidence, mu: Array, tau2: Array, subsets: NDArray[np.bool_]
) -> Array:
    """The tables of S subsets of the rows, (S, k), in one pass: shape (S, N, M).

    What a row says at the nodes is integrated once, whichever subsets it is in.
    """
    tau, place = np.unique(np.sqrt(tau2), return_inverse=True)
    tables = np.zeros((len(tau), len(mu), len(subsets)))
    for results, counts in _groups(evidence, subsets):
        for nodes, lattice in _lattices(results, mu, tau):
            tables[nodes] += _on_lattice(results, counts, mu, lattice)
        for node in _around(results, mu, tau):
            tables[node] += _around_each(results, counts, mu, float(tau[node]))
    return np.asarray(np.moveaxis(tables[place], 2, 0))


def _groups(evidence: Evidence, subsets: NDArray[np.bool_]) -> Iterator[tuple[list[Result], Array]]:
    """Rows that say the same once, with their number in each subset, (results, S).

    Together come those that can share lattices.
    """
    counts: dict[Result, Array] = {}
    for result, row_is_in in zip(results_of(evidence), subsets.T.astype(float), strict=True):
        counts[result] = counts.get(result, 0.0) + row_is_in

    def kind(result: Result) -> tuple[bool, float]:
        # n within a factor of 4, whose laws are within 2 of each other's width.
        return result.is_open, math.floor(math.log(result.n, 4))

    for _, group in groupby(sorted(counts, key=kind), kind):
        results = list(group)
        yield results, np.stack([counts[result] for result in results])


def results_of(evidence: Evidence) -> list[Result]:
    """The rows, one after the other."""
    columns = evidence.y, evidence.lower, evidence.upper, evidence.sizes
    return [
        Result(None, float(lower), float(upper), float(n))
        if np.isnan(z)
        else Result(float(z), math.nan, math.nan, float(n))
        for z, lower, upper, n in zip(*columns, strict=True)
    ]


def _lattices(
    results: Sequence[Result], mu: Array, tau: Array
) -> Iterator[tuple[NDArray[np.intp], Lattice]]:
    """Lattices for the nodes of tau that are worth one, with the numbers of those nodes."""
    first, last, power = _stretches(results, mu, tau)
    kept = ~_is_around(results, mu, tau)
    for level in np.unique(power[kept]):
        nodes = np.flatnonzero(kept & (power == level))
        step = 2.0 ** (level / 2)
        starts = np.floor(first[nodes] / step).astype(np.int64)
        yield nodes, Lattice(step, tau[nodes], starts, np.ceil(last[nodes] / step).astype(np.int64))


def _around(results: Sequence[Result], mu: Array, tau: Array) -> NDArray[np.intp]:
    """Nodes of tau so small that points around each mu are fewer than those of a lattice."""
    return np.flatnonzero(_is_around(results, mu, tau))


def _offsets(results: Sequence[Result], tau: float) -> Array:
    """Points around a mu, in units of tau."""
    n = max(result.n for result in results)
    return np.arange(-_SDS, _SDS, _STEP / math.sqrt(1 + (n - 1) * tau**2))


def _is_around(results: Sequence[Result], mu: Array, tau: Array) -> NDArray[np.bool_]:
    first, last, power = _stretches(results, mu, tau)
    with np.errstate(divide="ignore", over="ignore"):
        points = (last - first) / 2.0 ** (power / 2)
    n = max(result.n for result in results)
    needed = 2 * _SDS / _STEP * np.sqrt(1 + (n - 1) * tau**2)
    return np.asarray(~(points < _WORTH * len(results) * needed) | ~(points * len(mu) < 2e7))


def _stretches(results: Sequence[Result], mu: Array, tau: Array) -> tuple[Array, Array, Array]:
    """Where theta begins and ends for each node of tau, and the step as a power of √2.

    Between mu and the results one factor of the integrand rises while the other falls; beyond both
    the narrower one decides how far it goes.
    """
    sizes = [result.n for result in results]
    with np.errstate(divide="ignore"):
        power = np.floor(2 * np.log2(_STEP / np.sqrt(max(sizes) - 1 + 1 / tau**2)))
    ends = [end for result in results for end in result.ends]
    low, high = (min(ends), max(ends)) if ends else (0.0, 0.0)
    margin = np.minimum(_SDS * tau, _reach(min(sizes)))
    farthest = np.full(len(tau), _VANISHED / (min(sizes) - 1.5) + 1)
    if not ends:
        margin, farthest[:] = _SDS * tau, UNSEEN
    # An interval that is open on one side has no end there, unless a step is taken out.
    if results[0].is_open:
        farthest[~_takes_step(results, tau)] = np.inf
    first = np.maximum(min(float(mu.min()), low) - margin, low - farthest)
    last = np.minimum(max(float(mu.max()), high) + margin, high + farthest)
    return first, last, power


def _takes_step(results: Sequence[Result], tau: Array) -> NDArray[np.bool_]:
    """Where the spread of effects is so much wider than the law that a step is taken out first."""
    return np.asarray(_SDS * tau > _reach(min(result.n for result in results)))


def _reach(n: float) -> float:
    fallen = _NEGLIGIBLE / (n - 1.5)
    return fallen + math.log1p(math.sqrt(-math.expm1(-2 * fallen)))


def _on_lattice(results: Sequence[Result], counts: Array, mu: Array, lattice: Lattice) -> Array:
    """Σ counts·log ∫ over the nodes of a lattice: (T, M, S)."""
    theta = lattice.theta
    log_values = np.stack([result.log_given(theta) for result in results], axis=1)
    top = log_values.max(axis=0)
    values = np.exp(log_values - top)
    is_open = results[0].is_open
    takes = _takes_step(results, lattice.tau) & is_open
    beyond = values
    if takes.any():
        steps = np.stack([result.step(theta) for result in results], axis=1)
        beyond = np.exp(log_values) - steps
    table = np.empty((len(lattice.tau), len(mu), counts.shape[1]))
    for node, tau in enumerate(lattice.tau):
        here, kernel = lattice.kernel(node, mu)
        with np.errstate(divide="ignore"):
            if takes[node]:
                averaged = [result.step_averaged(mu, float(tau)) for result in results]
                total = np.log(np.maximum(kernel @ beyond[here] + np.stack(averaged, axis=1), 0.0))
            else:
                total = np.log(kernel @ values[here]) + top
        table[node] = np.maximum(total, _LOG_NOTHING) @ counts
    return table


def _around_each(results: Sequence[Result], counts: Array, mu: Array, tau: float) -> Array:
    """The same for one tau with points around each mu: (M, S)."""
    eps = _offsets(results, tau)
    weights = np.exp(-0.5 * eps**2) * ((eps[1] - eps[0]) / _SQRT_2PI)
    table = np.zeros((len(mu), counts.shape[1]))
    length = max(1, _BLOCK // len(eps))
    for start in range(0, len(mu), length):
        block = slice(start, start + length)
        theta = mu[block, None] + tau * eps
        for result, count in zip(results, counts, strict=True):
            log_values = result.log_given(theta)
            top = log_values.max(axis=1)
            total = np.exp(log_values - top[:, None]) @ weights
            log_total = np.maximum(top + np.log(total), _LOG_NOTHING)
            table[block] += log_total[:, None] * count
    return table
