"""The funnel of an ensemble: the mean that it expects of results at every standard error."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from metarho.compare.ensemble import Ensemble
from metarho.compare.reported import Band, Part, mean_by_error
from metarho.compare.rows import Row as TableRow
from metarho.report.figures.drawing import BLUE, GREEN, Drawing, canvas, fitted
from metarho.report.figures.funnel import (
    contour_handles,
    contours,
    datum,
    draw_rows,
    row_handles,
    row_targets,
)
from metarho.report.figures.rows import tip_of
from metarho.report.figures.scales import label_in_r, label_of, seen

type Array = NDArray[np.float64]

_WIDTH, _HEIGHT = 4.6, 3.9
# Standard errors at which the means are found: their bends are a few standard errors wide.
_PLACES = 60


def ensemble_funnel(
    ensemble: Ensemble, parts: tuple[Part, ...], prob: float, name: str, title: str
) -> Drawing:
    """Rows among contours of significance, with the averaged mean of reported and of all results.

    Every member says what mean of results it expects at a standard error: with a weight function
    that of a selected normal law, with PET or PEESE a line or a parabola; without bias one that
    does not move. Bands are over draws of all posteriors,
    ``parts`` (``compare.reported.parts_of``). First ask ``compare.reported.not_expected``.
    """
    problem = ensemble.members[0].fit.problem
    evidence = problem.evidence
    rows, errors = evidence.rows, np.sqrt(evidence.v)
    deepest = 1.06 * float(errors.max())
    across = np.linspace(deepest / _PLACES, deepest, _PLACES)
    # Of a correlation n follows from the standard error of its Fisher's z.
    sizes = 3 + 1 / across**2
    reported, every = (mean_by_error(parts, across, sizes, of, prob) for of in ("reported", "all"))
    numbers = [row.yi for row in rows if row.yi is not None and not row.is_interval]
    half = 1.96 * float(errors.max())
    ends = [*numbers, *reported.lower, *reported.upper, *every.lower, *every.upper, -half, half]
    pad = 0.04 * (max(ends) - min(ends))
    low, high = min(ends) - pad, max(ends) + pad
    with canvas(_WIDTH, _HEIGHT) as figure:
        axes = figure.subplots()
        contours(axes, np.linspace(0, deepest, 200))
        _mean(axes, across, every, GREEN, "--")
        _mean(axes, across, reported, BLUE, "-")
        draw_rows(axes, rows, errors, (low, high))
        axes.set_xlim(low, high)
        axes.set_ylim(deepest, 0)
        row_targets(axes, name, rows, errors, (low, high, deepest))
        if problem.scale == "z":
            label_in_r(axes.xaxis, low, high)
        axes.set_xlabel(label_of(problem))
        scale = {"z": "of Fisher's z", "r": "of r", "yi": "of yi"}[problem.scale]
        axes.set_ylabel(f"standard error {scale}")
        axes.set_title(fitted(title, _WIDTH - 0.6), loc="left", parse_math=False)
        band = f"mean and {prob * 100:g}% band"
        handles = [
            *row_handles(rows),
            Line2D([], [], color=BLUE, linewidth=1.4, label=f"reported results, {band}"),
            Line2D(
                [], [], color=GREEN, linewidth=1.4, linestyle="--", label=f"all results, {band}"
            ),
            *contour_handles(),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=7)
    data: list[TableRow] = [
        {"of": "row", **datum(problem.scale, row, float(error))}
        for row, error in zip(rows, errors, strict=True)
    ]
    empty = dict.fromkeys(data[0])
    for of, one in (("reported", reported), ("all", every)):
        data += [
            {
                **empty,
                "of": of,
                "standard_error": error,
                **{
                    key: seen(problem.scale, value)
                    for key, value in zip(("estimate", "lower", "upper"), three, strict=True)
                },
            }
            for error, *three in zip(
                across.tolist(), one.mean.tolist(), one.lower.tolist(), one.upper.tolist(),
                strict=True,
            )
        ]  # fmt: skip
    tips = {
        f"{name}-row-{place}": tip_of(row, problem.scale, f"standard error {error:.3f}")
        for place, (row, error) in enumerate(zip(rows, errors, strict=True))
    }
    return Drawing(name, figure, data, _words(ensemble, across, reported, every), tips)


def _mean(axes: Axes, errors: Array, of: Band, colour: str, dashes: str) -> None:
    # Filled, two bands would hide the shades and each other.
    if dashes == "-":
        axes.fill_betweenx(
            errors, of.lower, of.upper, color=colour, alpha=0.14, linewidth=0, zorder=1
        )
    for end in (of.lower, of.upper):
        axes.plot(end, errors, color=colour, linestyle=dashes, linewidth=0.7, zorder=1.4)
    axes.plot(of.mean, errors, color=colour, linestyle=dashes, linewidth=1.6, zorder=1.5)


def _words(ensemble: Ensemble, errors: Array, reported: Band, every: Band) -> str:
    scale = ensemble.members[0].fit.problem.scale
    ends = [seen(scale, float(reported.mean[place])) for place in (0, -1)]
    low, high = min(every.mean), max(every.mean)
    return (
        f"Funnel plot with the mean of results that {len(ensemble.members)} models expect on "
        f"average: of reported results {ends[0]:z.2f} at a standard error of {errors[0]:.3f} and "
        f"{ends[1]:z.2f} at {errors[-1]:.3f}; of all results {seen(scale, float(low)):z.2f}"
        + ("." if high - low < 5e-3 else f" to {seen(scale, float(high)):z.2f}.")
    )
