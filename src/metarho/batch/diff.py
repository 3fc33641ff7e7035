"""Two runs compared: what changed in the inputs, in the answers, and which moved which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from metarho.batch.attribution import Attribution, attribution
from metarho.batch.input_changes import InputChange, input_changes
from metarho.batch.inputs import Inputs
from metarho.batch.mixtures import Pair, cell_inputs, problem_of
from metarho.batch.plain_answers import QUANTITIES, Answer
from metarho.batch.run_folder import RunFolder
from metarho.compare.quantities import way
from metarho.compare.rows import Row, Value
from metarho.errors import FitError, InputError
from metarho.fitting import Settings
from metarho.spec.grid import DECISIONS

# At some seconds each: what a person waits for, and reads.
MOST_ATTRIBUTED = 10

type Decisions = tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class CellChange:
    """A cell whose answer changed. ``why_not``: where nothing is attributed, the reason."""

    decisions: Mapping[str, Value]
    old: Answer
    new: Answer
    attribution: Attribution | None
    why_not: str = ""

    @property
    def differences(self) -> dict[str, float | None]:
        """New less old of every answer; None of one that a run does not have."""
        return _differences(self.old, self.new)

    def error(self, quantity: str) -> float | None:
        """The Monte Carlo error of a difference; None where one is not known.

        That of an exact answer is 0, and errors of two runs are independent: seeds are from keys.
        """
        squares = 0.0
        for one in (self.old, self.new):
            if one.engine != "exact":
                if quantity not in one.errors:
                    return None
                squares += one.errors[quantity] ** 2
        return float(squares**0.5) if squares else None


@dataclass(frozen=True)
class Difference:
    """What differs between two runs. ``cells`` are those that changed, the largest first."""

    old: RunFolder
    new: RunFolder
    inputs: tuple[InputChange, ...]
    cells: tuple[CellChange, ...]
    unchanged: int
    only_old: tuple[Mapping[str, Value], ...]
    only_new: tuple[Mapping[str, Value], ...]

    @cached_property
    def is_none(self) -> bool:
        """Whether nothing changed at all."""
        return not (self.inputs or self.cells or self.only_old or self.only_new)


def _ignore(done: int, of: int) -> None:
    """Tell nobody."""


def diff(
    old: RunFolder,
    new: RunFolder,
    attributed: int = MOST_ATTRIBUTED,
    announce: Callable[[int, int], None] = _ignore,
) -> Difference:
    """Compare two runs; the cells that changed most are attributed, so many of them.

    ``announce`` hears after each of these how many are done, of how many.
    """
    named = [name for name in DECISIONS if any(name in a.decisions for a in _all(old, new))]
    before, after = (_by_decisions(run, named) for run in (old, new))
    both = [place for place in before if place in after]
    changed = [place for place in both if _has_changed(before[place], after[place])]
    changed.sort(key=lambda place: -_size(before[place], after[place]))
    cells = []
    for index, place in enumerate(changed):
        pair = (before[place], after[place])
        if index < attributed:
            cells.append(_attributed(dict(place), *pair, old.inputs, new.inputs))
            announce(index + 1, min(attributed, len(changed)))
        else:
            cells.append(CellChange(dict(place), *pair, None, "not among the cells asked for"))
    return Difference(
        old,
        new,
        tuple(input_changes(old, new)),
        tuple(cells),
        len(both) - len(changed),
        tuple(dict(place) for place in before if place not in after),
        tuple(dict(place) for place in after if place not in before),
    )


def _all(*runs: RunFolder) -> list[Answer]:
    return [answer for run in runs for answer in run.answers]


def _by_decisions(run: RunFolder, named: Sequence[str]) -> dict[Decisions, Answer]:
    """The answers of a run by decisions; one that its cells do not name is the config's own."""
    analysis = run.inputs.analysis
    own: dict[str, Value] = {
        "measure": analysis.studies.measure,
        "statistic": "all",
        "rho_within": analysis.studies.rho_within,
    }
    found = {}
    for answer in run.answers:
        model = run.inputs.models[str(answer.decisions["model"])]
        parts: dict[str, Value] = {
            "likelihood": model.likelihood,
            "measurement": model.measurement,
        }
        every = {**own, **parts, **answer.decisions}
        found[tuple((name, every.get(name)) for name in named)] = answer
    return found


