"""Gauss–Legendre panels: where functions are evaluated, integrated and interpolated.

An axis is a stretch of a parameter cut into panels. Panels are cut in a coordinate u that
runs over the axis evenly where the posterior lives and in growing steps in its tails:

- ``sinh``: x = centre + scale·sinh(u), linear near the centre, exponential far from it;
- ``log``: x = centre + scale·exp(u), for densities that are infinite at their lower end;
- ``arc``: x = centre + scale·sin²(u), u from 0 to π/2, for shares of a whole;
- ``logit``: x = centre + scale/(1 + exp(−u)), for densities that are infinite at both ends;
- ``atoms``: single values, each with a mass of its own.

Within a panel a function is the polynomial through its values at the Gauss–Legendre nodes
(Trefethen, Approximation Theory and Approximation Practice, 2013, ch. 5 and 19).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

type Array = NDArray[np.float64]
type Kind = Literal["sinh", "log", "arc", "logit", "atoms"]


@dataclass(frozen=True)
class Rule:
    """How finely a density is resolved, in nodes a panel.

    ``cut`` while panels are halved, ``check`` to state the error, ``order`` for the result. A panel
    is halved while its highest coefficients exceed ``tolerance`` of the mass; panels with exp of
    ``-negligible`` times the mass of the fullest do not count. Where the stated error is above
    ``asked``, a step or a spike holds hardly any mass: panels are cut again, to ``finest``.
    """

    cut: int
    check: int
    order: int
    tolerance: float
    negligible: float
    asked: float
    finest: float


# The error of a Gauss rule falls geometrically in twice its order, that of a polynomial between the
# nodes in its order: resolved to 1e-7 at 16 nodes, sums are exact at 24 and cdfs are to 1e-10.
# exp(-46) is 1e-20: it cannot be seen in double precision. A tenth of what is promised is asked.
FINE = Rule(16, 18, 24, 1e-7, 46.0, 1e-9, 1e-10)
# Three axes: errors of 1e-6 are asked there, not 1e-8, and a node more in each costs a plane.
LEAN = Rule(10, 11, 14, 1e-4, 34.0, 1e-7, 1e-6)
# Hardly any nodes while the ends are being cut off.
COARSE_ORDER, COARSE_ROUNDS = 2, 3
# While panels are coarse, a peak between nodes may be missed by this much and still be found.
CAUTIOUS = 120.0
MOST_ROUNDS = 400
# A step at a border hides within this share of a panel: ten times what lies beyond its last node.
HIDDEN = 0.05
# Nodes a panel to which masses are moved.
_MOVED_ORDER = 16
# Panels that are added at an end span this much of u: a factor of e**1.5 in the tails.
GROWTH = 1.5
# And no more of them are added at once: a tail may fall faster than it began.
MOST_GROWN = 16


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
class _Coordinate:
    """How a unit axis runs over its coordinate."""

    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    slope: Callable[[Array], Array]


_COORDINATES = {
    "sinh": _Coordinate(np.sinh, np.arcsinh, np.cosh),
    "log": _Coordinate(np.exp, lambda x: np.log(np.maximum(x, 0.0)), np.exp),
    "arc": _Coordinate(
        lambda u: np.sin(u) ** 2,
        lambda x: np.arcsin(np.sqrt(np.clip(x, 0.0, 1.0))),
        lambda u: np.sin(2 * u),
    ),
    "logit": _Coordinate(
        expit, lambda x: logit(np.clip(x, 0.0, 1.0)), lambda u: expit(u) * expit(-u)
    ),
}


@dataclass(frozen=True)
class Axis:
    """Panels of one parameter. ``breaks`` (B + 1) are in the coordinate u; atoms: values."""

    kind: Kind
    centre: float
    scale: float
    breaks: Array
    order: int = FINE.order

    @classmethod
    def atoms(cls, *values: float) -> Axis:
        """All mass in single values."""
        return cls("atoms", 0.0, 1.0, np.array(values, dtype=float), 1)

    @property
    def is_atoms(self) -> bool:
        """Whether the axis consists of single values."""
        return self.kind == "atoms"

    @property
    def is_point(self) -> bool:
        """Whether all mass sits in one value."""
        return self.is_atoms and len(self.breaks) == 1

    def to_x(self, u: Array) -> Array:
        """From the coordinate to the parameter."""
        return self.centre + self.scale * _COORDINATES[self.kind].forward(u)

    def to_u(self, x: Array) -> Array:
        """From the parameter to the coordinate; values outside go to the ends."""
        scaled = (np.asarray(x, dtype=float) - self.centre) / self.scale
        with np.errstate(divide="ignore"):
            return _COORDINATES[self.kind].inverse(scaled)

    def slope(self, u: Array) -> Array:
        """dx/du."""
        return self.scale * _COORDINATES[self.kind].slope(u)

    def with_order(self, order: int) -> Axis:
        """The same panels with another number of nodes in each."""
        return self if self.is_atoms else replace(self, order=order)

    @property
    def panels(self) -> int:
        """Number of panels."""
        return len(self.breaks) if self.is_atoms else len(self.breaks) - 1

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
        return self.breaks if self.is_atoms else self.to_x(self.u)

    @cached_property
    def weights(self) -> Array:
        """Weights so that Σ weights·f(nodes) = ∫ f dx (atoms: 1 each)."""
        if self.is_atoms:
            return np.ones(len(self.breaks))
        _, weights = _rule(self.order)
        return np.asarray((0.5 * self.widths[:, None] * weights).ravel() * self.slope(self.u))

    def locate(self, x: Array) -> tuple[NDArray[np.intp], Array]:
        """Panel and place within it (-1 to 1) of each value; values outside sit at the ends."""
        return self.locate_u(self.to_u(x))

    def locate_u(self, u: Array) -> tuple[NDArray[np.intp], Array]:
        """The same of values of the coordinate."""
        u = np.clip(u, self.breaks[0], self.breaks[-1])
        panel = np.clip(np.searchsorted(self.breaks, u, side="right") - 1, 0, self.panels - 1)
        place = 2 * (u - self.breaks[panel]) / self.widths[panel] - 1
        return panel, np.clip(place, -1.0, 1.0)

    def cut(self, width: float, panels: NDArray[np.bool_]) -> Axis:
        """The same stretch with some panels cut to a width, as far as 64 pieces each go."""
        pieces = np.ceil(np.diff(self.to_x(self.breaks)) / width)
        counts = np.where(panels, np.clip(pieces, 1, 64), 1).astype(int).tolist()
        inner = [
            np.linspace(low, high, count, endpoint=False)
            for low, high, count in zip(self.breaks[:-1], self.breaks[1:], counts, strict=True)
        ]
        return replace(self, breaks=np.concatenate([*inner, self.breaks[-1:]]))

    def is_part_of(self, other: Axis) -> bool:
        """Whether this is the other axis, less what lies beyond some ends."""
        inside = self.breaks[0] >= other.breaks[0] and self.breaks[-1] <= other.breaks[-1]
        return bool(inside and np.isin(self.breaks[1:-1], other.breaks).all())

    def meets(self, lower: float, upper: float) -> bool:
        """Whether a node lies between two values of the parameter."""
        return bool(((self.nodes >= lower) & (self.nodes <= upper)).any())

    def at(self, panel: NDArray[np.intp], place: Array) -> Array:
        """The parameter at a place (-1 to 1) within a panel."""
        return self.to_x(self.breaks[panel] + 0.5 * (1 + place) * self.widths[panel])

    def interpolation(self, place: Array) -> Array:
        """Weights of a panel's nodes for the value of its polynomial at a place: (..., order)."""
        return np.asarray(legendre(place, self.order) @ _to_legendre(self.order))

    def coefficients(self, values: Array) -> Array:
        """Legendre coefficients by panel: (..., nodes) → (..., panels, order)."""
        shaped = values.reshape(*values.shape[:-1], self.panels, self.order)
        return np.asarray(shaped @ _to_legendre(self.order).T)

    def polynomial(self, coefficients: Array, panel: NDArray[np.intp], place: Array) -> Array:
        """What panels' polynomials are at places, by their coefficients (panels, count).

        By Clenshaw's recurrence (1955, 10.1090/S0025-5718-1955-0071856-0), term by term: of many
        places no table of all polynomials is made.
        """
        columns = np.ascontiguousarray(coefficients.T)
        here, above = np.zeros(place.shape), np.zeros(place.shape)
        for n in range(len(columns) - 1, -1, -1):
            value = here * place
            value *= (2 * n + 1) / (n + 1)
            above *= (n + 1) / (n + 2)
            value -= above
            value += columns[n][panel]
            here, above = value, here
        return here

    def density_in_u(self, mass: Array) -> Array:
        """Masses at the nodes as a density in the coordinate, which polynomials interpolate."""
        return np.asarray(mass / self.weights * self.slope(self.u))

    def running(self, values: Array) -> tuple[Array, Array]:
        """The running integral in u of values at the nodes (..., nodes).

        Its Legendre coefficients within each panel (..., panels, order + 1), and what is reached
        at the panels' ends (..., panels + 1).
        """
        shaped = values.reshape(*values.shape[:-1], self.panels, self.order)
        within = shaped @ _antiderivative(self.order).T * (0.5 * self.widths[:, None])
        ends = np.cumsum(within.sum(axis=-1), axis=-1)  # every P_n(1) is 1
        return within, np.concatenate([np.zeros((*ends.shape[:-1], 1)), ends], axis=-1)


