"""What a whole run of a grid leaves: its table, what the table says, and its picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from metarho.batch.cell_table import rows_of
from metarho.batch.fill import Filled
from metarho.batch.grid import GridPlan
from metarho.batch.grid_results import earlier_record, record_grid, write_grid
from metarho.batch.run import digests
from metarho.batch.tables import to_csv
from metarho.cells.average import CellAverage, average_cells, average_rows, weight_rows
from metarho.cells.variance import VarianceByDecision, variance_by_decision, variance_rows
from metarho.compare.rows import Row
from metarho.store.files import write_text

# Whose variance is told apart by decision: the answer, its ends, and heterogeneity.
ANSWERS = ("median", "lower", "upper", "tau")
VARIANCE, AVERAGES, WEIGHTS = "variance.csv", "averages.csv", "weights.csv"
FIGURE = "specification-curve"


@dataclass(frozen=True)
class Published:
    """The table of a grid, and what it says."""

    rows: tuple[Row, ...]
    variances: tuple[VarianceByDecision, ...]
    averages: tuple[CellAverage, ...]


def publish_grid(plan: GridPlan, filled: Filled) -> Published:
    """Leave the table of a grid and what it says in the plan's folder."""
    rows = rows_of(plan, filled)
    decisions, grid = tuple(plan.values), plan.grid
    variances = [variance_by_decision(rows, decisions, grid.estimand, one) for one in ANSWERS]
    # They are of correlations, which GEN has none of.
    thresholds = () if plan.studies.scale == "yi" else plan.analysis.thresholds.rho
    averages = average_cells(rows, decisions, grid.estimand, grid.weights, thresholds)
    written, sha256 = write_grid(plan, rows)
    tables = {
        VARIANCE: variance_rows(variances, grid.estimand),
        AVERAGES: average_rows(averages),
        WEIGHTS: weight_rows(averages),
    }
    for name, table in tables.items():
        write_text(plan.folder / name, to_csv(table))
        written.add(name)
    drawn = _drawn_from(plan, sha256)
    if plan.analysis.report == "html":
        written |= _figure(plan, rows, drawn)
    record_grid(plan, filled, written, sha256, drawn)
    return Published(tuple(rows), tuple(variances), tuple(averages))


def _drawn_from(plan: GridPlan, sha256: str) -> str:
    """A hash of all that the picture shows."""
    content = [sha256, plan.grid.estimand, plan.analysis.interval.model_dump(), plan.reference]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _drawn_before(plan: GridPlan, drawn: str) -> set[str]:
    """The files of a picture of the same, where an earlier run drew one and they are as it left."""
    earlier = earlier_record(plan.folder)
    left = earlier.get("sha256")
    if earlier.get("drawn") != drawn or not isinstance(left, dict):
        return set()
    names = {name for name in left if name.startswith(f"figures/{FIGURE}.")}
    try:
        there = digests(plan.folder, names)
    except OSError:
        return set()
    return names if there.items() <= left.items() else set()


def _figure(plan: GridPlan, rows: Sequence[Row], drawn: str) -> set[str]:
    """Draw the specification curve, unless it is there and shows the same; returns its files."""
    if names := _drawn_before(plan, drawn):
        return names
    # Loaded here: Matplotlib is for pictures only.
    from metarho.report.figures.drawing import write_drawing
    from metarho.report.figures.specification_curve import specification_curve

    reference = [
        place
        for place, row in enumerate(rows)
        if all(row[name] == value for name, value in plan.reference.items())
    ]
    drawing = specification_curve(
        rows,
        tuple(plan.values),
        plan.grid.estimand,
        reference[0] if reference else None,
        plan.studies.scale,
        plan.analysis.interval.prob,
    )
    return {f"figures/{name}" for name in write_drawing(drawing, plan.folder / "figures")}
