"""Many draws at once by inversion of densities that lie on the same panels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.panels import Axis, legendre

type Array = NDArray[np.float64]


def invert_rows(axis: Axis, density: Array, share: Array) -> tuple[NDArray[np.intp], Array]:
    """Panel and place in it where each row's cdf reaches its share, by bisection; atoms: index."""
    if axis.is_atoms:
        reached = np.cumsum(density, axis=1)
        index = (reached < share[:, None] * reached[:, -1:]).sum(axis=1)
        return index.astype(np.intp), np.zeros(len(share))
    running, starts = axis.running(density)
    target = share * starts[:, -1]
    panel = np.clip((starts <= target[:, None]).sum(axis=1) - 1, 0, axis.panels - 1)
    rows = np.arange(len(density))
    within, start = running[rows, panel], starts[rows, panel]
    low, high = np.full(len(density), -1.0), np.full(len(density), 1.0)
    for _ in range(50):
        middle = 0.5 * (low + high)
        # Summed row by row, so that a row's numbers do not depend on how many there are.
        reached = start + (within * legendre(middle, axis.order + 1)).sum(axis=1)
        low, high = (
            np.where(reached < target, middle, low),
            np.where(reached < target, high, middle),
        )
    return panel, high
