"""The table of results, what rows without an r do, and what moderators say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metarho.batch.findings import Findings
from metarho.batch.plan import Cell, Plan
from metarho.batch.run import Outcome
from metarho.batch.tables import threshold_probabilities
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.predict.new_studies import marginal_means
from metarho.report.moderators import moderators_in_words


@dataclass(frozen=True)
class Headline:
    """One row of the table of results."""

    model: str
    prior_set: str
    intervals: str
    fit: Fit
    pooled: Summary
    new: Summary
    above: list[tuple[float, float]]


def values(found: Findings) -> Mapping[str, object]:
    """Headlines, the comparison of intervals used and dropped, marginal means, sentences."""
    outcome = found.outcome
    rows = headlines(outcome)
    return {
        "headlines": rows,
        "comparison": comparison(rows),
        "variance": _variance(outcome),
        "means": _means(outcome),
        "moderations": _moderations(outcome),
        "why": found.plan.analysis.why,
    }


def headlines(outcome: Outcome) -> list[Headline]:
    """One a cell."""
    pairs = zip(outcome.plan.cells, outcome.fits, strict=True)
    return [_headline(outcome.plan, *pair) for pair in pairs]


def _headline(plan: Plan, cell: Cell, fit: Fit) -> Headline:
    return Headline(
        cell.label,
        cell.prior_set,
        cell.intervals,
        fit,
        fit.pooled,
        fit.pooled_new,
        threshold_probabilities(plan, fit),
    )


def comparison(rows: Sequence[Headline]) -> tuple[Headline, Headline] | None:
    """The first model's first prior set with intervals used and dropped, if both were run."""
    first = rows[0]
    pair = {
        h.intervals: h for h in rows if (h.model, h.prior_set) == (first.model, first.prior_set)
    }
    return (pair["use"], pair["drop"]) if len(pair) == 2 else None


def effect_word(plan: Plan) -> str:
    """What is pooled."""
    return "effect" if plan.evidence.scale == "yi" else "correlation"


def _variance(outcome: Outcome) -> list[tuple[str, str, str, Summary]]:
    """Sds of every level, I² and H² (by level too) of each model with its first prior set."""
    first = next(iter(outcome.plan.analysis.priors))
    found = []
    for cell, fit in zip(outcome.plan.cells, outcome.fits, strict=True):
        if cell.prior_set != first or not cell.problem.model.levels:
            continue
        parameters = {n: s for n, s in fit.parameters.items() if n.startswith("tau")}
        shares = {n: s for n, s in fit.derived.items() if not n.startswith("rho")}
        found += [
            (cell.label, cell.intervals, name, summary)
            for name, summary in (parameters | shares).items()
            if summary.median is not None
        ]
    return found


def _means(outcome: Outcome) -> list[tuple[str, str, str, str, str, Summary]]:
    """Marginal means by factor level of every cell with factors."""
    return [
        (cell.label, cell.prior_set, cell.intervals, factor, level, summary)
        for cell, fit in zip(outcome.plan.cells, outcome.fits, strict=True)
        for factor, level, summary in marginal_means(fit)
    ]


def _moderations(outcome: Outcome) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """The sentences on moderators of each model that has some, from its first cell."""
    word = effect_word(outcome.plan)
    found = {}
    for cell, fit in zip(outcome.plan.cells, outcome.fits, strict=True):
        if cell.label not in found:
            sentences = moderators_in_words(fit, word)
            found[cell.label] = (cell.label, cell.prior_set, cell.intervals, sentences)
    return [entry for entry in found.values() if entry[3]]
