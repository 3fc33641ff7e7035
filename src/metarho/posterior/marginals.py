"""One-dimensional posteriors with a density, a cdf and quantiles, exact or from draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.panels import Axis, legendre

type Array = NDArray[np.float64]
type Kind = Literal["eti", "hdi"]


@dataclass(frozen=True)
class Summary:
    """The five numbers of every table. None where a number does not exist."""

    mean: float | None
    sd: float | None
    median: float | None
    lower: float | None
    upper: float | None


NOTHING = Summary(None, None, None, None, None)


class Marginal(Protocol):
    """A posterior of one quantity."""

    def summary(self, prob: float, kind: Kind) -> Summary:
        """Mean, sd, median and interval."""

    def cdf(self, x: Array) -> Array:
        """Probability of at most x."""

    def density(self, x: Array) -> Array:
        """Density at x."""

    def range(self, outside: float) -> tuple[float, float]:
        """Where all but ``outside`` of the mass on either side lies, for drawing."""


@dataclass(frozen=True)
class Point:
    """All mass in one value."""

    value: float

    def summary(self, prob: float, kind: Kind) -> Summary:
        """The value five times over, with sd 0."""
        return Summary(self.value, 0.0, self.value, self.value, self.value)

    def cdf(self, x: Array) -> Array:
        """A step."""
        return np.where(np.asarray(x) >= self.value, 1.0, 0.0)

    def density(self, x: Array) -> Array:
        """None to draw: 0 everywhere but in the point."""
        return np.zeros(np.shape(x))

    def range(self, outside: float) -> tuple[float, float]:
        """The point."""
        return self.value, self.value


@dataclass(frozen=True)
class Absent:
    """A quantity that the model does not have: no number of it is known."""

    def summary(self, prob: float, kind: Kind) -> Summary:
        """Nothing."""
        return NOTHING

    def cdf(self, x: Array) -> Array:
        """Unknown."""
        return np.full(np.shape(x), np.nan)

    def density(self, x: Array) -> Array:
        """Unknown."""
        return np.full(np.shape(x), np.nan)

    def range(self, outside: float) -> tuple[float, float]:
        """Unknown."""
        return math.nan, math.nan


ABSENT = Absent()


@dataclass(frozen=True)
class Curve:
    """A density on panels: ``values`` are densities in the parameter at the axis' nodes.

    ``moments`` says how many moments exist (tails may be too heavy for the mean or the sd).
    """

    axis: Axis
    values: Array
    moments: float = math.inf

    @cached_property
    def _mass(self) -> Array:
        return self.values * self.axis.weights

    @cached_property
    def _in_u(self) -> Array:
        """Density in the axis' coordinate, what the panels' polynomials interpolate."""
        return np.asarray(self.values * self.axis.slope(self.axis.u))

    @cached_property
    def _running(self) -> tuple[Array, Array]:
        """Coefficients of the cdf within each panel, and the cdf at the panels' ends."""
        return self.axis.running(self._in_u)

    def expect(self, function: Callable[[Array], Array]) -> float:
        """The posterior mean of a function."""
        return float(self._mass @ function(self.axis.nodes))

    def density(self, x: Array) -> Array:
        """The density at x; 0 outside the panels."""
        x = np.asarray(x, dtype=float)
        panel, place = self.axis.locate(x)
        in_u = self.axis.polynomial(self.axis.coefficients(self._in_u), panel, place)
        u = self.axis.to_u(x)
        inside = (u >= self.axis.breaks[0]) & (u <= self.axis.breaks[-1])
        with np.errstate(all="ignore"):
            return np.where(inside, np.maximum(in_u / self.axis.slope(u), 0.0), 0.0)

    def cdf(self, x: Array) -> Array:
        """Probability of at most x."""
        panel, place = self.axis.locate(np.asarray(x, dtype=float))
        running, starts = self._running
        within = self.axis.polynomial(running, panel, place)
        return np.asarray(np.clip((starts[panel] + within) / starts[-1], 0.0, 1.0))

    def quantile(self, p: Array) -> Array:
        """The values below which the share p lies (bisection within the panel)."""
        p = np.asarray(p, dtype=float)
        running, starts = self._running
        target = np.atleast_1d(p) * starts[-1]
        panel = np.clip(np.searchsorted(starts, target, side="right") - 1, 0, self.axis.panels - 1)
        low, high = np.full(target.shape, -1.0), np.full(target.shape, 1.0)
        for _ in range(60):
            middle = 0.5 * (low + high)
            basis = legendre(middle, self.axis.order + 1)
            reached = starts[panel] + np.einsum("in,in->i", running[panel], basis)
            low, high = (
                np.where(reached < target, middle, low),
                np.where(reached < target, high, middle),
            )
        u = self.axis.breaks[panel] + 0.5 * (1 + high) * self.axis.widths[panel]
        return np.asarray(self.axis.to_x(u).reshape(p.shape))

    def summary(self, prob: float, kind: Kind) -> Summary:
        """Mean, sd, median and interval."""
        mean = self.expect(lambda x: x) if self.moments > 1 else None
        sd = None
        if mean is not None and self.moments > 2:
            sd = math.sqrt(max(0.0, self.expect(lambda x: (x - mean) ** 2)))
        median, lower, upper = median_and_interval(self.quantile, prob, kind)
        return Summary(mean, sd, median, lower, upper)

    def range(self, outside: float) -> tuple[float, float]:
        """Quantiles."""
        low, high = self.quantile(np.array([outside, 1 - outside]))
        return float(low), float(high)


