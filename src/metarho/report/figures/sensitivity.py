"""Quantities over arguments of priors: contours of a surface, curves, matched families."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from metarho.compare.matched import Matched
from metarho.compare.rows import Row
from metarho.compare.surface import Surface, Varied
from metarho.report.figures.drawing import BLUE, COLOURS, GREY, NAME_LETTERS, Drawing, canvas, cut
from metarho.spec.claims import Quantity
from metarho.spec.weight_arguments import WeightArgument

type Array = NDArray[np.float64]

# A column of a journal's page, in inches; two panels stand side by side on a page.
COLUMN = 3.5
_PROBABILITIES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.975, 0.99, 0.999)
# Jeffreys' steps of a Bayes factor, both ways, and on.
_FACTORS = (0.01, 1 / 30, 0.1, 1 / 3, 1, 3, 10, 30, 100, 1e3, 1e4, 1e5, 1e6, 1e8, 1e12, 1e20)
# On an axis of more decades numbers between powers of ten run into each other.
_FEW_DECADES = 5
# Where an axis of powers of ten can still have margins.
_ON_PAPER = (1e-250, 1e250)
# Told apart in grey too.
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), "--", "-.")
# Behind words on colours. A halo would turn words into outlines, which nobody can search or read
# out.
_PAPER = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8}

_WORDS: Mapping[str, str] = {
    "rho_median": "Median of the mean correlation",
    "rho_mean": "Mean correlation of true effects",
    "lower": "Lower end of the mean's {percent} interval",
    "upper": "Upper end of the mean's {percent} interval",
    "new_lower": "Lower end of a new study's {percent} interval",
    "new_upper": "Upper end of a new study's {percent} interval",
    "tau": "Median of tau",
    "log_evidence": "Log evidence",
    "bf_mu": "Bayes factor for an effect",
    "bf_tau": "Bayes factor for heterogeneity",
    "bf_effect": "Inclusion Bayes factor of an effect",
    "bf_heterogeneity": "Inclusion Bayes factor of heterogeneity",
    "bf_bias": "Inclusion Bayes factor of bias",
    "rho": "P(mean correlation > {threshold:g})",
    "rho_new": "P(new study's correlation > {threshold:g})",
}
_SCALES = {"z": "Fisher's z", "r": "r", "yi": "the scale of yi"}


def in_words(quantity: Quantity, prob: float) -> str:
    """A quantity as a figure's title; ``prob`` is that of its interval."""
    return _WORDS[quantity.name].format(percent=f"{prob * 100:g}%", threshold=quantity.threshold)


def axis_label(one: Varied, priors: Mapping[str, str], scale: str) -> str:
    """What is varied, in words, with the family and the scale that the prior is on."""
    argument = one.argument
    if isinstance(argument, WeightArgument):
        return f"relative chance of being reported, {argument.stretch} {argument.cutpoint:g}"
    family, _, rest = priors[argument.parameter].partition("(")
    if argument.name == "width":
        return f"prior of {argument.parameter}: times its own width ({family})"
    on = rest.rpartition(") on ")[2] if ") on " in rest else _SCALES[scale]
    # The centre of a prior of mu is called mu too.
    is_centre = family in ("Normal", "StudentT", "Cauchy") and not one.is_scale
    what = "centre" if is_centre else argument.name
    return f"{what} of {argument.parameter}'s prior ({family}, {on})"


