"""Results as tidy tables: plain rows that print the same on every run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import numpy as np

from metarho.batch.plan import Plan
from metarho.compare.rows import Row, Value
from metarho.data.studies import Studies
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.posterior.printed import shown
from metarho.predict.new_studies import Prediction

# Spreadsheets run cells that start with these; a leading apostrophe makes them text.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def summary_rows(plan: Plan, fits: Sequence[Fit]) -> list[Row]:
    """Of every fit what is printed of it, then P(rho > t) and its evidence: one row a quantity."""
    rows: list[Row] = []
    for cell, fit in zip(plan.cells, fits, strict=True):
        head: dict[str, Value] = {
            "model": cell.model,
            "priors": cell.prior_set,
            "intervals": cell.intervals,
            "engine": fit.engine,
            "status": fit.status,
            "k_effects": fit.problem.evidence.k,
            "k_studies": len(fit.problem.evidence.study_names),
        }
        rows += [{**head, **row} for row in quantity_rows(fit)]
        for threshold, probability in threshold_probabilities(plan, fit):
            rows.append({**head, "quantity": f"P(rho_median > {threshold:g})", "mean": probability})
        # sd: the Monte Carlo error where the evidence comes from draws.
        rows.append(
            {
                **head,
                "quantity": "log_evidence",
                "mean": fit.log_evidence,
                "sd": fit.log_evidence_mcse,
            }
        )
    return rows


def quantity_rows(fit: Fit) -> list[Row]:
    """One row a quantity of a fit that is printed, with all its digits and what it is."""
    return [
        {
            "group": row.group,
            "quantity": row.name,
            "scale": row.scale,
            **five(row.summary),
            "P(> 0)": row.above_zero,
            "prob": fit.interval.prob,
            "kind": fit.interval.kind,
            "meaning": row.meaning,
        }
        for row in shown(fit)
    ]


def threshold_probabilities(plan: Plan, fit: Fit) -> list[tuple[float, float]]:
    """P(rho_median > t) for the config's thresholds; none for GEN."""
    if fit.problem.scale == "yi":
        return []
    return [
        (threshold, probability_above(fit, threshold)) for threshold in plan.analysis.thresholds.rho
    ]


def probability_above(fit: Fit, threshold: float) -> float:
    """P(> threshold) of the median true correlation; for GEN of the mean true effect."""
    posterior = fit.posterior
    median = posterior.rho(posterior.mean_of(posterior.head))
    return 1 - float(median.cdf(np.array(threshold)))


def prediction_rows(plan: Plan, predictions: Sequence[Sequence[Prediction]]) -> list[Row]:
    """One row a profile and quantity of each cell."""
    return [
        {
            "model": cell.model,
            "priors": cell.prior_set,
            "intervals": cell.intervals,
            "new_study": item.profile,
            **prediction_row(cell.problem, item, plan.analysis.thresholds.rho),
        }
        for cell, found in zip(plan.cells, predictions, strict=True)
        for item in found
    ]


def prediction_row(problem: Problem, item: Prediction, thresholds: Sequence[float]) -> Row:
    """One quantity of a new study: its numbers, P(> threshold), and what its test would say."""
    is_observed = item.quantity == "observed"
    # What a new study observes is of observed scores.
    measured = "yi" if problem.scale == "yi" else "r"
    return {
        "quantity": item.quantity,
        "law": item.law if is_observed else None,
        "scale": measured if is_observed else problem.r_label,
        "ni": item.ni,
        **five(item.summary),
        **above(item, thresholds),
        "P(significant)": item.significant,
        **{f"P({word})": p for word, p in item.words.items()},
    }


def above(item: Prediction, thresholds: Sequence[float]) -> dict[str, Value]:
    """P(> threshold) by name."""
    return {
        f"P(> {threshold:g})": probability
        for threshold, probability in zip(thresholds, item.probabilities, strict=True)
    }


def audit_rows(studies: Studies) -> list[Row]:
    """Every row of the source: in or out, why, and its way to yi and vi or an interval."""
    return [
        {
            "place": row.place.rsplit("/", 1)[-1],
            "study": row.study,
            "sample": row.sample,
            "effect": row.effect,
            "reported": row.reported,
            "used": "in" if row.included else "out",
            "reason": row.reason,
            "ri": row.ri,
            "ni": row.ni,
            "ri_low": row.ri_low,
            "ri_high": row.ri_high,
            "yi": row.yi,
            "vi": row.vi,
            "lower": row.lower,
            "upper": row.upper,
        }
        for row in studies.rows
    ]


def five(summary: Summary) -> dict[str, Value]:
    """The five numbers by name."""
    return {
        "mean": summary.mean,
        "sd": summary.sd,
        "median": summary.median,
        "lower": summary.lower,
        "upper": summary.upper,
    }


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV: ten significant digits, blanks for what does not exist."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return stream.getvalue()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
    if isinstance(value, int):
        return str(value)
    return f"{value:.10g}" if math.isfinite(value) else "Inf" if value > 0 else "-Inf"
