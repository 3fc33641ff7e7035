"""A posterior by quadrature: nodes over what is hard, Gaussian formulas for the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact import likelihood
from metarho.engines.exact.moments import moments_of, moments_of_tau, needed
from metarho.engines.exact.panels import CHECK_ORDER, GROWTH, ORDER, Axis, Reach, refine
from metarho.engines.exact.priors import at_lower_end, landmarks, log_density
from metarho.engines.problem import Evidence, Problem
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]

# Ends of an axis without ends: squares of what lies within are still numbers.
FARTHEST = 1e140
NEAREST_LOG = -690.0


@dataclass(frozen=True)
class Quadrature:
    """Nodes and weights: enough to rebuild every density of the posterior.

    ``tau`` and ``mu`` are axes; ``mu`` is None where the mean is conjugate. ``mass`` holds the
    posterior mass at the nodes, shape (T) or (T, M), summing to 1. ``mean`` (T, p) and
    ``covariance`` (T, p, p) are those of the coefficients given tau, where conjugate.
    ``log_evidence`` is on the scale of the model's effect size, None with an improper prior.
    ``quad_err`` is the largest difference to the same panels with fewer nodes: absolute for the
    log evidence, in posterior sd for means and sds.
    """

    tau: Axis
    mu: Axis | None
    mass: Array
    mean: Array | None
    covariance: Array | None
    log_evidence: float | None
    quad_err: float


def is_conjugate(problem: Problem) -> bool:
    """Whether the coefficients of the mean can be integrated out in closed form."""
    priors = [problem.prior(name) for name in problem.coefficients]
    closed = all(p.family in {"Normal", "Flat", "DiracDelta"} and not p.on for p in priors)
    return closed and not problem.evidence.is_interval.any()


def integrate(problem: Problem) -> Quadrature:
    """Integrate a common-effect or random-effects problem."""
    tau_prior = problem.prior("tau") if "tau" in problem.priors else None
    if is_conjugate(problem):
        return _integrate_tau(problem, tau_prior)
    return _integrate_tau_and_mu(problem, tau_prior)


def _integrate_tau(problem: Problem, tau_prior: Prior | None) -> Quadrature:
    priors = [problem.prior(name) for name in problem.coefficients]

    def conditional(axis: Axis) -> likelihood.Conditional:
        return likelihood.gaussian(problem.evidence, problem.design.matrix, priors, axis.nodes)

    def log_mass(axes: Sequence[Axis]) -> Array:
        return conditional(axes[0]).log_marginal + _log_prior(tau_prior, axes[0], problem)

    axis, reach = _tau_axis(problem, tau_prior)
    if not axis.is_point:
        (axis,) = refine(log_mass, [axis], [reach])
    free = [index for index, prior in enumerate(priors) if not prior.is_point]
    results = []
    for order in (CHECK_ORDER, ORDER):
        at = axis.with_order(order)
        given = conditional(at)
        log_total, mass = _normalise(given.log_marginal + _log_prior(tau_prior, at, problem), [at])
        mean = mass @ given.mean
        second = np.diagonal(given.covariance, axis1=1, axis2=2) + (given.mean - mean) ** 2
        spread = np.sqrt(mass @ second)
        moments = [*((mean[i], spread[i]) for i in free), _moments(at.nodes, mass)]
        results.append((log_total, moments, mass, given))
    (log_check, moments_check, *_), (log_total, moments, mass, given) = results
    return Quadrature(
        axis,
        None,
        mass,
        given.mean,
        given.covariance,
        log_total if _all_proper(problem) else None,
        _difference(log_check, moments_check, log_total, moments),
    )


def _integrate_tau_and_mu(problem: Problem, tau_prior: Prior | None) -> Quadrature:
    mu_prior = problem.prior("mu")

    def log_mass(axes: Sequence[Axis]) -> Array:
        tau, mu = axes
        table = likelihood.log_likelihood_table(problem.evidence, mu.nodes, tau.nodes)
        on_tau = _log_prior(tau_prior, tau, problem)[:, None]
        return table + on_tau + _log_prior(mu_prior, mu, problem)

    tau, tau_reach = _tau_axis(problem, tau_prior)
    mu, mu_reach = _mu_axis(problem, mu_prior)
    axes = refine(log_mass, [tau, mu], [tau_reach, mu_reach])
    results = []
    for order in (CHECK_ORDER, ORDER):
        at = [axis.with_order(order) for axis in axes]
        log_total, mass = _normalise(log_mass(at), at)
        moments = [_moments(at[0].nodes, mass.sum(axis=1)), _moments(at[1].nodes, mass.sum(axis=0))]
        results.append((log_total, moments, mass))
    (log_check, moments_check, _), (log_total, moments, mass) = results
    return Quadrature(
        axes[0],
        axes[1],
        mass,
        None,
        None,
        log_total if _all_proper(problem) else None,
        _difference(log_check, moments_check, log_total, moments),
    )


def _log_prior(prior: Prior | None, axis: Axis, problem: Problem) -> Array:
    if axis.is_point or prior is None:
        return np.zeros(1)
    return log_density(prior, axis.nodes, problem.evidence.v)


def _normalise(values: Array, axes: Sequence[Axis]) -> tuple[float, Array]:
    """Log of the integral, and the share of each node in it."""
    peak = float(values.max())
    mass = np.exp(values - peak)
    for dimension, axis in enumerate(axes):
        shape = [1] * values.ndim
        shape[dimension] = -1
        mass = mass * axis.weights.reshape(shape)
    total = float(mass.sum())
    return peak + math.log(total), mass / total


def _moments(nodes: Array, mass: Array) -> tuple[float, float]:
    mean = float(mass @ nodes)
    return mean, math.sqrt(float(mass @ (nodes - mean) ** 2))


def _difference(
    log_check: float,
    check: Sequence[tuple[float, float]],
    log_total: float,
    moments: Sequence[tuple[float, float]],
) -> float:
    worst = abs(log_check - log_total)
    for (mean_check, sd_check), (mean, sd) in zip(check, moments, strict=True):
        if sd > 0:
            worst = max(worst, abs(mean_check - mean) / sd, abs(sd_check - sd) / sd)
    return float(worst)


def _all_proper(problem: Problem) -> bool:
    return all(applied.prior.proper for applied in problem.priors.values())


def _spread(evidence: Evidence) -> tuple[float, float, float]:
    """A centre, the standard error around it at tau = 0, and the range of the evidence."""
    low = np.where(evidence.is_interval, evidence.lower, evidence.y)
    high = np.where(evidence.is_interval, evidence.upper, evidence.y)
    low = np.where(np.isfinite(low), low, high)
    high = np.where(np.isfinite(high), high, low)
    middle = 0.5 * (low + high)
    w = 1 / evidence.v
    centre = float(w @ middle / w.sum())
    extent = float(np.max(np.abs([low - centre, high - centre]))) + 10 * float(
        np.sqrt(evidence.v.max())
    )
    return centre, float(1 / np.sqrt(w.sum())), extent


def _tau_axis(problem: Problem, prior: Prior | None) -> tuple[Axis, Reach]:
    if prior is None:
        return Axis.point(0.0), Reach(0.0, 0.0)
    if prior.is_point:
        return Axis.point(prior.values["c"]), Reach(0.0, 0.0)
    _, se, extent = _spread(problem.evidence)
    marks = landmarks(prior, problem.evidence.v)
    scale = min([se, *(mark for mark in marks if mark > 0)])
    # Flat() has the whole line for its support; a standard deviation has half of it.
    support = max(prior.support[0], 0.0), prior.support[1]
    data = support[0], min(support[1], 10 * extent)
    return _axis(prior, marks, support, support[0], scale, data, needed(moments_of_tau(problem)))


def _mu_axis(problem: Problem, prior: Prior) -> tuple[Axis, Reach]:
    if prior.is_point:
        return Axis.point(prior.values["c"]), Reach(0.0, 0.0)
    centre, se, extent = _spread(problem.evidence)
    lower, upper = prior.support
    data = max(lower, centre - extent), min(upper, centre + extent)
    marks = landmarks(prior, problem.evidence.v)
    return _axis(prior, marks, prior.support, centre, se, data, needed(moments_of(problem, "mu")))


def _axis(
    prior: Prior,
    points: Sequence[float],
    support: tuple[float, float],
    centre: float,
    scale: float,
    data: tuple[float, float],
    moments: int,
) -> tuple[Axis, Reach]:
    """The first, coarse panels: over the data and the prior's landmarks, to be grown."""
    bottom, top = max(support[0], -FARTHEST), min(support[1], FARTHEST)
    marks = [mark for mark in points if bottom <= mark <= top]
    low, high = min([data[0], *marks]), max([data[1], *marks])
    if _needs_log(prior):
        axis = Axis("log", bottom, scale, np.zeros(1))
        start = max(-60 / at_lower_end(prior), NEAREST_LOG - math.log(scale))
        reach = Reach(start, _u(axis, top), moments)
    else:
        axis = Axis("sinh", centre, scale, np.zeros(1))
        reach = Reach(_u(axis, bottom), _u(axis, top), moments)
        start = max(_u(axis, low), reach.lower)
    end = min(max(_u(axis, high), start + 1.0), reach.upper)
    inside = axis.to_u(np.array([mark for mark in marks if low < mark < high]))
    count = max(2, math.ceil((end - start) / GROWTH))
    breaks = np.union1d(np.linspace(start, end, count + 1), inside)
    # Breaks closer than rounding would make a panel without width.
    apart = np.concatenate([[True], np.diff(breaks) > 1e-9])
    return replace(axis, breaks=breaks[apart]), reach


def _needs_log(prior: Prior) -> bool:
    """Whether a fractional power at the lower end keeps polynomials from converging there."""
    return not at_lower_end(prior).is_integer()


def _u(axis: Axis, x: float) -> float:
    return float(axis.to_u(np.array(x)))
