"""Mixtures over the nodes of a quadrature: exact cdfs, inverted where a quantile is asked for.

The mean given tau, with or without the noise of a new study, is normal given each node of tau, or
lies on panels there. Its cdf is a sum over nodes; nothing is interpolated on the way.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from metarho.engines.exact.panels import Axis, legendre
from metarho.posterior.average import average_correlation, average_square
from metarho.posterior.marginals import Kind, Summary, median_and_interval

type Array = NDArray[np.float64]

# What masses that do not count hold together: no number that is printed to 1e-10 moves.
LEAST_SHARE = 1e-13
_SQRT_2PI = math.sqrt(2 * math.pi)
_BLOCK = 2_000_000
# What roots are known to, in asinh units: quantiles that are printed, ends to draw or integrate to.
_EXACT, _NEARLY = 1e-14, 1e-2
# Beyond 9 sds a normal law has less mass than double precision shows.
_SDS = 9.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


class Components(Protocol):
    """What a mixture is made of."""

    @property
    def mass(self) -> Array:
        """Mass of each node of tau (J)."""

    @property
    def spread(self) -> tuple[Array, Array]:
        """Mean and sd of each component (J)."""

    def moments(self) -> tuple[float, float]:
        """Mean and sd of the mixture."""

    def at(self, x: Array) -> tuple[Array, Array]:
        """Mass below x and density at x (P each)."""

    def tanh_moments(self) -> tuple[float, float]:
        """Mean and sd of tanh of the mixture."""


@dataclass(frozen=True)
class Normals:
    """Components that are normal: ``mean`` and ``sd`` by node (J), sds positive."""

    mass: Array
    mean: Array
    sd: Array

    @property
    def spread(self) -> tuple[Array, Array]:
        """Mean and sd of each component."""
        return self.mean, self.sd

    def moments(self) -> tuple[float, float]:
        """Mean and sd of the mixture."""
        share = self.mass / self.mass.sum()
        mean = float(share @ self.mean)
        return mean, math.sqrt(float(share @ (self.sd**2 + (self.mean - mean) ** 2)))

    def at(self, x: Array) -> tuple[Array, Array]:
        """Σ mass Φ((x − mean)/sd) and Σ mass φ((x − mean)/sd)/sd."""
        below, density = np.zeros(len(x)), np.zeros(len(x))
        step = max(1, _BLOCK // max(1, len(self.mass)))
        for start in range(0, len(x), step):
            block = slice(start, start + step)
            scaled = (x[block, None] - self.mean) / self.sd
            below[block] = ndtr(scaled) @ self.mass
            density[block] = np.exp(-0.5 * scaled**2) @ (self.mass / self.sd) / _SQRT_2PI
        return below, density

    def tanh_moments(self) -> tuple[float, float]:
        """Mean and sd of tanh of the mixture."""
        return _tanh_moments(self.mass, self.mean, self.sd)


@dataclass(frozen=True)
class NoisyPanels:
    """Components that lie on panels, plus normal noise: ``joint`` (J, M) masses, ``noise`` (J).

    Masses may fall below 0 here and there (``panels.moved``): all is linear in them.

    Panel by panel: where the noise is wide against a panel, the panel's nodes are a mixture of
    normals; where it is narrow, the panel's own cdf is averaged over the noise.
    """

    axis: Axis
    joint: Array
    noise: Array

    @cached_property
    def mass(self) -> Array:
        """Mass of each node of tau."""
        return np.asarray(self.joint.sum(axis=1))

    @cached_property
    def spread(self) -> tuple[Array, Array]:
        """Mean and sd of each component."""
        nodes = self.axis.nodes
        share = np.maximum(self.joint, 0.0)
        share = share / np.maximum(share.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        mean = share @ nodes
        variance = (share * (nodes - mean[:, None]) ** 2).sum(axis=1)
        return mean, np.sqrt(variance + self.noise**2)

    def moments(self) -> tuple[float, float]:
        """Mean and sd of the mixture."""
        nodes, total = self.axis.nodes, self.joint.sum()
        share = self.joint.sum(axis=0) / total
        mean = float(share @ nodes)
        variance = float(share @ (nodes - mean) ** 2) + float(self.mass @ self.noise**2 / total)
        return mean, math.sqrt(variance)

    @cached_property
    def _is_wide(self) -> NDArray[np.bool_]:
        """For each node of tau and panel whether the noise is wide against the panel (J, B)."""
        widths = np.diff(self.axis.to_x(self.axis.breaks))
        return np.asarray(self.noise[:, None] >= 0.5 * widths)

    @cached_property
    def _wide(self) -> Normals:
        """All nodes of panels under wide noise, as one mixture of normals."""
        wide = np.repeat(self._is_wide, self.axis.order, axis=1) & ~lightest(self.joint)
        component, node = np.nonzero(wide)
        return Normals(self.joint[wide], self.axis.nodes[node], self.noise[component])

    @cached_property
    def _narrow(self) -> _NarrowPairs:
        """All pairs of a node of tau and a panel under narrow noise that hold mass."""
        in_u = self.axis.density_in_u(self.joint)
        running, reached = self.axis.running(in_u)
        held = np.diff(reached, axis=1)
        pairs = ~self._is_wide & ~lightest(held)
        component, panel = np.nonzero(pairs)
        return _NarrowPairs(
            self.axis,
            panel,
            self.noise[component],
            held[pairs],
            self.axis.coefficients(in_u)[pairs],
            running[pairs],
        )

    def at(self, x: Array) -> tuple[Array, Array]:
        """Mass below x and density at x."""
        below, density = self._wide.at(x)
        narrow = np.array([self._narrow.at(float(value)) for value in x]).reshape(-1, 2)
        return below + narrow[:, 0], density + narrow[:, 1]

    def tanh_moments(self) -> tuple[float, float]:
        """Mean and sd of tanh of the mixture."""
        alive = ~lightest(self.joint)
        where = np.nonzero(alive)
        return _tanh_moments(self.joint[alive], self.axis.nodes[where[1]], self.noise[where[0]])


@dataclass(frozen=True)
class _NarrowPairs:
    """Panels whose mass is spread by noise that is narrow against them (I pairs).

    ``panel``, ``noise``, ``held`` (mass) by pair; ``density`` and ``running`` hold the Legendre
    coefficients of the panel's density in u and of its running integral.
    """

    axis: Axis
    panel: NDArray[np.intp]
    noise: Array
    held: Array
    density: Array
    running: Array

    def at(self, x: float) -> tuple[float, float]:
        """Mass below x, and density at x.

        With s the noise in its sd and G the panel's running integral, the mass of a panel from a
        to b is held·Φ((x − b)/noise) + ∫ G(x − noise·s) φ(s) ds over s from (x − b)/noise to
        (x − a)/noise.
        """
        edges = self.axis.to_x(self.axis.breaks)
        with np.errstate(divide="ignore", invalid="ignore"):
            first = np.nan_to_num((x - edges[self.panel + 1]) / self.noise)
            last = np.nan_to_num((x - edges[self.panel]) / self.noise)
        below = float(self.held @ ndtr(first))
        near = (last > -_SDS) & (first < _SDS)
        if not near.any():
            return below, 0.0
        low, high = np.maximum(first[near], -_SDS), np.minimum(last[near], _SDS)
        half = 0.5 * (high - low)
        s = low[:, None] + half[:, None] * (1 + _NODES)
        weight = half[:, None] * _WEIGHTS * np.exp(-0.5 * s**2) / _SQRT_2PI
        panel = self.panel[near]
        start, end = self.axis.breaks[panel, None], self.axis.breaks[panel + 1, None]
        u = np.clip(self.axis.to_u(x - self.noise[near, None] * s), start, end)
        basis = legendre(2 * (u - start) / (end - start) - 1, self.axis.order + 1)
        running = np.einsum("in,iqn->iq", self.running[near], basis)
        density = np.einsum("in,iqn->iq", self.density[near], basis[..., :-1])
        return (
            below + float((running * weight).sum()),
            float((density / self.axis.slope(u) * weight).sum()),
        )


@dataclass(frozen=True)
class Mixture:
    """A posterior that is a mixture over nodes. ``moments`` below this order exist.

    ``known`` are mean and sd where they have a closed form that the components are too coarse for.
    """

    components: Components
    moments: float = math.inf
    known: tuple[float, float] | None = None

    @cached_property
    def _centre(self) -> tuple[float, float]:
        """The heaviest component's mean and the sd that half of the mass stays below."""
        mean, sd = self.components.spread
        mass = self.components.mass
        order = np.argsort(sd)
        middle = order[np.searchsorted(np.cumsum(mass[order]), 0.5 * mass.sum())]
        return float(mean[np.argmax(mass)]), float(sd[middle])

    @cached_property
    def _total(self) -> float:
        return float(self.components.mass.sum())

    def cdf(self, x: Array) -> Array:
        """Probability of at most x."""
        x = np.asarray(x, dtype=float)
        below, _ = self.components.at(x.ravel())
        return np.asarray(np.clip(below / self._total, 0, 1).reshape(x.shape))

    def density(self, x: Array) -> Array:
        """Density at x."""
        x = np.asarray(x, dtype=float)
        return np.asarray(self.components.at(x.ravel())[1].reshape(x.shape) / self._total)

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """The cdf at points from end to end, in asinh((x − centre)/scale): brackets for roots."""
        mean, sd = self.components.spread
        centre, scale = self._centre
        ends = np.array([np.min(mean - 10 * sd), np.max(mean + 10 * sd)])
        low, high = np.arcsinh((ends - centre) / scale)
        u = np.linspace(float(low), float(high), 33)
        return u, self.cdf(centre + scale * np.sinh(u))

    def quantile(self, p: Array) -> Array:
        """The values below which the share p lies: Newton's method within brackets."""
        return np.asarray(
            np.array([self._root(float(share), _EXACT) for share in np.ravel(p)]).reshape(
                np.shape(p)
            )
        )

    def _root(self, share: float, tolerance: float) -> float:
        u, reached = self._table
        centre, scale = self._centre
        index = int(np.clip(np.searchsorted(reached, share), 1, len(u) - 1))
        low, high = float(u[index - 1]), float(u[index])
        rise = reached[index] - reached[index - 1]
        part = (share - reached[index - 1]) / rise if rise > 0 else 0.5
        root = low + float(np.clip(part, 0.0, 1.0)) * (high - low)
        for _ in range(200):
            below, density = self.components.at(np.array([centre + scale * math.sinh(root)]))
            gap = float(below[0]) / self._total - share
            low, high = (root, high) if gap < 0 else (low, root)
            slope = float(density[0]) / self._total * scale * math.cosh(root)
            new = root - gap / slope if slope > 0 else math.inf
            if not low < new < high:
                new = 0.5 * (low + high)
            if abs(new - root) <= tolerance * max(1.0, abs(root)):
                break
            root = new
        return centre + scale * math.sinh(root)

    def summary(self, prob: float, kind: Kind) -> Summary:
        """Mean, sd, median and interval; moments from those of the components."""
        found = self.known or self.components.moments()
        mean = found[0] if self.moments > 1 else None
        sd = found[1] if self.moments > 2 else None
        median, lower, upper = median_and_interval(self.quantile, prob, kind)
        return Summary(mean, sd, median, lower, upper)

    def range(self, outside: float) -> tuple[float, float]:
        """Quantiles, to a hundredth of their distance from the centre."""
        return self._root(outside, _NEARLY), self._root(1 - outside, _NEARLY)


