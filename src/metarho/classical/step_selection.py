"""Step-function selection: the three-parameter model and its kin (metafor's ``selmodel``).

Vevea & Hedges 1995 (10.1007/BF02294384); one cut at one-sided .025: Iyengar & Greenhouse 1988,
McShane et al. 2016 (10.1177/1745691616662243).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from metarho.classical.effects import Effects, NotEstimableError
from metarho.classical.heterogeneity import log_likelihood, tau2_of
from metarho.classical.random_effects import rma
from metarho.classical.wald import Coefficients, chi_square_tail

type Array = NDArray[np.float64]
type Alternative = Literal["greater", "less"]


@dataclass(frozen=True)
class StepSelection:
    """Results appear with a probability that is a step function of their one-sided p.

    ``delta`` are the relative probabilities, 1 for the smallest p. A tau² at 0 has no
    standard error (None), and the others are those with it held there.
    """

    alternative: Alternative
    steps: tuple[float, ...]
    counts: tuple[int, ...]
    coefficients: Coefficients
    tau2: float
    se_tau2: float | None
    delta: tuple[float, ...]
    se_delta: tuple[float | None, ...]
    ll: float
    lrt: float
    """Twice the gain in log likelihood over no selection; chi-square with a df a free step."""

    @property
    def lrt_p(self) -> float:
        """P of the likelihood ratio test of no selection."""
        return chi_square_tail(self.lrt, len(self.steps))


def selmodel(
    effects: Effects,
    *,
    steps: Sequence[float] = (0.025,),
    alternative: Alternative | None = None,
    prob: float = 0.95,
) -> StepSelection:
    """Fit by maximum likelihood, with tau² and one probability for each further band of p.

    ``steps`` are one-sided p, ascending, between 0 and 1. ``alternative`` is the direction that is
    published, by default that of the common effect. No moderators.

    Raises NotEstimableError where a band of p holds no effect, with no more effects than
    parameters, and where the likelihood has no peak.
    """
    steps = _checked(steps)
    effects = effects.without_moderators()
    if alternative is None:
        common = rma(effects, method="EE").coefficients.estimate[0]
        alternative = "greater" if common >= 0 else "less"
    sign = 1.0 if alternative == "greater" else -1.0
    likelihood = _Likelihood(sign * effects.y, effects.v, steps)
    counts = likelihood.counts
    if min(counts) == 0:
        said = ", ".join(f"{n} {band}" for n, band in zip(counts, _bands(steps), strict=True))
        raise NotEstimableError(f"a band of p-values holds no effect ({said})")
    if effects.k <= len(steps) + 2:
        raise NotEstimableError(f"{effects.k} effects do not determine {len(steps) + 2} parameters")
    plain = tau2_of(effects, "ML").value
    peak = _peak(likelihood, effects.v, plain)
    errors, ll = _errors(likelihood, peak), likelihood(peak)
    runs_off = (peak[2:] < 10 * _SMALLEST).any() or (peak[2:] > 0.1 * _LARGEST).any()
    if runs_off or math.isnan(errors[0]):
        raise NotEstimableError(
            "the likelihood has no peak: other chances to appear, with other means, are as likely"
        )
    mean = sign * float(peak[0])
    return StepSelection(
        alternative,
        steps,
        counts,
        Coefficients(("intrcpt",), np.array([mean]), np.array([[errors[0] ** 2]]), None, prob),
        float(peak[1]),
        _known(errors[1]),
        (1.0, *peak[2:].tolist()),
        (None, *map(_known, errors[2:].tolist())),
        ll,
        max(0.0, 2 * (ll - log_likelihood(effects, plain, restricted=False))),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _checked(steps: Sequence[float]) -> tuple[float, ...]:
    ends = (0.0, *(float(step) for step in steps), 1.0)
    if len(ends) == 2 or not all(low < high for low, high in pairwise(ends)):
        raise ValueError(f"steps ascend between 0 and 1, not {steps!r}")
    return ends[1:-1]


def _bands(steps: tuple[float, ...]) -> list[str]:
    ends = (0.0, *steps, 1.0)
    return [f"in {low:g}–{high:g}" for low, high in pairwise(ends)]


@dataclass(frozen=True)
class _Likelihood:
    """Of (mu, tau², delta₂, …): normal densities, each divided by its probability to appear."""

    y: Array
    v: Array
    steps: tuple[float, ...]

    @cached_property
    def cuts(self) -> Array:
        """The ends of the bands of p on the effects' scale, from −∞ to ∞: (k, bands + 1)."""
        inner = np.sqrt(self.v)[:, None] * ndtri(1 - np.array(self.steps[::-1]))
        end = np.full((len(self.y), 1), np.inf)
        return np.hstack([-end, inner, end])

    @cached_property
    def band(self) -> NDArray[np.intp]:
        """Each effect's band, 0 for the smallest p; a p at a cut is in the band below it."""
        below = (self.y[:, None] >= self.cuts[:, 1:-1]).sum(axis=1)
        return np.asarray(len(self.steps) - below)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Effects in each band."""
        return tuple(np.bincount(self.band, minlength=len(self.steps) + 1).tolist())

    def __call__(self, at: Array) -> float:
        """The log likelihood."""
        return self.with_slope(at)[0]

    def with_slope(self, at: Array) -> tuple[float, Array]:
        """The log likelihood, and its derivatives by mu, tau² and each delta."""
        mu, tau2, delta = at[0], at[1], np.concatenate([[1.0], at[2:]])
        spread = self.v + tau2
        ends = (self.cuts - mu) / np.sqrt(spread)[:, None]
        density = np.exp(-0.5 * ends**2) / math.sqrt(2 * math.pi)
        # Bands stand from the largest p to the smallest here; delta goes the other way.
        inside = np.diff(ndtr(ends), axis=1)[:, ::-1]
        appears = inside @ delta
        by_mu = -np.diff(density, axis=1)[:, ::-1] @ delta / np.sqrt(spread)
        tilted = np.where(density > 0, density * np.where(np.isfinite(ends), ends, 0.0), 0.0)
        by_tau2 = -np.diff(tilted, axis=1)[:, ::-1] @ delta / (2 * spread)
        squares = (self.y - mu) ** 2 / spread
        ll = (
            np.log(delta[self.band])
            - 0.5 * (np.log(2 * math.pi * spread) + squares)
            - np.log(appears)
        ).sum()
        slope = [
            ((self.y - mu) / spread - by_mu / appears).sum(),
            (0.5 * (squares - 1) / spread - by_tau2 / appears).sum(),
            *(np.array(self.counts) / delta - (inside / appears[:, None]).sum(axis=0))[1:],
        ]
        return float(ll), np.array(slope)


# Where the search begins: with and without heterogeneity, and with more and less selection. Its
# likelihood has ridges, and a search that begins at one place may end on them.
_STARTS = tuple((tau2, delta) for tau2 in (0.0, 1.0) for delta in (0.1, 0.5, 1.0))
# A relative probability of appearing beyond these is 0, or certain, in all but name.
_SMALLEST, _LARGEST = 1e-8, 1e8


def _peak(likelihood: _Likelihood, v: Array, tau2: float) -> Array:
    """The parameters at the highest peak that any search finds.

    Mu and tau² are in units of v meanwhile, and delta is on its log, where the likelihood is less
    skewed.
    """
    from scipy.optimize import minimize

    unit = math.sqrt(float(np.median(v)))
    free = len(likelihood.steps)

    def natural(at: Array) -> Array:
        return np.concatenate([[at[0] * unit, at[1] * unit**2], np.exp(at[2:])])

    def cost(at: Array) -> tuple[float, Array]:
        there = natural(at)
        ll, slope = likelihood.with_slope(there)
        return -ll, -slope * np.concatenate([[unit, unit**2], there[2:]])

    bounds = [(None, None), (0.0, None), *[(math.log(_SMALLEST), math.log(_LARGEST))] * free]
    mean = float(np.average(likelihood.y, weights=1 / (v + tau2))) / unit
    best: tuple[float, Array] | None = None
    for share, delta in _STARTS:
        start = np.array([mean, max(share * tau2, 0.01 * share * unit**2) / unit**2,
                          *[math.log(delta)] * free])  # fmt: skip
        found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds,
                         options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 500})  # fmt: skip
        if best is None or found.fun < best[0]:
            best = (float(found.fun), np.asarray(found.x))
    assert best is not None
    return natural(best[1])


def _errors(likelihood: _Likelihood, peak: Array) -> Array:
    """Standard errors from the curvature at the peak; NaN for what is at 0 and where it is not one.

    Derivatives of the slope by central differences.
    """
    inside = np.array([True, peak[1] > 0, *[True] * len(peak[2:])])
    places = np.flatnonzero(inside)
    unit = math.sqrt(float(np.median(likelihood.v)))
    step = 1e-5 * np.array([unit, *peak[1:]])
    hessian = np.empty((len(places), len(places)))
    for row, place in enumerate(places):
        move = np.zeros(len(peak))
        move[place] = step[place]
        above, below = (likelihood.with_slope(peak + sign * move)[1] for sign in (1, -1))
        hessian[row] = ((above - below) / (2 * step[place]))[places]
    errors = np.full(len(peak), np.nan)
    # In units of v, so that whether it is a peak does not depend on those of the effects.
    size = np.array([unit, unit**2, *peak[2:]])[places]
    information = -0.5 * (hessian + hessian.T) * np.outer(size, size)
    if np.linalg.eigvalsh(information)[0] > 0:
        errors[places] = size * np.sqrt(np.diag(np.linalg.inv(information)))
    return errors
