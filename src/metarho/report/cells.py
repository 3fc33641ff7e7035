"""What the finished table of a grid says, as sentences and tables in the terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from metarho.cells.average import SHARED_DATA, CellAverage
from metarho.cells.table import answered, not_answered
from metarho.cells.variance import BETWEEN, REST, Shares, VarianceByDecision
from metarho.compare.rows import Row
from metarho.report.terminal import number, say, wide
from metarho.spec.grid import ESTIMAND

if TYPE_CHECKING:
    from metarho.batch.grid import GridPlan
    from metarho.report.publish_grid import Published

# Main effects that chance alone would give more than this leave small shares without a meaning.
_TELLING = 0.1
# Weights that are as stated but for less are as stated.
_AS_STATED = 0.02
# Smaller shares are named together.
_WORTH_NAMING = 0.05
# Reasons that are printed; the table has all.
_REASONS = 5

_WORDS: Mapping[str, str] = {
    "median": "the posterior median of the mean",
    "lower": "the lower end of the mean's interval",
    "upper": "the upper end of the mean's interval",
    "new_median": "the posterior median of a new study's true effect",
    "new_lower": "the lower end of a new study's interval",
    "new_upper": "the upper end of a new study's interval",
    "tau": "the posterior median of tau",
    "log_evidence": "the log evidence",
}


def print_grid(plan: GridPlan, found: Published) -> None:
    """What became of the cells of a grid, and what those with an answer say."""
    estimand = plan.grid.estimand
    say("")
    print_counts(found.rows)
    for remark in plan.remarks:
        say(f"note: {remark}")
    print_variance(found.variances, estimand)
    print_averages(found.averages)


def print_counts(rows: Sequence[Row]) -> None:
    """How many cells have an answer, and why the others have none."""
    say(counted(rows))
    why = Counter(
        f"{row['status']}: {row['reason']}"
        for row in rows
        if row.get("reason") and not answered([row])
    )
    # Ties in the order of the table.
    for reason, cells in why.most_common(_REASONS):
        say(f"  {_cells(cells)} {reason}")
    if len(why) > _REASONS:
        rest = sum(why.values()) - sum(count for _, count in why.most_common(_REASONS))
        say(f"  {_cells(rest)} for {len(why) - _REASONS} other reasons, each in the table")


def counted(rows: Sequence[Row]) -> str:
    """How many cells count from here on, as a sentence."""
    drawn = len(answered(rows))
    left_out = ", ".join(f"{count:,} {why}" for why, count in not_answered(rows).items())
    return f"{drawn:,} of {_cells(len(rows))} can be reported{f' ({left_out})' * bool(left_out)}."


def print_variance(found: Sequence[VarianceByDecision], estimand: Collection[str]) -> None:
    """Shares of the variance of each answer by decision, and what those of the first say."""
    if not found:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("variance that goes with", no_wrap=True)
    for one in found:
        table.add_column(Text(one.answer), justify="right", no_wrap=True)
    everywhere = [one.everywhere for one in found]
    _add_shares(table, everywhere, estimand)
    if any(one.between is not None for one in found):
        table.add_row(BETWEEN, *(_percent(one.between) for one in found))
        table.add_section()
        table.add_row("within estimands:")
        _add_shares(table, [one.within for one in found], estimand)
    say("")
    wide().print(table)
    if any(name in estimand for one in everywhere for name in one.shares):
        say("* changes the estimand")
    for sentence in variance_sentences(found[0], estimand):
        say(sentence)


def variance_sentences(found: VarianceByDecision, estimand: Collection[str]) -> list[str]:
    """What the shares of one answer say, one sentence each."""
    what = _WORDS.get(found.answer, found.answer)
    if found.sd is None:
        return [f"No cell has {what}."]
    if found.cells == 1:
        return [f"Of one cell {what} does not vary."]
    if found.everywhere.rest is None:
        return [f"In all {_cells(found.cells)} {what} is the same."]
    said = [
        f"Over {_cells(found.cells)} {what} has a standard deviation of {found.sd:.3g}; "
        f"of its variance {_listed(found.everywhere)}."
    ]
    if found.between is not None:
        asking = [name for name in found.everywhere.shares if name in estimand]
        within = (
            f"answers to one question have a standard deviation of {found.sd_within:.3g}; of that "
            f"variance {_listed(found.within)}"
            if found.within.rest is not None
            else "answers to one question are the same"
        )
        said.append(
            f"{_percent(found.between)} of it lies between questions (combinations of "
            f"{', '.join(asking)}); {within}."
        )
    shares = found.within if found.within.rest is not None else found.everywhere
    if shares.by_chance is not None and shares.by_chance > _TELLING:
        said.append(
            f"For so few cells small shares mean nothing: answers dealt to them at random would "
            f"give all decisions together {_percent(shares.by_chance)} on average."
        )
    if found.without:
        said.append(f"{_cells(found.without)} more can be reported and have no such number.")
    return said


def print_averages(found: Sequence[CellAverage]) -> None:
    """Averages over cells under the stated weights, one a question, and what they are not."""
    if not found:
        return
    table = Table(box=None, pad_edge=False)
    names = list(found[0].estimand)
    for name in names:
        table.add_column(Text(name), no_wrap=True)
    thresholds = list(dict.fromkeys(t for one in found for t in one.above))
    columns = (
        "cells", "without", "mean of medians", "median of medians", "nine in ten", "range",
        "excludes 0", *(f"above {threshold:g}" for threshold in thresholds),
    )  # fmt: skip
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            *(Text(_short(one.estimand[name])) for name in names),
            f"{one.cells:,}",
            f"{one.without:,}",
            number(one.mean),
            number(one.quantiles.get(0.5)),
            _between(one.quantiles.get(0.05), one.quantiles.get(0.95)),
            _between(one.least, one.largest),
            _percent(one.excludes_zero),
            *(_percent(one.above.get(threshold)) for threshold in thresholds),
        )
    say("")
    say(
        "Posterior medians, averaged over cells by their weights; without: cells that have no "
        "answer; excludes 0, above: the share of cells whose interval does."
    )
    wide().print(table)
    for sentence in average_sentences(found):
        say(sentence)


def average_sentences(found: Sequence[CellAverage]) -> list[str]:
    """What must be said with averages: what they are over, by which weights, and are not."""
    said = [_stated(found[0])]
    pooled = [name for name in found[0].stated if name in ESTIMAND]
    if pooled:
        said.append(
            f"Averages are pooled over {', '.join(pooled)}: the config takes "
            f"{'it' if len(pooled) == 1 else 'them'} out of the estimand, and it is for its author "
            "to say that all values ask one question."
        )
    if len(found) > 1:
        said.append("Each line answers another question; they are not averaged together.")
    moved = [
        (abs(weight - one.stated[decision][value]), one, decision, value, weight)
        for one in found
        for decision, values in one.effective.items()
        for value, weight in values.items()
    ]
    difference, one, decision, value, weight = max(
        # Of differences that are equal but for rounding the first.
        moved,
        key=lambda entry: round(entry[0], 9),
        default=(0.0, found[0], "", "", 0.0),
    )
    if difference > _AS_STATED:
        where = f" ({', '.join(f'{k}: {_short(v)}' for k, v in one.estimand.items())})"
        said.append(
            "Cells that have no answer, or are not in the grid, take their weights along: of "
            f"{decision}, {_short(value)} was to have {_percent(one.stated[decision][value])} and "
            f"has {_percent(weight)}{where if one.estimand else ''}, the largest difference."
        )
    said.append(SHARED_DATA)
    return said


def _stated(one: CellAverage) -> str:
    """The weights that are not equal; the same for all questions."""
    unequal = [
        f"{decision}: " + ", ".join(f"{_short(v)} {_percent(w)}" for v, w in values.items())
        for decision, values in one.stated.items()
        if max(values.values()) - min(values.values()) > 1e-12
    ]
    if not unequal:
        return "Weights: all cells the same."
    return f"Weights: {'; '.join(unequal)}; the values of other decisions weigh the same."


def _add_shares(table: Table, found: Sequence[Shares], estimand: Collection[str]) -> None:
    for name in dict.fromkeys(name for one in found for name in one.shares):
        mark = " *" if name in estimand else ""
        table.add_row(Text(f"{name}{mark}"), *(_percent(one.shares.get(name)) for one in found))
    table.add_row(REST, *(_percent(one.rest) for one in found))


def _listed(found: Shares) -> str:
    """Shares in words, the largest first; small ones together."""
    ordered = sorted(found.shares.items(), key=lambda entry: -entry[1])
    large = [entry for entry in ordered if entry[1] >= _WORTH_NAMING] or ordered[:1]
    small = ordered[len(large) :]
    said = [f"{_percent(share)} goes with {name}" for name, share in large]
    if small:
        together = _percent(math.fsum(share for _, share in small))
        names = ", ".join(name for name, _ in small)
        said.append(f"{together} with {names}{' together' if len(small) > 1 else ''}")
    return f"{', '.join(said)}; {_percent(found.rest)} are interactions and the rest"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count:,} cells"


def _percent(share: float | None) -> str:
    """A share in whole percent; what would print as none or all, and is not, says so."""
    if share is None:
        return "–"
    # Shares are sums: what is within rounding of none or all is that.
    if 1e-9 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1 - 1e-9:
        return ">99%"
    return f"{100 * share:.0f}%"


def _between(lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return "–"
    return f"{number(lower)} to {number(upper)}"


def _short(label: str, longest: int = 32) -> str:
    return label if len(label) <= longest else label[: longest - 1] + "…"
