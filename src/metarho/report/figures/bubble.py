"""What moderators do to the mean: curves over numbers, levels of factors, the effects behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from metarho.compare.rows import Row as TableRow
from metarho.data.studies import Row
from metarho.data.tables import Cell, is_blank, number, text
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Marginal, Summary
from metarho.report.figures.drawing import BLUE, ORANGE, PAGE, Drawing, canvas, cut, fitted, target
from metarho.report.figures.rows import printed_ends, tip_of
from metarho.report.figures.scales import label_of_both, no_effect, seen

type Array = NDArray[np.float64]

# Places of a curve: a spline with a few knots is smooth over them.
_PLACES = 21
# Points' sizes (points²) at the least and the greatest precision.
_SMALL, _LARGE = 5.0, 75.0
# Half of a level's width over which its effects are spread, and the golden ratio, which spreads any
# number of them evenly.
_SPREAD, _GOLDEN = 0.3, 0.6180339887498949
_LETTERS = 16
# A pointer finds a bubble in so much of the panel around its middle, either way.
_REACH = 0.025
# The width of a single panel, in inches.
_ALONE = 4.4


@dataclass(frozen=True)
class _At:
    """The mean and a new study's true effect where a moderator has a value."""

    value: str | float
    mean: Summary
    new: Summary


def no_bubble(problem: Problem) -> str | None:
    """Why there is no such figure; None where there is one."""
    return None if problem.design.cells else "the model has no moderators of the mean"


def bubble(fit: Fit, name: str, title: str) -> Drawing:
    """A panel a moderator, the others at their average; on r (GEN: yi).

    Line and dark band are the mean and its interval, the light band is the interval of a new
    study's true effect; bubbles are printed numbers, their area by precision, and bars are the
    intervals of rows that printed none. Effects of a level are spread sideways to be seen. First
    ask ``no_bubble``.
    """
    design = fit.problem.design
    names = list(design.cells)
    found = {moderator: _along(fit, moderator) for moderator in names}
    across = min(3, len(names))
    down = math.ceil(len(names) / across)
    limits = _limits(fit, found)
    with canvas(PAGE if across > 1 else _ALONE, 2.6 * down + 0.5) as figure:
        grid = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
        for axes in grid[len(names) :]:
            axes.set_visible(False)
        for axes, moderator in zip(grid, names, strict=False):
            if moderator in design.levels:
                _levels(axes, found[moderator])
            else:
                _curve(axes, found[moderator])
            _effects(axes, fit, moderator, limits)
            no_effect(axes, across=True)
            axes.set_xlabel(cut(moderator, 50), parse_math=False)
        for axes in grid[::across]:
            axes.set_ylabel(label_of_both(fit.problem).replace(": ", ":\n").replace("; ", "\n"))
        grid[0].set_ylim(*limits)
        for place, (axes, moderator) in enumerate(zip(grid, names, strict=False)):
            _targets(axes, fit, moderator, f"{name}-{place}", limits)
        figure.suptitle(
            fitted(title, figure.get_figwidth()), x=0.01, ha="left", fontsize=8.5, parse_math=False
        )
        handles = _handles(fit)
        figure.legend(handles=handles, loc="outside lower center", fontsize=7,
                      ncols=2 if across == 1 else 5)  # fmt: skip
    data = [row for moderator in names for row in _data(fit, moderator, found[moderator])]
    tips = {
        f"{name}-{place}-row-{index}": tip_of(row, fit.problem.scale, _value(fit, moderator, index))
        for place, moderator in enumerate(names)
        for index, row, _ in _drawn(fit, moderator)
    }
    return Drawing(name, figure, data, _words(fit, found), tips)


def _along(fit: Fit, moderator: str) -> list[_At]:
    """Levels of a factor; of a number places from its least to its greatest value."""
    design = fit.problem.design
    values: Sequence[str | float]
    if moderator in design.levels:
        values = design.levels[moderator]
    else:
        known = [x for cell in design.cells[moderator] if (x := _number(cell)) is not None]
        low, high = min(known), max(known)
        values = np.linspace(low, high, _PLACES).tolist() if high > low else [low]
    return [_at(fit, moderator, value) for value in values]