def sensitivity_surface(
    found: Surface,
    places: Mapping[str, tuple[float, ...]],
    thresholds: Sequence[float],
    priors: Mapping[str, str],
    scale: str,
    prob: float,
    rows: Sequence[Row],
) -> Drawing:
    """A panel a quantity: filled contours, thresholds as labelled lines, prior sets as points."""
    x, y = found.over
    with canvas(*_size(len(found.quantities), 2.9)) as figure:
        for axes, quantity in zip(_panels(figure, len(found.quantities)), found.quantities,
                                  strict=True):  # fmt: skip
            _contours(figure, axes, found, quantity, thresholds)
            _points(axes, x, y, places)
            scaled(axes, x, "x")
            scaled(axes, y, "y")
            axes.set_xlabel(axis_label(x, priors, scale), parse_math=False)
            axes.set_ylabel(axis_label(y, priors, scale), parse_math=False)
            axes.set_title(in_words(quantity, prob), loc="left")
    names = ", ".join(in_words(quantity, prob) for quantity in found.quantities)
    return Drawing(
        "sensitivity",
        figure,
        rows,
        f"{names}, over {x.argument} and {y.argument}; prior sets of the analysis are points: "
        f"{', '.join(places) or 'none'}.",
    )


def sensitivity_curves(
    found: Surface,
    places: Mapping[str, tuple[float, ...]],
    thresholds: Sequence[float],
    priors: Mapping[str, str],
    scale: str,
    prob: float,
    rows: Sequence[Row],
) -> Drawing:
    """A panel a quantity: its curve, thresholds as lines, prior sets as points on it."""
    (x,) = found.over
    with canvas(*_size(len(found.quantities), 2.4)) as figure:
        for axes, quantity in zip(_panels(figure, len(found.quantities)), found.quantities,
                                  strict=True):  # fmt: skip
            values = drawable(quantity, found.of(quantity))
            axes.plot(x.values, values, color=BLUE, linewidth=1.6)
            _value_axis(axes, quantity, values, thresholds)
            for name, (place,) in places.items():
                if x.values[0] <= place <= x.values[-1]:
                    _point(axes, place, _between(x, values, place), name)
            scaled(axes, x, "x")
            axes.set_xlabel(axis_label(x, priors, scale), parse_math=False)
            axes.set_title(in_words(quantity, prob), loc="left")
    names = ", ".join(in_words(quantity, prob) for quantity in found.quantities)
    return Drawing("sensitivity", figure, rows, f"{names}, over {x.argument}.")


def sensitivity_matched(
    found: Matched, thresholds: Sequence[float], scale: str, prob: float, rows: Sequence[Row]
) -> Drawing:
    """A panel a quantity, a line a family, over what they have in common."""
    on = _SCALES[scale]
    shared = {
        "median": f"prior median of {found.parameter} ({on})",
        "tail": f"upper 5% point of {found.parameter}'s prior ({on})",
        "information": "share of heterogeneity that the prior expects",
    }[found.match]
    with canvas(*_size(len(found.quantities), 2.5, legend=0.75)) as figure:
        panels = _panels(figure, len(found.quantities))
        for axes, quantity in zip(panels, found.quantities, strict=True):
            for index, (family, values) in enumerate(
                zip(found.families, drawable(quantity, found.of(quantity)), strict=True)
            ):
                own = index == 0
                axes.plot(
                    found.values,
                    values,
                    color="black" if own else COLOURS[(index - 1) % len(COLOURS)],
                    linestyle="-" if own else _STYLES[index - 1],
                    linewidth=2.4 if own else 1.2,
                    alpha=0.35 if own else 1.0,
                    label=family,
                )
            shown = drawable(quantity, found.of(quantity))
            _value_axis(axes, quantity, shown, thresholds)
            axes.axvline(found.own, color=GREY, linewidth=0.8, linestyle=":")
            if found.match != "information":
                axes.set_xscale("log")
                _plain_log(axes, "x")
            axes.set_xlabel(shared)
            axes.set_title(in_words(quantity, prob), loc="left")
        lines, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            lines,
            labels,
            loc="outside lower center",
            ncols=2 if len(found.quantities) == 1 else 4,
            fontsize=7,
        )
    return Drawing(
        "sensitivity",
        figure,
        rows,
        f"{', '.join(in_words(one, prob) for one in found.quantities)} under "
        f"{len(found.families)} families of priors of {found.parameter}, matched by "
        f"{found.match}; the dotted line is the model's own.",
    )


