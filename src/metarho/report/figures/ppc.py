"""Posterior predictive checks: statistics among those of replicates, and rows by surprise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from metarho.checks.calibration import Calibrated
from metarho.checks.p_values import PValue
from metarho.checks.studies import Surprise
from metarho.compare.rows import Row
from metarho.report.figures.drawing import BLUE, GREY, ORANGE, Drawing, bare, canvas, cut
from metarho.report.terminal import share
from metarho.spec.checks import STATISTICS

type Array = NDArray[np.float64]

_ACROSS = 3
_BINS = 32
# Characters over a panel.
_LONGEST = 38
# Of a row's name beside its line.
_NAME = 44
# Replicates beyond are few and far; the observed value is always shown.
_OUTSIDE = 0.002
# A row a line; more than a page holds are left to the table.
_MOST_ROWS = 60
# One in twenty.
_TWENTY = math.log2(20)


def ppc_figure(found: Sequence[PValue], calibrated: Sequence[Calibrated | None]) -> Drawing:
    """A panel a statistic: its histogram over replicates, what was observed, p."""
    down = math.ceil(len(found) / _ACROSS)
    data: list[Row] = []
    taller = 0.15 if any("[" in one.name for one in found) else 0.0
    with canvas(7.2, (1.55 + taller) * down + 0.2) as figure:
        grid = figure.subplots(down, _ACROSS, squeeze=False).ravel()
        for axes in grid[len(found) :]:
            axes.set_visible(False)
        for axes, one, also in zip(grid, found, calibrated, strict=False):
            edges, shares = _histogram(one)
            _panel(axes, one, also, edges, shares)
            data += [
                {
                    "check": one.name,
                    "from": float(low),
                    "to": float(high),
                    "share": float(share),
                    "observed": one.observed,
                }
                for low, high, share in zip(edges[:-1], edges[1:], shares, strict=True)
            ]
    said = "; ".join(f"{one.name}: p {_equals(one.p)}" for one in found)
    return Drawing("ppc", figure, data, f"Statistics of the evidence among replicates. {said}")


def _panel(
    axes: Axes, one: PValue, calibrated: Calibrated | None, edges: Array, shares: Array
) -> None:
    heights = shares / np.diff(edges)
    axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=BLUE, alpha=0.45, linewidth=0)
    axes.axvline(one.observed, color=ORANGE, linewidth=1.6)
    bare(axes)
    axes.set_title(_title(one.name), loc="left", parse_math=False)
    p = f"p {_equals(one.p)}"
    if calibrated is not None:
        p += f"\ncalibrated {_equals(calibrated.p)}"
    # Where the line is not.
    low, high = axes.get_xlim()
    right = one.observed > 0.5 * (low + high)
    axes.text(0.02 if right else 0.98, 0.95, p, transform=axes.transAxes, va="top",
              ha="left" if right else "right", fontsize=7)  # fmt: skip
    axes.set_ylim(0, 1.45 * float(heights.max()))


def _title(name: str) -> str:
    """A named statistic in words; its level, where it is of one, on a line of its own."""
    statistic, at, level = name.partition("[")
    said = STATISTICS.get(statistic, statistic)
    if not at:
        return said
    level = level.removesuffix("]")
    return f"{said}\n{level if len(level) <= _LONGEST else level[: _LONGEST - 1] + '…'}"


def _equals(p: float) -> str:
    said = share(p)
    return said if said[0] in "<>" else f"= {said}"


def _histogram(one: PValue) -> tuple[Array, Array]:
    """Edges of bins and the share of replicates in each: around each value, where there are few."""
    values = np.unique(one.replicated)
    if len(values) <= _BINS:
        values = np.union1d(values, [one.observed])
        half = 0.4 * float(np.diff(values).min()) if len(values) > 1 else 0.5
        edges = np.column_stack([values - half, values + half]).ravel()
    else:
        low, high = np.quantile(one.replicated, [_OUTSIDE, 1 - _OUTSIDE])
        edges = np.linspace(min(low, one.observed), max(high, one.observed), _BINS + 1)
    counts, _ = np.histogram(one.replicated, edges)
    return edges, counts / len(one.replicated)


def surprise_figure(surprises: Sequence[Surprise], scale: str) -> Drawing:
    """A line a row, the most surprising on top: bits of its tail, or of its word."""
    shown = [one for one in surprises if one.bits is not None and math.isfinite(one.bits)]
    shown = shown[:_MOST_ROWS]
    y = -np.arange(len(shown))
    bits = np.array([one.bits for one in shown])
    words = np.array([one.row.is_interval for one in shown], dtype=bool)
    with canvas(7.2, 0.17 * len(shown) + 1.0) as figure:
        axes = figure.subplots()
        axes.hlines(y, 0, bits, color=GREY, linewidth=0.6, alpha=0.6)
        for kind, colour, marker, name in (
            (~words, BLUE, "o", "a number: its two-sided tail"),
            (words, ORANGE, "s", "a word: its probability"),
        ):
            axes.plot(bits[kind], y[kind], marker, color=colour, markersize=4.5, label=name)
        axes.axvline(1, color=GREY, linewidth=0.6, linestyle=":")
        axes.axvline(_TWENTY, color=GREY, linewidth=0.6, linestyle="--")
        top = 0.9
        axes.text(1, top, "1 in 2", fontsize=6.5, color=GREY, ha="center")
        axes.text(_TWENTY, top, "1 in 20", fontsize=6.5, color=GREY, ha="center")
        names = [
            f"{cut(f'{one.row.study}: {one.row.effect}', _NAME)}, {one.printed(scale)}"
            for one in shown
        ]
        axes.set_yticks(y, names, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1.05 * max(_TWENTY, float(bits.max(initial=0.0))))
        axes.set_ylim(0.3 - len(shown), 0.7)
        axes.set_xlabel("surprise, bits: −log₂ of what the other rows gave it")
        axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=(0.94, 0.0))
    data: list[Row] = [
        {
            "study": one.row.study,
            "effect": one.row.effect,
            "printed": one.printed(scale),
            "bits": one.bits,
        }
        for one in shown
    ]
    first = names[0] if names else "none"
    said = f"Rows of the evidence by how surprising the others find them; most: {first}"
    return Drawing("ppc-studies", figure, data, said)