def _at(fit: Fit, moderator: str, value: str | float) -> _At:
    profile = {moderator: value}
    row, posterior = fit.problem.design.encode(profile), fit.posterior
    if isinstance(posterior, Exact):
        new: Marginal = posterior.theta_new(row)
    else:
        new = posterior.theta_new(row, 0.0, fit.problem.scale_design.encode(profile))
    mean, true = (
        posterior.rho(one).summary(fit.interval.prob, fit.interval.kind)
        for one in (posterior.mean_of(row), new)
    )
    return _At(value, mean, true)


def _number(cell: Cell) -> float | None:
    return None if is_blank(cell) else number(cell)


def _curve(axes: Axes, found: Sequence[_At]) -> None:
    if len(found) == 1:
        _interval(axes, float(found[0].value), found[0])
        return
    x = [float(at.value) for at in found]
    for summaries, alpha in (([at.new for at in found], 0.10), ([at.mean for at in found], 0.25)):
        lower, upper = (
            np.array([getattr(one, end) for one in summaries], dtype=float)
            for end in ("lower", "upper")
        )
        axes.fill_between(x, lower, upper, color=BLUE, alpha=alpha, linewidth=0, zorder=1)
    medians = np.array([at.mean.median for at in found], dtype=float)
    axes.plot(x, medians, color=BLUE, linewidth=1.5, zorder=4)


def _levels(axes: Axes, found: Sequence[_At]) -> None:
    for place, at in enumerate(found):
        _interval(axes, float(place), at)
    names = [cut(str(at.value), _LETTERS) for at in found]
    crowded = sum(map(len, names)) > 42
    axes.set_xticks(range(len(found)), names, parse_math=False, rotation=35 if crowded else 0,
                    ha="right" if crowded else "center",
                    rotation_mode="anchor" if crowded else None)  # fmt: skip
    axes.set_xlim(-0.6, len(found) - 0.4)
    axes.tick_params(axis="x", length=0)


def _interval(axes: Axes, x: float, at: _At) -> None:
    half = 0.42
    for summary, alpha in ((at.new, 0.10), (at.mean, 0.25)):
        if summary.lower is not None and summary.upper is not None:
            axes.fill_between([x - half, x + half], summary.lower, summary.upper, color=BLUE,
                              alpha=alpha, linewidth=0, zorder=1)  # fmt: skip
    if at.mean.median is not None:
        axes.plot([x - half, x + half], [at.mean.median] * 2, color=BLUE, linewidth=1.5, zorder=4)


def _effects(axes: Axes, fit: Fit, moderator: str, limits: tuple[float, float]) -> None:
    evidence, scale = fit.problem.evidence, fit.problem.scale
    precision = 1 / evidence.v
    sizes = _SMALL + (_LARGE - _SMALL) * precision / precision.max()
    for index, (row, x) in enumerate(zip(evidence.rows, _places(fit, moderator), strict=True)):
        if x is None:
            continue
        if row.lower is not None and row.upper is not None:
            low, high = (seen(scale, end) for end in (row.lower, row.upper))
            axes.plot([x, x], [max(low, limits[0]), min(high, limits[1])], color=ORANGE,
                      linewidth=0.9, alpha=0.35, solid_capstyle="butt", zorder=2)  # fmt: skip
        elif row.yi is not None:
            axes.scatter(x, seen(scale, row.yi), s=sizes[index], facecolor="#333333", alpha=0.55,
                         edgecolor="white", linewidth=0.5, zorder=3)  # fmt: skip


def _targets(axes: Axes, fit: Fit, moderator: str, name: str, limits: tuple[float, float]) -> None:
    """Places to point at: bars along their length, and bubbles above them."""
    low, high = axes.get_xlim()
    aside, above = (_REACH * (end - start) for start, end in ((low, high), limits))
    axes.set_xlim(low, high)
    # What is drawn later is what a pointer finds.
    for index, row, x in sorted(_drawn(fit, moderator), key=lambda one: not one[1].is_interval):
        middle, lower, upper = printed_ends(row, fit.problem.scale)
        y = (
            (max(lower, limits[0]), min(upper, limits[1]))
            if middle is None
            else (middle - above, middle + above)
        )
        half = aside if middle is not None else aside / 2
        target(axes, f"{name}-row-{index}", (x - half, x + half), y)


def _drawn(fit: Fit, moderator: str) -> list[tuple[int, Row, float]]:
    """Rows whose value is known, with their number in the evidence and their place."""
    rows = enumerate(zip(fit.problem.evidence.rows, _places(fit, moderator), strict=True))
    return [(index, row, x) for index, (row, x) in rows if x is not None]


