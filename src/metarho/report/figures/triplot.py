"""Prior, likelihood and posterior of the mean in one panel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metarho.compare.rows import Row
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Point, Summary
from metarho.report.figures.drawing import BLUE, COLUMN, GREY, ORANGE, Drawing, bare, canvas, fitted
from metarho.report.figures.prior_posterior import prior_density
from metarho.report.figures.scales import in_brackets, label_of, no_effect

type Array = NDArray[np.float64]

_POINTS = 400
# Around likelihood and posterior, as a share of their width: room for the prior.
_ROOM = 0.45
# Correlations of ±1 are at infinity of Fisher's z.
_ENDS = 0.9995


def triplot(fit: Fit, flat: Fit, name: str, title: str) -> Drawing:
    """Densities of mu, on r for correlations.

    First ask ``no_triplot`` of ``compare/flat_mean.py``. ``flat`` is the fit of its ``flat_mean``:
    its posterior is the likelihood of mu, heterogeneity integrated over its prior, normalised. Flat
    on Fisher's z, where the model has mu. With moderators mu is the mean where they are 0, or at
    their reference.
    """
    marginals = {kind: one.posterior.parameters["mu"] for kind, one in
                 (("likelihood", flat), ("posterior", fit))}  # fmt: skip
    on_axis = {kind: fit.posterior.rho(marginal) for kind, marginal in marginals.items()}
    ends = [end for marginal in on_axis.values() for end in marginal.range(0.0005)]
    low, high = min(*ends, 0.0), max(*ends, 0.0)
    low, high = low - _ROOM * (high - low), high + _ROOM * (high - low)
    if fit.problem.scale != "yi":
        low, high = max(low, -_ENDS), min(high, _ENDS)
    x = np.linspace(low, high, _POINTS)
    curves = {"prior": _prior(fit, x)} | {
        kind: None if isinstance(marginal, Point) else marginal.density(x)
        for kind, marginal in on_axis.items()
    }
    looks = {
        "prior": (GREY, ":", 1.2),
        "likelihood": (ORANGE, "--", 1.3),
        "posterior": (BLUE, "-", 1.6),
    }
    with canvas(COLUMN, 2.6) as figure:
        axes = figure.subplots()
        for kind, density in curves.items():
            colour, dashes, width = looks[kind]
            if density is not None:
                # Where the prior says little the likelihood is the posterior: dashes over it.
                axes.plot(x, density, color=colour, linestyle=dashes, linewidth=width, label=kind,
                          zorder=3 if kind == "likelihood" else 2)  # fmt: skip
        posterior = on_axis["posterior"]
        if isinstance(posterior, Point):
            axes.axvline(posterior.value, color=BLUE, linewidth=1.6, label="posterior")
        else:
            axes.fill_between(x, posterior.density(x), color=BLUE, alpha=0.1, linewidth=0)
        no_effect(axes)
        axes.set_xlim(low, high)
        axes.set_ylim(bottom=0)
        bare(axes)
        where = ", moderators at 0 or reference" if fit.problem.design.cells else ""
        axes.set_xlabel(label_of(fit.problem) + where)
        axes.set_title(fitted(title, COLUMN), loc="left", parse_math=False)
        figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    data: list[Row] = [
        {"density_of": kind, "x": float(a), "density": float(b)}
        for kind, density in curves.items()
        if density is not None
        for a, b in zip(x, density, strict=True)
    ]
    found = {kind: m.summary(fit.interval.prob, fit.interval.kind) for kind, m in on_axis.items()}
    return Drawing(name, figure, data, _words(fit, found))


def _prior(fit: Fit, x: Array) -> Array | None:
    """The prior's density on the axis; None where it has none."""
    if fit.problem.scale != "z":
        return prior_density(fit, "mu", x)
    density = prior_density(fit, "mu", np.arctanh(x))
    return None if density is None else density / (1 - x**2)


def _words(fit: Fit, found: dict[str, Summary]) -> str:
    return (
        f"Prior, likelihood and posterior of mu. Prior: {fit.problem.prior('mu')}. Likelihood "
        f"alone: {in_brackets(found['likelihood'])}; posterior: {in_brackets(found['posterior'])} "
        f"(median, {fit.interval.prob * 100:g}% interval)."
    )
