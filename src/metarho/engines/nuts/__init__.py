"""The sampled engine: the model written in PyMC, sampled by nutpie's NUTS.

PyMC is imported when a fit starts and not before: asking what the engine covers is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from metarho.engines.exact.moments import unbounded_mean
from metarho.engines.nuts.draws import Draws
from metarho.engines.nuts.layout import (
    group_levels,
    has_intervals,
    integrated_level,
    lay_out,
    signature,
)
from metarho.engines.problem import Problem
from metarho.spec.analysis import Sampler
from metarho.spec.model import StepSelection
from metarho.spec.priors import PER_R2D2, PER_TAU

NAME = "nuts"


def covers(problem: Problem) -> str | None:
    """None when the engine can solve a problem, else the part it cannot and what would work."""
    model = problem.model
    if model.custom is not None:
        return f"the nuts engine does not sample custom model {model.custom} yet"
    if not problem.may_vary:
        for prior in (problem.prior(name) for name in problem.coefficients):
            if prior.on in (PER_TAU, PER_R2D2):
                return (
                    f"a prior on {prior.on} has no meaning where true effects do not vary (tau = 0)"
                )
    if "effect" not in model.levels:
        needs = {
            f"effects: {model.effects}": model.effects != "normal",
            f"scale: {model.scale}": bool(problem.scale_slopes),
        }
        for part, used in needs.items():
            if used:
                return f"{part} needs effects that vary: add effect to random: {model.random}"
    refusal = _refused_correlated(problem) or _refused_joins(problem) or unbounded_mean(problem)
    if refusal:
        return refusal
    if all(applied.prior.is_point for applied in problem.priors.values()):
        return "nothing is left to sample: every prior is a point"
    return None


def _refused_correlated(problem: Problem) -> str | None:
    """What does not go with correlated sampling errors; None when all does.

    Rows are turned into the directions of their covariance, which keeps normal effects of one tau
    independent, and leaves alone what all rows of a group share.
    """
    evidence = problem.evidence
    if not evidence.correlated:
        return None
    with_errors = "correlated sampling errors (rho_within or covariance)"
    if not problem.is_gaussian or problem.scale_slopes:
        return f"the nuts engine has {with_errors} only with normal rows and effects of one tau"
    levels = {level: evidence.groups(level)[0] for level in group_levels(problem)}
    for group in evidence.correlated:
        tied = np.isin(np.arange(evidence.k), group.rows)
        if levels:
            tied |= evidence.study == evidence.study[group.rows[0]]
        for index in levels.values():
            tied |= np.isin(index, index[group.rows])
        if evidence.is_interval[tied].any():
            study = evidence.study_names[evidence.study[group.rows[0]]]
            return (
                f"the nuts engine has no interval rows in a group with {with_errors}, as in "
                f"{study}; drop the intervals, or leave errors uncorrelated"
            )
        for level, index in levels.items():
            if np.ptp(index[group.rows]):
                return (
                    f"the nuts engine has {with_errors} only within one group of every level, and "
                    f"{level} differs between effects of {evidence.rows[group.rows[0]].study}"
                )
    return None


def _refused_joins(problem: Problem) -> str | None:
    """Which parts of the model do not go with each other; None when all do."""
    model = problem.model
    stepwise = isinstance(model.selection, StepSelection)
    joins = (
        (model.effects == "student-t" and stepwise, "effects: student-t", "step selection"),
        (
            model.likelihood == "exact-r" and model.effects != "normal",
            "likelihood: exact-r",
            f"effects: {model.effects}",
        ),
        (
            model.likelihood == "exact-r" and model.selection != "none",
            "likelihood: exact-r",
            "selection",
        ),
    )
    for used, first, second in joins:
        if used:
            return f"the nuts engine does not join {first} with {second} yet"
    return None


def structure(problem: Problem) -> tuple[object, ...]:
    """What problems must share to share one compiled model: all but numbers and row counts."""
    model = problem.model
    # Where true effects are variables, their number is part of the model.
    has_effects = model.likelihood == "exact-r" or model.effects == "student-t"
    kept = {level: len(kept.groups) for level, kept in lay_out(problem).items()}
    intervals = problem.evidence.is_interval
    return (
        NAME,
        (model.likelihood, model.random, model.effects, str(model.selection)),
        problem.is_total_form,
        tuple((name, signature(applied.prior)) for name, applied in problem.priors.items()),
        has_intervals(problem),
        bool(problem.evidence.correlated),
        (integrated_level(problem), tuple(kept.items())),
        problem.evidence.k if has_effects else None,
        int(intervals.sum()) if model.likelihood == "exact-r" else None,
    )


def fit_many(
    problems: Sequence[tuple[Problem, int]],
    sampler: Sampler,
    announce: Callable[[str], None] = lambda stage: None,
) -> Iterator[Draws]:
    """Sample problems of one structure, each with its seed, on one compiled model, in order."""
    from metarho.engines.nuts.sampling import sample_many

    return sample_many(problems, sampler, announce)
