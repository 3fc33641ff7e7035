"""Rows with normal sampling errors, true effects integrated out.

Effects are normal, or a mixture of normals, or normal given λ (Student-t): in parts, each with a
weight and a variance. A row's likelihood is the sum over its parts of

    numbers:    Normal(y; mean, v + tau²)
    intervals:  P(lower < y < upper) under the same law
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from metarho.engines.nuts.layout import integrated_level
from metarho.engines.problem import Problem


@dataclass(frozen=True)
class Part:
    """A part of the law of true effects: the log of its weight, and its variance."""

    log_weight: Any
    variance: Any


def parts_of_effects(
    problem: Problem, parameters: Mapping[str, Any], tau2_effect: Any
) -> tuple[Part, ...]:
    """The law of true effects around their mean."""
    if problem.model.effects == "student-t":
        return (Part(0.0, tau2_effect / add_precisions(parameters["nu"])),)
    if problem.model.effects == "mixture":
        weight = parameters["weight"]
        return (
            Part(pt.log1p(-weight), tau2_effect),
            Part(pt.log(weight), tau2_effect + parameters["tau_outlier"] ** 2),
        )
    return (Part(0.0, tau2_effect),)


def add_precisions(nu: Any) -> Any:
    """λ ~ Gamma(nu/2, nu/2), one a row.

    Said through a variable that is nearly standard normal whatever nu is, its log in about its own
    mean and sd, so that nu and the λ do not hold each other up; the potential makes it exact.
    """
    half = nu / 2
    spread = pt.sqrt(2 / nu + 2 / nu**2)
    away = pm.Normal("precision_away", 0, 1, dims="effect")
    log_precision = spread * away - 1 / nu
    log_density = half * pt.log(half) - pt.gammaln(half) + half * log_precision
    log_density = log_density - half * pt.exp(log_precision) + pt.log(spread)
    pm.Potential("precision", (log_density - log_normal(away, 0.0, 1.0)).sum())
    return pt.exp(log_precision)


def log_normal_rows(
    problem: Problem,
    rows: Mapping[str, Any],
    mean: Any,
    parts: Sequence[Part],
    tau2_group: Any | None,
) -> Any:
    """The log likelihood of rows that are not selected, one a row.

    ``tau2_group`` is the variance of the level whose deviations are integrated out, if there is
    one: numbers are tied by it, and intervals, alone in their group, have it besides.
    """
    alone: Any = 0.0
    if tau2_group is not None:
        (part,) = parts
        free = 1 - rows[f"kept_{integrated_level(problem)}"]
        alone = free * tau2_group
        d = rows["v"] + part.variance
        pm.Potential(
            "deviations_integrated", _integrated_deviations(rows, mean, d, tau2_group, free)
        )
    numbers = [
        part.log_weight + log_normal(rows["y"], mean, rows["v"] + part.variance) for part in parts
    ]
    log_rows = rows["exact"] * log_sum(numbers)
    if "intervals" in rows:
        words = [part.log_weight + _log_words(rows, mean, part.variance + alone) for part in parts]
        log_rows = pt.inc_subtensor(log_rows[rows["intervals"]], log_sum(words))
    if "several" in rows:
        words = [
            part.log_weight + _log_several_tests(rows, mean, part.variance + alone)
            for part in parts
        ]
        log_rows = pt.inc_subtensor(log_rows[rows["several"]], log_sum(words))
    return log_rows


def _log_words(rows: Mapping[str, Any], mean: Any, variance: Any) -> Any:
    """Log P(interval) of the rows that are intervals, which may be none."""
    whole = pt.zeros_like(rows["v"])
    centre = (mean + whole)[rows["intervals"]]
    sd = pt.sqrt((rows["v"] + variance)[rows["intervals"]])
    return log_interval((rows["lower"] - centre) / sd, (rows["upper"] - centre) / sd)


def _log_several_tests(rows: Mapping[str, Any], mean: Any, variance: Any) -> Any:
    """Log P(word) of the rows that sum up several tests, by the rule over what these share.

    It is log [Σ N(x; mean, shared_v + variance) weight·g(x) + P(x beyond the end where g is 1)].
    """
    places, whole = rows["several"], pt.zeros_like(rows["v"])
    centre = (mean + whole)[places]
    total = rows["shared_v"] + (variance + whole)[places]
    beyond = _log_cdf(rows["shared_side"] * (centre - rows["shared_end"]) / pt.sqrt(total))
    inside = log_normal(rows["shared_x"], centre[:, None], total[:, None]) + rows["shared_log"]
    top = pt.maximum(inside.max(axis=1), beyond)
    return top + pt.log(pt.exp(inside - top[:, None]).sum(axis=1) + pt.exp(beyond - top))


def _integrated_deviations(rows: Mapping[str, Any], mean: Any, d: Any, tau2: Any, free: Any) -> Any:
    """What integrating out a group's deviation adds to the log density of its numbers.

    They have covariance D + tau²·11ᵀ, D = diag(d), so with residuals r, S = Σ 1/d and R = Σ r/d
    over the group's numbers (Woodbury):

        −½ [log(1 + tau²·S) − tau²·R²/(1 + tau²·S)]

    ``free`` is 0 for rows whose group keeps its deviation. Where rows are turned, 1 is what the
    turning made of it.
    """
    one = rows.get("one", 1.0)
    weight = rows["exact"] * free / d
    s = pt.inc_subtensor(rows["groups"][rows["group"]], weight * one**2)
    r = pt.inc_subtensor(rows["groups"][rows["group"]], weight * one * (rows["y"] - mean))
    return -0.5 * (pt.log1p(tau2 * s) - tau2 * r**2 / (1 + tau2 * s)).sum()


def log_normal(y: Any, mean: Any, variance: Any) -> Any:
    """The log density of y."""
    return -0.5 * (pt.log(2 * np.pi * variance) + (y - mean) ** 2 / variance)


def log_sum(terms: Sequence[Any]) -> Any:
    """Log Σ exp of the terms, row by row."""
    if len(terms) == 1:
        return terms[0]
    top = terms[0]
    for term in terms[1:]:
        top = pt.maximum(top, term)
    return top + pt.log(sum(pt.exp(term - top) for term in terms))


def log_interval(lower: Any, upper: Any) -> Any:
    """log(Φ(upper) − Φ(lower)), taken in the tail where both ends are small."""
    flip = lower + upper > 0
    a, b = pt.switch(flip, -upper, lower), pt.switch(flip, -lower, upper)
    log_b = _log_cdf(b)
    return log_b + pt.log1p(-pt.exp(_log_cdf(a) - log_b))


def _log_cdf(x: Any) -> Any:
    """Log Φ(x); each branch sees only arguments where it and its gradient are finite."""
    tail = pt.minimum(x, -1.0)
    body = pt.maximum(x, -1.0)
    return pt.switch(
        x < -1.0,
        pt.log(0.5 * pt.erfcx(-tail / np.sqrt(2))) - 0.5 * tail**2,
        pt.log1p(-0.5 * pt.erfc(body / np.sqrt(2))),
    )