def drawable(quantity: Quantity, values: Array) -> Array:
    """Values, NaN for those without a place on paper: Bayes factors that no axis can hold."""
    low, high = _ON_PAPER if quantity.is_bayes_factor else (-np.inf, np.inf)
    return np.where(np.isfinite(values) & (values > low) & (values < high), values, np.nan)


def _size(panels: int, height: float, legend: float = 0.0) -> tuple[float, float]:
    if panels == 1:
        return COLUMN, height + legend
    return 2 * COLUMN + 0.2, height * math.ceil(panels / 2) + legend


def _panels(figure: Figure, count: int) -> list[Axes]:
    """As many panels as quantities, two a row."""
    columns = min(count, 2)
    grid = figure.subplots(math.ceil(count / columns), columns, squeeze=False)
    everyone = list(grid.ravel())
    for unused in everyone[count:]:
        unused.remove()
    return everyone[:count]


def _levels(quantity: Quantity, values: Array, thresholds: Sequence[float]) -> list[float]:
    """Numbers that a reader looks for, within what the values reach."""
    low, high = float(values.min()), float(values.max())
    if quantity.threshold is not None:
        wanted: Sequence[float] = _PROBABILITIES
    elif quantity.is_bayes_factor:
        wanted = _FACTORS
    elif quantity.name in ("tau", "log_evidence"):
        wanted = list(MaxNLocator(6).tick_values(low, high))
    else:
        ticks = list(MaxNLocator(6).tick_values(low, high))
        # A round number beside a threshold would print over it.
        near = 0.35 * (ticks[1] - ticks[0])
        apart = [tick for tick in ticks if all(abs(tick - t) > near for t in thresholds)]
        wanted = [*apart, *thresholds]
    return sorted({round(level, 12) for level in wanted if low < level < high})


def _written(quantity: Quantity, level: float) -> str:
    if quantity.is_bayes_factor and level < 1:
        return f"1/{1 / level:.0f}"
    return f"{level:,.0f}" if 1000 <= level < 1e6 else f"{level:.4g}"


def _contours(
    figure: Figure, axes: Axes, found: Surface, quantity: Quantity, thresholds: Sequence[float]
) -> None:
    x, y = found.over
    finite = np.ma.masked_invalid(drawable(quantity, found.of(quantity).T))
    if finite.count() == 0:
        _no_value(axes)
        return
    shown = np.ma.log10(finite) if quantity.is_bayes_factor else finite
    low, high = float(shown.min()), float(shown.max())
    if not high - low > 1e-9 * max(1.0, abs(low)):
        axes.text(0.5, 0.5, f"{_written(quantity, float(finite.min()))} everywhere",
                  transform=axes.transAxes, ha="center")  # fmt: skip
        axes.set_xlim(x.values[0], x.values[-1])
        axes.set_ylim(y.values[0], y.values[-1])
        return
    fill = np.linspace(low, high, 13)
    filled = axes.contourf(x.values, y.values, shown, levels=fill, cmap="cividis",
                           norm=BoundaryNorm(fill, 256))  # fmt: skip
    # Neighbouring fills would show hairlines of the page between them.
    filled.set_edgecolor("face")
    levels = _levels(quantity, np.asarray(finite.compressed()), thresholds)
    at = [math.log10(level) for level in levels] if quantity.is_bayes_factor else levels
    if at:
        lines = axes.contour(
            x.values, y.values, shown, levels=at, colors="black", linewidths=0.8, linestyles="solid"
        )
        lines.set_path_effects([patheffects.withStroke(linewidth=1.6, foreground="white")])
        texts = {level: _written(quantity, name) for level, name in zip(at, levels, strict=True)}
        for text in axes.clabel(lines, fmt=texts, fontsize=6.5, colors="black"):
            text.set_bbox(_PAPER)
    bar = figure.colorbar(filled, ax=axes, pad=0.02, aspect=28)
    ticks = fill[::3]
    named = 10**ticks if quantity.is_bayes_factor else ticks
    bar.set_ticks(ticks.tolist(), labels=[f"{value:.3g}" for value in named])
    bar.ax.tick_params(labelsize=6.5, width=0.5)
    bar.outline.set_linewidth(0.4)


