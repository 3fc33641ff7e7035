"""The cells of a plan compared: the table that answers "which prior?"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from metarho.batch.plan import Plan
from metarho.batch.run import settings_of
from metarho.compare.averaging import averages, in_words
from metarho.compare.pointwise import pointwise
from metarho.compare.rows import Row
from metarho.compare.which_prior import Candidate, remarks, which_prior
from metarho.engines.problem import Problem
from metarho.fitting import fit_many

TABLE, AVERAGES, STUDIES = "compare.csv", "average.csv", "compare-studies.csv"


@dataclass(frozen=True)
class Compared:
    """The table, its scores by study, averages over it, and what a reader of it must know."""

    rows: tuple[Row, ...]
    studies: tuple[Row, ...]
    averages: tuple[Row, ...]
    remarks: tuple[str, ...]


def compare(
    plan: Plan,
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
    *,
    families: bool = True,
) -> Compared:
    """Fit every cell, through the store, and compare. Writes only to the store.

    Without ``families`` Bayes factors are not followed over the families of their priors.

    The second engine is left to ``run``: what is compared is compared by one.
    """
    settings = replace(settings_of(plan, announce, warn), agreement=False)
    fits = fit_many([cell.problem for cell in plan.cells], settings)
    candidates = [
        Candidate(cell.label, cell.prior_set, cell.intervals, fit)
        for cell, fit in zip(plan.cells, fits, strict=True)
    ]
    rows = which_prior(
        candidates,
        plan.analysis.reference_set,
        plan.analysis.thresholds.rho,
        replace(settings, announce=lambda event, problem: None),
        lambda candidate: announce("compared", candidate.fit.problem),
        families=families,
    )
    averaged = averages(candidates, rows, plan.analysis.interval.prob)
    spikes = [said for row in averaged if (said := in_words(row)) is not None]
    studies = pointwise(candidates, plan.analysis.reference_set)
    return Compared(
        tuple(rows),
        tuple(studies),
        tuple(averaged),
        (*remarks(candidates), *spikes, *plan.citations),
    )
