"""Answers as selection grows stronger: over the weight of results of one stretch of p."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from metarho.compare.rows import Row
from metarho.compare.surface import Surface, Varied
from metarho.report.figures.drawing import BLUE, GREY, PAGE, Drawing, canvas
from metarho.report.figures.sensitivity import COLUMN, drawable, factor_axis, in_words
from metarho.spec.claims import Quantity

type Array = NDArray[np.float64]

# Of these three a reader wants one picture.
_TOGETHER = ("rho_median", "lower", "upper")
# Marks of the axis: more would run into each other.
_FACTORS = (1, 3)
# Panels side by side on a page.
_COLUMNS = 3


def selection_path(found: Surface, which: str, prob: float, rows: Sequence[Row]) -> Drawing:
    """The estimate with its interval in one panel, other quantities a panel each.

    ``which`` are the results that the weight is of. Left is no selection; log evidence is drawn
    relative to that.
    """
    (x,) = found.over
    panels = _panels(found, prob)
    columns = min(_COLUMNS, len(panels))
    lines = math.ceil(len(panels) / columns)
    with canvas(COLUMN if columns == 1 else PAGE, 2.5 * lines) as figure:
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, (title, draw) in zip(grid, panels, strict=False):
            draw(axes)
            weight_axis(axes, x)
            axes.set_title(title, loc="left", parse_math=False)
        for unused in grid[len(panels) :]:
            unused.remove()
        figure.supxlabel(f"chance of being reported, relative to all others: {which}",
                         fontsize=8, parse_math=False)  # fmt: skip
    names = ", ".join(in_words(quantity, prob) for quantity in found.quantities)
    return Drawing("sensitivity", figure, rows, f"{names}, over how often {which} are reported.")


def weight_axis(axes: Axes, one: Varied) -> None:
    """A log axis from no selection at the left, marked 1, 1/3, 1/10 and so on."""
    low, high = float(one.values[0]), float(one.values[-1])
    axes.set_xscale("log")
    axes.set_xlim(high, low)
    rare = [10**power * factor for power in range(5) for factor in _FACTORS]
    marks = {1 / factor: f"1/{factor}" for factor in rare[1:]} | {float(f): f"{f}" for f in rare}
    shown = {at: word for at, word in marks.items() if low * 0.999 <= at <= high * 1.001}
    if len(shown) < 2:
        return
    axes.xaxis.set_major_locator(FixedLocator(list(shown)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(shown), list(shown.values()))


def _panels(found: Surface, prob: float) -> list[tuple[str, Callable[[Axes], None]]]:
    """Titles, and what is drawn below them."""
    by_name = {quantity.name: quantity for quantity in found.quantities}
    panels: list[tuple[str, Callable[[Axes], None]]] = []
    apart = list(found.quantities)
    if {"lower", "upper"} <= by_name.keys():
        together = [by_name[name] for name in _TOGETHER if name in by_name]
        apart = [quantity for quantity in apart if quantity not in together]
        title = f"Mean correlation, {prob * 100:g}% interval"
        if "rho_median" not in by_name:
            title = f"{prob * 100:g}% interval of the mean"
        panels.append((title, partial(_interval, found=found, by_name=by_name)))
    for quantity in apart:
        title = in_words(quantity, prob)
        if quantity.name == "log_evidence":
            title = "Gain in log evidence"
        panels.append((title, partial(_curve, found=found, quantity=quantity)))
    return panels


def _interval(axes: Axes, found: Surface, by_name: dict[str, Quantity]) -> None:
    (x,) = found.over
    lower, upper = found.of(by_name["lower"]), found.of(by_name["upper"])
    axes.fill_between(x.values, lower, upper, color=BLUE, alpha=0.18, linewidth=0)
    if "rho_median" in by_name:
        axes.plot(x.values, found.of(by_name["rho_median"]), color=BLUE, linewidth=1.6)
    axes.axhline(0, color=GREY, linewidth=0.7, linestyle="--", zorder=0)


def _curve(axes: Axes, found: Surface, quantity: Quantity) -> None:
    (x,) = found.over
    values = drawable(quantity, found.of(quantity))
    if quantity.name == "log_evidence":
        values = values - found.own[found.quantities.index(quantity)]
        axes.axhline(0, color=GREY, linewidth=0.7, linestyle="--", zorder=0)
    if quantity.is_bayes_factor:
        factor_axis(axes, values[np.isfinite(values)])
        axes.axhline(1, color=GREY, linewidth=0.7, linestyle="--", zorder=0)
    axes.plot(x.values, values, color=BLUE, linewidth=1.6)
    if quantity.threshold is not None:
        axes.set_ylim(0, 1.02)
