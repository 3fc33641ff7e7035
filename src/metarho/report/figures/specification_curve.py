"""All cells of a grid in the order of their medians, and what each of them chose.

The specification curve of Simonsohn, Simmons & Nelson 2020 (10.1038/s41562-020-0912-z), of
posterior medians and intervals.
"""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from metarho.cells.table import answered, answers, choice, not_answered, number, options, varied
from metarho.compare.rows import Row, Value
from metarho.report.figures.drawing import GREY, ORANGE, PURPLE, Drawing, canvas

# Inches: a page's width; the upper panel; a line of the lower one, and what is around both.
_WIDTH, _UPPER, _LINE, _AROUND = 7.2, 2.3, 0.15, 1.0
# Up to so many cells marks are dots; above the other number they are pixels within the SVG, which
# would have megabytes of lines.
_DOTS, _LINES = 60, 400
# Of these pixels, an inch: 2,000 cells are closer than what any printer tells apart.
_PIXELS = 300
# Letters of a label for each inch of the figure's width, so that names take a third of it at most.
_LETTERS = 4.2
# The same for a line of the caption, which has smaller letters.
_CAPTION = 15
# Intervals, with the medians to be seen on them; told apart in grey too.
_WITHOUT_ZERO, _WITH_ZERO, _INK = "#7DB5D6", "#CFCFCF", "#1A1A1A"
_TINT = "#F6EEF3"


@dataclass(frozen=True)
class _Line:
    """A line of the lower panel: a decision's heading (no option), or one of its options."""

    decision: str
    option: str | None
    label: str


def specification_curve(
    rows: Sequence[Row],
    decisions: Sequence[str],
    estimand: Collection[str],
    reference: int | None,
    scale: str,
    prob: float,
    width: float = _WIDTH,
) -> Drawing:
    """Medians with their intervals (of probability ``prob``) above, choices below.

    Cells that are reportable are drawn, the others counted. The lower panel has every decision with
    more than one value, those in ``estimand`` first and marked. ``reference`` is the place of the
    reference cell in ``rows``; ``scale`` is that of the problem (yi for GEN); ``width`` is in
    inches.
    """
    drawn = sorted(answered(rows), key=_by_median)
    shown = varied(rows, decisions)
    lines = [
        line
        for name in sorted(shown, key=lambda name: name not in estimand)
        for line in _lines(rows, name, name in estimand, int(_LETTERS * width))
    ]
    place = _place(rows, drawn, reference)
    height = _UPPER + _LINE * len(lines) + _AROUND
    with canvas(width, height) as figure:
        figure.set_dpi(_PIXELS)
        panels = figure.subplots(
            2 if lines else 1,
            1,
            sharex=True,
            squeeze=False,
            height_ratios=[_UPPER, _LINE * len(lines)] if lines else None,
        )[:, 0]
        _curve(panels[0], drawn, _pitch(width, drawn))
        limits = _limits(drawn)
        if limits:
            panels[0].set_ylim(*limits)
        panels[0].set_ylabel("yi" if scale == "yi" else "correlation r")
        panels[0].set_title(f"Median of the mean, {prob * 100:g}% interval", loc="left")
        if lines:
            _choices(panels[1], drawn, lines, estimand, _pitch(width, drawn), place)
        for axes in panels:
            axes.set_xlim(0.4, max(1, len(drawn)) + 0.6)
            axes.set_xticks([])
            axes.spines["bottom"].set_visible(False)
            if place is not None:
                axes.axvline(place, color=ORANGE, linewidth=0.8, zorder=1.5)
        if place is not None:
            panels[0].plot(place, number(drawn[place - 1]["median"]), "D", color=ORANGE,
                           markersize=5, markeredgecolor="white", zorder=4)  # fmt: skip
        caption = _caption(rows, drawn, limits, reference)
        _legend(figure, drawn, place, caption, width)
    return Drawing(
        "specification-curve",
        figure,
        _data(rows, drawn, decisions),
        in_words(rows, shown, prob),
    )


def in_words(rows: Sequence[Row], decisions: Sequence[str], prob: float) -> str:
    """What the curve shows, for those who cannot see it, and what it leaves out."""
    drawn = answered(rows)
    said = (
        f"Posterior medians of the mean and {prob * 100:g}% intervals of {_counted(rows, drawn)}."
    )
    if not drawn:
        return said
    medians = sorted(answers(drawn, "median"))
    apart = sum(_excludes_zero(row) for row in drawn)
    said += (
        f" Medians from {medians[0]:z.3f} to {medians[-1]:z.3f}; {apart:,} of {len(drawn):,} "
        "intervals exclude 0."
    )
    return f"{said} Below, what each chose of: {', '.join(decisions)}." if decisions else said


