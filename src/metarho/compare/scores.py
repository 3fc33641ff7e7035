"""Predictive scores of two fits, paired study by study.

A standard error from a normal law is too small with few studies (Sivula, Magnusson, Matamoros,
Vehtari, arXiv 2008.10296), so intervals are those of a Bayesian bootstrap (Rubin 1981,
10.1214/aos/1176345338): the sum over studies with weights k·Dirichlet(1, …, 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.posterior.fit import Fit

type Array = NDArray[np.float64]

# Ends of an interval are then known to about a fiftieth of its length.
BOOTSTRAP_DRAWS = 4000


@dataclass(frozen=True)
class Difference:
    """Leave-one-study-out elpd of a fit less that of another: above 0 the first predicts better.

    ``lower`` and ``upper`` are the Bayesian-bootstrap interval of the sum over ``studies``,
    ``better`` is how many of them the first predicts better.
    """

    elpd: float
    lower: float
    upper: float
    better: int
    studies: int


def incomparable(first: Fit, second: Fit) -> str | None:
    """Why the scores and the evidence of two fits are not about the same thing; None if they are.

    They are densities of the same rows, told in the same form and in one unit.
    """
    if first.problem.measure != second.problem.measure:
        return (
            f"densities of {first.problem.measure} and of {second.problem.measure} have no common "
            "unit"
        )
    own, other = first.problem.evidence, second.problem.evidence
    if own.rows == other.rows:
        return None
    if own.has_intervals != other.has_intervals:
        return "one of them leaves the interval rows out"
    return "their rows are not the same"


def elpd(fit: Fit) -> float | None:
    """Leave-one-study-out elpd; None where sampled, or where it does not exist."""
    return None if fit.leave_out is None else fit.leave_out.elpd_loo


def crps(fit: Fit) -> float | None:
    """The mean over studies of the CRPS on observed r (GEN: yi), the study left out.

    Studies without exact rows have none and are left out; None where no study has one.
    """
    scores = () if fit.leave_out is None else fit.leave_out.studies
    found = [score.crps for score in scores if score.crps is not None]
    exact = [score for score in scores if score.pit]
    return math.fsum(found) / len(found) if found and len(found) == len(exact) else None


def elpd_difference(
    fit: Fit, reference: Fit, prob: float, rng: np.random.Generator
) -> Difference | None:
    """How much better a fit predicts left-out studies than another; None where not comparable."""
    own, other = study_densities(fit), study_densities(reference)
    if incomparable(fit, reference) or own is None or other is None:
        return None
    pointwise = own - other
    weights = rng.dirichlet(np.ones(len(pointwise)), BOOTSTRAP_DRAWS) * len(pointwise)
    ends = np.quantile(weights @ pointwise, [(1 - prob) / 2, (1 + prob) / 2])
    return Difference(
        math.fsum(pointwise),
        float(ends[0]),
        float(ends[1]),
        int((pointwise > 0).sum()),
        len(pointwise),
    )


def study_densities(fit: Fit) -> Array | None:
    """Log p(rows of a study | all other studies), by study; None where one does not exist."""
    if fit.leave_out is None:
        return None
    found = [score.log_density for score in fit.leave_out.studies]
    return None if None in found else np.array(found, dtype=float)
