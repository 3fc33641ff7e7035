"""Rows left out without refitting, against posteriors that were integrated without them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cases import alliance, molloy, problem, written
from hostile import DRAWN
from metarho.engines import exact
from metarho.engines.exact.leave_out import LeftOut, effects_out, studies_out
from metarho.engines.problem import Problem, problem_without

# What a left-out posterior's panels are asked; refits are asked the same.
TOLERANCE = 1e-9
FAR = -10.0

ROWS = [
    {"study": s, "effect": e, "yi": y, "vi": v, "x": x}
    for s, e, y, v, x in [
        ("a", 1, 0.31, 0.02, 0.0),
        ("a", 2, 0.12, 0.011, 1.0),
        ("b", 1, 0.45, 0.03, 0.5),
        ("c", 1, 0.05, 0.008, -1.0),
        ("c", 2, 0.22, 0.016, 0.3),
        ("c", 3, -0.1, 0.04, 2.0),
        ("d", 1, 0.6, 0.01, 0.7),
    ]
]
DOMINATED = [*ROWS, {"study": "e", "effect": 1, "yi": 0.2, "vi": 1e-6, "x": 0.1}]
OUTLIER = [
    {"yi": y, "vi": v}
    for y, v in ((0.2, 0.01), (0.22, 0.01), (0.19, 0.02), (0.21, 0.01), (2.5, 0.01))
]
MIXTURE = "NormalMixture(w=[1, 2], mu=[0, 0.3], sigma=[0.1, 0.4])"


def _subset(encoded: Problem, out: LeftOut) -> NDArray[np.bool_]:
    return np.isin(np.arange(encoded.evidence.k), out.rows)


def _assert_as_refitted(encoded: Problem) -> list[LeftOut]:
    """Every study and every effect, against the integral without it; studies' laws besides."""
    assert exact.covers(encoded) is None
    whole = exact.integrate(encoded)
    studies = list(studies_out(encoded, whole))
    effects = list(effects_out(encoded, whole, np.arange(encoded.evidence.k)))
    assert [len(out.rows) for out in studies] == np.bincount(encoded.evidence.study).tolist()
    assert [out.rows.tolist() for out in effects] == [[i] for i in range(encoded.evidence.k)]
    varies = any(applied.prior.is_reference for applied in encoded.priors.values())
    for out in [*studies, *effects]:
        rest = problem_without(encoded, _subset(encoded, out))
        anew = exact.integrate(rest)
        assert out.error is not None and out.error < TOLERANCE
        assert out.log_density is not None
        if not varies:
            expected = whole.log_integral - anew.log_integral
            assert out.log_density == pytest.approx(expected, abs=TOLERANCE)
        if anew.mean is not None and anew.covariance is not None:
            law = _normals(encoded, rest, anew, out.rows)
            # Far out, what a row adds lies where the posterior without it has no nodes.
            left = encoded.evidence.study_names[encoded.evidence.study[out.rows[0]]]
            tied = "study" in encoded.model.levels or encoded.evidence.correlated
            free = left not in rest.evidence.study_names or not tied
            if len(out.rows) == 1 and free and out.log_density > FAR:
                density = math.log(_density(encoded.evidence.y[out.rows[0]], law))
                assert out.log_density == pytest.approx(density, abs=1e-8)
            if out.predictive is not None:
                seen = out.predictive.mass, out.predictive.mean[-1], out.predictive.sd[-1]
                for y in encoded.evidence.y[~encoded.evidence.is_interval]:
                    assert _density(y, seen) == pytest.approx(_density(y, law), abs=TOLERANCE)
    return [*studies, *effects]


def _normals(
    encoded: Problem, rest: Problem, anew: exact.Quadrature, rows: NDArray[np.intp]
) -> tuple[NDArray[np.float64], ...]:
    """The last of the rows' law from a posterior without them: mass, mean, sd."""
    assert anew.mean is not None and anew.covariance is not None
    x = encoded.design.matrix[rows[-1]]
    variance = encoded.evidence.v[rows[-1]] + np.einsum("i,nij,j->n", x, anew.covariance, x)
    for level in rest.level_variances(anew.values).values():
        variance = variance + level
    return anew.mass.ravel(), anew.mean @ x, np.sqrt(variance)


