"""Which moments of a posterior exist: heavy tails of priors, few rows, open intervals."""

from __future__ import annotations

import math

import numpy as np

from metarho.engines.exact.priors import tail_index
from metarho.engines.problem import Problem


def moments_of_tau(problem: Problem) -> float:
    """Moments of tau below this order exist.

    For large tau the likelihood falls like tau**−(k_b − p), with k_b rows that are numbers or
    bounded intervals and p flat coefficients; the prior like tau**−tail. One-sided intervals do
    not bound tau.
    """
    if "tau" not in problem.priors:
        return math.inf
    flat = sum(not problem.prior(name).proper for name in problem.coefficients)
    return tail_index(problem.prior("tau")) + _bounded_rows(problem) - flat - 1


def moments_of(problem: Problem, coefficient: str) -> float:
    """Moments of a coefficient of the mean below this order exist.

    A flat coefficient goes as far as tau does; one with a heavy-tailed prior goes out together
    with tau, or alone on the open side of one-sided intervals; any other has all moments.
    """
    prior = problem.prior(coefficient)
    if not prior.proper:
        return moments_of_tau(problem)
    tail = tail_index(prior)
    if math.isinf(tail):
        return math.inf
    k_b = _bounded_rows(problem)
    tau_tail = tail_index(problem.prior("tau")) if "tau" in problem.priors else math.inf
    together = tau_tail + tail + k_b - 2
    return min(together, tail - 1) if k_b == 0 else together


def needed(moments: float) -> int:
    """How many of the first two moments exist, and so must be integrated to their tails."""
    return 2 if moments > 2 else 1 if moments > 1 else 0


def _bounded_rows(problem: Problem) -> int:
    evidence = problem.evidence
    bounded = ~evidence.is_interval | (np.isfinite(evidence.lower) & np.isfinite(evidence.upper))
    return int(bounded.sum())
