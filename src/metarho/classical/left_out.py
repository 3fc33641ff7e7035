"""The fit without each effect: leave-one-out, and how much each pulls (metafor's ``influence``).

Viechtbauer & Cheung 2010 (10.1002/jrsm.11).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.classical.effects import NotEstimableError
from metarho.classical.heterogeneity import at
from metarho.classical.random_effects import RandomEffects, rma

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Influence:
    """One row of diagnostics an effect, in the order of the effects; all but ``dfbs`` have shape k.

    With (−i) for the fit without effect i, ŷ for a fitted value, h for a leverage:

    - rstudent: (y − ŷ₍₋ᵢ₎) / √(v + tau²₍₋ᵢ₎ + Var ŷ₍₋ᵢ₎), the externally standardised residual
    - dffits: (ŷ − ŷ₍₋ᵢ₎) / √(h (v + tau²₍₋ᵢ₎))
    - cook_d: (β − β₍₋ᵢ₎)ᵀ Cov(β)⁻¹ (β − β₍₋ᵢ₎)
    - cov_r: |Cov(β₍₋ᵢ₎)| / |Cov(β)|
    - tau2_del, qe_del: tau² and Q without it
    - hat: its leverage; weight: its share of Σ 1/(v + tau²), in percent
    - dfbs (k × p): each coefficient's change, in its standard errors at tau²₍₋ᵢ₎
    """

    rstudent: Array
    dffits: Array
    cook_d: Array
    cov_r: Array
    tau2_del: Array
    qe_del: Array
    hat: Array
    weight: Array
    dfbs: Array


def leave1out(fit: RandomEffects) -> tuple[RandomEffects, ...]:
    """The same method and test without each effect, in their order.

    Raises NotEstimableError where what is left does not determine the fit.
    """
    k = fit.effects.k
    if k - 1 <= fit.effects.p - (fit.method == "EE"):
        raise NotEstimableError(f"{k} effects without one of them do not determine the fit")
    found = []
    for row in range(k):
        rest = fit.effects.only(np.arange(k) != row)
        if np.linalg.matrix_rank(rest.x) < rest.p:
            raise NotEstimableError(
                f"without {fit.effects.labels[row]} its moderators are no longer told apart"
            )
        try:
            found.append(rma(rest, method=fit.method, test=fit.test, prob=fit.prob))
        except NotEstimableError as error:
            label = fit.effects.labels[row]
            raise NotEstimableError(f"without {label}: {error.message}") from None
    return tuple(found)


def influence(fit: RandomEffects, without: tuple[RandomEffects, ...] | None = None) -> Influence:
    """Diagnostics of every effect; ``without`` is ``leave1out(fit)`` where it is at hand."""
    without = leave1out(fit) if without is None else without
    effects, whole = fit.effects, fit.coefficients
    moved = np.array([whole.estimate - one.coefficients.estimate for one in without])
    tau2, s2w = np.array([one.tau2 for one in without]), np.array([one.s2w for one in without])
    ahead = np.array(
        [x @ one.coefficients.vb @ x for x, one in zip(effects.x, without, strict=True)]
    )
    shift = (effects.x * moved).sum(axis=1)
    residual = effects.y - effects.x @ whole.estimate + shift
    hat = fit.least_squares.hat
    spread = np.array([np.diag(at(effects, float(t)).vb) for t in tau2])
    size = np.linalg.slogdet(whole.vb)[1]
    weight = fit.least_squares.w
    return Influence(
        residual / np.sqrt(effects.v + tau2 + ahead),
        shift / np.sqrt(s2w * hat * (effects.v + tau2)),
        np.einsum("ip,pq,iq->i", moved, np.linalg.inv(whole.vb), moved),
        np.exp([np.linalg.slogdet(one.coefficients.vb)[1] - size for one in without]),
        tau2,
        np.array([one.qe for one in without]),
        hat,
        100 * weight / weight.sum(),
        moved / np.sqrt(s2w[:, None] * spread),
    )
