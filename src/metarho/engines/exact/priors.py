"""Prior densities for the exact engine, one table row a family.

A row gives the log density on the support, points that a mesh must not miss, how the density
behaves at its ends (what decides the range of the mesh and which moments exist), and the logs of
both tail probabilities, from which truncations take their constant.

Reference priors of tau: Röver 2020, Journal of Statistical Software 93(6), 10.18637/jss.v093.i06.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import (
    betainc,
    betaincc,
    betaln,
    erf,
    gammainc,
    gammaincc,
    gammaln,
    log_expit,
    log_ndtr,
    logsumexp,
    xlogy,
)

from metarho.spec.priors import PER_TAU, Prior

type Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)
_LOG2 = math.log(2)
_NO_ROWS = np.array([])

# Multiples of a scale at which the mesh has a break, so that a prior a thousand times narrower
# than the likelihood is still met.
_STEPS = (0.1, 1.0, 3.0, 8.0, 30.0)

# Families that have a location, with the names of it and of their scale.
_LOCATED = {"Normal": ("mu", "sigma"), "StudentT": ("mu", "sigma"), "Cauchy": ("alpha", "beta")}

# Shares of a truncation at which the mesh has a break.
_SHARES = (1e-6, 1e-3, 0.05, 0.25, 0.5, 0.75, 0.95, 1 - 1e-3, 1 - 1e-6)

# A truncation keeps at least exp(-700) of its prior: less is not a number in double precision.
LEAST_LOG_MASS = -700.0

# Where an interval holds less than this part of the tail it lies in, its mass is integrated from
# the density, for the difference of two cdfs would lose its digits.
_NARROW = 0.01
_PANELS = 32
_RULE_NODES, _RULE_WEIGHTS = np.polynomial.legendre.leggauss(20)

# tau below this enters its square as this, so that tau**2 is a number.
_LEAST_TAU = 1e-150


def components(prior: Prior) -> list[tuple[float, Prior]]:
    """The parts of a prior that is a mixture of normals, with their weights; of others itself."""
    if prior.family != "NormalMixture":
        return [(1.0, prior)]
    lists = dict(prior.lists)
    total = math.fsum(lists["w"])
    return [
        (w / total, Prior("Normal", (("mu", mu), ("sigma", sigma)), on=prior.on))
        for w, mu, sigma in zip(lists["w"], lists["mu"], lists["sigma"], strict=True)
    ]


@dataclass(frozen=True)
class Given:
    """What a row of the table is asked with: a prior, and the sampling variances of the evidence.

    ``z`` are the points on Fisher's z when the prior is on r: there 1 - tanh(z) keeps its digits.
    """

    prior: Prior
    v: Array
    z: Array | None = None

    def __getitem__(self, argument: str) -> float:
        return self.prior.values[argument]

    def components(self) -> list[tuple[float, Given]]:
        """The normals of a mixture, with the logs of their weights."""
        return [(math.log(w), Given(part, self.v)) for w, part in components(self.prior)]

    def inner(self) -> Given:
        """The prior that a truncation cuts."""
        assert self.prior.dist is not None
        return Given(self.prior.dist, self.v, self.z)

    def log_from_ends(self, x: Array) -> tuple[Array, Array]:
        """log(1 + x) and log(1 - x)."""
        if self.z is None:
            return np.log1p(x), np.log1p(-x)
        return _LOG2 + log_expit(2 * self.z), _LOG2 + log_expit(-2 * self.z)


@dataclass(frozen=True)
class Density:
    """How the exact engine knows a family. All functions take what is given of the prior."""

    log: Callable[[Array, Given], Array]
    landmarks: Callable[[Given], Sequence[float]]
    tail: Callable[[Given], float] = lambda a: math.inf
    """The density falls like x**-tail; infinite for exponential and lighter tails."""
    at_zero: Callable[[Given], float] = lambda a: 1.0
    """The density behaves like x**(at_zero - 1) above its lower end."""
    at_top: Callable[[Given], float] = lambda a: 1.0
    """The density behaves like (upper - x)**(at_top - 1) below a finite upper end."""
    tails: Callable[[Array, Given], tuple[Array, Array]] | None = None
    """Log of the probabilities below and above x, for what can be truncated."""


def _around(centre: float, scale: float) -> list[float]:
    return [centre, *(centre + sign * step * scale for step in _STEPS for sign in (-1, 1))]


def _above(scale: float) -> list[float]:
    return [step * scale for step in _STEPS]


def _log_t(x: Array, nu: float, mu: float, sigma: float) -> Array:
    # Γ((nu + 1)/2) / (Γ(nu/2) √π) as a beta function, which keeps its digits for large nu.
    constant = -float(betaln(nu / 2, 0.5)) - 0.5 * math.log(nu)
    return np.asarray(
        constant - math.log(sigma) - (nu + 1) / 2 * np.log1p(((x - mu) / sigma) ** 2 / nu)
    )


def _log_normal(x: Array, mu: float, sigma: float) -> Array:
    return np.asarray(-0.5 * ((x - mu) / sigma) ** 2 - math.log(sigma) - 0.5 * _LOG_2PI)


def _log_lognormal(x: Array, mu: float, sigma: float) -> Array:
    log_x = np.log(x)
    return np.where(x > 0, _log_normal(log_x, mu, sigma) - log_x, -np.inf)


def _log_gamma(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(alpha * math.log(beta) - gammaln(alpha) + xlogy(alpha - 1, x) - beta * x)


def _log_inverse_gamma(x: Array, alpha: float, beta: float) -> Array:
    inside = alpha * math.log(beta) - gammaln(alpha) - (alpha + 1) * np.log(x) - beta / x
    return np.where(x > 0, inside, -np.inf)


def _log_beta(a: Given, log_x: Array, log_rest: Array) -> Array:
    below = np.where(a["alpha"] == 1, 0.0, (a["alpha"] - 1) * log_x)
    above = np.where(a["beta"] == 1, 0.0, (a["beta"] - 1) * log_rest)
    return np.asarray(below + above - betaln(a["alpha"], a["beta"]))


def _log_lomax(x: Array, alpha: float, scale: float) -> Array:
    return np.asarray(math.log(alpha / scale) - (alpha + 1) * np.log1p(x / scale))


def _log_mixture(x: Array, a: Given) -> Array:
    parts = [weight + _log_normal(x, c["mu"], c["sigma"]) for weight, c in a.components()]
    return np.asarray(logsumexp(parts, axis=0))


def _log_truncated(x: Array, a: Given) -> Array:
    inner = a.inner()
    return np.asarray(DENSITIES[inner.prior.family].log(x, inner) - _log_mass_kept(a.prior))


def _log_shrinkage(x: Array, s2: float) -> Array:
    """2 s² x/(s² + x²)²: s²/(s² + x²) is uniform."""
    s = math.sqrt(s2)
    return np.asarray(_LOG2 - math.log(s) + np.log(x / s) - 2 * np.log1p((x / s) ** 2))


def _mean_log(x: Array, v: Array) -> Array:
    """The mean over the rows of log(v + x²)."""
    return np.asarray(np.log(v + np.asarray(x)[..., None] ** 2).mean(axis=-1))


def _log_jeffreys(x: Array, v: Array) -> Array:
    """½ log Σ (x/(v + x²))², each term scaled by that of the smallest variance."""
    squared = np.asarray(x)[..., None] ** 2
    least = v.min() + squared
    total = ((least / (v + squared)) ** 2).sum(axis=-1)
    return np.asarray(np.log(x) - np.log(least[..., 0]) + 0.5 * np.log(total))


def _log_overall_jeffreys(x: Array, v: Array) -> Array:
    precision = (1 / (v + np.asarray(x)[..., None] ** 2)).sum(axis=-1)
    return np.asarray(0.5 * np.log(precision) + _log_jeffreys(x, v))


def _log_conventional(x: Array, v: Array) -> Array:
    return np.asarray(np.log(x) - 1.5 * _mean_log(x, v) - log_conventional_integral(v))


def log_conventional_integral(v: Array) -> float:
    """Log ∫ x Π (v + x²)^(-3/(2k)) dx, the constant of the conventional prior."""
    return _log_conventional_integral(v.tobytes())


@lru_cache(maxsize=256)
def _log_conventional_integral(variances: bytes) -> float:
    """By the trapezoidal rule in log x.

    There the integrand is analytic in a strip of half-width π/2 and falls like exp(2u) and
    exp(-u), so steps of 1/4 leave an error of exp(-π²/0.25) = 1e-17 (Trefethen and Weideman 2014,
    10.1137/130932132).
    """
    v = np.frombuffer(variances)
    u = np.arange(0.5 * math.log(v.min()) - 20, 0.5 * math.log(v.max()) + 40, 0.25)
    return float(logsumexp(2 * u - 1.5 * _mean_log(np.exp(u), v))) + math.log(0.25)


def harmonic_variance(v: Array) -> float:
    """s0² = k/Σ(1/v)."""
    return float(len(v) / (1 / v).sum())


def typical_variance(v: Array) -> float:
    """ŝ² = (k - 1) Σw/((Σw)² - Σw²) with w = 1/v (Higgins and Thompson 2002, 10.1002/sim.1186)."""
    w = np.sort(1 / v)
    # (Σw)² - Σw² = 2 Σ_{i<j} w_i w_j, without the cancellation.
    lighter = np.concatenate([[0.0], np.cumsum(w)[:-1]])
    return float((len(w) - 1) * w.sum() / (2 * (w * lighter).sum()))


def _above_rows(a: Given) -> list[float]:
    """Landmarks of a density that changes where tau meets the standard errors."""
    return sorted({*_above(math.sqrt(harmonic_variance(a.v))), *np.sqrt([a.v.min(), a.v.max()])})


def _mixture_landmarks(a: Given) -> list[float]:
    return [
        c["mu"] + sign * step * c["sigma"]
        for _, c in a.components()
        for sign, step in ((0, 0.0), (-1, 1.0), (1, 1.0), (-1, 8.0), (1, 8.0))
    ]


def _normal_tails(x: Array, mu: float, sigma: float) -> tuple[Array, Array]:
    scaled = (x - mu) / sigma
    return log_ndtr(scaled), log_ndtr(-scaled)


def _t_tails(x: Array, nu: float, mu: float, sigma: float) -> tuple[Array, Array]:
    _, above = _half_t_tails(np.abs(x - mu), nu, sigma)
    outside = above - _LOG2
    inside = np.log1p(-0.5 * np.exp(above))
    return np.where(x < mu, outside, inside), np.where(x < mu, inside, outside)


def _half_t_tails(x: Array, nu: float, sigma: float) -> tuple[Array, Array]:
    squared = (x / sigma) ** 2
    share = np.where(np.isinf(squared), 1.0, squared / (nu + squared))
    return np.log(betainc(0.5, nu / 2, share)), np.log(betainc(nu / 2, 0.5, nu / (nu + squared)))


def _exponential_tails(x: Array, rate: float) -> tuple[Array, Array]:
    return np.log(-np.expm1(-rate * x)), -rate * x


def _lomax_tails(x: Array, a: Given) -> tuple[Array, Array]:
    above = -a["alpha"] * np.log1p(x / a["scale"])
    return np.log(-np.expm1(above)), above


def _uniform_tails(x: Array, a: Given) -> tuple[Array, Array]:
    width = a["upper"] - a["lower"]
    return np.log((x - a["lower"]) / width), np.log((a["upper"] - x) / width)


def _rate(a: Given) -> float:
    """P(x > upper) = alpha (Simpson et al. 2017, 10.1214/16-STS576)."""
    return -math.log(a["alpha"]) / a["upper"]


DENSITIES: Mapping[str, Density] = {
    "Normal": Density(
        lambda x, a: _log_normal(x, a["mu"], a["sigma"]),
        lambda a: _around(a["mu"], a["sigma"]),
        tails=lambda x, a: _normal_tails(x, a["mu"], a["sigma"]),
    ),
    "StudentT": Density(
        lambda x, a: _log_t(x, a["nu"], a["mu"], a["sigma"]),
        lambda a: _around(a["mu"], a["sigma"]),
        tail=lambda a: a["nu"] + 1,
        tails=lambda x, a: _t_tails(x, a["nu"], a["mu"], a["sigma"]),
    ),
    "Cauchy": Density(
        lambda x, a: _log_t(x, 1.0, a["alpha"], a["beta"]),
        lambda a: _around(a["alpha"], a["beta"]),
        tail=lambda a: 2.0,
        tails=lambda x, a: _t_tails(x, 1.0, a["alpha"], a["beta"]),
    ),
    "Uniform": Density(
        lambda x, a: np.full(np.shape(x), -math.log(a["upper"] - a["lower"])),
        lambda a: [a["lower"], a["upper"]],
        tails=_uniform_tails,
    ),
    "Flat": Density(lambda x, a: np.zeros(np.shape(x)), lambda a: []),
    "HalfNormal": Density(
        lambda x, a: _LOG2 + _log_normal(x, 0.0, a["sigma"]),
        lambda a: _above(a["sigma"]),
        tails=lambda x, a: (
            np.log(erf(x / a["sigma"] / math.sqrt(2))),
            _LOG2 + log_ndtr(-x / a["sigma"]),
        ),
    ),
    "HalfStudentT": Density(
        lambda x, a: _LOG2 + _log_t(x, a["nu"], 0.0, a["sigma"]),
        lambda a: _above(a["sigma"]),
        tail=lambda a: a["nu"] + 1,
        tails=lambda x, a: _half_t_tails(x, a["nu"], a["sigma"]),
    ),
    "HalfCauchy": Density(
        lambda x, a: _LOG2 + _log_t(x, 1.0, 0.0, a["beta"]),
        lambda a: _above(a["beta"]),
        tail=lambda a: 2.0,
        tails=lambda x, a: _half_t_tails(x, 1.0, a["beta"]),
    ),
    "Exponential": Density(
        lambda x, a: math.log(a["lam"]) - a["lam"] * x,
        lambda a: _above(1 / a["lam"]),
        tails=lambda x, a: _exponential_tails(x, a["lam"]),
    ),
    "PenalizedComplexity": Density(
        lambda x, a: math.log(_rate(a)) - _rate(a) * x,
        lambda a: _above(1 / _rate(a)),
        tails=lambda x, a: _exponential_tails(x, _rate(a)),
    ),
    "Gamma": Density(
        lambda x, a: _log_gamma(x, a["alpha"], a["beta"]),
        lambda a: _above(a["alpha"] / a["beta"]),
        at_zero=lambda a: a["alpha"],
        tails=lambda x, a: (
            np.log(gammainc(a["alpha"], a["beta"] * x)),
            np.log(gammaincc(a["alpha"], a["beta"] * x)),
        ),
    ),
    "InverseGamma": Density(
        lambda x, a: _log_inverse_gamma(x, a["alpha"], a["beta"]),
        lambda a: _above(a["beta"] / (a["alpha"] + 1)),
        tail=lambda a: a["alpha"] + 1,
        tails=lambda x, a: (
            np.log(gammaincc(a["alpha"], a["beta"] / x)),
            np.log(gammainc(a["alpha"], a["beta"] / x)),
        ),
    ),
    "LogNormal": Density(
        lambda x, a: _log_lognormal(x, a["mu"], a["sigma"]),
        lambda a: [
            math.exp(max(-300.0, min(a["mu"] + sign * step * a["sigma"], 300.0)))
            for step in (0.0, 1.0, 3.0, 8.0)
            for sign in (-1, 1)
        ],
        tails=lambda x, a: _normal_tails(np.log(x), a["mu"], a["sigma"]),
    ),
    "Lomax": Density(
        lambda x, a: _log_lomax(x, a["alpha"], a["scale"]),
        lambda a: _above(a["scale"] / max(a["alpha"], 1.0)),
        tail=lambda a: a["alpha"] + 1,
        tails=_lomax_tails,
    ),
    "Beta": Density(
        lambda x, a: _log_beta(a, np.log(x), a.log_from_ends(x)[1]),
        lambda a: [a["alpha"] / (a["alpha"] + a["beta"])],
        at_zero=lambda a: a["alpha"],
        at_top=lambda a: a["beta"],
        tails=lambda x, a: (
            np.log(betainc(a["alpha"], a["beta"], x)),
            np.log(betaincc(a["alpha"], a["beta"], x)),
        ),
    ),
    "StretchedBeta": Density(
        lambda x, a: _log_beta(a, *(end - _LOG2 for end in a.log_from_ends(x))) - _LOG2,
        lambda a: [(a["alpha"] - a["beta"]) / (a["alpha"] + a["beta"])],
        at_zero=lambda a: a["alpha"],
        at_top=lambda a: a["beta"],
        tails=lambda x, a: (
            np.log(betainc(a["alpha"], a["beta"], (1 + x) / 2)),
            np.log(betainc(a["beta"], a["alpha"], (1 - x) / 2)),
        ),
    ),
    "NormalMixture": Density(_log_mixture, _mixture_landmarks),
    "Truncated": Density(_log_truncated, lambda a: _truncated_landmarks(a.prior)),
    "DuMouchel": Density(
        lambda x, a: _log_lomax(x, 1.0, math.sqrt(harmonic_variance(a.v))),
        lambda a: _above(math.sqrt(harmonic_variance(a.v))),
        tail=lambda a: 2.0,
    ),
    "UniformShrinkage": Density(
        lambda x, a: _log_shrinkage(x, harmonic_variance(a.v)),
        lambda a: _above(math.sqrt(harmonic_variance(a.v))),
        tail=lambda a: 3.0,
        at_zero=lambda a: 2.0,
    ),
    "UniformI2": Density(
        lambda x, a: _log_shrinkage(x, typical_variance(a.v)),
        lambda a: _above(math.sqrt(typical_variance(a.v))),
        tail=lambda a: 3.0,
        at_zero=lambda a: 2.0,
    ),
    "Conventional": Density(
        lambda x, a: _log_conventional(x, a.v),
        _above_rows,
        tail=lambda a: 2.0,
        at_zero=lambda a: 2.0,
    ),
    "SquareRoot": Density(
        lambda x, a: -0.5 * np.log(x),
        lambda a: [],
        at_zero=lambda a: 0.5,
    ),
    "Jeffreys": Density(
        lambda x, a: _log_jeffreys(x, a.v),
        _above_rows,
        at_zero=lambda a: 2.0,
    ),
    "BergerDeely": Density(
        lambda x, a: np.log(x) - _mean_log(x, a.v),
        _above_rows,
        at_zero=lambda a: 2.0,
    ),
    "OverallJeffreys": Density(
        lambda x, a: _log_overall_jeffreys(x, a.v),
        _above_rows,
        at_zero=lambda a: 2.0,
    ),
}
"""Every family of spec but DiracDelta, which is a value and not a density. How an improper one
falls stands in spec's own table."""


