"""The probability of an interval, for one estimate and for several tests that a word sums up.

Of m estimates of one true effect with errors of variance v that correlate by c, a part c·v of the
variance is shared and (1 − c)·v is each one's own. Given x, the effect with the shared error, they
are independent, so that with p(x) = P(lower < Normal(x, (1 − c)v) < upper)

    P(all in the interval) = ∫ N(x; mu, tau² + c·v) p(x)^m dx,
    P(any in the interval) = ∫ N(x; mu, tau² + c·v) [1 − (1 − p(x))^m] dx.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp

type Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
# Intervals narrower than this many sds are integrated by a rule; wider ones by the cdf.
_NARROW = 0.5
_TINY = float(np.finfo(float).tiny)
_RULE_NODES, _RULE_WEIGHTS = np.polynomial.legendre.leggauss(10)
# Below this log p, 1 − (1 − p)^m is m·p to double precision.
_RARE = -37.0
# The trapezoidal rule in steps of this many sds of the integrand leaves exp(−(2π/0.8)²/2), 4e-14;
# it ends where a normal law has less than that left.
_STEP, _SDS = 0.8, 8.5
# Numbers held at once (16 MB of doubles).
_BLOCK = 2_000_000


def log_interval(lower: Array, upper: Array) -> Array:
    """log(Φ(upper) − Φ(lower)), accurate in both tails and for narrow intervals."""
    lower, upper = np.broadcast_arrays(lower, upper)
    if not np.isfinite(upper).any():
        return np.asarray(log_ndtr(-lower))
    if not np.isfinite(lower).any():
        return np.asarray(log_ndtr(upper))
    # Both ends to the side of the mean where the normal tail is small.
    flip = lower + upper > 0
    a = np.where(flip, -upper, lower)
    b = np.where(flip, -lower, upper)
    narrow = (b - a) * np.maximum(np.abs(a), 1.0) < _NARROW
    result = np.empty(a.shape)
    wide = ~narrow
    log_b = log_ndtr(b[wide])
    # So far out that both ends round to one number, an interval keeps the order of its density.
    share = np.maximum(-np.expm1(log_ndtr(a[wide]) - log_b), _TINY)
    result[wide] = log_b + np.log(share)
    if narrow.any():
        middle, half = 0.5 * (a[narrow] + b[narrow]), 0.5 * (b[narrow] - a[narrow])
        # ∫φ over [m − h, m + h] = φ(m) h Σ w exp(−h t m − h² t²/2)
        shift = half[:, None] * _RULE_NODES
        inside = np.exp(-shift * middle[:, None] - 0.5 * shift**2) @ _RULE_WEIGHTS
        mass = np.maximum(half * inside, _TINY)
        result[narrow] = -0.5 * (middle**2 + _LOG_2PI) + np.log(mass)
    return result


def log_several(lower: Array, upper: Array, tests: int, means: str) -> Array:
    """Log P(all, or any, of ``tests`` independent estimates in an interval), ends in their sd."""
    log_one = log_interval(lower, upper)
    if means == "all":
        return tests * log_one
    with np.errstate(divide="ignore"):
        none = tests * np.log1p(-np.exp(np.minimum(log_one, 0.0)))
        log_any = np.log(-np.expm1(none))
    return np.where(log_one < _RARE, math.log(tests) + log_one, log_any)


def log_several_shared(
    ends: tuple[float, float],
    mean: Array,
    own: float,
    shared: Array,
    tests: int,
    means: str,
) -> Array:
    """The same for estimates around a mean, with variance ``own`` each and ``shared`` in common.

    ``mean`` and ``shared`` broadcast. By the trapezoidal rule over the shared part, whose law
    times the chance given it is log-concave, curved at least as that law and at most as it and
    the law of the estimates' mean together.
    """
    mean, shared = np.broadcast_arrays(mean, shared)
    sd = math.sqrt(own)
    if not shared.any():
        return log_several((ends[0] - mean) / sd, (ends[1] - mean) / sd, tests, means)
    centre, spread = mean.ravel(), np.sqrt(shared.ravel())
    pull = _pull(ends, centre, sd, spread, tests)
    low = np.minimum(centre, centre + pull) - _SDS * spread
    length = np.abs(pull) + 2 * _SDS * spread
    needed = length / (_STEP * spread) * np.sqrt(1 + spread**2 * tests / own)
    # Numbers of nodes in powers of √2, so that many means share a rule.
    size = np.ceil(2 * np.log2(needed))
    found = np.empty(len(centre))
    for power in np.unique(size):
        here, nodes = np.flatnonzero(size == power), math.ceil(2 ** (power / 2)) + 1
        block = max(1, _BLOCK // nodes)
        for some in (here[start : start + block] for start in range(0, len(here), block)):
            step = (length[some] / (nodes - 1))[:, None]
            x = low[some, None] + step * np.arange(nodes)
            inside = log_several((ends[0] - x) / sd, (ends[1] - x) / sd, tests, means)
            away = (x - centre[some, None]) / spread[some, None]
            log_weight = np.log(step[:, 0] / spread[some]) - 0.5 * _LOG_2PI
            found[some] = logsumexp(inside - 0.5 * away**2, axis=1) + log_weight
    return found.reshape(mean.shape)


def _pull(ends: tuple[float, float], mean: Array, sd: float, spread: Array, tests: int) -> Array:
    """At most how far from the mean, and in which direction, the integrand has its mode.

    Not beyond where the chance is certain, or largest; nor further than its slope at the mean
    takes it, for z sds from the interval the log of a normal law's slopes by at most z + 1.
    """
    low, high = ends
    middle = 0.5 * (low + high) if math.isfinite(low + high) else math.nan
    surest = np.clip(mean, np.fmin(low + _SDS * sd, middle), np.fmax(high - _SDS * sd, middle))
    away = np.maximum(np.maximum(low - mean, mean - high), 0.0) / sd
    furthest = spread**2 * tests * (away + 1) / sd
    return np.clip(surest - mean, -furthest, furthest)
