"""More significant results than expected (metafor's ``tes``).

Ioannidis & Trikalinos 2007 (10.1177/1740774507079441); Francis 2013 (10.1016/j.jmp.2013.02.003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from metarho.classical.effects import Effects
from metarho.classical.random_effects import rma

type Alternative = Literal["two.sided", "greater", "less"]


@dataclass(frozen=True)
class ExcessSignificance:
    """How many results are significant, how many were expected, and P(so many or more)."""

    alternative: Alternative
    observed: int
    expected: float
    pval: float


def tes(
    effects: Effects, *, alternative: Alternative = "two.sided", alpha: float = 0.05
) -> ExcessSignificance:
    """Results that are significant at ``alpha`` in the direction asked for, against their power.

    A result has power P(y beyond the critical value) for y ~ N(mu, v + tau²), mu and tau² by REML.
    The p is that of the sum of trials of unequal chances, exactly. No moderators.

    Raises NotEstimableError with one effect.
    """
    effects = effects.without_moderators()
    fit = rma(effects, method="REML")
    mean, spread = fit.coefficients.estimate[0], np.sqrt(effects.v + fit.tau2)
    se = np.sqrt(effects.v)
    cut = -float(ndtri(alpha / 2 if alternative == "two.sided" else alpha)) * se
    above, below = ndtr((mean - cut) / spread), ndtr((-cut - mean) / spread)
    power = {"greater": above, "less": below, "two.sided": above + below}[alternative]
    sizes = {"greater": effects.y, "less": -effects.y, "two.sided": np.abs(effects.y)}[alternative]
    observed = int((sizes >= cut).sum())
    law = np.ones(1)
    for one in power:
        law = np.convolve(law, [1 - one, one])
    return ExcessSignificance(
        alternative, observed, float(power.sum()), min(1.0, float(law[observed:].sum()))
    )
