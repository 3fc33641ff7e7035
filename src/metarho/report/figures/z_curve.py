"""Observed z against those that an ensemble expects, with selection and had all been reported."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from metarho.compare.ensemble import Ensemble
from metarho.compare.reported import Band
from metarho.compare.rows import Row
from metarho.compare.z_curve import Observed, ZCurve
from metarho.report.figures.drawing import BLUE, GREEN, GREY, PAGE, Drawing, canvas, fitted

type Array = NDArray[np.float64]

_HEIGHT = 3.2
# Where much was left out all results go out of the picture, not the others into a corner.
_TALLEST = 2.0
_FILL, _HATCH = "#C9CED6", "#F3D9C4"


def z_curve(ensemble: Ensemble, found: ZCurve, prob: float, name: str, title: str) -> Drawing:
    """The histogram of the rows, and over it what is expected of reported and of all results.

    Rows that printed no number are spread evenly over the interval that they stand for, on top of
    the others: no model says where in it they lie. ``found`` is the curve of the ensemble.
    """
    numbers, words = _heights(found)
    tallest = max((numbers + words).max(), found.reported.upper.max())
    top = 1.08 * min(max(tallest, found.all.mean.max()), _TALLEST * tallest)
    with canvas(PAGE, _HEIGHT) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        curves = dict(
            zip(_headings(found), ((found.reported, BLUE), (found.all, GREEN)), strict=True)
        )
        for axes, (heading, (curve, colour)) in zip(panels, curves.items(), strict=True):
            _histogram(axes, found.bins, numbers, words)
            _curve(axes, found, curve, colour)
            for cut in found.cutpoints:
                axes.axvline(cut, color=GREY, linewidth=0.8, linestyle=":", zorder=2.5)
            axes.set_xlim(found.bins[0], found.bins[-1])
            axes.set_title(heading, loc="left")
            axes.set_xlabel(_X[found.by])
        x, mean = _steep(found, found.reported.mean)
        panels[1].plot(x, mean, color=BLUE, linewidth=0.9, zorder=2.8)
        panels[0].set_ylim(0, top)
        panels[0].set_ylabel("density")
        figure.suptitle(fitted(title, PAGE - 0.6), x=0.01, ha="left", fontsize=8.5,
                        parse_math=False)  # fmt: skip
        _legend(figure, found, prob)
    return Drawing(name, figure, _data(found, numbers, words), _words(ensemble, found, prob))


_X = {
    "t": "z of the one-sided p of r's t test",
    "z": "z, the estimate over its standard error",
}


def _heights(found: ZCurve) -> tuple[Array, Array]:
    """Densities of the bins: of numbers, and of words on top of them."""
    bins, observed = found.bins, found.observed
    width = np.diff(bins)
    numbers = np.histogram(observed.numbers, bins)[0] / (observed.k * width)
    words = np.zeros(len(width))
    for low, high in zip(observed.lower, observed.upper, strict=True):
        clipped = np.clip([low, high], bins[0], bins[-1])
        inside = np.diff(np.clip(bins, *clipped))
        if inside.sum() > 0:
            words += inside / inside.sum() / (observed.k * width)
    return numbers, words


def _headings(found: ZCurve) -> tuple[str, str]:
    """What each panel says in numbers."""
    known = found.observed.significant
    share, low, high = (round(100 * one) for one in found.significant["reported"])
    seen = "" if known is None else f"{100 * known:.0f}% significant, "
    many, least, most = found.found
    everyone, lowest, highest = (round(100 * one) for one in found.significant["all"])
    return (
        f"Reported: {seen}{share}% [{low}, {high}] expected",
        f"All: {many:.2f} [{least:.2f}, {most:.2f}] found for one reported"
        if found.cutpoints
        else f"All: {everyone}% [{lowest}, {highest}] significant expected",
    )


def _histogram(axes: Axes, bins: Array, numbers: Array, words: Array) -> None:
    width = np.diff(bins)
    axes.bar(bins[:-1], numbers, width, align="edge", color=_FILL, edgecolor="white",
             linewidth=0.6, zorder=1)  # fmt: skip
    held = words > 0
    axes.bar(bins[:-1][held], words[held], width[held], bottom=numbers[held], align="edge",
             facecolor=_HATCH, edgecolor="white", linewidth=0.6, zorder=1)  # fmt: skip


def _curve(axes: Axes, found: ZCurve, of: Band, colour: str) -> None:
    x, mean = _steep(found, of.mean)
    lower, upper = (_steep(found, end)[1] for end in (of.lower, of.upper))
    axes.fill_between(x, lower, upper, color=colour, alpha=0.18, linewidth=0, zorder=2)
    axes.plot(x, mean, color=colour, linewidth=1.6, zorder=3)


def _steep(found: ZCurve, values: Array) -> tuple[Array, Array]:
    """Values at the middle of the cells, and on both sides of where they may jump."""
    edges = found.edges
    x, y = 0.5 * (edges[1:] + edges[:-1]), values
    for cut in found.cutpoints:
        place = int(np.searchsorted(x, cut))
        if 1 < place < len(x) - 1:
            # On either side as the last two cells go on.
            sides = [
                y[a] + (cut - x[a]) * (y[a] - y[b]) / (x[a] - x[b])
                for a, b in ((place - 1, place - 2), (place, place + 1))
            ]
            x = np.insert(x, place, [cut, cut])
            y = np.insert(y, place, np.maximum(sides, 0.0))
    return x, y


def _legend(figure: Figure, found: ZCurve, prob: float) -> None:
    handles: list[Line2D | Patch] = []
    observed, band = found.observed, f"{prob * 100:g}% band"
    if len(observed.numbers):
        handles.append(Patch(facecolor=_FILL, label=f"printed a number ({len(observed.numbers)})"))
    if len(observed.lower):
        label = f"printed none ({len(observed.lower)}): spread over its interval"
        handles.append(Patch(facecolor=_HATCH, label=label))
    handles += [
        Line2D([], [], color=BLUE, linewidth=1.6, label=f"expected of reported results, {band}"),
        Line2D([], [], color=GREEN, linewidth=1.6, label=f"had all been reported, {band}"),
    ]
    if found.cutpoints:
        handles.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle=":",
                              label="a chance of being reported changes"))  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7)


def _data(found: ZCurve, numbers: Array, words: Array) -> list[Row]:
    rows: list[Row] = []
    for of, heights in (("numbers", numbers), ("words", words)):
        rows += [
            {"of": of, "z_from": low, "z_to": high, "density": height, "lower": None, "upper": None}
            for low, high, height in zip(
                found.bins.tolist(), found.bins[1:].tolist(), heights.tolist(), strict=False
            )
        ]
    for of, one in (("reported", found.reported), ("all", found.all)):
        rows += [
            {"of": of, "z_from": a, "z_to": b, "density": mean, "lower": lower, "upper": upper}
            for a, b, mean, lower, upper in zip(
                found.edges.tolist(),
                found.edges[1:].tolist(),
                one.mean.tolist(),
                one.lower.tolist(),
                one.upper.tolist(),
                strict=False,
            )
        ]
    return rows


def _words(ensemble: Ensemble, found: ZCurve, prob: float) -> str:
    observed = found.observed
    known = observed.significant
    shares = {of: _percent(three) for of, three in found.significant.items()}
    said = f"z of {len(observed.numbers)} rows that printed a number"
    if len(observed.lower):
        said += f" and of {len(observed.lower)} that stand for an interval"
    beyond = _beyond(observed, found.bins)
    said += f", {beyond} of them beyond the axis" if beyond else ""
    said += f", and what {len(ensemble.members)} models expect on average. Significant at .05: "
    said += "" if known is None else f"{100 * known:.0f}% of the rows that tell, "
    said += f"{shares['reported']} expected of reported results, {shares['all']} had all been "
    said += f"reported ({100 * prob:g}% intervals)."
    if not found.cutpoints:
        return said
    many = " to ".join(f"{end:.2f}" for end in found.found[1:])
    return f"{said} For one that is reported {found.found[0]:.2f} ({many}) were found."


def _percent(three: tuple[float, float, float]) -> str:
    mean, lower, upper = (100 * one for one in three)
    return f"{mean:.0f}% ({lower:.0f} to {upper:.0f})"


def _beyond(observed: Observed, bins: Array) -> int:
    return int(((observed.numbers < bins[0]) | (observed.numbers > bins[-1])).sum())
