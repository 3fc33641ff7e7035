"""Chances of being reported by one-sided p, averaged over an ensemble: median and interval."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from metarho.compare.ensemble import ALL, Ensemble, Estimate
from metarho.compare.rows import Row
from metarho.report.figures.drawing import BLUE, COLUMN, GREY, ORANGE, Drawing, canvas

_COLOURS = (BLUE, ORANGE)


def no_weight_function(ensemble: Ensemble) -> str | None:
    """Why there is none to draw; None where there is."""
    return None if ensemble.stretches else "no member selects by p"


def weight_function(
    ensemble: Ensemble, estimates: Sequence[Estimate], prob: float, name: str, title: str
) -> Drawing:
    """Over all members, and over those with a weight function, side by side.

    Where a member selects nothing by p all its weights are 1.

    Stretches of p are as wide as each other: most cutpoints lie below .05 and above .95.
    """
    own = {(one.quantity, one.over): one for one in estimates}
    overs = list(dict.fromkeys(o for q, o in own if q.startswith("omega[")))
    data: list[Row] = []
    with canvas(COLUMN * len(overs), 2.5) as figure:
        panels = figure.subplots(1, len(overs), sharey=True, squeeze=False)[0]
        for axes, over, colour in zip(panels, overs, _COLOURS, strict=False):
            rows = [
                _row(low, high, own.get((f"omega[{low:g}-{high:g}]", over)), over)
                for low, high in ensemble.stretches
            ]
            _steps(axes, rows, colour)
            axes.set_title("all members" if over == ALL else f"members {over}", loc="left")
            axes.set_xlabel("one-sided p (not to scale)")
            data += rows
        panels[0].set_ylabel("chance of being reported")
        figure.suptitle(
            f"{title}: median and {prob * 100:g}% interval", x=0.01, ha="left", fontsize=8.5,
            parse_math=False,
        )  # fmt: skip
    said = "; ".join(
        f"p {row['p_from']:g} to {row['p_to']:g}: {row['median']:.2f}"
        for row in data
        if row["over"] == ALL
    )
    return Drawing(
        name, figure, data, f"Median chances of being reported over all members, by p: {said}."
    )


def _row(low: float, high: float, one: Estimate | None, over: str) -> Row:
    """A stretch of p. Where no member weighs it, it is what others are relative to."""
    ends = (1.0, 1.0, 1.0) if one is None else _ends(one)
    return {
        "over": over,
        "p_from": low,
        "p_to": high,
        "mean": 1.0 if one is None else one.summary.mean,
        "median": ends[0],
        "lower": ends[1],
        "upper": ends[2],
        "probability_of_1": 1.0 if one is None else one.spike,
    }


def _ends(one: Estimate) -> tuple[float | None, float | None, float | None]:
    return one.summary.median, one.summary.lower, one.summary.upper


def _steps(axes: Axes, rows: Sequence[Row], colour: str) -> None:
    places = list(range(len(rows) + 1))
    low, high, median, mean = (
        [float(row[name] or 0.0) for row in rows] for name in ("lower", "upper", "median", "mean")
    )
    axes.stairs(high, places, baseline=low, fill=True, color=colour, alpha=0.2, linewidth=0)
    axes.stairs(mean, places, baseline=None, color=GREY, linestyle="--", label="mean")
    axes.stairs(median, places, baseline=None, color=colour, linewidth=1.6, label="median")
    axes.legend(fontsize=7, loc="lower left")
    cuts = [float(rows[0]["p_from"] or 0.0), *(float(row["p_to"] or 0.0) for row in rows)]
    axes.set_xticks(places, [f"{cut:g}".replace("0.", ".") for cut in cuts])
    axes.set_xlim(0, len(rows))
    axes.set_ylim(0, 1.03)
