"""The funnel plot: estimates against their standard errors, with contours of significance.

Contours as in Peters et al. 2008 (10.1016/j.jclinepi.2007.11.010): around 0 they show whether what
seems to be missing lies where results are not significant.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy.special import ndtri

from metarho.compare.rows import Row as TableRow
from metarho.data.studies import Row
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.report.figures.drawing import BLUE, GREY, ORANGE, Drawing, canvas, fitted, target
from metarho.report.figures.rows import tip_of
from metarho.report.figures.scales import (
    in_brackets,
    label_in_r,
    label_of,
    seen,
)

type Array = NDArray[np.float64]

# Two-sided p, and the shade of what is less significant than that.
_CONTOURS = ((0.01, "#EDF0F3"), (0.05, "#DADFE5"), (0.10, "#FFFFFF"))
_BEYOND = "#F8F9FA"
_WIDTH, _HEIGHT = 4.6, 3.7
# Inches around a point in which a pointer finds it.
_REACH = 0.09


def no_funnel(problem: Problem) -> str | None:
    """Why there is no such figure; None where there is one."""
    if problem.model.measurement == "true-score":
        return "printed numbers are of observed scores, and the mean is of true ones"
    return None


def funnel(fit: Fit, name: str, title: str) -> Drawing:
    """Rows that printed a number as points, the others as the bar of their interval.

    Correlations stand at Fisher's z, where the funnel has straight sides; the axis is labelled in
    r. Lines are where 95% of estimates of a standard error are expected around the pooled median:
    dashed without heterogeneity, m ± 1.96 se, dotted with the posterior median of tau,
    m ± 1.96 √(se² + tau²). With ``selection: pet`` or ``peese`` m moves with se as the model says.
    First ask ``no_funnel``.
    """
    rows = fit.problem.evidence.rows
    errors = np.sqrt(fit.problem.evidence.v)
    centre = _centre(fit)
    tau = fit.posterior.tau.summary(fit.interval.prob, fit.interval.kind).median
    deepest = 1.06 * float(errors.max())
    across = np.linspace(0, deepest, 200)
    with canvas(_WIDTH, _HEIGHT) as figure:
        axes = figure.subplots()
        low, high = _limits(rows, errors, centre, tau or 0.0)
        contours(axes, across)
        _sides(axes, across, centre, tau)
        draw_rows(axes, rows, errors, (low, high))
        axes.set_xlim(low, high)
        axes.set_ylim(deepest, 0)
        row_targets(axes, name, rows, errors, (low, high, deepest))
        if fit.problem.scale == "z":
            label_in_r(axes.xaxis, low, high)
        scale = {"z": "of Fisher's z", "r": "of r", "yi": "of yi"}[fit.problem.scale]
        axes.set_xlabel(label_of(fit.problem))
        axes.set_ylabel(f"standard error {scale}")
        axes.set_title(fitted(title, _WIDTH - 0.6), loc="left", parse_math=False)
        handles = _handles(fit, tau)
        figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7)
    data: list[TableRow] = [
        datum(fit.problem.scale, row, float(error)) for row, error in zip(rows, errors, strict=True)
    ]
    tips = {
        f"{name}-row-{place}": tip_of(row, fit.problem.scale, f"standard error {error:.3f}")
        for place, (row, error) in enumerate(zip(rows, errors, strict=True))
    }
    return Drawing(name, figure, data, _words(fit, rows, errors, tau), tips)


def _centre(fit: Fit) -> Callable[[Array], Array]:
    """The expected estimate at standard errors, on the model's scale."""
    posterior = fit.posterior.mean_of(fit.posterior.head)
    mean = posterior.summary(fit.interval.prob, fit.interval.kind).median or 0.0
    power = {"pet": 1, "peese": 2}.get(str(fit.problem.model.selection))
    if power is None:
        return lambda errors: np.full(np.shape(errors), mean)
    slope = fit.parameters[str(fit.problem.model.selection)].median or 0.0
    return lambda errors: mean + slope * errors**power


def _limits(
    rows: tuple[Row, ...], errors: Array, centre: Callable[[Array], Array], tau: float
) -> tuple[float, float]:
    """All numbers, the funnel of the largest standard error that one has, and 0."""
    numbers = [row.yi for row in rows if row.yi is not None and not row.is_interval]
    half = 1.96 * math.hypot(float(errors.max()), tau)
    middle = float(centre(errors.max(keepdims=True))[0])
    ends = [*numbers, middle - half, middle + half, 0.0]
    pad = 0.04 * (max(ends) - min(ends))
    return min(ends) - pad, max(ends) + pad


def contours(axes: Axes, errors: Array) -> None:
    """Shades of p around 0, from standard error 0 on."""
    axes.set_facecolor(_BEYOND)
    for p, shade in _CONTOURS:
        half = -ndtri(p / 2) * errors
        axes.fill_betweenx(errors, -half, half, color=shade, linewidth=0, zorder=0)
        for side in (-half, half):
            axes.plot(side, errors, color="#B4BCC6", linewidth=0.5, zorder=0.2)
    axes.plot([0, 0], [0, errors[-1]], color=GREY, linewidth=0.6, zorder=0.5)


def _sides(axes: Axes, errors: Array, centre: Callable[[Array], Array], tau: float | None) -> None:
    middle = centre(errors)
    axes.plot(middle, errors, color=BLUE, linewidth=1.0, zorder=1)
    for sign in (-1, 1):
        axes.plot(middle + sign * 1.96 * errors, errors, color=BLUE, linewidth=0.9,
                  linestyle="--", zorder=1)  # fmt: skip
        if tau:
            wide = 1.96 * np.hypot(errors, tau)
            axes.plot(middle + sign * wide, errors, color=BLUE, linewidth=1.1, linestyle=":",
                      zorder=1)  # fmt: skip


