"""Whether small studies report larger effects: Egger's test, PET, PEESE and PET-PEESE.

All are regressions on the standard errors, or on what stands for them.
Egger et al. 1997 (10.1136/bmj.315.7109.629); Sterne & Egger 2005; Stanley & Doucouliagos 2014
(10.1002/jrsm.1095).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metarho.classical.cluster_robust import robust
from metarho.classical.effects import Effects, NotEstimableError
from metarho.classical.least_squares import LeastSquares
from metarho.classical.multilevel import rma_mv
from metarho.classical.random_effects import NO_RESIDUAL, rma
from metarho.classical.wald import Coefficients, two_sided

type Array = NDArray[np.float64]
type Predictor = Literal["sei", "vi", "ni", "ninv", "sqrtni", "sqrtninv"]
type Form = Literal["lm", "rma", "mv"]

PREDICTORS: Mapping[str, Callable[[Effects], Array]] = {
    "sei": lambda effects: np.sqrt(effects.v),
    "vi": lambda effects: effects.v,
    "ni": lambda effects: effects.sizes,
    "ninv": lambda effects: 1 / effects.sizes,
    "sqrtni": lambda effects: np.sqrt(effects.sizes),
    "sqrtninv": lambda effects: 1 / np.sqrt(effects.sizes),
}
"""metafor's names of what asymmetry is a slope on."""


@dataclass(frozen=True)
class SmallStudies:
    """A regression on a predictor. The first coefficient is the effect where that is 0.

    ``tau2``, of all levels, is None of least squares, whose residual variance is multiplicative:
    ``sigma`` squared.
    """

    predictor: Predictor
    form: Form
    coefficients: Coefficients
    tau2: float | None
    sigma: float | None

    @property
    def slope(self) -> float:
        """The slope on the predictor."""
        return float(self.coefficients.estimate[-1])

    @property
    def statistic(self) -> float:
        """The slope's t (lm, mv) or z (rma): Egger's test."""
        return float(self.coefficients.statistic[-1])

    @property
    def pval(self) -> float:
        """Its two-sided p."""
        return float(self.coefficients.pval[-1])

    @property
    def ddf(self) -> float | None:
        """The degrees of freedom of t; None of z."""
        ddf = self.coefficients.ddf
        return None if ddf is None else float(ddf[-1])


def regtest(
    effects: Effects, *, predictor: Predictor = "sei", form: Form = "lm", prob: float = 0.95
) -> SmallStudies:
    """Egger's test: "lm", least squares with weights 1/v, "rma", REML with z tests, or "mv".

    "mv" is three-level REML with CR2 tests, for several effects a study (Rodgers & Pustejovsky
    2021, 10.1037/met0000300).

    Raises NotEstimableError with fewer than three effects more than moderators, sizes that are not
    known, and predictors that do not vary; of "mv" as ``rma_mv`` and ``robust``.
    """
    values = PREDICTORS[predictor](effects)
    if np.isnan(values).any():
        raise NotEstimableError(
            f"the predictor {predictor} needs the number of people of every row"
        )
    if effects.k < effects.p + 2:
        raise NotEstimableError(
            f"{effects.k} {'effect does' if effects.k == 1 else 'effects do'} not determine a "
            f"slope on {predictor} and an error"
        )
    # Rounding of equal values is no variation.
    if np.ptp(values) <= 1e-9 * np.abs(values).max():
        raise NotEstimableError(f"all effects have the same {predictor}: there is no slope on it")
    regressed = effects.on(values, predictor)
    if form == "rma":
        fit = rma(regressed, method="REML", prob=prob)
        return SmallStudies(predictor, form, fit.coefficients, fit.tau2, None)
    if form == "mv":
        nested = rma_mv(regressed, prob=prob)
        return SmallStudies(predictor, form, robust(nested), nested.tau2, None)
    plain = LeastSquares(regressed.y, regressed.x, 1 / regressed.v)
    ddf = regressed.k - regressed.p
    sigma2 = plain.rss / ddf
    if sigma2 <= NO_RESIDUAL:
        raise NotEstimableError(f"the effects lie on a line of {predictor}: no residual to test by")
    coefficients = Coefficients(
        regressed.names, plain.beta, sigma2 * plain.vb, np.full(regressed.p, float(ddf)), prob
    )
    return SmallStudies(predictor, form, coefficients, None, float(np.sqrt(sigma2)))


@dataclass(frozen=True)
class PetPeese:
    """The conditional estimator: PEESE where PET finds an effect, else PET."""

    pet: SmallStudies
    peese: SmallStudies
    pet_p: float
    """One-sided p of PET's intercept, in the direction of the common effect."""
    chosen: Literal["PET", "PEESE"]

    @property
    def estimate(self) -> SmallStudies:
        """The regression that is chosen."""
        return self.peese if self.chosen == "PEESE" else self.pet


# The level of PET's one-sided test (Stanley & Doucouliagos 2014).
PET_ALPHA = 0.05


def pet_peese(effects: Effects, *, form: Form = "lm", prob: float = 0.95) -> PetPeese:
    """PET (a slope on standard errors), PEESE (on variances), and which of them to report.

    Raises NotEstimableError as ``regtest``.
    """
    pet = regtest(effects, predictor="sei", form=form, prob=prob)
    peese = regtest(effects, predictor="vi", form=form, prob=prob)
    direction = 1.0 if rma(effects, method="EE").coefficients.estimate[0] >= 0 else -1.0
    statistic = direction * float(pet.coefficients.statistic[0])
    half = 0.5 * float(two_sided(statistic, pet.ddf))
    p = half if statistic > 0 else 1 - half
    return PetPeese(pet, peese, p, "PEESE" if p < PET_ALPHA else "PET")