@dataclass(frozen=True)
class Correlation:
    """tanh of a mixture on Fisher's z."""

    base: Mixture

    def summary(self, prob: float, kind: Kind) -> Summary:
        """Mean, sd, median and interval on r."""
        mean, sd = self.base.components.tanh_moments()
        median, lower, upper = median_and_interval(
            lambda p: np.tanh(self.base.quantile(p)), prob, kind
        )
        return Summary(mean, sd, median, lower, upper)

    def cdf(self, x: Array) -> Array:
        """Probability of at most x."""
        r = np.asarray(x, dtype=float)
        inside = np.abs(r) < 1
        below = self.base.cdf(np.arctanh(np.where(inside, r, 0.0)))
        return np.where(inside, below, np.where(r >= 1, 1.0, 0.0))

    def density(self, x: Array) -> Array:
        """Density on r."""
        r = np.asarray(x, dtype=float)
        inside = np.abs(r) < 1
        safe = np.where(inside, r, 0.0)
        return np.where(inside, self.base.density(np.arctanh(safe)) / (1 - safe**2), 0.0)

    def range(self, outside: float) -> tuple[float, float]:
        """Quantiles."""
        low, high = self.base.range(outside)
        return math.tanh(low), math.tanh(high)


def lightest(mass: Array, share: float = LEAST_SHARE) -> NDArray[np.bool_]:
    """The lightest masses, which together cannot move a number that is printed to 1e-10."""
    flat = np.abs(mass.ravel())
    order = np.argsort(flat)
    light = np.zeros(len(flat), bool)
    light[order[np.cumsum(flat[order]) < share * flat.sum()]] = True
    return light.reshape(mass.shape)


