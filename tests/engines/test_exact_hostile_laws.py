"""Hostile data and priors under selection, Student-t effects and the exact law of r.

Against SciPy's adaptive cubature of textbook densities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import gammaln, hyp2f1, log_ndtr, ndtri, voigt_profile

from cases import problem
from cubature import Axis, Line, Logarithmic
from hostile import (
    MU,
    ROW,
    TAU,
    THREE,
    fitted,
    holds,
    hostile,
    log_normal,
    normal_prior,
    tau_prior,
)
from metarho.data.studies import Studies
from metarho.engines.problem import Problem, encode
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import parse_prior

pytestmark = pytest.mark.hostile

type Array = NDArray[np.float64]
type Numbers = Sequence[tuple[float, float]]

FEW = st.one_of(
    st.lists(ROW, min_size=1, max_size=4),
    st.tuples(ROW, st.integers(2, 4)).map(lambda drawn: [drawn[0]] * drawn[1]),
    st.tuples(st.floats(-4, 4), ROW).map(lambda drawn: [(drawn[0], 1e-6), drawn[1]]),
)
HOSTILE = hostile(4)
# The reference integrates true effects at every point.
COSTLY = hostile(2)


def _rows(numbers: Numbers) -> list[dict[str, object]]:
    return [{"yi": y, "vi": v} for y, v in numbers]


def _marks(numbers: Numbers) -> list[tuple[float, float]]:
    return [(y, math.sqrt(v)) for y, v in numbers]


def _log_selected(
    y: float, v: float, steps: Sequence[tuple[float, float]], mu: Array, tau: Array
) -> Array:
    """log of N(y; mu, v + tau²) w(y)/A (Vevea and Hedges 1995).

    ``steps`` are cutpoints of p with the weight of the band that follows; A is written as a sum
    over cutpoints, A = 1·P(above the first) + Σ w_b P(band b), each with its logarithm.
    """
    variance = v + tau**2
    limits = [math.sqrt(v) * ndtri(1 - cut) for cut, _ in steps]
    weights = [1.0, *(weight for _, weight in steps)]
    at = [(limit - mu) / np.sqrt(variance) for limit in limits]
    parts = [log_ndtr(-at[0])]
    for upper, lower in pairwise(at):
        # In the tail where both ends are small.
        flip = upper + lower > 0
        a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
        log_b = log_ndtr(b)
        with np.errstate(divide="ignore"):
            parts.append(log_b + np.log(-np.expm1(np.minimum(log_ndtr(a) - log_b, 0.0))))
    parts.append(log_ndtr(at[-1]))
    log_a = np.logaddexp.reduce(
        [part + math.log(weight) for part, weight in zip(parts, weights, strict=True)]
    )
    own = weights[sum(y < limit for limit in limits)]
    return np.asarray(log_normal(y, mu, variance) + math.log(own) - log_a)


@HOSTILE
@given(
    numbers=FEW,
    mu=MU,
    tau=TAU,
    steps=st.sampled_from(
        [
            ((0.025, 0.001),),
            ((0.025, 50.0),),
            ((0.025, 0.7), (0.5, 0.3)),
            ((0.025, 1e-8), (0.5, 3.0)),
        ]
    ),
)
def test_selection_with_known_weights_gives_the_answer_of_adaptive_cubature(
    numbers: Numbers,
    mu: tuple[float, float],
    tau: tuple[str, float],
    steps: Sequence[tuple[float, float]],
) -> None:
    mu_said, log_mu = normal_prior(*mu)
    tau_said, log_tau = tau_prior(*tau)

    def make(studies: Studies) -> Problem:
        plain = problem(studies, mu=mu_said, tau=tau_said)
        step = Step(cutpoints=tuple(c for c, _ in steps), weights=tuple(w for _, w in steps))
        selected = plain.model.model_copy(update={"selection": StepSelection(step=step)})
        return encode(selected, studies, {name: a.prior for name, a in plain.priors.items()})

    def log_density(tau: Array, mu: Array) -> Array:
        rows = [_log_selected(y, v, steps, mu, tau) for y, v in numbers]
        return np.asarray(sum(rows, log_tau(tau) + log_mu(mu)))

    limits = [(ndtri(1 - cut) * math.sqrt(v), math.sqrt(v)) for cut, _ in steps for _, v in numbers]
    marks = [mu, *_marks(numbers), *limits]
    holds(fitted(_rows(numbers), make), log_density, {"tau": Logarithmic(), "mu": Line(marks)})


# Panels of log omega of two decades each, down to 1e-40: a chance A = a + omega·b is logistic
# there, with poles at a distance of π, and 12 nodes leave 1e-11.
_PLACES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_ENDS = math.log(10) * np.arange(-40, 1, 2)
LOG_OMEGA = (_ENDS[:-1, None] + 0.5 * np.diff(_ENDS)[:, None] * (1 + _PLACES)).ravel()
LOG_WEIGHT = np.log(0.5 * np.diff(_ENDS)[:, None] * _WEIGHTS).ravel() + LOG_OMEGA


def _log_free_weight(numbers: Numbers, mu: Array, tau: Array) -> Array:
    """log ∫ Π N(y; mu, v + tau²) w(y)/A over omega uniform on 0 to 1, one cutpoint at .025."""
    total = np.zeros(np.broadcast(mu, tau).shape)
    log_all = np.broadcast_to(LOG_WEIGHT, (*total.shape, len(LOG_OMEGA)))
    for y, v in numbers:
        variance = v + tau**2
        limit = math.sqrt(v) * ndtri(1 - 0.025)
        at = (limit - mu) / np.sqrt(variance)
        above, below = log_ndtr(-at)[..., None], log_ndtr(at)[..., None]
        own = LOG_OMEGA if y < limit else np.zeros(len(LOG_OMEGA))
        log_all = log_all + own - np.logaddexp(above, below + LOG_OMEGA)
        total = total + log_normal(y, mu, variance)
    top = log_all.max(axis=-1)
    return np.asarray(total + top + np.log(np.exp(log_all - top[..., None]).sum(axis=-1)))


@pytest.mark.slow
@hostile(6)
# Near omega = 0 a spike that holds 1e-5 of the mass.
@example([(-2.636, 1e-6), (0.0, 1.0)], (0.0, 1.0), ("HalfNormal", 0.01))
# One that is as high as 1e24, with as much mass in each of 24 decades above it.
@example([(-2.636, 1e-6), (1.27, 0.1044)], (0.0, 1.0), ("HalfNormal", 5.157e-05))
@given(numbers=FEW, mu=MU, tau=TAU)
def test_selection_with_a_free_weight_gives_the_answer_of_adaptive_cubature(
    numbers: Numbers, mu: tuple[float, float], tau: tuple[str, float]
) -> None:
    mu_said, log_mu = normal_prior(*mu)
    tau_said, log_tau = tau_prior(*tau)

    def make(studies: Studies) -> Problem:
        plain = problem(studies, mu=mu_said, tau=tau_said)
        step = StepSelection(step=Step(cutpoints=(0.025,)))
        selected = plain.model.model_copy(update={"selection": step})
        priors = {name: applied.prior for name, applied in plain.priors.items()}
        return encode(
            selected, studies, {**priors, "omega": parse_prior("Uniform(lower=0, upper=1)")}
        )

    def log_density(tau: Array, mu: Array) -> Array:
        return np.asarray(log_tau(tau) + log_mu(mu) + _log_free_weight(numbers, mu, tau))

    limits = [(ndtri(1 - 0.025) * math.sqrt(v), math.sqrt(v)) for _, v in numbers]
    marks = [mu, *_marks(numbers), *limits]
    encoded = fitted(_rows(numbers), make)
    holds(encoded, log_density, {"tau": Logarithmic(), "mu": Line(marks)}, THREE)


def _log_student(y: float, v: float, nu: float, mu: Array, tau: Array) -> Array:
    """log ∫ N(y; theta, v) t(theta; nu, mu, tau) dtheta: a Voigt profile for nu = 1.

    For any other nu a mixture of normals whose variance is tau²/λ, λ ~ Gamma(nu/2, rate nu/2),
    by a trapezoidal rule in log λ: steps of 1/4 leave exp(−π²/0.25), for nu up to 4.
    """
    if nu == 1:
        return np.asarray(np.log(voigt_profile(y - mu, math.sqrt(v), tau)))
    step = 0.25
    log_lambda = np.arange(-100 / nu - 20, 5, step)
    half = nu / 2
    log_weight = half * (log_lambda - np.exp(log_lambda) + math.log(half)) - gammaln(half)
    variance = v + tau[..., None] ** 2 * np.exp(-log_lambda)
    log_parts = log_weight + log_normal(y, mu[..., None], variance)
    top = log_parts.max(axis=-1)
    return np.asarray(top + np.log(np.exp(log_parts - top[..., None]).sum(axis=-1) * step))


@COSTLY
@given(numbers=FEW, mu=MU, tau=TAU, nu=st.sampled_from([1.0, 1.0, 1.0, 4.0]))
def test_student_effects_with_known_nu_give_the_answer_of_adaptive_cubature(
    numbers: Numbers, mu: tuple[float, float], tau: tuple[str, float], nu: float
) -> None:
    mu_said, log_mu = normal_prior(*mu)
    tau_said, log_tau = tau_prior(*tau)

    def log_density(tau: Array, mu: Array) -> Array:
        rows = [_log_student(y, v, nu, mu, tau) for y, v in numbers]
        return np.asarray(sum(rows, log_tau(tau) + log_mu(mu)))

    encoded = fitted(
        _rows(numbers),
        lambda studies: problem(
            studies, "student-t", mu=mu_said, tau=tau_said, nu=f"DiracDelta(c={nu})"
        ),
    )
    axes: dict[str, Axis] = {"tau": Logarithmic(), "mu": Line([mu, *_marks(numbers)])}
    # A row costs hundreds of densities where nu is not 1.
    holds(encoded, log_density, axes, points=300 if nu == 1 else 80)


def _log_cosh(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, -x) - math.log(2))


def _log_law(z: float, theta: Array, n: int) -> Array:
    """Log density of z = atanh(r): Hotelling's (1953) series form, times dr/dz.

    With 1 − rho r = cosh(z − theta)/(cosh z cosh theta), which bears any theta.
    """
    at = np.array(z)
    log_one_less = _log_cosh(at - theta) - _log_cosh(at) - _log_cosh(theta)
    constant = math.log(n - 2) + gammaln(n - 1) - 0.5 * math.log(2 * math.pi) - gammaln(n - 0.5)
    return np.asarray(
        constant
        - (n - 1) * _log_cosh(theta)
        - (n - 4) * _log_cosh(at)
        - (n - 1.5) * log_one_less
        - 2 * _log_cosh(at)
        + np.log(hyp2f1(0.5, 0.5, n - 0.5, 1 - 0.5 * np.exp(log_one_less)))
    )


# From tau = 0.05 on a fixed grid of true effects leaves 1e-20, below it points around mu do.
GRID_STEP, LEAST = 0.025, 0.05
AROUND = np.arange(-9.0, 9.01, 0.5)


class _Row:
    """∫ g(z | theta, n) N(theta; mu, tau²) dtheta for one row."""

    def __init__(self, r: float, n: int) -> None:
        self.z, self.n = math.atanh(r), n
        # As far as the law falls to 1e-22 of its peak.
        reach = 51 / (n - 1.5) + 1
        self.theta = np.arange(self.z - reach, self.z + reach, GRID_STEP)
        self.log_law = _log_law(self.z, self.theta, n)

    def __call__(self, mu: Array, tau: Array) -> Array:
        found = np.empty(mu.shape)
        small = tau < LEAST
        if small.any():
            m, t = mu[small], tau[small]
            theta = m[:, None] + t[:, None] * AROUND
            parts = _log_law(self.z, theta, self.n) + log_normal(AROUND, 0.0, 1.0)
            found[small] = np.logaddexp.reduce(parts, axis=1) + math.log(0.5)
        m, t = mu[~small], tau[~small]
        for start in range(0, len(m), 2000):
            block = slice(start, start + 2000)
            parts = self.log_law + log_normal(self.theta, m[block, None], t[block, None] ** 2)
            top = parts.max(axis=1)
            total = np.exp(parts - top[:, None]).sum(axis=1)
            place = np.flatnonzero(~small.ravel())[block]
            found.ravel()[place] = top + np.log(total * GRID_STEP)
        return found


CORRELATIONS = st.one_of(
    st.lists(
        st.tuples(st.floats(-0.999, 0.999), st.sampled_from([4, 5, 8, 20])), min_size=1, max_size=3
    ),
    st.tuples(st.floats(-0.999, 0.999), st.integers(4, 6), st.integers(2, 3)).map(
        lambda drawn: [drawn[:2]] * drawn[2]
    ),
)


@pytest.mark.slow
@COSTLY
@given(
    rows=CORRELATIONS,
    mu=st.tuples(st.sampled_from([0.0, 0.3, -3.0]), st.sampled_from([1e-3, 0.05, 0.5, 5.0])),
    tau=st.tuples(
        st.sampled_from(["HalfNormal", "Exponential", "LogNormal"]),
        st.sampled_from([1e-4, 0.01, 0.25, 1.0]),
    ),
)
def test_the_exact_law_of_r_gives_the_answer_of_adaptive_cubature(
    rows: Sequence[tuple[float, int]], mu: tuple[float, float], tau: tuple[str, float]
) -> None:
    mu_said, log_mu = normal_prior(*mu)
    tau_said, log_tau = tau_prior(*tau)
    laws = [_Row(r, n) for r, n in rows]

    def log_density(tau: Array, mu: Array) -> Array:
        return np.asarray(sum((law(mu, tau) for law in laws), log_tau(tau) + log_mu(mu)))

    encoded = fitted(
        [{"ri": r, "ni": n} for r, n in rows],
        lambda studies: problem(studies, "exact-r", mu=mu_said, tau=tau_said),
        "ZCOR",
    )
    marks = [mu, *((law.z, 1 / math.sqrt(law.n)) for law in laws)]
    holds(encoded, log_density, {"tau": Logarithmic(), "mu": Line(marks)}, points=60)
