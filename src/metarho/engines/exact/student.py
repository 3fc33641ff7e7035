"""The likelihood table of Student-t effects: a normal law whose variance is mixed over.

theta = mu + tau·t_nu is Normal(mu, tau²/λ) with λ ~ Gamma(nu/2, rate nu/2), so that a row's density
is ∫ N(y; mu, v + tau²/λ) Gamma(λ; nu/2, nu/2) dλ, and an interval's has its probability for N. The
trapezoidal rule in log λ converges like |Γ(nu/2 + it)|/Γ(nu/2) at t = 2π/step; its nodes serve all
rows. Mass that the nodes leave out lies at λ = 0, where effects vary without limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from metarho.engines.exact.intervals import log_interval
from metarho.engines.problem import Evidence

type Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)
# Logs of what does not count next to the mass, and of what an outlier may make of it.
_NEGLIGIBLE, _OUTLIER = 37.0, 300.0
# The variance of effects at λ = 0: as large as double precision bears.
_LIMITLESS = 1e300
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Mixing:
    """Nodes of log λ (L) with weights for each of some nu (V, L); the last one stands for λ = 0."""

    log_lambda: Array
    weights: Array

    def variances(self, tau2: float) -> Array:
        """tau²/λ at the nodes."""
        with np.errstate(over="ignore"):
            return np.minimum(tau2 * np.exp(-self.log_lambda), _LIMITLESS)


def mixing(nu: Array, lowest: float) -> Mixing:
    """Nodes for some nu within a factor of 4 (or below 1), down to a lowest log λ at most."""
    step = float(spacing(nu).min())
    left, right = spread_of_log(nu)
    start = max(float(left.min()), lowest)
    nodes = np.arange(start, float(right.max()) + step, step)
    weights = np.exp(log_weight(nodes, nu[:, None])) * step
    rest = np.maximum(1 - weights.sum(axis=1), 0.0)
    return Mixing(np.append(nodes, -np.inf), np.column_stack([weights, rest]))


def spacing(nu: Array) -> Array:
    """Steps of log λ that leave an error of 1e-13 or less."""
    return 0.7 / np.sqrt(nu / 2 + 8)


def spread_of_log(nu: Array, outlier: float = _OUTLIER) -> tuple[Array, Array]:
    """Where log λ begins and ends for each nu: e^s − 1 − s reaches c at about c + √(2c)."""
    low = 2 * (_NEGLIGIBLE + outlier) / nu
    high = 2 * _NEGLIGIBLE / nu
    return -(low + np.sqrt(2 * low)), np.log1p(high + np.sqrt(2 * high))


def log_weight(log_lambda: Array, nu: Array) -> Array:
    """The log density of log λ."""
    half = nu / 2
    with np.errstate(over="ignore"):
        return np.asarray(half * (log_lambda - np.exp(log_lambda) + np.log(half)) - gammaln(half))


def lowest_that_counts(nu: Array, tau2: Array, farthest2: Array) -> Array:
    """The log λ below which bounded rows within √farthest2 of mu have nothing left.

    From tau²/λ = farthest² on a row's density falls like λ**((nu + 1)/2). The probability of a
    one-sided interval goes to ½ like √λ: nu counts as 0 then, and the node at λ = 0 has the ½.
    """
    with np.errstate(divide="ignore"):
        begins = np.minimum(np.log(tau2) - np.log(farthest2), 0.0)
    return np.asarray(begins - 1 - _NEGLIGIBLE / (0.3 * nu + 0.5))


def groups_of(nu: Array) -> Iterator[NDArray[np.intp]]:
    """Places of the nu that can share nodes."""
    level = np.maximum(np.ceil(np.log2(nu) / 2), 0.0)
    for each in np.unique(level):
        yield np.flatnonzero(level == each)


def log_likelihood_table(evidence: Evidence, mu: Array, tau2: Array, nu: Array) -> Array:
    """Log p(all rows | mu, tau, nu) at N pairs of tau² and nu and M of mu: shape (N, M)."""
    table = np.empty((len(tau2), len(mu)))
    for value in np.unique(tau2):
        nodes = np.flatnonzero(tau2 == value)
        if value == 0:
            table[nodes] = _log_rows(evidence, mu, np.zeros(1))[..., 0].sum(axis=1)
            continue
        farthest2, is_open = _farthest2(evidence, mu)
        falling = np.zeros(len(nodes)) if is_open else nu[nodes]
        low = lowest_that_counts(falling, np.array(value), farthest2)
        for group in groups_of(nu[nodes]):
            here = nodes[group]
            found = mixing(nu[here], float(low[group].min()))
            step = max(1, _BLOCK // (evidence.k * len(found.log_lambda)))
            for start in range(0, len(mu), step):
                block = slice(start, start + step)
                table[here, block] = _mixed(evidence, mu[block], float(value), found)
    return table


def _mixed(evidence: Evidence, mu: Array, tau2: float, found: Mixing) -> Array:
    """Σ log Σ weights·p(row | mu, variance) over rows: (V, M)."""
    log_rows = _log_rows(evidence, mu, found.variances(tau2))
    with np.errstate(divide="ignore"):
        log_most = np.log(found.weights.max(axis=0))
    top = (log_rows + log_most).max(axis=2)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.exp(np.minimum(log_rows - top[:, :, None], 700.0))
    with np.errstate(divide="ignore"):
        total = np.log(scaled @ found.weights.T) + top[:, :, None]
    return np.asarray(total.sum(axis=1).T)


def _log_rows(evidence: Evidence, mu: Array, tau2: Array) -> Array:
    """Log p(row | mu, tau²) of every row: (M, k, L)."""
    exact = ~evidence.is_interval
    found = np.empty((len(mu), evidence.k, len(tau2)))
    variance = evidence.v[:, None] + tau2
    away = (evidence.y[exact] - mu[:, None])[:, :, None]
    at = variance[exact]
    found[:, exact] = -0.5 * (np.log(at) + _LOG_2PI + away**2 / at)
    for row in np.flatnonzero(evidence.is_interval):
        sd = np.sqrt(variance[row])
        ends = evidence.lower[row], evidence.upper[row]
        low, high = ((end - mu[:, None]) / sd for end in ends)
        found[:, row] = log_interval(low, high)
    return found


def _farthest2(evidence: Evidence, mu: Array) -> tuple[Array, bool]:
    """The square of the farthest that a row lies from a mu, plus the largest variance.

    And whether a row is a one-sided interval.
    """
    ends = np.where(evidence.is_interval, [evidence.lower, evidence.upper], evidence.y)
    is_open = not np.isfinite(ends).all()
    ends = ends[np.isfinite(ends)]
    away = max(float(np.abs(ends - mu.min()).max()), float(np.abs(ends - mu.max()).max()))
    return np.asarray(away**2 + float(evidence.v.max())), is_open
