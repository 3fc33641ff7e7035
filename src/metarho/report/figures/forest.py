"""The forest plot: what each row printed, what the model makes of it, mean and prediction.

Laid out as in journals: names and numbers of people on the left, the plot, then r with its interval
and the weight. The columns are as wide as what stands in them, the plot has the rest of the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import blended_transform_factory
from numpy.typing import NDArray

from metarho.compare.rows import Row as TableRow
from metarho.data.studies import Row, Studies
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import ABSENT, Point, Summary
from metarho.posterior.weights import no_weights, weights
from metarho.report.figures.drawing import (
    BLUE,
    DOTS_AN_INCH,
    GREY,
    ORANGE,
    PAGE,
    Drawing,
    canvas,
    cut,
    fitted,
    target,
)
from metarho.report.figures.rows import printed, printed_ends, tip_of, two_digits
from metarho.report.figures.scales import in_brackets, label_of_both

type Array = NDArray[np.float64]

_PALE = "#F3C9AE"
# Inches: a row, above the first one (title, heads of columns), below the last one (axis, legend),
# the page's edge, between columns, and the most that names may take.
_PITCH, _ABOVE, _BELOW, _EDGE, _GAP, _NAMES = 0.2, 0.55, 0.72, 0.05, 0.14, 2.1
# Beyond so many rows a row is lower and its letters are smaller: 500 then take 70 inches.
_MANY, _CLOSE = 60, 0.14
# Letters that a name may have before its width is measured.
_LETTERS = 60
# Rows of the plot below the separator: half a one, mean, room for a density, new study, half.
_POOLED = 4.0
_POINTS = 300


@dataclass(frozen=True)
class _Columns:
    """The text of a line; the last three stand on the right."""

    name: str
    people: str = ""
    estimate: str = ""
    weight: str = ""


def forest(fit: Fit, studies: Studies, name: str, title: str) -> Drawing:
    """Rows in the order of the file; r scale (GEN: the scale of yi).

    Squares are printed correlations with 95% confidence intervals, their area by precision; bars
    are the intervals of rows that printed no r; blue dots are the model's estimates of true
    effects. The diamond is the mean, below it the true effect of a new study with its density.
    Weights are of ``posterior.weights``: shares in the mean of rows that printed a number.
    """
    rows = [row for row in studies.rows if row.included]
    shrunken, shares = _true_effects(fit), _weights(fit)
    lines = [
        _line(fit, row, shrunken.get((row.study, row.effect)), shares.get((row.study, row.effect)))
        for row in rows
    ]
    mean, new = fit.pooled, fit.pooled_new
    data: list[TableRow] = [*lines, _pooled_line("mean", mean), _pooled_line("new study", new)]
    pitch, size = (_PITCH, 7.5) if len(rows) <= _MANY else (_CLOSE, 6.0)
    height = pitch * (len(rows) + _POOLED) + _ABOVE + _BELOW
    base = -len(rows) - 0.5
    with canvas(PAGE, height, layout=None) as figure:
        # Letters are measured as the PNG has them: at fewer dots they are narrower.
        figure.set_dpi(DOTS_AN_INCH)
        texts = [_texts(fit, row, line, rows) for row, line in zip(rows, lines, strict=True)]
        below = [_Columns("mean", "", in_brackets(mean), "100%" if shares else ""),
                 _Columns("new study", "", in_brackets(new))]  # fmt: skip
        heads = _heads(fit, texts, bool(shares))
        edges = _edges(figure, [heads, *texts, *below], size)
        axes = figure.add_axes(
            (
                edges.left / PAGE,
                _BELOW / height,
                (edges.right - edges.left) / PAGE,
                1 - (_ABOVE + _BELOW) / height,
            )
        )
        low, high = _limits(fit, lines, new)
        axes.set_xlim(low, high)
        axes.set_ylim(base - 3.0, 0.5)
        ys = [*(-float(place) for place in range(len(rows))), base - 0.5, base - 2.0]
        for y, line_of_text in zip(ys, [*texts, *below], strict=True):
            _write(axes, edges, y, line_of_text, size)
        _write(axes, edges, 0.5 + 0.13 / pitch, heads, size, weight="bold")
        heaviest = max((1 / row.vi for row in rows if row.vi), default=1.0)
        for y, row, line in zip(ys, rows, lines, strict=False):
            _draw_row(axes, row, line, y, (low, high), heaviest, 1.0 if pitch == _PITCH else 0.7)
            target(axes, f"{name}-row-{-int(y)}", (low, high), (y - 0.5, y + 0.5))
        _pooled(axes, fit, base, ys[-2:])
        _rules(axes, edges, base)
        axes.set_xlabel(label_of_both(fit.problem))
        _title(figure, title, height)
        _legend(figure, rows, bool(shrunken))
    tips = {
        f"{name}-row-{place}": _tip(fit, row, line)
        for place, (row, line) in enumerate(zip(rows, lines, strict=True))
    }
    return Drawing(name, figure, data, _words(fit, rows, mean, new), tips)


def _tip(fit: Fit, row: Row, line: dict[str, str | float | None]) -> str:
    if line["true_median"] is None:
        return tip_of(row, fit.problem.scale)
    median, lower, upper = (_r(line[f"true_{name}"]) for name in ("median", "lower", "upper"))
    prob = f"{fit.interval.prob * 100:g}%"
    said = f"true effect by the model {median} [{lower}, {upper}] ({prob})"
    return tip_of(row, fit.problem.scale, said)


def _true_effects(fit: Fit) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Median and interval of each true effect, on r, from the fit's draws; none without them."""
    if "theta" not in fit.tree["posterior"]:
        return {}
    theta = fit.tree["posterior"]["theta"].to_numpy()
    tail = (1 - fit.interval.prob) / 2
    values = np.quantile(theta.reshape(-1, theta.shape[-1]), [tail, 0.5, 1 - tail], axis=0)
    if fit.problem.scale == "z":
        values = np.tanh(values)
    return {
        (row.study, row.effect): (float(low), float(middle), float(high))
        for row, (low, middle, high) in zip(fit.problem.evidence.rows, values.T, strict=True)
    }