def _has_changed(old: Answer, new: Answer) -> bool:
    """Whether any answer differs, the engine, or what became of the fit."""
    return (old.numbers, old.engine, old.status) != (new.numbers, new.engine, new.status)


def _size(old: Answer, new: Answer) -> float:
    """How far the median moved; what has no difference comes last."""
    moved = _differences(old, new)["median"]
    return -1.0 if moved is None else abs(moved)


def _differences(old: Answer, new: Answer) -> dict[str, float | None]:
    pairs = {name: (old.numbers[name], new.numbers[name]) for name in QUANTITIES}
    return {n: None if a is None or b is None else b - a for n, (a, b) in pairs.items()}


def _attributed(
    decisions: Mapping[str, Value], old: Answer, new: Answer, before: Inputs, after: Inputs
) -> CellChange:
    why_not = _why_not(old, new, before, after)
    if not why_not:
        try:
            pair = Pair(cell_inputs(before, old.decisions), cell_inputs(after, new.decisions))
            if any(
                way(problem_of(c), Settings(engine="exact")) == "slow" for c in (pair.old, pair.new)
            ):
                why_not = "its exact fits take tens of seconds each"
            else:
                return CellChange(decisions, old, new, attribution(pair, old, new))
        except (InputError, FitError) as error:
            why_not = f"it cannot be fitted again: {str(error).splitlines()[0]}"
    return CellChange(decisions, old, new, None, why_not)


def _why_not(old: Answer, new: Answer, before: Inputs, after: Inputs) -> str:
    """Why a cell is not attributed; empty where it is."""
    if old.engine != "exact" or new.engine != "exact":
        return "sampled: the Monte Carlo error of many refits would be taken for effects of changes"
    if any(one.analysis.studies.covariance is not None for one in (before, after)):
        return "sampling errors covary by a table, which is of one set of rows"
    return ""


def diff_rows(found: Difference) -> list[Row]:
    """One row a cell and answer that both runs have: old, new, difference, and every share.

    Columns ``share: UNIT`` are what the units moved; they sum to the difference.
    """
    rows: list[Row] = []
    for cell in found.cells:
        shares = cell.attribution.shares if cell.attribution else ()
        for quantity in QUANTITIES:
            old, new = cell.old.numbers[quantity], cell.new.numbers[quantity]
            if old == new:
                continue
            rows.append(
                {
                    **cell.decisions,
                    "quantity": quantity,
                    "old": old,
                    "new": new,
                    "difference": cell.differences[quantity],
                    "mcse": cell.error(quantity),
                    "not attributed": cell.why_not or None,
                    **{f"share: {share.unit}": share.moved[quantity] for share in shares},
                }
            )
    return rows


def diff_json(found: Difference) -> dict[str, object]:
    """Everything, as plain values."""
    return {
        "old": str(found.old.folder),
        "new": str(found.new.folder),
        "inputs": [
            {"group": one.group, "name": one.name, "old": one.old, "new": one.new}
            for one in found.inputs
        ],
        "unchanged": found.unchanged,
        "only_old": [dict(one) for one in found.only_old],
        "only_new": [dict(one) for one in found.only_new],
        "cells": [
            {
                "decisions": dict(cell.decisions),
                "engine": [cell.old.engine, cell.new.engine],
                "status": [cell.old.status, cell.new.status],
                "old": dict(cell.old.numbers),
                "new": dict(cell.new.numbers),
                "difference": cell.differences,
                "mcse": {name: cell.error(name) for name in QUANTITIES},
                "attribution": None
                if cell.attribution is None
                else {share.unit: dict(share.moved) for share in cell.attribution.shares},
                "note": cell.attribution.note if cell.attribution else cell.why_not,
            }
            for cell in found.cells
        ],
    }
