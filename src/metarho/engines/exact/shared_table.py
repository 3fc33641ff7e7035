"""Many priors on one table of likelihoods, where the mean has no closed form either.

With interval rows, the exact law of r, Student-t priors on mu and the like, tau and mu are both
hard. What the rows say at a node of both does not depend on priors: it is computed once, on panels
that the evidence alone lays out. A pair of priors then costs sums over the nodes. One that these
panels do not resolve has panels of its own cut (``quadrature.solve``), whatever its companions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.axes import evidence_spread, is_conjugate
from metarho.engines.exact.moments import moments_of, moments_of_spread, needed
from metarho.engines.exact.panels import FINE, Axis
from metarho.engines.exact.priors import at_lower_end, log_density, middles
from metarho.engines.exact.quadrature import Quadrature, table_at
from metarho.engines.exact.shared import LEAST_MASS, LEFT_OVER, TOLERANCE, tau_axis
from metarho.engines.problem import Problem
from metarho.spec.priors import PER_TAU, Prior

type Array = NDArray[np.float64]

# Panels of mu in u = asinh((mu − centre)/se), the se at tau = 0, and how many of those of tau: to
# 200 se on either side and a tau of 45 s, which most priors do not leave; then to 4,000 and 20,000
# (under the exact law, where far nodes cost most, panels of a problem's own are sooner there).
_MU_BREAKS = np.linspace(-6.0, 6.0, 17), np.linspace(-9.0, 9.0, 25)
_TAU_PANELS = 11, 16
# A table holds up to 250,000 nodes: with more rows than this, own panels are sooner there too.
MOST_ROWS = 200
# The highest coefficients of a marginal density, as a share of its mass: its cdf is right to less.
_UNRESOLVED = 1e-10
# Likelihoods are held relative to the largest at the same tau. What is rounded to 0 in that does
# not count beside a sum above this.
_LEAST_SUM = 1e-250


def is_shareable(problem: Problem) -> bool:
    """Whether tau and mu are the hard parameters, and tau begins at 0 like a polynomial.

    The exact law of intervals is not shared: most nodes of a table would be where it costs most.
    Nor is a law of reporting, for few priors meet under each of its settings.
    """
    if len(problem.spreads) != 1 or problem.shapes or is_conjugate(problem):
        return False
    if problem.reporting is not None:
        return False
    if problem.model.likelihood == "exact-r" and problem.evidence.has_intervals:
        return False
    tau, mu = problem.prior(problem.spreads[0]), problem.prior("mu")
    return (
        problem.evidence.k <= MOST_ROWS
        and not problem.evidence.is_silent.all()
        and not (tau.is_point or mu.is_point)
        and mu.on != PER_TAU
        and max(tau.support[0], 0.0) == 0.0
        and at_lower_end(tau).is_integer()
    )


@dataclass(frozen=True)
class _Table:
    """Likelihoods at the nodes of a rule: ``relative`` (J, M) to ``log_most`` (J), over mu."""

    tau: Axis
    mu: Axis
    relative: Array
    log_most: Array


@dataclass(frozen=True)
class _Sums:
    """A pair of priors on a table: log of the integral, and the masses of tau (J) and mu (M)."""

    log_total: float
    tau: Array
    mu: Array
    is_held: bool


def solve(problems: Sequence[Problem]) -> Iterator[Quadrature | None]:
    """The quadratures of problems that share evidence; None where the panels do not do."""
    if not problems:
        return
    tables: list[list[_Table]] = []
    for problem in problems:
        found = None
        for size in range(1 if problem.model.likelihood == "exact-r" else len(_TAU_PANELS)):
            if size == len(tables):
                tables.append([_table(problem, order, size) for order in (FINE.check, FINE.order)])
            if found := _solve(problem, tables[size]):
                break
        yield found


def _table(problem: Problem, order: int, size: int) -> _Table:
    centre, se, _ = evidence_spread(problem.evidence)
    tau = tau_axis(problem, order)
    tau = replace(tau, breaks=tau.breaks[: _TAU_PANELS[size] + 1])
    mu = Axis("sinh", centre, se, _MU_BREAKS[size], order)
    spread = problem.spreads[0]
    log_values = table_at(problem, problem.evidence, {spread: tau, "mu": mu})
    log_most = log_values.max(axis=1)
    return _Table(tau, mu, np.exp(log_values - log_most[:, None]), log_most)


def _solve(problem: Problem, tables: Sequence[_Table]) -> Quadrature | None:
    spread = problem.spreads[0]
    priors = problem.prior(spread), problem.prior("mu")
    # What lies between the nodes of both rules has no error.
    for prior, axis in zip(priors, (tables[1].tau, tables[1].mu), strict=True):
        if not all(axis.meets(*middle) for middle in middles(prior)):
            return None
    check, fine = (_sums(problem, priors, table) for table in tables)
    error = _error(tables, check, fine)
    # As for panels of their own: H² has tau² in it.
    moments = (
        needed(moments_of_spread(problem, spread), most=4),
        needed(moments_of(problem, "mu")),
    )
    table = tables[1]
    axes = table.tau, table.mu
    resolved = fine.is_held and check.is_held and error <= TOLERANCE
    for axis, mass, moment in zip(axes, (fine.tau, fine.mu), moments, strict=True):
        resolved = resolved and _is_resolved(axis, mass) and _ends(axis, mass, moment)
    if not resolved:
        return None
    kept = [_panels_kept(axis, mass) for axis, mass in zip(axes, (fine.tau, fine.mu), strict=True)]
    nodes = [slice(k.start * a.order, k.stop * a.order) for k, a in zip(kept, axes, strict=True)]
    at = np.ix_(np.arange(len(fine.tau))[nodes[0]], np.arange(len(fine.mu))[nodes[1]])
    own = [_weights(problem, prior, axis) for prior, axis in zip(priors, axes, strict=True)]
    scaled = np.exp(own[0] + table.log_most - fine.log_total)
    mass = table.relative[at] * scaled[nodes[0], None] * np.exp(own[1][nodes[1]])
    proper = all(applied.prior.proper for applied in problem.priors.values())
    cut = [
        replace(axis, breaks=axis.breaks[k.start : k.stop + 1])
        for axis, k in zip(axes, kept, strict=True)
    ]
    named = dict(zip((spread, "mu"), cut, strict=True))
    return Quadrature(named, mass / mass.sum(), None, None, fine.log_total, proper, error)


def _weights(problem: Problem, prior: Prior, axis: Axis) -> Array:
    """Log of prior times weight at the nodes."""
    return np.asarray(log_density(prior, axis.nodes, problem.evidence.v) + np.log(axis.weights))


def _sums(problem: Problem, priors: tuple[Prior, Prior], table: _Table) -> _Sums:
    """The integral and both marginals: products of the table with the priors."""
    of_tau = _weights(problem, priors[0], table.tau) + table.log_most
    top = float(np.max(of_tau))
    if not math.isfinite(top):
        return _Sums(-math.inf, of_tau, of_tau, False)
    of_tau = np.exp(of_tau - top)
    of_mu = np.exp(_weights(problem, priors[1], table.mu))
    tau, mu = of_tau * (table.relative @ of_mu), of_mu * (of_tau @ table.relative)
    total = float(tau.sum())
    held = total > _LEAST_SUM and math.isfinite(total)
    return _Sums(top + math.log(total) if held else -math.inf, tau, mu, held)


def _error(tables: Sequence[_Table], check: _Sums, fine: _Sums) -> float:
    """The largest difference of the two rules: in log evidence, and in posterior sds."""
    if not (check.is_held and fine.is_held):
        return math.inf
    worst = abs(check.log_total - fine.log_total)
    for name in ("tau", "mu"):
        pairs = [
            _moments(getattr(table, name), getattr(sums, name))
            for table, sums in zip(tables, (check, fine), strict=True)
        ]
        (mean_check, sd_check), (mean, sd) = pairs
        if sd == 0:
            return math.inf  # a prior that no more than one node sees
        worst = max(worst, abs(mean_check - mean) / sd, abs(sd_check - sd) / sd)
    return worst


def _moments(axis: Axis, mass: Array) -> tuple[float, float]:
    share = mass / mass.sum()
    mean = float(share @ axis.nodes)
    return mean, math.sqrt(float(share @ (axis.nodes - mean) ** 2))


def _is_resolved(axis: Axis, mass: Array) -> bool:
    """Whether the highest coefficients of the marginal density in u are next to nothing."""
    coefficients = axis.coefficients(axis.density_in_u(mass)) * axis.widths[:, None]
    return bool(np.abs(coefficients[:, -2:]).sum() <= _UNRESOLVED * mass.sum())


def _ends(axis: Axis, mass: Array, moments: int) -> bool:
    """Whether the outermost panels, but one that begins at 0, hold nothing of the moments."""
    away = np.maximum(np.abs(axis.nodes - axis.centre) / axis.scale, 1.0)
    held = (mass * away**moments).reshape(axis.panels, -1).sum(axis=1)
    outer = held[-1] + (held[0] if axis.breaks[0] < 0 else 0.0)
    return bool(outer <= LEFT_OVER * held.sum())


def _panels_kept(axis: Axis, mass: Array) -> slice:
    """The panels from the first to the last that hold more than the least mass."""
    held = mass.reshape(axis.panels, -1).sum(axis=1) / mass.sum()
    some = np.flatnonzero(held > LEAST_MASS)
    return slice(0 if axis.breaks[0] == 0 else int(some[0]), int(some[-1]) + 1)
