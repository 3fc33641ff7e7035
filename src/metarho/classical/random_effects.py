"""Common effect, random effects and meta-regression: metafor's ``rma``.

Rows are taken as independent. Viechtbauer 2010 (10.18637/jss.v036.i03).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metarho.classical.effects import Effects, NotEstimableError
from metarho.classical.heterogeneity import Method, Tau2, at, log_likelihood, tau2_of
from metarho.classical.least_squares import LeastSquares
from metarho.classical.wald import Coefficients, Omnibus, chi_square_tail, critical, omnibus

type Array = NDArray[np.float64]
type Test = Literal["z", "t", "knha", "adhoc"]
type PredictionType = Literal["default", "Riley"]

TESTS: dict[str, str] = {
    "z": "z",
    "t": "t",
    "knha": "Knapp–Hartung",
    "adhoc": "Knapp–Hartung, ad hoc",
}


# A residual variance in units of the sampling variance that is rounding and nothing else.
NO_RESIDUAL = 1e-18


@dataclass(frozen=True)
class Prediction:
    """A new study's true effect: an interval."""

    pi_lb: float
    pi_ub: float


@dataclass(frozen=True)
class InformationCriteria:
    """Log likelihood, AIC, BIC and AICc, of ML or of REML."""

    ll: float
    aic: float
    bic: float
    aicc: float


