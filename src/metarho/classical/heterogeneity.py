"""Estimators of tau², their standard errors, and its intervals.

With moderators as in López-López et al. 2014 (10.1111/bmsp.12002); Veroniki et al. 2016
(10.1002/jrsm.1164) compare them. P at weights 1/(v + tau²) unless said otherwise, k effects, p
coefficients. Standard errors are metafor's.

- EE: a common effect, tau² = 0
- DL: from the moments of Q (DerSimonian & Laird 1986, 10.1016/0197-2456(86)90046-2)
- HE: from the unweighted residuals (Hedges & Olkin 1985)
- HS: from Q against k, without a correction for p (Hunter & Schmidt 2004)
- HSk: HS times k/(k − p), which corrects for p (Brannick et al. 2019,
  10.1177/1094428117741966)
- SJ: in one step from the variance of y (Sidik & Jonkman 2005, 10.1111/j.1467-9876.2005.00489.x)
- ML, REML: (restricted) maximum likelihood (Viechtbauer 2005, 10.3102/10769986030003261)
- PM: generalised Q equals k − p (Paule & Mandel 1982, 10.6028/jres.087.022)
- PMM: generalised Q equals the median of its law, which makes the estimate median-unbiased
- EB: empirical Bayes (Morris 1983, 10.1080/01621459.1983.10477920), whose equation is PM's
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from metarho.classical.effects import Effects, NotEstimableError
from metarho.classical.least_squares import LeastSquares

type Array = NDArray[np.float64]
type Method = Literal["EE", "DL", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM"]


@dataclass(frozen=True)
class Tau2:
    """An estimate of tau² and its standard error; a common effect has none."""

    value: float
    se: float | None


@dataclass(frozen=True)
class Tau2Interval:
    """An interval of tau²; ``empty`` where even tau² = 0 has more heterogeneity than the data."""

    lower: float
    upper: float
    empty: bool = False


def at(effects: Effects, tau2: float) -> LeastSquares:
    """Least squares with weights 1/(v + tau²)."""
    return LeastSquares(effects.y, effects.x, 1.0 / (effects.v + tau2))


def log_likelihood(effects: Effects, tau2: float, *, restricted: bool) -> float:
    """Log L(tau²) at the best coefficients; restricted, of the residuals, with ½ log|XᵀX| added."""
    fit = at(effects, tau2)
    spread = float(np.log(fit.w).sum())
    if not restricted:
        return -0.5 * (effects.k * math.log(2 * math.pi) - spread + fit.rss)
    size = LeastSquares(effects.y, effects.x, np.ones(effects.k)).logdet
    constant = (effects.k - effects.p) * math.log(2 * math.pi)
    return -0.5 * (constant - size - spread + fit.logdet + fit.rss)


def tau2_of(effects: Effects, method: Method) -> Tau2:
    """The estimate by a method, 0 where it would be negative.

    Raises NotEstimableError where there are no more effects than coefficients.
    """
    if method not in ESTIMATORS:
        raise ValueError(method)
    if method != "EE" and effects.k <= effects.p:
        raise NotEstimableError(
            f"{effects.k} {'effect' if effects.k == 1 else 'effects'} for {effects.p} "
            f"{'coefficient' if effects.p == 1 else 'coefficients'} "
            f"{'leaves' if effects.k == 1 else 'leave'} nothing to tell heterogeneity by"
        )
    return ESTIMATORS[method](effects)


def _common(effects: Effects) -> Tau2:
    return Tau2(0.0, None)


def _dl(effects: Effects) -> Tau2:
    fit, df = at(effects, 0.0), effects.k - effects.p
    tau2 = max(0.0, (fit.rss - df) / fit.trace())
    return Tau2(tau2, _moment_se(fit, tau2, df) / fit.trace())


def _hs(effects: Effects) -> Tau2:
    fit = at(effects, 0.0)
    tau2 = max(0.0, (fit.rss - effects.k) / fit.w.sum())
    return Tau2(tau2, _moment_se(fit, tau2, effects.k - effects.p) / float(fit.w.sum()))


def _hsk(effects: Effects) -> Tau2:
    fit, df = at(effects, 0.0), effects.k - effects.p
    factor = effects.k / df
    tau2 = max(0.0, factor * (fit.rss - df) / fit.w.sum())
    return Tau2(tau2, factor * _moment_se(fit, tau2, df) / float(fit.w.sum()))


def _moment_se(fit: LeastSquares, tau2: float, df: int) -> float:
    """The sd of Q = yᵀPy at weights 1/v, given tau²."""
    return math.sqrt(2 * df + 4 * tau2 * fit.trace() + 2 * tau2**2 * fit.trace_of_two())


def _he(effects: Effects) -> Tau2:
    fit, df = LeastSquares(effects.y, effects.x, np.ones(effects.k)), effects.k - effects.p
    v_trace, v2 = fit.trace(effects.v), fit.trace_of_two(effects.v, effects.v)
    tau2 = max(0.0, (fit.rss - v_trace) / df)
    return Tau2(tau2, math.sqrt(2 * v2 + 4 * tau2 * v_trace + 2 * tau2**2 * df) / df)


def _sj(effects: Effects) -> Tau2:
    df, v = effects.k - effects.p, effects.v
    start = float(np.var(effects.y))
    if np.ptp(effects.y) <= 1e-12 * np.abs(effects.y).max():
        # Equal effects: what is left of their variance is rounding.
        return Tau2(0.0, 0.0)
    fit = at(effects, start)
    tau2 = start * fit.rss / df
    squares = (
        2 * fit.trace_of_two(v, v)
        + 4 * tau2 * fit.trace_of_two(v)
        + 2 * tau2**2 * fit.trace_of_two()
    )
    return Tau2(tau2, start / df * math.sqrt(squares))


def _ml(effects: Effects) -> Tau2:
    tau2 = _most_likely(effects, restricted=False)
    return Tau2(tau2, math.sqrt(2 / float((at(effects, tau2).w ** 2).sum())))


def _reml(effects: Effects) -> Tau2:
    tau2 = _most_likely(effects, restricted=True)
    return Tau2(tau2, math.sqrt(2 / at(effects, tau2).trace_of_two()))


def _pm(effects: Effects) -> Tau2:
    return _where_q_fits(effects, effects.k - effects.p)


def _pmm(effects: Effects) -> Tau2:
    return _where_q_fits(effects, float(chdtri(effects.k - effects.p, 0.5)))


def _where_q_fits(effects: Effects, value: float) -> Tau2:
    k, df = effects.k, effects.k - effects.p
    tau2 = _where_q_is(effects, value)
    return Tau2(tau2, math.sqrt(2 * k**2 / df) / float(at(effects, tau2).w.sum()))


ESTIMATORS: Mapping[str, Callable[[Effects], Tau2]] = {
    "EE": _common,
    "DL": _dl,
    "HE": _he,
    "HS": _hs,
    "HSk": _hsk,
    "SJ": _sj,
    "ML": _ml,
    "REML": _reml,
    "EB": _pm,
    "PM": _pm,
    "PMM": _pmm,
}

# Places where the slope of the likelihood is looked at: enough to see two peaks, which occur.
_PLACES = 60


def _most_likely(effects: Effects, *, restricted: bool) -> float:
    """The highest peak of the likelihood of tau²; 0 where it falls from there."""

    def slope(tau2: float) -> float:
        fit = at(effects, tau2)
        return fit.rss_of_weighted - (fit.trace() if restricted else float(fit.w.sum()))

    most = _beyond(effects, slope)
    if most == 0:
        return 0.0
    grid = [0.0, *np.geomspace(1e-9 * most, most, _PLACES).tolist()]
    slopes = [slope(tau2) for tau2 in grid]
    peaks = [0.0] if slopes[0] <= 0 else []
    for low, high, before, after in zip(grid, grid[1:], slopes, slopes[1:], strict=False):
        if before > 0 >= after:
            peaks.append(root(slope, low, high))
    return max(peaks, key=lambda tau2: log_likelihood(effects, tau2, restricted=restricted))


def _beyond(effects: Effects, falls: Callable[[float], float]) -> float:
    """A tau² from which on the function is negative; 0 where effects do not differ at all."""
    plain = LeastSquares(effects.y, effects.x, np.ones(effects.k))
    most = plain.rss / (effects.k - effects.p)
    while most > 0 and falls(most) >= 0:
        most *= 2
    return most


def _where_q_is(effects: Effects, value: float) -> float:
    """The tau² at which generalised Q, which falls with it, has a value; 0 where none has."""

    def excess(tau2: float) -> float:
        return at(effects, tau2).rss - value

    return root(excess, 0.0, _beyond(effects, excess)) if excess(0.0) > 0 else 0.0


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function changes its sign between two places, to the last digits."""
    from scipy.optimize import brentq

    # Relative to the larger place: variances may be of any size.
    return float(brentq(function, low, high, xtol=1e-15 * high, rtol=1e-14))


