"""Every quantity of interest from a quadrature, without sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from metarho.engines.exact.moments import (
    moments_of,
    moments_of_effects,
    moments_of_heterogeneity,
    moments_of_shape,
    moments_of_spread,
)
from metarho.engines.exact.panels import FINE, Axis, legendre
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.posterior.average import average_correlation, average_correlation_slope
from metarho.posterior.heterogeneity import h2, h2_inverse, i2, i2_inverse, typical_variance
from metarho.posterior.levels import (
    Surface,
    heavy_i2,
    level_i2,
    level_sd,
    mirrored,
    on_total,
    share_of_i2,
    total_of,
)
from metarho.posterior.marginals import (
    NOTHING,
    Curve,
    Kind,
    Marginal,
    Point,
    Summary,
    Transformed,
    as_correlation,
    median_and_interval,
)
from metarho.posterior.mixtures import (
    Correlation,
    Mixture,
    NoisyPanels,
    Normals,
    inverse_of,
    lightest,
)
from metarho.posterior.observed_r import observed_z
from metarho.posterior.selection_weights import weights_of_selection
from metarho.posterior.student_effects import (
    AverageOnPanels,
    average_correlations,
    new_effects,
)

type Array = NDArray[np.float64]
type Function = Callable[[Array, Array], Array]

TOTAL = "total"
_SQRT_2PI = math.sqrt(2 * math.pi)
# Trapezoidal rule over a standard normal.
_STEP = 0.5
_HERMITE, _HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(8)
_HERMITE_WEIGHTS = _HERMITE_WEIGHTS / _SQRT_2PI


@dataclass(frozen=True)
class Exact:
    """A problem and its quadrature, read as marginals."""

    problem: Problem
    quadrature: Quadrature

    @cached_property
    def parameters(self) -> dict[str, Marginal]:
        """The marginal of every parameter, in the problem's order."""
        eye = np.eye(len(self.problem.coefficients))
        found: dict[str, Marginal] = {
            name: self.mean_of(eye[index]) for index, name in enumerate(self.problem.coefficients)
        }
        found |= {name: self._hard(name) for name in self.problem.spreads}
        found |= weights_of_selection(self.problem, self.quadrature) or {
            name: self._hard(name) for name in self.problem.shapes
        }
        if self.problem.is_total_form:
            found |= self._level_sds
        return found

    def _hard(self, name: str) -> Curve | Point:
        """The posterior of a hard parameter."""
        axis = self.quadrature.axes[name]
        if axis.is_point:
            return Point(float(axis.nodes[0]))
        density = self.quadrature.marginal_mass(name) / axis.weights
        moments = moments_of_shape if name in self.problem.shapes else moments_of_spread
        return Curve(axis, density, moments(self.problem, name))

    @cached_property
    def tau(self) -> Curve | Point | Surface | Transformed:
        """The posterior of the total sd of true effects, the root of Στ²."""
        spreads = self.problem.spreads
        if not spreads:
            return Point(0.0)
        if self.problem.is_total_form or len(spreads) == 1:
            return self._hard(spreads[0])
        parts = [self._hard(name) for name in spreads]
        fixed = math.hypot(*(part.value for part in parts if isinstance(part, Point)))
        free = [part for part in parts if isinstance(part, Curve)]
        if not free:
            return Point(fixed)
        if len(free) == 1:
            return Transformed(
                free[0],
                lambda x: np.hypot(x, fixed),
                lambda x: np.sqrt(np.maximum(x**2 - fixed**2, 0.0)),
                lambda x: x / np.hypot(x, fixed),
                free[0].moments,
            )
        moments = moments_of_heterogeneity(self.problem)
        return total_of(*self._spread_axes, self._spread_mass, moments)

    @property
    def _spread_axes(self) -> tuple[Axis, Axis]:
        """The axes of the two parameters of nested heterogeneity."""
        first, second = self.problem.spreads
        return self.quadrature.axes[first], self.quadrature.axes[second]

    @cached_property
    def _spread_mass(self) -> Array:
        """Mass at the tensor of the nodes of heterogeneity."""
        spreads = self.problem.spreads
        names = list(self.quadrature.axes)
        others = tuple(d for d, name in enumerate(names) if name not in spreads)
        return np.asarray(self.quadrature.mass.sum(axis=others))

    @cached_property
    def _level_sds(self) -> dict[str, Marginal]:
        """The sds of both levels in the total form."""
        total, share = (self._hard(name) for name in self.problem.spreads)
        moments = moments_of_spread(self.problem, "tau")
        if isinstance(total, Curve) and isinstance(share, Curve):
            tau, part = self._spread_axes
            mass = self._spread_mass.T
            return {
                "tau_study": level_sd(part, tau, mass, moments),
                "tau_effect": level_sd(mirrored(part), tau, mass[::-1], moments),
            }
        return {
            "tau_study": _product(total, share, lambda x: x),
            "tau_effect": _product(total, share, lambda x: 1 - x),
        }

    @cached_property
    def _effects(self) -> Quadrature:
        """The quadrature of what true effects depend on: mu, the total sd and nu.

        Beside an axis of mu, omega and a share are summed out; two level sds become their total.
        """
        q = self.quadrature
        if q.mu is None:
            return q
        for name in {"omega", "share", "pet", "peese"} & q.axes.keys():
            mass = q.mass.sum(axis=list(q.axes).index(name))
            return replace(q, axes={n: a for n, a in q.axes.items() if n != name}, mass=mass)
        spreads = [q.axes[name] for name in self.problem.spreads]
        if len(spreads) < 2 or any(axis.is_atoms for axis in spreads):
            return q
        total, joint = on_total(spreads[0], spreads[1], q.joint)
        return replace(q, axes={TOTAL: total, "mu": q.mu}, mass=joint)

    @cached_property
    def _node_mass(self) -> Array:
        return self._effects.node_mass

    @cached_property
    def _variance(self) -> Array:
        """Στ² at the nodes of all axes but mu."""
        for name in (TOTAL, "tau"):
            if name in self._effects.axes:
                return self._effects.values[name] ** 2
        total = np.zeros(len(self._node_mass))
        for variance in self.problem.level_variances(self._effects.values).values():
            total = total + variance
        return total

    @property
    def head(self) -> Array:
        """The row of the headline: the average over the evidence (without moderators, 1)."""
        return self.problem.design.average

    def mean_of(self, row: Array) -> Curve | Mixture | Point:
        """The posterior of rowᵀ(mu, beta), the mean of theta at a row of the design."""
        q = self.quadrature
        moments = self._moments(row)
        if q.mu is not None:
            # Without moderators a row is 1.
            if q.mu.is_point:
                return Point(float(q.mu.nodes[0]))
            return Curve(q.mu, q.joint.sum(axis=0) / q.mu.weights, moments)
        mean, variance = self._given_nodes(row)
        return self._mixture(mean, variance, moments)

    def theta_new(self, row: Array, extra_variance: float = 0.0) -> Curve | Mixture | Point:
        """The true effect of a new study at a row, plus independent noise of a given variance."""
        q = self._effects
        noise = self._variance + extra_variance
        moments = min(self._moments(row), moments_of_heterogeneity(self.problem))
        if self._has_heavy_effects and np.any(self._variance > 0):
            return self._heavy_new(min(moments, moments_of_effects(self.problem)), extra_variance)
        if q.mu is None:
            mean, variance = self._given_nodes(row)
            return self._mixture(mean, variance + noise, moments)
        if q.mu.is_point:
            return self._mixture(np.full(len(noise), q.mu.nodes[0]), noise, moments)
        if not np.any(noise > 0):
            return self.mean_of(row)
        alive = self._counts(noise, moments)
        return Mixture(NoisyPanels(q.mu, q.joint[alive], np.sqrt(noise[alive])), moments)

    @property
    def _has_heavy_effects(self) -> bool:
        return self.problem.model.effects == "student-t"

    def _heavy_new(self, moments: float, extra_variance: float) -> Mixture:
        """A new effect mu + tau·t_nu, plus noise."""
        q = self._effects
        assert q.mu is not None
        alive = self._counts(np.zeros(len(self._node_mass)), 0)
        tau, nu = np.sqrt(self._variance[alive]), q.values["nu"][alive]
        spread, mass = new_effects(q.joint[alive], tau, nu)
        sd = np.sqrt(spread**2 + extra_variance)
        known = None
        if moments > 1:
            # Var t_nu = nu/(nu − 2), where it exists.
            variance = self._variance * q.values["nu"] / np.maximum(q.values["nu"] - 2, 1e-300)
            centre = float(q.joint.sum(axis=0) @ q.mu.nodes)
            around = float(q.joint.sum(axis=0) @ (q.mu.nodes - centre) ** 2)
            square = around + float(self._node_mass @ variance) + extra_variance
            known = centre, math.sqrt(square)
        if q.mu.is_point:
            centres = np.full(len(sd), q.mu.nodes[0])
            return Mixture(Normals(mass[:, 0], centres, sd), moments, known)
        return Mixture(NoisyPanels(q.mu, mass, sd), moments, known)

    def observed_z(self, row: Array, n: float) -> Curve:
        """What a new study of n people at a row observes under the exact law of r, as z."""
        return observed_z(self.theta_new(row), n)

    def average_correlation_summary(self, row: Array, prob: float, kind: Kind) -> Summary:
        """rho_mean at a row: the mean correlation over the distribution of true effects.

        rho_mean = ∫ tanh(x) N(x; mu, Στ²) dx is a function of mu and Στ² and increases in mu, so
        P(rho_mean <= t) is the mass of mu below the mu that gives t, averaged over Στ².
        """
        if self._has_heavy_effects:
            return self._heavy_average(prob, kind)
        q = self._effects
        alive = self._counts(np.zeros(len(self._node_mass)), 0)
        tau = np.sqrt(self._variance[alive])
        if q.mu is None:
            mean, spread = self._given_nodes(row)
            mass = self._node_mass[alive]
            given: _Normals | _Panels = _Normals(mass, mean[alive], np.sqrt(spread[alive]))
        else:
            given = _Panels(q.mu, q.joint[alive])
        mean_for = _MeanFor(tau)
        first = given.expect(average_correlation, tau)
        # Centred, so that a small spread keeps its digits.
        variance = given.expect(lambda x, t: (average_correlation(x, t) - first) ** 2, tau)

        def cdf(z: float) -> float:
            return given.cdf(mean_for(math.tanh(z)))

        sd = math.sqrt(max(0.0, variance))
        return Summary(first, sd, *_median_and_interval_on_atanh(cdf, prob, kind))

    def _heavy_average(self, prob: float, kind: Kind) -> Summary:
        """rho_mean over Student-t effects."""
        q = self._effects
        assert q.mu is not None
        # Of three hard parameters, errors of 1e-6 are asked.
        alive = ~lightest(self._node_mass, 1e-9)
        tau = np.sqrt(self._variance[alive])
        values = average_correlations(q.mu.nodes, tau, q.values["nu"][alive])
        found = AverageOnPanels(q.mu, q.joint[alive], values)
        return Summary(
            *found.expect(),
            *_median_and_interval_on_atanh(lambda z: found.cdf(math.tanh(z)), prob, kind),
        )

    def i2(self) -> Marginal | None:
        """I² in percent; None where it is not defined."""
        s2 = typical_variance(self.problem)
        if s2 is None:
            return None
        total = self.tau
        if self._has_heavy_effects:
            return self._heavy_i2(total, s2)
        if isinstance(total, Point):
            return Point(float(i2(np.array(total.value**2), s2)))
        return Transformed(
            total,
            lambda tau: i2(tau**2, s2),
            lambda percent: i2_inverse(percent, s2),
            lambda tau: 200 * tau * s2 / (tau**2 + s2) ** 2,
        )

    def h2(self) -> Marginal | None:
        """H², the variance between estimates over that of sampling alone.

        None where I² is, and with Student-t effects, whose variance is not tau².
        """
        s2 = typical_variance(self.problem)
        if s2 is None or self._has_heavy_effects:
            return None
        total = self.tau
        if isinstance(total, Point):
            return Point(float(h2(np.array(total.value**2), s2)))
        return Transformed(
            total,
            lambda tau: h2(tau**2, s2),
            lambda ratio: h2_inverse(ratio, s2),
            lambda tau: 2 * tau / s2,
            moments_of_heterogeneity(self.problem) / 2,
        )

    def _heavy_i2(self, tau: Marginal, s2: float) -> Marginal | None:
        """I² at the variance tau² nu/(nu − 2); None where nu may be 2 or less, or tau is known."""
        nu = self.quadrature.axes["nu"]
        if moments_of_effects(self.problem) <= 2:
            return None
        if not nu.is_point:
            return None if isinstance(tau, Point) else heavy_i2(nu, *self._heavy_plane, s2)
        factor = float(nu.nodes[0] / (nu.nodes[0] - 2))
        if isinstance(tau, Point):
            return Point(float(i2(np.array(factor * tau.value**2), s2)))
        assert isinstance(tau, Curve)
        return Transformed(
            tau,
            lambda x: i2(factor * x**2, s2),
            lambda percent: i2_inverse(percent, s2 / factor),
            lambda x: 200 * factor * x * s2 / (factor * x**2 + s2) ** 2,
        )

    @property
    def _heavy_plane(self) -> tuple[Axis, Array]:
        """The axis of tau, and masses at the nodes of nu and tau."""
        names = list(self.quadrature.axes)
        mass = self.quadrature.mass.sum(axis=names.index("mu"))
        return self.quadrature.axes["tau"], np.asarray(mass.T)

    def i2_by_level(self) -> dict[str, Marginal]:
        """I² of each level in percent, where there are two: 100·tau_level²/(Στ² + s²)."""
        s2 = typical_variance(self.problem)
        axes = [self.quadrature.axes[name] for name in self.problem.spreads]
        if s2 is None or len(axes) < 2 or any(axis.is_atoms for axis in axes):
            return {}
        first, second = axes
        mass = self._spread_mass
        if not self.problem.is_total_form:
            return {
                "study": level_i2(second, first, mass.T, s2),
                "effect": level_i2(first, second, mass, s2),
            }
        return {
            "study": share_of_i2(second, first, mass.T, s2),
            "effect": share_of_i2(mirrored(second), first, mass.T[::-1], s2),
        }

    def rho(self, base: Marginal) -> Marginal:
        """A quantity of the model's scale as a correlation."""
        if self.problem.scale != "z":
            return base
        return Correlation(base) if isinstance(base, Mixture) else as_correlation(base)

    def derived(self, prob: float, kind: Kind) -> dict[str, Summary]:
        """rho_median and rho_mean at the headline row, I² and H²."""
        scale = self.problem.scale
        found = {"rho_median": NOTHING, "rho_mean": NOTHING}
        if scale != "yi":
            median = self.rho(self.mean_of(self.head)).summary(prob, kind)
            found["rho_median"] = median
            found["rho_mean"] = (
                self.average_correlation_summary(self.head, prob, kind) if scale == "z" else median
            )
        for name, found_marginal in (("I2", self.i2()), ("H2", self.h2())):
            found[name] = found_marginal.summary(prob, kind) if found_marginal else NOTHING
        for level, marginal in self.i2_by_level().items():
            found[f"I2_{level}"] = marginal.summary(prob, kind)
        return found

    def _given_nodes(self, row: Array) -> tuple[Array, Array]:
        """Mean and variance of rowᵀ(mu, beta) at each node."""
        q = self.quadrature
        assert q.mean is not None and q.covariance is not None
        return q.mean @ row, np.einsum("i,tij,j->t", row, q.covariance, row)

    def _moments(self, row: Array) -> float:
        """Moments of rowᵀ(mu, beta) below this order exist."""
        names = [n for n, x in zip(self.problem.coefficients, row, strict=True) if x != 0]
        return min(moments_of(self.problem, name) for name in names)

    def _counts(self, variance: Array, moments: float) -> NDArray[np.bool_]:
        """Nodes that count: by their mass, or in a heavy tail by their part of the sd."""
        mass = self._node_mass
        counts = ~lightest(mass)
        if moments > 2:
            counts |= ~lightest(mass * variance)
        return np.asarray(counts)

    def _mixture(self, mean: Array, variance: Array, moments: float) -> Mixture | Point:
        """The mixture of normals over the nodes."""
        alive = self._counts(variance, moments)
        mass, mean, sd = self._node_mass[alive], mean[alive], np.sqrt(variance[alive])
        if not np.any(sd > 0):
            return Point(float(mass @ mean / mass.sum()))
        return Mixture(Normals(mass, mean, sd), moments)


