"""Every quantity of interest from a quadrature, without sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from metarho.engines.exact.moments import moments_of, moments_of_tau
from metarho.engines.exact.panels import Axis, legendre
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
    median_and_interval,
)
from metarho.posterior.mixtures import (
    LEAST_MASS,
    Correlation,
    Mixture,
    NoisyPanels,
    Normals,
    invert,
)

type Array = NDArray[np.float64]
type Function = Callable[[Array, Array], Array]

_SQRT_2PI = math.sqrt(2 * math.pi)
# Trapezoidal rule over a standard normal.
_STEP = 0.5


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
        return Curve(axis, self._tau_mass / axis.weights, moments_of_tau(self.problem))

    @cached_property
    def _tau_mass(self) -> Array:
        mass = self.quadrature.mass
        return mass if self.quadrature.mu is None else mass.sum(axis=1)

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
                return Point(q.mu.centre)
            return Curve(q.mu, q.mass.sum(axis=0) / q.mu.weights, moments)
        mean, variance = self._given_tau(row)
        return self._mixture(mean, variance, moments)

    def theta_new(self, row: Array, extra_variance: float = 0.0) -> Curve | Mixture | Point:
        """The true effect of a new study at a row, plus independent noise of a given variance."""
        q = self.quadrature
        noise = q.tau.nodes**2 + extra_variance
        moments = min(self._moments(row), moments_of_tau(self.problem))
        if q.mu is None:
            mean, variance = self._given_tau(row)
            return self._mixture(mean, variance + noise, moments)
        if q.mu.is_point:
            return self._mixture(np.full(len(noise), q.mu.centre), noise, moments)
        if not np.any(noise > 0):
            return self.mean_of(row)
        alive = self._counts(noise, moments)
        return Mixture(NoisyPanels(q.mu, q.mass[alive], np.sqrt(noise[alive])), moments)

    def average_correlation_summary(self, row: Array, prob: float, kind: Kind) -> Summary:
        """rho_mean at a row: the mean correlation over the distribution of true effects.

        rho_mean = ∫ tanh(x) N(x; mu, tau²) dx is a function of mu and tau and increases in mu, so
        P(rho_mean <= t) is the mass of mu below the mu that gives t, averaged over tau.
        """
        q = self.quadrature
        alive = self._tau_mass > LEAST_MASS
        tau, share = q.tau.nodes[alive], self._tau_mass[alive]
        if q.mu is None:
            mean, spread = self._given_tau(row)
            given: _Normals | _Panels = _Normals(mean[alive], np.sqrt(spread[alive]))
        else:
            given = _Panels(q.mu, q.mass[alive])
        first = float(share @ given.expect(average_correlation, tau))
        # Centred, so that a small spread keeps its digits.
        variance = float(
            share @ given.expect(lambda x, t: (average_correlation(x, t) - first) ** 2, tau)
        )

        def cdf(z: float) -> float:
            return float(share @ given.cdf(_mean_for(math.tanh(z), tau)))

        # On atanh, as far as a correlation can be told from 1.
        quantile = np.vectorize(lambda p: math.tanh(invert(cdf, p, -18.0, 18.0)), otypes=[float])
        median, lower, upper = median_and_interval(quantile, prob, kind)
        return Summary(first, math.sqrt(max(0.0, variance)), median, lower, upper)

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
        if self.problem.scale != "z":
            return base
        return Correlation(base) if isinstance(base, Mixture) else as_correlation(base)

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

    def _moments(self, row: Array) -> float:
        """Moments of rowᵀ(mu, beta) below this order exist."""
        names = [n for n, x in zip(self.problem.coefficients, row, strict=True) if x != 0]
        return min(moments_of(self.problem, name) for name in names)

    def _counts(self, variance: Array, moments: float) -> NDArray[np.bool_]:
        """Nodes of tau that count: by their mass, or in a heavy tail by their part of the sd."""
        mass = self._tau_mass
        counts = mass > LEAST_MASS
        if moments > 2:
            part = mass * variance
            counts |= part > 1e-13 * part.sum()
        return np.asarray(counts)

    def _mixture(self, mean: Array, variance: Array, moments: float) -> Mixture | Point:
        """The mixture of normals over the nodes of tau."""
        alive = self._counts(variance, moments)
        mass, mean, sd = self._tau_mass[alive], mean[alive], np.sqrt(variance[alive])
        if not np.any(sd > 0):
            return Point(float(mass @ mean / mass.sum()))
        return Mixture(Normals(mass, mean, sd), moments)


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
        # Steps of a quarter of what the function is smooth over (1, or tau): error exp(-39).
        finer = np.ceil(np.clip(2 * self.sd / np.maximum(tau, 1.0), 1.0, 2000.0)).astype(int)
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