def q_profile(effects: Effects, prob: float = 0.95) -> Tau2Interval:
    """The interval of tau² by inverting generalised Q (Viechtbauer 2007, 10.1002/sim.2514).

    Exact for normal effects with known v.

    Raises NotEstimableError with as many coefficients as effects.
    """
    df = effects.k - effects.p
    if df < 1:
        raise NotEstimableError(f"{effects.k} effects leave no degree of freedom for an interval")
    # chdtri inverts the upper tail.
    low, high = (float(chdtri(df, tail)) for tail in (0.5 - 0.5 * prob, 0.5 + 0.5 * prob))
    q = at(effects, 0.0).rss
    return Tau2Interval(_where_q_is(effects, low), _where_q_is(effects, high), q < high)


def profile_likelihood(effects: Effects, method: Method, prob: float = 0.95) -> Tau2Interval:
    """The tau² of ML or REML whose log likelihood is within half a chi-square quantile of the best.

    Hardy & Thompson 1996 (10.1002/(SICI)1097-0258(19960330)15:6<619::AID-SIM188>3.0.CO;2-A).
    """
    restricted = method == "REML"
    best = tau2_of(effects, method).value
    top = log_likelihood(effects, best, restricted=restricted) - 0.5 * float(chdtri(1, 1 - prob))

    def above(tau2: float) -> float:
        return log_likelihood(effects, tau2, restricted=restricted) - top

    return around(best, above, max(best, float(effects.v.min())))


def around(best: float, above: Callable[[float], float], high: float) -> Tau2Interval:
    """Where a function that is positive at the best variance falls to 0, below and above it.

    ``high`` is where the search upwards begins. Of a confidence so small that rounding decides, the
    interval is its point.
    """
    if above(best) <= 0:
        return Tau2Interval(best, best)
    while above(high) > 0:
        high *= 2
    lower = root(above, 0.0, best) if above(0.0) < 0 else 0.0
    return Tau2Interval(lower, root(above, best, high))