def smooth_panels(end: float, scale: float, width: float) -> Axis:
    """Panels from 0 to an end, ``width`` wide in asinh(x/scale), for what is smooth in it."""
    last = math.asinh(end / scale)
    breaks = np.linspace(0.0, last, max(1, math.ceil(last / width)) + 1)
    return Axis("sinh", 0.0, scale, breaks, _MOVED_ORDER)


def moved(values: Array, joint: Array, axis: Axis) -> Array:
    """Masses at N values, (N, M), moved to the nodes of an axis: (T, M).

    Σ mass·g(value) stays what it was for every g that is on each panel what its polynomial through
    the panel's nodes is, as a smooth one to many digits. Masses may fall below 0.
    """
    panel, place = axis.locate(values)
    result = np.zeros((axis.panels, axis.order, joint.shape[1]))
    for index in range(axis.panels):
        here = panel == index
        result[index] = axis.interpolation(place[here]).T @ joint[here]
    return result.reshape(-1, joint.shape[1])


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
    towards them while the density at their end counts. ``moments`` (0 to 4) are those whose
    integrals must not be cut off: a tail counts as long as |x|**moments times it does.
    ``middles`` are stretches of the parameter that nodes must meet.
    """

    lower: float
    upper: float
    moments: int = 0
    middles: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Seen:
    """What is integrated, at the tensor of the axes' nodes.

    ``averaged`` are functions whose products with the density are to be resolved as well.
    """

    log_density: Array
    averaged: Sequence[Array] = ()


def refine(
    look: Callable[[Sequence[Axis]], Seen],
    axes: Sequence[Axis],
    reaches: Sequence[Reach],
    rule: Rule,
) -> list[Axis]:
    """Cut the panels of all axes until a density is resolved, and drop what holds no mass.

    ``look(axes)`` gives the log density at the tensor of the axes' nodes. A panel is
    halved while the highest Legendre coefficients of the density over it, summed over the
    other axes, exceed a share of the total mass. Atoms stay. Returns axes of ``rule.order``.
    """
    return next(refinements(look, axes, reaches, rule))[1]


def refinements(
    look: Callable[[Sequence[Axis]], Seen],
    axes: Sequence[Axis],
    reaches: Sequence[Reach],
    rule: Rule,
) -> Iterator[tuple[float, list[Axis]]]:
    """The same, with the tolerance; then these panels cut on, to a tenth of it each time.

    The first panels show where the mass lies; what is found is cut anew.
    """
    axes = list(axes)
    for round_number in range(COARSE_ROUNDS):
        looked = _Looked.at(look, axes, COARSE_ORDER)
        if not looked.has_mass:
            break
        axes = looked.recut(reaches, CAUTIOUS, None)
        if round_number == COARSE_ROUNDS - 1:
            axes, reaches = looked.cut_anew(axes, reaches, rule.cut)
    looked = _Looked.at(look, axes, rule.cut)
    if looked.has_mass:
        # What was missed between few nodes is still found.
        looked = _Looked.at(look, looked.recut(reaches, CAUTIOUS, rule.tolerance), rule.cut)
    while True:
        axes, looked = _resolved(look, looked, reaches, rule)
        yield rule.tolerance, [axis.with_order(rule.order) for axis in axes]
        rule = replace(rule, tolerance=rule.tolerance / 10)


def _resolved(
    look: Callable[[Sequence[Axis]], Seen],
    looked: _Looked,
    reaches: Sequence[Reach],
    rule: Rule,
) -> tuple[list[Axis], _Looked]:
    """Axes whose panels were halved, and grew, until none had to; and what was seen last."""
    for _ in range(MOST_ROUNDS):
        if not looked.has_mass:
            break
        axes = looked.recut(reaches, rule.negligible, rule.tolerance)
        # A part of what is resolved is: where only ends are dropped no further look is needed.
        if all(cut.is_part_of(old) for old, cut in zip(looked.axes, axes, strict=True)):
            return axes, looked
        looked = _Looked.at(look, axes, rule.cut)
    return looked.axes, looked


@dataclass(frozen=True)
class _Looked:
    """What is seen at the tensor of the nodes of axes; ``values`` is the log density in u."""

    axes: list[Axis]
    values: Array
    averaged: Sequence[Array]

    @classmethod
    def at(
        cls, look: Callable[[Sequence[Axis]], Seen], axes: Sequence[Axis], order: int
    ) -> _Looked:
        axes = [axis.with_order(order) for axis in axes]
        seen = look(axes)
        # In the coordinates: what counts is the mass of a panel, not the height of the density.
        values = seen.log_density
        for dimension, axis in enumerate(axes):
            if not axis.is_atoms:
                values = values + along(np.log(axis.slope(axis.u)), dimension, values.ndim)
        return cls(axes, values, seen.averaged)

    @property
    def has_mass(self) -> bool:
        return bool(np.isfinite(self.values.max()))

    @cached_property
    def mass(self) -> Array:
        """Mass at the nodes, up to a factor."""
        mass = np.exp(self.values - self.values.max())
        for dimension, axis in enumerate(self.axes):
            if not axis.is_atoms:
                in_u = axis.weights / axis.slope(axis.u)
                mass = mass * along(in_u, dimension, mass.ndim)
        return np.asarray(mass)

    def recut(
        self, reaches: Sequence[Reach], negligible: float, tolerance: float | None
    ) -> list[Axis]:
        """Panels halved that are not resolved to a share of the mass, ends dropped or grown.

        Without a tolerance nodes are few: none is halved.
        """
        total = float(self.mass.sum())
        products = []
        if tolerance is not None:
            # About its mean a function is small where the mass lies.
            products = [self.mass * (f - (self.mass * f).sum() / total) for f in self.averaged]
        new = []
        for dimension, (axis, reach) in enumerate(zip(self.axes, reaches, strict=True)):
            if axis.is_atoms:
                new.append(axis)
                continue
            highest = _laid(self.values, dimension).max(axis=1)
            # A wide panel may hold more than a narrow one far above it.
            highest = highest + np.repeat(np.log(axis.widths), axis.order)
            floor = float(highest.max()) - negligible
            above = _with_moments(axis, highest, reach.moments) - floor
            alive = _alive(above >= 0)
            if tolerance is None:
                new.append(_recut(axis, np.zeros(axis.panels, bool), alive, None, reach))
                continue
            most = tolerance * total
            laid = _laid(self.mass, dimension)
            split = _unresolved(axis, laid, most)
            for product in products:
                split |= _unresolved(axis, _laid(product, dimension), most)
            if reach.moments > 0:
                # A tail that hardly counts may decide the sd.
                weight = _size(axis, laid.sum(axis=1) / total) ** min(reach.moments, 2)
                split |= _unresolved(axis, laid * weight[:, None], most)
            # The neighbour of a panel that counts may be so wide that its nodes miss a tail.
            beside = alive.copy()
            beside[:-1] |= alive[1:]
            beside[1:] |= alive[:-1]
            new.append(_recut(axis, split & beside, alive, above, reach))
        return new

    def cut_anew(
        self, axes: Sequence[Axis], reaches: Sequence[Reach], order: int
    ) -> tuple[list[Axis], list[Reach]]:
        """Axes that were recut in few panels, even where the mass was seen."""
        total = float(self.mass.sum())
        pairs = [
            _cut_anew(axis, reach, seen.nodes, _marginal(self.mass, dimension) / total, order)
            for dimension, (axis, reach, seen) in enumerate(
                zip(axes, reaches, self.axes, strict=True)
            )
        ]
        return [axis for axis, _ in pairs], [reach for _, reach in pairs]


def _laid(values: Array, dimension: int) -> Array:
    """Values at a tensor as a table: the nodes of one axis, and all others."""
    return np.moveaxis(values, dimension, 0).reshape(values.shape[dimension], -1)


def _cut_anew(
    axis: Axis, reach: Reach, nodes: Array, share: Array, order: int
) -> tuple[Axis, Reach]:
    """The same stretch in few panels, in a coordinate that is even where the mass was seen.

    What would lie between their nodes has a panel of its own.
    """
    if axis.is_atoms:
        return axis, reach
    ends = np.array([axis.breaks[0], axis.breaks[-1], reach.lower, reach.upper])
    if axis.kind == "sinh":
        mean = float(share @ nodes)
        spread = math.sqrt(float(share @ (nodes - mean) ** 2))
        # An axis that begins at its centre (an sd, at 0) keeps it.
        starts = reach.lower == 0.0
        centre, scale = (axis.centre, mean - axis.centre) if starts else (mean, 2 * spread)
        if scale > 0 and math.isfinite(scale):
            x = axis.to_x(ends)
            axis = replace(axis, centre=centre, scale=scale)
            ends = axis.to_u(x)
    first, last, lower, upper = (float(end) for end in ends)
    count = max(2, math.ceil((last - first) / (2 * GROWTH)))
    axis = replace(axis, breaks=np.linspace(first, last, count + 1), order=order)
    hidden = [middle for middle in reach.middles if not axis.meets(*middle)]
    inside = axis.to_u(np.array(hidden).ravel())
    inside = inside[(inside > first) & (inside < last)]
    axis = replace(axis, breaks=np.union1d(axis.breaks, inside))
    return axis, replace(reach, lower=lower, upper=upper)


def _marginal(mass: Array, dimension: int) -> Array:
    others = tuple(d for d in range(mass.ndim) if d != dimension)
    return np.asarray(mass.sum(axis=others))


def _with_moments(axis: Axis, highest: Array, moments: int) -> Array:
    """Log mass of the nodes (panels, order) with the weight of the moments.

    Far out x grows like exp(|u|), so |x|**moments adds moments·|u| to the log density.
    """
    far = np.zeros(len(axis.u))
    if axis.kind == "sinh":
        far = np.abs(axis.u)
    elif axis.kind == "log":
        far = np.maximum(axis.u, 0.0)
    return np.asarray((highest + moments * far).reshape(axis.panels, -1))


def _alive(counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which panels count: those that have a node that does, and those between."""
    inside = np.flatnonzero(counted.any(axis=1))
    alive = np.zeros(len(counted), bool)
    # A gap between two peaks is kept, so that panels stay next to each other.
    alive[inside[0] : inside[-1] + 1] = True
    return alive


