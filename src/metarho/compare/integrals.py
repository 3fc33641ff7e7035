"""One-dimensional integrals to a stated error, between breaks that the caller knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

_COARSE = np.polynomial.legendre.leggauss(12)
_FINE = np.polynomial.legendre.leggauss(20)
# Halving a panel a hundred times passes 30 orders of magnitude: more than any tail asks.
_MOST_ROUNDS = 100


def integral(
    function: Callable[[Array], Array],
    breaks: Sequence[float],
    allowed: Callable[[float], float],
) -> float:
    """∫ function between the first and the last of the breaks.

    Every panel is halved until Gauss–Legendre rules of 12 and 20 nodes differ by no more than
    ``allowed``, a function of the integral so far; the error of the finer rule is far below that.
    """
    edges = np.unique(np.asarray(breaks, dtype=float))
    low, high = edges[:-1], edges[1:]
    done = 0.0
    for _ in range(_MOST_ROUNDS):
        coarse, fine = (_panels(function, low, high, *rule) for rule in (_COARSE, _FINE))
        total = done + float(fine.sum())
        middle = low + 0.5 * (high - low)
        # A panel between neighbouring doubles has no middle.
        wrong = (np.abs(fine - coarse) > allowed(total)) & (low < middle) & (middle < high)
        done += float(fine[~wrong].sum())
        if not wrong.any():
            return done
        low, high, middle = low[wrong], high[wrong], middle[wrong]
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    return done + float(_panels(function, low, high, *_FINE).sum())


def _panels(
    function: Callable[[Array], Array], low: Array, high: Array, nodes: Array, weights: Array
) -> Array:
    """The integral over each panel."""
    half = 0.5 * (high - low)
    x = low[:, None] + half[:, None] * (1 + nodes)
    return np.asarray(half * (function(x.ravel()).reshape(x.shape) @ weights))
