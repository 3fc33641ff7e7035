"""Averages over the cells of a grid under stated weights, one for each question that is asked.

They summarise a table. They are no posterior: cells are computed from the same studies, so neither
their number nor their agreement is evidence, and no standard error is given.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from metarho.cells.table import (
    Estimand,
    answered,
    answers,
    by_estimand,
    choice,
    number,
    options,
    varied,
)
from metarho.compare.rows import Row, Value
from metarho.errors import InputError, did_you_mean, shown

type Weights = Mapping[str, Mapping[str, float]]
"""Decision -> value, as text -> weight, 0 or more."""

SHARED_DATA = (
    "All cells are computed from the same studies and are not replications of each other: that "
    "they agree is no evidence for what they agree on, and an average over them has no standard "
    "error."
)

# The middle, the middle half, and nearly all.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

# Weights are sums of products; a share that a cell reaches exactly must count as reached.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class CellAverage:
    """Medians over the cells of one estimand that weigh more than 0, weighted.

    ``cells`` have an answer, ``without`` have none (refused, failed, not reportable). ``mean`` is
    None where no cell with a weight has an answer. ``quantiles`` are of ``QUANTILES``.
    ``excludes_zero`` and ``above`` (threshold -> share) are weighted shares of cells whose interval
    does not have 0 within, or lies above a threshold. ``stated`` has, by decision and value, the
    weights that were asked for, and ``effective`` those that the averaged cells have: cells without
    an answer, or outside the grid, take theirs along.
    """

    estimand: Mapping[str, str]
    cells: int
    without: int
    mean: float | None
    least: float | None
    largest: float | None
    quantiles: Mapping[float, float]
    excludes_zero: float | None
    above: Mapping[float, float]
    stated: Weights
    effective: Weights


def average_cells(
    rows: Sequence[Row],
    decisions: Sequence[str],
    estimand: Collection[str],
    weights: Weights,
    thresholds: Sequence[float],
) -> list[CellAverage]:
    """An average for each combination of the decisions in ``estimand``; none is over several.

    The weight of a cell is the product over decisions of its value's weight, each decision's
    weights summing to 1, divided by the sum over the cells that are averaged. The values of a
    decision that is not named weigh the same. ``weights`` are such as ``check_weights`` passes, and
    may name values that no row has.
    """
    stated = {
        name: _summing_to_1(weights.get(name), options(rows, name))
        for name in varied(rows, decisions)
        if name not in estimand
    }
    return [_average(group, stated, thresholds) for group in by_estimand(rows, decisions, estimand)]


def average_rows(found: Sequence[CellAverage]) -> list[Row]:
    """One row an estimand: its choices as columns, then the numbers of its average."""
    rows: list[Row] = []
    for one in found:
        numbers: dict[str, Value] = {
            "cells": one.cells,
            "without_answer": one.without,
            "mean_of_medians": one.mean,
            "least": one.least,
            "largest": one.largest,
        }
        numbers |= {f"q{100 * p:g}": one.quantiles.get(p) for p in QUANTILES}
        numbers["excludes_0"] = one.excludes_zero
        numbers |= {f"above_{threshold:g}": share for threshold, share in one.above.items()}
        rows.append({**one.estimand, **numbers})
    return rows


def weight_rows(found: Sequence[CellAverage]) -> list[Row]:
    """One row an estimand, decision and value: the weight as stated, and of averaged cells."""
    return [
        {
            **one.estimand,
            "decision": decision,
            "value": value,
            "stated": one.stated[decision][value],
            "effective": weight,
        }
        for one in found
        for decision, values in one.effective.items()
        for value, weight in values.items()
    ]


def weighted_quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """The least value at or below which at least ``share`` of the weight lies.

    ``weights`` sum to 1 (the inverse of the weighted distribution function; for equal weights type
    1 of Hyndman & Fan 1996, 10.1080/00031305.1996.10473566).
    """
    sofar = 0.0
    for value, weight in sorted(zip(values, weights, strict=True)):
        sofar += weight
        if sofar >= share - _ROUNDING:
            return value
    return max(values)


def check_weights(
    values: Mapping[str, Sequence[str]], estimand: Collection[str], weights: Weights
) -> None:
    """Raise InputError for weights that say nothing of a grid's decisions and their ``values``.

    For decisions and values that it lacks, values without a weight, weights that are negative, not
    finite or all 0, and weights of decisions in ``estimand``.
    """
    for name, given in weights.items():
        _check(values, name, given, estimand)


def _check(
    declared: Mapping[str, Sequence[str]],
    decision: str,
    given: Mapping[str, float],
    estimand: Collection[str],
) -> None:
    if decision not in declared:
        known = did_you_mean(decision, declared)
        raise InputError(f"weights: no decision {shown(decision)}; {known}")
    if decision in estimand:
        raise InputError(
            f"weights: {decision} changes the estimand, and answers to different questions are "
            "not averaged; leave its weights out, or take it out of the estimand"
        )
    place = f"weights of {decision}"
    values = declared[decision]
    for value, weight in given.items():
        if value not in values:
            raise InputError(f"{place}: no value {shown(value)}; {did_you_mean(value, values)}")
        if not (math.isfinite(weight) and weight >= 0):
            raise InputError(
                f"{place}: {shown(value)} weighs {weight}; allowed: 0 and finite numbers above"
            )
    missing = [shown(value) for value in values if value not in given]
    if missing:
        raise InputError(
            f"{place}: none for {', '.join(missing)}; give every value one (0 leaves it out), or "
            f"leave {decision} out, and all values weigh the same"
        )
    if not any(given.values()):
        raise InputError(f"{place}: all are 0; give at least one value more")


def _summing_to_1(given: Mapping[str, float] | None, values: Sequence[str]) -> dict[str, float]:
    """The weight of each value; equal where none are given, 0 where all that are given are."""
    if given is None:
        return {value: 1 / len(values) for value in values}
    # Divided first: huge weights have no sum.
    largest = max(given[value] for value in values)
    if not largest:
        return dict.fromkeys(values, 0.0)
    parts = {value: given[value] / largest for value in values}
    total = math.fsum(parts.values())
    return {value: part / total for value, part in parts.items()}


def _average(group: Estimand, stated: Weights, thresholds: Sequence[float]) -> CellAverage:
    weighed = [
        (row, math.prod(of[choice(row, name)] for name, of in stated.items())) for row in group.rows
    ]
    wanted = [(row, weight) for row, weight in weighed if weight > 0]
    kept = [(row, weight) for row, weight in wanted if answered([row])]
    if not kept:
        return CellAverage(
            group.choices, 0, len(wanted), None, None, None, {}, None, {}, stated, {}
        )
    total = math.fsum(weight for _, weight in kept)
    cells = [row for row, _ in kept]
    weights = [weight / total for _, weight in kept]
    medians = answers(cells, "median")

    def share(holds: Iterable[bool]) -> float:
        return math.fsum(weight for weight, held in zip(weights, holds, strict=True) if held)

    return CellAverage(
        group.choices,
        len(cells),
        len(wanted) - len(cells),
        math.fsum(m * w for m, w in zip(medians, weights, strict=True)),
        min(medians),
        max(medians),
        {p: weighted_quantile(medians, weights, p) for p in QUANTILES},
        share(_lies_above(row, 0) or _lies_below(row, 0) for row in cells),
        {t: share(_lies_above(row, t) for row in cells) for t in thresholds},
        stated,
        {name: _by_choice(cells, weights, name, of) for name, of in stated.items()},
    )


def _by_choice(
    cells: Sequence[Row], weights: Sequence[float], decision: str, values: Iterable[str]
) -> dict[str, float]:
    """The weight of the cells that chose each value: one pass, as values may be as many."""
    parts: dict[str, list[float]] = {value: [] for value in values}
    for row, weight in zip(cells, weights, strict=True):
        parts[choice(row, decision)].append(weight)
    return {value: math.fsum(own) for value, own in parts.items()}


def _lies_above(row: Row, threshold: float) -> bool:
    """Whether a cell's interval does; one without an interval does not."""
    lower = number(row.get("lower"))
    return lower is not None and lower > threshold


def _lies_below(row: Row, threshold: float) -> bool:
    upper = number(row.get("upper"))
    return upper is not None and upper < threshold
