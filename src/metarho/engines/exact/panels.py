"""Gauss–Legendre panels: where functions are evaluated, integrated and interpolated.

An axis is a stretch of a parameter cut into panels. Panels are cut in a coordinate u that
runs over the axis evenly where the posterior lives and in growing steps in its tails:

- ``sinh``: x = centre + scale·sinh(u), linear near the centre, exponential far from it;
- ``log``: x = centre + scale·exp(u), for densities that are infinite at their lower end;
- ``point``: a single value with all the mass.

Within a panel a function is the polynomial through its values at the Gauss–Legendre nodes
(Trefethen, Approximation Theory and Approximation Practice, 2013, ch. 5 and 19).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]
type Kind = Literal["sinh", "log", "point"]

# Nodes a panel: hardly any while the ends are being cut off, few while panels are halved, more
# to state the error, most for the result.
# A panel that is resolved to 1e-5 at 10 nodes is resolved beyond 1e-9 at 14 and 1e-13 at 20,
# because the error of a Gauss rule falls geometrically in twice its order.
COARSE_ORDER, CUT_ORDER, CHECK_ORDER, ORDER = 2, 10, 14, 20
COARSE_ROUNDS = 2
CUT_TOLERANCE = 1e-5
# exp(-46) is 1e-20: what lies this far below the peak cannot be seen in double precision.
NEGLIGIBLE = 46.0
# While panels are coarse, a peak between nodes may be missed by this much and still be found.
CAUTIOUS = 120.0
MOST_ROUNDS = 400
# Panels that are added at an end span this much of u: a factor of e**1.5 in the tails.
GROWTH = 1.5


@cache
def _rule(order: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return nodes, weights


@cache
def _to_legendre(order: int) -> Array:
    """Matrix from values at the nodes to Legendre coefficients."""
    nodes, weights = _rule(order)
    vander = np.polynomial.legendre.legvander(nodes, order - 1)
    return np.asarray((vander * weights[:, None]).T * (np.arange(order) + 0.5)[:, None])


@cache
def _antiderivative(order: int) -> Array:
    """Matrix from values at the nodes to the Legendre coefficients of ∫_{-1}^t (order + 1)."""
    rows = [np.polynomial.legendre.legint(column, lbnd=-1) for column in _to_legendre(order).T]
    return np.array(rows).T


@dataclass(frozen=True)
class Axis:
    """Panels of one parameter. ``breaks`` (B + 1 of them) are in the coordinate u."""

    kind: Kind
    centre: float
    scale: float
    breaks: Array
    order: int = ORDER

    @classmethod
    def point(cls, value: float) -> Axis:
        """All mass in one value."""
        return cls("point", value, 1.0, np.zeros(1), 1)

    @property
    def is_point(self) -> bool:
        """Whether the axis is a single value."""
        return self.kind == "point"

    def to_x(self, u: Array) -> Array:
        """From the coordinate to the parameter."""
        if self.kind == "sinh":
            return self.centre + self.scale * np.sinh(u)
        return self.centre + self.scale * np.exp(u)

    def to_u(self, x: Array) -> Array:
        """From the parameter to the coordinate."""
        scaled = (np.asarray(x, dtype=float) - self.centre) / self.scale
        if self.kind == "sinh":
            return np.arcsinh(scaled)
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(scaled, 0.0))

    def slope(self, u: Array) -> Array:
        """dx/du."""
        return self.scale * (np.cosh(u) if self.kind == "sinh" else np.exp(u))

    def with_order(self, order: int) -> Axis:
        """The same panels with another number of nodes in each."""
        return self if self.is_point else replace(self, order=order)

    @property
    def panels(self) -> int:
        """Number of panels."""
        return 1 if self.is_point else len(self.breaks) - 1

    @cached_property
    def widths(self) -> Array:
        """Panel widths in u."""
        return np.diff(self.breaks)

    @cached_property
    def u(self) -> Array:
        """All nodes in u, panel after panel."""
        nodes, _ = _rule(self.order)
        return np.asarray(
            (self.breaks[:-1, None] + 0.5 * self.widths[:, None] * (1 + nodes)).ravel()
        )

    @cached_property
    def nodes(self) -> Array:
        """All nodes as parameter values."""
        return np.array([self.centre]) if self.is_point else self.to_x(self.u)

    @cached_property
    def weights(self) -> Array:
        """Weights so that Σ weights·f(nodes) = ∫ f dx (a point: 1)."""
        if self.is_point:
            return np.ones(1)
        _, weights = _rule(self.order)
        return np.asarray((0.5 * self.widths[:, None] * weights).ravel() * self.slope(self.u))

    def locate(self, x: Array) -> tuple[NDArray[np.intp], Array]:
        """Panel and place within it (-1 to 1) of each value; values outside sit at the ends."""
        u = np.clip(self.to_u(x), self.breaks[0], self.breaks[-1])
        panel = np.clip(np.searchsorted(self.breaks, u, side="right") - 1, 0, self.panels - 1)
        place = 2 * (u - self.breaks[panel]) / self.widths[panel] - 1
        return panel, np.clip(place, -1.0, 1.0)

    def coefficients(self, values: Array) -> Array:
        """Legendre coefficients by panel: (..., nodes) → (..., panels, order)."""
        shaped = values.reshape(*values.shape[:-1], self.panels, self.order)
        return np.asarray(shaped @ _to_legendre(self.order).T)

    def antiderivatives(self, values: Array) -> Array:
        """Coefficients of the running integral within each panel, in u."""
        shaped = values.reshape(*values.shape[:-1], self.panels, self.order)
        return np.asarray(shaped @ _antiderivative(self.order).T * (0.5 * self.widths[:, None]))


def legendre(place: Array, count: int) -> Array:
    """Legendre polynomials P_0 … P_{count-1} at each place: shape (..., count)."""
    place = np.asarray(place, dtype=float)
    # NumPy makes a scalar a vector of one.
    return np.asarray(
        np.polynomial.legendre.legvander(place, count - 1).reshape(*place.shape, count)
    )


@dataclass(frozen=True)
class Reach:
    """How far an axis may go, and what has to be right there.

    ``lower`` and ``upper`` are ends in the coordinate beyond which there is nothing; panels grow
    towards them while the density at their end counts. ``moments`` (0, 1, 2) are those whose
    integrals must not be cut off: a tail counts as long as |x|**moments times it does.
    """

    lower: float
    upper: float
    moments: int = 0


def refine(
    log_density: Callable[[Sequence[Axis]], Array],
    axes: Sequence[Axis],
    reaches: Sequence[Reach],
) -> list[Axis]:
    """Cut the panels of all axes until a density is resolved, and drop what holds no mass.

    ``log_density(axes)`` gives the log density at the tensor of the axes' nodes. A panel is
    halved while the highest Legendre coefficients of the density over it, summed over the
    other axes, exceed a share of the total mass. Returns axes at ``ORDER``.
    """
    for round_number in range(MOST_ROUNDS):
        coarse = round_number < COARSE_ROUNDS
        axes = [axis.with_order(COARSE_ORDER if coarse else CUT_ORDER) for axis in axes]
        # In the coordinates: what counts is the mass of a panel, not the height of the density.
        values = log_density(axes)
        for dimension, axis in enumerate(axes):
            if not axis.is_point:
                values = values + _along(np.log(axis.slope(axis.u)), dimension, values.ndim)
        peak = float(np.max(values))
        if not np.isfinite(peak):
            break
        floor = peak - (CAUTIOUS if round_number <= COARSE_ROUNDS else NEGLIGIBLE)
        mass = np.exp(values - peak)
        for dimension, axis in enumerate(axes):
            if not axis.is_point:
                in_u = axis.weights / axis.slope(axis.u)
                mass = mass * _along(in_u, dimension, mass.ndim)
        total = float(mass.sum())
        new = []
        for dimension, (axis, reach) in enumerate(zip(axes, reaches, strict=True)):
            if axis.is_point:
                new.append(axis)
                continue
            highest = np.moveaxis(values, dimension, 0).reshape(len(axis.u), -1).max(axis=1)
            alive = _alive(axis, highest, floor, reach.moments)
            split = np.zeros(axis.panels, bool)
            if not coarse:
                split = _unresolved(axis, np.moveaxis(mass, dimension, 0), total) & alive
            new.append(_recut(axis, split, alive, reach))
        if not coarse and all(
            np.array_equal(old.breaks, cut.breaks) for old, cut in zip(axes, new, strict=True)
        ):
            break
        axes = new
    return [axis.with_order(ORDER) for axis in axes]


def _alive(axis: Axis, highest: Array, floor: float, moments: int) -> NDArray[np.bool_]:
    """Which panels count: those that reach the floor, with the weight of the moments, and between.

    Far out x grows like exp(|u|), so |x|**moments adds moments·|u| to the log density.
    """
    far = np.abs(axis.u) if axis.kind == "sinh" else np.maximum(axis.u, 0.0)
    counted = (highest + moments * far).reshape(axis.panels, -1).max(axis=1) >= floor
    inside = np.flatnonzero(counted)
    alive = np.zeros(axis.panels, bool)
    # A gap between two peaks is kept, so that panels stay next to each other.
    alive[inside[0] : inside[-1] + 1] = True
    return alive


def _unresolved(axis: Axis, mass: Array, total: float) -> NDArray[np.bool_]:
    """Which panels' highest coefficients are too large; the axis' own nodes come first."""
    _, weights = _rule(axis.order)
    # Back from masses to densities in u, so that a smooth function has falling coefficients.
    density = mass.reshape(axis.panels, axis.order, -1) / weights[None, :, None]
    highest_terms = _to_legendre(axis.order)[-3:]
    tail = np.abs(np.einsum("cn,pnm->pcm", highest_terms, density)).sum(axis=2).max(axis=1)
    return np.asarray(2 * tail > CUT_TOLERANCE * total)


def _recut(axis: Axis, split: NDArray[np.bool_], alive: NDArray[np.bool_], reach: Reach) -> Axis:
    """Halve panels, drop dead ends but one, and grow where the last panel is alive."""
    first, last = np.flatnonzero(alive)[[0, -1]]
    # The neighbour stays: the peak may lie across the border of the best panel.
    start, end = max(first - 1, 0), min(last + 1, axis.panels - 1)
    breaks = [axis.breaks[start]]
    for panel in range(start, end + 1):
        if split[panel]:
            breaks.append(0.5 * (axis.breaks[panel] + axis.breaks[panel + 1]))
        breaks.append(axis.breaks[panel + 1])
    if alive[0] and axis.breaks[0] > reach.lower:
        breaks.insert(0, max(reach.lower, axis.breaks[0] - GROWTH))
    if alive[-1] and axis.breaks[-1] < reach.upper:
        breaks.append(min(reach.upper, axis.breaks[-1] + GROWTH))
    return replace(axis, breaks=np.array(breaks))


def _along(vector: Array, dimension: int, count: int) -> Array:
    """A vector laid along one of ``count`` dimensions."""
    shape = [1] * count
    shape[dimension] = -1
    return vector.reshape(shape)
