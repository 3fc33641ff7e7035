"""Priors of tau as densities in base R; a constant stands where it does not come from R."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from metarho.engines.exact.priors import log_mass
from metarho.report.scripts.quoting import r_number as n
from metarho.spec.priors import Prior

_SHRINKAGE = "2 * s2 * t / (s2 + t^2)^2"
_EACH = "sapply(t, function(one) {})"

# With v the rows' sampling variances. Those that are improper are known up to a constant.
_REFERENCES: Mapping[str, str] = {
    "DuMouchel": "{ s2 <- length(v) / sum(1 / v); sqrt(s2) / (sqrt(s2) + t)^2 }",
    "UniformShrinkage": f"{{ s2 <- length(v) / sum(1 / v); {_SHRINKAGE} }}",
    "UniformI2": (
        f"{{ s2 <- (length(v) - 1) * sum(1 / v) / (sum(1 / v)^2 - sum(1 / v^2)); {_SHRINKAGE} }}"
    ),
    "Conventional": _EACH.format("one * exp(-1.5 * mean(log(v + one^2)))"),
    "SquareRoot": "1 / sqrt(t)",
    "Jeffreys": _EACH.format("sqrt(sum((one / (v + one^2))^2))"),
    "BergerDeely": _EACH.format("one * exp(-mean(log(v + one^2)))"),
    "OverallJeffreys": _EACH.format("sqrt(sum(1 / (v + one^2)) * sum((one / (v + one^2))^2))"),
}

type Values = Mapping[str, float]

_DENSITIES: Mapping[str, Callable[[Values, str], str]] = {
    "Normal": lambda a, t: f"dnorm({t}, {n(a['mu'])}, {n(a['sigma'])})",
    "StudentT": lambda a, t: (
        f"dt(({t} - {n(a['mu'])}) / {n(a['sigma'])}, {n(a['nu'])}) / {n(a['sigma'])}"
    ),
    "Cauchy": lambda a, t: f"dcauchy({t}, {n(a['alpha'])}, {n(a['beta'])})",
    "Uniform": lambda a, t: f"dunif({t}, {n(a['lower'])}, {n(a['upper'])})",
    "Flat": lambda a, t: f"rep(1, length({t}))",
    "HalfNormal": lambda a, t: f"2 * dnorm({t}, 0, {n(a['sigma'])})",
    "HalfStudentT": lambda a, t: f"2 * dt({t} / {n(a['sigma'])}, {n(a['nu'])}) / {n(a['sigma'])}",
    "HalfCauchy": lambda a, t: f"2 * dcauchy({t}, 0, {n(a['beta'])})",
    "Exponential": lambda a, t: f"dexp({t}, {n(a['lam'])})",
    "PenalizedComplexity": lambda a, t: f"dexp({t}, {n(-math.log(a['alpha']) / a['upper'])})",
    "Gamma": lambda a, t: f"dgamma({t}, {n(a['alpha'])}, {n(a['beta'])})",
    # The density of 1/x at x, where x is Gamma.
    "InverseGamma": lambda a, t: f"dgamma(1 / {t}, {n(a['alpha'])}, {n(a['beta'])}) / {t}^2",
    "LogNormal": lambda a, t: f"dlnorm({t}, {n(a['mu'])}, {n(a['sigma'])})",
    "Lomax": lambda a, t: (
        f"{n(a['alpha'])} / {n(a['scale'])} * (1 + {t} / {n(a['scale'])})^-({n(a['alpha'])} + 1)"
    ),
    "Beta": lambda a, t: f"dbeta({t}, {n(a['alpha'])}, {n(a['beta'])})",
    "StretchedBeta": lambda a, t: f"dbeta((1 + {t}) / 2, {n(a['alpha'])}, {n(a['beta'])}) / 2",
}
"""The density of a family at ``t``, of mu and tau alike."""


def density(prior: Prior) -> str:
    """An expression in ``t``: the density of tau there. Reference priors are of variances ``v``.

    Raises KeyError for a point and for joint priors, which have no density of one parameter.
    """
    if prior.on == "tau2":
        return f"2 * t * ({_own(prior, '(t^2)')})"
    return _own(prior, "t")


def _own(prior: Prior, t: str) -> str:
    if prior.is_reference:
        return _REFERENCES[prior.family]
    if prior.family == "NormalMixture":
        lists = dict(prior.lists)
        total = math.fsum(lists["w"])
        return " + ".join(
            f"{n(w / total)} * dnorm({t}, {n(mu)}, {n(sigma)})"
            for w, mu, sigma in zip(lists["w"], lists["mu"], lists["sigma"], strict=True)
        )
    if prior.dist is not None:
        lower, upper = prior.own_support
        mass = math.exp(log_mass(prior.dist, lower, upper))
        inside = f"({t} >= {n(lower)} & {t} <= {n(upper)})"
        return f"ifelse({inside}, ({_own(prior.dist, t)}) / {n(mass)}, 0)"
    return _DENSITIES[prior.family](prior.values, t)
