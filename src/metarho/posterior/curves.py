"""Many densities on one axis at once: their cdfs and quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.inversion import invert_rows
from metarho.engines.exact.panels import Axis, legendre

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """C densities on panels, by their ``mass`` (C, M) at the axis' nodes."""

    axis: Axis
    mass: Array

    def cdf(self, x: Array) -> Array:
        """The mass of each below its x (C)."""
        count = len(self.mass)
        panel, place = self.axis.locate(np.broadcast_to(np.asarray(x, dtype=float), count))
        within, starts = self.axis.running(self._in_u)
        rows = np.arange(count)
        basis = legendre(place, self.axis.order + 1)
        reached = starts[rows, panel] + np.einsum("cn,cn->c", within[rows, panel], basis)
        return np.asarray(np.clip(reached / starts[:, -1], 0, 1))

    def quantile(self, share: float) -> Array:
        """Where each has a share of its mass below (C)."""
        shares = np.full(len(self.mass), share)
        return np.asarray(self.axis.at(*invert_rows(self.axis, self._in_u, shares)))

    @cached_property
    def _in_u(self) -> Array:
        return self.axis.density_in_u(self.mass)
