"""Rows under the exact law of r: true effects are variables, and z = atanh(r) has its density.

A number has the density g(z | theta, n), an interval its probability under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from metarho.engines.nuts.layout import FARTHEST_THETA
from metarho.engines.problem import Problem


def add_exact_r(problem: Problem, rows: Mapping[str, Any], mean: Any, sd_effect: Any) -> None:
    """The likelihood of rows under the exact law of r (``engines/law_of_r.py``)."""
    theta = mean + pt.zeros(problem.evidence.k)
    if "effect" in problem.model.levels:
        theta = theta + sd_effect * pm.Normal("effect_away", 0, 1, dims="effect")
    if "numbers" in rows:
        given = theta[rows["numbers"]]
        pm.Potential("numbers_seen", log_law(rows["z"], given, rows["n"], rows["law"]).sum())
    if "intervals" in rows:
        given = theta[rows["intervals"]]
        pm.Potential("intervals_seen", log_chance(given, rows["chances"]).sum())


def log_law(z: Any, theta: Any, n: Any, law: Any) -> Any:
    """Log g(z | theta, n), the part that is no power as a polynomial in 2s − 1 (k coefficients)."""
    away, log_z, log_theta = _log_cosh(z - theta), _log_cosh(z), _log_cosh(theta)
    t = np.sqrt(2) * pt.exp(0.5 * (away - log_z - log_theta)) - 1
    powers = t[:, None] ** pt.arange(law.shape[1])
    return (law * powers).sum(axis=1) + 0.5 * (log_z - log_theta) - (n - 1.5) * away


def log_chance(theta: Any, chances: Any) -> Any:
    """Log P(interval | theta) from its cubics (``layout.py``)."""
    cells = chances.shape[1]
    width = 2 * FARTHEST_THETA / cells
    cell = pt.clip(pt.floor((theta + FARTHEST_THETA) / width), 0, cells - 1).astype("int64")
    c = chances[pt.arange(chances.shape[0]), cell]
    t = theta - (cell * width - FARTHEST_THETA)
    return c[:, 0] + t * (c[:, 1] + t * (c[:, 2] + t * c[:, 3]))


def _log_cosh(x: Any) -> Any:
    return pt.softplus(2 * x) - x - np.log(2)
