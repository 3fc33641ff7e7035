"""The likelihood at the nodes: Gaussian sums that do not depend on the prior, and interval tables.

Given tau, exact rows are normal with variance v + tau², and the coefficients of the mean can be
integrated out when their priors are normal or flat. Interval rows contribute the probability of
their interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from metarho.engines.problem import Evidence
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
# Numbers held at once while going through nodes × studies in blocks (16 MB of doubles).
_BLOCK = 2_000_000
# Intervals narrower than this many sds are integrated by a rule; wider ones by the cdf.
_NARROW = 0.5
_TINY = float(np.finfo(float).tiny)
_RULE_NODES, _RULE_WEIGHTS = np.polynomial.legendre.leggauss(10)


@dataclass(frozen=True)
class Conditional:
    """The Gaussian part at each of T nodes: coefficients given tau, and what is left over.

    ``log_marginal`` (T), ``mean`` (T, p), ``covariance`` (T, p, p).
    """

    log_marginal: Array
    mean: Array
    covariance: Array


def gaussian(evidence: Evidence, matrix: Array, priors: Sequence[Prior], tau: Array) -> Conditional:
    """Integrate the coefficients out at each tau.

    With W = diag(1/(v + tau²)), prior precision P and prior mean m0 (P = 0 for Flat):
    precision Λ = XᵀWX + P, mean m = Λ⁻¹(XᵀWy + P m0), and

        log p(y | tau) = −½[k log 2π − Σ log w + rᵀWr + (m − m0)ᵀP(m − m0)]
                         + ½ log|P| − ½ log|Λ|   (each flat coefficient adds ½ log 2π)

    with residuals r = y − Xm. A point prior fixes its coefficient.
    """
    fixed = np.array([prior.is_point for prior in priors])
    offset = matrix[:, fixed] @ np.array([dict(p.arguments)["c"] for p in priors if p.is_point])
    y = evidence.y - offset
    x = matrix[:, ~fixed]
    free = [prior for prior in priors if not prior.is_point]
    is_flat = np.array([not prior.proper for prior in free], dtype=bool)
    precision = np.array(
        [0.0 if f else p.values["sigma"] ** -2 for p, f in zip(free, is_flat, strict=True)]
    )
    centre = np.array([0.0 if f else p.values["mu"] for p, f in zip(free, is_flat, strict=True)])
    count, p_free, p = len(tau), len(free), len(priors)
    log_marginal = np.empty(count)
    mean = np.zeros((count, p))
    covariance = np.zeros((count, p, p))
    mean[:, fixed] = np.array([prior.values["c"] for prior in priors if prior.is_point])
    step = max(1, _BLOCK // max(1, evidence.k * max(p_free, 1)))
    constant = 0.5 * (is_flat.sum() - evidence.k) * _LOG_2PI
    constant += 0.5 * np.log(precision[~is_flat]).sum()
    for start in range(0, count, step):
        block = slice(start, start + step)
        w = 1.0 / (evidence.v + tau[block, None] ** 2)
        weighted = w[:, :, None] * x
        lam = weighted.transpose(0, 2, 1) @ x + np.diag(precision)
        right = weighted.transpose(0, 2, 1) @ y + precision * centre
        m = np.linalg.solve(lam, right[:, :, None])[:, :, 0]
        residual = y - m @ x.T
        square = (w * residual**2).sum(axis=1) + ((m - centre) ** 2 * precision).sum(axis=1)
        log_det = np.linalg.slogdet(lam)[1]
        log_marginal[block] = constant + 0.5 * (np.log(w).sum(axis=1) - square - log_det)
        mean[block][:, ~fixed] = m
        inside = np.ix_(np.arange(count)[block], ~fixed, ~fixed)
        covariance[inside] = np.linalg.inv(lam)
    return Conditional(log_marginal, mean, covariance)


def log_likelihood_table(evidence: Evidence, mu: Array, tau: Array) -> Array:
    """Log p(all rows | mu, tau) at every pair of nodes: shape (T, M)."""
    is_exact = ~evidence.is_interval
    y, v = evidence.y[is_exact], evidence.v[is_exact]
    table = np.zeros((len(tau), len(mu)))
    step = max(1, _BLOCK // max(1, len(y)))
    for start in range(0, len(tau) if len(y) else 0, step):
        block = slice(start, start + step)
        w = 1.0 / (v + tau[block, None] ** 2)
        total = w.sum(axis=1)
        m = (w @ y) / total
        spread = (w * (y - m[:, None]) ** 2).sum(axis=1)
        constant = np.log(w).sum(axis=1) - len(y) * _LOG_2PI - spread
        table[block] = 0.5 * (constant[:, None] - total[:, None] * (mu - m[:, None]) ** 2)
    interval = evidence.is_interval
    ends = np.column_stack([evidence.lower, evidence.upper, evidence.v])[interval]
    # Rows with the same interval and n have one probability.
    for (lower, upper, variance), count in zip(
        *np.unique(ends, axis=0, return_counts=True), strict=True
    ):
        sd = np.sqrt(variance + tau**2)[:, None]
        table += count * log_interval((lower - mu) / sd, (upper - mu) / sd)
    return table


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
