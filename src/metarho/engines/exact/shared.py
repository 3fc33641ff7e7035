"""Many priors on one body of evidence: sums over studies are computed once, on one set of panels.

Where tau is the only hard parameter, the evidence alone lays out panels from 0 to far beyond it.
The sums there do not depend on any prior, so that a prior costs one pass over the nodes. A prior
that these panels do not resolve (narrower than a panel, cut at an edge, or with a tail beyond their
end) is told by its error, and has panels of its own cut (``quadrature.solve``). Whether it is
does not depend on the other priors asked at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact import likelihood
from metarho.engines.exact.axes import is_conjugate
from metarho.engines.exact.moments import moments_of_spread, needed
from metarho.engines.exact.panels import FINE, Axis
from metarho.engines.exact.priors import at_lower_end, harmonic_variance, log_density, middles
from metarho.engines.exact.quadrature import Quadrature, variances_at
from metarho.engines.problem import Problem
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]

# Borders in u = asinh(tau/s), with s the typical standard error, to tau = 20,000 s. They double up
# to 1, for priors that vanish at 0 (InverseGamma) or are as narrow as s/100.
BREAKS = np.array(
    [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 2.25, 3, 3.75, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.6]
)
# Beyond this error (in log evidence, and in posterior sds) a prior gets panels of its own.
TOLERANCE = 1e-10
# What the last panel may hold, with the weight of the moments that exist.
LEFT_OVER = 1e-17
# Panels with less than this are not kept.
LEAST_MASS = 1e-25
# With more rows the likelihood of tau is narrower than a panel.
MOST_ROWS = 3000
# Problems at once: a few megabytes of nodes.
BLOCK = 256


@dataclass(frozen=True)
class _Solved:
    """A block of problems at the nodes of one rule.

    ``log_total`` (B), ``mass`` (B, N), means and sds of tau and of the coefficients (B, 1 + p).
    """

    log_total: Array
    mass: Array
    means: Array
    sds: Array


def is_shareable(problem: Problem) -> bool:
    """Whether tau is the only hard parameter, and begins at 0 like a polynomial."""
    if len(problem.spreads) != 1 or problem.evidence.k > MOST_ROWS or not is_conjugate(problem):
        return False
    if problem.bias is not None:
        return False
    prior = problem.prior(problem.spreads[0])
    closed = problem.prior("mu").family != "NormalMixture"
    return (
        closed
        and not prior.is_point
        and max(prior.support[0], 0.0) == 0.0
        and at_lower_end(prior).is_integer()
    )


def solve(problems: Sequence[Problem]) -> Iterator[Quadrature | None]:
    """The quadratures of problems that share evidence; None where the panels do not do."""
    if not problems:
        return
    check_axis, axis = (tau_axis(problems[0], order) for order in (FINE.check, FINE.order))
    nodes = np.concatenate([check_axis.nodes, axis.nodes])
    spread, names = problems[0].spreads[0], problems[0].coefficients
    evidence = problems[0].evidence
    sums = likelihood.gaussian_sums(
        evidence, problems[0].design.matrix, *variances_at(problems[0], {spread: nodes})
    )
    priors: dict[Prior, Array] = {}
    givens: dict[tuple[Prior, ...], likelihood.Conditional] = {}
    cut = len(check_axis.nodes)
    for start in range(0, len(problems), BLOCK):
        block = problems[start : start + BLOCK]
        tau = [problem.prior(spread) for problem in block]
        own = [tuple(problem.prior(name) for name in names) for problem in block]
        for prior in {*tau} - priors.keys():
            priors[prior] = log_density(prior, nodes, evidence.v)
        for coefficients in {*own} - givens.keys():
            givens[coefficients] = likelihood.condition(sums, coefficients, nodes)
        log_priors = [priors[prior] for prior in tau]
        given = [givens[coefficients] for coefficients in own]
        check = _solve_block(check_axis, log_priors, given, slice(0, cut))
        fine = _solve_block(axis, log_priors, given, slice(cut, None))
        error = _error(check, fine)
        # As for panels of their own: H² has tau² in it.
        moments = np.array(
            [needed(moments_of_spread(problem, spread), most=4) for problem in block]
        )
        # By panel, with the weight of the moments that exist.
        weighted = fine.mass * np.maximum(axis.nodes / axis.scale, 1.0) ** moments[:, None]
        held = weighted.reshape(len(block), axis.panels, -1).sum(axis=2)
        everything = held.sum(axis=1)
        resolved = (error <= TOLERANCE) & (held[:, -1] <= LEFT_OVER * everything)
        resolved &= everything > 0
        # What lies between the nodes of both rules has no error.
        met = {prior: all(axis.meets(*middle) for middle in middles(prior)) for prior in {*tau}}
        resolved &= np.array([met[prior] for prior in tau])
        for index, problem in enumerate(block):
            if not resolved[index]:
                yield None
                continue
            last = int(np.flatnonzero(held[index] > LEAST_MASS)[-1]) + 1
            kept = slice(0, last * axis.order)
            mass = fine.mass[index, kept]
            proper = all(applied.prior.proper for applied in problem.priors.values())
            yield Quadrature(
                {spread: replace(axis, breaks=axis.breaks[: last + 1])},
                mass / mass.sum(),
                given[index].mean[cut:][kept],
                given[index].covariance[cut:][kept],
                float(fine.log_total[index]),
                proper,
                float(error[index]),
            )


def tau_axis(problem: Problem, order: int) -> Axis:
    """The panels of tau that evidence lays out, whatever the prior."""
    typical_error = math.sqrt(harmonic_variance(problem.evidence.v))
    return Axis("sinh", 0.0, typical_error, BREAKS, order)


def _solve_block(
    axis: Axis,
    log_priors: Sequence[Array],
    given: Sequence[likelihood.Conditional],
    nodes: slice,
) -> _Solved:
    """The problems at the nodes of one axis, a slice of those at which the rest is given."""
    log_mass = np.stack([log_prior[nodes] for log_prior in log_priors])
    log_mass += np.stack([g.log_marginal[nodes] for g in given])
    # A prior that no node sees has no mass at all here.
    peak = np.maximum(log_mass.max(axis=1, keepdims=True), np.finfo(float).min)
    mass = np.exp(log_mass - peak) * axis.weights
    total = np.maximum(mass.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    mass = mass / total
    # Row by row, so that a problem's numbers do not depend on how many are solved with it.
    mean = (mass * axis.nodes).sum(axis=1)
    means = [mean]
    sds = [np.sqrt((mass * (axis.nodes - mean[:, None]) ** 2).sum(axis=1))]
    for j in range(given[0].mean.shape[1]):
        at = np.stack([g.mean[nodes, j] for g in given])
        spread = np.stack([g.covariance[nodes, j, j] for g in given])
        mean = (mass * at).sum(axis=1)
        means.append(mean)
        sds.append(np.sqrt((mass * (spread + (at - mean[:, None]) ** 2)).sum(axis=1)))
    log_total = peak[:, 0] + np.log(total[:, 0])
    return _Solved(log_total, mass, np.stack(means, axis=1), np.stack(sds, axis=1))


def _error(check: _Solved, fine: _Solved) -> Array:
    """The largest difference of the two rules: in log evidence, and in posterior sds (B)."""
    # A parameter without spread is a point, and has no error.
    unit = np.where(fine.sds > 0, fine.sds, np.inf)
    apart = np.maximum(np.abs(check.means - fine.means), np.abs(check.sds - fine.sds))
    return np.maximum(np.abs(check.log_total - fine.log_total), (apart / unit).max(axis=1))
