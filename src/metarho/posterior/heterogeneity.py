"""I² and H²: heterogeneity against sampling variance (Higgins & Thompson 2002)."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from metarho.engines.problem import Problem

type Array = NDArray[np.float64]


def scale_of_parameter(name: str, scale: str) -> str:
    """What a parameter is measured in: the model's scale, but for shares, degrees of freedom, odds.

    ``omega`` is the chance of being reported over that of the most significant results, ``alpha``
    what the log of an sd changes by, ``pet`` and ``peese`` are slopes on the standard error and the
    variance; ``beta_…`` make up the sd of slopes. What the file of a custom model has besides is of
    no scale that is known here.
    """
    others = {
        "share": "share",
        "weight": "share",
        "nu": "df",
        "omega": "ratio",
        "alpha": "log sd",
        "pet": f"{scale} per se",
        "peese": f"{scale} per v",
        "beta_global": scale,
        "beta_local": "ratio",
        "beta_slab2": f"{scale} squared",
        "beta_R2": "share",
        "beta_gamma": "ratio",
        "beta_phi": "share",
    }
    base = name.partition("[")[0]
    on_scale = base in ("mu", "beta") or re.fullmatch(r"tau(_\w+)?", base) is not None
    return others.get(base, scale if on_scale else "")


def scale_of_derived(name: str, on_r: str = "r") -> str:
    """The scale of a derived quantity, as tables print it; ``on_r`` is what correlations are on."""
    return {"I": "percent", "H": "ratio"}.get(name[0], on_r)


def typical_variance(problem: Problem) -> float | None:
    """s² = (k − p) / tr(P) with P = W − WX(XᵀWX)⁻¹XᵀW and W = diag(1/v).

    Interval rows count with their nominal v, and the bias of small studies (PET, PEESE) is a column
    of X. None for k <= p, where sampling errors correlate, and for true scores, whose heterogeneity
    is on another scale than sampling error. Slopes that no row informs do not
    count (metafor drops them as redundant).
    """
    if problem.evidence.correlated or problem.model.measurement == "true-score":
        return None
    matrix = problem.design.matrix
    if problem.bias is not None:
        matrix = np.column_stack([matrix, problem.bias])
    x = matrix[:, np.any(matrix != 0, axis=0)]
    w = 1 / problem.evidence.v
    weighted = x * w[:, None]
    k, p = len(w), int(np.linalg.matrix_rank(x))
    if k <= p:
        return None
    if p == 1 and np.ptp(x) == 0:
        # tr P = 2 Σ_{i<j} w_i w_j / Σ w, without the cancellation of the general form.
        ordered = np.sort(w)
        lighter = np.concatenate([[0.0], np.cumsum(ordered)[:-1]])
        return (k - 1) / float(2 * (ordered * lighter).sum() / w.sum())
    hat = np.linalg.pinv(x.T @ weighted)
    trace = float(w.sum() - np.einsum("ij,jk,ik->", weighted, hat, weighted))
    return (k - p) / trace


def i2(tau2: Array, s2: float) -> Array:
    """I² in percent at a total heterogeneity variance."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(np.isfinite(tau2), 100 * tau2 / (tau2 + s2), 100.0)


def i2_inverse(percent: Array, s2: float) -> Array:
    """The tau at which I² has a value."""
    share = np.clip(np.asarray(percent, dtype=float) / 100, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        return np.sqrt(s2 * share / (1 - share))


def h2(tau2: Array, s2: float) -> Array:
    """H² = (Στ² + s²)/s² = 1/(1 − I²) at a total heterogeneity variance."""
    return np.asarray(1 + tau2 / s2)


def h2_inverse(ratio: Array, s2: float) -> Array:
    """The tau at which H² has a value."""
    return np.asarray(np.sqrt(s2 * np.maximum(np.asarray(ratio, dtype=float) - 1, 0.0)))
