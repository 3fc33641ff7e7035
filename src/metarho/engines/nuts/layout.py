"""How the rows of a problem enter its PyMC model, as plain arrays of one length.

True effects are integrated out wherever that is exact. With nested heterogeneity a study's own
deviation is integrated out when all its rows are numbers, or when it has one row; a study with
several rows, some of them intervals, keeps its deviation as a variable (``mixed`` studies).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.engines.problem import Problem

type Array = NDArray[np.float64]
type Index = NDArray[np.intp]

# An end that is not there: so far out that the normal cdf is 0 or 1 at any heterogeneity.
ENDLESS = 1e10


@dataclass(frozen=True)
class Layout:
    """Which studies keep a deviation.

    ``mixed`` lists them; ``place`` is each row's entry in that list, -1 for rows whose study's
    deviation is integrated out.
    """

    mixed: Index
    place: Index

    @property
    def kept(self) -> Array:
        """1 for rows whose study keeps its deviation, else 0."""
        return (self.place >= 0).astype(float)


def variables(problem: Problem) -> dict[str, str]:
    """Parameter -> a name that is an identifier (slopes are numbered)."""
    slopes = iter(range(len(problem.priors)))
    return {
        name: f"beta_{next(slopes)}" if name.startswith("beta[") else name
        for name in problem.priors
    }


def has_study_level(problem: Problem) -> bool:
    """Whether studies deviate as wholes (heterogeneity on the level of the study)."""
    return "study" in problem.model.levels


def has_interval_part(problem: Problem) -> bool:
    """Whether the model has a place for intervals.

    One-level models always have, so that evidence with and without interval rows is one compiled
    model; nested ones differ then anyway, in the deviations that are kept.
    """
    return not has_study_level(problem) or bool(problem.evidence.is_interval.any())


def lay_out(problem: Problem) -> Layout:
    """Which studies keep a deviation."""
    evidence = problem.evidence
    mixed = np.array([], dtype=np.intp)
    if has_study_level(problem):
        counts = np.bincount(evidence.study)
        intervals = np.bincount(evidence.study, weights=evidence.is_interval)
        mixed = np.flatnonzero((counts > 1) & (intervals > 0))
    place = np.full(len(evidence.study_names), -1, dtype=np.intp)
    place[mixed] = np.arange(len(mixed))
    return Layout(mixed, place[evidence.study])


def row_data(problem: Problem, layout: Layout) -> dict[str, Array | Index]:
    """The rows as the model's data, by name.

    A number has an endless interval, whose probability is 1; an interval has ``exact`` 0, which
    takes the density of its placeholder y out.
    """
    evidence = problem.evidence
    interval = evidence.is_interval
    data: dict[str, Array | Index] = {
        "y": np.where(interval, 0.0, evidence.y),
        "v": evidence.v,
        "exact": (~interval).astype(float),
    }
    for column in range(1, problem.design.matrix.shape[1]):
        data[f"x_{column - 1}"] = problem.design.matrix[:, column].copy()
    if has_interval_part(problem):
        data["lower"] = np.where(np.isfinite(evidence.lower), evidence.lower, -ENDLESS)
        data["upper"] = np.where(np.isfinite(evidence.upper), evidence.upper, ENDLESS)
    if has_study_level(problem):
        data["kept"] = layout.kept
        data["study"] = evidence.study
        data["studies"] = np.zeros(len(evidence.study_names))
        if len(layout.mixed):
            data["place"] = np.maximum(layout.place, 0)
    return data
