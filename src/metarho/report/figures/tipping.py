"""Where a claim tips: its quantity over what is varied, and the further study that flips it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from metarho.compare.adversary import Flip
from metarho.compare.rows import Row
from metarho.compare.tipping import Tipping
from metarho.report.figures.drawing import BLUE, GREEN, GREY, ORANGE, Drawing, canvas
from metarho.report.figures.selection_path import weight_axis
from metarho.report.figures.sensitivity import (
    COLUMN,
    axis_label,
    drawable,
    factor_axis,
    in_words,
    scaled,
)
from metarho.spec.weight_arguments import WeightArgument


def tipping_figure(
    found: Tipping,
    flips: Sequence[Flip],
    priors: Mapping[str, str],
    scale: str,
    prob: float,
    said: str,
) -> Drawing:
    """The quantity over the range with its crossings; with ``flips`` a panel of further studies."""
    width = 2 * COLUMN + 0.2 if flips else COLUMN
    with canvas(width, 2.7) as figure:
        panels = figure.subplots(1, 2 if flips else 1, squeeze=False)[0]
        _curve(panels[0], found, priors, scale, prob)
        if flips:
            _further(panels[1], found, flips)
    data: list[Row] = [
        {str(found.over.argument): float(x), str(found.claim.quantity): _finite(value)}
        for x, value in zip(found.over.values, found.scan, strict=True)
    ]
    data += [{"ni": flip.ni, "r_below": flip.below, "r_above": flip.above} for flip in flips]
    return Drawing("tipping", figure, data, said)


def _curve(axes: Axes, found: Tipping, priors: Mapping[str, str], scale: str, prob: float) -> None:
    over, claim = found.over, found.claim
    if claim.quantity.is_bayes_factor:
        shown = drawable(claim.quantity, np.append(found.scan, claim.value))
        factor_axis(axes, shown[np.isfinite(shown)])
    axes.plot(over.values, drawable(claim.quantity, found.scan), color=BLUE, linewidth=1.6)
    axes.axhline(claim.value, color=GREY, linewidth=0.8, linestyle="--")
    scaled(axes, over, "x")
    for index, (left, right) in enumerate(_fails(found)):
        axes.axvspan(left, right, color=ORANGE, alpha=0.13, linewidth=0,
                     label="_" if index else "the claim fails")  # fmt: skip
    for crossing in found.crossings:
        axes.plot(crossing.at, claim.value, "D", color=ORANGE, markersize=5,
                  markeredgecolor="white", label="_")  # fmt: skip
        # On the side that fails, where that is not the edge.
        place = axes.transAxes.inverted().transform(axes.transData.transform((crossing.at, 1.0)))
        left = crossing.holds_above and place[0] > 0.15
        axes.annotate(f"{crossing.at:.3g}", (crossing.at, claim.value),
                      xytext=(-5 if left else 5, -9), ha="right" if left else "left",
                      textcoords="offset points", fontsize=7)  # fmt: skip
    own = drawable(claim.quantity, np.array(found.own))
    is_weight = isinstance(over.argument, WeightArgument)
    axes.plot(found.at, own, "o", color="black", markersize=4.5, markeredgecolor="white",
              label="no selection" if is_weight else "the prior as it is",
              clip_on=not is_weight)  # fmt: skip
    if is_weight:
        weight_axis(axes, over)
    axes.set_xlabel(axis_label(over, priors, scale), parse_math=False)
    axes.set_ylabel(in_words(claim.quantity, prob))
    axes.set_title(f"Claim: {claim}", loc="left", parse_math=False)
    axes.legend(fontsize=7, loc="best")


def _fails(found: Tipping) -> list[tuple[float, float]]:
    """The stretches of the range on which the claim fails."""
    ends = [crossing.at for crossing in found.crossings]
    holds = [found.claim.holds(float(found.scan[0])), *(c.holds_above for c in found.crossings)]
    stretches = pairwise([float(found.over.values[0]), *ends, float(found.over.values[-1])])
    return [ends for ends, good in zip(stretches, holds, strict=True) if not good]


def _further(axes: Axes, found: Tipping, flips: Sequence[Flip]) -> None:
    sizes = [flip.ni for flip in flips]
    for side, colour, marker in ((0, BLUE, "v"), (1, GREEN, "^")):
        there = [(flip.ni, flip.sides[side]) for flip in flips if flip.sides[side] is not None]
        if there:
            word = "below" if side == 0 else "above"
            axes.plot(*zip(*there, strict=True), marker=marker, color=colour, linewidth=1.3,
                      markersize=4.5, label=f"nearest r {word} that flips it")  # fmt: skip
    axes.axhline(flips[0].expected, color=GREY, linewidth=0.8, linestyle="--",
                 label="pooled correlation")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(-1, 1)
    axes.set_xlabel("people in one further study")
    axes.set_ylabel("its correlation r")
    axes.set_title("The study that would flip the claim", loc="left")
    axes.legend(fontsize=7, loc="best")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
