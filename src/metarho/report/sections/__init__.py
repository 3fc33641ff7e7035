"""The parts of a report: each one function from what was found to the values its template takes.

A section is left out where its function says None. What a page says it says by ids: a section's
own, and those that its template sets only where there is something to show; the appendix of
guidelines (``checklists.py``) goes by them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metarho.batch.findings import Findings
from metarho.report.sections import (
    checks,
    classical,
    computation,
    ensemble,
    evidence,
    models,
    new_studies,
    priors,
    question,
    results,
    which_prior,
)

type Values = Mapping[str, object]


@dataclass(frozen=True)
class Section:
    """A part of the report: the name of its template and the id of its place, and its title."""

    name: str
    title: str
    values: Callable[[Findings], Values | None]


SECTIONS = (
    Section("question", "Question", question.values),
    Section("evidence", "Evidence", evidence.values),
    Section("models", "Model", models.values),
    Section("priors", "Priors", priors.values),
    Section("results", "Results", results.values),
    Section("ensemble", "Effect, heterogeneity and bias, averaged", ensemble.values),
    Section("classical", "Classical answers", classical.values),
    Section("which-prior", "Which prior?", which_prior.values),
    Section("new-studies", "What a new study would see", new_studies.values),
    Section("checks", "Checks", checks.values),
    Section("computation", "Computation", computation.values),
)
