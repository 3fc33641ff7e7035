"""Named quantities of fits: of thousands at once where the mean is conjugate, else one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metarho.compare.bayes_factors import Null, bayes_factors, nulls
from metarho.compare.many_posteriors import ManyPosteriors
from metarho.engines import exact
from metarho.engines.exact.axes import is_conjugate
from metarho.engines.exact.shared import is_shareable
from metarho.engines.problem import Problem
from metarho.fitting import Settings, choose, fit_many
from metarho.fitting.verdict import judge
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.spec.claims import Quantity
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]
type Way = Literal["at once", "one by one", "slow", "sampled"]

_OF_CORRELATIONS = ("rho", "rho_new", "rho_median", "rho_mean")
# exp of more is no number that a computer has.
_LARGEST_LOG = 700.0


@dataclass(frozen=True)
class Values:
    """Q quantities of F problems: ``numbers`` (F, Q), NaN where there is none; each fit's status.

    ``error`` is the largest error that an integration states; None where fits were sampled.
    """

    numbers: Array
    statuses: tuple[str, ...]
    error: float | None


def way(problem: Problem, settings: Settings) -> Way:
    """What the quantities of many such problems cost: by structure, so that it is reproducible.

    ``at once``: thousands cost what a few fits do. ``one by one``: some tenths of a second each.
    ``slow``: tens of seconds, integrals over three parameters or with tables of the law of r.
    Raises InputError when no engine covers the problem.
    """
    engine, _ = choose(problem, settings.engine)
    if engine != "exact":
        return "sampled"
    hard = len(exact.hard_dimensions(problem))
    if is_closed(problem, settings) and (is_shareable(problem) or not hard):
        return "at once"
    heavy = problem.model.likelihood == "exact-r" or problem.model.effects == "student-t"
    return "slow" if hard > 2 or (heavy and hard > 1) else "one by one"


def steps(problem: Problem, settings: Settings) -> int:
    """How many steps of a progress bar a problem takes: its fit, and where it is read alone that.

    Raises InputError when no engine covers the problem.
    """
    engine, _ = choose(problem, settings.engine)
    return 1 if engine == "exact" and is_closed(problem, settings) else 2


def is_closed(problem: Problem, settings: Settings) -> bool:
    """Whether the posterior of the mean is a mixture of normals, and its intervals equal-tailed."""
    closed = is_conjugate(problem) and not problem.prior("mu").is_point
    return closed and settings.interval.kind == "eti"


def refusal(problem: Problem, quantity: Quantity) -> str | None:
    """Why a model has no such quantity under its priors; None when it has."""
    if problem.scale == "yi" and quantity.name in _OF_CORRELATIONS:
        return f"measure {problem.measure} has no correlations, and {quantity} is one of them"
    if quantity.name == "log_evidence":
        return _improper(problem, problem.priors)
    if quantity.is_bayes_factor:
        null = null_of(problem, quantity)
        if null is None:
            held_at = "mu" if quantity.name == "bf_mu" else "heterogeneity"
            return f"{quantity} needs a model that leaves {held_at} free"
        return _improper(problem, null.values)
    return None


def values_of(
    problems: Sequence[Problem], wanted: Sequence[Quantity], settings: Settings
) -> Values:
    """Quantities of problems that differ in nothing but their priors.

    ``settings.announce`` hears ``fitted``, and ``compared`` where each is read alone (``steps``).
    Raises InputError when no engine covers one of them.
    """
    apart = _apart(problems)
    engines = {choose(problem, settings.engine)[0] for problem in apart}
    if engines == {"exact"} and all(is_closed(problem, settings) for problem in apart):
        return _at_once(problems, wanted, settings)
    fits = fit_many(problems, settings)
    # Models without a parameter are refitted for Bayes factors: not what is counted.
    quiet = replace(settings, announce=lambda event, problem: None)
    rows = []
    for fit in fits:
        rows.append(quantities_of(fit, wanted, quiet))
        settings.announce("compared", fit.problem)
    numbers = np.array(rows)
    errors = [fit.quad_err for fit in fits]
    return Values(
        numbers.reshape(len(fits), len(wanted)),
        tuple(fit.status for fit in fits),
        None if None in errors else max((e for e in errors if e is not None), default=0.0),
    )


def quantities_of(fit: Fit, wanted: Sequence[Quantity], settings: Settings) -> list[float]:
    """Quantities of one fit; NaN where there is none."""
    posterior, prob, kind = fit.posterior, settings.interval.prob, settings.interval.kind
    mean, new = (
        posterior.rho(theta)
        for theta in (posterior.mean_of(posterior.head), posterior.theta_new(posterior.head))
    )
    names = {quantity.name for quantity in wanted}
    found: dict[str, float | None] = {"log_evidence": fit.log_evidence}
    if names & {"rho_median", "lower", "upper"}:
        summary = mean.summary(prob, kind)
        found |= {"rho_median": summary.median, "lower": summary.lower, "upper": summary.upper}
    if names & {"new_lower", "new_upper"}:
        summary = new.summary(prob, kind)
        found |= {"new_lower": summary.lower, "new_upper": summary.upper}
    if "rho_mean" in names and isinstance(posterior, Exact) and fit.problem.scale == "z":
        # Without what else is derived: I² of two levels takes longer than the fit.
        row = posterior.head
        found["rho_mean"] = posterior.average_correlation_summary(row, prob, kind).mean
    elif "rho_mean" in names:
        found["rho_mean"] = fit.derived["rho_mean"].mean
    if "tau" in names:
        found["tau"] = posterior.tau.summary(prob, kind).median
    numbers = []
    for quantity in wanted:
        if quantity.threshold is not None:
            marginal = mean if quantity.name == "rho" else new
            value: float | None = 1 - float(marginal.cdf(np.array(quantity.threshold)))
        elif quantity.is_bayes_factor:
            null = null_of(fit.problem, quantity)
            log_bf = None if null is None else bayes_factors(fit, settings, [null])[0].log_bf
            value = None if log_bf is None else factor_of(log_bf)
        else:
            value = found[quantity.name]
        numbers.append(math.nan if value is None else value)
    return numbers


def _apart(problems: Sequence[Problem]) -> list[Problem]:
    """Problems that between them have every prior of each parameter that any of them has."""
    seen: set[tuple[str, Prior]] = set()
    found = []
    for problem in problems:
        own = {(name, applied.prior) for name, applied in problem.priors.items()}
        if not own <= seen:
            seen |= own
            found.append(problem)
    return found


def _improper(problem: Problem, names: Mapping[str, object]) -> str | None:
    for name in names:
        if not problem.prior(name).proper:
            return f"the prior of {name}, {problem.prior(name)}, is improper: there is no evidence"
    return None


def null_of(problem: Problem, quantity: Quantity) -> Null | None:
    """The hypothesis of a Bayes factor: mu = 0, or no heterogeneity at all."""
    for null in nulls(problem):
        on_mu = set(null.values) == {"mu"}
        if on_mu if quantity.name == "bf_mu" else null.with_it == "heterogeneity":
            return null
    return None


def factor_of(log: float) -> float:
    """A Bayes factor from its log; infinite where it is more than a number can say."""
    return math.inf if log > _LARGEST_LOG else math.exp(log)


def _at_once(problems: Sequence[Problem], wanted: Sequence[Quantity], settings: Settings) -> Values:
    """All quantities of conjugate problems, each as one computation."""
    solved = []
    for problem, quadrature in zip(problems, exact.fit_many(problems), strict=True):
        solved.append(quadrature)
        settings.announce("fitted", problem)
    many, prob = ManyPosteriors(problems, solved), settings.interval.prob
    numbers = np.column_stack([_of_many(many, quantity, prob) for quantity in wanted])
    statuses = tuple(
        judge(problem, quadrature, None).status
        for problem, quadrature in zip(problems, solved, strict=True)
    )
    return Values(numbers, statuses, max(quadrature.quad_err for quadrature in solved))


def _of_many(many: ManyPosteriors, quantity: Quantity, prob: float) -> Array:
    tail, threshold = (1 - prob) / 2, quantity.threshold or 0.0
    readings: Mapping[str, Callable[[], Array]] = {
        "rho_median": lambda: many.mean_quantile(0.5),
        "rho_mean": many.rho_mean,
        "lower": lambda: many.mean_quantile(tail),
        "upper": lambda: many.mean_quantile(1 - tail),
        "new_lower": lambda: many.new_quantile(tail),
        "new_upper": lambda: many.new_quantile(1 - tail),
        "rho": lambda: many.mean_above(threshold),
        "rho_new": lambda: many.new_above(threshold),
        "tau": many.tau_median,
        "log_evidence": many.log_evidence,
    }
    if quantity.name in readings:
        return readings[quantity.name]()
    null = null_of(many.problems[0], quantity)
    if null is None:
        return np.full(len(many.problems), math.nan)
    return np.array([factor_of(log_bf) for log_bf in many.log_bayes_factor(null).tolist()])