def _weights(fit: Fit) -> dict[tuple[str, str], float]:
    """The weight of each row that printed a number; none where rows have no weights."""
    if no_weights(fit.problem):
        return {}
    found = zip(fit.problem.evidence.rows, weights(fit).tolist(), strict=True)
    return {(row.study, row.effect): share for row, share in found if not math.isnan(share)}


def _line(
    fit: Fit, row: Row, true: tuple[float, float, float] | None, weight: float | None
) -> dict[str, str | float | None]:
    middle, lower, upper = printed_ends(row, fit.problem.scale)
    return {
        "study": row.study,
        "effect": row.effect,
        "reported": row.reported,
        "ni": row.ni,
        "estimate": middle,
        "lower": lower,
        "upper": upper,
        "true_median": true[1] if true else None,
        "true_lower": true[0] if true else None,
        "true_upper": true[2] if true else None,
        "weight": weight,
    }


def _pooled_line(name: str, summary: Summary) -> dict[str, str | float | None]:
    return {
        "study": name,
        "estimate": summary.median,
        "lower": summary.lower,
        "upper": summary.upper,
    }


def _limits(
    fit: Fit, lines: list[dict[str, str | float | None]], new: Summary
) -> tuple[float, float]:
    ends = [float(line[end] or 0.0) for line in lines for end in ("lower", "upper")]
    ends += [new.lower or 0.0, new.upper or 0.0, 0.0]
    finite = [end for end in ends if math.isfinite(end)]
    low, high = min(finite), max(finite)
    if fit.problem.scale != "yi":
        # Words reach to r = 1; the arrow says so without spending the page on it.
        numbers = [
            float(line[e] or 0.0)
            for line in lines
            for e in ("lower", "upper")
            if line["estimate"] is not None
        ]
        low = max(-1.0, min([*numbers, new.lower or 0.0, -0.3]) - 0.05)
        high = min(1.0, max([*numbers, new.upper or 0.0, 0.6]) + 0.05)
        return low, high
    pad = 0.05 * (high - low)
    return low - pad, high + pad


@dataclass(frozen=True)
class _Edges:
    """Inches from the left: names begin, people end, the plot, estimates and weights end."""

    names: float
    people: float
    left: float
    right: float
    estimates: float
    weights: float
    most: float
    """What a name may take."""