def log_density(prior: Prior, x: Array, v: Array) -> Array:
    """The log density of a prior at points of its parameter; -inf outside its support.

    ``v`` are the sampling variances of the evidence, which reference priors are made of. Proper
    priors are normalised; Flat is 0 and improper reference priors are as their formula says.
    A prior on r has the density f(tanh x)·(1 - tanh² x), one on tau2 f(x²)·2x.
    """
    if prior.on == PER_TAU:
        raise ValueError(f"{prior} has no density without tau; ask for that of mu/tau")
    x = np.asarray(x, dtype=float)
    lower, upper = prior.support
    log = DENSITIES[prior.family].log
    with np.errstate(all="ignore"):
        if prior.on == "r":
            values = log(np.tanh(x), Given(prior, v, x))
            values = values + 2 * _LOG2 + log_expit(2 * x) + log_expit(-2 * x)
        elif prior.on == "tau2":
            tau = np.maximum(x, _LEAST_TAU)
            values = log(tau**2, Given(prior, v)) + np.log(2 * tau)
        else:
            values = log(x, Given(prior, v))
    return np.where((x >= lower) & (x <= upper), values, -np.inf)


def landmarks(prior: Prior, v: Array) -> list[float]:
    """Points of the parameter, within the support, that a mesh must not miss."""
    lower, upper = prior.support
    marks = np.array(DENSITIES[prior.family].landmarks(Given(prior, v)), dtype=float)
    with np.errstate(all="ignore"):
        if prior.on == "r":
            marks = np.arctanh(marks)
        elif prior.on == "tau2":
            marks = np.sqrt(marks)
    return [float(mark) for mark in marks if np.isfinite(mark) and lower <= mark <= upper]


