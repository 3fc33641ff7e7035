"""Prior and posterior of the mean and of heterogeneity, a row a prior set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from metarho.compare.rows import Row
from metarho.engines.exact.priors import log_density
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Marginal, Point
from metarho.posterior.prior_draws import draw_priors
from metarho.report.figures.drawing import BLUE, GREY, ORANGE, PAGE, Drawing, bare, canvas, fitted
from metarho.spec.priors import PER_TAU

type Array = NDArray[np.float64]

_LINES = {
    "use": (BLUE, "-", "posterior, intervals used"),
    "drop": (ORANGE, "--", "posterior, intervals dropped"),
}
_POINTS = 300
# Inches of a prior set.
_ROW = 1.45


def prior_posterior(
    fits: Mapping[tuple[str, str], Fit], prior_sets: Sequence[str], name: str, title: str
) -> Drawing:
    """``fits`` by (prior set, intervals), all of one model; densities on the model's scale.

    In nested models the heterogeneity shown is the total sd.
    """
    some = next(iter(fits.values()))
    columns = ["mu", "tau"] if some.problem.model.levels else ["mu"]
    data: list[Row] = []
    with canvas(PAGE, _ROW * len(prior_sets) + 0.7) as figure:
        grid = figure.subplots(len(prior_sets), len(columns), squeeze=False)
        for column, parameter in enumerate(columns):
            span = _span(list(fits.values()), parameter)
            for line, prior_set in enumerate(prior_sets):
                axes = grid[line, column]
                here = {key[1]: fit for key, fit in fits.items() if key[0] == prior_set}
                data += _panel(axes, here, parameter, span, prior_set)
                if column == 0:
                    axes.set_ylabel(fitted(prior_set, _ROW), parse_math=False)
            grid[-1, column].set_xlabel(_name(some, parameter))
        figure.suptitle(fitted(title, PAGE), x=0.01, ha="left", fontsize=8.5, parse_math=False)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7)
    sets = ", ".join(prior_sets)
    return Drawing(
        name,
        figure,
        data,
        f"Prior and posterior densities of {_name(some, 'mu')} and "
        f"heterogeneity under the prior sets {sets}.",
    )


def _name(fit: Fit, parameter: str) -> str:
    scale = {"z": "Fisher z", "r": "r", "yi": "yi"}[fit.problem.scale]
    if fit.problem.model.measurement == "true-score":
        scale += ", true scores"
    if parameter == "mu":
        return f"mu ({scale})"
    total = " total" if len(fit.problem.model.levels) > 1 else ""
    return f"tau{total} ({scale})"


def _posterior(fit: Fit, parameter: str) -> Marginal:
    if parameter == "mu" or len(fit.problem.model.levels) == 1:
        name = "mu" if parameter == "mu" else next(iter(fit.problem.model.level_sds.values()))
        return fit.posterior.parameters[name]
    if fit.problem.scale_slopes:
        # Loaded here, and below: ArviZ's statistics take seconds. Such models are sampled.
        from metarho.posterior.sampled import Sample, Sampled

        assert isinstance(fit.posterior, Sampled)
        # As its prior: at the reference row of the moderators of heterogeneity.
        return Sample(fit.problem.total_sd(fit.posterior.draws.parameters))
    return fit.posterior.tau


def prior_density(fit: Fit, parameter: str, x: Array) -> Array | None:
    """The prior's density at x; None where it has none to draw."""
    problem = fit.problem
    sds = list(problem.model.level_sds.values())
    single = parameter if parameter in problem.priors else sds[0] if len(sds) == 1 else None
    prior = problem.prior(single) if single is not None else None
    if prior is not None and prior.on != PER_TAU:
        if prior.is_point or not prior.proper:
            return None
        return np.exp(log_density(prior, x, problem.evidence.v))
    from metarho.posterior.sampled import Sample

    # The prior of a total, or of mu as a part of it, has no formula: it is drawn, with a fixed
    # stream.
    drawn = draw_priors(problem, np.random.default_rng(0), 40_000)
    if parameter == "mu":
        return Sample(drawn["mu"][None, :]).density(x) if "mu" in drawn else None
    return Sample(problem.total_sd(drawn)[None, :]).density(x)


def _span(fits: Sequence[Fit], parameter: str) -> tuple[float, float]:
    ranges = [_posterior(fit, parameter).range(0.0005) for fit in fits]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    pad = 0.15 * (high - low) or 0.1
    # No effect is on the page, however far the posterior has gone from it.
    return (0.0 if parameter == "tau" else min(low - pad, -pad)), high + pad


def _panel(
    axes: Axes, fits: Mapping[str, Fit], parameter: str, span: tuple[float, float], prior_set: str
) -> list[Row]:
    x = np.linspace(*span, _POINTS)
    prior = prior_density(next(iter(fits.values())), parameter, x)
    rows: list[Row] = []
    if prior is not None:
        axes.plot(x, prior, color=GREY, linewidth=1.0, linestyle=":", label="prior")
        rows += _rows(prior_set, parameter, "prior", x, prior)
    for intervals, fit in fits.items():
        colour, dashes, label = _LINES[intervals]
        if len(fits) == 1:
            label = "posterior"
        marginal = _posterior(fit, parameter)
        if isinstance(marginal, Point):
            axes.axvline(marginal.value, color=colour, linestyle=dashes, label=label)
            continue
        density = marginal.density(x)
        axes.plot(x, density, color=colour, linewidth=1.3, linestyle=dashes, label=label)
        rows += _rows(prior_set, parameter, f"posterior, {intervals}", x, density)
    axes.set_xlim(*span)
    axes.set_ylim(bottom=0)
    bare(axes)
    if parameter == "mu":
        axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    return rows


def _rows(prior_set: str, parameter: str, which: str, x: Array, density: Array) -> list[Row]:
    return [
        {
            "priors": prior_set,
            "parameter": parameter,
            "density_of": which,
            "x": float(a),
            "density": float(b),
        }
        for a, b in zip(x, density, strict=True)
    ]