def _no_value(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no value", transform=axes.transAxes, ha="center")


def _points(axes: Axes, x: Varied, y: Varied, places: Mapping[str, tuple[float, ...]]) -> None:
    for name, (at_x, at_y) in places.items():
        inside = x.values[0] <= at_x <= x.values[-1] and y.values[0] <= at_y <= y.values[-1]
        if inside:
            _point(axes, at_x, at_y, name)


def _point(axes: Axes, x: float, y: float, name: str) -> None:
    axes.plot(x, y, "o", color="black", markersize=4, markeredgecolor="white", markeredgewidth=0.8)
    left = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[0] > 0.6
    # A name is never a reason to make its panel smaller.
    axes.annotate(cut(name, NAME_LETTERS), (x, y), xytext=(-5 if left else 5, 3),
                  textcoords="offset points", ha="right" if left else "left", fontsize=6.5,
                  parse_math=False, bbox=_PAPER).set_in_layout(False)  # fmt: skip


def _between(x: Varied, values: Array, at: float) -> float:
    """A curve's height between its points."""
    return float(np.interp(at, x.values, values))


def _value_axis(axes: Axes, quantity: Quantity, values: Array, thresholds: Sequence[float]) -> None:
    """The axis of a quantity, with thresholds as lines."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        _no_value(axes)
        return
    if quantity.is_bayes_factor:
        factor_axis(axes, finite)
        axes.axhline(1, color=GREY, linewidth=0.6, zorder=0)
    low, high = float(finite.min()), float(finite.max())
    lines: Sequence[float] = ()
    if quantity.threshold is not None:
        lines = (0.5, 0.9, 0.95)
    elif quantity.name in ("lower", "upper", "new_lower", "new_upper"):
        lines = thresholds
    for line in lines:
        if low - 0.15 * (high - low) <= line <= high + 0.15 * (high - low):
            axes.axhline(line, color=GREY, linewidth=0.7, linestyle="--", zorder=0)
            axes.text(0.995, line, f"{line:g}", transform=axes.get_yaxis_transform(),
                      ha="right", va="bottom", fontsize=6.5, color=GREY)  # fmt: skip


def factor_axis(axes: Axes, values: Array) -> None:
    """A log axis of Bayes factors, above 0: in numbers where few are enough, else in powers of ten.

    1 is always on it.
    """
    axes.set_yscale("log")
    low, high = min(1.0, float(values.min())), max(1.0, float(values.max()))
    if math.log10(high / low) > _FEW_DECADES:
        return
    steps = (1, 2, 5) if high / low < 30 else (1, 3)
    ticks = [step * 10.0**power for power in range(-_FEW_DECADES, _FEW_DECADES) for step in steps]
    ticks = [1 / tick for tick in ticks if tick > 1] + [tick for tick in ticks if tick >= 1]
    axes.yaxis.set_major_locator(FixedLocator([t for t in ticks if low / 1.3 < t < high * 1.3]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: _factor(value)))
    axes.yaxis.set_minor_locator(NullLocator())


def _factor(value: float) -> str:
    return f"1/{1 / value:,.0f}" if value < 1 else f"{value:,.0f}"


def scaled(axes: Axes, one: Varied, which: str) -> None:
    """A log axis for scales; it begins and ends where the values do."""
    set_limits = axes.set_xlim if which == "x" else axes.set_ylim
    if one.is_scale:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        _plain_log(axes, which)
    set_limits(float(one.values[0]), float(one.values[-1]))


def _plain_log(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