def _size(axis: Axis, share: Array) -> Array:
    """How far the nodes are from the mean, in units of the sd; 0 where there is no spread."""
    away = axis.nodes - float(share @ axis.nodes)
    spread = math.sqrt(float(share @ away**2))
    if not 0 < spread < math.inf:
        return np.zeros(len(away))
    # Squares of it are still numbers.
    return np.asarray(np.minimum(np.abs(away) / spread, 1e100))


def _unresolved(axis: Axis, mass: Array, most: float) -> NDArray[np.bool_]:
    """Which panels' highest coefficients are too large, or do not meet a neighbour at the border.

    The axis' own nodes come first. A step between the last node of a panel and the first of the
    next is seen by neither: their polynomials then differ at the border.
    """
    _, weights = _rule(axis.order)
    # Back from masses to densities in u, so that a smooth function has falling coefficients.
    density = mass.reshape(axis.panels, axis.order, -1) / weights[None, :, None]
    coefficients = np.einsum("cn,pnm->pcm", _to_legendre(axis.order), density)
    tail = np.abs(coefficients[:, -3:]).sum(axis=2).max(axis=1)
    signs = (-1.0) ** np.arange(axis.order)
    half = 0.5 * axis.widths[:, None]
    upper = coefficients.sum(axis=1) / half
    lower = np.einsum("c,pcm->pm", signs, coefficients) / half
    gap = np.abs(upper[:-1] - lower[1:]).sum(axis=1)
    apart = np.zeros(axis.panels, bool)
    for neighbour in (slice(None, -1), slice(1, None)):
        apart[neighbour] |= HIDDEN * gap * axis.widths[neighbour] > most
    return np.asarray((2 * tail > most) | apart)


