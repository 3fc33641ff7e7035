"""Quantities of two levels of heterogeneity: functions of two parameters that lie on panels.

A cdf is the integral over one parameter of the other's cdf, up to where the quantity reaches a
value; quantiles are its roots, the density its derivative, moments are sums over nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.panels import Axis, legendre, moved, smooth_panels
from metarho.posterior.marginals import Kind, Summary, median_and_interval
from metarho.posterior.mixtures import invert

type Array = NDArray[np.float64]

# Towards both ends of a stretch, panels shrink by this factor, down to 4**-20 of it: features at
# any distance from an end, and roots of it, meet panels of their own size.
_RATIO, _SHRINKS = 4.0, 20
# Panels of the total sd: exp(−(t/w)²) with w a tenth of the scale is a polynomial of degree 15
# there to 1e-10.
_TOTAL_WIDTH = 0.25
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True)
class Surface:
    """A quantity that increases with b at every a, of parameters on panels.

    ``mass`` (nodes of a, nodes of b). For a value of the quantity, ``reach`` gives the b at which
    it is reached at each a (infinite where it is not), ``slope`` the derivative of that, and
    ``corners`` the places of a where it is not smooth. ``forward`` gives the quantity. Values lie
    between 0 and ``end``.
    """

    a: Axis
    b: Axis
    mass: Array
    forward: Callable[[Array, Array], Array]
    reach: Callable[[float, Array], Array]
    slope: Callable[[float, Array], Array]
    end: float
    corners: Callable[[float], Sequence[float]] = lambda value: ()
    moments: float = math.inf

    @cached_property
    def _tables(self) -> tuple[Array, Array, Array]:
        """Coefficients (panels of a, order, panels of b, …): density, running integral, starts."""
        a, b = self.a, self.b
        by_a = np.moveaxis(a.coefficients(a.density_in_u(self.mass.T)), 0, -1)
        in_b = b.density_in_u(by_a)
        return b.coefficients(in_b), *b.running(in_b)

    def _rule(self, value: float) -> tuple[Array, Array]:
        """Nodes and weights over the coordinate of a, dense around corners and ends."""
        first, last = self.a.breaks[0], self.a.breaks[-1]
        corners = self.a.to_u(np.array(list(self.corners(value)), dtype=float))
        inside = corners[(corners > first) & (corners < last)]
        steps = 0.5 * _RATIO ** -np.arange(_SHRINKS + 1.0)
        steps = np.concatenate([[0.0], steps[::-1], 1 - steps[1:], [1.0]])
        stretches = np.array([first, *np.sort(inside), last])
        breaks = stretches[:-1, None] + np.diff(stretches)[:, None] * steps
        starts, widths = breaks[:, :-1].ravel(), np.diff(breaks, axis=1).ravel()
        nodes = starts[:, None] + 0.5 * widths[:, None] * (1 + _NODES)
        return nodes.ravel(), (0.5 * widths[:, None] * _WEIGHTS).ravel()

    def _below(self, value: float) -> float:
        """Share of the mass below a value."""
        u, weight = self._rule(value)
        panel_a, place_a = self.a.locate_u(u)
        panel_b, place_b = self.b.locate(np.maximum(self.reach(value, self.a.to_x(u)), 0.0))
        _, running, starts = self._tables
        within = np.einsum(
            "nij,nj->ni", running[panel_a, :, panel_b], legendre(place_b, self.b.order + 1)
        )
        row = starts[panel_a, :, panel_b] + within
        total = weight @ (row * legendre(place_a, self.a.order)).sum(axis=1)
        return float(total / self.mass.sum())

    def _density(self, value: float) -> float:
        u, weight = self._rule(value)
        a = self.a.to_x(u)
        b, slope = self.reach(value, a), self.slope(value, a)
        inside = (b > 0) & (b <= self.b.to_x(self.b.breaks[-1:])[0])
        panel_a, place_a = self.a.locate_u(u[inside])
        panel_b, place_b = self.b.locate(b[inside])
        density, _, _ = self._tables
        row = np.einsum("nij,nj->ni", density[panel_a, :, panel_b], legendre(place_b, self.b.order))
        here = (row * legendre(place_a, self.a.order)).sum(axis=1)
        here = here * slope[inside] / self.b.slope(self.b.to_u(b[inside]))
        return float(weight[inside] @ np.maximum(here, 0.0) / self.mass.sum())

    def expect(self, function: Callable[[Array], Array]) -> float:
        """The posterior mean of a function of the quantity."""
        return float((self.mass * function(self._values)).sum() / self.mass.sum())

    @cached_property
    def _unit(self) -> float:
        """A tenth of the value at the node that halves the mass: tails may be longer by far."""
        values, mass = self._values.ravel(), self.mass.ravel()
        order = np.argsort(values)
        middle = np.searchsorted(np.cumsum(mass[order]), 0.5 * mass.sum())
        return max(0.1 * float(values[order[middle]]), float(np.finfo(float).tiny))

    @property
    def _values(self) -> Array:
        return np.asarray(self.forward(self.a.nodes[:, None], self.b.nodes))

    def cdf(self, x: Array) -> Array:
        """Probability of at most x."""
        x = np.asarray(x, dtype=float)
        below = [
            0.0 if value <= 0 else 1.0 if value >= self.end else self._below(float(value))
            for value in x.ravel()
        ]
        return np.asarray(np.clip(below, 0.0, 1.0).reshape(x.shape))

    def density(self, x: Array) -> Array:
        """Density at x."""
        x = np.asarray(x, dtype=float)
        found = [
            self._density(float(value)) if 0 < value < self.end else 0.0 for value in x.ravel()
        ]
        return np.array(found).reshape(x.shape)

    def quantile(self, p: Array) -> Array:
        """The values below which the share p lies, sought on the scale of asinh."""
        unit = self._unit

        def root(share: float) -> float:
            def below(u: float) -> float:
                return float(self.cdf(np.array(unit * math.sinh(u))))

            return unit * math.sinh(invert(below, share, 0.0, math.asinh(self.end / unit)))

        return np.array([root(float(share)) for share in np.ravel(p)]).reshape(np.shape(p))

    def summary(self, prob: float, kind: Kind) -> Summary:
        """Mean, sd, median and interval."""
        mean = self.expect(lambda x: x) if self.moments > 1 else None
        sd = None
        if mean is not None and self.moments > 2:
            sd = math.sqrt(self.expect(lambda x: (x - mean) ** 2))
        median, lower, upper = median_and_interval(self.quantile, prob, kind)
        return Summary(mean, sd, median, lower, upper)

    def range(self, outside: float) -> tuple[float, float]:
        """Quantiles."""
        low, high = self.quantile(np.array([outside, 1 - outside]))
        return float(low), float(high)


def on_total(a: Axis, b: Axis, joint: Array) -> tuple[Axis, Array]:
    """Masses at pairs of two sds (pairs, M), moved to nodes of their total √(a² + b²).

    The total's axis, and masses (T, M), which may fall below 0 (``panels.moved``).
    """
    total = np.hypot(a.nodes[:, None], b.nodes).ravel()
    axis = smooth_panels(float(total.max()), min(a.scale, b.scale), _TOTAL_WIDTH)
    return axis, moved(total, joint, axis)


def total_of(a: Axis, b: Axis, mass: Array, moments: float) -> Surface:
    """√(a² + b²) of two sds."""

    def reach(x: float, at: Array) -> Array:
        return np.sqrt(np.maximum(x**2 - at**2, 0.0))

    def slope(x: float, at: Array) -> Array:
        return x / np.maximum(reach(x, at), 1e-300)

    end = math.hypot(_last(a), _last(b))
    return Surface(a, b, mass, np.hypot, reach, slope, end, lambda x: (x,), moments)


def level_sd(share: Axis, total: Axis, mass: Array, moments: float) -> Surface:
    """total·√share: the sd on the level that has a share of the variance."""
    return Surface(
        share,
        total,
        mass,
        lambda part, tau: tau * np.sqrt(part),
        lambda x, part: x / np.sqrt(part),
        lambda x, part: 1 / np.sqrt(part),
        _last(total),
        moments=moments,
    )


def level_i2(other: Axis, level: Axis, mass: Array, s2: float) -> Surface:
    """100·level²/(level² + other² + s²): I² in percent of one of two level sds."""

    def odds(percent: float) -> float:
        return percent / (100 - percent)

    return Surface(
        other,
        level,
        mass,
        lambda rest, sd: 100 * sd**2 / (sd**2 + rest**2 + s2),
        lambda percent, rest: np.sqrt(odds(percent) * (rest**2 + s2)),
        lambda percent, rest: np.sqrt((rest**2 + s2) / odds(percent)) * 50 / (100 - percent) ** 2,
        100.0,
    )


def share_of_i2(share: Axis, total: Axis, mass: Array, s2: float) -> Surface:
    """100·share·total²/(total² + s²): I² in percent of the level that has a share."""

    def left(percent: float, part: Array) -> Array:
        return np.maximum(part - percent / 100, 1e-150)

    return Surface(
        share,
        total,
        mass,
        lambda part, tau: 100 * part * tau**2 / (tau**2 + s2),
        lambda percent, part: np.where(
            part > percent / 100, np.sqrt(percent / 100 * s2 / left(percent, part)), np.inf
        ),
        lambda percent, part: (
            part * np.sqrt(s2 * 100 / percent) / (200 * left(percent, part) ** 1.5)
        ),
        100.0,
        lambda percent: (percent / 100,),
    )


def heavy_i2(nu: Axis, tau: Axis, mass: Array, s2: float) -> Surface:
    """100·V/(V + s²) with V = tau² nu/(nu − 2): I² in percent of Student-t effects."""

    def factor(at: Array) -> Array:
        return at / (at - 2)

    def odds(percent: float) -> float:
        return percent / (100 - percent)

    return Surface(
        nu,
        tau,
        mass,
        lambda at, sd: 100 * factor(at) * sd**2 / (factor(at) * sd**2 + s2),
        lambda percent, at: np.sqrt(odds(percent) * s2 / factor(at)),
        lambda percent, at: np.sqrt(s2 / (odds(percent) * factor(at))) * 50 / (100 - percent) ** 2,
        100.0,
    )


def mirrored(share: Axis) -> Axis:
    """The axis of 1 − share, its nodes in the opposite order."""
    return replace(share, centre=1.0 - share.centre - share.scale, breaks=_mirror(share))


def _mirror(share: Axis) -> Array:
    turned = math.pi / 2 - share.breaks if share.kind == "arc" else -share.breaks
    return np.asarray(turned[::-1])


def _last(axis: Axis) -> float:
    return float(axis.to_x(axis.breaks[-1:])[0])
