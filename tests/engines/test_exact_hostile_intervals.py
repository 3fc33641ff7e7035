"""Hostile interval rows, with numbers among them, against SciPy's adaptive cubature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_ndtr

from cases import problem
from cubature import Line, Logarithmic
from hostile import (
    MU,
    ROW,
    TAU,
    cauchy_prior,
    fitted,
    holds,
    hostile,
    log_normal,
    normal_prior,
    powers,
    tau_prior,
)

pytestmark = pytest.mark.hostile

type Array = NDArray[np.float64]
type Numbers = Sequence[tuple[float, float]]
type Intervals = Sequence[tuple[float, float, float]]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)

# Lower end, width, variance: a range has two ends, and one that is open in effect has its far end
# beyond all that counts.
INTERVAL = st.tuples(st.floats(-4, 4), st.one_of(powers(-4, 1), st.just(1e3)), powers(-6, 1)).map(
    lambda drawn: (drawn[0], drawn[0] + drawn[1], drawn[2])
)
INTERVALS = st.one_of(
    st.lists(INTERVAL, min_size=1, max_size=4),
    # Identical intervals.
    st.tuples(INTERVAL, st.integers(2, 5)).map(lambda drawn: [drawn[0]] * drawn[1]),
)
HOSTILE = hostile(4)


def _log_probability(low: Array, high: Array) -> Array:
    """log P(low < Z < high) of a standard normal Z: by its cdf, narrow ones by a Gauss rule."""
    # A difference of cdfs in the tail where both are small.
    a, b = np.where(low + high > 0, -high, low), np.where(low + high > 0, -low, high)
    log_b = log_ndtr(b)
    with np.errstate(divide="ignore"):
        found = log_b + np.log(-np.expm1(np.minimum(log_ndtr(a) - log_b, 0.0)))
    narrow = (b - a) * np.maximum(np.abs(a), 1.0) < 1
    middle, half = 0.5 * (a + b)[narrow], 0.5 * (b - a)[narrow]
    shift = half[:, None] * NODES
    inside = np.exp(-shift * (middle[:, None] + 0.5 * shift)) @ WEIGHTS
    with np.errstate(divide="ignore"):
        found[narrow] = log_normal(middle, 0.0, 1.0) + np.log(half * inside)
    return np.asarray(found)


def _log_likelihood(numbers: Numbers, intervals: Intervals, mu: Array, tau: Array) -> Array:
    sd = [np.sqrt(v + tau**2) for *_, v in intervals]
    terms = [log_normal(y, mu, v + tau**2) for y, v in numbers]
    terms += [
        _log_probability((low - mu) / at, (high - mu) / at)
        for (low, high, _), at in zip(intervals, sd, strict=True)
    ]
    return np.asarray(sum(terms))


def _rows(numbers: Numbers, intervals: Intervals) -> list[dict[str, object]]:
    printed: list[dict[str, object]] = [{"yi": y, "vi": v, "reported": "exact"} for y, v in numbers]
    return printed + [
        {"vi": v, "reported": "range", "yi_low": low, "yi_high": high} for low, high, v in intervals
    ]


def _marks(numbers: Numbers, intervals: Intervals) -> list[tuple[float, float]]:
    ends = [(end, math.sqrt(v)) for low, high, v in intervals for end in (low, high)]
    return [(y, math.sqrt(v)) for y, v in numbers] + ends


@HOSTILE
@given(numbers=st.lists(ROW, max_size=3), intervals=INTERVALS, mu=MU, tau=TAU)
def test_intervals_with_effects_that_vary_give_the_answer_of_adaptive_cubature(
    numbers: Numbers, intervals: Intervals, mu: tuple[float, float], tau: tuple[str, float]
) -> None:
    mu_said, log_mu = normal_prior(*mu)
    tau_said, log_tau = tau_prior(*tau)
    encoded = fitted(
        _rows(numbers, intervals), lambda studies: problem(studies, mu=mu_said, tau=tau_said)
    )
    holds(
        encoded,
        lambda tau, mu: log_tau(tau) + log_mu(mu) + _log_likelihood(numbers, intervals, mu, tau),
        {"tau": Logarithmic(), "mu": Line([mu, *_marks(numbers, intervals)])},
    )


def _common_effect_holds(
    numbers: Numbers, intervals: Intervals, mu: tuple[float, float], is_normal: bool
) -> None:
    mu_said, log_mu = normal_prior(*mu) if is_normal else cauchy_prior(*mu)
    encoded = fitted(
        _rows(numbers, intervals), lambda studies: problem(studies, "common-effect", mu=mu_said)
    )
    nothing = np.zeros(1)
    holds(
        encoded,
        lambda mu: log_mu(mu) + _log_likelihood(numbers, intervals, mu, nothing),
        {"mu": Line([mu, *_marks(numbers, intervals)])},
    )


@HOSTILE
@given(numbers=st.lists(ROW, max_size=3), intervals=INTERVALS, mu=MU, is_normal=st.booleans())
def test_intervals_of_a_common_effect_give_the_answer_of_adaptive_cubature(
    numbers: Numbers, intervals: Intervals, mu: tuple[float, float], is_normal: bool
) -> None:
    _common_effect_holds(numbers, intervals, mu, is_normal)


def test_a_step_in_a_tail_that_decides_the_sd_is_resolved() -> None:
    numbers = [(0.0, 0.67), (1.65, 1.0), (0.0, 0.67)]
    _common_effect_holds(numbers, [(-2.32, 997.68, 8e-6)] * 5, (0.0, 0.0046), is_normal=False)


def test_a_step_far_out_in_a_tail_is_resolved() -> None:
    _common_effect_holds([], [(-0.128, 999.872, 2.8e-5)] * 3, (0.0, 1.0), is_normal=False)


def test_a_step_that_falls_between_two_panels_is_seen() -> None:
    # The log evidence was off by 2e-5, with a stated error of 2e-10.
    interval = 0.34375, 9.818385256553753, 1.539926526059492e-06
    _common_effect_holds([], [interval], (0.0, 1.0), is_normal=False)


def test_values_that_no_square_bears_are_weighed_all_the_same() -> None:
    _common_effect_holds(
        [(0.875, 10**-2.8125)], [(3.5, 1003.5, 7.5e-5)], (-50.0, 10**1.21875), is_normal=False
    )


def test_a_tail_that_a_wide_panel_passes_over_is_seen() -> None:
    # Beyond 5.2 posterior sds nothing was integrated, with a stated error of 7e-10.
    numbers = [(0.976603430852049, 1.35e-6), (-2.324, 1.0), (0.0, 2.139)]
    interval = 3.75, 1003.75, 6.865498806619761e-05
    _common_effect_holds(numbers, [interval], (-50.0, 0.006313142128720305), is_normal=True)
