"""Observed z against those that an ensemble expects: the shape that selection leaves.

z is the normal quantile of a result's one-sided p, z = Φ⁻¹(1 − p), large where it is positive and
significant: by the t test of a correlation with n − 2 df, or of y/√v (Bartoš & Schimmack 2022,
10.15626/MP.2021.2720).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from metarho.compare.ensemble import Ensemble
from metarho.compare.reported import (
    Band,
    Of,
    Part,
    band,
    not_expected,
    weights_of,
)
from metarho.engines.problem import Evidence, Problem
from metarho.spec.model import StepSelection

type Array = NDArray[np.float64]
type By = Literal["t", "z"]

# Where a two-sided p is .05, the convention that selection is thought to go by.
SIGNIFICANT = float(ndtri(0.975))
_ROUNDING = 1e-8
# What is looked at at most, where p has more than 20 zeros: whole bins of any width. And what may
# be left out on a side.
_MOST, _TAIL = 5 * SIGNIFICANT, 0.005
# Cells of the curves between 0 and a significant z: at its end a cell ends.
_CELLS = 30
# Bins of as much, by the least number of rows: each bin has some rows, and one ends there.
_BINS = {0: 2, 100: 4, 1000: 8}
# Rows of so many different variances are looked at one by one; of more, neighbours together, whose
# densities of z are nearly the same. A thousand rows then take seconds.
_MOST_KINDS = 60


@dataclass(frozen=True)
class Observed:
    """What rows that say something show as z: numbers, and the ends of the others' intervals."""

    numbers: Array
    lower: Array
    upper: Array

    @property
    def k(self) -> int:
        """How many rows."""
        return len(self.numbers) + len(self.lower)

    @property
    def significant(self) -> float | None:
        """The share of two-sided p < .05, of rows that tell; None where none does."""
        told = [abs(z) > SIGNIFICANT for z in self.numbers.tolist()]
        for low, high in zip(self.lower.tolist(), self.upper.tolist(), strict=True):
            # An end at a critical value is that value to rounding.
            if max(low, -high) >= SIGNIFICANT - _ROUNDING:
                told.append(True)
            elif max(-low, high) <= SIGNIFICANT + _ROUNDING:
                told.append(False)
        return sum(told) / len(told) if told else None


@dataclass(frozen=True)
class ZCurve:
    """Observed and expected z. ``edges`` (C + 1) are the cells' ends; densities are a row's.

    ``reported`` is what is expected of reported results, its area 1; ``all`` what would have been
    seen had all been reported, of an area as many times as large as results were found for one
    that is reported (``found``). ``significant`` are shares with a two-sided p < .05. ``cutpoints``
    are where members' chances of being reported change.
    """

    by: By
    observed: Observed
    edges: Array
    bins: Array
    reported: Band
    all: Band
    significant: dict[Of, tuple[float, float, float]]
    found: tuple[float, float, float]
    cutpoints: tuple[float, ...]


def no_z_curve(ensemble: Ensemble) -> str | None:
    """Why there is none; None where there is."""
    evidence = ensemble.members[0].fit.problem.evidence
    if evidence.is_silent.all():
        return "no row says anything"
    return not_expected(ensemble)


def z_curve(ensemble: Ensemble, parts: tuple[Part, ...], prob: float) -> ZCurve:
    """The z of the rows, and what the members expect on average. First ask ``no_z_curve``.

    ``parts`` are draws of the members (``reported.parts_of``).
    """
    problem = ensemble.members[0].fit.problem
    by = _by(ensemble)
    observed = _observed(problem, by)
    ends = np.concatenate([observed.numbers, *(
        end[np.isfinite(end)] for end in (observed.lower, observed.upper)
    )])  # fmt: skip
    kinds, cutpoints = _kinds(problem.evidence), _cutpoints(ensemble)
    weights = weights_of(parts)
    # Cells end where densities jump, and the outermost have no end.
    edges = _with(_grid(-_MOST, _MOST, _CELLS), cutpoints)
    open_edges = np.concatenate([[-np.inf], edges, [np.inf]])
    masses = {of: _masses(parts, problem, by, kinds, open_edges, of) for of in _BOTH}
    # As far as there are rows, or more than a little is expected of them.
    means = [weights @ one for one in masses.values()]
    below = [(np.cumsum(mean) / mean.sum())[:-1] for mean in means]
    lows = [float(edges[max(0, int((one < _TAIL).sum()) - 1)]) for one in below]
    highs = [float(edges[min(len(edges) - 1, int((one < 1 - _TAIL).sum()))]) for one in below]
    low = max(min([*ends.tolist(), *lows]), -_MOST)
    high = min(max([*ends.tolist(), *highs]), _MOST)
    bins = _grid(low, high, next(n for k, n in reversed(_BINS.items()) if observed.k >= k))
    first, last = (int(np.searchsorted(edges, end - _ROUNDING)) for end in (bins[0], bins[-1]))
    shown = edges[first : last + 1]
    is_significant = np.abs(open_edges[:-1] + open_edges[1:]) > 2 * SIGNIFICANT
    densities = {
        of: band(one[:, first + 1 : last + 1] / np.diff(shown), weights, prob)
        for of, one in masses.items()
    }
    return ZCurve(
        by,
        observed,
        shown,
        bins,
        densities["reported"],
        densities["all"],
        {
            of: _three(one[:, is_significant].sum(axis=1) / one.sum(axis=1), weights, prob)
            for of, one in masses.items()
        },
        _three(masses["all"].sum(axis=1), weights, prob),
        cutpoints,
    )


