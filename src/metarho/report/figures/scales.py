"""The scale that readers see, r for correlations, and axes of Fisher's z that are labelled in r."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from numpy.typing import NDArray

from metarho.engines.problem import Problem
from metarho.posterior.marginals import Summary

type Array = NDArray[np.float64]

# Steps of r that ticks may have, and how near two may be on a wide axis.
_STEPS, _NEAREST = (0.05, 0.1, 0.2, 0.25, 0.5), 0.1
# Where |z| is large, multiples of a step are too near around 0 and end short of 1.
_FAR = (0.5, 0.9, 0.95, 0.98, 0.99, 0.998, 0.9998)


def seen(scale: str, value: float) -> float:
    """A value of the model's scale as readers see it: r = tanh(z) on Fisher's z, else itself."""
    return math.tanh(value) if scale == "z" else value


def label_of(problem: Problem) -> str:
    """What an axis of the readers' scale is of."""
    if problem.scale == "yi":
        return "yi"
    return "correlation r" + (", true scores" if problem.model.measurement == "true-score" else "")


def label_of_both(problem: Problem) -> str:
    """What an axis is of that has both printed numbers and what the model makes of them."""
    if problem.model.measurement == "true-score":
        return "correlation r: printed, of observed scores; posterior, of true scores"
    return label_of(problem)


def tau_label(problem: Problem) -> str:
    """What an axis of heterogeneity is of: the total sd where there are several levels."""
    total = "total " if len(problem.model.levels) > 1 else ""
    return f"{total}tau ({ {'z': 'Fisher z', 'r': 'r', 'yi': 'yi'}[problem.scale] })"


def label_in_r(axis: Axis, low: float, high: float, nearest: float = _NEAREST) -> None:
    """Ticks of an axis of z from low to high where r is a round number."""
    places = r_ticks(low, high, nearest)
    axis.set_ticks(np.arctanh(places), [f"{r:g}".replace("-", "−") for r in places])


def r_ticks(low: float, high: float, nearest: float = _NEAREST) -> Array:
    """Round correlations between two values of z, so far apart there that they can be read.

    ``nearest`` is how near two may be, as a share of the axis.
    """
    ends = math.tanh(low), math.tanh(high)
    found = np.array([])
    for step in _STEPS:
        first, last = math.ceil(ends[0] / step - 1e-9), math.floor(ends[1] / step + 1e-9)
        multiples = np.round(step * np.arange(first, last + 1), 10)
        found = multiples[np.abs(multiples) < 1]
        if len(found) < 2 or np.diff(np.arctanh(found)).min() >= nearest * (high - low):
            break
    else:
        found = np.array([0.0] if ends[0] <= 0 <= ends[1] else [])
    far = [sign * r for r in _FAR for sign in (-1, 1) if ends[0] <= sign * r <= ends[1]]
    kept = list(found)
    for r in far:
        if all(abs(math.atanh(r) - math.atanh(k)) >= nearest * (high - low) for k in kept):
            kept.append(r)
    return np.sort(np.array(kept, dtype=float))


def no_effect(axes: Axes, across: bool = False) -> None:
    """A thin line at 0; ``across`` where effects go up."""
    line = axes.axhline if across else axes.axvline
    line(0, color="#666666", linewidth=0.6, zorder=0.5)


def in_brackets(summary: Summary, digits: int = 2) -> str:
    """``.24 [.18, .30]`` with leading zeros; ``not available`` where there is no number."""
    values = (summary.median, summary.lower, summary.upper)
    if any(value is None or not math.isfinite(value) for value in values):
        return "not available"
    # Adding 0 after rounding turns -0.00 into 0.00.
    middle, low, high = (f"{round(float(v or 0.0), digits) + 0.0:.{digits}f}" for v in values)
    return f"{middle} [{low}, {high}]"
