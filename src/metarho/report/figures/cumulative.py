"""Studies in order: what was predicted, what came, and what was known then."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from metarho.compare.rows import Row, Value
from metarho.report.figures.drawing import BLUE, GREEN, GREY, ORANGE, Drawing, canvas

_WIDTH, _LINE = 7.2, 0.2
# A range or word is a stretch; the light of its edge tells it from a prediction in grey too.
_STRETCH = "#F3C9AE"
# By whether a number held: in colour and in shape. Some were not predicted.
_MARKS: Mapping[Value, tuple[str, str, float]] = {
    "yes": ("o", GREEN, 4.2),
    "no": ("X", ORANGE, 5.6),
    None: ("s", GREY, 3.6),
}
# An end that an interval does not have.
_FAR = -1e3
# Letters of a label.
_LONGEST = 34


def cumulative_figure(
    record: Sequence[Row], years: Sequence[Row], by: str, scale: str, prob: float, said: str
) -> Drawing:
    """Two panels over the same lines, one an effect, in the order in which they came.

    On the left the prediction interval of what a study of its size would observe, made before its
    year, and what came: a number that held (a dot) or did not (a cross), or the stretch of a word
    or range with its predicted probability. On the right the mean and the true effect of a new
    study after each year, and before the first.
    """
    count = len(record)
    with canvas(_WIDTH, _LINE * (count + 1) + 1.35) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        span = _limits(record, scale)
        left.set_xlim(*span)
        for line, row in enumerate(record):
            _draw_row(left, row, -line, span)
        _decorate(left, [(-line, _label(row, record)) for line, row in enumerate(record)],
                  [(-line, _came(row)) for line, row in enumerate(record)])  # fmt: skip
        places = _places(record, years)
        for row, place in zip(years, places, strict=True):
            _draw_year(right, row, place)
        _decorate(right, [(p, _year(r)) for r, p in zip(years, places, strict=True)],
                  [(p, _text(r)) for r, p in zip(years, places, strict=True)])  # fmt: skip
        ends = [-line - 0.5 for line, (one, two) in enumerate(itertools.pairwise(record))
                if one["at"] != two["at"]]  # fmt: skip
        for axes, low, high in ((left, *span), (right, *_ends(years, scale))):
            axes.set_xlim(low, high)
            axes.set_ylim(-count + 0.3, 1.7)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            for end in (0.5, *ends):
                axes.axhline(end, color=GREY, linewidth=0.3, alpha=0.6, zorder=0)
            if low < 0 < high:
                axes.axvline(0, color=GREY, linewidth=0.7, zorder=0)
        what = "yi" if scale == "yi" else "correlation r"
        left.set_xlabel(f"observed {what}")
        right.set_xlabel("true effect (yi)" if scale == "yi" else "true correlation")
        left.set_title(f"Predicted before its {by}, and what came", loc="left", parse_math=False)
        right.set_title(f"Known after each {by}", loc="left", parse_math=False)
        figure.legend(handles=_handles(record, prob), loc="outside lower left", ncols=3, fontsize=7)
    return Drawing("cumulative", figure, record, said)


def _draw_row(axes: Axes, row: Row, y: float, span: tuple[float, float]) -> None:
    """One prediction, and what came of it."""
    printed = _float(row["printed"])
    if printed is None:
        # What lies beyond the panel is cut off, so that it is seen to go on.
        low, high = (_float(row[f"printed_{end}"]) for end in ("low", "high"))
        left, right = _FAR if low is None else low, -_FAR if high is None else high
        axes.barh(y, right - left, left=left, height=0.62, color=_STRETCH,
                  edgecolor=ORANGE, linewidth=0.5, zorder=1)  # fmt: skip
    found = [_float(row[name]) for name in ("lower", "upper", "median")]
    lower, upper, median = (math.nan if value is None else value for value in found)
    axes.plot([lower, upper], [y, y], color=BLUE, linewidth=1.3, zorder=2)
    axes.plot(median, y, "|", color=BLUE, markersize=5, zorder=2)
    if printed is not None:
        inside = min(max(printed, span[0]), span[1])
        marker, colour, size = _MARKS[row["held"]]
        axes.plot(inside, y, marker, color=colour, markersize=size, markeredgecolor="white",
                  markeredgewidth=0.5, zorder=3)  # fmt: skip


def _draw_year(axes: Axes, row: Row, y: float) -> None:
    """What was known after a year: the mean, and around it a new study."""
    names = ("new_lower", "new_upper", "lower", "upper", "median")
    found = [value for name in names if (value := _float(row[name])) is not None]
    if len(found) < len(names):
        return
    axes.plot(found[:2], [y, y], color=GREY, linewidth=0.8, zorder=1)
    axes.plot(found[2:4], [y, y], color=BLUE, linewidth=2.6, solid_capstyle="butt", zorder=2)
    axes.plot(found[4], y, "D", color=BLUE, markersize=3.6, markeredgecolor="white",
              markeredgewidth=0.5, zorder=3)  # fmt: skip


def _decorate(
    axes: Axes, left: Sequence[tuple[float, str]], right: Sequence[tuple[float, str]]
) -> None:
    """Words on both sides of a panel, one a line."""
    second = axes.secondary_yaxis("right")
    for one, labels in ((axes, left), (second, right)):
        one.set_yticks([place for place, _ in labels])
        one.set_yticklabels([label for _, label in labels], parse_math=False, fontsize=6.5)
        one.tick_params(axis="y", length=0, pad=3)
    axes.spines["left"].set_visible(False)
    second.spines["right"].set_visible(False)


def _places(record: Sequence[Row], years: Sequence[Row]) -> list[float]:
    """The line of each year: the last of its effects; of what was known before, above all."""
    last = {row["at"]: -float(line) for line, row in enumerate(record)}
    return [1.0 if row["at"] is None else last[row["at"]] for row in years]


def _limits(record: Sequence[Row], scale: str) -> tuple[float, float]:
    """Where the left panel begins and ends: around predictions and numbers, up to r = ±1."""
    names = ("lower", "upper", "printed")
    found = [value for row in record for n in names if (value := _float(row[n])) is not None]
    low, high = _around(found)
    return (low, high) if scale == "yi" else (max(-1.0, low), min(1.0, high))


def _ends(years: Sequence[Row], scale: str) -> tuple[float, float]:
    """Where the right panel begins and ends. On yi what was known before may reach far beyond."""
    names = ("new_lower", "new_upper")
    shown = [row for row in years if scale != "yi" or row["at"] is not None]
    return _around([value for row in shown for n in names if (value := _float(row[n])) is not None])


def _around(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return -1.0, 1.0
    pad = 0.04 * (max(values) - min(values)) or 0.1
    return min(values) - pad, max(values) + pad


def _label(row: Row, record: Sequence[Row]) -> str:
    several = sum(other["study"] == row["study"] for other in record) > 1
    end = f" · {row['effect']}" if several else ""
    if len(end) > _LONGEST // 2:
        end = end[: _LONGEST // 2 - 1] + "…"
    study, room = str(row["study"]), _LONGEST - len(end)
    return (study if len(study) <= room else study[: room - 1] + "…") + end


def _came(row: Row) -> str:
    """What came: the number, or the word or range with its probability."""
    printed, chance = _float(row["printed"]), _float(row["p_printed"])
    if printed is not None:
        return _digits(printed)
    if row["reported"] == "range":
        low, high = (_float(row[f"printed_{end}"]) for end in ("low", "high"))
        word = f"{_digits(low or 0.0)} to {_digits(high or 0.0)}"
    else:
        short = {"not significant": "n.s.", "significant positive": "sig. +"}
        word = short.get(str(row["reported"]), "sig. −")
    if chance is None:
        return word
    return f"{word}  P < 0.01" if chance < 0.01 else f"{word}  P = {chance:.2f}"


def _year(row: Row) -> str:
    return "prior" if row["at"] is None else f"{row['at']:.15g}"


def _text(row: Row) -> str:
    names = ("median", "lower", "upper")
    found = [_digits(value) for name in names if (value := _float(row[name])) is not None]
    return "{} [{}, {}]".format(*found) if len(found) == len(names) else "improper"


def _digits(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")


def _handles(record: Sequence[Row], prob: float) -> list[Line2D | Patch]:
    """The legend: of what is there."""
    percent = f"{prob * 100:g}%"
    found: list[Line2D | Patch] = [
        Line2D([], [], color=BLUE, marker="|", linewidth=1.3, markersize=5,
               label=f"{percent} prediction interval")
    ]  # fmt: skip
    words = {"yes": "number, within", "no": "number, outside", None: "number, not predicted"}
    seen = {row["held"] for row in record if row["printed"] is not None}
    for held, word in words.items():
        marker, colour, size = _MARKS[held]
        if held in seen:
            found.append(Line2D([], [], linestyle="", marker=marker, color=colour,
                                markersize=size, label=word))  # fmt: skip
    if any(row["printed"] is None for row in record):
        found.append(Patch(facecolor=_STRETCH, edgecolor=ORANGE, linewidth=0.5,
                           label="range or word (n.s.: not significant), P: its probability",
                           ))  # fmt: skip
    found.append(Line2D([], [], color=BLUE, marker="D", linewidth=2.6, markersize=3.6,
                        markeredgecolor="white", label=f"mean, {percent} interval"))  # fmt: skip
    found.append(Line2D([], [], color=GREY, linewidth=0.8,
                        label=f"a new study's true effect, {percent}"))  # fmt: skip
    return found


def _float(value: Value) -> float | None:
    return value if isinstance(value, float) else None
