"""Many mixtures of normals at once: their cdfs, and quantiles by Newton's method.

The posteriors of one body of evidence under thousands of priors are thousands of small mixtures.
One at a time they cost Python's own time; here a step of Newton's method is one for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

type Array = NDArray[np.float64]

_SQRT_2PI = math.sqrt(2 * math.pi)
# Numbers at once: what stays in the processor's cache.
_BLOCK = 65_536
# From a share so near, one step of Newton's ends in rounding.
_NEAR = 1e-12
_MOST_STEPS = 200
# Beyond, a component of a normal mixture has nothing that double precision shows.
_SDS = 40.0


@dataclass(frozen=True)
class NormalMixtures:
    """C mixtures of up to J normals: ``mass``, ``mean`` and ``sd`` (C, J), sds positive.

    The masses of each sum to 1; shorter ones end in masses of 0.
    """

    mass: Array
    mean: Array
    sd: Array

    @classmethod
    def of(cls, parts: Sequence[tuple[Array, Array, Array]]) -> NormalMixtures:
        """From (mass, mean, sd) of each mixture."""
        longest = max(len(mass) for mass, _, _ in parts)
        mass, mean = np.zeros((len(parts), longest)), np.zeros((len(parts), longest))
        sd = np.ones((len(parts), longest))
        for index, (own_mass, own_mean, own_sd) in enumerate(parts):
            count = len(own_mass)
            mass[index, :count], mean[index, :count], sd[index, :count] = own_mass, own_mean, own_sd
        return cls(mass / mass.sum(axis=1, keepdims=True), mean, sd)

    def cdf(self, x: Array) -> Array:
        """The mass of each below its x (C)."""
        x = np.broadcast_to(np.asarray(x, dtype=float), len(self.mass))
        # Rounding of the sum may exceed 1, and its complement would be no probability.
        return np.clip(self._at(x, np.arange(len(self.mass)))[0], 0, 1)

    def quantile(self, share: float) -> Array:
        """Where each has a share of its mass below (C).

        Newton's method within brackets that it narrows, in u with x = centre + scale·sinh(u), so
        that ends far out are near; the first guess is that of a normal law.
        """
        centre, scale, low, high = (part.copy() for part in self._frame)
        u = np.clip(np.arcsinh(np.full(len(low), ndtri(share))), low, high)
        left = np.arange(len(low))
        for _ in range(_MOST_STEPS):
            at, width = u[left], scale[left]
            x = centre[left] + width * np.sinh(at)
            below, density = self._at(x, left)
            gap = below - share
            low[left] = np.where(gap < 0, at, low[left])
            high[left] = np.where(gap < 0, high[left], at)
            slope = density * width * np.cosh(at)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                new = at - gap / slope
            near = np.abs(gap) <= _NEAR
            inside = (new > low[left]) & (new < high[left])
            # Where it is found, rounding may put the step beyond a bracket that ends there.
            new = np.where(inside, new, np.where(near, at, 0.5 * (low[left] + high[left])))
            u[left] = new
            # A bracket that rounding has closed is as good as a short step: on x, for a narrow part
            # may lie between numbers that are alike on the scale of the whole.
            told_apart = 2 * np.spacing(np.abs(centre[left]) + np.abs(x))
            shut = width * np.cosh(at) * (high[left] - low[left]) <= told_apart
            left = left[~(shut | near)]
            if not len(left):
                break
        return np.asarray(centre + scale * np.sinh(u))

    @cached_property
    def _frame(self) -> tuple[Array, Array, Array, Array]:
        """Centre and scale of each, and the ends of its mass in u (C each)."""
        centre = (self.mass * self.mean).sum(axis=1)
        scale = np.sqrt((self.mass * (self.sd**2 + (self.mean - centre[:, None]) ** 2)).sum(axis=1))
        # With heavy tails the sd is that of the tail; the middle is as wide as the median sd.
        scale = np.minimum(scale, self._middle_sd)
        held = self.mass > 0
        first = np.where(held, self.mean - _SDS * self.sd, np.inf).min(axis=1)
        last = np.where(held, self.mean + _SDS * self.sd, -np.inf).max(axis=1)
        return (
            centre,
            scale,
            np.arcsinh((first - centre) / scale),
            np.arcsinh((last - centre) / scale),
        )

    @property
    def _middle_sd(self) -> Array:
        """The sd that half of the mass of each stays below (C)."""
        order = np.argsort(self.sd, axis=1)
        running = np.cumsum(np.take_along_axis(self.mass, order, axis=1), axis=1)
        place = np.argmax(running >= 0.5, axis=1)
        chosen = np.take_along_axis(order, place[:, None], axis=1)
        return np.take_along_axis(self.sd, chosen, axis=1)[:, 0]

    def _at(self, x: Array, which: NDArray[np.intp]) -> tuple[Array, Array]:
        """Mass below x and density at x of some of the mixtures."""
        below, density = np.empty(len(which)), np.empty(len(which))
        step = max(1, _BLOCK // self.mass.shape[1])
        for start in range(0, len(which), step):
            block = slice(start, start + step)
            rows = which[block]
            mass, sd = self.mass[rows], self.sd[rows]
            scaled = (x[block, None] - self.mean[rows]) / sd
            # Summed row by row, so that a mixture's numbers do not depend on its companions.
            below[block] = (ndtr(scaled) * mass).sum(axis=1)
            scaled *= scaled
            scaled *= -0.5
            np.exp(scaled, out=scaled)
            density[block] = (scaled * (mass / sd)).sum(axis=1) / _SQRT_2PI
        return below, density