@dataclass(frozen=True)
class _Normals:
    """The mean given each tau, where conjugate, and the mass of each."""

    mass: Array
    mean: Array
    sd: Array

    def cdf(self, x: Array) -> float:
        """P(mean <= x), with x at each tau."""
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = (x - self.mean) / self.sd
        below = np.where(self.sd > 0, ndtr(scaled), np.where(x >= self.mean, 1.0, 0.0))
        return float(self.mass @ below / self.mass.sum())

    def expect(self, function: Function, tau: Array) -> float:
        """E[function(mean, tau)]; finer where the mean is spread over many units."""
        result = np.empty(len(tau))
        # What is smooth over 1, or tau, is a short polynomial over a tenth of that.
        near = self.sd <= 0.1 * np.maximum(tau, 1.0)
        mean = self.mean[near, None] + self.sd[near, None] * _HERMITE
        result[near] = function(mean, tau[near, None]) @ _HERMITE_WEIGHTS
        # Steps of a quarter of what the function is smooth over: error exp(-39).
        finer = np.ceil(np.clip(2 * self.sd / np.maximum(tau, 1.0), 1.0, 2000.0)).astype(int)
        for times in np.unique(finer[~near]):
            here = (finer == times) & ~near
            nodes = np.arange(-18 * times, 18 * times + 1) * (_STEP / times)
            weights = np.exp(-0.5 * nodes**2) * (_STEP / times) / _SQRT_2PI
            mean = self.mean[here, None] + self.sd[here, None] * nodes
            result[here] = function(mean, tau[here, None]) @ weights
        return float(self.mass @ result / self.mass.sum())


