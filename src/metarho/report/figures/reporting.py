"""The answer under other assumptions on the reporting: the mean and a new study, line by line."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from metarho.compare.rows import Row
from metarho.report.figures.drawing import BLUE, GREEN, GREY, ORANGE, Drawing, canvas

_SHOWN = (
    "model", "prior", "assumption", "setting", "k_effects", "median", "lower", "upper",
    "new_lower", "new_upper",
)  # fmt: skip


def reporting(rows: Sequence[Row], scale: str, prob: float) -> Drawing:
    """A panel a model and prior set, a line a reading; the answer as printed goes through all."""
    panels = list(dict.fromkeys((row["model"], row["prior"]) for row in rows))
    several = len({prior for _, prior in panels}) > 1
    lines = list(dict.fromkeys((row["assumption"], row["setting"]) for row in rows))
    places: dict[tuple[object, object], float] = {}
    y = 0.0
    for index, line in enumerate(lines):
        # Assumptions stand apart.
        y -= 0.0 if index == 0 else 1.0 if line[0] == lines[index - 1][0] else 1.5
        places[line] = y
    with canvas(2.4 + 2.5 * len(panels), 0.19 * -y + 1.1) as figure:
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (model, prior) in zip(grid, panels, strict=True):
            mine = [row for row in rows if (row["model"], row["prior"]) == (model, prior)]
            _panel(axes, mine, {(row["assumption"], row["setting"]): row for row in mine}, places)
            title = f"{model}, {prior}" if several else str(model)
            axes.set_title(title, loc="left", parse_math=False)
            axes.set_xlabel("yi" if scale == "yi" else "correlation r")
        names = [f"{a}: {s}" for a, s in lines]
        grid[0].set_yticks(list(places.values()), names, parse_math=False)
        grid[0].set_ylim(y - 0.7, 0.7)
        figure.suptitle(
            f"Mean (thick) and a new study's true effect (thin), {prob * 100:g}%",
            fontsize=8.5, x=0.01, ha="left",
        )  # fmt: skip
    data = [{name: row[name] for name in _SHOWN} for row in rows]
    return Drawing(
        "reporting",
        figure,
        data,
        f"Intervals of the mean and of a new study under {len(lines)} readings of what was "
        f"printed, for {len(panels)} models.",
    )


def _panel(
    axes: Axes,
    rows: Sequence[Row],
    by_line: dict[tuple[object, object], Row],
    places: dict[tuple[object, object], float],
) -> None:
    for line, row in by_line.items():
        place = places[line]
        colour = ORANGE if line == next(iter(places)) else BLUE
        _line(axes, place, row["new_lower"], row["new_upper"], GREEN, 1.2)
        _line(axes, place, row["lower"], row["upper"], colour, 3.0)
        if isinstance(row["median"], float):
            axes.plot(row["median"], place, "o", color=colour, markersize=4.5,
                      markeredgecolor="white", markeredgewidth=0.7)  # fmt: skip
    if rows and isinstance(rows[0]["median"], float):
        axes.axvline(rows[0]["median"], color=ORANGE, linewidth=0.6, linestyle=":", zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _line(axes: Axes, y: float, low: object, high: object, colour: str, width: float) -> None:
    if isinstance(low, float) and isinstance(high, float):
        axes.plot([low, high], [y, y], color=colour, linewidth=width, solid_capstyle="butt")
