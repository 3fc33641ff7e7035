"""What the terminal shows of two runs compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from metarho.batch.diff import CellChange, Difference
from metarho.batch.input_changes import InputChange
from metarho.compare.rows import Value
from metarho.report.terminal import number, say, wide

# As many as a person reads; --json and --csv have all.
MOST_LINES = 40
# What the table of shares shows; the others are in --json and --csv.
_SHOWN = ("median", "lower", "upper", "new_lower", "new_upper", "tau", "log_evidence")


def print_diff(found: Difference) -> None:
    """What changed in the inputs and in the answers, and what moved what."""
    say(f"old: {found.old.folder}")
    say(f"new: {found.new.folder}")
    if found.is_none:
        say(f"Nothing changed: inputs, versions and all {found.unchanged} answers are the same.")
        return
    say("")
    say("Inputs" if found.inputs else "Inputs: the same")
    _print_inputs(found.inputs)
    say("")
    said = f"{len(found.cells)} changed, {found.unchanged} unchanged"
    for cells, run in ((found.only_old, "old"), (found.only_new, "new")):
        said += f", {len(cells)} only in the {run} run" if cells else ""
    say(f"Cells: {said}")
    if found.cells:
        _print_answers(found.cells)
    for cells, run in ((found.only_old, "old"), (found.only_new, "new")):
        for decisions in cells[:MOST_LINES]:
            say(f"only in the {run} run: {label(decisions)}")
        _say_rest(len(cells), f"cells only in the {run} run")
    for cell in found.cells:
        if cell.attribution is not None:
            _print_shares(cell)
    _say_why_not(found.cells)


def label(decisions: Mapping[str, Value]) -> str:
    """A cell by its decisions."""
    return ", ".join(f"{name} {value}" for name, value in decisions.items() if value is not None)


def _say_rest(count: int, what: str) -> None:
    if count > MOST_LINES:
        say(f"and {count - MOST_LINES} more {what}: --json has all")


def _print_inputs(inputs: Sequence[InputChange]) -> None:
    if not inputs:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("", "", "old", "new"):
        table.add_column(name)
    for one in inputs[:MOST_LINES]:
        cells = (one.group, one.name, one.old or "–", one.new or "–")
        table.add_row(*(Text(cell) for cell in cells))
    wide().print(table)
    _say_rest(len(inputs), "changes")


def _print_answers(cells: Sequence[CellChange]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("cell")
    for name in ("old median", "interval", "new median", "interval", "difference", "MCSE"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for cell in cells[:MOST_LINES]:
        status = dict.fromkeys((cell.old.status, cell.new.status))
        table.add_row(
            Text(label(cell.decisions)),
            number(cell.old.numbers["median"]),
            _between(cell.old.numbers),
            number(cell.new.numbers["median"]),
            _between(cell.new.numbers),
            _signed(cell.differences["median"]),
            number(cell.error("median"), 4),
            Text(" → ".join(status)),
        )
    wide().print(table)
    _say_rest(len(cells), "cells that changed")


def _between(numbers: Mapping[str, float | None]) -> str:
    return f"[{number(numbers['lower'])}, {number(numbers['upper'])}]"


def _signed(value: float | None) -> str:
    """A difference to four digits with its sign; an exact 0 is 0."""
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:+.4f}" if abs(value) >= 5e-5 else f"{value:+.0e}"


def _print_shares(cell: CellChange) -> None:
    assert cell.attribution is not None
    say("")
    say(f"What moved it: {label(cell.decisions)}")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in _SHOWN:
        table.add_column(name, justify="right", no_wrap=True)
    shares = sorted(cell.attribution.shares, key=lambda one: -abs(one.moved["median"] or 0.0))
    for share in shares:
        table.add_row(Text(share.unit), *(_signed(share.moved[name]) for name in _SHOWN))
    table.add_row("together", *(_signed(cell.differences[name]) for name in _SHOWN))
    wide().print(table)
    if cell.attribution.note:
        say(f"note: {cell.attribution.note}")


def _say_why_not(cells: Sequence[CellChange]) -> None:
    counts: dict[str, int] = {}
    for cell in cells:
        if cell.why_not:
            counts[cell.why_not] = counts.get(cell.why_not, 0) + 1
    if counts:
        say("")
    for reason, count in counts.items():
        say(f"{count} changed cells are not attributed: {reason}")