def draw_rows(
    axes: Axes, rows: tuple[Row, ...], errors: Array, limits: tuple[float, float]
) -> None:
    """Numbers as points, the others as bars of their intervals, as far as the limits."""
    numbers = [(row.yi, se) for row, se in zip(rows, errors, strict=True) if not row.is_interval]
    for row, error in zip(rows, errors, strict=True):
        if row.lower is None or row.upper is None:
            continue
        left, right = max(row.lower, limits[0]), min(row.upper, limits[1])
        axes.plot([left, right], [error, error], color=ORANGE, linewidth=1.6, alpha=0.55,
                  solid_capstyle="butt", zorder=2)  # fmt: skip
        for end, goes_on, marker in (
            (limits[0], row.lower < limits[0], "<"),
            (limits[1], row.upper > limits[1], ">"),
        ):
            if goes_on:
                axes.plot(end, error, marker, color=ORANGE, markersize=3.2, markeredgewidth=0,
                          clip_on=False, zorder=2)  # fmt: skip
    if numbers:
        size = 4.2 if len(numbers) <= 60 else 3.0
        axes.plot(*zip(*numbers, strict=True), "o", color="black", markersize=size,
                  markeredgecolor="white", markeredgewidth=0.5, alpha=0.85, zorder=3)  # fmt: skip


def row_targets(
    axes: Axes,
    name: str,
    rows: tuple[Row, ...],
    errors: Array,
    limits: tuple[float, float, float],
) -> None:
    """Places to point at: bars along their length, and points above them."""
    low, high, deepest = limits
    aside, above = _REACH * (high - low) / _WIDTH, _REACH * deepest / _HEIGHT
    # What is drawn later is what a pointer finds.
    for place in sorted(range(len(rows)), key=lambda place: not rows[place].is_interval):
        row, error = rows[place], float(errors[place])
        if row.lower is not None and row.upper is not None:
            x = (max(row.lower, low), min(row.upper, high))
        else:
            assert row.yi is not None
            x = (row.yi - aside, row.yi + aside)
        target(axes, f"{name}-row-{place}", x, (error - above, error + above))


def _handles(fit: Fit, tau: float | None) -> list[Line2D | Patch]:
    rows = fit.problem.evidence.rows
    middle = "pooled median"
    if fit.problem.design.cells:
        middle += ", moderators at their average"
    if fit.problem.bias is not None:
        middle += ", moved by the model's bias"
    found = row_handles(rows)
    found += [
        Line2D([], [], color=BLUE, linewidth=1.0, label=middle),
        Line2D([], [], color=BLUE, linewidth=0.9, linestyle="--", label="95%, sampling error only"),
    ]
    if tau:
        found.append(Line2D([], [], color=BLUE, linewidth=1.1, linestyle=":",
                            label="95%, with heterogeneity"))  # fmt: skip
    return [*found, *contour_handles()]


def row_handles(rows: tuple[Row, ...]) -> list[Line2D | Patch]:
    """What a legend has of rows."""
    found: list[Line2D | Patch] = []
    if any(not row.is_interval for row in rows):
        found.append(Line2D([], [], color="black", marker="o", markersize=4, linewidth=0,
                            label="printed a number"))  # fmt: skip
    if any(row.is_interval for row in rows):
        found.append(Line2D([], [], color=ORANGE, linewidth=1.6, alpha=0.55,
                            label="printed no number: its interval"))  # fmt: skip
    return found


def contour_handles() -> list[Patch]:
    """What a legend has of the shades."""
    shades = zip(("p > .10", ".05 to .10", ".01 to .05", "p < .01"),
                 (*(shade for _, shade in reversed(_CONTOURS)), _BEYOND), strict=True)  # fmt: skip
    return [Patch(facecolor=shade, edgecolor="#B4BCC6", linewidth=0.5, label=words)
            for words, shade in shades]  # fmt: skip


def datum(scale: str, row: Row, error: float) -> TableRow:
    """A row as the figure's table has it."""
    ends = (row.yi, row.lower, row.upper)
    estimate, lower, upper = (None if x is None else seen(scale, x) for x in ends)
    return {
        "study": row.study,
        "effect": row.effect,
        "reported": row.reported,
        "estimate": estimate,
        "lower": lower,
        "upper": upper,
        "standard_error": error,
        "p": _p(row, error),
    }


def _p(row: Row, error: float) -> float | None:
    """Two-sided p of a number, by its own standard error: where it stands among the contours."""
    if row.yi is None or row.is_interval:
        return None
    return math.erfc(abs(row.yi) / error / math.sqrt(2))


def _words(fit: Fit, rows: tuple[Row, ...], errors: Array, tau: float | None) -> str:
    found = [_p(row, float(error)) for row, error in zip(rows, errors, strict=True)]
    known = [p for p in found if p is not None]
    intervals = len(rows) - len(known)
    said = (
        f"Funnel plot: printed numbers ({len(known)}) against their standard errors "
        f"({errors.min():.3f} to {errors.max():.3f}); "
    )
    if known:
        said += f"{sum(p < 0.05 for p in known)} of these significant at .05; "
    if intervals:
        said += f"intervals ({intervals}) of rows that printed no number as bars; "
    heterogeneity = f", tau {tau:.3f}" if tau else ""
    return f"{said}funnel around the pooled {in_brackets(fit.pooled)}{heterogeneity}."
