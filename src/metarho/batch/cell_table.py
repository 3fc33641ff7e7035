"""The tidy table of a grid, one row a cell; and what an earlier table already answers."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from metarho.batch.answers import FORMAT, Asked
from metarho.batch.fill import Filled
from metarho.batch.grid import GridPlan
from metarho.batch.tables import to_csv
from metarho.compare.rows import Row, Value
from metarho.spec.analysis import Interval
from metarho.spec.claims import parse_quantities
from metarho.store.files import write_bytes, write_text

CSV, PARQUET = "cells.csv", "cells.parquet"
MANIFEST = "run.json"


def asked_of(plan: GridPlan) -> Asked:
    """What the table of a grid holds."""
    quantities = parse_quantities(plan.grid.quantities)
    return Asked(plan.analysis.thresholds.rho, quantities)


def rows_of(plan: GridPlan, filled: Filled) -> list[Row]:
    """One row a cell, in the plan's order: its decisions, what became of it, its answers, its key.

    ``status`` is that of the fit, or ``refused`` (no evidence, meaning or engine), ``failed``,
    ``not run`` (the run was stopped before); ``reason`` says why.
    """
    columns = list(dict.fromkeys(name for row in filled.answers.values() for name in row))
    rows: list[Row] = []
    for cell in plan.cells:
        row: dict[str, Value] = {**cell.decisions, **dict.fromkeys(columns)}
        row |= {"status": None, "reason": None}
        if cell.work is None:
            row |= {"status": "refused", "reason": cell.reason}
        elif cell.work.key in filled.failures:
            row |= {"status": "failed", "reason": filled.failures[cell.work.key]}
        elif cell.work.key in filled.answers:
            row |= filled.answers[cell.work.key]
        else:
            row |= {"status": "not run", "reason": "the run was stopped before"}
        rows.append({**row, "key": None if cell.work is None else cell.work.key})
    return rows


def write_cells(folder: Path, rows: Sequence[Row]) -> str:
    """Write the table in both forms; returns the SHA-256 of the one that is read again."""
    write_text(folder / CSV, to_csv(rows))
    earlier = _earlier_table(folder)
    # One that says the same is kept: what writes it takes longer to load than the rest of a rerun.
    if earlier is not None and _rows_in(earlier.content) == list(rows):
        return hashlib.sha256(earlier.content).hexdigest()
    content = to_parquet(rows)
    write_bytes(folder / PARQUET, content)
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class _Earlier:
    """The table that a run left: its bytes, what its answers depend on, and its decisions."""

    content: bytes
    answers: str
    decisions: frozenset[str]


def _earlier_table(folder: Path) -> _Earlier | None:
    """The table that a run left in a folder, as that run left it; None where there is none."""
    try:
        content = (folder / PARQUET).read_bytes()
        cells = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["cells"]
        left, answers, decisions = cells["sha256"], cells["answers"], cells["decisions"]
        found = _Earlier(content, str(answers), frozenset(map(str, decisions)))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if left == hashlib.sha256(content).hexdigest() else None


def _rows_in(content: bytes) -> list[Row]:
    import pyarrow.parquet as pq

    # Not read_table, which loads what reads folders of files.
    found: list[Row] = pq.ParquetFile(io.BytesIO(content)).read().to_pylist()
    return found


def to_parquet(rows: Sequence[Row]) -> bytes:
    """Rows as Parquet: texts, whole numbers and floats in full, nulls for what does not exist."""
    # Loaded here: as long to load as some hundred fits take.
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = pa.table({name: _array([row.get(name) for row in rows]) for name in columns})
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def _array(values: list[Value]) -> object:
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if str in kinds:
        return pa.array([None if v is None else str(v) for v in values], pa.string())
    return pa.array(values, pa.int64() if kinds == {int} else pa.float64())


def digest(asked: Asked, interval: Interval) -> str:
    """A hash of what answers depend on beside the fits."""
    content = [
        FORMAT,
        version("metarho"),
        interval.model_dump(),
        asked.thresholds,
        [str(quantity) for quantity in asked.quantities],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def known_answers(plan: GridPlan) -> Mapping[str, Row]:
    """What the table of an earlier run in the same folder says of fits that this plan wants.

    Nothing where it is not there, is not as that run left it, or was asked for something else.
    """
    earlier = _earlier_table(plan.folder)
    if earlier is None or earlier.answers != digest(asked_of(plan), plan.analysis.interval):
        return {}
    wanted = {work.key for work in plan.works}
    others = {"key", *earlier.decisions}
    found: dict[str, Row] = {}
    for row in _rows_in(earlier.content):
        if row["key"] in wanted and row["status"] in ("ok", "warnings", "not reportable"):
            found[str(row["key"])] = {n: v for n, v in row.items() if n not in others}
    return found
