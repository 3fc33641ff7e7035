"""Prior sets side by side: the mean, a new study, and how well left-out studies are predicted."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from metarho.compare.rows import Row
from metarho.report.figures.drawing import BLUE, GREEN, GREY, NAME_LETTERS, Drawing, canvas, cut

_SHOWN = (
    "model", "prior", "intervals", "median", "lower", "upper", "new_lower", "new_upper",
    "elpd_diff", "elpd_diff_lower", "elpd_diff_upper",
)  # fmt: skip


def which_prior(rows: Sequence[Row], reference: str, scale: str, prob: float) -> Drawing:
    """``rows`` of the comparison, one line each, models apart."""
    groups = list(dict.fromkeys((row["model"], row["intervals"]) for row in rows))
    several = len({intervals for _, intervals in groups}) > 1
    # From the top: a heading for each model, then its prior sets.
    places: dict[float, str] = {}
    headings: dict[float, str] = {}
    at: list[float] = [0.0] * len(rows)
    y = 0.0
    for model, intervals in groups:
        headings[y] = cut(f"{model}, intervals: {intervals}" if several else str(model), 60)
        y -= 1
        for index, row in enumerate(rows):
            if (row["model"], row["intervals"]) == (model, intervals):
                at[index] = y
                places[y] = str(row["prior"])
                y -= 1
        y -= 0.4
    # Without a reference, or beside none, there is nothing to draw of scores.
    is_compared = any(isinstance(row["elpd_diff"], float) for row in rows)
    widths = [1.6, 1] if is_compared else [1]
    with canvas(7.2, 0.19 * -y + 1.0) as figure:
        panels = figure.subplots(1, len(widths), sharey=True, width_ratios=widths, squeeze=False)[0]
        left = panels[0]
        for place, row in zip(at, rows, strict=True):
            _line(left, place, row["new_lower"], row["new_upper"], GREEN, 1.2)
            _line(left, place, row["lower"], row["upper"], BLUE, 3.0)
            if isinstance(row["median"], float):
                left.plot(row["median"], place, "o", color=BLUE, markersize=4.5,
                          markeredgecolor="white", markeredgewidth=0.7)  # fmt: skip
            if is_compared:
                _line(panels[1], place, row["elpd_diff_lower"], row["elpd_diff_upper"], GREY, 1.2)
            if isinstance(row["elpd_diff"], float):
                panels[1].plot(row["elpd_diff"], place, "o", color=GREY, markersize=3.5)
        for place, heading in headings.items():
            left.text(0.0, place, heading, transform=left.get_yaxis_transform(), va="center",
                      weight="bold", fontsize=7.5, parse_math=False,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        names = [cut(name, NAME_LETTERS) for name in places.values()]
        left.set_yticks(list(places), names, parse_math=False)
        left.set_ylim(y + 0.8, 0.7)
        percent = f"{prob * 100:g}%"
        left.set_xlabel("yi" if scale == "yi" else "correlation r")
        left.set_title(f"Mean (thick) and a new study's true effect (thin), {percent}", loc="left")
        if is_compared:
            panels[1].set_xlabel("better  →")
            panels[1].set_title(
                f"elpd less that of {cut(reference, 14)}", loc="left", parse_math=False
            )
        for axes in panels:
            axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
    data = [{name: row[name] for name in _SHOWN} for row in rows]
    return Drawing(
        "which-prior",
        figure,
        data,
        f"Intervals of the mean and of a new study, and differences in predictive score to "
        f"{reference}, under {len({row['prior'] for row in rows})} prior sets.",
    )


def _line(axes: Axes, y: float, low: object, high: object, colour: str, width: float) -> None:
    if isinstance(low, float) and isinstance(high, float):
        axes.plot([low, high], [y, y], color=colour, linewidth=width, solid_capstyle="butt")
