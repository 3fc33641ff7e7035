"""Data simulated from a model's own law, written for the purpose: nothing is the engines'.

Correlations under exact-r come from as many bivariate normal pairs as there are people; selected
results by drawing studies anew until one is reported; correlated errors from their covariance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from metarho.data.effect_sizes import critical_r
from metarho.data.tables import is_blank
from metarho.engines.problem import Problem
from metarho.posterior.prior_draws import draw_prior
from metarho.spec.model import Step, StepSelection

type Array = NDArray[np.float64]
type Truth = Mapping[str, Array]


def draw_truth(base: Problem, rng: np.random.Generator) -> dict[str, Array]:
    """A value of every parameter from its prior."""
    truth = {}
    for name, applied in base.priors.items():
        drawn = draw_prior(applied.prior, rng, 1, base.evidence.v)
        assert drawn is not None
        truth[name] = drawn
    joint = base.model.priors.get("omega")
    if joint is not None and joint.is_joint:
        # The cumulative sums of a Dirichlet, from the last band up.
        parts = rng.dirichlet(dict(joint.lists)["alpha"])
        sums = np.cumsum(parts[::-1])[::-1][1:]
        truth |= {name: np.array([one]) for name, one in zip(base.shapes, sums, strict=True)}
    if base.shrunk_slopes:
        tau = np.sqrt(sum(base.level_variances(truth).values()))
        truth |= draw_slopes(base, tau, rng)
    return truth


def draw_slopes(base: Problem, tau: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Slopes, one of each moderator, from their joint prior as its paper draws them, given tau (n).

    With the parameters of their scale. R2D2 from a Dirichlet, whose gammas have a sum of their own.
    """
    joint, names, n = base.model.priors["beta"], base.design.names[1:], len(tau)
    given, columns = joint.values, base.design.matrix[:, 1:]
    if joint.family == "RegularizedHorseshoe":
        c2 = given["slab_df"] * given["slab_scale"] ** 2 / rng.chisquare(given["slab_df"], n)
        across = given["tau0"] * np.abs(rng.standard_t(1, n))
        local = np.abs(rng.standard_t(1, (len(names), n)))
        sds = 1 / np.sqrt(1 / (across * local) ** 2 + 1 / c2)
        scale = {"beta_global": across, "beta_slab2": c2, **_each("beta_local", names, local)}
    else:
        ahead = given["mean"] * given["precision"]
        r2 = rng.beta(ahead, given["precision"] - ahead, n)
        phi = rng.dirichlet([given["concentration"]] * len(names), n).T
        sds = tau * np.sqrt(phi * r2 / (1 - r2)) / columns.std(axis=0)[:, None]
        gammas = phi * rng.gamma(given["concentration"] * len(names), size=n)
        scale = {"beta_R2": r2, **_each("beta_gamma", names, gammas)}
    return {**scale, **_each("beta", names, rng.normal(0, sds))}


def _each(base: str, names: Sequence[str], values: Array) -> dict[str, Array]:
    return {f"{base}[{name}]": value for name, value in zip(names, values, strict=True)}


def seen_as(base: Problem, y: Array) -> Problem:
    """The problem with y for its rows, cut into words in those that printed words."""
    nothing = np.full_like(y, np.nan)
    cut = _words(base, y) if base.evidence.is_interval.any() else (y, nothing, nothing)
    rows = tuple(
        row if row.tests == 1 else replace(row, word_means="all" if np.isfinite(both) else "any")
        for row, both in zip(base.evidence.rows, cut[1] + cut[2], strict=True)
    )
    evidence = replace(base.evidence, rows=rows, y=cut[0], lower=cut[1], upper=cut[2])
    return replace(base, evidence=evidence)


def simulate(world: Problem, truth: Truth, rng: np.random.Generator) -> Array:
    """A number a row on the model's scale."""
    law = _pairs if world.model.likelihood == "exact-r" else _errors
    shared = _shared(world, truth, rng)

    def once() -> Array:
        theta = _observed(world, shared + _own(world, truth, rng), rng)
        return law(world, theta, rng) + _bias(world, truth)

    y = once()
    selection = world.model.selection
    if not isinstance(selection, StepSelection):
        return y
    # Results that are not reported are never seen: another takes their place.
    step = selection.step
    free = [float(truth[name][0]) for name in step.omegas]
    weights = np.array([1.0, *(step.weights or free)])
    kept = np.zeros(len(y), dtype=bool)
    while True:
        p = p_values(step, y, world.evidence.v, world.evidence.sizes)
        kept |= rng.uniform(size=len(y)) < weights[np.searchsorted(step.cutpoints, p)]
        if kept.all():
            return y
        y = np.where(kept, y, once())


def p_values(step: Step, y: Array, v: Array, n: Array) -> Array:
    """The p of each row by which results are selected."""
    statistic = y / np.sqrt(v) if step.test == "z" else np.sinh(y) * np.sqrt(n - 2)
    law = stats.norm() if step.test == "z" else stats.t(n - 2)
    if step.sides == "two":
        return np.asarray(2 * law.sf(np.abs(statistic)))
    return np.asarray(law.cdf(statistic) if step.favours == "negative" else law.sf(statistic))


