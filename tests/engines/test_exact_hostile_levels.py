"""Hostile data and priors in three-level models, against SciPy's adaptive cubature.

The likelihood is made by the product of normal densities alone,

    N(x; a, p) N(x; b, q) = N(a; b, p + q) N(x; (a q + b p)/(p + q), p q/(p + q)),

row by row within a study and study by study: nothing cancels, whatever the variances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_ndtr

from cases import problem
from cubature import Logarithmic
from hostile import MU, ROW, TAU, THREE, fitted, holds, hostile, log_normal, normal_prior, tau_prior
from metarho.engines.exact.likelihood import log_likelihood_table
from metarho.errors import FitError

pytestmark = pytest.mark.hostile

type Array = NDArray[np.float64]
type Law = tuple[Array, Array, Array]

STUDIES = st.one_of(
    st.lists(st.lists(ROW, min_size=1, max_size=3), min_size=1, max_size=3),
    # Identical rows in identical studies.
    st.tuples(ROW, st.integers(1, 3), st.integers(1, 3)).map(
        lambda drawn: [[drawn[0]] * drawn[1]] * drawn[2]
    ),
    # One row of a million people among wide ones.
    st.tuples(st.floats(-4, 4), st.lists(ROW, min_size=1, max_size=2)).map(
        lambda drawn: [[(drawn[0], 1e-6), (0.1, 0.2)], [(y, v + 0.01) for y, v in drawn[1]]]
    ),
)


def _joined(first: Law, second: Law) -> Law:
    """The product of two normal densities of one variable: log of its integral, mean, variance."""
    log_a, a, p = first
    log_b, b, q = second
    return log_a + log_b + log_normal(a, b, p + q), (a * q + b * p) / (p + q), p * (q / (p + q))


def _posterior(
    studies: Sequence[Sequence[tuple[float, float]]],
    mu: tuple[float, float],
    tau: Array,
    own: Array,
) -> Law:
    """Log p(y | sds), and mean and variance of mu given them: tau between studies, own of rows."""
    nothing = np.zeros(tau.shape)
    law: Law = nothing, nothing + mu[0], nothing + mu[1] ** 2
    for rows in studies:
        laws = [(nothing, nothing + y, v + own**2) for y, v in rows]
        study = laws[0]
        for other in laws[1:]:
            study = _joined(study, other)
        law = _joined(law, (study[0], study[1], study[2] + tau**2))
    return law


@hostile(4)
# The law of mu given tau changes near tau = 0, where the density of tau does not.
@example([[(-1.8772, 1e-5)]], (0.0, 100.0), ("HalfCauchy", 0.00528), ("HalfNormal", 5.058))
@given(studies=STUDIES, mu=MU, tau_study=TAU, tau_effect=TAU)
def test_three_levels_give_the_answer_of_adaptive_cubature(
    studies: Sequence[Sequence[tuple[float, float]]],
    mu: tuple[float, float],
    tau_study: tuple[str, float],
    tau_effect: tuple[str, float],
) -> None:
    said, _ = normal_prior(*mu)
    study_said, log_study = tau_prior(*tau_study)
    effect_said, log_effect = tau_prior(*tau_effect)
    rows = [
        {"study": f"s{at}", "effect": str(number), "yi": y, "vi": v}
        for at, each in enumerate(studies)
        for number, (y, v) in enumerate(each)
    ]
    encoded = fitted(
        rows,
        lambda evidence: problem(
            evidence, "three-level", mu=said, tau_study=study_said, tau_effect=effect_said
        ),
    )
    holds(
        encoded,
        lambda tau, own: log_study(tau) + log_effect(own) + _posterior(studies, mu, tau, own)[0],
        {"tau_study": Logarithmic(), "tau_effect": Logarithmic()},
        mean_given=lambda tau, own: _posterior(studies, mu, tau, own)[1:],
    )


def _log_between(lower: Array, upper: Array) -> Array:
    """log(Φ(upper) − Φ(lower)), in the tail where both ends are small."""
    flip = lower + upper > 0
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    log_b = log_ndtr(b)
    with np.errstate(divide="ignore"):
        return np.asarray(log_b + np.log(-np.expm1(np.minimum(log_ndtr(a) - log_b, 0.0))))


# As good as open below or above, and bounded, in units of a standard error around a number.
INTERVAL = st.tuples(ROW, st.sampled_from([(-40.0, 0.0), (1.0, 40.0), (-0.5, 0.5), (-2.0, 5.0)]))


@pytest.mark.slow
@hostile(4)
@given(studies=STUDIES, interval=INTERVAL, mu=MU, tau_study=TAU, tau_effect=TAU)
def test_three_levels_with_an_interval_give_the_answer_of_adaptive_cubature(
    studies: Sequence[Sequence[tuple[float, float]]],
    interval: tuple[tuple[float, float], tuple[float, float]],
    mu: tuple[float, float],
    tau_study: tuple[str, float],
    tau_effect: tuple[str, float],
) -> None:
    """One row of the first study is an interval: given the numbers it is normal."""
    said, _ = normal_prior(*mu)
    study_said, log_study = tau_prior(*tau_study)
    effect_said, log_effect = tau_prior(*tau_effect)
    (centre, v), ends = interval
    lower, upper = (centre + math.sqrt(v) * end for end in ends)
    rows: list[dict[str, object]] = [
        {"study": f"s{at}", "effect": str(number), "yi": y, "vi": own, "reported": "exact"}
        for at, each in enumerate(studies)
        for number, (y, own) in enumerate(each)
    ]
    words = {"study": "s0", "effect": "words", "vi": v, "reported": "range"}
    rows.append({**words, "yi_low": lower, "yi_high": upper})
    encoded = fitted(
        rows,
        lambda evidence: problem(
            evidence, "three-level", mu=said, tau_study=study_said, tau_effect=effect_said
        ),
    )

    def log_density(tau: Array, own: Array) -> Array:
        nothing = np.zeros(tau.shape)
        # The law of mu given the other studies, then of the first study's own mean.
        law = _posterior(studies[1:], mu, tau, own)
        law = law[0], law[1], law[2] + tau**2
        for y, variance in studies[0]:
            law = _joined(law, (nothing, nothing + y, variance + own**2))
        sd = np.sqrt(law[2] + own**2 + v)
        words = _log_between((lower - law[1]) / sd, (upper - law[1]) / sd)
        return np.asarray(log_study(tau) + log_effect(own) + law[0] + words)

    holds(encoded, log_density, {"tau_study": Logarithmic(), "tau_effect": Logarithmic()}, THREE)


def test_a_study_s_mean_that_may_vary_too_far_is_refused_in_a_sentence() -> None:
    """Of two words, one sharp: nothing but the spread says where the mean is."""
    words = {"study": "a", "reported": "range", "yi_low": -1e9, "yi_high": 1e9}
    rows = [{**words, "effect": "1", "vi": 1e-6}, {**words, "effect": "2", "vi": 1.0}]
    encoded = fitted(
        [*rows, {"study": "b", "effect": "1", "yi": 0.0, "vi": 1.0, "reported": "exact"}],
        lambda evidence: problem(evidence, "three-level"),
    )
    far, nothing = np.array([1e16]), np.zeros(1)
    with pytest.raises(FitError, match="use engine nuts, a narrower prior"):
        log_likelihood_table(encoded.evidence, np.linspace(-1e8, 1e8, 3), far, nothing)
