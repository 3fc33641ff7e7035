"""Student-t effects: the variance that each row's effect has, and new effects of the law."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from metarho.engines.exact.intervals import log_interval
from metarho.engines.exact.panels import Axis, legendre
from metarho.engines.exact.student import (
    groups_of,
    log_weight,
    lowest_that_counts,
    spacing,
    spread_of_log,
)
from metarho.engines.problem import Evidence
from metarho.posterior.average import average_correlation

type Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)
_LEAST_MASS = 1e-17
# The farthest log λ goes down: effects there are of any size.
_LOWEST = -600.0
# Noise beyond exp(300) is of any size too.
_LOG_UNSEEN = 300.0
# Noise beyond exp(30) leaves an average correlation of 0.
_LOG_FARTHEST = 30.0
_DRAWS = 200


def draw_variances(
    evidence: Evidence, mean: Array, tau: Array, nu: Array, rng: np.random.Generator
) -> Array:
    """tau²/λ of every row's effect given N draws of its centre and tau (N, k), and nu (N): (N, k).

    λ is drawn at the nodes of the rule: effects given λ are smooth in it, so that their law is the
    right one to the rule's error.
    """
    found = np.zeros(mean.shape)
    for row in range(evidence.k):
        varies = np.flatnonzero(tau[:, row] > 0)
        if not len(varies):
            continue
        variance, log_mass = _at_nodes(
            evidence, row, mean[varies, row], tau[varies, row], nu[varies]
        )
        mass = np.exp(log_mass - log_mass.max(axis=1, keepdims=True)).cumsum(axis=1)
        share = rng.uniform(size=(len(varies), 1)) * mass[:, -1:]
        node = (mass < share).sum(axis=1)
        found[varies, row] = variance[np.arange(len(varies)), node]
    return found


def log_likelihood(evidence: Evidence, mean: Array, tau: Array, nu: Array) -> Array:
    """Log p(row | its centre, tau, nu) at N draws: (N, k), as centre and tau are."""
    found = np.empty(mean.shape)
    # Any tau will do where it is 0, for its variance is then taken out again.
    for row in range(evidence.k):
        _, log_mass = _at_nodes(evidence, row, mean[:, row], tau[:, row], nu)
        found[:, row] = logsumexp(log_mass, axis=1)
    return found


def _at_nodes(
    evidence: Evidence, row: int, mean: Array, tau: Array, nu: Array
) -> tuple[Array, Array]:
    """tau²/λ at nodes of λ, and the log of weight times p(row | mu, λ) there: (N, L) both."""
    y, lower, upper = evidence.y[row], evidence.lower[row], evidence.upper[row]
    ends = np.array([lower, upper]) if np.isnan(y) else np.array([y])
    falling = nu if np.isfinite(ends).all() else np.zeros(len(nu))
    ends = ends[np.isfinite(ends)]
    farthest2 = np.abs(ends - mean[:, None]).max(axis=1) ** 2 + evidence.v[row]
    left, right = spread_of_log(nu)
    least = np.maximum(lowest_that_counts(falling, tau**2, farthest2), _LOWEST)
    left = np.minimum(np.maximum(left, least), right - 1e-3)
    count = math.ceil(float(((right - left) / spacing(nu)).max())) + 1
    step = (right - left) / (count - 1)
    nodes = left[:, None] + step[:, None] * np.arange(count)
    log_mass = log_weight(nodes, nu[:, None]) + np.log(step)[:, None]
    rest = np.maximum(1 - np.exp(log_mass).sum(axis=1, keepdims=True), 1e-300)
    log_mass = np.column_stack([log_mass, np.log(rest)])
    with np.errstate(over="ignore"):
        ratio = np.minimum(np.exp(-np.column_stack([nodes, np.full(len(nu), -690.0)])), 1e290)
    variance = tau[:, None] ** 2 * ratio
    total = evidence.v[row] + variance
    if np.isnan(y):
        sd = np.sqrt(total)
        log_row = log_interval((lower - mean[:, None]) / sd, (upper - mean[:, None]) / sd)
    else:
        log_row = -0.5 * (np.log(total) + _LOG_2PI + (y - mean[:, None]) ** 2 / total)
    return variance, log_mass + log_row


def average_correlation_given(mean: Array, between: Array, tau2: Array, nu: Array) -> Array:
    """E tanh(mean + Normal(0, between) + tau·t_nu), draw by draw."""
    shape = mean.shape
    mean, between, tau2, nu = (np.ravel(values) for values in (mean, between, tau2, nu))
    found = np.empty(len(mean))
    # Draws of about the same nu share a rule.
    order = np.argsort(nu)
    for start in range(0, len(order), _DRAWS):
        here = order[start : start + _DRAWS]
        left, right = spread_of_log(nu[here], outlier=0.0)
        least, most = float(left.min()), float(right.max())
        count = math.ceil((most - least) / float(spacing(nu[here]).min())) + 1
        nodes = np.linspace(least, most, count)
        weights = np.exp(log_weight(nodes, nu[here, None]))
        with np.errstate(over="ignore"):
            ratio = np.minimum(np.exp(-nodes), np.exp(2 * _LOG_FARTHEST))
        sd = np.sqrt(between[here, None] + tau2[here, None] * ratio)
        values = average_correlation(mean[here, None], sd)
        found[here] = (weights * values).sum(axis=1) / weights.sum(axis=1)
    return found.reshape(shape)


def new_effects(joint: Array, tau: Array, nu: Array) -> tuple[Array, Array]:
    """A new effect's law as normal laws around mu: their sds (C), and masses with mu (C, M).

    ``joint`` (J, M) are masses at J nodes of tau and nu and M of mu.
    """
    noise, mass = [], []
    for nodes, sd, weights in _noise(tau, nu, _LOG_UNSEEN):
        total = weights.T @ joint[nodes]
        rest = np.maximum(joint[nodes].sum(axis=0) - total.sum(axis=0), 0.0)
        total[-1] += rest  # effects beyond the last sd
        held = total.sum(axis=1) > _LEAST_MASS
        noise.append(sd[held])
        mass.append(total[held])
    return np.concatenate(noise), np.concatenate(mass)


def average_correlations(mu: Array, tau: Array, nu: Array) -> Array:
    """E tanh(mu + tau·t_nu) at J nodes of tau and nu and M of mu: (J, M)."""
    found = np.zeros((len(tau), len(mu)))
    found[tau == 0] = np.tanh(mu)
    varies = np.flatnonzero(tau > 0)
    for nodes, sd, weights in _noise(tau[varies], nu[varies], _LOG_FARTHEST):
        found[varies[nodes]] = weights @ average_correlation(mu, sd[:, None])
    return found


def _noise(
    tau: Array, nu: Array, log_farthest: float
) -> Iterator[tuple[NDArray[np.intp], Array, Array]]:
    """Sds tau/√λ (C) on a lattice that nodes of tau and nu share: nodes (G), sds, weights (G, C).

    With x = log(tau/√λ) the rule for log λ is one for x, of half the step.
    """
    for group in groups_of(nu):
        left, right = spread_of_log(nu[group], outlier=0.0)
        log_tau = np.log(tau[group])
        step = 0.5 * float(spacing(nu[group]).min())
        first = float((log_tau - right / 2).min())
        last = min(float((log_tau - left / 2).max()), log_farthest)
        count = math.ceil((max(last, first) - first) / step) + 2
        # A lattice for all is not worth it where each node's own is much shorter.
        parts = [group]
        if count > 4 * float((right - left).max()) / (2 * step) * len(np.unique(tau[group])):
            parts = [group[tau[group] == value] for value in np.unique(tau[group])]
        for part in parts:
            low = float((np.log(tau[part]) - right.max() / 2).min())
            high = min(float((np.log(tau[part]) - left.min() / 2).max()), last)
            x = low + step * np.arange(math.ceil((max(high, low) - low) / step) + 2)
            log_lambda = 2 * (np.log(tau[part])[:, None] - x)
            yield part, np.exp(x), np.exp(log_weight(log_lambda, nu[part, None])) * (2 * step)


@dataclass(frozen=True)
class AverageOnPanels:
    """The mean correlation over Student-t effects: ``values`` (J, M) rise along the axis of mu.

    ``mass`` (J, M) is that of the nodes.
    """

    axis: Axis
    mass: Array
    values: Array

    def expect(self) -> tuple[float, float]:
        """Mean and sd."""
        share = self.mass / self.mass.sum()
        mean = float((share * self.values).sum())
        return mean, math.sqrt(float((share * (self.values - mean) ** 2).sum()))

    @cached_property
    def _tables(self) -> tuple[Array, Array, Array]:
        """Coefficients of the values and of the cdf of mu by panel, and the cdf at panel ends."""
        running = self.axis.running(self.axis.density_in_u(self.mass))
        return self.axis.coefficients(self.values), *running

    def cdf(self, rho: float) -> float:
        """P(mean correlation <= rho): mass of mu below where each row reaches rho."""
        if self.axis.is_point:
            return float(self.mass[self.values <= rho].sum() / self.mass.sum())
        values, running, starts = self._tables
        ends = values.sum(axis=2)
        panel = np.minimum((ends < rho).sum(axis=1), self.axis.panels - 1)
        rows = np.arange(len(panel))
        low, high = np.full(len(panel), -1.0), np.full(len(panel), 1.0)
        for _ in range(30):
            middle = 0.5 * (low + high)
            reached = (values[rows, panel] * legendre(middle, self.axis.order)).sum(axis=1)
            low, high = (
                np.where(reached < rho, middle, low),
                np.where(reached < rho, high, middle),
            )
        basis = legendre(high, self.axis.order + 1)
        below = starts[rows, panel] + (running[rows, panel] * basis).sum(axis=1)
        return float(below.sum() / starts[:, -1].sum())
