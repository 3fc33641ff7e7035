"""The mean before and after the data, averaged over an ensemble: a spike at 0 and a slab."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from metarho.compare.averaging import mean_of
from metarho.compare.ensemble import Ensemble, Member
from metarho.compare.rows import Row
from metarho.report.figures.drawing import BLUE, COLUMN, GREY, Drawing, canvas
from metarho.report.figures.prior_posterior import prior_density

type Array = NDArray[np.float64]

_POINTS = 300
# Members that hold less of the posterior, beside the most probable one, do not show; nor do the
# tails of those that hold less than the second.
_LEAST, _LEAST_WIDE = 1e-4, 0.02
_BEFORE, _AFTER = (GREY, ":", "before the data"), (BLUE, "-", "after them")


def spike_and_slab(ensemble: Ensemble, name: str, title: str) -> Drawing:
    """Densities of members with an effect, each as large as they are probable, and P(exactly 0).

    The spike is on an axis of its own, of probabilities: its height and the slab's have no common
    unit.
    """
    members = ensemble.members
    with_effect = [i for i, member in enumerate(members) if member.effect]
    after = ensemble.probabilities
    kept = [i for i in with_effect if after[i] > _LEAST * after[with_effect].max()]
    widest = [i for i in kept if after[i] > _LEAST_WIDE * after[kept].max()]
    x = _places([members[i] for i in widest])
    slabs = {
        "prior": sum((members[i].prior * _prior(members[i], x) for i in with_effect), 0 * x),
        "posterior": sum((after[i] * mean_of(members[i].fit).density(x) for i in kept), 0 * x),
    }
    spikes = {
        "prior": math.fsum(member.prior for member in members if not member.effect),
        "posterior": math.fsum(after[i] for i, m in enumerate(members) if not m.effect),
    }
    on_yi = members[0].fit.problem.scale == "yi"
    with canvas(COLUMN, 2.5) as figure:
        axes = figure.subplots()
        right = axes.twinx()
        shift = 0.006 * (x[-1] - x[0])
        for of, place, (colour, dashes, label) in (
            ("prior", -shift, _BEFORE), ("posterior", shift, _AFTER),
        ):  # fmt: skip
            axes.plot(x, slabs[of], color=colour, linestyle=dashes, linewidth=1.4, label=label)
            if spikes[of] > 0:
                _spike(right, place, spikes[of], colour, of == "prior")
        axes.set_ylim(0, 1.15 * max(float(one.max()) for one in slabs.values()))
        axes.set_xlim(x[0], x[-1])
        axes.set_xlabel("mean (yi)" if on_yi else "mean correlation rho")
        axes.set_title(title, loc="left", parse_math=False)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7)
        for one in (axes, right):
            one.spines["left"].set_visible(False)
        axes.set_yticks([])
        right.set_ylim(0, 1)
        right.set_ylabel("probability of exactly 0")
        right.spines["right"].set_visible(True)
    data: list[Row] = [
        {"of": of, "x": float(a), "density": float(b), "probability_of_0": None}
        for of, slab in slabs.items()
        for a, b in zip(x, slab, strict=True)
    ]
    data += [
        {"of": of, "x": 0.0, "density": None, "probability_of_0": p} for of, p in spikes.items()
    ]
    return Drawing(
        name,
        figure,
        data,
        f"The mean is exactly 0 with probability {spikes['prior']:.2f} before and "
        f"{spikes['posterior']:.2f} after the data; else it has the densities shown.",
    )


def _places(members: list[Member]) -> Array:
    """Where all of the posterior lies, and 0."""
    ranges = [mean_of(member.fit).range(0.001) for member in members]
    low, high = min(0.0, *(r[0] for r in ranges)), max(0.0, *(r[1] for r in ranges))
    pad = 0.1 * (high - low) or 0.1
    limits = (-1 + 1e-6, 1 - 1e-6) if members[0].fit.problem.scale == "z" else (-np.inf, np.inf)
    return np.linspace(max(low - pad, limits[0]), min(high + pad, limits[1]), _POINTS)


def _prior(member: Member, x: Array) -> Array:
    """The prior's density of the mean: of mu, seen on r where mu is on Fisher's z."""
    on_z = member.fit.problem.scale == "z"
    density = prior_density(member.fit, "mu", np.arctanh(x) if on_z else x)
    assert density is not None
    return density / (1 - x**2) if on_z else density


def _spike(axes: Axes, place: float, probability: float, colour: str, left: bool) -> None:
    axes.plot([place, place], [0, probability], color=colour, linewidth=2.6, solid_capstyle="butt")
    axes.annotate(
        f"{probability:.2f}", (place, probability), xytext=(-3 if left else 3, 1),
        textcoords="offset points", ha="right" if left else "left", fontsize=7, color=colour,
    )  # fmt: skip
