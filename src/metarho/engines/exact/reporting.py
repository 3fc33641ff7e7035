"""The likelihood where what is reported depends on the result beyond the interval it prints.

With c a row's critical |y|, P_in = P(|y| < c | mu, v + tau²) and "in" for not significant results:

- no row at all: a row appears with a chance in proportion to omega if it is in, else 1. Each row
  gains w/A, w = omega or 1 and A = omega·P_in + 1 − P_in: a step function with one two-sided step.
- no number: a result that is in prints a number with chance expit(a + delta·y/c). Numbers that are
  in gain that factor, and words "not significant" are

      ∫_{−c}^{c} N(y; mu, v + tau²) (1 − expit(a + delta·y/c)) dy.

  expit(a), the chance at y = 0, is uniform before data, and integrated out over all rows together.
  Whether a significant result prints a number depends on nothing else, and cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, logsumexp

from metarho.engines.exact.intervals import log_interval
from metarho.engines.exact.likelihood import log_likelihood_table
from metarho.engines.problem import Evidence, Reporting

type Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
# The trapezoidal rule over a ends where factors have fallen by exp(−32). Its steps are at most 0.75
# of the least sd of the integrand, whose log is curved by (rows + 2)/4 at most, and so fine that
# its poles, at a distance of π, do not count: with 13 rows it leaves 1e-12.
_STEP, _SDS, _FALLEN = 0.4, 0.75, 32.0
# Gauss nodes of y for a step of no slope, and more for each unit of delta.
_NODES, _MORE = 24, 4
# Numbers held at once (16 MB of doubles).
_BLOCK = 2_000_000


def log_likelihood_table_reported(
    evidence: Evidence, reporting: Reporting, mu: Array, tau2: Array
) -> Array:
    """Log p(all rows | mu, tau) at N values of tau² and M of mu: shape (N, M)."""
    zero, words = np.zeros(len(tau2)), evidence.is_not_significant & evidence.is_interval
    if reporting.delta == 0.0:
        # The chance of a number is then one for all: a constant.
        table = log_likelihood_table(evidence, mu, zero, tau2)
    else:
        table = log_likelihood_table(evidence.only(~words), mu, zero, tau2)
        table = table + _log_printed(evidence, words, reporting.delta, mu, tau2)
    if reporting.omega != 1.0:
        table = table + _log_appeared(evidence, reporting.omega, mu, tau2)
    return np.asarray(table)


def _log_appeared(evidence: Evidence, omega: float, mu: Array, tau2: Array) -> Array:
    """Σ log w/A: (N, M)."""
    table = np.full((len(tau2), len(mu)), float(np.log(omega)) * evidence.is_not_significant.sum())
    kinds, counts = np.unique(
        np.column_stack([evidence.critical, evidence.v]), axis=0, return_counts=True
    )
    for (critical, v), count in zip(kinds, counts, strict=True):
        sd = np.sqrt(v + tau2)[:, None]
        inside = np.exp(log_interval((-critical - mu) / sd, (critical - mu) / sd))
        table -= count * np.log1p(-(1 - omega) * inside)
    for row in np.flatnonzero(evidence.is_interval & ~evidence.is_not_significant):
        # A range, or a word at its own level, may reach into both.
        low, high = float(evidence.lower[row]), float(evidence.upper[row])
        ends = max(low, -evidence.critical[row]), min(high, evidence.critical[row])
        if ends[0] < ends[1]:
            sd = np.sqrt(evidence.v[row] + tau2)[:, None]
            inside = log_interval((ends[0] - mu) / sd, (ends[1] - mu) / sd)
            whole = log_interval((low - mu) / sd, (high - mu) / sd)
            table += np.log1p(-(1 - omega) * np.exp(np.minimum(inside - whole, 0.0)))
    return table


@dataclass(frozen=True)
class _Words:
    """The "not significant" of one n: nodes of y in their band, and their log chance of a word."""

    v: float
    count: int
    y: Array
    log_word: Array


def _log_printed(
    evidence: Evidence, words: NDArray[np.bool_], delta: float, mu: Array, tau2: Array
) -> Array:
    """Log of the words' chances and the numbers' factors, a integrated out: (N, M)."""
    numbers = evidence.is_not_significant & ~evidence.is_interval
    far = 2 + abs(delta)
    low, high = -_FALLEN / (1 + numbers.sum()) - far, _FALLEN / (1 + words.sum()) + far
    step = min(_STEP, 2 * _SDS / np.sqrt(2 + numbers.sum() + words.sum()))
    a = np.arange(low, high, step)
    position = evidence.y[numbers] / evidence.critical[numbers]
    # The density of a under a uniform chance, with the step.
    log_weight = log_expit(a) + log_expit(-a) + np.log(step)
    log_weight = log_weight + log_expit(a[:, None] + delta * position).sum(axis=1)
    kinds = _kinds(evidence, words, delta, a)
    table = np.empty((len(tau2), len(mu)))
    length = max(1, _BLOCK // (len(mu) * (len(a) + _NODES + int(_MORE * abs(delta)))))
    for start in range(0, len(tau2), length):
        block = slice(start, start + length)
        total = np.broadcast_to(log_weight, (len(tau2[block]), len(mu), len(a))).copy()
        for kind in kinds:
            variance = (kind.v + tau2[block])[:, None, None]
            log_y = -0.5 * (_LOG_2PI + np.log(variance) + (kind.y - mu[:, None]) ** 2 / variance)
            top = log_y.max(axis=2, keepdims=True)
            mass = np.exp(log_y - top) @ np.exp(kind.log_word)
            total += kind.count * (np.log(mass) + top)
        table[block] = logsumexp(total, axis=2)
    return table


def _kinds(evidence: Evidence, words: NDArray[np.bool_], delta: float, a: Array) -> list[_Words]:
    """Words of one n once, with their number."""
    ends = np.column_stack([evidence.critical, evidence.v])[words]
    nodes, weights = np.polynomial.legendre.leggauss(_NODES + int(_MORE * abs(delta)))
    log_word = log_expit(-(a + delta * nodes[:, None]))
    return [
        _Words(float(v), int(count), critical * nodes,
               log_word + np.log(critical * weights)[:, None])
        for (critical, v), count in zip(
            *np.unique(ends, axis=0, return_counts=True), strict=True
        )
    ]  # fmt: skip