def _shared(world: Problem, truth: Truth, rng: np.random.Generator) -> Array:
    """The mean of each row, with the deviations of its groups."""
    mean = _design(world, rng) @ np.concatenate([truth[name] for name in world.coefficients])
    for level, tau2 in world.level_variances(truth).items():
        if level != "effect":
            index, names = world.evidence.groups(level)
            mean = mean + np.sqrt(tau2) * rng.standard_normal(len(names))[index]
    return np.asarray(mean)


def _design(world: Problem, rng: np.random.Generator) -> Array:
    """The design, with unknown moderators from the law of the known ones, row by row.

    A number is unknown in one study here, whose rows share it.
    """
    if world.imputation is None:
        return world.design.matrix
    cells = {name: list(column) for name, column in world.design.cells.items()}
    for name, factor in world.imputation.factors.items():
        chances = rng.dirichlet([1 + count for count in factor.counts])
        drawn = rng.choice(world.design.levels[name], size=world.evidence.k, p=chances)
        cells[name] = [
            str(new) if is_blank(cell) else cell
            for cell, new in zip(cells[name], drawn, strict=True)
        ]
    for name, one in world.imputation.numbers.items():
        # The predictive law of one more value under the reference prior.
        x = one.mean + one.sd * math.sqrt(1 + 1 / one.n) * rng.standard_t(one.n - 1)
        cells[name] = [float(x) if is_blank(cell) else cell for cell in cells[name]]
    return world.design.rows_of({name: tuple(column) for name, column in cells.items()})


def _own(world: Problem, truth: Truth, rng: np.random.Generator) -> Array:
    """What each row's true effect differs by on its own: normal, Student-t or a mixture."""
    k = world.evidence.k
    tau2 = world.level_variances(truth).get("effect", np.zeros(1))
    slopes = np.array([float(truth[name][0]) for name in world.scale_slopes])
    sd = np.sqrt(tau2) * np.exp(world.scale_design.matrix[:, 1:] @ slopes)
    if "nu" in truth:
        return np.asarray(sd * rng.standard_t(truth["nu"], k))
    away = sd * rng.standard_normal(k)
    if "weight" in truth:
        outlying = rng.uniform(size=k) < truth["weight"]
        away = away + outlying * truth["tau_outlier"] * rng.standard_normal(k)
    return np.asarray(away)


def _observed(world: Problem, theta: Array, rng: np.random.Generator) -> Array:
    """Fisher's z of observed scores where theta is of true ones: attenuated, then restricted."""
    if world.model.measurement != "true-score":
        return theta
    a = np.tanh(theta)
    for name, applied in world.reliabilities.items():
        prior = applied.prior.values
        drawn = rng.beta(prior["alpha"], prior["beta"], world.evidence.k)
        known = np.array([getattr(row, name) for row in world.evidence.rows], dtype=float)
        a = a * np.sqrt(np.where(np.isnan(known), drawn, known))
    u = np.array([row.ux or 1.0 for row in world.evidence.rows])
    return np.asarray(np.arctanh(u * a / np.sqrt(1 + (u**2 - 1) * a**2)))


def _bias(world: Problem, truth: Truth) -> Array:
    v = world.evidence.v
    match world.model.selection:
        case "pet":
            return np.asarray(truth["pet"] * np.sqrt(v))
        case "peese":
            return np.asarray(truth["peese"] * v)
    return np.zeros(len(v))


def _errors(world: Problem, theta: Array, rng: np.random.Generator) -> Array:
    """Normal sampling errors, which correlate within samples.

    Of several tests the estimate furthest from 0: not significant if all are. That one is
    significant each way, which no word says, is too rare to matter.
    """
    y = rng.normal(theta, np.sqrt(world.evidence.v))
    for row, known in enumerate(world.evidence.rows):
        if known.tests > 1:
            own = math.sqrt(1 - known.rho_tests) * rng.standard_normal(known.tests)
            noise = own + math.sqrt(known.rho_tests) * rng.standard_normal()
            each = theta[row] + math.sqrt(world.evidence.v[row]) * noise
            y[row] = each[np.abs(each).argmax()]
    for group in world.evidence.correlated:
        y[group.rows] = rng.multivariate_normal(theta[group.rows], group.covariance)
    return y


def _pairs(world: Problem, theta: Array, rng: np.random.Generator) -> Array:
    """Fisher's z of the correlation in as many bivariate normal pairs as there are people."""
    y = np.empty_like(theta)
    for row, n in enumerate(world.evidence.sizes.astype(int)):
        a, b = rng.standard_normal((2, n))
        b = math.tanh(theta[row]) * a + b / math.cosh(theta[row])
        y[row] = math.atanh(np.corrcoef(a, b)[0, 1])
    return y


def _words(base: Problem, y: Array) -> tuple[Array, Array, Array]:
    """y, lower and upper, y cut into words in the rows that printed words."""
    limits = np.array([math.atanh(critical_r(row.ni or 4)) for row in base.evidence.rows])
    cut = base.evidence.is_interval
    lower = np.where(y > limits, limits, np.where(y < -limits, -np.inf, -limits))
    upper = np.where(y > limits, np.inf, np.where(y < -limits, -limits, limits))
    return (
        np.where(cut, np.nan, y),
        np.where(cut, lower, np.nan),
        np.where(cut, upper, np.nan),
    )
