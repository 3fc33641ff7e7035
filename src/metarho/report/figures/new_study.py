"""What a new study would see: mean, true effect and observed effect of each profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metarho.batch.tables import five
from metarho.compare.rows import Row
from metarho.predict.new_studies import QUANTITIES, Prediction
from metarho.report.figures.drawing import (
    BLUE,
    GREEN,
    GREY,
    NAME_LETTERS,
    ORANGE,
    Drawing,
    canvas,
    cut,
    fitted,
)

_COLOURS = {"mean": BLUE, "true": GREEN, "observed": ORANGE}
_NAMES = {
    "mean": "mean of true effects",
    "true": "true effect of a new study",
    "observed": "what the new study observes",
}


def new_study(
    predictions: Mapping[str, Sequence[Prediction]], name: str, title: str, scale: str, prob: float
) -> Drawing:
    """``predictions`` by prior set, all of one model; a panel a profile, three bars a prior set."""
    profiles = list(dict.fromkeys(p.profile for found in predictions.values() for p in found))
    data: list[Row] = []
    height = len(profiles) * (0.56 * len(predictions) + 0.5) + 0.9
    with canvas(7.2, height) as figure:
        grid = figure.subplots(len(profiles), 1, squeeze=False, sharex=True)[:, 0]
        for axes, profile in zip(grid, profiles, strict=True):
            for row, (prior_set, found) in enumerate(predictions.items()):
                for item in found:
                    if item.profile != profile:
                        continue
                    y = -row + 0.25 - 0.25 * QUANTITIES.index(item.quantity)
                    summary = item.summary
                    if summary.lower is None or summary.upper is None or summary.median is None:
                        continue
                    colour = _COLOURS[item.quantity]
                    axes.plot(
                        [summary.lower, summary.upper],
                        [y, y],
                        color=colour,
                        linewidth=2.2,
                        solid_capstyle="butt",
                        label=_NAMES[item.quantity] if row == 0 else None,
                    )
                    axes.plot(
                        summary.median,
                        y,
                        "o",
                        color=colour,
                        markersize=4,
                        markeredgecolor="white",
                        markeredgewidth=0.6,
                    )
                    data.append(
                        {
                            "new_study": profile,
                            "priors": prior_set,
                            "quantity": item.quantity,
                            "ni": item.ni,
                            **five(summary),
                        }
                    )
            axes.set_yticks([-row for row in range(len(predictions))])
            axes.set_yticklabels([cut(one, NAME_LETTERS) for one in predictions], parse_math=False)
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
            axes.set_ylim(-len(predictions) + 0.4, 0.6)
            axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
            ni = next((p.ni for f in predictions.values() for p in f if p.profile == profile), None)
            people = "" if ni is None else f" (n = {ni:g})"
            axes.set_title(f"{fitted(profile, 3.5)}{people}", loc="left", parse_math=False)
        grid[-1].set_xlabel("yi" if scale == "yi" else "correlation r")
        figure.suptitle(
            f"{fitted(title, 4.5)}: medians and {prob * 100:g}% intervals",
            x=0.01,
            ha="left",
            fontsize=8.5,
            parse_math=False,
        )
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7)
    return Drawing(
        name,
        figure,
        data,
        f"Intervals for new studies ({', '.join(profiles)}) under the prior sets "
        f"{', '.join(predictions)}.",
    )
