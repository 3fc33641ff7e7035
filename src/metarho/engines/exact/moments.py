"""Which moments of a posterior exist: heavy tails of priors, few rows, open intervals."""

from __future__ import annotations

import math

import numpy as np

from metarho.engines.exact.priors import tail_index
from metarho.engines.exact.selection import bands
from metarho.engines.problem import Problem
from metarho.spec.model import StepSelection
from metarho.spec.priors import PER_TAU


def moments_of_spread(problem: Problem, name: str) -> float:
    """Moments of a parameter of heterogeneity below this order exist.

    For a large sd the likelihood falls like sd**−(m − p), with m effects (or studies, for the sd
    between studies) whose rows are numbers or bounded intervals and p flat coefficients; the
    prior like sd**−tail. One-sided intervals do not bound an sd.
    """
    if name == "share":
        return math.inf
    flat = sum(not problem.prior(c).proper for c in problem.coefficients)
    return _tail(problem, name) - flat - 1


def moments_of_shape(problem: Problem, name: str) -> float:
    """Moments of nu, omega or a slope of bias below this order exist: those of the prior, at least.

    A slope is as a coefficient of the mean. A large nu leaves the likelihood as it is; a large
    omega makes it fall like omega**−m, with m the results of the first band, which then look
    chosen against.
    """
    if name in ("pet", "peese"):
        return moments_of(problem, name)
    falls = 0
    selection = problem.model.selection
    if name == "omega" and isinstance(selection, StepSelection):
        rows = problem.evidence.only(~problem.evidence.is_interval)
        falls = int((bands(selection.step, rows.y, rows.v, rows.sizes) == 0).sum())
    return tail_index(problem.prior(name)) + falls - 1


def moments_of_slope_scale(problem: Problem, name: str) -> float:
    """Moments of a parameter of the scale of slopes below this order exist: its prior's.

    Large ones leave the likelihood as it is: slopes are then as wide as their slab. Of any other
    parameter all, for it is not asked here.
    """
    if not name.startswith("beta_") or name not in problem.priors:
        return math.inf
    return tail_index(problem.prior(name)) - 1


def moments_of_heterogeneity(problem: Problem) -> float:
    """Moments of the total sd below this order exist."""
    return min((moments_of_spread(problem, name) for name in problem.spreads), default=math.inf)


def moments_of(problem: Problem, coefficient: str) -> float:
    """Moments of a coefficient of the mean below this order exist.

    A flat coefficient goes as far as heterogeneity does; one with a heavy-tailed prior goes out
    together with it, or alone on the open side of one-sided intervals; one with a prior on mu/tau
    as far as heterogeneity does; any other has all moments.
    """
    prior = problem.prior(coefficient)
    if prior.on == PER_TAU:
        return moments_of_heterogeneity(problem)
    rows = _bounded(problem)[0]
    # Alone, with heterogeneity held, the likelihood falls like a product of t densities.
    alone = rows * (1 + moments_of_effects(problem)) if rows else 0.0
    if not prior.proper:
        return min(moments_of_heterogeneity(problem), alone - 1)
    tail = tail_index(prior)
    if math.isinf(tail):
        return math.inf
    together = min((_tail(problem, name) for name in problem.spreads), default=math.inf)
    return min(together + tail - 2, alone + tail - 1)


def moments_of_effects(problem: Problem) -> float:
    """Moments of true effects around their mean below this order exist: with t effects nu."""
    return problem.prior("nu").support[0] if "nu" in problem.shapes else math.inf


def unbounded_mean(problem: Problem) -> str | None:
    """Why rows do not bound a flat mean under Student-t effects; None where they do."""
    if problem.model.effects != "student-t" or moments_of(problem, "mu") > 0:
        return None
    return (
        f"with effects: student-t, a prior {problem.prior('mu')} on mu and so few rows nothing "
        "bounds mu where nu is near 0; give mu a proper prior, or nu a lower end: "
        "Truncated(dist=Gamma(alpha=2, beta=0.1), lower=1)"
    )


def needed(moments: float, most: int = 2) -> int:
    """How many of the first ``most`` moments exist, and so must be integrated to their tails."""
    return max(count for count in range(most + 1) if count == 0 or moments > count)


def _tail(problem: Problem, name: str) -> float:
    """How prior and likelihood together fall for a large sd, the mean held: sd**−this."""
    if name == "share":
        return math.inf
    rows, studies = _bounded(problem)
    prior = tail_index(problem.prior(name))
    if name == "tau_study":
        return prior + studies
    if problem.is_total_form:
        # All of a large total may lie between studies: the share's density near 1 decides.
        share = problem.prior("share").values
        return prior + min(float(rows), studies + 2 * share.get("beta", 0.0))
    return prior + rows


def _bounded(problem: Problem) -> tuple[int, int]:
    """Rows that are numbers or bounded intervals, and the studies that have any."""
    evidence = problem.evidence
    bounded = ~evidence.is_interval | (np.isfinite(evidence.lower) & np.isfinite(evidence.upper))
    return int(bounded.sum()), len(set(evidence.study[bounded].tolist()))
