"""The law of a weighted sum of squares of standard normals, Q = Σ λ_i e_i².

Its tails are integrals of the moment generating function M(s) = Π (1 − 2 λ_i s)^(−1/2),

    P(Q > q) = 1/(2πi) ∫ M(s) exp(−s q)/s ds

over a path that crosses the real axis between 0 and 1/(2 max λ); crossing below 0 it gives
−P(Q <= q). The path is a parabola through the saddle point, along which the integrand hardly
oscillates, run through in x = sinh(t), so that the trapezoidal rule converges geometrically. The
smaller tail is integrated: both keep their digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

# Steps in t leave 1e-13 of either tail of chi-squared laws from 1 to 60 degrees of freedom; at the
# last one exp(−s q) is below exp(−700) however little the path bends.
_STEP, _LAST, _LEAST_BEND = 0.04, 5.6, 0.05
_ROUNDS = 200
# Factors multiplied before their logarithm is taken: at 1e15 each, within what numbers hold.
_FACTORS = 16
# Points held at once: what fits a processor's cache.
_BLOCK = 10_000


def tails(q: float, weights: Array) -> tuple[Array, Array]:
    """P(Q <= q) and P(Q > q) for each of N sets of weights (N, m), all positive, m >= 1."""
    below, above = np.empty(len(weights)), np.empty(len(weights))
    t = np.arange(0.5 * _STEP, _LAST, _STEP)
    step = max(1, _BLOCK // len(t))
    for start in range(0, len(weights), step):
        block = slice(start, start + step)
        # In units of the largest weight.
        unit = weights[block].max(axis=1)
        scaled, x = weights[block] / unit[:, None], q / unit
        lower = x < scaled.sum(axis=1)
        tail = _smaller_tail(x, scaled, lower, t)
        below[block] = np.where(lower, tail, 1 - tail)
        above[block] = np.where(lower, 1 - tail, tail)
    return below, above


def _smaller_tail(q: Array, weights: Array, lower: NDArray[np.bool_], t: Array) -> Array:
    c = _saddle(q, weights, lower)
    at = 1 - 2 * weights * c[:, None]
    second = (2 * (weights / at) ** 2).sum(axis=1) + 1 / c**2
    third = (8 * (weights / at) ** 3).sum(axis=1) - 2 / c**3
    # The path of steepest descent bends so at the saddle; it must open to the right.
    bend = np.maximum(third / (6 * second), _LEAST_BEND * np.sqrt(second))
    scale = 1 / np.sqrt(second)
    x = scale[:, None] * np.sinh(t)
    with np.errstate(over="ignore", invalid="ignore"):
        s = np.asarray(c[:, None] + 1j * x + bend[:, None] * x**2, dtype=np.complex128)
        log_m = _log_generating(weights, s)
        value = np.exp(log_m - s * q[:, None]) / s * (1 - 2j * bend[:, None] * x)
        value = value * scale[:, None] * np.cosh(t)
    # Both halves of the path are conjugate.
    total = np.nan_to_num(value).real.sum(axis=1) * _STEP / np.pi
    return np.asarray(np.clip(np.where(lower, -total, total), 0.0, 1.0))


def _log_generating(weights: Array, s: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Log M at points above the real axis (N, t), but for multiples of 2πi.

    One logarithm for a few factors: that of each has its phase in (−π, 0), so their product passes
    the logarithm's cut exactly where it was below the real axis and no longer is.
    """
    log_m = np.zeros_like(s)
    for start in range(0, weights.shape[1], _FACTORS):
        product, passed = np.ones_like(s), np.zeros(s.shape, int)
        for weight in weights[:, start : start + _FACTORS].T:
            below = product.imag < 0
            product *= 1 - 2 * weight[:, None] * s
            passed += below & (product.imag >= 0)
        log_m -= 0.5 * np.log(product) - 1j * np.pi * passed
    return log_m


def _saddle(q: Array, weights: Array, lower: NDArray[np.bool_]) -> Array:
    """Where M(s) exp(−s q)/|s| is least: below 0 for the lower tail, else in (0, 1/2)."""
    m = weights.shape[1]
    # Below 0 the slope is positive at most this far out: −q + Σ λ/(1 − 2 λ s) − 1/s.
    low = np.where(lower, -(m + 2) / np.maximum(q, 1e-300), 0.0)
    high = np.where(lower, 0.0, 0.5)
    for _ in range(_ROUNDS):
        c = 0.5 * (low + high)
        slope = (weights / (1 - 2 * weights * c[:, None])).sum(axis=1) - q - 1 / c
        low, high = np.where(slope < 0, c, low), np.where(slope < 0, high, c)
        if np.all(high - low <= 1e-6 * np.abs(c)):
            break
    return np.asarray(0.5 * (low + high))
