"""The table that answers "which prior?", as texts: what a terminal and a paper have room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from metarho.posterior.printed import number

if TYPE_CHECKING:
    from metarho.batch.plan import Plan
    from metarho.compare.rows import Row

# Columns that stand beside one of their kind, by what a narrow table heads them with.
SHORT = {"conflict tau": "tau", "H tau": "tau", "H new": "new"}

_DISTANCES = ("mu", "tau", "new")


def comparison_rows(plan: Plan, rows: Sequence[Row]) -> list[Row]:
    """The rows of a comparison with its main columns, their numbers as printed."""
    prob = f"{plan.analysis.interval.prob * 100:g}%"
    mean = "mean" if plan.evidence.scale == "yi" else "rho"
    several = len({row["intervals"] for row in rows}) > 1
    found: list[Row] = []
    for row in rows:
        numbers = {name: value for name, value in row.items() if isinstance(value, float | int)}
        found.append(
            {
                "model": str(row["model"]),
                "prior": str(row["prior"]),
                **({"intervals": str(row["intervals"])} if several else {}),
                mean: number(numbers.get("median")),
                prob: between(numbers.get("lower"), numbers.get("upper"), 3),
                f"new {prob}": between(numbers.get("new_lower"), numbers.get("new_upper"), 3),
                "BF mu": _factor(row, "bf_mu"),
                "BF tau": _factor(row, "bf_tau"),
                "elpd": number(numbers.get("elpd"), 2),
                "against reference": _difference(numbers),
                "CRPS": number(numbers.get("crps"), 4),
                "conflict mu": number(numbers.get("conflict_mu"), 2),
                "conflict tau": number(numbers.get("conflict_tau"), 2),
                "ESS": number(numbers.get("ess_studies"), 1),
                **{f"H {n}": number(numbers.get(f"hellinger_{n}"), 2) for n in _DISTANCES},
                "status": str(row["status"]),
            }
        )
    return found


def comparison_note(plan: Plan) -> str:
    """What the columns are."""
    prob = f"{plan.analysis.interval.prob * 100:g}%"
    return (
        f"Posterior medians and {prob} intervals; new: the true effect of a new study. BF: how "
        "many times as likely the data are with an effect (mu), or with heterogeneity (tau), as "
        "without. elpd, CRPS: each study predicted by the others. Conflict: prior–data p. ESS: "
        "what the prior of mu is worth, in studies. H: Hellinger distance to the reference, "
        f"{plan.analysis.reference_set}."
    )


def between(lower: float | None, upper: float | None, digits: int) -> str:
    """An interval in brackets; a dash where there is none."""
    if lower is None or upper is None:
        return "–"
    return f"[{number(lower, digits)}, {number(upper, digits)}]"


def _factor(row: Row, name: str) -> str:
    """A Bayes factor to three digits, without a false precision of large ones."""
    times = row[name]
    if isinstance(times, float):
        return f"{times:.3g}" if times < 1e4 else f"{times:.1e}"
    # More than a computer's numbers is not none.
    return ">1e304" if str(row[f"{name}_words"]).startswith("the data are more than") else "–"


def _difference(row: Mapping[str, float]) -> str:
    """The difference in elpd, its interval, and how many studies are predicted better."""
    if "elpd_diff" not in row:
        return "–"
    span = between(row["elpd_diff_lower"], row["elpd_diff_upper"], 1)
    return f"{row['elpd_diff']:+.2f} {span} {row['better_studies']}/{row['studies']}"
