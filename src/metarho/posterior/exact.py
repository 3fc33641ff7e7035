"""Every quantity of interest from a quadrature, without sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from metarho.engines.exact.panels import Axis, legendre
from metarho.engines.exact.priors import tail_index
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.posterior.average import average_correlation, average_correlation_slope
from metarho.posterior.heterogeneity import i2, i2_inverse, typical_variance
from metarho.posterior.marginals import (
    NOTHING,
    Curve,
    Kind,
    Marginal,
    Point,
    Summary,
    Transformed,
    as_correlation,
    curve_of,
    median_and_interval,
)

type Array = NDArray[np.float64]
type Function = Callable[[Array, Array], Array]

# Nodes with less mass than this cannot move a number that is printed to 1e-10.
_LEAST_MASS = 1e-17
_SQRT_2PI = math.sqrt(2 * math.pi)
# Trapezoidal rule for expectations over a standard normal; its error at this step is below
# 1e-30 for functions that are smooth over one sd.
_STEP = 0.5
_NORMAL_NODES = np.arange(-18, 19) * _STEP
_NORMAL_WEIGHTS = np.exp(-0.5 * _NORMAL_NODES**2) * _STEP / _SQRT_2PI


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
        if "tau" in self.problem.priors:
            found["tau"] = self.tau
        return found

    @cached_property
    def tau(self) -> Curve | Point:
        """The posterior of tau (a point for a common effect)."""
        axis = self.quadrature.tau
        if axis.is_point:
            return Point(axis.centre)
        return Curve(axis, self._tau_mass / axis.weights, self.moments)

    @cached_property
    def _tau_mass(self) -> Array:
        mass = self.quadrature.mass
        return mass if self.quadrature.mu is None else mass.sum(axis=1)

    @cached_property
    def moments(self) -> float:
        """How many moments of tau and of what moves with it exist.

        For large tau the likelihood falls like tau**−(k_b − p), with k_b rows that are numbers or
        bounded intervals and p flat coefficients; the prior like tau**−tail. One-sided intervals
        do not bound tau, nor the mean on their open side.
        """
        evidence = self.problem.evidence
        bounded = ~evidence.is_interval | (
            np.isfinite(evidence.lower) & np.isfinite(evidence.upper)
        )
        k_b = int(bounded.sum())
        mu_tail = tail_index(self.problem.prior("mu"))
        flat = sum(not self.problem.prior(name).proper for name in self.problem.coefficients)
        tau_tail = (
            tail_index(self.problem.prior("tau")) if "tau" in self.problem.priors else math.inf
        )
        along_tau = tau_tail + k_b - flat - 1
        both = tau_tail + mu_tail + k_b - 2 if math.isfinite(mu_tail) and flat == 0 else math.inf
        along_mu = mu_tail - 1 if k_b == 0 else math.inf
        return min(along_tau, both, along_mu)

    @property
    def head(self) -> Array:
        """The row of the headline: the average over the evidence (without moderators, 1)."""
        return self.problem.design.average

    def mean_of(self, row: Array) -> Curve | Point:
        """The posterior of rowᵀ(mu, beta), the mean of theta at a row of the design."""
        q = self.quadrature
        if q.mu is not None:
            scale = float(row[0])
            if q.mu.is_point:
                return Point(scale * q.mu.centre)
            return Curve(q.mu, q.mass.sum(axis=0) / q.mu.weights, self.moments)
        mean, variance = self._given_tau(row)
        return self._mixture(mean, variance)

    def theta_new(self, row: Array, extra_variance: float = 0.0) -> Curve | Point:
        """The true effect of a new study at a row, plus independent noise of a given variance."""
        q = self.quadrature
        variance_new = q.tau.nodes**2 + extra_variance
        if q.mu is None:
            mean, variance = self._given_tau(row)
            return self._mixture(mean, variance + variance_new)
        if q.mu.is_point:
            return self._mixture(np.full(len(variance_new), q.mu.centre), variance_new)
        if not np.any(variance_new > 0):
            return self.mean_of(row)
        convolution = _Convolution(q.mu, q.mass, np.sqrt(variance_new))
        base = Curve(q.mu, q.mass.sum(axis=0) / q.mu.weights)
        centre, sd = (
            base.expect(lambda x: x),
            math.sqrt(base.expect(lambda x: x**2) - base.expect(lambda x: x) ** 2),
        )
        reach = float(np.abs(q.mu.to_x(q.mu.breaks) - centre).max())
        reach += 9.5 * float(np.sqrt(variance_new[self._tau_mass > _LEAST_MASS]).max())
        return curve_of(convolution.density, centre, sd, (-math.inf, math.inf), reach, self.moments)

    def average_correlation_summary(self, row: Array, prob: float, kind: Kind) -> Summary:
        """rho_mean at a row: the mean correlation over the distribution of true effects.

        rho_mean = ∫ tanh(x) N(x; mu, tau²) dx is a function of mu and tau and increases in mu, so
        P(rho_mean <= t) is the mass of mu below the mu that gives t, averaged over tau.
        """
        q = self.quadrature
        alive = self._tau_mass > _LEAST_MASS
        tau, share = q.tau.nodes[alive], self._tau_mass[alive]
        if q.mu is None:
            mean, variance = self._given_tau(row)
            given: _Normals | _Panels = _Normals(mean[alive], np.sqrt(variance[alive]))
        else:
            given = _Panels(q.mu, q.mass[alive])
        first = float(share @ given.expect(average_correlation, tau))
        second = float(share @ given.expect(lambda x, t: average_correlation(x, t) ** 2, tau))

        def cdf(rho: float) -> float:
            return float(share @ given.cdf(_mean_for(rho, tau)))

        quantile = np.vectorize(lambda p: _invert(cdf, p), otypes=[float])
        median, lower, upper = median_and_interval(quantile, prob, kind)
        return Summary(first, math.sqrt(max(0.0, second - first**2)), median, lower, upper)

    def i2(self) -> Marginal | None:
        """I² in percent; None where it is not defined."""
        s2 = typical_variance(self.problem)
        if s2 is None:
            return None
        if isinstance(self.tau, Point):
            return Point(float(i2(np.array(self.tau.value**2), s2)))
        return Transformed(
            self.tau,
            lambda tau: i2(tau**2, s2),
            lambda percent: i2_inverse(percent, s2),
            lambda tau: 200 * tau * s2 / (tau**2 + s2) ** 2,
        )

    def rho(self, base: Marginal) -> Marginal:
        """A quantity of the model's scale as a correlation."""
        return as_correlation(base) if self.problem.scale == "z" else base

    def derived(self, prob: float, kind: Kind) -> dict[str, Summary]:
        """rho_median, rho_mean and I² at the headline row."""
        scale = self.problem.scale
        i2_marginal = self.i2()
        found = {"rho_median": NOTHING, "rho_mean": NOTHING}
        if scale != "yi":
            median = self.rho(self.mean_of(self.head)).summary(prob, kind)
            found["rho_median"] = median
            found["rho_mean"] = (
                self.average_correlation_summary(self.head, prob, kind) if scale == "z" else median
            )
        found["I2"] = i2_marginal.summary(prob, kind) if i2_marginal else NOTHING
        return found

    def _given_tau(self, row: Array) -> tuple[Array, Array]:
        q = self.quadrature
        assert q.mean is not None and q.covariance is not None
        return q.mean @ row, np.einsum("i,tij,j->t", row, q.covariance, row)

    def _mixture(self, mean: Array, variance: Array) -> Curve | Point:
        """The mixture of normals over the nodes of tau."""
        mass = self._tau_mass
        alive = mass > _LEAST_MASS
        mean, sd, mass = mean[alive], np.sqrt(np.maximum(variance[alive], 0)), mass[alive]
        if not np.any(sd > 0):
            return Point(float(mass @ mean))
        centre = float(mass @ mean)

        def density(x: Array) -> Array:
            result = np.zeros(len(x))
            step = max(1, 2_000_000 // max(1, len(mean)))
            for start in range(0, len(x), step):
                scaled = (x[start : start + step, None] - mean) / sd
                result[start : start + step] = np.exp(-0.5 * scaled**2) @ (mass / sd)
            return result / _SQRT_2PI

        reach = float(np.max(np.abs(mean - centre) + 9.5 * sd))
        typical = float(np.sqrt(mass @ np.minimum(sd, np.median(sd)) ** 2))
        return curve_of(density, centre, typical, (-math.inf, math.inf), reach, self.moments)


@dataclass(frozen=True)
class _Normals:
    """The mean given each tau, where conjugate."""

    mean: Array
    sd: Array

    def cdf(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = (x - self.mean) / self.sd
        return np.where(self.sd > 0, ndtr(scaled), np.where(x >= self.mean, 1.0, 0.0))

    def expect(self, function: Function, tau: Array) -> Array:
        """E[function(mean, tau)] at each tau; finer where the mean is spread over many units."""
        result = np.empty(len(tau))
        finer = np.ceil(np.clip(self.sd / np.maximum(tau, 1.0), 1.0, 1000.0)).astype(int)
        for times in np.unique(finer):
            here = finer == times
            nodes = np.arange(-18 * times, 18 * times + 1) * (_STEP / times)
            weights = np.exp(-0.5 * nodes**2) * (_STEP / times) / _SQRT_2PI
            mean = self.mean[here, None] + self.sd[here, None] * nodes
            result[here] = function(mean, tau[here, None]) @ weights
        return result


@dataclass(frozen=True)
class _Panels:
    """The mean given each tau, on panels. ``mass`` (T, M) need not be normalised by row."""

    axis: Axis
    mass: Array

    @cached_property
    def _share(self) -> Array:
        return np.asarray(self.mass / self.mass.sum(axis=1, keepdims=True))

    @cached_property
    def _running(self) -> tuple[Array, Array]:
        in_u = self._share / self.axis.weights * self.axis.slope(self.axis.u)
        running = self.axis.antiderivatives(in_u)
        starts = np.cumsum(running.sum(axis=2), axis=1)
        return running, np.concatenate([np.zeros((len(starts), 1)), starts], axis=1)

    def cdf(self, x: Array) -> Array:
        if self.axis.is_point:
            return np.where(x >= self.axis.centre, 1.0, 0.0)
        running, starts = self._running
        panel, place = self.axis.locate(x)
        row = np.arange(len(x))
        within = np.einsum("in,in->i", running[row, panel], legendre(place, self.axis.order + 1))
        return np.asarray(starts[row, panel] + within)

    def expect(self, function: Function, tau: Array) -> Array:
        """E[function(mean, tau)] at each tau."""
        result = np.empty(len(tau))
        for start in range(0, len(tau), 50):
            block = slice(start, start + 50)
            values = function(self.axis.nodes[None, :], tau[block, None])
            result[block] = (self._share[block] * values).sum(axis=1)
        return result


@dataclass(frozen=True)
class _Convolution:
    """The mean on panels plus normal noise whose sd depends on tau.

    Where the noise is wide against the panels, the mean's nodes are a mixture of normals;
    where it is narrow, the density of the mean is smooth against the noise and is averaged
    over it.
    """

    axis: Axis
    mass: Array
    sd: Array

    @cached_property
    def _widest(self) -> Array:
        """For each tau the widest panel that holds mass."""
        edges = self.axis.to_x(self.axis.breaks)
        held = self.mass.reshape(len(self.mass), self.axis.panels, -1).sum(axis=2)
        return np.where(held > 1e-15, np.diff(edges), 0.0).max(axis=1)

    def density(self, x: Array) -> Array:
        alive = self.mass.sum(axis=1) > _LEAST_MASS
        wide = alive & (self.sd >= 0.3 * self._widest)
        result = np.zeros(len(x))
        step = max(1, 1_000_000 // len(self.axis.nodes))
        for index in np.flatnonzero(wide):
            nodes = self.mass[index] > _LEAST_MASS
            centre, mass, sd = self.axis.nodes[nodes], self.mass[index, nodes], self.sd[index]
            for start in range(0, len(x), step):
                scaled = (x[start : start + step, None] - centre) / sd
                result[start : start + step] += np.exp(-0.5 * scaled**2) @ (mass / (sd * _SQRT_2PI))
        for index in np.flatnonzero(alive & ~wide):
            given = Curve(self.axis, self.mass[index] / self.axis.weights)
            shifted = x[:, None] - self.sd[index] * _NORMAL_NODES
            result += given.density(shifted) @ _NORMAL_WEIGHTS
        return result


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


def _invert(cdf: Callable[[float], float], share: float) -> float:
    """The correlation below which a share lies: regula falsi (Illinois) on atanh."""
    low, high = -19.0, 19.0
    f_low, f_high = cdf(math.tanh(low)) - share, cdf(1 - 1e-15) - share
    if f_low >= 0:
        return math.tanh(low)
    if f_high <= 0:
        return math.tanh(high)
    side = 0
    for step in range(200):
        z = (low * f_high - high * f_low) / (f_high - f_low)
        if step % 3 == 2 or not low < z < high:
            z = 0.5 * (low + high)
            side = 0
        f = cdf(min(math.tanh(z), 1 - 1e-15)) - share
        if abs(f) < 1e-14 or high - low < 1e-13:
            break
        if f < 0:
            low, f_low = z, f
            f_high = f_high / 2 if side == -1 else f_high
            side = -1
        else:
            high, f_high = z, f
            f_low = f_low / 2 if side == 1 else f_low
            side = 1
    return math.tanh(z)
