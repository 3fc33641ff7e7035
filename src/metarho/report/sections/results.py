"""The table of results, what rows without an r do, and what moderators say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metarho.batch.findings import Findings
from metarho.batch.plan import Cell, Plan
from metarho.batch.run import Outcome
from metarho.batch.tables import probability_above, threshold_probabilities
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.posterior.printed import Printed, printed
from metarho.predict.new_studies import marginal_means
from metarho.report.apa import apa_sentences
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
    """P(> t) of the mean, for 0 and the config's thresholds."""
    tau: Summary
    """The total sd of true effects, on the model's scale."""
    tau2: Summary | None
    """Its square; None without heterogeneity."""


def values(found: Findings) -> Mapping[str, object]:
    """Headlines, the comparison of intervals used and dropped, marginal means, sentences."""
    outcome = found.outcome
    rows = headlines(outcome)
    return {
        "headlines": rows,
        "comparison": comparison(rows),
        "sentences": apa_sentences(found.answer, thresholds=found.plan.analysis.thresholds.rho),
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
    tau2 = next((row.summary for row in printed(fit) if row.name == "tau2"), None)
    above = {0.0: probability_above(fit, 0.0)} | dict(threshold_probabilities(plan, fit))
    return Headline(
        cell.label,
        cell.prior_set,
        cell.intervals,
        fit,
        fit.pooled,
        fit.pooled_new,
        sorted(above.items()),
        fit.posterior.tau.summary(fit.interval.prob, fit.interval.kind),
        tau2,
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


def _variance(outcome: Outcome) -> list[tuple[str, str, Printed]]:
    """What is printed of the heterogeneity of each model with its first prior set."""
    first = next(iter(outcome.plan.analysis.priors))
    return [
        (cell.label, cell.intervals, row)
        for cell, fit in zip(outcome.plan.cells, outcome.fits, strict=True)
        if cell.prior_set == first and cell.problem.model.levels
        for row in printed(fit)
        if row.group == "Heterogeneity" and row.summary.median is not None
    ]


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
