"""Variances that hold though the working model is wrong: CR1, and CR2 with Satterthwaite's df.

Cameron & Miller 2015 (10.3368/jhr.50.2.317); Pustejovsky & Tipton 2018
(10.1080/07350015.2016.1247004), as in clubSandwich; clusters are studies.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metarho.classical.effects import Effects, NotEstimableError
from metarho.classical.multilevel import Multilevel
from metarho.classical.nested import study_blocks
from metarho.classical.random_effects import NO_RESIDUAL, RandomEffects
from metarho.classical.wald import Coefficients

type Array = NDArray[np.float64]
type Correction = Literal["CR1", "CR2"]


def robust(fit: RandomEffects | Multilevel, correction: Correction = "CR2") -> Coefficients:
    """The fit's coefficients with cluster-robust covariance, t tests and intervals.

    With M the fit's covariance (blocks by study), A = (XᵀM⁻¹X)⁻¹, residuals e:

    - CR1: m/(m − p) A (Σ XᵢᵀMᵢ⁻¹eᵢeᵢᵀMᵢ⁻¹Xᵢ) A for m studies, t with m − p df
    - CR2: the same with Aᵢeᵢ for eᵢ, which is unbiased if M is right, and no factor; each
      coefficient with its own df

    Raises NotEstimableError with no more studies than coefficients.
    """
    effects = fit.effects
    m, p = effects.k_studies, effects.p
    if m <= p:
        raise NotEstimableError(f"{m} {'study is' if m == 1 else 'studies are'} too few to vary by")
    sigma2 = (0.0, fit.tau2) if isinstance(fit, RandomEffects) else (
        fit.sigma2.get("study", 0.0), fit.sigma2.get("effect", 0.0)
    )  # fmt: skip
    plain = effects if isinstance(fit, Multilevel) else _independent(effects)
    blocks = study_blocks(plain, *sigma2)
    ends = np.cumsum([len(block) for block in blocks])
    rows = [slice(end - len(block), end) for block, end in zip(blocks, ends, strict=True)]
    beta, a = fit.least_squares.beta, fit.least_squares.vb
    e = effects.y - effects.x @ beta
    # What each study's residuals are multiplied by: p × rows.
    weights = [
        a @ np.linalg.solve(block, effects.x[at]).T @ _adjusted(block, effects.x[at], a, correction)
        for block, at in zip(blocks, rows, strict=True)
    ]
    scores = np.array([weight @ e[at] for weight, at in zip(weights, rows, strict=True)])
    vb = scores.T @ scores
    if (np.diag(vb) <= NO_RESIDUAL * np.diag(a)).any():
        raise NotEstimableError("there are no residuals: a robust interval has no width")
    if correction == "CR1":
        return Coefficients(
            effects.names, beta, vb * m / (m - p), np.full(p, float(m - p)), fit.prob
        )
    ddf = _satterthwaite(weights, blocks, [effects.x[at] for at in rows], a)
    return Coefficients(effects.names, beta, vb, ddf, fit.prob)


def _independent(effects: Effects) -> Effects:
    return effects.only(np.ones(effects.k, dtype=bool))


def _adjusted(block: Array, x: Array, a: Array, correction: Correction) -> Array:
    """CR2's Aᵢ = Dᵢᵀ (Dᵢ (Mᵢ − Xᵢ A Xᵢᵀ) Dᵢᵀ)^(−1/2) Dᵢ with Mᵢ = DᵢᵀDᵢ; else the identity."""
    if correction == "CR1":
        return np.eye(len(block))
    d = np.linalg.cholesky(block).T
    values, vectors = np.linalg.eigh(d @ (block - x @ a @ x.T) @ d.T)
    # A direction that its own coefficient explains wholly has no residual to adjust.
    there = values > 1e-10 * values.max()
    root = (vectors[:, there] / np.sqrt(values[there])) @ vectors[:, there].T
    return np.asarray(d.T @ root @ d)


def _satterthwaite(weights: list[Array], blocks: list[Array], xs: list[Array], a: Array) -> Array:
    """(tr P)² / tr PP of each coefficient; P (m × m) is its scores' covariance under M."""
    p = a.shape[0]
    own = np.array(
        [np.einsum("pi,ij,pj->p", w, b, w) for w, b in zip(weights, blocks, strict=True)]
    )
    through = np.array([w @ x for w, x in zip(weights, xs, strict=True)])
    found = []
    for one in range(p):
        across = np.diag(own[:, one]) - through[:, one] @ a @ through[:, one].T
        found.append(np.trace(across) ** 2 / (across**2).sum())
    return np.array(found)
