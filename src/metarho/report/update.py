"""A study that has come, in words and as a table in the terminal."""

from __future__ import annotations

import math

from rich.table import Table
from rich.text import Text

from metarho.data.new_study import NewStudy
from metarho.posterior.marginals import Summary
from metarho.predict.replication import Replication
from metarho.report.terminal import interval, number, say, wide


def print_update(found: Replication, new: NewStudy) -> None:
    """Was it expected, is it of the same population, what moved."""
    problem = found.before.problem
    percent = f"{found.before.interval.prob * 100:g}%"
    say("")
    say(
        f"{new.study}: {_printed(found)}, beside {problem.evidence.k} effects "
        f"({problem.model.name})"
    )
    say("")
    for line in _judged(found, percent):
        say(line)
    say("")
    kind = found.before.interval.kind
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("before", f"{percent} {kind}", "after", f"{percent} {kind}", "change", "scale"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.moved:
        digits = 1 if one.scale == "percent" else 3
        table.add_row(
            Text(one.quantity),
            *_cells(one.before, digits),
            *_cells(one.after, digits),
            "–" if one.change is None else f"{one.change:+z.{digits}f}",
            one.scale,
        )
    for shift in found.shifts:
        table.add_row(
            Text(shift.quantity),
            number(shift.before),
            "",
            number(shift.after),
            "",
            f"{shift.after - shift.before:+z.3f}",
            "",
        )
    wide().print(table)
    say("")
    say("Medians; the change is theirs. After: all rows fitted anew.")
    unused = sorted(new.moderators.keys() - problem.moderators)
    if unused:
        say(f"note: {', '.join(unused)} has no use in {problem.model.name}")


def _printed(found: Replication) -> str:
    row = found.row
    people = "" if row.ni is None else f", n = {row.ni:g}"
    if row.is_interval:
        if row.reported == "range":
            return f"r between {row.ri_low:g} and {row.ri_high:g}{people}"
        return f"{row.reported}{people}"
    if row.ri is None:
        return f"yi = {row.yi:g}, sei = {math.sqrt(row.vi or 0):g}"
    return f"r = {row.ri:g}{people}"


def _judged(found: Replication, percent: str) -> list[str]:
    lines = []
    expected = found.expected
    if expected is None:
        lines.append(f"Expected: – ({found.reasons['expected']})")
    elif expected.held is not None:
        where = "inside" if expected.held else "OUTSIDE"
        lines.append(
            f"Expected: {number(expected.summary.median)} {interval(expected.summary)}; it is "
            f"{where} this {percent} interval."
        )
        lines.append(
            f"Surprise: {expected.surprise:.1f} bits (two-sided tail {number(expected.tail, 4)}, "
            f"PIT {number(expected.pit, 3)}): the conflict of today's posterior with it."
        )
    else:
        words = ", ".join(f"{word} {p:.3f}" for word, p in expected.words.items())
        lines.append(
            f"Expected: what was printed had probability {number(expected.probability)}"
            f" ({words}); surprise {expected.surprise:.1f} bits."
        )
    if found.log_bf_same is not None:
        lines.append(_population(found.log_bf_same))
    else:
        lines.append(f"Same population or another: – ({found.reasons['log_bf_same']})")
    if found.sceptical_p is not None:
        lines.append(
            f"Sceptical p (one-sided): {found.sceptical_p:.4f}, with the pooled mean as the "
            "original."
        )
    else:
        lines.append(f"Sceptical p: – ({found.reasons['sceptical_p']})")
    return lines


def _population(log_bf: float) -> str:
    which, times = ("the same population", log_bf) if log_bf >= 0 else ("another one", -log_bf)
    other = "another one" if log_bf >= 0 else "the same"
    said = f"{math.exp(times):.3g}" if times < 700 else "more than 1e304"
    return f"It is {said} times as likely from {which} as from {other} (what the priors expect)."


def _cells(summary: Summary, digits: int) -> tuple[str, str]:
    return number(summary.median, digits), interval(summary, digits)