@dataclass(frozen=True)
class _Panels:
    """The mean on panels, with the ``mass`` (T, M) of each tau and node of the mean."""

    axis: Axis
    mass: Array

    @cached_property
    def _running(self) -> tuple[Array, Array]:
        return self.axis.running(self.axis.density_in_u(self.mass))

    def cdf(self, x: Array) -> float:
        """P(mean <= x), with x at each tau."""
        if self.axis.is_point:
            below = self.mass[:, 0] * (x >= self.axis.nodes[0])
            return float(below.sum() / self.mass.sum())
        running, starts = self._running
        panel, place = self.axis.locate(x)
        row = np.arange(len(x))
        within = np.einsum("in,in->i", running[row, panel], legendre(place, self.axis.order + 1))
        return float((starts[row, panel] + within).sum() / starts[:, -1].sum())

    def expect(self, function: Function, tau: Array) -> float:
        """E[function(mean, tau)]."""
        total = 0.0
        for start in range(0, len(tau), 50):
            block = slice(start, start + 50)
            values = function(self.axis.nodes[None, :], tau[block, None])
            total += float((self.mass[block] * values).sum())
        return total / float(self.mass.sum())


@dataclass(frozen=True)
class _MeanFor:
    """The mu at which the average correlation has a value, at each of many tau."""

    tau: Array

    @cached_property
    def _panels(self) -> Axis | None:
        """Where it is solved, to be interpolated, when there are more tau than that takes."""
        first, last = np.arcsinh([self.tau.min(), self.tau.max()])
        count = max(2, math.ceil((last - first) / 0.5))
        if last - first < 1e-6 or FINE.order * count > len(self.tau):
            return None
        return Axis("sinh", 0.0, 1.0, np.linspace(first, last, count + 1))

    @cached_property
    def _basis(self) -> tuple[NDArray[np.intp], Array]:
        assert self._panels is not None
        panel, place = self._panels.locate(self.tau)
        return panel, legendre(place, self._panels.order)

    def __call__(self, rho: float) -> Array:
        if self._panels is None:
            return _mean_for(rho, self.tau)
        panel, basis = self._basis
        coefficients = self._panels.coefficients(_mean_for(rho, self._panels.nodes))
        return np.asarray((coefficients[panel] * basis).sum(axis=1))


