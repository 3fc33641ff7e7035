"""The forest plot: what each row printed, what the model makes of it, mean and prediction."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from metarho.compare.rows import Row as TableRow
from metarho.data.studies import Row, Studies
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.report.figures.drawing import BLUE, GREY, ORANGE, Drawing, canvas, target

# A row's own interval is the classical one, so that readers find the numbers of the papers.
_Z = 1.959963984540054


def forest(fit: Fit, studies: Studies, name: str, title: str) -> Drawing:
    """Rows in the order of the file; r scale (GEN: the scale of yi).

    Squares are printed correlations with 95% confidence intervals, sized by precision; bars are
    the intervals of rows that printed no r; blue dots are the model's estimates of true effects.
    """
    rows = [row for row in studies.rows if row.included]
    shrunken = _true_effects(fit)
    lines = [_line(fit, row, shrunken.get((row.study, row.effect))) for row in rows]
    mean, new = fit.pooled, fit.pooled_new
    data: list[TableRow] = [*lines, _pooled_line("mean", mean), _pooled_line("new study", new)]
    height = 0.235 * (len(rows) + 5) + 0.5
    with canvas(7.2, height) as figure:
        axes = figure.add_subplot()
        low, high = _limits(fit, lines, new)
        weights = np.array([1 / row.vi for row in rows if row.vi])
        for position, (row, line) in enumerate(zip(rows, lines, strict=True)):
            _draw_row(axes, row, line, -position, (low, high), float(weights.max()))
            target(axes, f"{name}-row-{position}", (low, high), (-position - 0.5, -position + 0.5))
        base = -len(rows) - 0.6
        axes.axhline(base + 0.6, color=GREY, linewidth=0.6)
        _diamond(axes, mean, base)
        _bar(axes, new, base - 1)
        floor = base - 1.8
        axes.plot([0, 0], [floor, 0.8], color=GREY, linewidth=0.7, zorder=0)
        if mean.median is not None:
            axes.plot(
                [mean.median] * 2,
                [floor, 0.8],
                color=BLUE,
                linewidth=0.7,
                linestyle=(0, (4, 3)),
                zorder=0,
            )
        axes.set_xlim(low, high)
        axes.set_ylim(floor, 1.9)
        ticks = [-position for position in range(len(rows))] + [base, base - 1]
        labels = [_label(row, rows) for row in rows]
        axes.set_yticks(ticks)
        axes.set_yticklabels([*labels, "mean", "new study"], parse_math=False)
        axes.tick_params(axis="y", length=0, pad=8)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(_axis_label(fit))
        right = axes.secondary_yaxis("right")
        right.set_yticks(ticks)
        right.set_yticklabels(
            [
                *(_printed(row, line) for row, line in zip(rows, lines, strict=True)),
                _text(mean),
                _text(new),
            ],
            parse_math=False,
        )
        # Room for the arrows of intervals that go on.
        right.tick_params(length=0, pad=8)
        right.spines["right"].set_visible(False)
        axes.set_title(title, loc="left", parse_math=False)
        _legend(axes, bool(shrunken))
    tips = {
        f"{name}-row-{position}": _tip(row, line, fit.interval.prob)
        for position, (row, line) in enumerate(zip(rows, lines, strict=True))
    }
    return Drawing(name, figure, data, _words(fit, rows, mean, new), tips)


def _tip(row: Row, line: dict[str, str | float | None], prob: float) -> str:
    """What a row shows, for who points at it: without a cut in its name."""
    said = [f"{row.study}, {row.effect}", _printed(row, line).replace("  n", ", n")]
    if line["true_median"] is not None:
        ends = f"[{_r(line['true_lower'])}, {_r(line['true_upper'])}]"
        said.append(f"true effect by the model {_r(line['true_median'])} {ends} ({prob * 100:g}%)")
    return "\n".join(said)


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


def _line(
    fit: Fit, row: Row, true: tuple[float, float, float] | None
) -> dict[str, str | float | None]:
    assert row.vi is not None
    if row.is_interval:
        ends = (row.lower, row.upper)
        middle = None
    else:
        assert row.yi is not None
        half = _Z * math.sqrt(row.vi)
        ends, middle = (row.yi - half, row.yi + half), row.yi
    if fit.problem.scale == "z":
        ends = (math.tanh(ends[0] or 0.0), math.tanh(ends[1] or 0.0))
        middle = None if middle is None else math.tanh(middle)
    return {
        "study": row.study,
        "effect": row.effect,
        "reported": row.reported,
        "ni": row.ni,
        "estimate": middle,
        "lower": ends[0],
        "upper": ends[1],
        "true_median": true[1] if true else None,
        "true_lower": true[0] if true else None,
        "true_upper": true[2] if true else None,
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


def _draw_row(
    axes: Axes,
    row: Row,
    line: dict[str, str | float | None],
    y: float,
    limits: tuple[float, float],
    heaviest: float,
) -> None:
    lower, upper = float(line["lower"] or 0.0), float(line["upper"] or 0.0)
    if row.is_interval:
        left, right = max(lower, limits[0]), min(upper, limits[1])
        axes.barh(
            y + 0.12,
            right - left,
            left=left,
            height=0.32,
            color="#F3C9AE",
            edgecolor=ORANGE,
            linewidth=0.6,
        )
        for end, cut, marker in ((left, lower < left, "<"), (right, upper > right, ">")):
            if cut:
                axes.plot(end, y + 0.12, marker=marker, color=ORANGE, markersize=4, clip_on=False)
    else:
        assert row.vi is not None
        axes.plot(
            [max(lower, limits[0]), min(upper, limits[1])],
            [y + 0.12] * 2,
            color="black",
            linewidth=0.8,
        )
        size = 3 + 4.5 * math.sqrt(1 / row.vi / heaviest)
        axes.plot(float(line["estimate"] or 0.0), y + 0.12, "s", color="black", markersize=size)
    if line["true_median"] is None:
        return
    true = [float(line[key] or 0.0) for key in ("true_lower", "true_median", "true_upper")]
    axes.plot([true[0], true[2]], [y - 0.22] * 2, color=BLUE, linewidth=0.8)
    axes.plot(true[1], y - 0.22, "o", color=BLUE, markersize=2.6)


def _diamond(axes: Axes, summary: Summary, y: float) -> None:
    if summary.lower is None or summary.upper is None or summary.median is None:
        return
    axes.fill(
        [summary.lower, summary.median, summary.upper, summary.median],
        [y, y + 0.38, y, y - 0.38],
        color=BLUE,
    )


def _bar(axes: Axes, summary: Summary, y: float) -> None:
    if summary.lower is None or summary.upper is None or summary.median is None:
        return
    axes.plot(
        [summary.lower, summary.upper], [y, y], color=BLUE, linewidth=3.2, solid_capstyle="butt"
    )
    axes.plot(summary.median, y, "|", color="white", markersize=6)


def _axis_label(fit: Fit) -> str:
    if fit.problem.model.measurement == "true-score":
        return "correlation r: printed, of observed scores; posterior, of true scores"
    return "yi" if fit.problem.scale == "yi" else "correlation r"


def _label(row: Row, rows: list[Row]) -> str:
    several = sum(other.study == row.study for other in rows) > 1
    label = f"{row.study} · {row.effect}" if several else row.study
    return label if len(label) <= 44 else label[:43] + "…"


def _printed(row: Row, line: dict[str, str | float | None]) -> str:
    n = "" if row.ni is None else f"  n {row.ni:g}"
    if row.is_interval:
        if row.reported == "range":
            return f"{_r(line['lower'])} to {_r(line['upper'])}{n}"
        several = f" × {row.tests}" if row.tests > 1 else ""
        return f"{row.reported}{several}{n}"
    return f"{_r(line['estimate'])} [{_r(line['lower'])}, {_r(line['upper'])}]{n}"


def _r(value: object) -> str:
    assert isinstance(value, float)
    # Adding 0 after rounding turns -0.00 into 0.00.
    return f"{round(value, 2) + 0.0:.2f}"


def _text(summary: Summary) -> str:
    if summary.lower is None or summary.upper is None or summary.median is None:
        return "not available"
    return f"{summary.median:.2f} [{summary.lower:.2f}, {summary.upper:.2f}]"


def _legend(axes: Axes, with_true_effects: bool) -> None:
    handles = [
        Line2D(
            [],
            [],
            marker="s",
            color="black",
            markersize=4,
            linewidth=0.8,
            label="printed, with 95% CI",
        ),
        Patch(facecolor="#F3C9AE", edgecolor=ORANGE, linewidth=0.6, label="printed no r: interval"),
        Line2D(
            [],
            [],
            marker="o",
            color=BLUE,
            markersize=2.6,
            linewidth=0.8,
            label="true effect, by the model",
        ),
    ]
    axes.legend(
        handles=handles if with_true_effects else handles[:2],
        loc="upper left",
        ncols=3,
        fontsize=7,
        handlelength=1.6,
        columnspacing=1.2,
        borderaxespad=0.1,
    )


def _words(fit: Fit, rows: list[Row], mean: Summary, new: Summary) -> str:
    intervals = sum(row.is_interval for row in rows)
    return (
        f"Forest plot of {len(rows)} effects, {intervals} of them intervals. Mean {_text(mean)}, "
        f"new study {_text(new)} ({fit.interval.prob * 100:g}% intervals)."
    )
