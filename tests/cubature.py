"""Posteriors by SciPy's adaptive cubature, whatever the data and priors.

Written apart from the package. A log density of one or two parameters is looked at on grids that
close in on its mass; the box around that mass is cut where the mass lies, and
``scipy.integrate.cubature`` integrates every part of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cubature

type Array = NDArray[np.float64]
type LogDensity = Callable[..., Array]

# What lies this far below the peak of a log density is 1e-21 of it.
NEGLIGIBLE = 50.0
# log tau, from where the likelihood is that of tau = 0 to where no density is left.
LOWEST, HIGHEST = -45.0, 60.0
# Shares of the mass at which an axis is cut.
SHARES = np.array([1e-6, 0.003, 0.1, 0.5, 0.9, 0.997, 1 - 1e-6])
ROUNDS = 5
# The rule's error is estimated by a rule of half the order, and is far smaller.
RELATIVE, ABSOLUTE = 1e-9, 5e-10
MOST_SUBDIVISIONS = 1000


class Axis(Protocol):
    """A parameter as a function of a coordinate in which its density may be integrated."""

    def grid(self) -> Array:
        """Coordinates to begin with: some lie wherever the density may be narrow."""

    def value(self, u: Array) -> Array:
        """The parameter."""

    def coordinate(self, x: Array) -> Array:
        """Its inverse."""

    def log_slope(self, u: Array) -> Array:
        """log dx/du."""

    def log_size(self, u: Array) -> Array:
        """How the parameter grows where its tails are, in its log."""

    def cuts(self) -> Array:
        """Values at which to cut, so that no edge is hidden within a long box."""


@dataclass(frozen=True)
class Logarithmic:
    """A positive parameter exp(u)."""

    step: float = 0.25

    def grid(self) -> Array:
        return np.arange(LOWEST, HIGHEST + self.step, self.step)

    def value(self, u: Array) -> Array:
        return np.exp(u)

    def coordinate(self, x: Array) -> Array:
        return np.log(x)

    def log_slope(self, u: Array) -> Array:
        return u

    def log_size(self, u: Array) -> Array:
        return u

    def cuts(self) -> Array:
        return np.empty(0)


@dataclass(frozen=True)
class Line:
    """A real parameter centre + scale·sinh(u), on a stretch of the line.

    ``marks`` are (place, width) of what its density may be narrow at.
    """

    marks: Sequence[tuple[float, float]]
    lower: float = -math.inf
    upper: float = math.inf

    @property
    def centre(self) -> float:
        """The place of the narrowest mark."""
        return min((width, place) for place, width in self.marks)[1]

    @property
    def scale(self) -> float:
        """The width of the narrowest mark."""
        return min(width for _, width in self.marks)

    def grid(self) -> Array:
        """Dense at every mark, in growing steps away from it, out to where heavy tails end."""
        places = np.array([place for place, _ in self.marks])
        extent = max(float(np.ptp(places)), *(width for _, width in self.marks))
        near = self.scale * 2.0 ** np.arange(-2, math.log2(100 * extent / self.scale), 0.5)
        far = extent * 2.0 ** np.arange(0, 90, 3)
        away = np.concatenate([-far, -near, [0.0], near, far])
        x = np.unique(places[:, None] + away)
        ends = [end for end in (self.lower, self.upper) if math.isfinite(end)]
        x = np.unique([*x[(x > self.lower) & (x < self.upper)], *ends])
        return np.unique(self.coordinate(x))

    def value(self, u: Array) -> Array:
        return np.clip(self.centre + self.scale * np.sinh(u), self.lower, self.upper)

    def coordinate(self, x: Array) -> Array:
        return np.arcsinh((x - self.centre) / self.scale)

    def log_slope(self, u: Array) -> Array:
        return np.asarray(np.logaddexp(u, -u) + math.log(self.scale / 2))

    def log_size(self, u: Array) -> Array:
        return np.abs(u)

    def cuts(self) -> Array:
        return np.array([place + side * width for place, width in self.marks for side in (-10, 10)])


@dataclass(frozen=True)
class Found:
    """The log integral of a density, and the means of functions under it.

    ``error`` is the estimated error of the integral, relative. ``cells`` are the parts of the box
    with their integrals.
    """

    log_integral: float
    means: Array
    error: float
    cells: Sequence[tuple[Array, Array, Array]]

    def below(self, axis: int, u: float) -> float:
        """The share of the mass where a coordinate is below u, one at which the axis was cut."""
        masses = [float(found[0]) for *_, found in self.cells]
        middles = [0.5 * (low[axis] + high[axis]) for low, high, _ in self.cells]
        inside = [mass for mass, at in zip(masses, middles, strict=True) if at < u]
        return math.fsum(inside) / math.fsum(masses)


def integrate(
    log_density: LogDensity,
    axes: Sequence[Axis],
    functions: Callable[..., Sequence[Array]],
    powers: Sequence[int],
    cuts: Sequence[Sequence[float]],
    points: int = 300,
) -> Found:
    """Integrate exp(log_density), and its product with functions, over the axes' parameters.

    Both take arrays, one for each parameter. ``powers`` are those of the parameters whose means
    are asked: tails count with them. ``cuts`` are values of the parameters at which to cut.
    """

    def in_u(*u: Array) -> Array:
        values = [axis.value(at) for axis, at in zip(axes, u, strict=True)]
        slopes = [axis.log_slope(at) for axis, at in zip(axes, u, strict=True)]
        return np.asarray(sum(slopes, log_density(*values)))

    grids, log_values = closed_in(in_u, axes, powers, points)
    top = float(log_values.max())
    mass = np.exp(log_values - top)
    for dimension, grid in enumerate(grids):
        shape = [-1 if d == dimension else 1 for d in range(mass.ndim)]
        mass = mass * np.gradient(grid).reshape(shape)
    total = float(mass.sum())

    def integrand(u: Array) -> Array:
        density = np.exp(in_u(*u.T) - top) / total
        values = [axis.value(at) for axis, at in zip(axes, u.T, strict=True)]
        return np.stack([density, *(density * f for f in functions(*values))], axis=1)

    breaks = []
    for dimension, (axis, grid) in enumerate(zip(axes, grids, strict=True)):
        share = np.cumsum(_over_others(mass, dimension, np.sum)) / total
        asked = axis.coordinate(np.array([*axis.cuts(), *cuts[dimension]]))
        at = np.concatenate([np.interp(SHARES, share, grid), asked])
        inside = at[(at > grid[0]) & (at < grid[-1])]
        breaks.append(np.unique([grid[0], *inside, grid[-1]]))
    boxes = list(product(*(pairwise(at) for at in breaks)))
    # Nothing is known beyond the rounding of the log density.
    absolute = max(ABSOLUTE, float(np.finfo(float).eps) * abs(top)) / len(boxes)
    cells, error = [], 0.0
    for box in boxes:
        low, high = np.array(box).T
        found = cubature(
            integrand,
            low,
            high,
            rule="gk21",
            rtol=RELATIVE,
            atol=absolute,
            max_subdivisions=MOST_SUBDIVISIONS,
        )
        cells += [(part.a, part.b, part.estimate) for part in found.regions]
        error += float(found.error[0])
    sums = np.array([math.fsum(column) for column in np.transpose([part for *_, part in cells])])
    return Found(
        top + math.log(total) + math.log(sums[0]), sums[1:] / sums[0], error / sums[0], cells
    )


def closed_in(
    in_u: LogDensity, axes: Sequence[Axis], powers: Sequence[int], points: int
) -> tuple[list[Array], Array]:
    """Grids in the coordinates over all that counts, and the log density on them."""
    grids = [axis.grid() for axis in axes]
    for left in reversed(range(ROUNDS)):
        values = in_u(*np.meshgrid(*grids, indexing="ij"))
        if left == 0:
            break
        new = []
        for dimension, (axis, grid, power) in enumerate(zip(axes, grids, powers, strict=True)):
            # The mass, and what the moments integrate.
            kept = np.zeros(len(grid) - 1, bool)
            for weight in (0.0, power * axis.log_size(grid)):
                profile = _over_others(values, dimension, np.max) + weight
                highest = _highest_between(grid, np.maximum(profile, -1e200))
                kept |= highest > profile.max() - NEGLIGIBLE
            first, last = np.flatnonzero(kept)[[0, -1]] + [0, 1]
            even = np.linspace(grid[first], grid[last], points)
            # The last grid is even, for sums over it.
            new.append(np.union1d(even, grid[first : last + 1]) if left > 1 else even)
        grids = new
    return grids, values


def _highest_between(x: Array, values: Array) -> Array:
    """How high a function may be between its points, as far as it rises towards them."""
    slope = np.diff(values) / np.diff(x)
    steps = np.diff(x)
    from_left = values[:-1] + np.insert(slope[:-1], 0, 0.0) * steps
    from_right = values[1:] - np.append(slope[1:], 0.0) * steps
    return np.maximum(np.minimum(from_left, from_right), np.maximum(values[:-1], values[1:]))


def _over_others(values: Array, dimension: int, reduce: Callable[..., Array]) -> Array:
    others = tuple(d for d in range(values.ndim) if d != dimension)
    return np.asarray(reduce(values, axis=others))
