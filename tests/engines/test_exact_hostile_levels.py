"""Hostile data and priors in three-level models, against SciPy's adaptive cubature.

The likelihood is made by the product of normal densities alone,

    N(x; a, p) N(x; b, q) = N(a; b, p + q) N(x; (a q + b p)/(p + q), p q/(p + q)),

row by row within a study and study by study: nothing cancels, whatever the variances.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cases import problem
from cubature import Logarithmic
from hostile import MU, ROW, TAU, fitted, holds, log_normal, normal_prior, tau_prior

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


@settings(
    max_examples=8, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
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