def _recut(
    axis: Axis,
    split: NDArray[np.bool_],
    alive: NDArray[np.bool_],
    above: Array | None,
    reach: Reach,
) -> Axis:
    """Halve panels, drop dead ends, grow where the density at an end counts.

    ``above`` is how far the log mass of the nodes lies above what counts. It is None while nodes
    are few: then the peak may lie across the border of the best panel, whose neighbour stays.
    """
    first, last = np.flatnonzero(alive)[[0, -1]]
    grows_below = 1 if above is None else _missing(above[first, ::-1])
    grows_above = 1 if above is None else _missing(above[last])
    start = max(first - min(grows_below, 1), 0)
    end = min(last + min(grows_above, 1), axis.panels - 1)
    breaks = [axis.breaks[start]]
    for panel in range(start, end + 1):
        if split[panel]:
            breaks.append(0.5 * (axis.breaks[panel] + axis.breaks[panel + 1]))
        breaks.append(axis.breaks[panel + 1])
    for _ in range(grows_below if start == first else 0):
        if breaks[0] > reach.lower:
            breaks.insert(0, max(reach.lower, breaks[0] - GROWTH))
    for _ in range(grows_above if end == last else 0):
        if breaks[-1] < reach.upper:
            breaks.append(min(reach.upper, breaks[-1] + GROWTH))
    if above is not None:
        # An end panel half of which is dead loses that half.
        u, half = axis.u.reshape(above.shape), axis.order // 2
        if not (above[last, half:] >= 0).any():
            breaks = [*(x for x in breaks if x < u[last, half]), float(u[last, half])]
        if not (above[first, :half] >= 0).any():
            breaks = [float(u[first, half - 1]), *(x for x in breaks if x > u[first, half - 1])]
    return replace(axis, breaks=np.array(breaks))


def _missing(above: Array) -> int:
    """How many panels an end is short of, by how its last panel's nodes fall towards it."""
    if above[-1] < 0:
        return 0
    fall = float(above[0] - above[-1])
    # A panel as wide as a new one, or less: it is not expected to fall faster.
    return 1 if fall <= 0 else min(max(1, math.ceil(above[-1] / fall)), MOST_GROWN)


def along(vector: Array, dimension: int, count: int) -> Array:
    """A vector laid along one of ``count`` dimensions, the others of length 1."""
    shape = [1] * count
    shape[dimension] = -1
    return vector.reshape(shape)