def middles(prior: Prior) -> list[tuple[float, float]]:
    """Stretches within the support, a scale to either side of each location that a prior has.

    Beside another part, or a far likelihood, a mesh without a node in one of them may miss what it
    holds, and would not know.
    """
    bottom, top = prior.support
    found = []
    for _, part in components(prior.dist or prior):
        if part.family not in _LOCATED:
            continue
        location, scale = (part.values[name] for name in _LOCATED[part.family])
        ends = np.array([location - scale, location + scale])
        if prior.on == "r":
            ends = np.arctanh(np.clip(ends, -1.0, 1.0))
        elif prior.on == "tau2":
            ends = np.sqrt(np.maximum(ends, 0.0))
        low, high = max(float(ends[0]), bottom), min(float(ends[1]), top)
        if low < high:
            found.append((low, high))
    return found


def tail_index(prior: Prior) -> float:
    """How the upper tail falls: x**-index; infinite for light tails, finite ends and points."""
    if not prior.proper:
        return prior.improper_tail
    if prior.is_point or math.isfinite(prior.own_support[1]):
        return math.inf
    base = prior.dist or prior
    tail = DENSITIES[base.family].tail(Given(base, _NO_ROWS))
    return 2 * tail - 1 if prior.on == "tau2" else tail


def at_lower_end(prior: Prior) -> float:
    """The density behaves like (x - lower)**(this - 1) above a finite lower end."""
    lower, _ = prior.own_support
    if prior.on == "r" and lower == -1:
        return 1.0
    base = prior.dist or prior
    power = 1.0
    if lower == base.own_support[0]:
        power = DENSITIES[base.family].at_zero(Given(base, _NO_ROWS))
    # tau² starts at 0, or Flat() is cut there.
    return 2 * power if prior.on == "tau2" and lower <= 0 else power


