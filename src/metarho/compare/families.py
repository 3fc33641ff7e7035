"""Bayes factors over a family of priors: how far they go when a prior is made wider or narrower.

A Bayes factor depends on the scale of the prior of what it tests, and a reader may not share ours.
Its lowest and highest values over scales from a tenth to ten times the prior's say what other
readers would have found. The null has no such scale, so only evidence with the parameter changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.compare.bayes_factors import BayesFactor, Null
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.spec.scaling import has_scale, rescaled

type Array = NDArray[np.float64]

# A tenth to ten times: from priors that expect nearly nothing to those that expect nearly anything.
NARROWEST, WIDEST = 0.1, 10.0
# Where many priors share what rows say, scales are this dense, and again around the extremes: a
# log Bayes factor, whose curvature in the log of the scale is about 1, is then right to 1e-4.
_DENSE, _AROUND = 41, 21
# Elsewhere a scale costs an integration of its own: 1/10, 1/5, 1/2, 1, 2, 5, 10, nearly.
_SPARSE = 7


@dataclass(frozen=True)
class FamilyRange:
    """The lowest and highest log BF10 over scales of a prior."""

    lowest: float
    highest: float


def over_family(fit: Fit, null: Null, found: BayesFactor, settings: Settings) -> FamilyRange | None:
    """The range of the Bayes factor of a null over the scale of the priors that it holds.

    Of several parameters all scales change together. None where there is no Bayes factor, where a
    prior has no scale (points, those on r), or where a posterior takes seconds: sampled models, and
    those with mu on panels that priors do not share (nested with interval rows, the exact law of
    r, Student-t effects, selection with a free omega).
    """
    problem = fit.problem
    free = [name for name in null.values if not problem.prior(name).is_point]
    if found.log_bf is None or fit.log_evidence is None or not _is_quick(problem):
        return None
    if not free or not all(has_scale(problem.prior(name)) for name in free):
        return None
    log_null = fit.log_evidence - found.log_bf

    def log_bf(factors: Array) -> Array:
        wider = [_widened(problem, free, float(factor)) for factor in factors]
        fits = fit_many(wider, replace(settings, engine="exact", agreement=False, store=None))
        return np.array([one.log_evidence for one in fits], dtype=float) - log_null

    is_dense = exact.shares_rows(problem)
    factors = np.geomspace(NARROWEST, WIDEST, _DENSE if is_dense else _SPARSE)
    values = log_bf(factors)
    if is_dense:
        more = np.unique(
            np.concatenate([_around(factors, int(at(values))) for at in (np.argmin, np.argmax)])
        )
        values = np.append(values, log_bf(more))
    return FamilyRange(float(values.min()), float(values.max()))


def _is_quick(problem: Problem) -> bool:
    if exact.covers(problem) is not None or problem.model.likelihood == "exact-r":
        return False
    return exact.is_conjugate(problem) or exact.shares_rows(problem)


def _around(factors: Array, index: int) -> Array:
    """Scales between the neighbours of one."""
    low, high = factors[max(index - 1, 0)], factors[min(index + 1, len(factors) - 1)]
    return np.geomspace(low, high, _AROUND)


def _widened(problem: Problem, names: list[str], factor: float) -> Problem:
    priors = {
        name: replace(applied, prior=rescaled(applied.prior, factor)) if name in names else applied
        for name, applied in problem.priors.items()
    }
    return replace(problem, priors=priors)
