"""How far apart two posteriors of one quantity are.

Source: Roos, Martins, Held, Rue 2015, Bayesian Analysis 10(2), 10.1214/14-BA909; Ott, Plummer,
Roos 2021, Statistics in Medicine, 10.1002/sim.9076.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from metarho.compare.integrals import integral
from metarho.posterior.marginals import Marginal, Point

type Array = NDArray[np.float64]

# Shares of the mass on either side at which panels begin and end. What lies beyond the first, in
# both, adds at most 1e-14 to the square.
_SHARES = (1e-14, 1e-7, 1e-3, 0.1)
# Beyond them panels grow in these multiples of the last stretch, as far as the other posterior
# goes: √p falls slower than p, and panels of a wide posterior would miss the tail of a narrow one.
_BEYOND = (0.5, 2.0, 8.0, 32.0)
# A distance H moves by the error of H² over 2H: so much of H is allowed to a panel of H².
_ALLOWED = 1e-10
# Where both are nearly the same H² is rounding error: below 1e-9 no digit of H is asked.
_LEAST = 1e-18


def hellinger(first: Marginal, second: Marginal) -> float:
    """H = √(1 − ∫ √(p q)) = √(½ ∫ (√p − √q)²), from 0 (the same) to 1 (nothing in common).

    Both are on one scale; an increasing transformation of both leaves H as it is. Integrated in
    the second form, which keeps its digits near 0. A point has distance 0 to itself and 1 to
    everything else. NaN where one of them is unknown.
    """
    if isinstance(first, Point) or isinstance(second, Point):
        return 0.0 if first == second else 1.0
    breaks = np.concatenate([_breaks(first), _breaks(second)])
    if not np.isfinite(breaks).all():
        return math.nan
    ends = [both.range(_SHARES[0]) for both in (first, second)]
    inside = (breaks >= np.min(ends)) & (breaks <= np.max(ends))

    def apart(x: Array) -> Array:
        # Between nodes a polynomial may fall below 0 by its rounding.
        p, q = (np.maximum(both.density(x), 0.0) for both in (first, second))
        return np.asarray(0.5 * (np.sqrt(p) - np.sqrt(q)) ** 2)

    square = integral(
        apart, breaks[inside].tolist(), lambda total: _ALLOWED * math.sqrt(total) + _LEAST
    )
    return math.sqrt(min(square, 1.0))


def _breaks(marginal: Marginal) -> Array:
    """Quantiles from end to end, and points beyond."""
    low, high = np.array([marginal.range(share) for share in _SHARES]).T
    beyond = np.array(_BEYOND)
    width = high[-1] - low[-1]
    return np.concatenate(
        [
            low,
            high,
            low[0] - beyond * (low[1] - low[0]),
            high[0] + beyond * (high[0] - high[1]),
            low[-1] - _decades(width, low[-1] - low[0]),
            high[-1] + _decades(width, high[0] - high[-1]),
        ]
    )


def _decades(width: float, length: float) -> Array:
    """Steps into a tail that is many times as long as the middle: a panel would pass its mass."""
    if not (width > 0 and math.isfinite(length)):
        return np.array([])
    return np.asarray(width * 10.0 ** np.arange(math.log10(max(length / width, 1.0))))
