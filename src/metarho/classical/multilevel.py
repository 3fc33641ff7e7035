"""Three levels: effects nested in studies, by REML or ML (metafor's ``rma.mv``).

``random = ~ 1 | study/effect``: y = Xβ + u_study + w_effect + e, with errors e whose covariance may
be known or implied by a correlation within samples: the correlated and hierarchical effects (CHE)
model of Pustejovsky & Tipton 2022 (10.1007/s11121-021-01246-3). Konstantopoulos 2011
(10.1002/jrsm.35); Cheung 2014 (10.1037/a0032968).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from metarho.classical.effects import Effects, NotEstimableError
from metarho.classical.heterogeneity import Tau2Interval, around, root
from metarho.classical.nested import GeneralisedLeastSquares, Turned, turned
from metarho.classical.random_effects import InformationCriteria, Prediction, criteria
from metarho.classical.wald import Coefficients, Omnibus, chi_square_tail, critical, omnibus

type Array = NDArray[np.float64]
type Level = Literal["study", "effect"]
type Likelihood = Literal["REML", "ML"]

LEVELS: tuple[Level, Level] = ("study", "effect")


@dataclass(frozen=True)
class Multilevel:
    """A fit; ``sigma2`` are the variances of the levels that it has, on the model's scale.

    ``test`` "t" counts degrees of freedom by containment: the groups of the highest level within
    which a column of X does not vary, less p.
    """

    effects: Effects
    method: Likelihood
    test: Literal["z", "t"]
    prob: float
    sigma2: Mapping[Level, float]

    @cached_property
    def rows(self) -> Turned:
        """The effects with independent errors."""
        return turned(self.effects)

    @cached_property
    def least_squares(self) -> GeneralisedLeastSquares:
        """The coefficients at the variances found."""
        return _at(self.rows, self.sigma2)

    @property
    def restricted(self) -> bool:
        """Whether by REML."""
        return self.method == "REML"

    @cached_property
    def coefficients(self) -> Coefficients:
        """Estimates with tests and intervals."""
        fit = self.least_squares
        ddf = None if self.test == "z" else self._ddf()
        return Coefficients(self.effects.names, fit.beta, fit.vb, ddf, self.prob)

    def _ddf(self) -> Array:
        effects, starts = self.effects, self.rows.starts
        spans = np.maximum.reduceat(effects.x, starts) - np.minimum.reduceat(effects.x, starts)
        between = (spans == 0).all(axis=0) if "study" in self.sigma2 else np.zeros(effects.p, bool)
        groups = np.where(between, len(starts), effects.k)
        return np.asarray(groups - float(effects.p))

    @cached_property
    def qm(self) -> Omnibus:
        """QM: the moderators together."""
        return omnibus(self.coefficients)

    @cached_property
    def qe(self) -> float:
        """Q with the errors' covariance as weights."""
        return _at(self.rows, {}).rss

    @property
    def qe_p(self) -> float:
        """P(chi-square with k − p df > Q)."""
        return chi_square_tail(self.qe, self.effects.k - self.effects.p)

    @property
    def tau2(self) -> float:
        """The variance of true effects around Xβ, on all levels together."""
        return sum(self.sigma2.values())

    @property
    def i2_by_level(self) -> Mapping[Level, float] | None:
        """σ²/(Σσ² + vt) of each level, in percent; None where errors correlate (no typical v)."""
        if self.effects.correlated or self.effects.k == self.effects.p:
            return None
        vt = (self.effects.k - self.effects.p) / _at(self.rows, {}).trace
        return {level: 100 * s2 / (self.tau2 + vt) for level, s2 in self.sigma2.items()}

    @property
    def i2(self) -> float | None:
        """Of all levels together."""
        levels = self.i2_by_level
        return None if levels is None else sum(levels.values())

    @property
    def prediction(self) -> Prediction | None:
        """Where a new effect of a new study lies; None with moderators."""
        if self.effects.p > 1:
            return None
        mean = self.coefficients
        half = critical(self.prob, mean.ddf) * np.sqrt(mean.vb[0, 0] + self.tau2)
        centre = float(mean.estimate[0])
        return Prediction(centre - float(half.item()), centre + float(half.item()))

    def criteria(self, *, restricted: bool | None = None) -> InformationCriteria:
        """Of the likelihood that was maximised, unless it is said which."""
        restricted = self.restricted if restricted is None else restricted
        ll = self.least_squares.log_likelihood(restricted=restricted)
        k, p = self.effects.k, self.effects.p
        return criteria(ll, p + len(self.sigma2), k - p if restricted else k)

    def profile_interval(self, level: Level) -> Tau2Interval:
        """The interval of a level's variance: its profile likelihood is near enough to the best.

        Near enough: within half a chi-square quantile (1 df), the other variance at its best.
        """
        other = next((one for one in self.sigma2 if one != level), None)
        limit = 0.5 * float(chdtri(1, 1 - self.prob))
        best = self.least_squares.log_likelihood(restricted=self.restricted)

        def above(value: float) -> float:
            given = {level: value}
            if other is not None:
                given[other] = self._best_other(level, value, other)
            fit = _at(self.rows, given)
            return fit.log_likelihood(restricted=self.restricted) - best + limit

        found = self.sigma2[level]
        return around(found, above, max(2 * found, float(np.median(self.effects.v))))

    def likelihood_ratio(self, level: Level) -> Omnibus:
        """Twice the log likelihood that is lost without a level: chi-square with one df.

        A variance cannot be below 0, so that p is conservative.
        """
        levels = tuple(one for one in self.sigma2 if one != level)
        without = Multilevel(
            self.effects,
            self.method,
            self.test,
            self.prob,
            _most_likely(self.rows, self.restricted, levels) if levels else {},
        )
        lost = self.criteria().ll - without.criteria(restricted=self.restricted).ll
        return Omnibus(max(0.0, 2 * lost), 1, None)

    def _best_other(self, level: Level, value: float, other: Level) -> float:
        """The other level's variance at which the likelihood is highest, this one's being given."""
        at = LEVELS.index(other)

        def slope(candidate: float) -> float:
            fit = _at(self.rows, {level: value, other: candidate})
            return float(fit.slope(restricted=self.restricted)[at])

        if slope(0.0) <= 0:
            return 0.0
        high = max(self.tau2, float(np.median(self.effects.v)))
        while slope(high) > 0:
            high *= 2
        return root(slope, 0.0, high)


