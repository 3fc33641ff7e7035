"""An R script for brms: the model as a formula, priors as Stan has them, sampled by Stan.

A level of the model is a term ``(1 | group)``, a known standard error ``se(sei)``; an interval row
is a censored one, ``cens()``, whose likelihood in brms is the same probability of an interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.report.scripts.findings import Origin, findings, head
from metarho.report.scripts.quoting import r_number as n
from metarho.report.scripts.quoting import r_texts, r_vector
from metarho.report.scripts.r_rows import columns_of_mean, data_lines, found_lines, group_columns
from metarho.spec.priors import Prior

SUFFIX = "R"
NEEDS = "R with the package brms (2.18 or newer), rstan and a C++ compiler"

_AGREES = """The posterior below is that of the same model, data and priors, sampled by Stan. Means,
sds, medians and ends of intervals should agree with metarho's within 4 Monte Carlo standard
errors; the script says which do, and ends with exit code 1 where one does not."""

_REAL: Mapping[str, Callable[[Mapping[str, float]], str]] = {
    "Normal": lambda a: f"normal({n(a['mu'])}, {n(a['sigma'])})",
    "StudentT": lambda a: f"student_t({n(a['nu'])}, {n(a['mu'])}, {n(a['sigma'])})",
    "Cauchy": lambda a: f"cauchy({n(a['alpha'])}, {n(a['beta'])})",
    "DiracDelta": lambda a: f"constant({n(a['c'])})",
}
"""Priors of mu and slopes in Stan."""

_POSITIVE: Mapping[str, Callable[[Mapping[str, float]], str]] = {
    "HalfNormal": lambda a: f"normal(0, {n(a['sigma'])})",
    "HalfStudentT": lambda a: f"student_t({n(a['nu'])}, 0, {n(a['sigma'])})",
    "HalfCauchy": lambda a: f"cauchy(0, {n(a['beta'])})",
    "Exponential": lambda a: f"exponential({n(a['lam'])})",
    "PenalizedComplexity": lambda a: f"exponential({n(-math.log(a['alpha']) / a['upper'])})",
    "Gamma": lambda a: f"gamma({n(a['alpha'])}, {n(a['beta'])})",
    "InverseGamma": lambda a: f"inv_gamma({n(a['alpha'])}, {n(a['beta'])})",
    "LogNormal": lambda a: f"lognormal({n(a['mu'])}, {n(a['sigma'])})",
    "Lomax": lambda a: f"pareto_type_2(0, {n(a['scale'])}, {n(a['alpha'])})",
    "DiracDelta": lambda a: f"constant({n(a['c'])})",
}
"""Priors of sds in Stan, where brms keeps them above 0."""

_COMPARE = """
draws <- posterior::as_draws_array(fit)
tail <- TAIL
one <- function(variable, number) {
  x <- posterior::extract_variable_matrix(draws, variable)
  share <- c(median = 0.5, lower = tail, upper = 1 - tail)[number]
  switch(number,
    mean = c(mean(x), posterior::mcse_mean(x)),
    sd = c(sd(x), posterior::mcse_sd(x)),
    c(quantile(x, share, names = FALSE), posterior::mcse_quantile(x, share, names = FALSE))
  )
}
found <- t(mapply(one, metarho$variable, metarho$number, USE.NAMES = FALSE))
metarho$here <- found[, 1]
metarho$mcse <- sqrt(found[, 2]^2 + metarho$error^2)
metarho$agrees <- abs(metarho$here - metarho$value) <= 4 * metarho$mcse
print(metarho[, c("quantity", "number", "here", "value", "mcse", "agrees")], digits = 6)
cat("largest R-hat:", max(posterior::summarise_draws(draws, "rhat")$rhat, na.rm = TRUE), "\\n")
cat(if (all(metarho$agrees)) "all agrees\\n" else "not all agrees\\n")
quit(status = if (all(metarho$agrees)) 0 else 1)"""


def covers(problem: Problem) -> str | None:
    """None when a script can say a problem, else the part that it cannot and what would work."""
    model = problem.model
    parts = {
        f"custom models ({model.custom})": model.custom is not None,
        "likelihood: exact-r (use likelihood: normal)": model.likelihood != "normal",
        f"effects: {model.effects} (use effects: normal)": model.effects != "normal",
        f"selection: {model.selection} (use selection: none)": model.selection != "none",
        "measurement: true-score": model.measurement != "observed",
        "missing: impute (use missing: drop)": problem.imputation is not None,
        f"scale: {model.scale} (use scale: ~ 1)": bool(problem.scale_slopes),
        "correlated sampling errors": bool(problem.evidence.correlated),
        "words that sum up several tests (leave the column tests out)": bool(
            problem.evidence.sums_up.any()
        ),
        "informative reporting": problem.reporting is not None,
        "a prior of the total heterogeneity and its share (give priors of its levels)": (
            problem.is_total_form
        ),
    }
    for part, used in parts.items():
        if used:
            return f"no brms script has {part}"
    for name in problem.coefficients:
        prior = problem.prior(name)
        if prior.family != "Flat" and coefficient_prior(prior) is None:
            allowed = ", ".join([*_REAL, "Flat"])
            return f"brms has no prior {name} ~ {prior}; allowed: {allowed}"
    for name in problem.spreads:
        prior = problem.prior(name)
        if prior.family != "Flat" and sd_prior(prior) is None:
            allowed = ", ".join([*_POSITIVE, "Flat"])
            return f"brms has no prior {name} ~ {prior}; allowed: {allowed}"
    if all(applied.prior.is_point for applied in problem.priors.values()):
        return "nothing is left to sample: every prior is a point"
    return None


def coefficient_prior(prior: Prior) -> str | None:
    """A prior of a coefficient in Stan; None where brms has none."""
    if prior.on or prior.family not in _REAL:
        return None
    return _REAL[prior.family](prior.values)


def sd_prior(prior: Prior) -> str | None:
    """A prior of an sd in Stan, which brms cuts at 0; None where brms has none."""
    if prior.on:
        return None
    if prior.dist is not None and prior.own_support == (0.0, math.inf):
        # An sd is above 0 in brms anyway.
        return {**_REAL, **_POSITIVE}.get(prior.dist.family, lambda a: None)(prior.dist.values)
    return _POSITIVE[prior.family](prior.values) if prior.family in _POSITIVE else None


def script(fit: Fit, origin: Origin) -> str:
    """The script of a fit, whose problem is covered."""
    problem, found = fit.problem, findings(fit)
    columns = dict(zip(problem.coefficients, columns_of_mean(problem), strict=True))
    groups = group_columns(problem)
    sds = {problem.model.level_sds[level]: group for level, group in groups.items()}
    names = {name: f"b_{column}" for name, column in columns.items()}
    names |= {sd: f"sd_{group}__Intercept" for sd, group in sds.items()}
    response = "yi | se(sei)"
    if problem.evidence.is_interval.any():
        response += " + cens(censored, yi_upper)"
    terms = [*columns.values(), *(f"(1 | {group})" for group in groups.values())]
    title = "A check of one result of a meta-analysis: run it with R and brms."
    lines = [head(title, _AGREES, fit, origin, found), "", "library(brms)", ""]
    lines += [*data_lines(problem), *_censored(problem), *_priors(problem, columns, sds), ""]
    lines += [
        f"fit <- brm({response} ~ 0 + {' + '.join(terms)},",
        "           data = dat, prior = priors, chains = 4, iter = 4000, warmup = 2000, seed = 1,",
        "           control = list(adapt_delta = 0.99))",
        "print(fit)",
        *found_lines(found, names),
        _COMPARE.lstrip("\n").replace("TAIL", n((1 - fit.interval.prob) / 2)),
    ]
    return "\n".join(lines) + "\n"


def _priors(problem: Problem, columns: Mapping[str, str], sds: Mapping[str, str]) -> list[str]:
    """A call of ``set_prior`` for each parameter; those without one are flat in brms."""
    said = []
    for name, column in columns.items():
        if text := coefficient_prior(problem.prior(name)):
            said.append(f'set_prior("{text}", class = "b", coef = "{column}")')
    if any(problem.prior(name).family == "Flat" for name in sds):
        # Unless told otherwise brms gives an sd a Student-t prior.
        said.append('set_prior("", class = "sd")')
    for name, group in sds.items():
        if text := sd_prior(problem.prior(name)):
            said.append(f'set_prior("{text}", class = "sd", group = "{group}")')
    if not said:
        return ["priors <- empty_prior()"]
    return ["priors <- c(", *(f"  {one}," for one in said[:-1]), f"  {said[-1]}", ")"]


def _censored(problem: Problem) -> list[str]:
    """Interval rows as censored ones: between two values, or beyond one."""
    evidence = problem.evidence
    if not evidence.is_interval.any():
        return []
    low, high = np.isfinite(evidence.lower), np.isfinite(evidence.upper)
    kinds = np.select(
        [~evidence.is_interval, low & high, low], ["none", "interval", "right"], "left"
    )
    value = np.where(
        evidence.is_interval, np.where(low, evidence.lower, evidence.upper), evidence.y
    )
    lines = [
        "# Rows that say an interval: between yi and yi_upper, above yi (right), below yi (left).",
        f"dat$censored <- {r_texts(kinds.tolist())}",
        f"dat$yi <- {r_vector(value)}",
        # Where it is not asked for any number will do.
        f"dat$yi_upper <- {r_vector(np.where(kinds == 'interval', evidence.upper, value + 1))}",
    ]
    if evidence.is_silent.any():
        lines += ["dat <- dat[is.finite(dat$yi), ]  # rows that say nothing"]
    return lines