def invert(cdf: Callable[[float], float], share: float, low: float, high: float) -> float:
    """Where an increasing function reaches a share: regula falsi (Illinois) with bisection."""
    f_low, f_high = cdf(low) - share, cdf(high) - share
    if f_low >= 0:
        return low
    if f_high <= 0:
        return high
    side = 0
    middle = 0.5 * (low + high)
    for step in range(200):
        middle = (low * f_high - high * f_low) / (f_high - f_low)
        if step % 3 == 2 or not low < middle < high:
            middle, side = 0.5 * (low + high), 0
        f = cdf(middle) - share
        if abs(f) < 1e-15 or high - low < 1e-14 * max(1.0, abs(middle)):
            break
        if f < 0:
            low, f_low = middle, f
            f_high = f_high / 2 if side == -1 else f_high
            side = -1
        else:
            high, f_high = middle, f
            f_low = f_low / 2 if side == 1 else f_low
            side = 1
    return middle


def inverse_of(cdf: Callable[[float], float], low: float, high: float) -> Callable[[float], float]:
    """The inverse of an increasing function between two values.

    It begins each time between the nearest values that it has seen: one share after the other
    costs a quarter of starting anew.
    """
    seen: dict[float, float] = {}
    places: list[float] = []

    def looked(x: float) -> float:
        if x not in seen:
            seen[x] = cdf(x)
            insort(places, x)
        return seen[x]

    looked(low)
    looked(high)

    def inverse(share: float) -> float:
        above = bisect_left(places, share, 1, len(places) - 1, key=looked)
        return invert(looked, share, places[above - 1], places[above])

    return inverse


def _tanh_moments(mass: Array, mean: Array, sd: Array) -> tuple[float, float]:
    share = mass / mass.sum()
    step = 20_000
    blocks = [slice(start, start + step) for start in range(0, len(share), step)]
    first = sum(float(share[b] @ average_correlation(mean[b], sd[b])) for b in blocks)
    second = sum(float(share[b] @ average_square(mean[b], sd[b], first)) for b in blocks)
    return first, math.sqrt(max(0.0, second))