@dataclass(frozen=True)
class RandomEffects:
    """A fit of y ~ N(Xβ, v + tau²). Variances and effects are on the model's scale.

    ``test`` is how coefficients are tested: "z", "t" with k − p degrees of freedom, "knha", that
    with Knapp and Hartung's standard errors (2003, 10.1002/sim.1482), or "adhoc", the same but
    never with smaller ones than "t" (Röver et al. 2015, 10.1186/s12874-015-0091-1).
    """

    effects: Effects
    method: Method
    test: Test
    prob: float
    heterogeneity: Tau2

    @property
    def tau2(self) -> float:
        """The variance of true effects around Xβ."""
        return self.heterogeneity.value

    @cached_property
    def least_squares(self) -> LeastSquares:
        """The coefficients at weights 1/(v + tau²)."""
        return at(self.effects, self.tau2)

    @property
    def ddf(self) -> int:
        """K − p."""
        return self.effects.k - self.effects.p

    @cached_property
    def s2w(self) -> float:
        """Knapp and Hartung's factor, the weighted residual variance; 1 for other tests."""
        if self.test not in ("knha", "adhoc"):
            return 1.0
        factor = self.least_squares.rss / self.ddf
        return max(1.0, factor) if self.test == "adhoc" else factor

    @cached_property
    def coefficients(self) -> Coefficients:
        """Estimates with tests and intervals."""
        fit = self.least_squares
        ddf = None if self.test == "z" else np.full(self.effects.p, float(self.ddf))
        return Coefficients(self.effects.names, fit.beta, self.s2w * fit.vb, ddf, self.prob)

    @cached_property
    def qm(self) -> Omnibus:
        """QM: the moderators together."""
        return omnibus(self.coefficients)

    @cached_property
    def qe(self) -> float:
        """Cochran's Q, with moderators the residual one: yᵀPy at weights 1/v."""
        return at(self.effects, 0.0).rss

    @property
    def qe_p(self) -> float:
        """P(chi-square with k − p df > Q)."""
        return chi_square_tail(self.qe, self.ddf)

    @property
    def vt(self) -> float | None:
        """The typical sampling variance (k − p)/tr(P), None for k = p (Higgins & Thompson 2002)."""
        return self.ddf / at(self.effects, 0.0).trace() if self.ddf else None

    @property
    def i2(self) -> float | None:
        """I² in percent: tau²/(tau² + vt); of a common effect (Q − df)/Q. None for k = p."""
        h2 = self.h2
        return None if h2 is None else max(0.0, 100 * (1 - 1 / h2)) if h2 > 0 else 0.0

    @property
    def h2(self) -> float | None:
        """H² = 1 + tau²/vt; of a common effect Q/df. None for k = p."""
        if self.vt is None:
            return None
        return self.qe / self.ddf if self.method == "EE" else 1 + self.tau2 / self.vt

    @property
    def r2(self) -> float | None:
        """The share of heterogeneity that moderators account for, in percent; None without any.

        100 (1 − tau²/tau₀²), tau₀² without them (Raudenbush 2009); of a common effect the adjusted
        R² of weighted least squares. None where nothing was to be accounted for, and of a common
        effect for k = p, where nothing is left to adjust by.
        """
        if self.effects.p == 1:
            return None
        alone = rma(self.effects.without_moderators(), method=self.method)
        if self.method == "EE":
            if self.ddf == 0 or alone.qe / alone.ddf <= NO_RESIDUAL:
                return None
            return max(0.0, 100 * (1 - (self.qe / self.ddf) / (alone.qe / alone.ddf)))
        return max(0.0, 100 * (1 - self.tau2 / alone.tau2)) if alone.tau2 > 0 else None

    @property
    def prediction(self) -> Prediction | None:
        """Where a new study's true effect lies: β ± c √(se² + tau²); None with moderators, and EE.

        c is the normal quantile for "z", else that of t with k − p df, as in metafor.
        """
        return self.predict()

    def predict(self, predtype: PredictionType = "default") -> Prediction | None:
        """The same by choice: of "Riley" c is that of t with k − 2 df whatever the test.

        One degree is for the mean, one for tau² (Higgins et al. 2009,
        10.1111/j.1467-985X.2008.00552.x; Riley et al. 2011, 10.1136/bmj.d549). None with two
        effects, which leave none.
        """
        if self.method == "EE" or self.effects.p > 1:
            return None
        ddf = None if self.test == "z" else float(self.ddf)
        if predtype == "Riley":
            if self.ddf < 2:
                return None
            ddf = self.ddf - 1.0
        half = critical(self.prob, ddf) * np.sqrt(self.coefficients.vb[0, 0] + self.tau2)
        centre = float(self.coefficients.estimate[0])
        return Prediction(centre - float(half), centre + float(half))

    def criteria(self, *, restricted: bool | None = None) -> InformationCriteria:
        """Of the likelihood that the method maximises, unless it is said which."""
        restricted = self.method == "REML" if restricted is None else restricted
        ll = log_likelihood(self.effects, self.tau2, restricted=restricted)
        parameters = self.effects.p + (self.method != "EE")
        return criteria(ll, parameters, self.ddf if restricted else self.effects.k)


def rma(
    effects: Effects, *, method: Method = "REML", test: Test = "z", prob: float = 0.95
) -> RandomEffects:
    """Fit effects by a method, with a test.

    Raises NotEstimableError where the effects are too few: for tau², more than p; for t, too.
    """
    if test != "z" and effects.k <= effects.p:
        said = "1 effect" if effects.k == 1 else f"{effects.k} effects"
        raise NotEstimableError(f"a t test of {said} has no degrees of freedom")
    if effects.k < effects.p:
        raise NotEstimableError(f"{effects.k} effects do not determine {effects.p} coefficients")
    fit = RandomEffects(effects, method, test, prob, tau2_of(effects, method))
    if fit.test == "knha" and fit.s2w <= NO_RESIDUAL:
        raise NotEstimableError("there are no residuals: Knapp and Hartung's interval has no width")
    return fit


def criteria(ll: float, parameters: int, count: int) -> InformationCriteria:
    """AIC, BIC and AICc; ``count`` is k, or k − p of a restricted likelihood."""
    enough = max(count, parameters + 2)
    return InformationCriteria(
        ll,
        -2 * ll + 2 * parameters,
        -2 * ll + parameters * math.log(count) if count > 0 else math.nan,
        -2 * ll + 2 * parameters * enough / (enough - parameters - 1),
    )
