"""The joint posterior of the mean and of heterogeneity, as highest-density regions."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.patches import Patch

from metarho.compare.rows import Row
from metarho.posterior.fit import Fit
from metarho.posterior.mean_and_tau import MeanAndTau, mean_and_tau
from metarho.report.figures.drawing import BLUE, COLUMN, ORANGE, Drawing, canvas, fitted
from metarho.report.figures.scales import in_brackets, label_in_r, label_of, tau_label

_PROBS = (0.5, 0.8, 0.95)
_SHADES = ("#DCE9F3", "#9CC4E0", "#4A93C4")
# Of the grid's points so many are data, either way: enough to draw the contours again.
_EVERY = 4


def joint(fit: Fit, name: str, title: str) -> Drawing:
    """Regions that hold 50, 80 and 95% of the joint posterior with the highest density.

    The mean is at the average of the moderators, on the model's scale below and on r above; tau is
    the total sd. First ask ``posterior.mean_and_tau.no_mean_and_tau``.
    """
    found = mean_and_tau(fit)
    levels = found.levels(_PROBS)
    prob, kind = fit.interval.prob, fit.interval.kind
    mean = fit.posterior.mean_of(fit.posterior.head).summary(prob, kind)
    tau = fit.posterior.tau.summary(prob, kind)
    with canvas(COLUMN, 3.1) as figure:
        axes = figure.subplots()
        edges = [*reversed(levels), float(found.density.max()) * 1.001]
        axes.contourf(found.mu, found.tau, found.density.T, edges, colors=_SHADES)
        axes.contour(found.mu, found.tau, found.density.T, edges[:-1], colors=BLUE, linewidths=0.7)
        if mean.median is not None and tau.median is not None:
            axes.plot(mean.median, tau.median, "+", color=ORANGE, markersize=7,
                      markeredgewidth=1.4)  # fmt: skip
        low, high, top = _limits(found, levels[-1])
        axes.set_xlim(low, high)
        axes.set_ylim(0, top)
        scale = {"z": "Fisher z", "r": "r", "yi": "yi"}[fit.problem.scale]
        axes.set_xlabel(f"mean ({scale})")
        axes.set_ylabel(tau_label(fit.problem))
        if fit.problem.scale == "z":
            above = axes.secondary_xaxis("top")
            label_in_r(above.xaxis, low, high, nearest=0.15)
            above.set_xlabel(label_of(fit.problem))
            above.spines["top"].set_visible(True)
        if low < 0 < high:
            axes.axvline(0, color="#666666", linewidth=0.6, zorder=0.5)
        figure.suptitle(fitted(title, COLUMN), x=0.01, ha="left", fontsize=8.5, parse_math=False)
        patches = [
            Patch(facecolor=shade, edgecolor=BLUE, linewidth=0.7, label=f"{p * 100:g}%")
            for p, shade in zip(_PROBS, reversed(_SHADES), strict=True)
        ]
        figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=7)
    data: list[Row] = [
        {
            "mu": float(found.mu[m]),
            "tau": float(found.tau[t]),
            "density": float(found.density[m, t]),
        }
        for m in range(0, len(found.mu), _EVERY)
        for t in range(0, len(found.tau), _EVERY)
    ]
    how = "a kernel estimate of draws" if found.by_draws else "integrated"
    said = (
        f"Joint posterior of the mean and of tau ({how}): regions of highest density with 50, 80 "
        f"and 95%. Mean {in_brackets(fit.pooled)} on the readers' scale, tau "
        f"{in_brackets(tau, 3)}; their correlation is {_correlation(found):.2f}."
    )
    return Drawing(name, figure, data, said)


def _limits(found: MeanAndTau, level: float) -> tuple[float, float, float]:
    """What the widest region needs, with a margin."""
    inside = found.density >= level
    mu = found.mu[inside.any(axis=1)]
    tau = found.tau[inside.any(axis=0)]
    pad = 0.08 * float(np.ptp(mu))
    return float(mu[0]) - pad, float(mu[-1]) + pad, 1.1 * float(tau[-1])


def _correlation(found: MeanAndTau) -> float:
    """Correlation of mean and tau under the density on the grid."""
    weight = found.mass / found.mass.sum()
    mu = found.mu - weight.sum(axis=1) @ found.mu
    tau = found.tau - weight.sum(axis=0) @ found.tau
    covariance = float(mu @ weight @ tau)
    spread = float(weight.sum(axis=1) @ mu**2) * float(weight.sum(axis=0) @ tau**2)
    return covariance / math.sqrt(spread)
