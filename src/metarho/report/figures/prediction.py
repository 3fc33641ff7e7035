"""What new studies would see: densities of the mean, the true and the observed correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from metarho.batch.prediction import Answer, Answers
from metarho.compare.rows import Row
from metarho.data.effect_sizes import critical_r
from metarho.posterior.marginals import Point
from metarho.predict.new_studies import Prediction
from metarho.report.figures.drawing import BLUE, GREEN, GREY, ORANGE, Drawing, bare, canvas

_LOOKS = {
    "mean": (BLUE, "-", "mean of true effects"),
    "true": (GREEN, "--", "true effect of the new study"),
    "observed": (ORANGE, "-", "what the new study observes"),
}
_POINTS = 400
# Fits on a page.
_MOST = 6
# The mean's density would dwarf the others: what is higher than this many times is cut.
_TALLEST = 2.5


def prediction(answers: Answers) -> Drawing:
    """A row of panels a fit that was asked, a panel a profile; of the first fits on a page."""
    count = len(answers.answers) // len(answers.candidates)
    shown = answers.answers[: count * _MOST]
    labels = list(dict.fromkeys(answer.profile.label for answer in shown))
    scale = shown[0].candidate.fit.problem.scale
    data: list[Row] = []
    low, high = _span(shown, scale)
    down = len(shown) // count
    with canvas(max(4.2, 3.4 * count), 1.75 * down + 0.9) as figure:
        grid = figure.subplots(down, count, squeeze=False, sharex=True)
        for index, answer in enumerate(shown):
            axes = grid[index // count, index % count]
            data += _panel(axes, answer, low, high)
            if index < count:
                ni = answer.profile.ni
                people = "" if ni is None else f" (n = {ni:g})"
                axes.set_title(f"{answer.profile.label}{people}", loc="left", parse_math=False)
            if index % count == 0:
                candidate = answer.candidate
                name = f"{candidate.model}\n{candidate.prior_set}"
                axes.set_ylabel(name, parse_math=False, fontsize=7)
        for axes in grid[-1]:
            axes.set_xlabel("yi" if scale == "yi" else "correlation r")
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=7)
    first = shown[0].candidate
    return Drawing(
        "predict",
        figure,
        data,
        f"Densities for new studies ({', '.join(labels)}) by {first.model} and other fits: "
        "the mean, the true effect and what is observed.",
    )


def _span(shown: Sequence[Answer], scale: str) -> tuple[float, float]:
    ranges = [item.marginal.range(0.002) for answer in shown for item in answer.found]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    pad = 0.03 * (high - low)
    low, high = min(low - pad, 0.0), max(high + pad, 0.0)
    return (max(low, -1.0), min(high, 1.0)) if scale != "yi" else (low, high)


def _panel(axes: Axes, answer: Answer, low: float, high: float) -> list[Row]:
    # Correlations have their densities between -1 and 1, which may be infinite at the ends.
    x = np.linspace(low, high, _POINTS + 2)[1:-1]
    rows: list[Row] = []
    tallest = []
    for item in answer.found:
        colour, dashes, label = _LOOKS[item.quantity]
        if isinstance(item.marginal, Point):
            axes.axvline(item.marginal.value, color=colour, linestyle=dashes, label=label)
            continue
        density = item.marginal.density(x)
        axes.plot(x, density, color=colour, linestyle=dashes, linewidth=1.3, label=label)
        if item.quantity != "mean":
            tallest.append(float(density.max()))
        rows += [
            {
                "model": answer.candidate.model,
                "priors": answer.candidate.prior_set,
                "intervals": answer.candidate.intervals,
                "new_study": answer.profile.label,
                "quantity": item.quantity,
                "x": float(a),
                "density": float(b),
            }
            for a, b in zip(x, density, strict=True)
        ]
    _significance(axes, answer.found[-1], x)
    axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.set_xlim(low, high)
    # A law that is narrower than the points of a wide panel may have none.
    axes.set_ylim(0, _TALLEST * max(tallest) if max(tallest, default=0.0) > 0 else None)
    bare(axes)
    return rows


def _significance(axes: Axes, item: Prediction, x: np.ndarray) -> None:
    """Where the new study would be significant, shaded, with the probability of that."""
    share = item.significant
    if share is None or item.ni is None:
        return
    limit = critical_r(item.ni)
    density = item.marginal.density(x)
    for where in (x >= limit, x <= -limit):
        axes.fill_between(x, density, where=where.tolist(), color=ORANGE, alpha=0.18, linewidth=0)
    axes.text(
        0.99,
        0.93,
        f"P(p < .05) = {share:.2f}",
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=7,
        color=ORANGE,
    )