class Base(Protocol):
    """What can be seen on another scale."""

    def expect(self, function: Callable[[Array], Array]) -> float:
        """The posterior mean of a function."""

    def density(self, x: Array) -> Array:
        """Density at x."""

    def cdf(self, x: Array) -> Array:
        """Probability of at most x."""

    def quantile(self, p: Array) -> Array:
        """The values below which the share p lies."""

    def range(self, outside: float) -> tuple[float, float]:
        """Where all but ``outside`` of the mass on either side lies."""


@dataclass(frozen=True)
class Transformed:
    """A curve seen on another scale: an increasing ``forward`` with ``inverse`` and ``slope``.

    Quantiles are transformed, means and sds integrated. ``moments`` below this order exist.
    """

    base: Base
    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    moments: float = math.inf

    def expect(self, function: Callable[[Array], Array]) -> float:
        """The posterior mean of a function on the new scale."""
        return self.base.expect(lambda x: function(self.forward(x)))

    def quantile(self, p: Array) -> Array:
        """The values below which the share p lies."""
        return self.forward(self.base.quantile(p))

    def summary(self, prob: float, kind: Kind) -> Summary:
        """Mean, sd, median and interval on the new scale."""
        mean = self.base.expect(self.forward) if self.moments > 1 else None
        sd = None
        if mean is not None and self.moments > 2:
            sd = math.sqrt(max(0.0, self.base.expect(lambda x: (self.forward(x) - mean) ** 2)))
        median, lower, upper = median_and_interval(
            lambda p: self.forward(self.base.quantile(p)), prob, kind
        )
        return Summary(mean, sd, median, lower, upper)

    def cdf(self, x: Array) -> Array:
        """Probability of at most x."""
        return self.base.cdf(self.inverse(np.asarray(x, dtype=float)))

    def density(self, x: Array) -> Array:
        """Density on the new scale."""
        base = self.inverse(np.asarray(x, dtype=float))
        return self.base.density(base) / self.slope(base)

    def range(self, outside: float) -> tuple[float, float]:
        """Transformed quantiles."""
        low, high = self.base.range(outside)
        return float(self.forward(np.array(low))), float(self.forward(np.array(high)))


def below(law: Marginal, x: float) -> float:
    """P(at most x), of an x that may be infinite."""
    return float(x > 0) if math.isinf(x) else float(np.atleast_1d(law.cdf(np.array([x])))[0])


def as_correlation(base: Marginal) -> Marginal:
    """Tanh of a curve or point on Fisher's z."""
    if isinstance(base, Point):
        return Point(math.tanh(base.value))
    if not isinstance(base, Curve):
        raise TypeError(f"{type(base).__name__} is on the r scale already")
    return Transformed(
        base, np.tanh, lambda r: np.arctanh(np.clip(r, -1, 1)), lambda z: 1 / np.cosh(z) ** 2
    )


def median_and_interval(
    quantile: Callable[[Array], Array], prob: float, kind: Kind
) -> tuple[float, float, float]:
    """Median, lower and upper end of an interval, from a quantile function."""
    lower_share = _shortest_start(quantile, prob) if kind == "hdi" else (1 - prob) / 2
    shares = np.array([0.5, lower_share, lower_share + prob])
    median, lower, upper = quantile(np.clip(shares, 0.0, 1.0))
    return float(median), float(lower), float(upper)


def _shortest_start(quantile: Callable[[Array], Array], prob: float) -> float:
    """The lower tail share of the shortest interval: a coarse grid, then golden section."""

    def length(start: float) -> float:
        low, high = quantile(np.array([start, start + prob]))
        return float(high - low)

    starts = np.linspace(0, 1 - prob, 17)
    ends = quantile(np.concatenate([starts, np.minimum(starts + prob, 1.0)]))
    best = int(np.argmin(ends[17:] - ends[:17]))
    low, high = float(starts[max(best - 1, 0)]), float(starts[min(best + 1, 16)])
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = length(left), length(right)
    # The length is flat at its minimum: a start known to 1e-6 is as good as exact.
    for _ in range(22):
        if f_left < f_right:
            high, right, f_right = right, left, f_left
            left = high - ratio * (high - low)
            f_left = length(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + ratio * (high - low)
            f_right = length(right)
    return 0.5 * (low + high)