def _value(fit: Fit, moderator: str, index: int) -> str:
    return f"{moderator}: {text(fit.problem.design.cells[moderator][index])}"


def _places(fit: Fit, moderator: str) -> list[float | None]:
    """Where each effect stands: at its number, or beside the middle of its level."""
    design = fit.problem.design
    cells = design.cells[moderator]
    if moderator not in design.levels:
        return [_number(cell) for cell in cells]
    levels = design.levels[moderator]
    seen_at = dict.fromkeys(levels, 0)
    found: list[float | None] = []
    for cell in cells:
        level = text(cell)
        if is_blank(cell) or level not in seen_at:
            found.append(None)
            continue
        seen_at[level] += 1
        aside = (seen_at[level] * _GOLDEN) % 1 - 0.5
        found.append(levels.index(level) + 2 * _SPREAD * aside)
    return found


def _limits(fit: Fit, found: dict[str, list[_At]]) -> tuple[float, float]:
    """All printed numbers, both bands, and 0; r ends at ±1."""
    evidence = fit.problem.evidence
    ends = [seen(fit.problem.scale, float(y)) for y in evidence.y if not math.isnan(y)] + [0.0]
    summaries = [s for places in found.values() for at in places for s in (at.mean, at.new)]
    ends += [end for s in summaries for end in (s.lower, s.upper) if end is not None]
    pad = 0.04 * (max(ends) - min(ends)) or 0.1
    low, high = min(ends) - pad, max(ends) + pad
    return (low, high) if fit.problem.scale == "yi" else (max(low, -1.0), min(high, 1.0))


def _handles(fit: Fit) -> list[Line2D | Patch]:
    prob = f"{fit.interval.prob * 100:g}%"
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=BLUE, linewidth=1.5, label="mean, median"),
        Patch(facecolor=BLUE, alpha=0.33, linewidth=0, label=f"mean, {prob}"),
        Patch(facecolor=BLUE, alpha=0.10, linewidth=0, label=f"new true effect, {prob}"),
    ]
    intervals = fit.problem.evidence.is_interval
    if not intervals.all():
        handles.append(Line2D([], [], color="#333333", alpha=0.55, marker="o", markersize=5,
                              linewidth=0, label="printed, by precision"))  # fmt: skip
    if intervals.any():
        handles.append(Line2D([], [], color=ORANGE, alpha=0.5, linewidth=0.9,
                              label="printed no number"))  # fmt: skip
    return handles


def _data(fit: Fit, moderator: str, found: Sequence[_At]) -> list[TableRow]:
    scale = fit.problem.scale
    rows: list[TableRow] = [
        {
            "moderator": moderator,
            "what": "model",
            "value": at.value,
            "estimate": at.mean.median,
            "lower": at.mean.lower,
            "upper": at.mean.upper,
            "new_lower": at.new.lower,
            "new_upper": at.new.upper,
        }
        for at in found
    ]
    cells = fit.problem.design.cells[moderator]
    for row, cell in zip(fit.problem.evidence.rows, cells, strict=True):
        ends = (row.yi, row.lower, row.upper)
        estimate, lower, upper = (None if x is None else seen(scale, x) for x in ends)
        rows.append(
            {
                "moderator": moderator,
                "what": f"{row.study}: {row.effect}",
                "value": None if is_blank(cell) else text(cell),
                "estimate": estimate,
                "lower": lower,
                "upper": upper,
            }
        )
    return rows


def _words(fit: Fit, found: dict[str, list[_At]]) -> str:
    said = []
    for moderator, places in found.items():
        is_factor = moderator in fit.problem.design.levels
        ends = places if is_factor else [places[0], places[-1]]
        means = ", ".join(
            f"{_median(at.mean)} at {at.value if is_factor else f'{at.value:g}'}" for at in ends
        )
        unknown = sum(map(is_blank, fit.problem.design.cells[moderator]))
        blank = f" (unknown in {unknown} rows, not drawn)" if unknown else ""
        said.append(f"By {moderator}{blank} the mean is {means}.")
    return " ".join(["Means along moderators, the others at their average.", *said])


def _median(summary: Summary) -> str:
    return "not available" if summary.median is None else f"{summary.median:.2f}"
