"""The sampled engine: the model written in PyMC, sampled by nutpie's NUTS.

PyMC is imported when a fit starts and not before: asking what the engine covers is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from metarho.engines.nuts.draws import Draws
from metarho.engines.nuts.layout import has_interval_part, lay_out
from metarho.engines.problem import Problem
from metarho.spec.analysis import Sampler

NAME = "nuts"

PRIORS = frozenset(
    {
        "Normal",
        "StudentT",
        "Cauchy",
        "Uniform",
        "Flat",
        "HalfNormal",
        "HalfStudentT",
        "HalfCauchy",
        "Exponential",
        "Gamma",
        "InverseGamma",
        "LogNormal",
        "Beta",
        "DiracDelta",
    }
)
"""The families it has. They stand here by name, so that asking does not import PyMC."""

_LEVELS = ((), ("effect",), ("study",), ("study", "effect"))


def covers(problem: Problem) -> str | None:
    """None when the engine can solve a problem, else the part it cannot and what would work."""
    model = problem.model
    uses = [
        (model.custom is not None, f"custom model {model.custom}"),
        (model.likelihood != "normal", f"likelihood: {model.likelihood}"),
        (model.scale.replace(" ", "") != "~1", f"scale: {model.scale}"),
        (model.effects != "normal", f"effects: {model.effects}"),
        (model.selection != "none", "selection"),
        (
            model.levels not in _LEVELS or "+" in model.random,
            f"random: {model.random} (none, effect, study and study/effect work)",
        ),
    ]
    uses.append(
        (bool(problem.evidence.correlated), "correlated sampling errors (rho_within or covariance)")
    )
    for used, part in uses:
        if used:
            return f"the nuts engine does not sample {part} yet"
    for name, applied in problem.priors.items():
        if applied.prior.family not in PRIORS:
            return f"{name}: the nuts engine has no {applied.prior.family} prior yet"
        if applied.prior.on:
            return f"{name}: the nuts engine has no prior on {applied.prior.on} yet"
    if all(applied.prior.is_point for applied in problem.priors.values()):
        return "nothing is left to sample: every prior is a point; engine: exact"
    return None


def structure(problem: Problem) -> tuple[object, ...]:
    """What problems must share to share one compiled model: all but numbers and row counts."""
    return (
        NAME,
        problem.model.random,
        problem.is_total_form,
        tuple((name, applied.prior.family) for name, applied in problem.priors.items()),
        has_interval_part(problem),
        len(lay_out(problem).mixed),
    )


def fit_many(
    problems: Sequence[tuple[Problem, int]],
    sampler: Sampler,
    announce: Callable[[str], None] = lambda stage: None,
) -> Iterator[Draws]:
    """Sample problems of one structure, each with its seed, on one compiled model, in order."""
    from metarho.engines.nuts.sampling import sample_many

    return sample_many(problems, sampler, announce)