def at_upper_end(prior: Prior) -> float:
    """The density behaves like (upper - x)**(this - 1) below a finite upper end."""
    _, upper = prior.own_support
    base = prior.dist or prior
    if (prior.on == "r" and upper == 1) or upper < base.own_support[1]:
        return 1.0
    return DENSITIES[base.family].at_top(Given(base, _NO_ROWS))


def is_out_of_reach(prior: Prior) -> bool:
    """Whether a truncation keeps less of its prior than double precision can tell from nothing."""
    return prior.dist is not None and not _log_mass_kept(prior) >= LEAST_LOG_MASS


def log_mass(prior: Prior, lower: float, upper: float) -> float:
    """Log of the probability that a prior of a truncatable family gives to an interval.

    Taken as the difference of the smaller tail probabilities, or integrated from the density
    where that difference is small.
    """
    if prior.family == "NormalMixture":
        parts = [
            weight + log_mass(c.prior, lower, upper)
            for weight, c in Given(prior, _NO_ROWS).components()
        ]
        return float(logsumexp(parts))
    low, high = max(lower, prior.own_support[0]), min(upper, prior.own_support[1])
    below, above = _tails(prior, np.array([low, high]))
    big, small = (below[1], below[0]) if below[1] <= above[0] else (above[0], above[1])
    if not big > -math.inf:
        return -math.inf
    share = -math.expm1(small - big)
    if share > _NARROW:
        return float(big + math.log(share))
    breaks = np.linspace(low, high, _PANELS + 1)
    half = 0.5 * np.diff(breaks)[:, None]
    nodes = breaks[:-1, None] + half * (1 + _RULE_NODES)
    values = log_density(prior, nodes, _NO_ROWS)
    return float(logsumexp(values, b=half * _RULE_WEIGHTS))


