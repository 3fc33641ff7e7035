"""What metarho found, for a script to be compared with, and the head that every script has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.layout import variables
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Marginal
from metarho.report.scripts.quoting import comment

NUMBERS = ("mean", "sd", "median", "lower", "upper")
"""The five numbers of a quantity that are compared."""


@dataclass(frozen=True)
class Origin:
    """Where a result is from, as its reader knows it."""

    config: str
    model: str
    prior_set: str
    intervals: str


@dataclass(frozen=True)
class Found:
    """A quantity: its name in tables, and in scripts; its five numbers and their errors.

    A mean or sd that the posterior lacks is not among ``numbers``. Lower and upper end are
    equal-tailed. ``errors`` are Monte Carlo errors; none of an integrated result.
    """

    name: str
    variable: str
    numbers: Mapping[str, float]
    errors: Mapping[str, float] = field(default_factory=dict)


def findings(fit: Fit) -> tuple[Found, ...]:
    """The parameters that are not held at a point, and the mean at the headline, ``pooled``."""
    problem, posterior = fit.problem, fit.posterior
    names = variables(problem)
    found = [
        _found(name, names[name], posterior.parameters[name], fit)
        for name, applied in problem.priors.items()
        if not applied.prior.is_point
    ]
    mean = posterior.mean_of(posterior.head)
    if problem.scale == "yi":
        return (*found, _found("mean", "pooled", mean, fit))
    return (*found, _found("rho_median", "pooled", posterior.rho(mean), fit))


def _found(name: str, variable: str, marginal: Marginal, fit: Fit) -> Found:
    prob = fit.interval.prob
    summary = marginal.summary(prob, "eti")
    every = {number: getattr(summary, number) for number in NUMBERS}
    numbers = {number: float(value) for number, value in every.items() if value is not None}
    if isinstance(fit.result, Quadrature):
        return Found(name, variable, numbers)
    # Loaded here: ArviZ is for sampled fits only.
    from metarho.posterior.sampled import Sample, monte_carlo_errors

    if not isinstance(marginal, Sample) or marginal.draws.min() == marginal.draws.max():
        return Found(name, variable, numbers)
    errors = monte_carlo_errors(marginal.draws, prob)
    return Found(name, variable, numbers, {number: errors[number] for number in numbers})


def head(title: str, agrees: str, fit: Fit, origin: Origin, found: Sequence[Found]) -> str:
    """What a script is, of which result, what should agree with what, and what metarho found."""
    problem = fit.problem
    lines = [
        title,
        "",
        f"Written by metarho {version('metarho')}; it runs without it.",
        f"analysis: {origin.config}",
        f"model: {origin.model}   prior set: {origin.prior_set}   intervals: {origin.intervals}",
        _evidence(problem),
        *(f"prior: {name} ~ {one.prior}" for name, one in problem.priors.items()),
        f"engine of metarho: {fit.engine}; status: {fit.status}",
        "",
        *agrees.split("\n"),
        "",
        f"metarho found ({fit.interval.prob:.10g} of the posterior between lower and upper, equal "
        "tails):",
        *_table(found),
    ]
    return "\n".join(map(comment, lines))


def _evidence(problem: Problem) -> str:
    evidence = problem.evidence
    scales = {"z": "Fisher's z", "r": "r", "yi": "the effect"}
    words = int(evidence.is_interval.sum())
    said = f", {words} of them intervals" if words else ""
    return (
        f"evidence: {evidence.k} effects{said}, {len(evidence.study_names)} studies; measure "
        f"{problem.measure}: yi is {scales[problem.scale]}, vi its sampling variance"
    )


def _table(found: Sequence[Found]) -> list[str]:
    names = [one.name.encode("unicode_escape").decode("ascii")[:40] for one in found]
    width = max(map(len, names), default=0)
    rows = ["  " + " " * width + "".join(f"{number:>14}" for number in NUMBERS)]
    for name, one in zip(names, found, strict=True):
        cells = (
            f"{one.numbers[number]:14.8g}" if number in one.numbers else f"{'-':>14}"
            for number in NUMBERS
        )
        rows.append(f"  {name:<{width}}" + "".join(cells))
    return rows
