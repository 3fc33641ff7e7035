"""Reading the rows of a grid: a row is a cell, with its decisions and its answers as columns."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from metarho.compare.rows import Row, Value

REPORTABLE = ("ok", "warnings")
"""The statuses of cells whose numbers count."""


@dataclass(frozen=True)
class Estimand:
    """A question: what its decisions chose (empty where all cells ask the same), and its cells."""

    choices: Mapping[str, str]
    rows: Sequence[Row]

    def __str__(self) -> str:
        return ", ".join(f"{name}: {chosen}" for name, chosen in self.choices.items())


def as_text(value: Value) -> str:
    """A value as tables write it: ten digits of a number, ``none`` for a blank."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else f"{value:.10g}"


def choice(row: Row, decision: str) -> str:
    """What a cell chose, as text."""
    return as_text(row[decision])


def options(rows: Sequence[Row], decision: str) -> tuple[str, ...]:
    """The values of a decision in order of appearance, which is that of the grid."""
    return tuple(dict.fromkeys(map(as_text, dict.fromkeys(row[decision] for row in rows))))


def varied(rows: Sequence[Row], decisions: Sequence[str]) -> tuple[str, ...]:
    """The decisions with more than one value among the rows."""
    return tuple(name for name in decisions if len(options(rows, name)) > 1)


def number(value: Value) -> float | None:
    """A finite number, or None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def answered(rows: Sequence[Row], answer: str = "median") -> list[Row]:
    """The cells that are reportable and have a finite ``answer``."""
    return [
        row for row in rows if row["status"] in REPORTABLE and number(row.get(answer)) is not None
    ]


def answers(rows: Sequence[Row], answer: str) -> list[float]:
    """The numbers of a column, in the order of ``answered`` rows."""
    found = (number(row.get(answer)) for row in answered(rows, answer))
    return [value for value in found if value is not None]


def not_answered(rows: Sequence[Row]) -> dict[str, int]:
    """How many cells there are without an answer, by status; ``no median`` where that is blank."""
    counts: dict[str, int] = {}
    for row in rows:
        reportable = row["status"] in REPORTABLE
        if reportable and number(row.get("median")) is not None:
            continue
        why = "no median" if reportable else str(row["status"])
        counts[why] = counts.get(why, 0) + 1
    return counts


def by_estimand(
    rows: Sequence[Row], decisions: Sequence[str], estimand: Collection[str]
) -> list[Estimand]:
    """The cells of each question, in order of appearance.

    A question is a combination of the decisions named in ``estimand``; those with one value in all
    rows are not repeated in ``choices``.
    """
    asked = [name for name in varied(rows, decisions) if name in estimand]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(choice(row, name) for name in asked), []).append(row)
    return [Estimand(dict(zip(asked, chosen, strict=True)), own) for chosen, own in groups.items()]
