"""Baujat's plot: which studies make the heterogeneity, and which of them pull the result."""

from __future__ import annotations

from collections.abc import Sequence

from metarho.compare.baujat import Place
from metarho.compare.rows import Row
from metarho.posterior.fit import Fit
from metarho.report.figures.drawing import BLUE, GREY, Drawing, canvas, cut, fitted
from metarho.report.figures.labels import label_points

_WIDTH, _HEIGHT = 4.4, 3.5
_LETTERS = 28
# Names beyond so many hide what they name; the data have all.
_MOST_NAMES = 15


def baujat(fit: Fit, places: Sequence[Place], name: str, title: str) -> Drawing:
    """Squared Pearson residuals of studies (right: far from the fit) by their influence (up).

    ``places`` comes from ``compare.baujat.places``, which has the formulas. Studies without a
    printed number have no residual, and are in the data only. Names are those of the studies
    farthest out, where there is room.
    """
    there = [
        (p.study, p.residual, p.influence)
        for p in places
        if p.residual is not None and p.influence is not None
    ]
    scale = (
        max((x for _, x, _ in there), default=0.0) or 1.0,
        max((y for _, _, y in there), default=0.0) or 1.0,
    )
    there.sort(key=lambda point: -(point[1] / scale[0] + point[2] / scale[1]))
    with canvas(_WIDTH, _HEIGHT) as figure:
        axes = figure.subplots()
        axes.grid(color=GREY, linewidth=0.4, alpha=0.25)
        axes.set_axisbelow(True)
        for _, x, y in there:
            axes.plot(x, y, "o", color=BLUE, markersize=4.5, markeredgecolor="white",
                      markeredgewidth=0.5)  # fmt: skip
        axes.set_xlim(-0.03 * scale[0], 1.12 * scale[0])
        axes.set_ylim(-0.04 * scale[1], 1.12 * scale[1])
        axes.set_xlabel("squared Pearson residual")
        moderated = bool(fit.problem.design.cells)
        axes.set_ylabel("influence on the " + ("fitted value" if moderated else "pooled mean"))
        axes.set_title(fitted(title, _WIDTH - 0.7), loc="left", parse_math=False)
        figure.draw_without_rendering()
        names = [(cut(study, _LETTERS), x, y) for study, x, y in there[:_MOST_NAMES]]
        label_points(axes, names, [(x, y) for _, x, y in there])
        # Names have been placed in it: it stays.
        figure.set_layout_engine("none")
    data: list[Row] = [
        {"study": p.study, "rows": p.rows, "residual": p.residual, "influence": p.influence}
        for p in places
    ]
    return Drawing(name, figure, data, _words(there, len(places)))


def _words(there: Sequence[tuple[str, float, float]], studies: int) -> str:
    said = f"Baujat plot of {len(there)} studies: squared Pearson residual against influence."
    if there:
        far = max(there, key=lambda point: point[1])
        strong = max(there, key=lambda point: point[2])
        said += (
            f" Farthest from the fit: {far[0]} ({far[1]:.2f}); most influential: {strong[0]} "
            f"({strong[2]:.2f})."
        )
    missing = studies - len(there)
    return f"{said} {missing} studies printed no number, or have no answer." if missing else said
