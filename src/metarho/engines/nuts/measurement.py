"""Rows of observed scores whose true effects are of true scores: these are variables.

A number is Normal(z(theta), v), with z(theta) what the reliabilities and the restriction of range
make of theta (``engines/measurement.py``); an interval has its probability under the same law.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from metarho.engines.nuts.rows import log_interval, log_normal
from metarho.engines.problem import Problem
from metarho.spec.model import RELIABILITIES


def add_observed_scores(
    problem: Problem, rows: Mapping[str, Any], mean: Any, sd_effect: Any
) -> None:
    """The likelihood of rows, their true effects of true scores as ``theta``."""
    theta = mean + pt.zeros(problem.evidence.k)
    if "effect" in problem.model.levels:
        theta = theta + sd_effect * _add_effects(rows, theta, sd_effect)
    theta = pm.Deterministic("theta", theta, dims="effect")
    rxx, ryy = (_add_reliabilities(problem, name, rows) for name in RELIABILITIES)
    z = observed_z(theta, rxx, ryy, rows["ux"])
    pm.Potential("numbers", (rows["exact"] * log_normal(rows["y"], z, rows["v"])).sum())
    if "intervals" in rows:
        inside, sd = z[rows["intervals"]], pt.sqrt(rows["v"][rows["intervals"]])
        words = log_interval((rows["lower"] - inside) / sd, (rows["upper"] - inside) / sd)
        pm.Potential("words", words.sum())


def _add_effects(rows: Mapping[str, Any], mean: Any, tau: Any) -> Any:
    """Effects' distances from their mean in units of tau, a priori standard normal.

    Said through variables that are nearly standard normal given the data, whatever tau and the mean
    are, so that they do not hold each other up: as if a number were normal around theta, with the
    estimate and s that its reliability makes of it. The potential makes it exact.
    """
    shrinkage = rows["exact"] * tau**2 / (tau**2 + rows["s"] ** 2)
    away = pm.Normal("effect_away", 0, 1, dims="effect")
    pull = rows["exact"] * tau / (tau**2 + rows["s"] ** 2) * (rows["estimate"] - mean)
    distance = pull + pt.sqrt(1 - shrinkage) * away
    log_ratio = 0.5 * (away**2 - distance**2 + pt.log1p(-shrinkage))
    pm.Potential("effects", log_ratio.sum())
    return distance


def _add_reliabilities(problem: Problem, name: str, rows: Mapping[str, Any]) -> Any:
    """A reliability of each row, a variable where it is unknown and its prior is no point."""
    unknown = np.flatnonzero(np.isnan(problem.evidence.artefact(name)))
    if not len(unknown) or problem.reliabilities[name].prior.is_point:
        return rows[name]
    alpha, beta = (rows[f"{name}_{argument}"] for argument in ("alpha", "beta"))
    drawn = pm.Beta(f"{name}_unknown", alpha, beta, shape=len(unknown))
    return pm.Deterministic(
        f"{name}_of_rows", pt.set_subtensor(rows[name][unknown], drawn), dims="effect"
    )


def observed_z(theta: Any, rxx: Any, ryy: Any, ux: Any) -> Any:
    """``engines/measurement.py``'s, of tensors."""
    c2, s = rxx * ryy, pt.sinh(theta)
    return pt.arcsinh(ux * pt.sqrt(c2) * s / pt.sqrt(1 + (1 - c2) * s**2))
