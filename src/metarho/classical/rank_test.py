"""Begg and Mazumdar's rank correlation of effects with their variances (metafor's ``ranktest``).

Begg & Mazumdar 1994 (10.2307/2533446); Kendall 1938 (10.1093/biomet/30.1-2.81). As scipy.stats has
Kendall's test, which takes longer to load than all else here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.classical.effects import Effects, NotEstimableError
from metarho.classical.random_effects import rma
from metarho.classical.wald import two_sided

type Array = NDArray[np.float64]

# As R's cor.test has it: from here on the normal law is near enough.
_EXACT_BELOW = 50


@dataclass(frozen=True)
class RankTest:
    """Kendall's tau-b and its two-sided p, by the permutation law (``exact``) or the normal one."""

    tau: float
    pval: float
    exact: bool


def ranktest(effects: Effects) -> RankTest:
    """Kendall's tau of (y − m)/√(v − 1/Σw) with v; m is the common effect at weights w = 1/v.

    The p is exact with fewer than 50 effects without ties, else normal with the variance of ties.

    Raises NotEstimableError with fewer than three effects, and where all effects or all variances
    are the same.
    """
    if effects.k < 3:
        raise NotEstimableError(
            f"{effects.k} {'effect has' if effects.k == 1 else 'effects have'} no order to test"
        )
    effects = effects.without_moderators()
    common = rma(effects, method="EE").coefficients
    distance = effects.y - common.estimate[0]
    # Effects that are equal are tied, not ordered by rounding.
    distance[np.abs(distance) <= 1e-12 * np.abs(effects.y).max()] = 0.0
    return kendall(distance / np.sqrt(effects.v - common.vb[0, 0]), effects.v)


def kendall(a: Array, b: Array) -> RankTest:
    """Kendall's tau-b of two orders (k each), with its test against none.

    Raises NotEstimableError where one of them has no order.
    """
    k = len(a)
    # Concordant pairs less discordant ones; a row at a time, for k may be large.
    s = sum(
        int((np.sign(a[row + 1 :] - a[row]) * np.sign(b[row + 1 :] - b[row])).sum())
        for row in range(k - 1)
    )
    ties = [np.unique(one, return_counts=True)[1].astype(float) for one in (a, b)]
    pairs = k * (k - 1) / 2
    untied = [pairs - float((t * (t - 1)).sum()) / 2 for t in ties]
    if min(untied) == 0:
        raise NotEstimableError("all effects, or all variances, are the same: there is no order")
    tau = s / math.sqrt(untied[0] * untied[1])
    if untied == [pairs, pairs] and k < _EXACT_BELOW:
        return RankTest(tau, _exact_p(s, k), True)
    return RankTest(tau, float(two_sided(s / math.sqrt(_variance(k, ties)), None)), False)


def _exact_p(s: int, k: int) -> float:
    """P(|S| at least as large) if all k! orders are as likely, by counting inversions."""
    share = np.ones(1)
    for n in range(2, k + 1):
        share = np.convolve(share, np.full(n, 1 / n))
    most = k * (k - 1) // 2
    tail = share[: (most - abs(s)) // 2 + 1].sum()
    return min(1.0, 2 * float(tail))


def _variance(k: int, ties: list[Array]) -> float:
    """The variance of S if there is no relation, given the sizes of ties (Kendall 1970)."""
    one = [float((t * (t - 1)).sum()) for t in ties]
    two = [float((t * (t - 1) * (t - 2)).sum()) for t in ties]
    five = [float((t * (t - 1) * (2 * t + 5)).sum()) for t in ties]
    plain = (k * (k - 1) * (2 * k + 5) - sum(five)) / 18
    return (
        plain + one[0] * one[1] / (2 * k * (k - 1)) + two[0] * two[1] / (9 * k * (k - 1) * (k - 2))
    )