def truncated_quantile(prior: Prior, share: Array) -> Array:
    """Where a truncation has the given shares of its mass below, by bisection.

    Bisection goes over the doubles themselves, which 64 halvings tell apart wherever the ends
    are. In an interval too narrow for the cdf the density is taken as constant.
    """
    assert prior.dist is not None
    dist, (low, high) = prior.dist, prior.own_support
    below, above = _tails(dist, np.array([low, high]))
    in_lower_tail = below[1] <= above[0]
    big, small = (below[1], below[0]) if in_lower_tail else (above[0], above[1])
    if -math.expm1(small - big) < 1e-9:
        return np.asarray(low + share * (high - low))
    with np.errstate(divide="ignore"):
        first, last = (below[0], below[1]) if in_lower_tail else (above[0], above[1])
        target = np.logaddexp(first + np.log1p(-share), last + np.log(share))
    start = np.full(share.shape, _order(low), dtype=np.int64)
    end = np.full(share.shape, _order(high), dtype=np.int64)
    for _ in range(64):
        middle = (start >> 1) + (end >> 1) + (start & end & 1)
        tails = _tails(dist, _double(middle))
        is_before = tails[0] < target if in_lower_tail else tails[1] > target
        start, end = np.where(is_before, middle, start), np.where(is_before, end, middle)
    return np.clip(_double(end), low, high)


