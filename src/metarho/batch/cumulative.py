"""Sequential posteriors and the record of predictions of one cell of a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.batch.plan import Cell, Plan
from metarho.batch.run import settings_of
from metarho.compare.rows import Row, Value
from metarho.data.arrivals import arrivals
from metarho.engines.problem import Problem
from metarho.predict.cumulative import (
    Belief,
    Cumulative,
    Step,
    Study,
    check_cumulative,
    cumulative,
    fits_needed,
)
from metarho.predict.forecasts import Forecast
from metarho.predict.tally import Tally, better, skill, tally

TABLE, RECORD, SUMMARY = "cumulative.csv", "record.csv", "record-summary.csv"

# The stream of the seed that randomised PIT values come from.
_STREAM = 11


@dataclass(frozen=True)
class Ordered:
    """What is asked, checked: a cell and when each of its rows came, by a column of the table."""

    cell: Cell
    by: str
    at: NDArray[np.float64]
    steps: int
    """How many a progress bar shows."""


@dataclass(frozen=True)
class Recorded:
    """What was found, and its tables: a row a year, a row an effect, a row a forecaster."""

    cell: Cell
    by: str
    found: Cumulative
    model: Tally
    prior: Tally
    years: tuple[Row, ...]
    record: tuple[Row, ...]
    summary: tuple[Row, ...]

    @property
    def reportable(self) -> bool:
        """Whether every posterior was integrated to what is asked."""
        return all(row["status"] != "not reportable" for row in self.years)


def ordered(plan: Plan, cell: Cell, by: str) -> Ordered:
    """What is asked. Nothing is computed.

    Raises InputError for a column that gives no order, and a model that the record does not cover.
    """
    table = plan.studies[cell.intervals].table
    at = arrivals(table, cell.problem.evidence.rows, by)
    check_cumulative(cell.problem, settings_of(plan))
    return Ordered(cell, by, at, fits_needed(cell.problem, at))


def recorded(
    plan: Plan,
    asked: Ordered,
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
) -> Recorded:
    """Fit what came before every year, through the store, and score what it predicted."""
    settings = replace(settings_of(plan, announce, warn), agreement=False)
    cell, problem = asked.cell, asked.cell.problem
    found = cumulative(problem, asked.at, plan.analysis.thresholds.rho, settings)
    prob = plan.analysis.interval.prob
    model, prior = (tally(found.studies, one, prob) for one in ("model", "prior"))
    # Drawn for every row, so that no row's depends on how others were printed.
    rng = np.random.default_rng((plan.analysis.sampler.seed, _STREAM))
    within = rng.uniform(size=problem.evidence.k)
    head: dict[str, Value] = {
        "model": cell.label,
        "prior": cell.prior_set,
        "intervals": cell.intervals,
    }
    return Recorded(
        cell,
        asked.by,
        found,
        model,
        prior,
        tuple({**head, **row} for row in _years(plan, found)),
        tuple({**head, **row} for row in _record(problem, found, within)),
        tuple({**head, **row} for row in _summary(found, model, prior)),
    )


def _years(plan: Plan, found: Cumulative) -> list[Row]:
    """What was known before the first year, and after each."""
    first: Row = {"step": 0, "at": None, "k_studies": 0, "k_effects": 0, "new_studies": 0}
    nothing = {"log_score": None, "log_score_studies": None}
    rows: list[Row] = [{**first, **_belief(plan, found.prior), **nothing}]
    for number, step in enumerate(found.steps, start=1):
        rows.append(
            {
                "step": number,
                "at": step.at,
                "k_studies": step.k_studies,
                "k_effects": step.k_effects,
                "new_studies": len(step.studies),
                **_belief(plan, step.belief),
                "log_score": step.log_score,
                "log_score_studies": _sum([study.log_score for study in step.studies]),
            }
        )
    return rows


def _belief(plan: Plan, belief: Belief | None) -> Row:
    names = ("median", "lower", "upper", "tau", "tau_lower", "tau_upper", "new_lower", "new_upper")
    above = [f"P(rho > {t:g})" for t in plan.analysis.thresholds.rho]
    if plan.evidence.scale == "yi":
        above = []
    if belief is None:
        nothing = dict.fromkeys([*names, *above, "log_evidence", "bf_mu"])
        return {**nothing, "status": "no proper posterior"}
    mean, tau, new = belief.mean, belief.tau, belief.new
    numbers = (
        *(mean.median, mean.lower, mean.upper),
        *(tau.median, tau.lower, tau.upper),
        *(new.lower, new.upper),
    )
    bf_mu = belief.bf_mu
    return {
        **dict(zip(names, numbers, strict=True)),
        **dict(zip(above, belief.above, strict=False)),
        "log_evidence": belief.log_evidence,
        "bf_mu": bf_mu if bf_mu is None or np.isfinite(bf_mu) else None,
        "status": belief.status,
    }


def _record(problem: Problem, found: Cumulative, within: NDArray[np.float64]) -> list[Row]:
    return [
        _row(problem, number, step, study, place, float(within[study.rows[place]]))
        for number, step in enumerate(found.steps, start=1)
        for study in step.studies
        for place in range(len(study.rows))
    ]


def _row(problem: Problem, number: int, step: Step, study: Study, place: int, within: float) -> Row:
    """One row of the evidence: what was expected, what it printed, and the scores of both."""
    printed = problem.evidence.rows[study.rows[place]]
    model = study.forecasts[place] if study.forecasts else None
    prior = study.prior_forecasts[place] if study.prior_forecasts else None
    ends = (printed.ri_low, printed.ri_high) if problem.scale == "z" else (
        printed.lower, printed.upper,
    )  # fmt: skip
    return {
        "step": number,
        "at": step.at,
        "study": study.name,
        "effect": printed.effect,
        "reported": printed.reported,
        "printed": printed.ri if problem.scale == "z" else printed.yi,
        "printed_low": ends[0],
        "printed_high": ends[1],
        "ni": printed.ni,
        **_expected(model, within),
        "p_printed": None if model is None else model.chance,
        "log_score_study": study.log_score,
        "crps_prior": None if prior is None else prior.crps,
        "rps_prior": None if prior is None else prior.rps,
        "log_score_prior": None if prior is None else prior.log_score,
        "p_printed_prior": None if prior is None else prior.chance,
        "log_score_study_prior": study.log_score_prior,
        "reason": step.reason,
    }


def _expected(forecast: Forecast | None, within: float) -> Row:
    names = ("p_significant_negative", "p_not_significant", "p_significant_positive")
    found = ("median", "lower", "upper", "held", "pit", "crps", "log_score", *names, "word", "rps")
    if forecast is None:
        return dict.fromkeys(found)
    held = None if forecast.held is None else "yes" if forecast.held else "no"
    pit = forecast.pit
    return {
        "median": forecast.median,
        "lower": forecast.lower,
        "upper": forecast.upper,
        "held": held,
        # Anywhere within an interval that was printed (Czado, Gneiting and Held 2009).
        "pit": None if pit is None else pit[0] + within * (pit[1] - pit[0]),
        "crps": forecast.crps,
        "log_score": forecast.log_score,
        **dict(zip(names, forecast.words or (None,) * 3, strict=True)),
        "word": forecast.word,
        "rps": forecast.rps,
    }


def _summary(found: Cumulative, model: Tally, prior: Tally) -> list[Row]:
    """The model's record, with its skill against the prior alone, and that of the prior alone."""
    by_years = _sum([step.log_score for step in found.steps])
    rows: list[Row] = []
    for one in (model, prior):
        own = one is model
        both = own and one.elpd is not None and prior.elpd is not None
        low, high = one.coverage or (None, None)
        rows.append(
            {
                "forecaster": one.forecaster,
                "studies": one.studies,
                "rows": one.rows,
                "numbers": one.numbers,
                "held": one.held,
                "coverage": one.held / one.numbers if one.numbers else None,
                "coverage_lower": low,
                "coverage_upper": high,
                "crps": one.crps,
                "crps_skill": skill(one.crps, prior.crps) if own else None,
                "words": one.words,
                "rps": one.rps,
                "rps_skill": skill(one.rps, prior.rps) if own else None,
                "not_significant": one.not_significant,
                "not_significant_expected": one.expected,
                "elpd": one.elpd,
                "elpd_diff": (one.elpd or 0.0) - (prior.elpd or 0.0) if both else None,
                "better_studies": better(found.studies) if both else None,
                "elpd_by_years": by_years if own else None,
            }
        )
    return rows


def _sum(scores: Sequence[float | None]) -> float | None:
    found = [score for score in scores if score is not None]
    return float(np.sum(found)) if found else None
