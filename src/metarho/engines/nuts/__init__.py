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
    panels_of_several_tests,
    signature,
)
from metarho.engines.problem import Problem
from metarho.spec.analysis import Sampler
from metarho.spec.model import StepSelection
from metarho.spec.priors import PER_R2D2, PER_TAU

NAME = "nuts"

# Of a rule of a row: more are more numbers than the rest of the model together.
MOST_PANELS = 200


def covers(problem: Problem) -> str | None:
    """None when the engine can solve a problem, else the part it cannot and what would work."""
    model = problem.model
    if all(applied.prior.is_point for applied in problem.priors.values()):
        return "nothing is left to sample: every prior is a point"
    if problem.reporting is not None:
        return "the nuts engine has no informative reporting; engine: exact"
    if model.custom is not None:
        return None
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
    return (
        _refused_missing(problem)
        or _refused_correlated(problem)
        or _refused_several_tests(problem)
        or _refused_joins(problem)
        or unbounded_mean(problem)
    )


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


def _refused_several_tests(problem: Problem) -> str | None:
    """Which rule over what several tests share would take too many nodes; None when none."""
    evidence = problem.evidence
    for row in np.flatnonzero(evidence.sums_up):
        if panels_of_several_tests(evidence, int(row)) > MOST_PANELS:
            known = evidence.rows[row]
            return (
                f"the nuts engine cannot integrate what the {known.tests} tests of "
                f"{evidence.effect_names[row]} share (rho_tests: {known.rho_tests:g}); engine: "
                "exact, or a rho_tests further from 0 and 1"
            )
    return None


def _refused_missing(problem: Problem) -> str | None:
    """What does not go with imputed moderators; None when all does.

    Candidates of a row share no variable of the row's own, and no row that errors tie to others.
    """
    if problem.imputation is None:
        return None
    model = problem.model
    parts = {
        "likelihood: exact-r": model.likelihood == "exact-r",
        "effects: student-t": model.effects == "student-t",
        "step selection": isinstance(model.selection, StepSelection),
        "correlated sampling errors": bool(problem.evidence.correlated),
    }
    for part, used in parts.items():
        if used:
            return f"the nuts engine does not join missing: impute with {part} yet; missing: drop"
    return None


def _refused_joins(problem: Problem) -> str | None:
    """Which parts of the model do not go with each other; None when all do."""
    model = problem.model
    stepwise = isinstance(model.selection, StepSelection)
    true_scores = model.measurement == "true-score"
    others = {
        "likelihood: exact-r": model.likelihood != "normal",
        f"effects: {model.effects}": model.effects != "normal",
        "selection": model.selection != "none",
        "missing: impute": problem.imputation is not None,
        "correlated sampling errors": bool(problem.evidence.correlated),
    }
    for part, used in others.items():
        if true_scores and used:
            return f"the nuts engine does not join measurement: true-score with {part} yet"
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
    """What problems must share to share one compiled model: all but numbers and row counts.

    Problems of custom models share nothing, for what a file makes of their numbers is its own.
    """
    model = problem.model
    if model.custom is not None:
        return (NAME, model.custom, id(problem))
    # Where true effects are variables, their number is part of the model.
    has_effects = model.likelihood == "exact-r" or model.effects == "student-t"
    has_effects |= model.measurement == "true-score"
    kept = {level: len(kept.groups) for level, kept in lay_out(problem).items()}
    intervals = problem.evidence.is_interval
    return (
        NAME,
        (model.likelihood, model.random, model.effects, str(model.selection)),
        problem.is_total_form,
        tuple((name, signature(applied.prior)) for name, applied in problem.priors.items()),
        has_intervals(problem),
        bool(problem.evidence.sums_up.any()),
        bool(problem.evidence.correlated),
        (integrated_level(problem), tuple(kept.items())),
        problem.evidence.k if has_effects else None,
        int(intervals.sum()) if model.likelihood == "exact-r" else None,
        _unknown(problem),
        _unreliable(problem),
    )


def _unknown(problem: Problem) -> object:
    """What models with imputed moderators must share: blocks, their candidates and numbers."""
    if problem.imputation is None:
        return None
    found = problem.imputation
    blocks = [(one.factors, one.numbers, one.levels.tolist()) for one in found.blocks]
    levels = [(name, len(factor.counts)) for name, factor in found.factors.items()]
    return str((levels, list(found.numbers), blocks))


def _unreliable(problem: Problem) -> object:
    """What models of true scores must share: which reliabilities are variables."""
    if problem.model.measurement != "true-score":
        return None
    return tuple(
        (name, applied.prior.family, np.isnan(problem.evidence.artefact(name)).tobytes())
        for name, applied in problem.reliabilities.items()
    )


def fit_many(
    problems: Sequence[tuple[Problem, int]],
    sampler: Sampler,
    announce: Callable[[str], None] = lambda stage: None,
) -> Iterator[Draws]:
    """Sample problems of one structure, each with its seed, on one compiled model, in order."""
    if problems[0][0].model.custom is not None:
        from metarho.engines.nuts.custom import sample_custom

        return (sample_custom(problem, sampler, seed, announce) for problem, seed in problems)
    from metarho.engines.nuts.sampling import sample_many

    return sample_many(problems, sampler, announce)
