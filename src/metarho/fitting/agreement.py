"""Two engines, one posterior: differences in Monte Carlo standard errors."""

from __future__ import annotations

import math

from scipy.special import ndtr, ndtri

from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Agreement
from metarho.posterior.marginals import Point

# Differences in MCSE that one comparison may show; several share its error rate (Bonferroni).
SINGLE_THRESHOLD = 4.0


def threshold(compared: int) -> float:
    """The threshold in MCSE for the largest of several differences."""
    error_rate = 2 * float(ndtr(-SINGLE_THRESHOLD))
    return -float(ndtri(error_rate / (2 * max(compared, 1))))


def compare(
    problem: Problem, quadrature: Quadrature, draws: Draws, prob: float, reran: bool = False
) -> Agreement:
    """Mean, sd and printed quantiles of all parameters, exact against sampled."""
    from metarho.posterior.sampled import Sampled, monte_carlo_errors

    exact, sampled = Exact(problem, quadrature), Sampled(problem, draws)
    largest, where, compared = 0.0, "", 0
    for name, marginal in exact.parameters.items():
        if isinstance(marginal, Point):
            continue
        right = marginal.summary(prob, "eti")
        left = sampled.parameters[name].summary(prob, "eti")
        for number, error in monte_carlo_errors(sampled.all_parameters[name], prob).items():
            truth, seen = getattr(right, number), getattr(left, number)
            if truth is None:
                continue
            compared += 1
            difference = abs(seen - truth) / error if error > 0 else math.inf
            if difference > largest:
                largest, where = difference, f"{number} of {name}"
    return Agreement(largest, where, compared, threshold(compared), reran)
