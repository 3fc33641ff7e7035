"""What the terminal shows of a simulation: how often, and by how much, its models are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from metarho.batch.simulation.plan import SimulationPlan
from metarho.compare.rows import Row
from metarho.report.terminal import number, say, wide

_DECISIONS = ("true_mu", "true_tau", "k", "ni", "reporting", "selection", "model", "priors")
_MEASURES = ("coverage", "bias", "rmse", "width", "excludes_0", "type_s", "type_m")
# More are for the file.
MOST_ROWS = 40


def simulation_in_words(plan: SimulationPlan, rows: Sequence[Row]) -> None:
    """The measures of the mean on r, and what has no answer."""
    shown = [row for row in rows if row["quantity"] == "rho_median"]
    table = Table(box=None, pad_edge=False)
    varying = [name for name in _DECISIONS if len({row[name] for row in rows}) > 1]
    for name in varying:
        table.add_column(name.removeprefix("true_"), no_wrap=True)
    for name in ("of", *_MEASURES):
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for row in shown[:MOST_ROWS]:
        table.add_row(
            *(Text(str(row[name])) for name in varying),
            str(row["replications"]),
            *(_measure(row, name) for name in _MEASURES),
        )
    say("")
    prob = f"{plan.simulation.interval.prob * 100:g}%"
    say(
        f"The median true correlation: posterior medians and {prob} intervals on r, with Monte "
        "Carlo standard errors. Where the truth is 0, excludes 0 is the Type I error, else power; "
        "type s and m are wrong signs and exaggeration among intervals that exclude 0."
    )
    wide().print(table)
    if len(shown) > MOST_ROWS:
        say(f"{len(shown) - MOST_ROWS} rows more are in the table")
    reasons = Counter((str(r["status"]), str(r["reason"])) for r in rows if r["status"] != "ok")
    for (status, reason), count in reasons.most_common():
        said = "the run was stopped before" if reason == "None" else reason
        say(f"  {count} rows {status}: {said}")


def _measure(row: Row, name: str) -> str:
    value, error = row[name], row[f"{name}_mcse"]
    if not isinstance(value, float):
        return "–"
    return f"{number(value)} ({number(error if isinstance(error, float) else None)})"
