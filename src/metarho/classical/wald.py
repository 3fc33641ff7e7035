"""Tests and intervals from an estimate and its standard error: normal, t, chi-square, F.

``ddf`` is None for the normal law, else the degrees of freedom of t, one for each coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from metarho.classical.effects import NotEstimableError

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Coefficients:
    """Estimates (p), their covariance (p × p), tests against 0 and intervals."""

    names: tuple[str, ...]
    estimate: Array
    vb: Array
    ddf: Array | None
    prob: float

    @property
    def se(self) -> Array:
        """Standard errors."""
        return np.sqrt(np.diag(self.vb))

    @property
    def statistic(self) -> Array:
        """Estimate over standard error: z, or t."""
        # A coefficient without error is infinitely many of them from 0, or no number.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.estimate / self.se)

    @property
    def pval(self) -> Array:
        """Two-sided."""
        return two_sided(self.statistic, self.ddf)

    @property
    def ci_lb(self) -> Array:
        """Lower ends."""
        return np.asarray(self.estimate - critical(self.prob, self.ddf) * self.se)

    @property
    def ci_ub(self) -> Array:
        """Upper ends."""
        return np.asarray(self.estimate + critical(self.prob, self.ddf) * self.se)


@dataclass(frozen=True)
class Omnibus:
    """A test of several coefficients at once: chi-square (``ddf`` None), or F."""

    statistic: float
    df: int
    ddf: float | None

    @property
    def pval(self) -> float:
        """Upper tail."""
        if self.ddf is None:
            return chi_square_tail(self.statistic, self.df)
        return float(fdtrc(self.df, self.ddf, self.statistic))


def omnibus(of: Coefficients) -> Omnibus:
    """QM: of all coefficients but the intercept; of the intercept where there is nothing else.

    Raises NotEstimableError where their covariance has no inverse.
    """
    first = 1 if len(of.estimate) > 1 and of.names[0] == "intrcpt" else 0
    # In units of their standard errors, so that the units of moderators cost no digits.
    statistic, se = of.statistic[first:], of.se[first:]
    df = len(statistic)
    try:
        solved = np.linalg.solve(of.vb[first:, first:] / np.outer(se, se), statistic)
    except np.linalg.LinAlgError:
        raise NotEstimableError("moderators are too nearly collinear to be tested") from None
    chi_square = float(statistic @ solved)
    if of.ddf is None:
        return Omnibus(chi_square, df, None)
    return Omnibus(chi_square / df, df, float(of.ddf[first:].min()))


def critical(prob: float, ddf: Array | float | None) -> Array:
    """The quantile that leaves half of 1 − prob above it."""
    upper = 0.5 + 0.5 * prob
    return np.asarray(ndtri(upper) if ddf is None else stdtrit(ddf, upper))


def two_sided(statistic: Array | float, ddf: Array | float | None) -> Array:
    """The p of z or t on both sides."""
    size = -np.abs(statistic)
    return np.asarray(2 * (ndtr(size) if ddf is None else stdtr(ddf, size)))


def chi_square_tail(statistic: float, df: int) -> float:
    """P(chi-square > statistic); 1 without degrees of freedom."""
    return float(chdtrc(df, max(statistic, 0.0))) if df > 0 else 1.0
