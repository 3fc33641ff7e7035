"""Where each study stands in Baujat's plot: its part in heterogeneity, its pull on the result.

Baujat et al. 2002 (10.1002/sim.1221), for random effects as metafor has it. With flat priors and
known heterogeneity the numbers are metafor's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metarho.compare.left_out import LeftOut, median_fitted
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.posterior.weights import sampling_covariance
from metarho.spec.model import StepSelection


@dataclass(frozen=True)
class Place:
    """A study in Baujat's plot; ``rows`` are those that printed a number.

    ``residual`` is None where none did, ``influence`` where there is no answer without the study.
    """

    study: str
    rows: int
    residual: float | None
    influence: float | None


def no_baujat(problem: Problem) -> str | None:
    """Why squared Pearson residuals have no meaning here; None where they have."""
    if problem.model.effects != "normal":
        return f"Pearson residuals are of normal effects, not effects: {problem.model.effects}"
    if isinstance(problem.model.selection, StepSelection):
        return "Pearson residuals are of estimates that were not selected"
    if problem.evidence.is_interval.all():
        return "no row printed a number"
    return None


def places(fit: Fit, left_out: Sequence[LeftOut]) -> tuple[Place, ...]:
    """Each study's squared Pearson residual and influence, in the order of the evidence.

    With the posterior medians of heterogeneity and of the means m of rows,

        residual = (y − m)ᵀ V⁻¹ (y − m),   V = sampling + tau_effect² I + tau_study² 11ᵀ

    over the study's rows that printed a number: (yi − m)²/(vi + tau²) for a single row. Of the
    median f at the study's average moderators, and f₍₋₎ without the study,

        influence = (f − f₍₋₎)² / Var(f₍₋₎).
    """
    taus = _level_sds(fit)
    found = []
    for number, row in enumerate(left_out):
        residual, rows = _residual(fit, number, taus)
        found.append(Place(row.study, rows, residual, _influence(fit, number, row)))
    return tuple(found)


def _level_sds(fit: Fit) -> dict[str, float]:
    """Level -> the posterior median of its sd."""
    return {
        level: fit.parameters[name].median or 0.0
        for level, name in fit.problem.model.level_sds.items()
    }


def _residual(fit: Fit, study: int, taus: Mapping[str, float]) -> tuple[float | None, int]:
    evidence, design = fit.problem.evidence, fit.problem.design.matrix
    rows = np.flatnonzero((evidence.study == study) & ~evidence.is_interval)
    if not len(rows):
        return None, 0
    means = [
        fit.posterior.mean_of(design[row]).summary(fit.interval.prob, "eti").median for row in rows
    ]
    away = evidence.y[rows] - np.array(means, dtype=float)
    covariance = sampling_covariance(evidence, rows)
    covariance += np.eye(len(rows)) * taus.get("effect", 0.0) ** 2 + taus.get("study", 0.0) ** 2
    return float(away @ np.linalg.solve(covariance, away)), len(rows)


def _influence(fit: Fit, study: int, row: LeftOut) -> float | None:
    if row.fitted.median is None or not row.fitted.sd:
        return None
    return ((median_fitted(fit, study) - row.fitted.median) / row.fitted.sd) ** 2