def _density(y: float, law: tuple[NDArray[np.float64], ...]) -> float:
    mass, mean, sd = law
    return float(mass @ (np.exp(-0.5 * ((y - mean) / sd) ** 2) / sd) / math.sqrt(2 * math.pi))


HALF_CAUCHY = "HalfCauchy(beta=0.3)"


@pytest.mark.parametrize(
    ("model", "priors"),
    [
        ("common-effect", {}),
        ("common-effect", {"mu": "Flat()"}),
        ("random-effects", {}),
        ("random-effects", {"mu": "Flat()", "tau": "Jeffreys()"}),
        ("random-effects", {"mu": "Flat()", "tau": "Conventional()"}),
        ("random-effects", {"mu": "Flat()", "tau": "OverallJeffreys()"}),
        ("random-effects", {"tau": "DuMouchel()"}),
        ("random-effects", {"mu": MIXTURE}),
        ("random-effects", {"mu": "Cauchy(alpha=0.1, beta=0.2)", "tau": HALF_CAUCHY}),
        ("random-effects", {"mu": "Flat()", "tau": HALF_CAUCHY}),
        ("three-level", {}),
        pytest.param(
            "three-level", {"mu": "Flat()", "tau_study": HALF_CAUCHY}, marks=pytest.mark.slow
        ),
        ("three-level", {"mu": MIXTURE, "tau_effect": "DiracDelta(c=0)"}),
        ("three-level", {"tau": "HalfNormal(sigma=0.3)"}),
        ("random-effects", {"mu": "Normal(mu=0, sigma=2) on mu/tau"}),
        pytest.param("three-level", {"mu": f"{MIXTURE} on mu/tau"}, marks=pytest.mark.slow),
    ],
)
def test_numbers_left_out_are_as_refitted(
    model: str, priors: dict[str, str], tmp_path: Path
) -> None:
    _assert_as_refitted(problem(written(tmp_path, ROWS), model, **priors))


# Three levels are refitted for half a minute where one study holds nearly everything.
@pytest.mark.parametrize(
    "model",
    ["common-effect", "random-effects", pytest.param("three-level", marks=pytest.mark.slow)],
)
def test_a_study_that_outweighs_all_others_leaves_their_digits_alone(
    model: str, tmp_path: Path
) -> None:
    _assert_as_refitted(problem(written(tmp_path, DOMINATED), model, mu="Flat()"))


def test_without_an_outlier_the_posterior_is_integrated_anew(tmp_path: Path) -> None:
    studies = written(tmp_path, OUTLIER)
    # A fractional power at 0 has panels of its own, cut where the whole posterior lives.
    found = _assert_as_refitted(problem(studies, tau="Gamma(alpha=1.5, beta=2)"))
    assert [out.refitted for out in found[:5]] == [False, False, False, False, True]


@pytest.mark.parametrize("model", ["random-effects", "three-level"])
def test_moderators_left_out_are_as_refitted(model: str, tmp_path: Path) -> None:
    _assert_as_refitted(problem(written(tmp_path, ROWS), model, "~ x"))
    _assert_as_refitted(problem(written(tmp_path, ROWS), model, "~ x", mu="Flat()"))


@pytest.mark.parametrize("model", ["common-effect", "random-effects", "three-level"])
def test_rows_with_correlated_errors_left_out_are_as_refitted(model: str, tmp_path: Path) -> None:
    studies = written(tmp_path, ROWS, rho_within=0.6)
    _assert_as_refitted(problem(studies, model, mu="Flat()"))
    _assert_as_refitted(problem(studies, model, "~ x"))