def _median_and_interval_on_atanh(
    cdf: Callable[[float], float], prob: float, kind: Kind
) -> tuple[float, float, float]:
    """Of a correlation, from the cdf of its atanh, as far as it can be told from 1."""
    inverse = inverse_of(cdf, -18.0, 18.0)
    quantile = np.vectorize(lambda share: math.tanh(inverse(share)), otypes=[float])
    return median_and_interval(quantile, prob, kind)


def _product(
    total: Curve | Point, share: Curve | Point, part: Callable[[Array], Array]
) -> Marginal:
    """total·√part(share), one of the two a point; part is the share itself or 1 less it."""
    if isinstance(share, Point):
        root = math.sqrt(float(part(np.array(share.value))))
        if isinstance(total, Point) or root == 0:
            return Point(root * (total.value if isinstance(total, Point) else 0.0))
        return Transformed(
            total, lambda x: root * x, lambda x: x / root, lambda x: root + 0 * x, total.moments
        )
    assert isinstance(total, Point)
    tau = total.value
    if tau == 0:
        return Point(0.0)
    rising = float(part(np.array(1.0))) == 1.0
    base = share if rising else _turned(share)
    return Transformed(
        base,
        lambda x: tau * np.sqrt(x),
        lambda x: np.clip(x / tau, 0.0, 1.0) ** 2,
        lambda x: tau / (2 * np.sqrt(np.maximum(x, 1e-300))),
    )


def _turned(share: Curve) -> Curve:
    """The posterior of 1 − share."""
    return Curve(mirrored(share.axis), share.values[::-1], share.moments)


def _mean_for(rho: float, tau: Array) -> Array:
    """The mu at which the average correlation is rho, at each tau (Newton, safeguarded)."""
    reach = 8.5 * tau + 20.0
    low, high = -reach, reach
    mu = np.clip(math.atanh(rho) * np.sqrt(1 + tau**2), low, high)
    for _ in range(60):
        gap = average_correlation(mu, tau) - rho
        low, high = np.where(gap < 0, mu, low), np.where(gap > 0, mu, high)
        step = mu - gap / np.maximum(average_correlation_slope(mu, tau), 1e-300)
        new = np.where((step > low) & (step < high), step, 0.5 * (low + high))
        if np.all(np.abs(new - mu) <= 1e-13 * np.maximum(1.0, np.abs(mu))):
            return np.asarray(new)
        mu = new
    return np.asarray(mu)
