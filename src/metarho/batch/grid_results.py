"""What a run of a grid leaves in its folder: the table of cells, what was resolved, the record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarho.batch.cell_table import (
    CSV,
    MANIFEST,
    PARQUET,
    asked_of,
    digest,
    write_cells,
)
from metarho.batch.fill import Filled
from metarho.batch.grid import GridPlan
from metarho.batch.inputs import INPUTS, inputs_text
from metarho.batch.run import digests, forget, models_of, versions
from metarho.batch.tables import audit_rows, to_csv
from metarho.compare.rows import Row
from metarho.store.files import write_text, yaml_text


def write_grid(plan: GridPlan, rows: Sequence[Row]) -> tuple[set[str], str]:
    """Write the tables and what was resolved; returns their names and the hash of the table."""
    sha256 = write_cells(plan.folder, rows)
    write_text(plan.folder / "audit.csv", to_csv(audit_rows(plan.studies)))
    write_text(plan.folder / "config.resolved.yaml", resolved_grid(plan))
    write_text(plan.folder / INPUTS, inputs_text(plan.analysis, models_of(plan), plan.studies))
    return {CSV, PARQUET, "audit.csv", "config.resolved.yaml", INPUTS}, sha256


def earlier_record(folder: Path) -> Mapping[str, Any]:
    """The record that a run left in a folder; empty where there is none that can be read."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def record_grid(plan: GridPlan, filled: Filled, written: set[str], sha256: str, drawn: str) -> None:
    """Write the run's record, and remove files of an earlier run that this one did not make.

    ``sha256`` is that of the table of cells, ``drawn`` of what the picture shows.
    """
    forget(plan.folder, written)
    figures = {name for name in written if name.startswith("figures/")}
    content = {
        "files": sorted(written),
        "sha256": digests(plan.folder, {INPUTS, *figures}),
        "config": plan.config.name,
        **versions(),
        "models": {name: path.name for name, (_, path) in plan.models.items()},
        "is_whole": filled.is_whole,
        "cells": {
            "sha256": sha256,
            "answers": digest(asked_of(plan), plan.analysis.interval),
            "decisions": list(plan.values),
        },
        "drawn": drawn,
        "keys": sorted(work.key for work in plan.works),
    }
    write_text(plan.folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def resolved_grid(plan: GridPlan) -> str:
    """The config with defaults filled in, models in full, and what became of the product."""
    content = plan.analysis.model_dump(mode="json", exclude={"name"})
    content["resolved"] = {
        "models": {
            name: model.model_dump(mode="json", exclude={"name"})
            for name, (model, _) in plan.models.items()
        },
        "decisions": {name: list(values) for name, values in plan.values.items()},
        "product": plan.size,
        "cells": len(plan.cells),
        "fits": len(plan.works),
        "refused": dict(plan.refusals),
        "remarks": list(plan.remarks),
    }
    return yaml_text(content)