_BOTH: tuple[Of, Of] = ("reported", "all")


def z_of(y: Array, v: Array, n: Array, scale: str, by: By) -> Array:
    """The z of results on the model's scale."""
    if by == "z":
        return np.asarray(y / np.sqrt(v))
    # z = asinh(t/√df), and r = t/√(t² + df).
    with np.errstate(divide="ignore"):
        z = np.arctanh(y) if scale == "r" else y
    with np.errstate(over="ignore"):
        t = np.sqrt(n - 2) * np.sinh(z)
    # From the smaller tail, which has digits where the other is 1.
    return np.asarray(-np.sign(t) * ndtri(stdtr(n - 2, -np.abs(t))))


def y_of(z: Array, v: float, n: float, scale: str, by: By) -> Array:
    """The result on the model's scale that has a z."""
    if by == "z":
        return np.asarray(z * math.sqrt(v))
    t = -np.sign(z) * stdtrit(n - 2, ndtr(-np.abs(z)))
    fisher = np.arcsinh(t / math.sqrt(n - 2))
    y = np.tanh(fisher) if scale == "r" else fisher
    # Beyond the last result, where a normal law of r goes on.
    return np.asarray(np.where(np.isinf(z), z, y), dtype=float)


def _by(ensemble: Ensemble) -> By:
    """The test that papers print, unless n is not known or all that members select by is y/√v."""
    problem = ensemble.members[0].fit.problem
    tests = {
        member.fit.problem.model.selection.step.test
        for member in ensemble.members
        if isinstance(member.fit.problem.model.selection, StepSelection)
    }
    known = problem.scale != "yi" and all(row.ni is not None for row in problem.evidence.rows)
    return "t" if known and tests != {"z"} else "z"


def _observed(problem: Problem, by: By) -> Observed:
    evidence = problem.evidence
    word = evidence.is_interval & ~evidence.is_silent
    number = ~evidence.is_interval

    def seen(y: Array, rows: NDArray[np.bool_]) -> Array:
        sizes = evidence.sizes[rows]
        return z_of(y[rows], evidence.v[rows], sizes, problem.scale, by)

    return Observed(
        seen(evidence.y, number), seen(evidence.lower, word), seen(evidence.upper, word)
    )


def _grid(low: float, high: float, parts: int) -> Array:
    """Edges so many to a significant z, from below one end to above the other."""
    width = SIGNIFICANT / parts
    first, last = math.floor(low / width + _ROUNDING), math.ceil(high / width - _ROUNDING)
    return np.asarray(width * np.arange(first, last + 1), dtype=float)


def _with(edges: Array, cutpoints: Sequence[float]) -> Array:
    """Edges and cutpoints, but for those that are an edge to rounding."""
    near = [np.abs(edges - cut).min() < _ROUNDING for cut in cutpoints]
    more = [cut for cut, is_there in zip(cutpoints, near, strict=True) if not is_there]
    inside = [cut for cut in more if abs(cut) < edges[-1]]
    return np.sort(np.concatenate([edges, inside]))


def _kinds(evidence: Evidence) -> list[tuple[float, float, float]]:
    """Sampling variance, n, and the share of the rows that have them."""
    told = ~evidence.is_silent
    pairs = np.column_stack([evidence.v[told], evidence.sizes[told]])
    alike, counts = np.unique(pairs, axis=0, return_counts=True)
    groups = np.array_split(np.arange(len(alike)), min(len(alike), _MOST_KINDS))
    return [
        (
            *np.average(alike[one], axis=0, weights=counts[one]).tolist(),
            counts[one].sum() / len(pairs),
        )
        for one in groups
    ]


def _masses(
    parts: Sequence[Part],
    problem: Problem,
    by: By,
    kinds: Sequence[tuple[float, float, float]],
    edges: Array,
    of: Of,
) -> Array:
    """Masses between edges of z, averaged over the rows, draw by draw: (draws, C)."""
    found = []
    for part in parts:
        total = np.zeros((len(part.mu), len(edges) - 1))
        for v, n, share in kinds:
            total += share * part.masses(y_of(edges, v, n, problem.scale, by), v, n, of)
        found.append(total)
    return np.concatenate(found)


def _three(values: Array, weights: Array, prob: float) -> tuple[float, float, float]:
    one = band(values[:, None], weights, prob)
    return float(one.mean[0]), float(one.lower[0]), float(one.upper[0])


def _cutpoints(ensemble: Ensemble) -> tuple[float, ...]:
    """Where the chance of being reported changes, of every member that selects."""
    cuts = {
        # 1 − 0.025 is not 0.975 to the last digit, and −0.0 is 0.
        round(float(-ndtri(p)), 9) + 0.0
        for member in ensemble.members
        if isinstance(member.fit.problem.model.selection, StepSelection)
        for p in member.fit.problem.model.selection.step.one_sided
    }
    return tuple(sorted(cuts))
