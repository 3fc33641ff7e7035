"""The answer with each study left out: refits, exact, at the headline of the whole evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.engines import exact
from metarho.engines.problem import Problem, improper, misplaced, problem_without
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import NOTHING, Marginal, Summary

type Array = NDArray[np.float64]

# Fits held at once: with several coefficients a quadrature has a covariance at every node.
_AT_ONCE = 32


@dataclass(frozen=True)
class LeftOut:
    """The posterior without the ``rows`` of a study.

    ``pooled`` is on the readers' scale (r; GEN: yi) at the average row of the whole evidence, so
    that it is one quantity throughout; ``tau`` the total sd. ``fitted`` is the mean at the average
    row of the study itself, on the model's scale. Where there is no answer all are nothing, and
    ``reason`` says why.
    """

    study: str
    rows: int
    pooled: Summary
    tau: Summary
    fitted: Summary
    reason: str | None = None


def no_left_out(problem: Problem) -> str | None:
    """Why studies are not left out one by one; None where they are."""
    if len(problem.evidence.study_names) < 2:
        return "one study: nothing is left without it"
    if refusal := exact.covers(problem):
        return f"studies are left out by exact fits only: {refusal.removesuffix('; engine: nuts')}"
    return None


def left_out(fit: Fit, settings: Settings) -> tuple[LeftOut, ...]:
    """A row a study, in the order of the evidence, each refitted without it by the exact engine.

    What encoding learned of moderators (levels, knots, centres) stays. Raises InputError where
    ``no_left_out`` says why.
    """
    problem = fit.problem
    study = problem.evidence.study
    count = len(problem.evidence.study_names)
    exactly = replace(settings, engine="exact", agreement=False, interval=fit.interval)
    found: list[LeftOut] = []
    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, count))
        rests = [problem_without(problem, study == number) for number in numbers]
        reasons = [_unanswerable(rest) for rest in rests]
        answered = [r for r, reason in zip(rests, reasons, strict=True) if reason is None]
        fits = iter(fit_many(answered, exactly))
        for number, reason in zip(numbers, reasons, strict=True):
            found.append(_row(fit, number, None if reason else next(fits), reason))
    return tuple(found)


def median_fitted(fit: Fit, study: int) -> float:
    """The median of the mean at the average row of a study, on the model's scale."""
    found = _summary(fit, fit.posterior.mean_of(_average_row(fit.problem, study))).median
    return float("nan") if found is None else found


def _unanswerable(rest: Problem) -> str | None:
    """Why there is no posterior without the study."""
    return misplaced(rest) or improper(rest) or exact.covers(rest)


def _row(fit: Fit, study: int, rest: Fit | None, reason: str | None) -> LeftOut:
    problem = fit.problem
    name = problem.evidence.study_names[study]
    rows = int((problem.evidence.study == study).sum())
    if rest is None:
        return LeftOut(name, rows, NOTHING, NOTHING, NOTHING, reason)
    pooled = rest.posterior.rho(rest.posterior.mean_of(fit.posterior.head))
    fitted = rest.posterior.mean_of(_average_row(problem, study))
    return LeftOut(
        name,
        rows,
        _summary(fit, pooled),
        _summary(fit, rest.posterior.tau),
        _summary(fit, fitted),
        None if rest.status == "ok" else "; ".join(rest.reasons),
    )


def _average_row(problem: Problem, study: int) -> Array:
    return np.asarray(problem.design.matrix[problem.evidence.study == study].mean(axis=0))


def _summary(fit: Fit, marginal: Marginal) -> Summary:
    return marginal.summary(fit.interval.prob, fit.interval.kind)


def by_median(rows: Sequence[LeftOut]) -> list[LeftOut]:
    """The rows by their pooled median, largest first; those without an answer last."""
    return sorted(
        rows, key=lambda row: float("inf") if row.pooled.median is None else -row.pooled.median
    )