def rma_mv(
    effects: Effects,
    *,
    method: Likelihood = "REML",
    test: Literal["z", "t"] = "z",
    levels: tuple[Level, ...] = LEVELS,
    prob: float = 0.95,
) -> Multilevel:
    """Fit effects nested in studies; ``levels`` may leave one out.

    Raises NotEstimableError where studies have one effect each, and where there are fewer than two
    studies, or no more effects (studies) than coefficients.
    """
    if effects.k_studies < 2 and "study" in levels:
        raise NotEstimableError("one study has no heterogeneity between studies")
    if effects.k_studies == effects.k and len(levels) == 2:
        raise NotEstimableError("every study has one effect: its two levels are one")
    if effects.k <= effects.p or (test == "t" and effects.k_studies <= effects.p):
        raise NotEstimableError(
            f"{effects.k_studies} studies do not determine {effects.p} coefficients"
        )
    rows = turned(effects)
    return Multilevel(effects, method, test, prob, _most_likely(rows, method == "REML", levels))


def _at(rows: Turned, sigma2: Mapping[Level, float]) -> GeneralisedLeastSquares:
    return GeneralisedLeastSquares(rows, sigma2.get("study", 0.0), sigma2.get("effect", 0.0))


# Shares of the variance on the first level where the search begins.
_SHARES = (0.1, 0.5, 0.9)


def _most_likely(rows: Turned, restricted: bool, levels: tuple[Level, ...]) -> dict[Level, float]:
    """The variances at the highest peak found, in units of the residual variance meanwhile."""
    from scipy.optimize import minimize

    start = _at(rows, {})
    unit = float(np.median(rows.v)) + float(np.var(rows.y - rows.x @ start.beta))
    places = [LEVELS.index(level) for level in levels]

    def cost(at: Array) -> tuple[float, Array]:
        fit = _at(rows, dict(zip(levels, (at * unit).tolist(), strict=True)))
        slope = fit.slope(restricted=restricted)[places]
        return -fit.log_likelihood(restricted=restricted), -slope * unit

    best: tuple[float, Array] | None = None
    for share in _SHARES:
        at = np.array([share, 1 - share][: len(levels)])
        found = minimize(cost, at, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(levels),
                         options={"ftol": 1e-16, "gtol": 1e-11, "maxiter": 1000})  # fmt: skip
        if best is None or found.fun < best[0]:
            best = (float(found.fun), np.asarray(found.x))
    assert best is not None
    return dict(zip(levels, (best[1] * unit).tolist(), strict=True))