def _edges(figure: Figure, lines: Sequence[_Columns], size: float) -> _Edges:
    """Columns as wide as their widest text; one without text takes no room."""
    most = min(_NAMES, max(_width(figure, cut(line.name, _LETTERS), size) for line in lines))
    people, estimates, shares = (
        max(_width(figure, getattr(line, column), size) for line in lines)
        for column in ("people", "estimate", "weight")
    )
    names_end = _EDGE + most
    people_end = names_end + (_GAP + people if people else 0.0)
    weights_end = PAGE - _EDGE
    estimates_end = weights_end - (_GAP + shares if shares else 0.0)
    return _Edges(
        _EDGE, people_end, people_end + 1.5 * _GAP, estimates_end - estimates - 1.5 * _GAP,
        estimates_end, weights_end, most,
    )  # fmt: skip


def _width(figure: Figure, text: str, size: float) -> float:
    """The width of a text in inches."""
    if not text:
        return 0.0
    assert isinstance(figure.canvas, FigureCanvasAgg)
    drawn = Text(0, 0, text, fontsize=size, parse_math=False)
    drawn.set_figure(figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[no-untyped-call]  # Matplotlib's
    return float(drawn.get_window_extent(renderer).width) / figure.dpi


def _fitted(figure: Figure, text: str, most: float, size: float) -> str:
    """A text cut, with …, to what fits into so many inches."""
    short = cut(text, _LETTERS)
    while len(short) > 1 and _width(figure, short, size) > most + 1e-9:
        short = cut(text, len(short) - 1)
    return short


def _write(
    axes: Axes, edges: _Edges, y: float, line: _Columns, size: float, weight: str = "normal"
) -> None:
    figure = axes.figure
    assert isinstance(figure, Figure)
    place = blended_transform_factory(figure.dpi_scale_trans, axes.transData)
    for x, text, side in (
        (edges.names, _fitted(figure, line.name, edges.most, size), "left"),
        (edges.people, line.people, "right"),
        (edges.estimates, line.estimate, "right"),
        (edges.weights, line.weight, "right"),
    ):
        if text:
            axes.text(x, y, text, transform=place, ha=side, va="center", fontsize=size,
                      weight=weight, parse_math=False)  # fmt: skip


def _heads(fit: Fit, texts: Sequence[_Columns], with_weights: bool) -> _Columns:
    unit = "yi" if fit.problem.scale == "yi" else "r"
    several = any("·" in one.name for one in texts)
    return _Columns(
        "study · effect" if several else "study",
        "n" if any(one.people for one in texts) else "",
        f"{unit} [95% CI]",
        "weight" if with_weights else "",
    )


def _texts(
    fit: Fit, row: Row, line: dict[str, str | float | None], rows: Sequence[Row]
) -> _Columns:
    share = line["weight"]
    none = "–" if not no_weights(fit.problem) else ""
    return _Columns(
        _label(row, rows),
        "" if row.ni is None else f"{row.ni:g}",
        printed(row, fit.problem.scale),
        f"{100 * share:.1f}%" if isinstance(share, float) else none,
    )


def _draw_row(
    axes: Axes,
    row: Row,
    line: dict[str, str | float | None],
    y: float,
    limits: tuple[float, float],
    heaviest: float,
    scale: float,
) -> None:
    """What was printed above, the true effect by the model below; ``scale`` is that of marks."""
    lower, upper = float(line["lower"] or 0.0), float(line["upper"] or 0.0)
    up = 0.12 if line["true_median"] is not None else 0.0
    left, right = max(lower, limits[0]), min(upper, limits[1])
    colour = ORANGE if row.is_interval else "black"
    if row.is_interval:
        axes.barh(y + up, right - left, left=left, height=0.32, color=_PALE, edgecolor=ORANGE,
                  linewidth=0.6)  # fmt: skip
    else:
        assert row.vi is not None
        axes.plot([left, right], [y + up] * 2, color="black", linewidth=0.8 * scale)
        size = (2.0 + 5.0 * math.sqrt(1 / row.vi / heaviest)) * scale
        middle = float(line["estimate"] or 0.0)
        axes.plot(middle, y + up, "s", color="black", markersize=size, markeredgewidth=0)
    for end, goes_on, marker in ((left, lower < left, "<"), (right, upper > right, ">")):
        if goes_on:
            axes.plot(end, y + up, marker, color=colour, markersize=4 * scale, markeredgewidth=0,
                      clip_on=False)  # fmt: skip
    if line["true_median"] is None:
        return
    true = [float(line[key] or 0.0) for key in ("true_lower", "true_median", "true_upper")]
    axes.plot([true[0], true[2]], [y - 0.22] * 2, color=BLUE, linewidth=0.8 * scale)
    axes.plot(true[1], y - 0.22, "o", color=BLUE, markersize=2.6 * scale, markeredgewidth=0)


def _pooled(axes: Axes, fit: Fit, base: float, ys: Sequence[float]) -> None:
    """Diamond, prediction interval with its density, and the lines of 0 and of the mean."""
    mean, new = fit.pooled, fit.pooled_new
    floor = axes.get_ylim()[0]
    axes.plot([0, 0], [floor, 0.5], color=GREY, linewidth=0.7, zorder=0)
    if mean.median is not None:
        axes.plot([mean.median] * 2, [floor, 0.5], color=BLUE, linewidth=0.7,
                  linestyle=(0, (4, 3)), zorder=0)  # fmt: skip
    if mean.lower is not None and mean.upper is not None and mean.median is not None:
        axes.fill([mean.lower, mean.median, mean.upper, mean.median],
                  [ys[0], ys[0] + 0.36, ys[0], ys[0] - 0.36], color=BLUE, linewidth=0)  # fmt: skip
    if new.lower is None or new.upper is None or new.median is None:
        return
    theta = fit.posterior.theta_new(fit.posterior.head)
    if theta is not ABSENT and not isinstance(theta, Point):
        x = np.linspace(*axes.get_xlim(), _POINTS)[1:-1]
        density = fit.posterior.rho(theta).density(x)
        if density.max() > 0:
            axes.fill_between(x, ys[1], ys[1] + 1.0 * density / density.max(), color=BLUE,
                              alpha=0.2, linewidth=0)  # fmt: skip
    axes.plot([new.lower, new.upper], [ys[1]] * 2, color=BLUE, linewidth=3.0,
              solid_capstyle="butt")  # fmt: skip
    axes.plot(new.median, ys[1], "|", color="white", markersize=5)


def _rules(axes: Axes, edges: _Edges, base: float) -> None:
    """Lines across all columns, below their heads and above what is pooled; the axis' own."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    across = blended_transform_factory(figure.dpi_scale_trans, axes.transData)
    for y in (0.5, base):
        axes.plot([edges.names, edges.weights], [y, y], transform=across, color=GREY,
                  linewidth=0.6, clip_on=False)  # fmt: skip
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _title(figure: Figure, title: str, height: float) -> None:
    text = fitted(title, PAGE - 2 * _EDGE)
    figure.text(_EDGE / PAGE, 1 - 0.06 / height, text, va="top", fontsize=8.5, parse_math=False)


def _label(row: Row, rows: Sequence[Row]) -> str:
    several = sum(other.study == row.study for other in rows) > 1
    return f"{row.study} · {row.effect}" if several else row.study


def _r(value: object) -> str:
    assert isinstance(value, float)
    return two_digits(value)


def _legend(figure: Figure, rows: Sequence[Row], with_true_effects: bool) -> None:
    """Of marks only those that are there."""
    handles: list[Line2D | Patch] = []
    if any(not row.is_interval for row in rows):
        handles.append(Line2D([], [], marker="s", color="black", markersize=4, linewidth=0.8,
                              label="printed, with 95% CI"))  # fmt: skip
    if any(row.is_interval for row in rows):
        handles.append(Patch(facecolor=_PALE, edgecolor=ORANGE, linewidth=0.6,
                             label="printed no r: interval"))  # fmt: skip
    if with_true_effects:
        handles.append(Line2D([], [], marker="o", color=BLUE, markersize=2.6, linewidth=0.8,
                              label="true effect, by the model"))  # fmt: skip
    figure.legend(handles=handles, loc="lower center", ncols=3, fontsize=7, handlelength=1.6,
                  columnspacing=1.2, borderaxespad=0.1)  # fmt: skip


def _words(fit: Fit, rows: list[Row], mean: Summary, new: Summary) -> str:
    intervals = sum(row.is_interval for row in rows)
    return (
        f"Forest plot of {len(rows)} effects, {intervals} of them intervals. Mean "
        f"{in_brackets(mean)}, new study {in_brackets(new)} ({fit.interval.prob * 100:g}% "
        "intervals)."
    )
