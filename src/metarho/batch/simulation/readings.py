"""What is read of each fit of a simulated data set: medians and intervals on z, and log BF10."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.compare.bayes_factors import Null, held, nulls
from metarho.engines import exact
from metarho.engines.exact.inversion import invert_rows
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem, improper
from metarho.fitting.verdict import judge
from metarho.posterior.exact import Exact
from metarho.posterior.normal_mixtures import NormalMixtures

type Array = NDArray[np.float64]
type Numbers = dict[str, float | None]

QUANTITIES = ("mu", "new", "tau")
"""The mean, the true effect of a new study, and the total sd of true effects, all on z."""
NUMBERS = tuple(f"{name}_{what}" for name in QUANTITIES for what in ("median", "lower", "upper"))


@dataclass(frozen=True)
class Solved:
    """A data set's problem, its posterior, and log BF10 against mu = 0 (None where there is none).

    ``status`` and ``reason`` are the verdict on the computation.
    """

    problem: Problem
    quadrature: Quadrature
    log_bf: float | None
    status: str
    reason: str


def solve(problem: Problem) -> Solved:
    """The posterior of one problem, with that of the model without an effect where it has one."""
    quadrature = exact.integrate(problem)
    null = null_of_mean(problem)
    log_bf = None
    if null is not None:
        log_bf = quadrature.log_integral - exact.integrate(held(problem, null)).log_integral
    verdict = judge(problem, quadrature, None)
    return Solved(problem, quadrature, log_bf, verdict.status, "; ".join(verdict.reasons))


def null_of_mean(problem: Problem) -> Null | None:
    """The null mu = 0; None where mu has no proper prior or the model without it no integral."""
    for null in nulls(problem):
        if set(null.values) == {"mu"} and problem.prior("mu").proper:
            without = held(problem, null)
            if improper(without) is None and exact.covers(without) is None:
                return null
    return None


def read(solved: Sequence[Solved], prob: float) -> list[Numbers]:
    """Medians and equal-tailed intervals of each, the same whatever is read beside it."""
    found: list[Numbers] = [{} for _ in solved]
    together: dict[object, list[int]] = {}
    for index, one in enumerate(solved):
        if exact.is_conjugate(one.problem) and not one.problem.prior("mu").is_point:
            # As many nodes: a mixture that is filled up with zeros is summed in another order.
            together.setdefault(len(one.quadrature.node_mass), []).append(index)
        else:
            found[index] = _alone(one, prob)
    for places in together.values():
        for index, numbers in zip(
            places, _at_once([solved[index] for index in places], prob), strict=True
        ):
            found[index] = numbers
    return found


def _alone(one: Solved, prob: float) -> Numbers:
    posterior = Exact(one.problem, one.quadrature)
    row = posterior.head
    marginals = (posterior.mean_of(row), posterior.theta_new(row), posterior.tau)
    numbers: Numbers = {}
    for name, marginal in zip(QUANTITIES, marginals, strict=True):
        summary = marginal.summary(prob, "eti")
        values = (summary.median, summary.lower, summary.upper)
        for what, value in zip(("median", "lower", "upper"), values, strict=True):
            numbers[f"{name}_{what}"] = value
    return numbers


def _at_once(solved: Sequence[Solved], prob: float) -> list[Numbers]:
    """Where the mean is conjugate: mixtures of normals over nodes of heterogeneity."""
    shares = {"median": 0.5, "lower": (1 - prob) / 2, "upper": (1 + prob) / 2}
    means, news = [], []
    for one in solved:
        q = one.quadrature
        assert q.mean is not None and q.covariance is not None
        mass, mean, variance = q.node_mass, q.mean[:, 0], q.covariance[:, 0, 0]
        total = one.problem.total_sd(q.values)
        means.append((mass, mean, np.sqrt(variance)))
        news.append((mass, mean, np.sqrt(variance + total**2)))
    mixtures: Mapping[str, NormalMixtures] = {
        "mu": NormalMixtures.of(means),
        "new": NormalMixtures.of(news),
    }
    columns = {
        f"{name}_{what}": mixture.quantile(share)
        for name, mixture in mixtures.items()
        for what, share in shares.items()
    }
    columns |= {f"tau_{what}": _tau_quantiles(solved, share) for what, share in shares.items()}
    return [
        {name: float(column[index]) for name, column in columns.items()}
        for index in range(len(solved))
    ]


def _tau_quantiles(solved: Sequence[Solved], share: float) -> Array:
    """Below what the total sd of each lies with a probability: those on equal panels together."""
    found = np.empty(len(solved))
    together: dict[object, list[int]] = {}
    for index, one in enumerate(solved):
        axes = list(one.quadrature.axes.values())
        if len(axes) == 1 and len(one.problem.spreads) == 1 and not axes[0].is_atoms:
            (axis,) = axes
            alike = axis.kind, axis.centre, axis.scale, axis.breaks.tobytes(), axis.order
            together.setdefault(alike, []).append(index)
        else:
            found[index] = _tau_quantile(one, share)
    for places in together.values():
        (axis,) = solved[places[0]].quadrature.axes.values()
        density = axis.density_in_u(np.stack([solved[i].quadrature.mass for i in places]))
        found[places] = axis.at(*invert_rows(axis, density, np.full(len(places), share)))
    return found


def _tau_quantile(one: Solved, share: float) -> float:
    tau = Exact(one.problem, one.quadrature).tau
    # The end of an interval that leaves out as much on either side; a median is one of width 0.
    away = abs(1 - 2 * share)
    summary = tau.summary(away, "eti") if away else tau.summary(0.5, "eti")
    value = summary.median if not away else summary.lower if share < 0.5 else summary.upper
    return math.nan if value is None else value
