"""The models, in words and equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metarho.batch.describe import model_in_words
from metarho.batch.findings import Findings
from metarho.engines.problem import Problem
from metarho.report.equations import Equation, equations
from metarho.spec.model import Model


@dataclass(frozen=True)
class Modelled:
    """A model as the report shows it."""

    name: str
    model: Model
    words: str
    equations: tuple[Equation, ...]
    references: tuple[str, ...]
    """Which levels of factors ``mu`` is about."""


def values(found: Findings) -> Mapping[str, object]:
    """Each model with its equations on the evidence as first read."""
    plan = found.plan
    return {
        "modelled": [
            Modelled(
                name,
                model,
                model_in_words(model),
                equations(problem := _problem(found, name)),
                _references(problem),
            )
            for name, (model, _) in plan.models.items()
        ],
        "why": plan.analysis.why,
        "model_words": [
            w for w in (plan.analysis.why.model, plan.analysis.why.exchangeability) if w
        ],
    }


def _problem(found: Findings, name: str) -> Problem:
    return next(cell.problem for cell in found.plan.cells if cell.model == name)


def _references(problem: Problem) -> tuple[str, ...]:
    return tuple(f"{factor} = {levels[0]}" for factor, levels in problem.design.levels.items())
