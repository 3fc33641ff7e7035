"""What further studies may find, and the posterior of tomorrow that each finding makes of today's.

Given heterogeneity all is normal. At a node with a mean of true effects that has mean m and
variance a, and new effects that vary around it by tau² (of all levels), k studies with sampling
variance v report values with the mean ȳ and the sum of squares S around it:

    ȳ ~ Normal(m, a + s²/k),  S ~ s² χ²(k − 1),  s² = tau² + v

independently. Tomorrow's posterior depends on ȳ and S only: the masses of the nodes are reweighted
by these densities, and at each node any mean of true effects that has covariance c with the new
studies' one moves by c (ȳ − m)/(a + s²/k) and loses the variance c²/(a + s²/k).

Where the mean has no closed form it has nodes too: at each pair of nodes m is known, and a = 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from metarho.engines import exact
from metarho.engines.exact.panels import FINE, Axis
from metarho.engines.exact.quadrature import Quadrature, solve_on
from metarho.engines.problem import Problem
from metarho.posterior.curves import Curves
from metarho.posterior.mixtures import lightest
from metarho.posterior.normal_mixtures import NormalMixtures

type Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)
# The grid of one study ends where less than this of the law of its y is left.
_LEFT = 1e-18
# Panels are made for 24 nodes, but hardly ever need them: the fewest with this stated error do.
# With the mean on panels 8 are too few between the nodes, where cdfs are read.
_ORDERS, _ON_PANELS, _LARGEST_ERROR = (8, 10, 12, 16, FINE.order), (10, 12, 16, FINE.order), 1e-8
# Panels of the mean so wide, with 10 nodes each, resolve what studies of 20,000 people say at the
# nodes of hardly any heterogeneity to 1e-7. Where there are no others, all have to be narrow, for
# studies of 100,000, and are few enough.
_WIDTH, _WIDTH_ALONE = 0.06, 0.01
# A panel with less mass than this has no say in whether sums over it are resolved.
_LEAST_CUT = 1e-9
# Numbers at once: 16 MB.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Further:
    """Further studies: ``ni`` people shared out equally among ``studies``."""

    ni: float
    studies: int = 1

    @property
    def each(self) -> float:
        """People a study."""
        return self.ni / self.studies

    @property
    def variance(self) -> float:
        """The sampling variance of each study's z, 1/(n − 3)."""
        return 1 / (self.each - 3)


