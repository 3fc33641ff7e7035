"""What a whole run of a grid leaves: its table, and what the table says."""

from __future__ import annotations

from metarho.batch.cell_table import rows_of
from metarho.batch.fill import Filled
from metarho.batch.grid import GridPlan
from metarho.batch.grid_results import record_grid, write_grid
from metarho.compare.rows import Row


def publish_grid(plan: GridPlan, filled: Filled) -> list[Row]:
    """Leave the table of a grid and what it says in the plan's folder; returns the table."""
    rows = rows_of(plan, filled)
    written, sha256 = write_grid(plan, rows)
    record_grid(plan, filled, written, sha256)
    return rows
