"""Posterior predictive checks of one cell of a plan: statistics of all rows, and row by row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.batch.plan import Cell, Plan
from metarho.batch.run import settings_of
from metarho.checks.calibration import SETS, Calibrated, calibrate, no_calibration
from metarho.checks.custom import function_of
from metarho.checks.discrepancies import Discrepancy, named, no_statistic
from metarho.checks.p_values import PValue, p_values
from metarho.checks.replicates import in_checks, no_replicates, printed_of, rows_of
from metarho.checks.studies import Surprise, no_surprises, surprises
from metarho.compare.rows import Row
from metarho.data.tables import is_blank, text
from metarho.engines.problem import Problem
from metarho.errors import FitError, InputError
from metarho.fitting import fit_many
from metarho.posterior.fit import Fit
from metarho.spec.checks import DEFAULT, Check, read_check_file

type Index = NDArray[np.bool_]

TABLE, STUDIES = "ppc.csv", "ppc-studies.csv"

# A column with more is a number that was measured, not a few kinds of studies.
MOST_LEVELS = 20
# Fewer simulated data sets tell a calibrated p to no more than a tenth.
FEWEST_SETS = 100


@dataclass(frozen=True)
class Question:
    """What is checked in a cell, all of it tried on the evidence; nothing is fitted.

    ``sets`` are simulated data sets for calibrated p-values, 0 where there are none.
    """

    cell: Cell
    discrepancies: tuple[Discrepancy, ...]
    sets: int
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """What was found: statistics with their p-values, and the rows with their surprise.

    ``calibrated`` has one a statistic, None where p-values are not calibrated.
    """

    cell: Cell
    fit: Fit
    p_values: tuple[PValue, ...]
    calibrated: tuple[Calibrated | None, ...]
    surprises: tuple[Surprise, ...]
    rows: tuple[Row, ...]
    studies: tuple[Row, ...]
    remarks: tuple[str, ...]


def question(plan: Plan, cell: Cell, sets: int | None = None) -> Question:
    """What the config asks of a cell; by default every named statistic of all rows.

    Files of checks are run, on what was printed. Raises InputError where one fails, where a column
    has too many levels, for a model that cannot be checked and when nothing is left to look at.
    """
    if sets is not None and 0 < sets < FEWEST_SETS:
        raise InputError(
            f"--simulations {sets}: calibration takes at least {FEWEST_SETS} data sets; 0 leaves "
            "it out"
        )
    problem = cell.problem
    if refusal := no_replicates(problem):
        raise InputError(refusal)
    rows, printed = rows_of(problem), printed_of(problem)
    discrepancies: list[Discrepancy] = []
    remarks = []
    for check in plan.analysis.checks or DEFAULT:
        custom = _function(plan, check)
        for name, kept in _parts(plan, cell, check):
            if custom is not None:
                one = Discrepancy(name, custom, kept)
            else:
                one = named(check.name, name, kept, rows)
                if reason := no_statistic(check.name, rows.only(one.kept)):
                    remarks.append(f"{name}: {reason}")
                    continue
            # Other than one set, or as many as rows: a function of the wrong axis is told at once.
            one.of(np.repeat(printed, 2 + int(one.kept.sum() == 2), axis=0), rows)
            discrepancies.append(one)
    if not discrepancies:
        raise InputError(f"there is nothing to check: {'; '.join(remarks)}")
    ranges = int((~in_checks(problem)).sum())
    if ranges:
        remarks.append(f"left out of replicates: rows that printed a range ({ranges})")
    reason = no_calibration(problem)
    if sets != 0 and reason:
        remarks.append(f"p is not calibrated: {reason}")
    wanted = SETS if sets is None else sets
    return Question(cell, tuple(discrepancies), 0 if reason else wanted, tuple(remarks))


def check(
    plan: Plan,
    asked: Question,
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
) -> Checked:
    """Fit the cell, through the store, and check it. Writes only to the store.

    Raises FitError where a check of a file fails on what might have been printed.
    """
    settings = replace(settings_of(plan, announce, warn), agreement=False)
    cell, problem = asked.cell, asked.cell.problem
    (fit,) = fit_many([problem], settings)
    announce("checking", problem)
    calibrated: Sequence[Calibrated | None] = [None] * len(asked.discrepancies)
    try:
        found = p_values(fit, asked.discrepancies)
        if asked.sets:
            announce("calibrating", problem)
            seed = plan.analysis.sampler.seed
            calibrated = calibrate(problem, asked.discrepancies, seed, asked.sets)
    except InputError as error:
        # The evidence passed it, so that the fit was made: a failure, no longer bad input.
        raise FitError(f"a check failed on replicates of the evidence: {error}") from error
    studies = surprises(fit)
    remarks = list(asked.remarks)
    if reason := no_surprises(fit):
        remarks.append(reason)
    return Checked(
        cell,
        fit,
        tuple(found),
        tuple(calibrated),
        studies,
        tuple(_rows(plan, fit, cell, found, calibrated)),
        tuple(_study_rows(cell, one) for one in studies),
        tuple(remarks),
    )


def _function(plan: Plan, check: Check) -> Callable[..., NDArray[np.float64]] | None:
    """The function of a check from a file; None for a named statistic."""
    if check.file is None or check.function is None:
        return None
    return function_of(read_check_file(check.file, plan.config.resolve().parent), check.function)


def _parts(plan: Plan, cell: Cell, check: Check) -> Iterator[tuple[str, Index]]:
    """The name and the rows, of those that are checked, of each level of a check."""
    problem = cell.problem
    rows = [r for r, kept in zip(problem.evidence.rows, in_checks(problem), strict=True) if kept]
    if check.by is None:
        yield check.name, np.ones(len(rows), dtype=bool)
        return
    column = plan.studies[cell.intervals].table.column(check.by)
    cells = ["" if is_blank(column[row.index]) else text(column[row.index]) for row in rows]
    levels = sorted({*cells} - {""})
    if len(levels) > MOST_LEVELS:
        raise InputError(
            f"check {check.name}: the column {check.by!r} has {len(levels)} levels; up to "
            f"{MOST_LEVELS} are checked one by one"
        )
    for level in levels:
        yield f"{check.name}[{check.by}={level}]", np.array([cell == level for cell in cells])


def _rows(
    plan: Plan,
    fit: Fit,
    cell: Cell,
    found: Sequence[PValue],
    calibrated: Sequence[Calibrated | None],
) -> Iterator[Row]:
    """A statistic a row, with the equal-tailed interval of its replicates."""
    prob = plan.analysis.interval.prob
    shares = [0.5, (1 - prob) / 2, (1 + prob) / 2]
    for one, further in zip(found, calibrated, strict=True):
        median, lower, upper = np.quantile(one.replicated, shares).tolist()
        yield {
            **_head(cell),
            "check": one.name,
            "rows": one.rows,
            "observed": one.observed,
            "replicated_median": median,
            "replicated_lower": lower,
            "replicated_upper": upper,
            "p": one.p,
            "p_mcse": one.mcse,
            "p_two_sided": one.two_sided,
            "p_calibrated": None if further is None else further.p,
            "p_calibrated_mcse": None if further is None else further.mcse,
            "p_calibrated_two_sided": None if further is None else further.two_sided,
            "engine": fit.engine,
            "status": fit.status,
        }


def _study_rows(cell: Cell, one: Surprise) -> Row:
    row = one.row
    return {
        **_head(cell),
        "study": row.study,
        "effect": row.effect,
        "reported": row.reported,
        "ni": row.ni,
        "printed": row.yi if cell.problem.measure == "GEN" else row.ri,
        "pit": one.pit,
        "tail": one.tail,
        "probability_of_word": one.probability,
        "bits": None if one.bits is None or math.isinf(one.bits) else one.bits,
        "study_log_density": one.study.log_density,
        "study_crps": one.study.crps,
    }


def _head(cell: Cell) -> dict[str, str]:
    return {"model": cell.label, "prior": cell.prior_set, "intervals": cell.intervals}