@dataclass(frozen=True)
class Today:
    """A posterior at its J nodes of heterogeneity, as further studies meet it (model's scale).

    ``mass`` (J) sums to 1; ``tau2`` is the total variance of new true effects. ``mean`` and
    ``variance`` are those of the mean of true effects at the further studies' moderators, ``about``
    and ``about_variance`` those of the mean that is asked about, ``covariance`` that of the two.
    Where the mean is on panels, ``axis`` has them and ``place`` (J, in rising order) says at which
    of its nodes each mass is.
    """

    mass: Array
    tau2: Array
    mean: Array
    variance: Array
    about: Array
    about_variance: Array
    covariance: Array
    axis: Axis | None = None
    place: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Futures:
    """F possible findings of further studies: ``mean`` ȳ and ``square`` S, with their ``weight``.

    On a grid weights are masses of the law of ȳ, and what is between neighbours is known too;
    ``drawn`` ones have equal weights and come in no order.
    """

    mean: Array
    square: Array
    weight: Array
    drawn: bool

    def expectation(self, values: Array) -> float:
        """The expectation of what takes a value (F) in each future."""
        return float(self.weight @ values)

    def quantile(self, values: Array, share: float) -> float:
        """Below which value a share of the futures lies."""
        order = np.argsort(values, kind="stable")
        weight = self.weight[order]
        reached = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
        return float(np.interp(share, reached, values[order]))

    def probability(self, margins: Array) -> float:
        """The probability that a margin (F) is above 0: on a grid, of its line between points."""
        if self.drawn:
            return float(np.mean(margins > 0))
        left, right = margins[:-1], margins[1:]
        above = np.maximum(left, 0) + np.maximum(right, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            part = above / (np.abs(left) + np.abs(right))
        part = np.where((left > 0) == (right > 0), left > 0, np.nan_to_num(part, nan=0.5))
        found = float(0.5 * (self.weight[:-1] + self.weight[1:]) @ part)
        return min(max(found, 0.0), 1.0)

    def error(self, probability: float) -> float | None:
        """The Monte Carlo standard error of a probability; None on a grid, which has none."""
        if not self.drawn:
            return None
        return math.sqrt(probability * (1 - probability) / len(self.weight))


@dataclass(frozen=True)
class Tomorrow:
    """The posterior after each of F findings, at the nodes of today's.

    ``mass`` (F, J) sums to 1 in each future; ``mean`` (F, J) and ``variance`` (J) are those of the
    mean that is asked about; ``log_density`` (F) is that of the findings, today. Where the mean is
    on the panels of ``axis``, mass is that of its nodes, all heterogeneity together, and ``tau2``
    is None.
    """

    mass: Array
    mean: Array
    variance: Array
    tau2: Array | None
    log_density: Array
    axis: Axis | None = None

    @property
    def means(self) -> NormalMixtures | Curves:
        """The laws of the mean that is asked about."""
        if self.axis is not None:
            return Curves(self.axis, self.mass)
        return self._mixtures(self.variance)

    @property
    def new(self) -> NormalMixtures:
        """The laws of the true effect of a later study, at the moderators that are asked about.

        Raises ValueError where the mean is on panels.
        """
        if self.tau2 is None:
            raise ValueError("with the mean on panels, new true effects are not kept")
        return self._mixtures(self.variance + self.tau2)

    def moments(self) -> tuple[Array, Array]:
        """Mean and sd of the mean that is asked about, in each future (F each)."""
        mean = (self.mass * self.mean).sum(axis=1)
        around = self.variance + (self.mean - mean[:, None]) ** 2
        return mean, np.sqrt((self.mass * around).sum(axis=1))

    def _mixtures(self, variance: Array) -> NormalMixtures:
        sd = np.broadcast_to(np.sqrt(variance), self.mass.shape)
        return NormalMixtures(self.mass, self.mean, sd)


@dataclass(frozen=True)
class Noise:
    """What makes futures different, the same at every size: F draws.

    ``node`` are shares that choose a node by its mass, ``mean`` (F) and ``square`` (F, most − 1)
    standard normal numbers for ȳ and S.
    """

    node: Array
    mean: Array
    square: Array

    @classmethod
    def drawn(cls, rng: np.random.Generator, count: int, most: int) -> Noise:
        """``count`` futures of up to ``most`` studies."""
        return cls(
            rng.uniform(size=count),
            rng.standard_normal(count),
            rng.standard_normal((count, most - 1)),
        )


def resolved(problem: Problem) -> Quadrature:
    """A posterior at as few nodes as give it to 1e-8: each is computed anew in every future.

    Panels of the mean are cut to what further studies may tell apart.
    """
    solved = exact.integrate(problem)
    axes = dict(solved.axes)
    if solved.mu is not None and not solved.mu.is_atoms:
        held = solved.marginal_mass("mu").reshape(solved.mu.panels, -1).sum(axis=1)
        width = _WIDTH if problem.may_vary else _WIDTH_ALONE
        axes["mu"] = solved.mu.cut(width, held > _LEAST_CUT)
    first, *others = _ORDERS if exact.is_conjugate(problem) else _ON_PANELS
    found = solve_on(problem, list(axes.values()), first)
    for order in others:
        if found.quad_err <= _LARGEST_ERROR:
            break
        found = solve_on(problem, list(axes.values()), order)
    return found


def today(problem: Problem, solved: Quadrature, row: Array, about: Array) -> Today:
    """A posterior, for further studies at one row of the design, about the mean at another.

    Nodes that together hold less than 1e-13 of the mass are left out.
    """
    kept = ~lightest(solved.joint.T)
    mass = solved.joint.T[kept]
    place, node = np.nonzero(kept)
    tau2 = np.broadcast_to(problem.total_sd(solved.values) ** 2, len(solved.joint))[node]
    if solved.mu is not None:
        # Without moderators a row is 1.
        mean, nothing = solved.mu.nodes[place], np.zeros(len(mass))
        return Today(
            mass / mass.sum(), tau2, mean, nothing, mean, nothing, nothing, solved.mu, place
        )
    assert solved.mean is not None and solved.covariance is not None
    mean, covariance = solved.mean[node], solved.covariance[node]
    return Today(
        mass / mass.sum(),
        tau2,
        mean @ row,
        _quadratic(row, covariance, row),
        mean @ about,
        _quadratic(about, covariance, about),
        _quadratic(about, covariance, row),
    )


def grid(now: Today, further: Further, count: int) -> Futures:
    """What one study may find, on a grid of ``count`` points that ends where nothing is left.

    The trapezoidal rule in t, y = centre + scale·sinh(t), for the law of y is a mixture of normals:
    sums over the grid are expectations to rounding (Trefethen and Weideman 2014,
    10.1137/130932132), as long as what is summed changes over more than a step.
    """
    if further.studies != 1:
        raise ValueError(f"the findings of {further.studies} studies do not lie on one line")
    variance = now.variance + now.tau2 + further.variance
    centre = float(now.mass @ now.mean)
    order = np.argsort(variance)
    middle = order[np.searchsorted(np.cumsum(now.mass[order]), 0.5)]
    scale = math.sqrt(float(variance[middle]))
    # A normal law with mass w has less than _LEFT of it beyond this many sds.
    reach = np.sqrt(2 * np.maximum(np.log(now.mass / _LEFT), 0.0) * variance)
    low = math.asinh((float((now.mean - reach).min()) - centre) / scale)
    high = math.asinh((float((now.mean + reach).max()) - centre) / scale)
    t = np.linspace(low, high, count)
    step = (high - low) / (count - 1)
    y, nothing = centre + scale * np.sinh(t), np.zeros(count)
    found = Futures(y, nothing, scale * np.cosh(t) * step, drawn=False)
    return replace(found, weight=found.weight * np.exp(log_predictive(now, further, found)))


def draw(now: Today, further: Further, noise: Noise) -> Futures:
    """What studies may find, from the posterior predictive law; they share mean and tau."""
    running = np.cumsum(now.mass)
    node = np.minimum(np.searchsorted(running, noise.node * running[-1]), len(running) - 1)
    spread = now.tau2[node] + further.variance
    sd = np.sqrt(now.variance[node] + spread / further.studies)
    square = (noise.square[:, : further.studies - 1] ** 2).sum(axis=1)
    count = len(node)
    return Futures(
        now.mean[node] + sd * noise.mean, spread * square, np.full(count, 1 / count), drawn=True
    )


def tomorrow(now: Today, further: Further, futures: Futures) -> Tomorrow:
    """The posterior after each future, in closed form at the nodes."""
    masses, densities = [], []
    for log_mass in _log_masses(now, further, futures):
        log_density = _total(log_mass)
        masses.append(_at_nodes(now, np.exp(log_mass - log_density[:, None])))
        densities.append(log_density)
    mass, log_density = np.concatenate(masses), np.concatenate(densities)
    if now.axis is not None:
        nodes = now.axis.nodes
        return Tomorrow(mass, nodes[None, :], np.zeros(len(nodes)), None, log_density, now.axis)
    gain = now.covariance / (now.variance + (now.tau2 + further.variance) / further.studies)
    return Tomorrow(
        mass,
        now.about + gain * (futures.mean[:, None] - now.mean),
        # Rounding may leave less than nothing of a variance that a study takes away.
        np.maximum(now.about_variance - gain * now.covariance, 0.0),
        now.tau2,
        log_density,
    )


def without_news(now: Today) -> Tomorrow:
    """Today's posterior as one future in which nothing was found."""
    mass, nothing = _at_nodes(now, now.mass[None, :]), np.zeros(1)
    if now.axis is not None:
        nodes = now.axis.nodes
        return Tomorrow(mass, nodes[None, :], np.zeros(len(nodes)), None, nothing, now.axis)
    return Tomorrow(mass, now.about[None, :], now.about_variance, now.tau2, nothing)


def log_predictive(now: Today, further: Further, futures: Futures) -> Array:
    """The log density of each finding under a posterior (F): of ȳ and, with several studies, S."""
    return np.concatenate([_total(part) for part in _log_masses(now, further, futures)])


def _at_nodes(now: Today, mass: Array) -> Array:
    """Masses (F, J) as they are, or summed by node of the mean where this is on panels."""
    if now.axis is None or now.place is None:
        return mass
    found = np.zeros((len(mass), len(now.axis.nodes)))
    places, first = np.unique(now.place, return_index=True)
    found[:, places] = np.add.reduceat(mass, first, axis=1)
    return found


def _log_masses(now: Today, further: Further, futures: Futures) -> Iterator[Array]:
    """Log of each node's mass times the density of each finding there, some futures at a time."""
    step = max(1, _BLOCK // len(now.mass))
    for start in range(0, len(futures.mean), step):
        block = slice(start, start + step)
        yield _log_mass(now, further, futures.mean[block], futures.square[block])


def _log_mass(now: Today, further: Further, mean: Array, square: Array) -> Array:
    """Log of each node's mass times the density of each finding there (F, J)."""
    spread = now.tau2 + further.variance
    variance = now.variance + spread / further.studies
    degrees = further.studies - 1
    found = (mean[:, None] - now.mean) ** 2
    found *= -0.5 / variance
    found += np.log(now.mass) - 0.5 * (_LOG_2PI + np.log(variance))
    if degrees:
        # S/s² is χ²: the power of S and the constant are those of every node.
        constant = 0.5 * degrees * math.log(2) + gammaln(0.5 * degrees)
        found -= 0.5 * square[:, None] / spread + 0.5 * degrees * np.log(spread) + constant
        found += ((0.5 * degrees - 1) * np.log(square))[:, None]
    return found


def _total(log_mass: Array) -> Array:
    """Log of the sum over nodes (F)."""
    peak = log_mass.max(axis=1)
    return np.asarray(peak + np.log(np.exp(log_mass - peak[:, None]).sum(axis=1)))


def _quadratic(left: Array, matrices: Array, right: Array) -> Array:
    return np.asarray(np.einsum("i,jik,k->j", left, matrices, right))
