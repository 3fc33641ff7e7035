"""The posterior that the prior of the mean says nothing in: the likelihood, integrated.

With a flat prior of mu, and every other prior as it is, the posterior of mu is the likelihood with
heterogeneity (and slopes) integrated over, normalised.
"""

from __future__ import annotations

from dataclasses import replace

from metarho.engines import exact
from metarho.engines.problem import Problem, improper, misplaced
from metarho.spec.priors import Prior


def flat_mean(problem: Problem) -> Problem:
    """The problem under a flat prior of mu on the model's scale. First ask ``no_flat_mean``."""
    mu = replace(problem.priors["mu"], prior=Prior("Flat", ()))
    return replace(problem, priors={**problem.priors, "mu": mu})


def no_flat_mean(problem: Problem) -> str | None:
    """Why there is no such posterior, by quadrature; None where there is one."""
    if problem.model.custom is not None or "mu" not in problem.priors:
        return "the prior of mu is not known as such"
    flat = flat_mean(problem)
    return misplaced(flat) or improper(flat) or exact.covers(flat)


def no_triplot(problem: Problem) -> str | None:
    """Why prior, likelihood and posterior of mu are not drawn together; None where they are."""
    if far := problem.design.far_from_zero():
        return (
            f"mu is the mean where {' and '.join(far)} is 0, far from the evidence: write "
            f"center({far[0]}) in mods"
        )
    return no_flat_mean(problem)