def _tails(prior: Prior, x: Array) -> tuple[Array, Array]:
    tails = DENSITIES[prior.family].tails
    assert tails is not None
    with np.errstate(all="ignore"):
        return tails(x, Given(prior, _NO_ROWS))


def _order(x: float) -> int:
    """The place of a double among all doubles (its bits, read as an integer)."""
    bits = int(np.array(x + 0.0).view(np.int64))
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _double(order: NDArray[np.int64]) -> Array:
    """The double at a place."""
    return np.where(order < 0, -1.0, 1.0) * np.abs(order).view(np.float64)


@lru_cache(maxsize=256)
def _log_mass_kept(prior: Prior) -> float:
    """Log of the share of its prior that a truncation keeps."""
    assert prior.dist is not None
    return log_mass(prior.dist, *prior.own_support)


def truncated_parts(prior: Prior) -> list[tuple[float, Prior]]:
    """A truncation as a mixture of truncations that have a cdf, with their weights."""
    assert prior.dist is not None
    if prior.dist.family != "NormalMixture":
        return [(1.0, replace(prior, on=""))]
    parts = []
    for weight, c in Given(prior.dist, _NO_ROWS).components():
        part = replace(prior, dist=c.prior, on="")
        share = math.exp(weight + _log_mass_kept(part) - _log_mass_kept(prior))
        if share > 0:
            parts.append((share, part))
    return parts


def _truncated_landmarks(prior: Prior) -> tuple[float, ...]:
    """Those of the prior that is cut, the ends, and quantiles: the mass may lie close to an end."""
    assert prior.dist is not None
    lower, upper = prior.own_support
    marks = {*landmarks(prior.dist, _NO_ROWS), lower, upper}
    for _, part in truncated_parts(prior):
        marks |= set(truncated_quantile(part, np.array(_SHARES)).tolist())
    return tuple(sorted(mark for mark in marks if lower <= mark <= upper))
