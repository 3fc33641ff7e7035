"""Every quantity of interest from draws. Summaries and diagnostics are ArviZ's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import NDArray

from metarho.engines import law_of_r
from metarho.engines.exact.moments import (
    moments_of_effects,
    moments_of_heterogeneity,
    moments_of_slope_scale,
)
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.posterior import new_effects
from metarho.posterior.heterogeneity import h2, i2, typical_variance
from metarho.posterior.marginals import NOTHING, Kind, Marginal, Point, Summary

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A marginal known by draws, (chain, draw). ``moments`` below this order exist."""

    draws: Array
    moments: float = math.inf

    def summary(self, prob: float, kind: Kind) -> Summary:
        """Mean, sd, median and interval (ArviZ)."""
        flat = self.draws.ravel()
        interval = array_stats.hdi if kind == "hdi" else array_stats.eti
        lower, upper = interval(flat, prob=prob)
        return Summary(
            float(array_stats.mean(flat)) if self.moments > 1 else None,
            float(array_stats.std(flat)) if self.moments > 2 else None,
            float(array_stats.median(flat)),
            float(lower),
            float(upper),
        )

    def cdf(self, x: Array) -> Array:
        """Share of draws of at most x."""
        ordered = np.sort(self.draws.ravel())
        return np.asarray(np.searchsorted(ordered, np.asarray(x), side="right") / len(ordered))

    @cached_property
    def _kde(self) -> tuple[Array, Array]:
        grid, density, *_ = array_stats.kde(self.draws.ravel())
        return np.asarray(grid), np.asarray(density)

    def density(self, x: Array) -> Array:
        """ArviZ's kernel density at x."""
        grid, density = self._kde
        x = np.asarray(x, dtype=float)
        # A density that ends at a bound is drawn up to it, a grid step short of which draws end.
        near = x >= grid[0] - (grid[-1] - grid[0]) / 100
        return np.where(near, np.interp(x, grid, density, right=0.0), 0.0)

    def range(self, outside: float) -> tuple[float, float]:
        """Quantiles of the draws."""
        low, high = np.quantile(self.draws, [outside, 1 - outside])
        return float(low), float(high)


