"""The law of a sample correlation, in z.

For n pairs of a bivariate normal with correlation rho = tanh(theta), the sample correlation
r = tanh(z) has the density (Hotelling 1953, J. R. Stat. Soc. B 15, 193–232)

    f(r | rho, n) = (n−2)/π (1−rho²)^((n−1)/2) (1−r²)^((n−4)/2) ∫_0^∞ dw / (cosh w − rho r)^(n−1)
                  = (n−2) Γ(n−1) (1−rho²)^((n−1)/2) (1−r²)^((n−4)/2)
                    / (√(2π) Γ(n−½) (1−rho r)^(n−3/2)) · 2F1(½, ½; n−½; (1+rho r)/2).

With 1 − rho r = cosh(z−theta) / (cosh z cosh theta) = 2s² the density of z, f (1−r²), is

    g(z | theta, n) = (n−2)/(√2 π) G(s) cosh(z−theta)^−(n−3/2) (cosh z / cosh theta)^½,
    G(s) = ∫ cosh(p)^−(2n−3) (1 + s² sinh² p)^−½ dp   over the real line, sinh(w/2) = s sinh p.

n is real, n >= 4: a partial correlation given q variables has the law of n − q pairs.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray

type Array = NDArray[np.float64]

SMALLEST_N = 4.0

# Numbers worked on at a time: what a processor keeps near, and 40 MB of nodes at most.
_BLOCK, _NODES_BLOCK = 8192, 500_000
# exp(-40) is 4e-18: integrands this far below their peak cannot be seen in double precision.
_NEGLIGIBLE = 40.0
# Beyond this sinh(theta) is so large that a standard normal does not move it; its square overflows
# at twice as much.
_NO_NOISE = 300.0
# Half the trapezoidal rule for G, which is exact to rounding: its integrand is analytic up to
# the imaginary part π/2 and the step is at most 0.15.
_STEPS = 60
# log G is smooth in s but for s**(2n−3) at 0, so that 40 Chebyshev coefficients reach rounding.
_DEGREE = 40
_ROUNDING = 1e-14
# Nodes on either side of the peak; twice as many change no probability by more than 1e-12.
_RULE_NODES, _RULE_WEIGHTS = np.polynomial.legendre.leggauss(40)
# Finite ends for infinite ones: cosh of half of it is still a number.
_FARTHEST = 600.0


def log_density(z: ArrayLike, theta: ArrayLike, n: float) -> Array:
    """The log density of z = atanh(r), log g(z | theta, n); z and theta broadcast.

    The absolute error is below 1e-13, and a few roundings of the value where that is more;
    that of z − theta itself comes on top. Defined for |z|, |theta| <= 600.
    """
    coefficients = log_factor(float(n))
    blocks = np.nditer(
        [np.asarray(z, dtype=float), np.asarray(theta, dtype=float), None],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly"], ["readonly"], ["writeonly", "allocate"]],
        order="C",
        buffersize=_BLOCK,
    )
    with blocks:
        for at, given, out in blocks:
            away, log_z, log_theta = _log_cosh(at - given), _log_cosh(at), _log_cosh(given)
            # 2s − 1, in [−1, 1].
            t = math.sqrt(2) * np.exp(0.5 * (away - log_z - log_theta)) - 1
            value = np.full_like(t, coefficients[-1])
            for coefficient in coefficients[-2::-1]:
                value *= t
                value += coefficient
            value += 0.5 * (log_z - log_theta)
            value -= (n - 1.5) * away
            out[...] = value
        return np.asarray(blocks.operands[2])


def log_probability(lower: ArrayLike, upper: ArrayLike, theta: ArrayLike, n: float) -> Array:
    """The log of P(lower < Z < upper | theta, n); ends may be infinite; all three broadcast.

    Gauss–Legendre in z on both sides of the point of the interval that is nearest to theta, as
    far as cosh(z−theta)^−(n−3/2) has not fallen by the factor exp(−40). −inf for empty intervals.
    """
    low, high, given = np.broadcast_arrays(lower, upper, theta)
    log_mass = np.empty(given.shape)
    flat = log_mass.reshape(-1)
    step = _NODES_BLOCK // (2 * len(_RULE_NODES))
    for start in range(0, flat.size, step):
        block = slice(start, start + step)
        flat[block] = _log_mass(
            np.clip(low.reshape(-1)[block], -_FARTHEST, _FARTHEST),
            np.clip(high.reshape(-1)[block], -_FARTHEST, _FARTHEST),
            given.reshape(-1)[block].astype(float),
            n,
        )
    return log_mass


def cdf(z: ArrayLike, theta: ArrayLike, n: float) -> Array:
    """P(Z <= z | theta, n); small probabilities keep their relative accuracy."""
    return np.exp(log_probability(-np.inf, z, theta, n))


def sample(theta: ArrayLike, n: ArrayLike, rng: np.random.Generator) -> Array:
    """Draws of z, one for each element of theta and n broadcast.

    Bartlett's decomposition of the Wishart matrix with n − 1 degrees of freedom gives

        sinh z = r / √(1−r²) = (sinh(theta) χ_{n−1} + N(0, 1)) / χ_{n−2}

    with independent χ and N (Johnson, Kotz & Balakrishnan 1995, Continuous Univariate
    Distributions 2, ch. 32).
    """
    theta, size = np.broadcast_arrays(np.asarray(theta, dtype=float), np.asarray(n, dtype=float))
    first = np.sqrt(rng.chisquare(size - 1))
    second = np.sqrt(rng.chisquare(size - 2))
    slope = np.sinh(np.clip(theta, -_NO_NOISE, _NO_NOISE))
    near = np.arcsinh((slope * first + rng.standard_normal(size.shape)) / second)
    # Farther out sinh is an exponential, and the standard normal is nothing beside it.
    far = theta + np.sign(theta) * np.log(first / second)
    return np.asarray(np.where(np.abs(theta) > _NO_NOISE, far, near))


def _log_mass(lower: Array, upper: Array, theta: Array, n: float) -> Array:
    peak = np.clip(theta, lower, upper)
    fallen = _log_cosh(peak - theta) + _NEGLIGIBLE / (n - 1.5)
    reach = fallen + np.log1p(np.sqrt(-np.expm1(-2 * fallen)))  # arcosh(exp(fallen))
    share = 0.5 * (1 + _RULE_NODES[:, None])
    # Clipped at the peak, no width is negative, whatever the order of the ends.
    left = peak - np.clip(theta - reach, lower, peak)
    right = np.clip(theta + reach, peak, upper) - peak
    nodes = np.concatenate([peak - left * share, peak + right * share])
    at_peak = log_density(peak, theta, n)
    ratio = np.exp(log_density(nodes, theta, n) - at_peak)
    weights = 0.5 * _RULE_WEIGHTS
    half = len(weights)
    with np.errstate(divide="ignore"):  # an empty interval
        log_mass = at_peak + np.log(
            left * (weights @ ratio[:half]) + right * (weights @ ratio[half:])
        )
    return np.minimum(log_mass, 0.0)


def _log_cosh(x: Array) -> Array:
    """Compute log cosh x without cancellation at 0: log(1 + 2 sinh²(x/2))."""
    half = np.sinh(0.5 * x)
    return np.log1p(2 * half * half)


@lru_cache(maxsize=4096)
def log_factor(n: float, error: float = _ROUNDING) -> tuple[float, ...]:
    """Coefficients in powers of 2s − 1 of log[(n−2)/(√2 π) G(s)], 0 <= s <= 1.

    As many as the error asked for needs.
    Powers are safe: the Chebyshev coefficients fall like 5.8**−k or are at rounding by k = 40,
    and those of the polynomials grow like 2.4**k.
    """
    if not n >= SMALLEST_N:
        raise ValueError(f"n = {n}: the law of r is computed for n >= {SMALLEST_N:g}")
    power = 2 * n - 3
    fallen = _NEGLIGIBLE / power
    reach = fallen + math.log1p(math.sqrt(-math.expm1(-2 * fallen)))
    p = np.linspace(0, reach, _STEPS + 1)
    weights = np.exp(-power * _log_cosh(p)) * 2 * reach / _STEPS
    weights[0] /= 2

    t = chebyshev.chebpts1(_DEGREE + 1)
    s = np.append(0.5 * (1 + t), 1.0)
    integral = (1 / np.hypot(1, s[:, None] * np.sinh(p))) @ weights
    # Relative to its value at s = 1, so that the rounding of a large constant does not look
    # like coefficients.
    at_one = float(integral[-1])
    series = chebyshev.chebfit(t, np.log(integral[:-1] / at_one), _DEGREE)
    tails = np.cumsum(np.abs(series[::-1]))[::-1]
    kept = series[: max(1, int((tails > error).sum()))]
    kept[0] += math.log((n - 2) / (math.sqrt(2) * math.pi) * at_one)
    return tuple(float(c) for c in chebyshev.cheb2poly(kept))
