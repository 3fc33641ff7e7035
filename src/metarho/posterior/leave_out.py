"""How well each study is predicted by the others: log scores, PIT and CRPS, exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.leave_out import LeftOut, Predictive, effects_out, studies_out
from metarho.engines.exact.moments import moments_of, moments_of_heterogeneity
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem, problem_without
from metarho.posterior.crps import crps

type Array = NDArray[np.float64]

# Nodes that hold this together move no score that is printed to 1e-8; at an end, where the square
# of the cdf counts, its root does not, nor what a normal law has beyond 5 sds.
_DROPPED, _HIDDEN, _SDS = 1e-10, 1e-7, 5.0


@dataclass(frozen=True)
class Score:
    """How a study, or an effect, is predicted by all rows but its own.

    ``log_density`` is the log predictive density of its rows, jointly: of z = atanh(r) for
    correlations, of yi for GEN; interval rows contribute probabilities. ``pit`` holds
    P(y_new <= y) for each exact row, and ``crps`` the mean over them of
    ∫ (F(r) − 1{r >= r_observed})² dr, F the predictive cdf of the observed r (GEN: of yi); both
    are about studies only. None where it does not exist: ``reason`` says why when nothing does.
    ``error`` bounds the log density and the mass that was missed; ``refitted`` says that the
    posterior without the rows was integrated anew.
    """

    name: str
    log_density: float | None
    pit: tuple[float, ...]
    crps: float | None
    error: float | None
    refitted: bool
    reason: str | None


@dataclass(frozen=True)
class LeaveOut:
    """Leave-one-study-out, and leave-one-effect-out with its siblings kept.

    ``studies`` and ``effects`` are in the order of the evidence.
    """

    studies: tuple[Score, ...]
    effects: tuple[Score, ...]

    @property
    def elpd_loo(self) -> float | None:
        """Σ log p(rows of a study | all other studies); None where one does not exist."""
        return _total(self.studies)

    @property
    def elpd_loo_effects(self) -> float | None:
        """Σ log p(row | all other rows), siblings kept."""
        return _total(self.effects)


def leave_out(problem: Problem, whole: Quadrature) -> LeaveOut:
    """Leave each study, and each effect, out of a posterior by quadrature."""
    evidence = problem.evidence
    jacobian = np.zeros(evidence.k)
    if problem.measure == "COR":
        jacobian = np.log1p(-(evidence.y**2))
    names = evidence.study_names
    by_study = list(studies_out(problem, whole))
    studies = [
        _score(problem, name, out, jacobian) for name, out in zip(names, by_study, strict=True)
    ]
    # A row without siblings is its study.
    siblings = np.bincount(evidence.study)[evidence.study] > 1
    some = iter(effects_out(problem, whole, np.flatnonzero(siblings)))
    by_row = [
        next(some) if several else by_study[study]
        for study, several in zip(evidence.study, siblings, strict=True)
    ]
    effects = [
        _score(problem, name, replace(out, predictive=None), jacobian)
        for name, out in zip(evidence.effect_names, by_row, strict=True)
    ]
    return LeaveOut(tuple(studies), tuple(effects))


def _score(problem: Problem, name: str, out: LeftOut, jacobian: Array) -> Score:
    """The scores of what is left out, in the unit of comparisons."""
    log_density = out.log_density
    if log_density is not None:
        log_density += float(jacobian[out.rows].sum())
    pit: tuple[float, ...] = ()
    mean_crps = None
    if out.predictive is not None:
        y = problem.evidence.y[out.rows]
        y = y[~np.isnan(y)]
        rows = range(len(y))
        pit = tuple(float(out.predictive.cdf(row, y[row : row + 1])[0]) for row in rows)
        if problem.scale == "z" or _has_mean(problem, out.rows):
            found = [_crps(out.predictive, row, float(y[row]), problem.scale) for row in rows]
            mean_crps = math.fsum(found) / len(found)
    return Score(name, log_density, pit, mean_crps, out.error, out.refitted, out.reason)


def _has_mean(problem: Problem, rows: NDArray[np.intp]) -> bool:
    """Whether the predictive law without some rows has a mean, which the CRPS takes."""
    rest = problem_without(problem, np.isin(np.arange(problem.evidence.k), rows))
    moments = [moments_of(rest, name) for name in rest.coefficients]
    return min(*moments, moments_of_heterogeneity(rest)) > 1


def _crps(law: Predictive, row: int, observed: float, scale: str) -> float:
    """∫ (F − 1{y >= observed})² dr, r = tanh(y) on Fisher's z, else y."""
    kept = np.abs(law.mass) > _DROPPED / len(law.mass)
    law = Predictive(law.mass[kept], law.mean[row : row + 1, kept], law.sd[row : row + 1, kept])
    mean, sd = law.mean[0], law.sd[0]
    heavy = np.abs(law.mass) > _HIDDEN / len(law.mass)
    ends = float((mean - _SDS * sd)[heavy].min()), float((mean + _SDS * sd)[heavy].max())
    unit = math.exp(float(law.mass @ np.log(sd)))
    return crps(lambda y: law.cdf(0, y), observed, ends, unit, on_r=scale == "z")


def _total(scores: Sequence[Score]) -> float | None:
    found = [score.log_density for score in scores if score.log_density is not None]
    return math.fsum(found) if len(found) == len(scores) else None