@dataclass(frozen=True)
class Sampled:
    """A problem and its draws, read as marginals. ``seed`` feeds the new study's noise."""

    problem: Problem
    draws: Draws
    seed: int = field(default=0)

    @cached_property
    def parameters(self) -> dict[str, Marginal]:
        """The marginal of every parameter, in the problem's order."""
        found: dict[str, Marginal] = {}
        for name, values in self.all_parameters.items():
            applied = self.problem.priors.get(name)
            if applied is not None and applied.prior.is_point:
                found[name] = Point(applied.prior.values["c"])
            else:
                found[name] = Sample(values, moments_of_slope_scale(self.problem, name))
        return found

    @cached_property
    def all_parameters(self) -> dict[str, Array]:
        """Draws of the parameters, and of what they imply."""
        values = dict(self.draws.parameters)
        return values | self.problem.implied(values)

    @cached_property
    def coefficients(self) -> Array:
        """Draws of mu and the slopes: (chain, draw, p)."""
        return np.stack([self.draws.parameters[n] for n in self.problem.coefficients], axis=-1)

    @cached_property
    def level_variances(self) -> dict[str, Array]:
        """Draws of the variance on each level."""
        return self.problem.level_variances(self.draws.parameters)

    @cached_property
    def tau(self) -> Sample:
        """The root of Στ², at the average of the moderators of tau."""
        between, effect = new_effects.variances(self.problem, self._values, self._scale)
        return Sample(np.sqrt(between + effect))

    @property
    def _values(self) -> Mapping[str, Array]:
        return self.draws.parameters

    @property
    def _scale(self) -> Array:
        """The row of the moderators of log tau that the headline is at."""
        return self.problem.scale_design.average

    @property
    def head(self) -> Array:
        """The row of the headline: the average over the evidence."""
        return self.problem.design.average

    def mean_of(self, row: Array) -> Sample:
        """The posterior of rowᵀ(mu, beta)."""
        return Sample(self.coefficients @ row)

    def theta_new(
        self, row: Array, extra_variance: float = 0.0, scale: Array | None = None
    ) -> Sample:
        """The true effect of a new study at a row, plus independent noise of a given variance.

        ``scale`` is its row of the moderators of log tau, their average unless given.
        """
        # One stream for every question, so that profiles differ by what they ask, not by luck.
        rng = np.random.default_rng(self.seed)
        at = self._scale if scale is None else scale
        noise = new_effects.draw_noise(self.problem, self._values, at, extra_variance, rng)
        return Sample(self.coefficients @ row + noise, moments_of_effects(self.problem))

    def observed_z(self, row: Array, n: float, scale: Array | None = None) -> Sample:
        """What a new study of n people at a row observes under the exact law of r, as z."""
        rng = np.random.default_rng((self.seed, 1))
        return Sample(law_of_r.sample(self.theta_new(row, scale=scale).draws, n, rng))

    def average_correlation_summary(self, row: Array, prob: float, kind: Kind) -> Summary:
        """rho_mean at a row, draw by draw."""
        mean = self.coefficients @ row
        values = new_effects.mean_correlation(self.problem, self._values, self._scale, mean)
        return Sample(values).summary(prob, kind)

    def rho(self, base: Marginal) -> Marginal:
        """A quantity of the model's scale as a correlation."""
        if isinstance(base, Sample) and self.problem.scale == "z":
            return Sample(np.tanh(base.draws))
        return base

    def derived(self, prob: float, kind: Kind) -> dict[str, Summary]:
        """rho_median, rho_mean, I² (and by level, where there are several), H²."""
        scale = self.problem.scale
        found = {"rho_median": NOTHING, "rho_mean": NOTHING, "I2": NOTHING, "H2": NOTHING}
        if scale != "yi":
            median = self.rho(self.mean_of(self.head)).summary(prob, kind)
            found["rho_median"] = median
            found["rho_mean"] = (
                self.average_correlation_summary(self.head, prob, kind) if scale == "z" else median
            )
        s2 = typical_variance(self.problem)
        if s2 is None or self.problem.scale_slopes or moments_of_effects(self.problem) <= 2:
            return found
        total = new_effects.total_variance(self.problem, self._values, self._scale)
        found["I2"] = Sample(i2(total, s2)).summary(prob, kind)
        if self.problem.model.effects != "student-t":
            found["H2"] = self._h2(total, s2, prob, kind)
        if len(self.level_variances) > 1:
            others = sum(v for level, v in self.level_variances.items() if level != "effect")
            for level, variance in self.level_variances.items():
                # Of effects all that is not of groups: a t law or outliers vary by more than tau².
                own = total - others if level == "effect" else variance
                found[f"I2_{level}"] = Sample(100 * own / (total + s2)).summary(prob, kind)
        return found

    def _h2(self, total: Array, s2: float, prob: float, kind: Kind) -> Summary:
        """H², without a mean or sd that the posterior lacks, whatever its draws average to."""
        found = Sample(h2(total, s2)).summary(prob, kind)
        moments = moments_of_heterogeneity(self.problem) / 2
        mean = found.mean if moments > 1 else None
        return replace(found, mean=mean, sd=found.sd if moments > 2 else None)


def diagnostics(problem: Problem, draws: Draws) -> dict[str, object]:
    """R-hat, bulk and tail ESS by parameter; divergences, tree depth and E-BFMI of the run."""
    free = {
        name: values
        for name, values in draws.parameters.items()
        if not problem.priors[name].prior.is_point
    }
    energy = np.asarray(draws.statistics["energy"])
    return {
        "r_hat": {name: float(array_stats.rhat(values)) for name, values in free.items()},
        "ess_bulk": {
            name: float(array_stats.ess(values, method="bulk")) for name, values in free.items()
        },
        "ess_tail": {
            name: float(array_stats.ess(values, method="tail", prob=(0.05, 0.95)))
            for name, values in free.items()
        },
        "divergences": int(np.asarray(draws.statistics["diverging"]).sum()),
        "max_treedepth": int(np.asarray(draws.statistics["reached_max_treedepth"]).sum()),
        "e_bfmi": float(np.min(array_stats.bfmi(energy))),
        "target_accept": draws.target_accept,
        "retried": draws.retried,
    }


def monte_carlo_errors(values: Array, prob: float) -> dict[str, float]:
    """MCSE of mean, sd and the printed quantiles (ArviZ)."""
    tail = (1 - prob) / 2
    return {
        "mean": float(array_stats.mcse(values, method="mean")),
        "sd": float(array_stats.mcse(values, method="sd")),
        "median": float(array_stats.mcse(values, method="quantile", prob=0.5)),
        "lower": float(array_stats.mcse(values, method="quantile", prob=tail)),
        "upper": float(array_stats.mcse(values, method="quantile", prob=1 - tail)),
    }
