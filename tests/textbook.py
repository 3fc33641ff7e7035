"""The density of a problem's rows and sampled deviations as textbooks write it, in SciPy.

Written apart from the package: dense covariances, scipy.stats, quad. Of the package it takes the
encoded rows, and which deviations are variables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad
from scipy.special import gammaln, hyp2f1, logsumexp, ndtr

from metarho.data.tables import is_blank
from metarho.engines.problem import Problem
from metarho.spec.model import Step, StepSelection

type Array = NDArray[np.float64]
type Values = Mapping[str, Array]


def log_density(problem: Problem, values: Values) -> float:
    """log p(rows, sampled deviations | parameters) at the values of parameters and deviations."""
    if problem.imputation is not None:
        return _log_imputed(problem, values)
    evidence = problem.evidence
    total = sum(
        float(stats.norm.logpdf(one).sum())
        for name, one in values.items()
        if name.startswith("deviation_") or name == "effect_away"
    )
    mean, tied = mean_of_rows(problem, values)
    effect = _effect_variance(problem, values)
    if problem.model.likelihood == "exact-r":
        theta = mean + np.sqrt(effect) * values.get("effect_away", np.zeros(evidence.k))
        return total + _log_exact_r(problem, theta)
    if problem.model.measurement == "true-score":
        theta = mean + np.sqrt(effect) * values.get("effect_away", np.zeros(evidence.k))
        return total + _log_observed_scores(problem, theta, values)
    if problem.model.effects == "student-t":
        nu, away = float(values["nu"]), values["precision_away"]
        spread = np.sqrt(2 / nu + 2 / nu**2)
        precision = np.exp(spread * away - 1 / nu)
        law = stats.gamma(nu / 2, scale=2 / nu)
        total += float((law.logpdf(precision) + np.log(precision * spread)).sum())
        effect = effect / precision
    if problem.is_gaussian:
        return total + _log_gaussian(problem, mean, effect, tied)
    parts = [(1.0, effect)]
    if problem.model.effects == "mixture":
        weight = float(values["weight"])
        parts = [(1 - weight, effect), (weight, effect + values["tau_outlier"] ** 2)]
    return total + _log_rows(problem, mean, parts, values)


def _log_imputed(problem: Problem, values: Values) -> float:
    """The same with unknown moderators: numbers at their values, factors summed over all tables.

    Only factors that are unknown row by row, and one number, of one study, are done.
    """
    found, cells = problem.imputation, problem.design.cells
    assert found is not None
    total, filled = 0.0, {name: list(column) for name, column in cells.items()}
    for place, one in enumerate(found.numbers.values()):
        half = (one.n - 1) / 2
        (of_value,) = [name for name in values if name.startswith("unknown_")]
        names = (f"variance_{place}", f"mean_{place}", of_value)
        ratio, mean, away = (float(values[name]) for name in names)
        total += stats.invgamma(half, scale=half).logpdf(ratio)
        total += stats.norm.logpdf([mean, away]).sum()
        sigma = one.sd * np.sqrt(ratio)
        x = float(one.mean + sigma / np.sqrt(one.n) * mean + sigma * away)
        filled[one.name] = [x if is_blank(cell) else cell for cell in filled[one.name]]
    blank, chances = [], {}
    for place, factor in enumerate(found.factors.values()):
        chances[factor.name] = values[f"chances_{place}"]
        total += stats.dirichlet(1 + np.array(factor.counts)).logpdf(chances[factor.name])
        blank += [
            (factor.name, row) for row, cell in enumerate(cells[factor.name]) if is_blank(cell)
        ]
    terms = []
    for levels in product(*(range(len(problem.design.levels[name])) for name, _ in blank)):
        log_chance = 0.0
        for (name, row), level in zip(blank, levels, strict=True):
            filled[name][row] = problem.design.levels[name][level]
            log_chance += float(np.log(chances[name][level]))
        matrix = problem.design.rows_of({name: tuple(column) for name, column in filled.items()})
        table = replace(problem, design=replace(problem.design, matrix=matrix), imputation=None)
        unknown: Array = found.rows.astype(np.float64)
        terms.append(log_chance + log_density(table, {**values, "unknown": unknown}))
    return float(total + logsumexp(terms))


def log_slope_prior(problem: Problem, values: Values) -> float:
    """log p(slopes, parameters of their scale) of a joint prior, as its paper writes it."""
    joint = problem.model.priors["beta"]
    given, slopes = joint.values, _named(values, "beta[")
    if joint.family == "RegularizedHorseshoe":
        half_df = given["slab_df"] / 2
        slab2 = stats.invgamma(half_df, scale=half_df * given["slab_scale"] ** 2)
        total = stats.halfcauchy(scale=given["tau0"]).logpdf(values["beta_global"])
        total += slab2.logpdf(values["beta_slab2"])
        total += stats.halfcauchy.logpdf(_named(values, "beta_local[")).sum()
    else:
        share = stats.beta(
            given["mean"] * given["precision"], (1 - given["mean"]) * given["precision"]
        )
        total = share.logpdf(values["beta_R2"])
        gammas = _named(values, "beta_gamma[")
        total += stats.gamma(given["concentration"]).logpdf(gammas).sum()
    return float(total + stats.norm(0, slope_sds(problem, values)).logpdf(slopes).sum())


def slope_sds(problem: Problem, values: Values) -> Array:
    """The sds of slopes given the parameters of a joint prior: a slope of each moderator."""
    if problem.model.priors["beta"].family == "RegularizedHorseshoe":
        local2, slab2 = _named(values, "beta_local[") ** 2, values["beta_slab2"]
        global2 = values["beta_global"] ** 2
        return np.sqrt(global2 * slab2 * local2 / (slab2 + global2 * local2))
    share = _named(values, "beta_gamma[") / _named(values, "beta_gamma[").sum(axis=0)
    explained = values["tau"] ** 2 * values["beta_R2"] / (1 - values["beta_R2"])
    own = problem.design.matrix[:, 1:].std(axis=0)
    return np.asarray((np.sqrt(share * explained).T / own).T)


def _named(values: Values, start: str) -> Array:
    return np.array([value for name, value in values.items() if name.startswith(start)])


def mean_of_rows(problem: Problem, values: Values) -> tuple[Array, Array]:
    """The mean of each row given the deviations that are variables; covariance of the others."""
    evidence = problem.evidence
    slopes = [values[name] for name in problem.coefficients]
    mean = problem.design.matrix @ np.array(slopes, dtype=float)
    if problem.model.selection == "pet":
        mean = mean + values["pet"] * np.sqrt(evidence.v)
    if problem.model.selection == "peese":
        mean = mean + values["peese"] * evidence.v
    tied = np.zeros((evidence.k, evidence.k))
    for level in problem.model.levels:
        if level == "effect":
            continue
        sd = float(values[f"tau_{level}"])
        index, names = evidence.groups(level)
        of_level = values.get(f"deviation_{level}", np.zeros(0))
        unknown = values.get("unknown", np.zeros(0))
        kept = _kept(problem, level, len(of_level), len(names), unknown)
        for row, group in enumerate(index):
            if group in kept:
                mean[row] += sd * of_level[kept.index(group)]
        free = np.array([group not in kept for group in index])
        tied += sd**2 * (index[:, None] == index) * np.outer(free, free)
    return mean, tied


def _kept(problem: Problem, level: str, sampled: int, groups: int, unknown: Array) -> list[int]:
    """The groups whose deviation is a variable: all, or those of several rows, some in words.

    And those of a row with an unknown moderator.
    """
    if sampled == groups:
        return list(range(groups))
    index = problem.evidence.groups(level)[0]
    words = problem.evidence.is_interval
    return [
        group
        for group in range(groups)
        if ((index == group).sum() > 1 and words[index == group].any())
        or group in index[unknown.astype(int)]
    ]


def _effect_variance(problem: Problem, values: Values) -> Array:
    if "effect" not in problem.model.levels:
        return np.zeros(problem.evidence.k)
    sd = values["tau"] if "tau" in values else values["tau_effect"]
    slopes = np.array([values[name] for name in problem.scale_slopes], dtype=float)
    return np.asarray((sd * np.exp(problem.scale_design.matrix[:, 1:] @ slopes)) ** 2)


def _log_gaussian(problem: Problem, mean: Array, effect: Array, tied: Array) -> float:
    evidence = problem.evidence
    errors = np.diag(evidence.v)
    for group in evidence.correlated:
        errors[np.ix_(group.rows, group.rows)] = group.covariance
    covariance = errors + np.diag(effect) + tied
    numbers = ~evidence.is_interval
    total = 0.0
    if numbers.any():
        law = stats.multivariate_normal(mean[numbers], covariance[np.ix_(numbers, numbers)])
        total += float(law.logpdf(evidence.y[numbers]))
    for row in np.flatnonzero(evidence.is_interval):
        total += float(np.log(chance(problem, int(row), mean[row], covariance[row, row])))
    return total


def chance(problem: Problem, row: int, mean: float, variance: float) -> float:
    """P(what an interval row says), its estimates normal with errors that share a part."""
    evidence, known = problem.evidence, problem.evidence.rows[row]
    low, high = evidence.lower[row], evidence.upper[row]
    law = stats.norm(mean, np.sqrt(variance))
    if known.tests == 1:
        return float(law.cdf(high) - law.cdf(low))
    own = math.sqrt(evidence.v[row] * (1 - known.rho_tests))
    sd = math.sqrt(variance - own**2)

    def density(x: float) -> float:
        one = float(ndtr((high - x) / own) - ndtr((low - x) / own))
        several = one**known.tests if known.word_means == "all" else 1 - (1 - one) ** known.tests
        return math.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi)) * several

    ends = mean - 7.6 * sd, mean + 7.6 * sd
    turns = [end for end in (low, high, mean) if ends[0] < end < ends[1]]
    found, _ = quad(density, *ends, points=turns, epsabs=1e-13, epsrel=1e-10, limit=400)
    return float(found)


def stretches(step: Step, v: float, n: float) -> tuple[Array, list[int]]:
    """The ends of stretches of y, from above, and the band of each, of a row."""
    p = np.array(step.cutpoints)
    bands = list(range(len(p) + 1))

    def y_of(one_sided: Array) -> Array:
        if step.test == "z":
            return np.asarray(stats.norm.isf(one_sided) * np.sqrt(v))
        t = stats.t.isf(one_sided, n - 2)
        return np.asarray(np.arctanh(t / np.sqrt(t**2 + n - 2)))

    if step.sides == "two":
        cuts = [*y_of(p / 2), *-y_of(p / 2)[::-1]]
        bands = [*bands, *bands[-2::-1]]
    elif step.favours == "negative":
        cuts, bands = [*-y_of(p)[::-1]], bands[::-1]
    else:
        cuts = [*y_of(p)]
    return np.array([np.inf, *cuts, -np.inf]), bands


def _log_rows(
    problem: Problem, mean: Array, parts: list[tuple[float, Array]], values: Values
) -> float:
    evidence, selection = problem.evidence, problem.model.selection
    ends, weights = np.array([np.inf, -np.inf]), np.ones(1)
    total = 0.0
    for row in range(evidence.k):
        sds = [np.sqrt(evidence.v[row] + variance[row]) for _, variance in parts]
        laws = [stats.norm(mean[row], sd) for sd in sds]
        if isinstance(selection, StepSelection):
            free = [float(values[name]) for name in selection.step.omegas]
            by_band = [1.0, *(selection.step.weights or free)]
            ends, bands = stretches(selection.step, evidence.v[row], evidence.sizes[row])
            weights = np.array([by_band[band] for band in bands])
        seen, reported = 0.0, 0.0
        for (weight, _), law in zip(parts, laws, strict=True):
            for band, w in enumerate(weights):
                low, high = ends[band + 1], ends[band]
                reported += weight * w * (law.cdf(high) - law.cdf(low))
                if not evidence.is_interval[row]:
                    inside = low <= evidence.y[row] < high
                    seen += weight * w * inside * law.pdf(evidence.y[row])
                    continue
                low, high = max(low, evidence.lower[row]), min(high, evidence.upper[row])
                if evidence.rows[row].tests > 1:
                    seen += weight * w * chance(problem, row, mean[row], law.var())
                else:
                    seen += weight * w * max(law.cdf(high) - law.cdf(low), 0.0)
        total += float(np.log(seen / reported))
    return total


def _log_observed_scores(problem: Problem, theta: Array, values: Values) -> float:
    """Attenuated, then restricted, on the scale of r."""
    evidence, total = problem.evidence, 0.0
    reliability = {}
    for name, applied in problem.reliabilities.items():
        known = np.array([getattr(row, name) for row in evidence.rows], dtype=float)
        drawn = values[f"{name}_unknown"]
        total += float(stats.beta(*applied.prior.values.values()).logpdf(drawn).sum())
        known[np.isnan(known)] = drawn
        reliability[name] = known
    for row in range(evidence.k):
        a = np.tanh(theta[row]) * np.sqrt(reliability["rxx"][row] * reliability["ryy"][row])
        u = evidence.rows[row].ux or 1.0
        z = np.arctanh(u * a / np.sqrt(1 + (u**2 - 1) * a**2))
        law = stats.norm(z, np.sqrt(evidence.v[row]))
        if evidence.is_interval[row]:
            total += float(np.log(law.cdf(evidence.upper[row]) - law.cdf(evidence.lower[row])))
        else:
            total += float(law.logpdf(evidence.y[row]))
    return total


def _log_exact_r(problem: Problem, theta: Array) -> float:
    """Hotelling's density of r, and its integral over an interval."""
    evidence = problem.evidence
    total = 0.0
    for row, n in enumerate(evidence.sizes):
        rho = np.tanh(theta[row])
        if not evidence.is_interval[row]:
            r = np.tanh(evidence.y[row])
            total += float(_log_hotelling(r, rho, n) + np.log1p(-(r**2)))
            continue
        low, high = np.tanh(evidence.lower[row]), np.tanh(evidence.upper[row])
        peak = [rho] if low < rho < high else None
        mass, _ = quad(
            lambda r, rho=rho, n=n: np.exp(_log_hotelling(r, rho, n)),
            low,
            high,
            points=peak,
            epsabs=0,
            epsrel=1e-11,
            limit=200,
        )
        total += float(np.log(mass))
    return total


def _log_hotelling(r: float, rho: float, n: float) -> float:
    return float(
        np.log(n - 2)
        + gammaln(n - 1)
        - gammaln(n - 0.5)
        - 0.5 * np.log(2 * np.pi)
        + 0.5 * (n - 1) * np.log1p(-(rho**2))
        + 0.5 * (n - 4) * np.log1p(-(r**2))
        - (n - 1.5) * np.log1p(-rho * r)
        + np.log(hyp2f1(0.5, 0.5, n - 0.5, (1 + rho * r) / 2))
    )
