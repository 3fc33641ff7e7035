"""Priors of mean and heterogeneity from a statement about studies: elicitation by consequences.

"90% of studies have a true correlation between .10 and .45" is a statement about a new study's
true effect theta = mu + tau·e on Fisher's z, with mu ~ Normal(m, s) and tau ~ HalfNormal(sigma), so
that Var theta = s² + sigma². It leaves open where the middle is and how the variance is split:

- the middle: m is the centre of the interval on z, so that both tails are equal, unless something
  is said of the mean;
- the split: sigma² = share·(s² + sigma²), unless something is said of the mean.

What is said of the mean (between which values it lies, with which probability, or its prior) gives
m and s, and the statement about studies then sigma alone. Either way one number is left, and the
probability decreases in it: there is one root, or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from metarho.compare.integrals import integral
from metarho.errors import FitError, InputError
from metarho.predict.before_data import prior_of_correlations
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]

# Of a spread nothing is known but its size: as much of it is ours about the mean as is between
# studies.
SHARE = 0.5
# What is asked of the result, as it is printed.
PROMISED = 1e-6
# Rounding a number here moves a probability by less than a tenth of that, in intervals at least
# this long on z.
DIGITS, SHORTEST = 7, 0.01
# tau beyond 9 sigma has less mass than double precision shows.
_BREAKS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 9.0)
_ALLOWED = 1e-14
# Spreads, in units of half the interval, between which the root is looked for.
_LEAST, _MOST = 1e-4, 1e5


@dataclass(frozen=True)
class Elicited:
    """The priors that a statement implies, and the probability that they give it."""

    mu: Prior
    tau: Prior
    probability: float

    @property
    def priors(self) -> dict[str, Prior]:
        """The priors as a prior set."""
        return {"mu": self.mu, "tau": self.tau}


def elicit(
    low: float,
    high: float,
    prob: float,
    *,
    share: float = SHARE,
    mean: Prior | None = None,
) -> Elicited:
    """Priors under which a study's true correlation lies between low and high with ``prob``.

    ``share``, between 0 and 1, is that of heterogeneity in the variance of true effects; with the
    prior of the ``mean``, a Normal on z, it is not used. Raises InputError for a statement that no
    prior fulfils, with the reason.
    """
    ends = _on_z(low, high)
    _check_probability(prob)
    half = 0.5 * (ends[1] - ends[0])
    if mean is None:
        if not 0 < share < 1:
            raise InputError(f"share is a number between 0 and 1, not {share:g}")
        centre = 0.5 * (ends[0] + ends[1])
        total = _root(
            lambda sd: between(centre, math.sqrt(1 - share) * sd, math.sqrt(share) * sd, *ends),
            prob,
            half,
        )
        spread, sigma = math.sqrt(1 - share) * total, math.sqrt(share) * total
    else:
        centre, spread = _moments(mean)
        _check_leaves_room(centre, spread, low, high, prob)
        sigma = _root(lambda sd: between(centre, spread, sd, *ends), prob, half)
    mu = mean or Prior("Normal", (("mu", _rounded(centre)), ("sigma", _rounded(spread))))
    tau = Prior("HalfNormal", (("sigma", _rounded(sigma)),))
    return Elicited(mu, tau, _checked(mu, tau, ends, prob))


def mean_between(low: float, high: float, prob: float) -> Prior:
    """The normal prior of mu, on z, that lies between two correlations with ``prob``."""
    first, last = _on_z(low, high)
    _check_probability(prob)
    sd = 0.5 * (last - first) / float(ndtri(0.5 + 0.5 * prob))
    return Prior("Normal", (("mu", _rounded(0.5 * (first + last))), ("sigma", _rounded(sd))))


def between(centre: float, spread: float, sigma: float, low: float, high: float) -> float:
    """P(low < theta < high) for theta = mu + tau·e, on z.

    mu ~ Normal(centre, spread), tau ~ HalfNormal(sigma): the mean over tau of a normal probability.
    """

    def given(t: Array) -> Array:
        sd = np.hypot(spread, sigma * t)
        inside = ndtr((high - centre) / sd) - ndtr((low - centre) / sd)
        return np.asarray(math.sqrt(2 / math.pi) * np.exp(-0.5 * t**2) * inside)

    return integral(given, _BREAKS, lambda total: _ALLOWED)


def _root(probability: Callable[[float], float], prob: float, half: float) -> float:
    """The spread at which a decreasing probability is ``prob``, looked for on the log scale."""
    # Loaded here: nothing else needs it.
    from scipy.optimize import brentq

    first, last = (math.log(half * size) for size in (_LEAST, _MOST))
    if not probability(math.exp(last)) < prob < probability(math.exp(first)):
        raise InputError(
            f"a probability of {prob:g} is met by no spread that means anything; say one nearer "
            "to the middle"
        )
    found = brentq(lambda log_sd: probability(math.exp(log_sd)) - prob, first, last, xtol=1e-13)
    return math.exp(found)


def _check_leaves_room(centre: float, spread: float, low: float, high: float, prob: float) -> None:
    """Raises InputError where the mean alone contradicts what is said of studies."""
    first, last = math.atanh(low), math.atanh(high)
    if not first < centre < last:
        raise InputError(
            f"the mean is expected at {math.tanh(centre):.3g}, outside {low:g} to {high:g}, where "
            f"{prob:.0%} of studies are said to be; no heterogeneity makes both so"
        )
    alone = float(ndtr((last - centre) / spread) - ndtr((first - centre) / spread))
    if alone <= prob + PROMISED:
        raise InputError(
            f"what is said of the mean leaves no room: without any heterogeneity {alone:.1%} of "
            f"studies would lie between {low:g} and {high:g}, and {prob:.1%} are said to; say "
            "less of studies, or more of the mean"
        )


def _checked(mu: Prior, tau: Prior, ends: tuple[float, float], prob: float) -> float:
    """The probability by the exact engine, which shares nothing with the root finder."""
    posterior = prior_of_correlations({"mu": mu, "tau": tau})
    low, high = posterior.theta_new(posterior.head).cdf(np.array(ends))
    found = float(high - low)
    if abs(found - prob) > PROMISED:
        raise FitError(f"the priors found give the statement {found:.7f}, not {prob:g}")
    return found


def _moments(mean: Prior) -> tuple[float, float]:
    if mean.family != "Normal" or mean.on:
        raise InputError(f"the prior of the mean is a Normal on Fisher's z here, not {mean}")
    return mean.values["mu"], mean.values["sigma"]


def _on_z(low: float, high: float) -> tuple[float, float]:
    for end in (low, high):
        if not -1 < end < 1:
            raise InputError(f"a correlation lies between -1 and 1, and {end:g} does not")
    if not low < high:
        raise InputError(f"between {low:g} and {high:g} lies nothing; the lower end comes first")
    first, last = math.atanh(low), math.atanh(high)
    if last - first < SHORTEST:
        raise InputError(
            f"{low:g} to {high:g} is shorter than {SHORTEST:g} on Fisher's z: nobody knows that "
            "much before data"
        )
    return first, last


def _check_probability(prob: float) -> None:
    if not 0 < prob < 1:
        raise InputError(f"a probability lies between 0 and 1, and {prob:g} does not")


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
