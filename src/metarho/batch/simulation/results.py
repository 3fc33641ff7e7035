"""What a simulation found: one row a truth × model × prior set × quantity, and its files."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from metarho.batch.cell_table import MANIFEST, to_parquet
from metarho.batch.fill import Filled
from metarho.batch.run import forget, versions
from metarho.batch.simulation.chunk import COLUMNS, kept
from metarho.batch.simulation.measures import (
    Measures,
    of_bayes_factors,
    of_new_study,
    of_parameter,
)
from metarho.batch.simulation.plan import Method, SimulationPlan
from metarho.batch.simulation.readings import NUMBERS
from metarho.batch.tables import to_csv
from metarho.compare.rows import Row, Value
from metarho.store.files import write_bytes, write_text, yaml_text
from metarho.store.store import Store
from metarho.store.tables import Tables, tables_of

type Array = NDArray[np.float64]

CSV, PARQUET, RESOLVED = "simulation.csv", "simulation.parquet", "config.resolved.yaml"
# What a data set that was not reached counts as; one whose process died has failed.
NOT_RUN = "not run"


def rows_of(plan: SimulationPlan, filled: Filled) -> list[Row]:
    """The table. ``status`` is refused, failed, not run, not reportable (of any data set), or ok.

    ``replications`` are the data sets that count: neither failed nor not reportable nor not run.
    """
    tables = tables_of(Store(plan.output / "store"))
    rows: list[dict[str, Value]] = []
    for method in plan.methods:
        if method.reason:
            rows.append({**method.decisions, "status": "refused", "reason": method.reason})
            continue
        data = _data(method, tables, filled)
        counts = Counter(map(str, data["status"]))
        bad = [name for name in ("failed", NOT_RUN, "not reportable") if counts[name]]
        reasons = dict.fromkeys(str(reason) for reason in data["reason"] if reason)
        ok = np.array([status == "ok" for status in data["status"]])
        numbers = {
            name: np.array(data[name], dtype=float)[ok]
            for name in (*NUMBERS, *(["log_bf"] if method.has_bayes_factor else []))
        }
        for quantity, scale, truth, found in _quantities(method, numbers):
            rows.append(
                {
                    **method.decisions,
                    "quantity": quantity,
                    "scale": scale,
                    "truth": truth,
                    "status": bad[0] if bad else "ok",
                    "reason": "; ".join(reasons) or None,
                    "replications": int(ok.sum()),
                    "failed": counts["failed"],
                    "not_reportable": counts["not reportable"],
                    "not_run": counts[NOT_RUN],
                    **found,
                }
            )
    columns = list(dict.fromkeys(name for row in rows for name in row))
    # The longest row knows the order: those of mu.
    longest = max(rows, key=len)
    columns = [*longest, *(name for name in columns if name not in longest)]
    return [{name: row.get(name) for name in columns} for row in rows]


def _data(method: Method, tables: Tables, filled: Filled) -> Mapping[str, list[float | str | None]]:
    """What is kept of every data set, in the order of their numbers."""
    found: dict[str, list[float | str | None]] = {name: [] for name in COLUMNS}
    for chunk in method.chunks:
        columns = kept(chunk, tables)
        if columns is None:
            failure = filled.failures.get(chunk.key)
            status = NOT_RUN if failure is None else "failed"
            nothing = {**dict.fromkeys(COLUMNS), "status": status, "reason": failure}
            columns = {name: [value] * chunk.length for name, value in nothing.items()}
        for name in COLUMNS:
            found[name] += columns[name]
    return found


def _quantities(
    method: Method, numbers: Mapping[str, Array]
) -> list[tuple[str, str, float | None, Measures]]:
    """The measures of each quantity, with its scale and its true value."""

    def three(name: str) -> tuple[Array, Array, Array]:
        return (numbers[f"{name}_median"], numbers[f"{name}_lower"], numbers[f"{name}_upper"])

    mu, tau = method.truth.mu, method.truth.tau
    on_z, new = three("mu"), three("new")
    on_r = (np.tanh(on_z[0]), np.tanh(on_z[1]), np.tanh(on_z[2]))
    mean = of_parameter(mu, *on_z, may_be_0=True)
    if "log_bf" in numbers:
        mean |= of_bayes_factors(mu, numbers["log_bf"])
    found: list[tuple[str, str, float | None, Measures]] = [
        ("mu", "z", mu, mean),
        ("rho_median", "r", math.tanh(mu), _on_r(mu, on_z, on_r)),
    ]
    if method.has_tau:
        found.append(("tau", "z", tau, of_parameter(tau, *three("tau"), may_be_0=False)))
    width = np.tanh(new[2]) - np.tanh(new[1])
    found.append(("rho_new", "r", None, of_new_study(mu, tau, new[1], new[2], width)))
    return found


def _on_r(
    mu: float, on_z: tuple[Array, Array, Array], on_r: tuple[Array, Array, Array]
) -> Measures:
    """The measures on r; what an interval covers and excludes, on z, where nothing is rounded."""
    return of_parameter(math.tanh(mu), *on_r, may_be_0=True) | {
        name: value
        for name, value in of_parameter(mu, *on_z, may_be_0=True).items()
        if name.startswith(("coverage", "excludes_0", "type_s"))
    }


def publish_simulation(plan: SimulationPlan, filled: Filled) -> list[Row]:
    """Leave the table, what was resolved and the record in the plan's folder; returns the table."""
    rows = rows_of(plan, filled)
    content = to_parquet(rows)
    write_text(plan.folder / CSV, to_csv(rows))
    write_bytes(plan.folder / PARQUET, content)
    write_text(plan.folder / RESOLVED, _resolved(plan))
    written = {CSV, PARQUET, RESOLVED}
    forget(plan.folder, written)
    manifest = {
        "files": sorted(written),
        "config": plan.config.name,
        **versions(),
        "models": {name: path.name for name, (_, path) in plan.models.items()},
        "is_whole": filled.is_whole,
        "chunks": sorted(chunk.key for chunk in plan.chunks),
    }
    write_text(plan.folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return rows


def _resolved(plan: SimulationPlan) -> str:
    """The config with defaults filled in, models in full, and the sizes of studies."""
    content = plan.simulation.model_dump(mode="json", exclude={"name"}, by_alias=True)
    sizes = {
        f"{method.decisions['ni']}, k = {method.decisions['k']}": list(method.truth.sizes)
        for method in plan.methods
    }
    content["resolved"] = {
        "models": {
            name: model.model_dump(mode="json", exclude={"name"})
            for name, (model, _) in plan.models.items()
        },
        "sizes": sizes,
        "truths": len(plan.truths),
        "chunks": len(plan.chunks),
        "refused": dict(plan.refusals),
    }
    return yaml_text(content)