def _by_median(row: Row) -> tuple[float, ...]:
    """Ties go by their intervals, so that a curve does not depend on the order of rows."""
    return tuple(number(row.get(name)) or 0.0 for name in ("median", "lower", "upper"))


def _counted(rows: Sequence[Row], drawn: Sequence[Row]) -> str:
    if len(drawn) == len(rows):
        return "1 cell" if len(rows) == 1 else f"{len(rows):,} cells, by their medians"
    left_out = ", ".join(f"{count:,} {why}" for why, count in not_answered(rows).items())
    return f"{len(drawn):,} of {len(rows):,} cells, by their medians; not drawn: {left_out}"


def _caption(
    rows: Sequence[Row],
    drawn: Sequence[Row],
    limits: tuple[float, float] | None,
    reference: int | None,
) -> str:
    """How many cells there are, and what of them cannot be seen."""
    said = _counted(rows, drawn)
    if limits:
        low, high = limits
        cut = sum(
            any(not low <= end <= high for end in (number(row.get(e)) for e in ("lower", "upper"))
                if end is not None) for row in drawn)  # fmt: skip
        if cut:
            said += f"; {cut:,} interval{' goes' if cut == 1 else 's go'} on beyond the edge"
    if reference is not None and _place(rows, drawn, reference) is None:
        said += f"; the reference is not drawn ({rows[reference]['status']})"
    return said


def _limits(drawn: Sequence[Row]) -> tuple[float, float] | None:
    """Where the upper panel begins and ends: at 0, all medians, and twice a usual interval on.

    One interval of a hundred times the others' length would flatten all of them.
    """
    medians = answers(drawn, "median")
    lowers, uppers = answers(drawn, "lower"), answers(drawn, "upper")
    if not lowers or not uppers:
        return None
    usual = statistics.median(uppers) - statistics.median(lowers)
    low = min(0.0, *medians, max(min(lowers), min(medians) - 2 * usual))
    high = max(0.0, *medians, min(max(uppers), max(medians) + 2 * usual))
    pad = 0.04 * (high - low) or 0.1
    return low - pad, high + pad


def _place(rows: Sequence[Row], drawn: Sequence[Row], reference: int | None) -> int | None:
    """Where the reference is on the curve, from 1; None where it is not drawn."""
    if reference is None:
        return None
    return next((at for at, row in enumerate(drawn, 1) if row is rows[reference]), None)


def _pitch(width: float, drawn: Sequence[Row]) -> float:
    """The room of a cell in points: names and margins take nearly half."""
    return 0.6 * width * 72 / max(1, len(drawn))


def _lines(rows: Sequence[Row], decision: str, asks: bool, longest: int) -> list[_Line]:
    heading = f"{decision} (changes the estimand)" if asks else decision
    named = options(rows, decision)
    return [
        _Line(decision, None, heading),
        *(_Line(decision, o, n) for o, n in zip(named, _short(named, longest), strict=True)),
    ]


def _short(texts: Sequence[str], longest: int) -> list[str]:
    """Labels on one line of at most ``longest`` letters; numbered where they are alike."""
    plain = [" ".join(text.split()) for text in texts]
    cut = [text if len(text) <= longest else f"{text[: longest - 1]}…" for text in plain]
    return [
        label if cut.count(label) == 1 else f"{label} ({cut[: index + 1].count(label)})"
        for index, label in enumerate(cut)
    ]


def _curve(axes: Axes, drawn: Sequence[Row], pitch: float) -> None:
    axes.axhline(0, color=GREY, linewidth=0.7, zorder=1)
    if not drawn:
        axes.text(0.5, 0.5, "no cell can be reported", transform=axes.transAxes, ha="center",
                  va="bottom")  # fmt: skip
        axes.set_yticks([])
        return
    many = len(drawn) > _LINES
    # Without room between them lines are an area.
    thick = pitch if many else min(3.0, 0.55 * pitch)
    for excludes, colour in ((False, _WITH_ZERO), (True, _WITHOUT_ZERO)):
        ends = [
            (at, low, high)
            for at, row in enumerate(drawn, 1)
            if _excludes_zero(row) == excludes
            and (low := number(row.get("lower"))) is not None
            and (high := number(row.get("upper"))) is not None
        ]
        _uprights(axes, ends, colour, thick, many)
    places, medians = range(1, len(drawn) + 1), answers(drawn, "median")
    if many:
        axes.plot(places, medians, color=_INK, linewidth=1.1, zorder=3)
    else:
        axes.plot(places, medians, "o", color=_INK, markersize=max(1.6, min(4.0, 0.8 * pitch)),
                  markeredgewidth=0.0, zorder=3)  # fmt: skip


