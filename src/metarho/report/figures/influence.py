"""Studies and assumptions in one ranking: what moves the answer, and how far."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from metarho.compare.influence import Change, Kind
from metarho.compare.rows import Row
from metarho.report.figures.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    PURPLE,
    Drawing,
    canvas,
    cut,
    fitted,
)

_MARKS: dict[Kind, tuple[str, str, str]] = {
    "study": (BLUE, "o", "a study left out"),
    "prior set": (ORANGE, "s", "another prior set"),
    "intervals": (PURPLE, "D", "intervals otherwise"),
    "model": (GREEN, "^", "another model"),
}
_LETTERS = 42
# What moves the answer less than this many others is left to the data.
_MOST = 40


def influence(
    changes: Sequence[Change], reference: str, scale: str, name: str, title: str
) -> Drawing:
    """Changes of the pooled median, and of its interval's lower end, largest first.

    ``changes`` comes from ``compare.influence.changes``; ``reference`` is in words what they are
    changes from; ``scale`` is that of the problem.
    """
    known = [change for change in changes if change.median is not None]
    shown = known[:_MOST]
    unit = "yi" if scale == "yi" else "r"
    with canvas(PAGE, 0.18 * max(len(shown), 1) + 1.25) as figure:
        median, lower = figure.subplots(1, 2, sharex=True, sharey=True)
        values = [v for change in shown for v in (change.median, change.lower) if v is not None]
        farthest = max(map(abs, values), default=0.0) or 0.01
        median.set_xlim(-1.12 * farthest, 1.12 * farthest)
        _panel(median, shown, [change.median for change in shown])
        _panel(lower, shown, [change.lower for change in shown])
        median.set_xlabel(f"change of the pooled median ({unit})")
        lower.set_xlabel(f"change of the interval's lower end ({unit})")
        labels = [cut(_said(change), _LETTERS) for change in shown]
        median.set_yticks([-y for y in range(len(shown))], labels, parse_math=False)
        median.set_ylim(-max(len(shown), 1) + 0.4, 0.6)
        for tick, change in zip(median.get_yticklabels(), shown, strict=True):
            tick.set_color(_MARKS[change.kind][0])
        median.set_title(fitted(title, PAGE - 2.5), loc="left", parse_math=False)
        _legend(figure, shown, len(known) - len(shown))
    data: list[Row] = [
        {
            "kind": change.kind,
            "name": change.name,
            "median": change.pooled.median,
            "lower": change.pooled.lower,
            "upper": change.pooled.upper,
            "change_of_median": change.median,
            "change_of_lower": change.lower,
        }
        for change in changes
    ]
    return Drawing(name, figure, data, _words(known, reference))


def _panel(axes: Axes, changes: Sequence[Change], values: Sequence[float | None]) -> None:
    axes.axvline(0, color=GREY, linewidth=0.7, zorder=1)
    for place, (change, value) in enumerate(zip(changes, values, strict=True)):
        if value is None:
            continue
        colour, marker, _ = _MARKS[change.kind]
        axes.plot([0, value], [-place] * 2, color=colour, linewidth=1.1, alpha=0.6, zorder=2)
        axes.plot(value, -place, marker, color=colour, markersize=4.5, zorder=3)
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _said(change: Change) -> str:
    if change.kind == "study":
        return f"without {change.name}"
    if change.kind == "intervals":
        return {"drop": "intervals dropped", "use": "intervals used"}.get(change.name, change.name)
    return f"{change.kind} {change.name}"


def _legend(figure: Figure, shown: Sequence[Change], left: int) -> None:
    kinds = [kind for kind in _MARKS if any(change.kind == kind for change in shown)]
    handles = [
        Line2D([], [], color=_MARKS[kind][0], marker=_MARKS[kind][1], markersize=4.5, linewidth=1.1,
               label=_MARKS[kind][2])
        for kind in kinds
    ]  # fmt: skip
    more = f"{left} smaller changes are in the data" if left else None
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=7, title=more,
                  title_fontsize=7)  # fmt: skip


def _words(known: Sequence[Change], reference: str) -> str:
    said = f"What {len(known)} changes, one at a time, do to the pooled median of {reference}."
    for kinds, word in (({"study"}, "study"), (set(_MARKS) - {"study"}, "assumption")):
        first = next((change for change in known if change.kind in kinds), None)
        if first is not None and first.median is not None:
            said += f" Largest of a{'n' if word[0] == 'a' else ''} {word}: {_said(first)} "
            said += f"({first.median:+.3f})."
    return said
