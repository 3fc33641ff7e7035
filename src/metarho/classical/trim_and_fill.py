"""Trim and fill: the studies that would make a funnel symmetric (metafor's ``trimfill``).

Duval & Tweedie 2000 (10.1111/j.0006-341X.2000.00455.x, 10.1080/01621459.2000.10473905).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metarho.classical.effects import Effects, NotEstimableError, effects_of_arrays
from metarho.classical.heterogeneity import Method
from metarho.classical.random_effects import RandomEffects, Test, rma

type Array = NDArray[np.float64]
type Estimator = Literal["L0", "R0", "Q0"]
type Side = Literal["left", "right"]

# The iteration settles or goes round within a few steps.
_MOST_STEPS = 100
# A distance from the centre in units of the largest effect that is rounding and nothing else.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class TrimFill:
    """How many studies are missing on which side, and the fit with them filled in."""

    estimator: Estimator
    side: Side
    k0: int
    se_k0: float
    p_k0: float | None
    """P of so many by R0's law if none is missing (R0 only)."""
    filled_y: Array
    filled_v: Array
    fit: RandomEffects


def trimfill(
    effects: Effects,
    *,
    method: Method = "REML",
    test: Test = "z",
    estimator: Estimator = "L0",
    side: Side | None = None,
    prob: float = 0.95,
) -> TrimFill:
    """Trim the far side until the number that is missing settles, then fill in its mirror images.

    ``side`` is where studies are missing: by default left where effects grow with their standard
    errors, else right. Moderators and several effects a study are not looked at.

    Raises NotEstimableError with fewer than three effects, and where the number does not settle.
    """
    if effects.k < 3:
        raise NotEstimableError(
            f"{effects.k} {'effect is' if effects.k == 1 else 'effects are'} too few to see "
            "whether a funnel is symmetric"
        )
    effects = effects.without_moderators()
    side = _side(effects, method) if side is None else side
    sign = -1.0 if side == "right" else 1.0
    order = np.argsort(sign * effects.y, kind="stable")
    y, v = sign * effects.y[order], effects.v[order]
    k0, se_k0, centre = _missing(y, v, method, estimator)
    last = slice(effects.k - k0, effects.k)
    filled_y, filled_v = sign * (2 * centre - y[last]), v[last]
    whole = effects_of_arrays(
        np.concatenate([effects.y, filled_y]), np.concatenate([effects.v, filled_v])
    )
    p_k0 = 0.5 ** (k0 + 1) if estimator == "R0" else None
    fit = rma(whole, method=method, test=test, prob=prob)
    return TrimFill(estimator, side, k0, se_k0, p_k0, filled_y, filled_v, fit)


def _side(effects: Effects, method: Method) -> Side:
    sei = np.sqrt(effects.v)
    if np.ptp(sei) <= 1e-9 * sei.max():
        return "left"
    slope = rma(effects.on(sei, "sei"), method=method).coefficients.estimate[1]
    return "right" if slope < 0 else "left"


def _missing(y: Array, v: Array, method: Method, estimator: Estimator) -> tuple[int, float, float]:
    """How many of the sorted effects have no mirror image, its standard error, and the centre."""
    k, k0 = len(y), 0
    for _ in range(_MOST_STEPS):
        kept = effects_of_arrays(y[: k - k0], v[: k - k0])
        centre = float(rma(kept, method=method).coefficients.estimate[0])
        centred = y - centre
        # Effects that are equal lie at their centre, not on a side of it by rounding.
        centred[np.abs(centred) <= _ROUNDING * np.abs(y).max()] = 0.0
        asked, (k0, se_k0) = k0, _count(centred, estimator)
        # Two are needed to be a centre.
        k0 = min(k0, k - 2)
        if k0 == asked:
            return k0, se_k0, centre
    raise NotEstimableError(f"the number of missing effects ({estimator}) does not settle")


def _count(centred: Array, estimator: Estimator) -> tuple[int, float]:
    """The estimator of the number missing on the left, from signed ranks, and its se."""
    k = len(centred)
    ranks = np.empty(k)
    ranks[np.argsort(np.abs(centred), kind="stable")] = np.arange(1, k + 1)
    if estimator == "R0":
        # The run of the largest that lie above the centre: one at it ends the run.
        found = k - max(ranks[centred <= 0], default=0.0) - 1
        return max(0, round(found)), math.sqrt(2 * max(0.0, found) + 2)
    s = float(ranks[centred > 0].sum())
    if estimator == "L0":
        found = (4 * s - k * (k + 1)) / (2 * k - 1)
        spread = 4 * math.sqrt(max(_variance(k, found), 0.0)) / (2 * k - 1)
    else:
        found = k - 0.5 - math.sqrt(max(2 * k**2 - 4 * s + 0.25, 0.0))
        inside = max((k - 0.5) ** 2 - found * (2 * k - found - 1), 1e-300)
        spread = 2 * math.sqrt(max(_variance(k, found), 0.0)) / math.sqrt(inside)
    return max(0, round(found)), spread


def _variance(k: int, k0: float) -> float:
    """The variance of the sum of positive ranks with k0 missing."""
    return (
        k * (k + 1) * (2 * k + 1)
        + 10 * k0**3
        + 27 * k0**2
        + 17 * k0
        - 18 * k * k0**2
        - 18 * k * k0
        + 6 * k**2 * k0
    ) / 24