def test_correlations_left_out_are_as_refitted() -> None:
    found = _assert_as_refitted(problem(molloy()))
    assert not any(out.refitted for out in found)


@pytest.mark.parametrize(
    "priors",
    [{}, {"mu": "Flat()", "tau": "HalfStudentT(nu=3, sigma=0.2)"}, {"tau": "DiracDelta(c=0.1)"}],
)
def test_words_and_ranges_left_out_are_as_refitted(priors: dict[str, str]) -> None:
    encoded = problem(alliance(), **priors)
    found = _assert_as_refitted(encoded)
    words = encoded.evidence.is_interval
    for out in found[: len(encoded.evidence.study_names)]:
        exactly = int((~words[out.rows]).sum())
        assert (0 if out.predictive is None else len(out.predictive.mean)) == exactly


def test_words_within_nested_studies_left_out_are_as_refitted(tmp_path: Path) -> None:
    path = [
        {
            "study": "a",
            "effect": 1,
            "vi": 0.02,
            "yi_low": -0.25,
            "yi_high": 0.25,
            "reported": "range",
        },
        {"study": "a", "effect": 2, "yi": 0.3, "vi": 0.03, "reported": "exact"},
        {"study": "b", "effect": 1, "yi": 0.1, "vi": 0.01, "reported": "exact"},
        {"study": "c", "effect": 1, "yi": 0.5, "vi": 0.02, "reported": "exact"},
    ]
    encoded = problem(written(tmp_path, path), "three-level", tau_effect="DiracDelta(c=0.05)")
    _assert_as_refitted(encoded)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("tau", ["HalfNormal(sigma=0.2)", HALF_CAUCHY, "UniformShrinkage()"])
def test_few_studies_left_out_are_as_refitted(k: int, tau: str, tmp_path: Path) -> None:
    _assert_as_refitted(problem(written(tmp_path, OUTLIER[-k:]), mu="Flat()", tau=tau))


def test_what_would_leave_an_improper_posterior_says_so(tmp_path: Path) -> None:
    encoded = problem(written(tmp_path, OUTLIER[:2]), mu="Flat()", tau="Jeffreys()")
    (first, _) = studies_out(encoded, exact.integrate(encoded))
    assert (first.log_density, first.predictive, first.refitted) == (None, None, False)
    assert first.reason is not None
    assert first.reason.startswith("the posterior is improper: with the prior Jeffreys(), tau")


def test_a_single_study_has_no_others(tmp_path: Path) -> None:
    encoded = problem(written(tmp_path, ROWS[:2]), "three-level")
    whole = exact.integrate(encoded)
    (only,) = studies_out(encoded, whole)
    assert (only.log_density, only.reason) == (None, "no other rows are left")
    first, _ = effects_out(encoded, whole, np.arange(2))
    assert first.log_density is not None


EFFECTS = st.floats(-1, 1).map(lambda x: round(x, 3))
VARIANCES = st.floats(-4, 0).map(lambda x: round(10**x, 5))
MEANS = ("Normal(mu=0, sigma=0.5)", "Flat()", MIXTURE, "StudentT(nu=3, mu=0, sigma=0.3)")
SPREADS = (
    "HalfNormal(sigma=0.2)",
    HALF_CAUCHY,
    "InverseGamma(alpha=1, beta=0.1)",
    "I2",
    "DiracDelta(c=0)",
)


@pytest.mark.hostile
@settings(
    max_examples=20 * DRAWN // 100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.tuples(EFFECTS, VARIANCES), min_size=3, max_size=6),
    st.sampled_from(MEANS),
    st.sampled_from(SPREADS),
)
def test_any_few_numbers_left_out_are_as_refitted(
    tmp_path: Path, rows: list[tuple[float, float]], mu: str, tau: str
) -> None:
    studies = written(tmp_path, [{"yi": y, "vi": v} for y, v in rows])
    _assert_as_refitted(problem(studies, mu=mu, tau="UniformI2()" if tau == "I2" else tau))
