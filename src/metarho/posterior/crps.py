"""The continuous ranked probability score of a law with a cdf.

Matheson and Winkler (1976, 10.1287/mnsc.22.10.1087).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.panels import Axis

type Array = NDArray[np.float64]

# Where tanh is 1.
_FARTHEST_Z = 19.0
# Panels of 16 nodes resolved to this are integrated to its square and better.
_ORDER, _WIDTH, _TOLERANCE, _ROUNDS = 16, 1.2, 1e-5, 40


def crps(
    cdf: Callable[[Array], Array],
    observed: float,
    ends: tuple[float, float],
    unit: float,
    *,
    on_r: bool,
) -> float:
    """∫ (F − 1{y >= observed})² dr, r = tanh(y) with ``on_r``, else y itself.

    ``ends`` are where the law of y may be taken to begin and end, ``unit`` is about its sd. On
    panels that begin at what was observed, where the integrand jumps, and are halved while it is
    not resolved on them.
    """
    low, high = ends
    if on_r:
        low, high = max(low, -_FARTHEST_Z), min(high, _FARTHEST_Z)
    below = _cuts(math.asinh(max(observed - low, 0.0) / unit))
    breaks = np.concatenate([-below[:0:-1], _cuts(math.asinh(max(high - observed, 0.0) / unit))])
    total = 0.0
    for _ in range(_ROUNDS):
        axis = Axis("sinh", observed, unit, breaks, _ORDER)
        share = cdf(axis.nodes)
        in_u = np.where(axis.u > 0, 1 - share, share) ** 2 * axis.slope(axis.u)
        if on_r:
            in_u = in_u / np.cosh(axis.nodes) ** 2
        terms = axis.coefficients(in_u) * axis.widths[:, None]
        total = float(terms[:, 0].sum())
        split = np.abs(terms[:, -3:]).sum(axis=1) > _TOLERANCE * total
        if not split.any():
            break
        breaks = np.union1d(breaks, 0.5 * (breaks[:-1] + breaks[1:])[split])
    return total


def _cuts(end: float) -> Array:
    """Breaks from 0 to an end."""
    count = math.ceil(end / _WIDTH)
    return np.asarray(np.arange(count + 1) * (end / max(count, 1)))