def _choices(
    axes: Axes,
    drawn: Sequence[Row],
    lines: Sequence[_Line],
    estimand: Collection[str],
    pitch: float,
    reference: int | None,
) -> None:
    chosen = {
        name: [choice(row, name) for row in drawn]
        for name in dict.fromkeys(line.decision for line in lines)
    }
    asking = sum(line.decision in estimand for line in lines)
    if asking:
        axes.axhspan(0.5, 0.5 - asking, color=_TINT, linewidth=0, zorder=0)
    across = axes.get_yaxis_transform()
    for y, line in enumerate(lines):
        colour = PURPLE if line.decision in estimand else _INK
        if line.option is None:
            axes.text(0.0, -y, line.label, transform=across, va="center", weight="bold",
                      fontsize=7, color=colour, parse_math=False)  # fmt: skip
            continue
        places = [at for at, value in enumerate(chosen[line.decision], 1) if value == line.option]
        if not places:
            axes.text(0.0, -y, "no cell drawn", transform=across, va="center", fontsize=6.5,
                      color=GREY, style="italic")  # fmt: skip
        elif len(drawn) <= _DOTS:
            axes.plot(places, [-y] * len(places), "o", color=colour, markersize=min(3.4, pitch),
                      markeredgewidth=0.0)  # fmt: skip
        else:
            many = len(drawn) > _LINES
            thick = pitch if many else 0.7 * pitch
            _uprights(axes, [(at, -y - 0.36, -y + 0.36) for at in places], colour, thick, many)
        if reference in places:
            axes.plot(reference, -y, "D", color=ORANGE, markersize=4, markeredgecolor="white",
                      markeredgewidth=0.6, zorder=4)  # fmt: skip
    named = {-y: line.label for y, line in enumerate(lines) if line.option is not None}
    axes.set_yticks(list(named), list(named.values()), fontsize=7, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-len(lines) + 0.4, 0.5)


def _uprights(
    axes: Axes,
    ends: Sequence[tuple[float, float, float]],
    colour: str,
    thick: float,
    as_pixels: bool,
) -> None:
    """Lines from low to high, as one line with gaps: a file has one element for all of them."""
    x = [value for at, _, _ in ends for value in (at, at, math.nan)]
    y = [value for _, low, high in ends for value in (low, high, math.nan)]
    axes.plot(x, y, color=colour, linewidth=thick, solid_capstyle="butt", rasterized=as_pixels,
              zorder=2)  # fmt: skip


def _excludes_zero(row: Row) -> bool:
    lower, upper = number(row.get("lower")), number(row.get("upper"))
    return (lower is not None and lower > 0) or (upper is not None and upper < 0)


def _legend(
    figure: Figure, drawn: Sequence[Row], place: int | None, caption: str, width: float
) -> None:
    """The caption, and of marks only those that are there."""
    handles = [
        Line2D([], [], color=colour, linewidth=4, label=label)
        for excludes, colour, label in (
            (True, _WITHOUT_ZERO, "interval without 0"),
            (False, _WITH_ZERO, "interval with 0"),
        )
        if any(_excludes_zero(row) == excludes for row in drawn)
    ]
    if place is not None:
        handles.append(Line2D([], [], color=ORANGE, marker="D", markersize=4, linewidth=0.8,
                              label="reference"))  # fmt: skip
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=3 if width > 5 else 2,
        fontsize=7,
        title=textwrap.fill(caption, int(_CAPTION * width)),
        title_fontsize=7,
        alignment="left",
    )


def _data(rows: Sequence[Row], drawn: Sequence[Row], decisions: Sequence[str]) -> list[Row]:
    """Every cell: those on the curve with their place, then the others."""
    names = (*decisions, "status", "reason", "median", "lower", "upper")
    there = {id(row) for row in drawn}
    others = [row for row in rows if id(row) not in there]
    places: list[tuple[Value, Row]] = [*enumerate(drawn, 1), *((None, row) for row in others)]
    return [{"place": at, **{name: row.get(name) for name in names}} for at, row in places]
