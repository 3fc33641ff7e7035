"""A study that has come, added to a cell of a plan or to a saved fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from metarho.batch.plan import Cell, Plan
from metarho.batch.run import settings_of
from metarho.batch.tables import five
from metarho.compare.rows import Row
from metarho.data.new_study import NAME, NewStudy
from metarho.data.tables import text
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting import Settings
from metarho.predict.replication import Replication, replication, with_study
from metarho.spec.analysis import Thresholds
from metarho.spec.moderator_settings import parse_moderators
from metarho.store.saved import read_saved


def new_study_of(
    numbers: dict[str, float | None], reported: str | None, settings: Sequence[str], study: str
) -> NewStudy:
    """The new study that options describe.

    Raises InputError for what is no ``column=value``, and for a result that is said twice: of a
    number beside a word or a range nothing would be used.
    """
    said = [f"--{name.replace('_', '-')}" for name in ("ri", "yi") if numbers[name] is not None]
    said += ["--ri-low/--ri-high"] * (
        numbers["ri_low"] is not None or numbers["ri_high"] is not None
    )
    said += ["--reported"] * (reported is not None)
    if len(said) > 1:
        raise InputError(f"{' and '.join(said)} say one result in several ways; give one of them")
    is_range = numbers["ri_low"] is not None or numbers["ri_high"] is not None
    kind = reported or ("range" if is_range else "exact")
    return NewStudy(
        **numbers,
        reported=kind,
        study=text(study) or NAME,
        moderators=parse_moderators(settings),
    )


def check_new_study(plan: Plan, cell: Cell, new: NewStudy) -> None:
    """Raises InputError for a study that a cell's evidence cannot hold."""
    with_study(cell.problem, plan.studies[cell.intervals], new)


def update_plan(
    plan: Plan,
    cell: Cell,
    new: NewStudy,
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
) -> Replication:
    """Add a study to a cell's evidence; fits go through the store. Writes nothing else."""
    settings = replace(settings_of(plan, announce, warn), agreement=False)
    return replication(
        cell.problem,
        plan.studies[cell.intervals],
        new,
        plan.analysis.thresholds.rho,
        settings,
    )


def update_saved(path: Path, new: NewStudy) -> Replication:
    """Add a study to the evidence of a saved fit. Writes nothing.

    Raises InputError as ``read_saved``, and for a custom model.
    """
    saved = read_saved(path)
    if saved.fit.problem.model.custom is not None:
        raise InputError(
            "is a fit of a custom model, whose Python file a saved fit does not hold; name its "
            "config instead",
            place=str(path),
        )
    return replication(
        saved.fit.problem,
        saved.studies,
        new,
        Thresholds().rho,
        Settings(sampler=saved.fit.sampler, interval=saved.fit.interval),
    )


def rows_of(found: Replication) -> list[Row]:
    """One row a headline: before, after, and by how much its median moved."""
    rows: list[Row] = []
    for one in found.moved:
        rows.append(
            {
                "quantity": one.quantity,
                "scale": one.scale,
                **{f"before_{name}": value for name, value in five(one.before).items()},
                **{f"after_{name}": value for name, value in five(one.after).items()},
                "change": one.change,
            }
        )
    rows += [
        {
            "quantity": one.quantity,
            "scale": None,
            "before_mean": one.before,
            "after_mean": one.after,
            "change": one.after - one.before,
        }
        for one in found.shifts
    ]
    return rows


def as_dict(found: Replication) -> dict[str, object]:
    """The same as plain values."""
    expected = found.expected
    return {
        "study": found.row.study,
        "reported": found.row.reported,
        "ri": found.row.ri,
        "ni": found.row.ni,
        "model": found.before.problem.model.name,
        "status": [found.before.status, found.after.status],
        "expected": None
        if expected is None
        else {
            "observed": five(expected.summary),
            "held": expected.held,
            "pit": expected.pit,
            "tail": expected.tail,
            "words": dict(expected.words),
            "probability": expected.probability,
            "surprise_bits": expected.surprise,
        },
        "log_density": found.log_density,
        "bf_same": None
        if found.log_bf_same is None or found.log_bf_same > 700
        else math.exp(found.log_bf_same),
        "log_bf_same": found.log_bf_same,
        "sceptical_p": found.sceptical_p,
        "reasons": dict(found.reasons),
        "moved": [dict(row) for row in rows_of(found)],
    }
