"""The exact engine: quadrature over what is hard, closed forms for the rest, a stated error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from metarho.engines.exact import quadrature, shared, shared_table
from metarho.engines.exact.axes import has_own_axis, is_conjugate
from metarho.engines.exact.moments import unbounded_mean
from metarho.engines.exact.priors import at_lower_end, at_upper_end, is_out_of_reach
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.exact.weights import MOST_WEIGHTS, weight_law
from metarho.engines.problem import Problem
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import PER_TAU
from metarho.spec.shrinkage import FAMILY_OF

__all__ = [
    "NAME",
    "Quadrature",
    "covers",
    "fit_many",
    "hard_dimensions",
    "integrate",
    "is_conjugate",
    "shares_rows",
    "structure",
]

NAME = "exact"

# Disjoint: with a closed form for the mean, and with the mean on panels too.
_SHARED = (shared, shared_table)

LEVELS = ((), ("effect",), ("study",), ("study", "effect"))

# Below this shape a Gamma density holds mass at values that double precision cannot tell from 0.
SMALLEST_GAMMA_SHAPE = 0.1


def covers(problem: Problem) -> str | None:
    """None when the engine can solve a problem, else the part it cannot and what would work."""
    model = problem.model
    if model.custom is not None:
        return f"the exact engine cannot integrate custom model {model.custom}; engine: nuts"
    uses = [
        (model.scale.replace(" ", "") != "~1", f"scale: {model.scale}"),
        (model.effects not in ("normal", "student-t"), f"effects: {model.effects}"),
        (model.measurement == "true-score", "measurement: true-score"),
        (problem.imputation is not None, "imputed moderators (missing: impute)"),
        (
            model.levels not in LEVELS or "+" in model.random,
            f"random: {model.random} (none, effect, study and study/effect work)",
        ),
    ]
    for used, part in uses:
        if used:
            return f"the exact engine does not integrate {part} yet; engine: nuts"
    if problem.shrunk_slopes:
        family = FAMILY_OF[problem.prior(problem.shrunk_slopes[0]).on]
        return f"the exact engine has no {family} prior of slopes; engine: nuts"
    if problem.prior("mu").on == PER_TAU:
        if not is_conjugate(problem):
            return (
                "the exact engine has a prior on mu/tau only with normal rows and effects and "
                "without interval rows"
            )
        if not problem.may_vary:
            return "a prior on mu/tau has no meaning where true effects do not vary (tau = 0)"
    refusal = (
        _refused_reporting(problem)
        or _refused_intervals(problem)
        or _refused_several_tests(problem)
        or _refused_part(problem)
    )
    if refusal:
        return refusal
    slopes = len(problem.coefficients) > 1
    if slopes and problem.evidence.has_intervals:
        return "the exact engine has no interval rows with moderators; engine: nuts"
    if slopes and not is_conjugate(problem):
        return (
            "with moderators the exact engine needs Normal or Flat priors on mu and beta (on mu a "
            "NormalMixture will do); engine: nuts"
        )
    for name, applied in problem.priors.items():
        prior = applied.prior
        if prior.is_point:
            continue
        if is_out_of_reach(prior):
            return (
                f"{name}: {prior} keeps so little of its prior that no computer can tell it from 0"
            )
        if at_lower_end(prior) < SMALLEST_GAMMA_SHAPE:
            return f"{name}: {prior} piles its mass onto its lower end; use alpha >= 0.1"
        if at_upper_end(prior) < 1 and not has_own_axis(prior):
            return (
                f"{name}: the exact engine has no prior that is infinite at its upper end, as "
                f"{prior} is; use beta >= 1"
            )
    return None


def _refused_intervals(problem: Problem) -> str | None:
    """Why interval rows do not go with correlated sampling errors; None when they do.

    Where studies deviate all rows of a study are tied; else those whose errors correlate.
    """
    evidence = problem.evidence
    for group in evidence.correlated:
        study = evidence.study[group.rows[0]]
        in_group = np.isin(np.arange(evidence.k), group.rows)
        tied = evidence.study == study if "study" in problem.model.levels else in_group
        if (tied & evidence.is_interval & ~evidence.is_silent).any():
            return (
                f"the exact engine has no interval rows in a study with correlated sampling errors "
                f"(rho_within or covariance), as in {evidence.study_names[study]}; drop the "
                "intervals, or leave errors uncorrelated"
            )
    return None


def _refused_reporting(problem: Problem) -> str | None:
    """Why informative reporting does not go with the rest; None when it does."""
    if problem.reporting is None:
        return None
    evidence, model = problem.evidence, problem.model
    parts = {
        f"random: {model.random}": model.levels not in ((), ("effect",)),
        f"mods: {model.mods}": len(problem.coefficients) > 1,
        "rows or effects that are not normal, or selected": not problem.is_gaussian,
        "correlated sampling errors": bool(evidence.correlated),
        f"measure {problem.measure}": problem.measure != "ZCOR",
        "words that sum up several tests": bool(evidence.sums_up.any()),
    }
    for part, used in parts.items():
        if used:
            return f"informative reporting does not go with {part}"
    unknown = np.isnan(evidence.critical)
    if unknown.any():
        names = ", ".join(np.array(evidence.effect_names)[unknown][:5])
        return f"informative reporting needs n, for whether a result is significant: {names}"
    return None


def _refused_several_tests(problem: Problem) -> str | None:
    """Why rows that sum up several tests do not go with their study's others; None when they do.

    What their tests share would be one more integral inside that over the study's deviation.
    """
    evidence = problem.evidence
    if "study" not in problem.model.levels:
        return None
    tied = evidence.sums_up & (np.bincount(evidence.study)[evidence.study] > 1)
    if not tied.any():
        return None
    return (
        f"the exact engine has no words that sum up several tests in a study with other rows, as "
        f"{evidence.effect_names[int(np.flatnonzero(tied)[0])]} (random: {problem.model.random}); "
        "engine: nuts"
    )


def _refused_part(problem: Problem) -> str | None:
    """Why a part other than normal rows and effects does not go with the rest; None when it does.

    Such parts are solved in models of two levels, one at a time; the bias of small studies (pet,
    peese) is, on normal rows and effects, in any.
    """
    model = problem.model
    parts = {
        "likelihood: exact-r": model.likelihood == "exact-r",
        "effects: student-t": model.effects == "student-t",
        "selection": model.selection != "none",
    }
    used = [part for part, present in parts.items() if present]
    if not used:
        return None
    if used == ["selection"] and problem.bias is not None:
        return _refused_bias(problem)
    if problem.evidence.correlated:
        used.append("correlated sampling errors (rho_within or covariance)")
    part = used[0]
    if len(used) > 1:
        return f"the exact engine does not join {part} with {used[1]} yet"
    if len(problem.coefficients) > 1:
        return f"the exact engine has no moderators (mods: {model.mods}) with {part} yet"
    if model.levels not in ((), ("effect",)):
        return (
            f"the exact engine has no random: {model.random} with {part} yet; random: effect and "
            "none work"
        )
    if model.effects == "student-t" and not model.levels:
        return "effects: student-t with random: none has no effects that vary; use random: effect"
    if reason := unbounded_mean(problem):
        return reason
    if isinstance(model.selection, StepSelection):
        return _refused_selection(problem, model.selection.step)
    return None


def _refused_bias(problem: Problem) -> str | None:
    """Why small-study bias does not go with the rest; None when it does."""
    if is_conjugate(problem) or problem.model.levels in ((), ("effect",)):
        return None
    return (
        f"the exact engine has no selection: {problem.model.selection} in nested models but with "
        "normal priors of mu and beta and without interval rows; engine: nuts"
    )


def _refused_selection(problem: Problem, step: Step) -> str | None:
    if len(step.omegas) > 1 and weight_law(problem) is None:
        return (
            f"selection with {len(step.cutpoints)} cutpoints needs known weights for the exact "
            f"engine, or up to {MOST_WEIGHTS} with Beta priors or a CumulativeDirichlet, of whole "
            "numbers or of 4 and more; engine: nuts"
        )
    return None


def hard_dimensions(problem: Problem) -> tuple[str, ...]:
    """What is integrated numerically; everything else is closed form."""
    hard = [*problem.spreads, *problem.shapes, *([] if is_conjugate(problem) else ["mu"])]
    return tuple(name for name in hard if not problem.prior(name).is_point)


def structure(problem: Problem) -> tuple[object, ...]:
    """What problems must share to share the sums over studies: all but their priors."""
    model, evidence = problem.model, problem.evidence
    numbers = (evidence.y, evidence.v, evidence.lower, evidence.upper, problem.design.matrix)
    return (
        NAME,
        problem.measure,
        evidence.rows,
        tuple(array.tobytes() for array in numbers),
        tuple(group.covariance.tobytes() for group in evidence.correlated),
        problem.intervals,
        problem.design.names,
        tuple(problem.priors),
        (model.likelihood, model.random, model.effects, model.scale, str(model.selection)),
        problem.reporting,
    )


def fit_many(problems: Iterable[Problem]) -> Iterator[Quadrature]:
    """Solve problems of one structure, in order; what their rows say is computed once."""
    everyone = list(problems)
    found = {way: way.solve([p for p in everyone if way.is_shareable(p)]) for way in _SHARED}
    for problem in everyone:
        way = next((way for way in _SHARED if way.is_shareable(problem)), None)
        yield (next(found[way]) if way else None) or quadrature.solve(problem)


def shares_rows(problem: Problem) -> bool:
    """Whether what the rows say is computed once for many priors: each is then a millisecond."""
    return any(way.is_shareable(problem) for way in _SHARED)


def integrate(problem: Problem) -> Quadrature:
    """Solve one problem."""
    return next(fit_many([problem]))
