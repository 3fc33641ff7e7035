"""Scores of studies that are left out, against SciPy's integration of posteriors without them."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from cases import REFERENCES, alliance, molloy, problem, written
from metarho.data.studies import load_studies
from metarho.engines import exact
from metarho.engines.problem import Problem, problem_without
from metarho.fitting import Settings, fit_many
from metarho.posterior.leave_out import LeaveOut, leave_out

# What a score is printed to.
TOLERANCE = 1e-8

NESTED = [
    {"study": s, "effect": e, "yi": y, "vi": v}
    for s, e, y, v in [
        ("a", 1, 0.31, 0.02),
        ("a", 2, 0.12, 0.011),
        ("b", 1, 0.45, 0.03),
        ("c", 1, 0.05, 0.008),
        ("c", 2, 0.22, 0.016),
        ("d", 1, 0.6, 0.01),
    ]
]


def _solved(encoded: Problem) -> LeaveOut:
    return leave_out(encoded, exact.integrate(encoded))


def _cdf_without(encoded: Problem, study: int, row: int) -> Callable[[float], float]:
    """P(y <= t) of a row, from the posterior integrated without its study."""
    rest = problem_without(encoded, encoded.evidence.study == study)
    q = exact.integrate(rest)
    variance = encoded.evidence.v[row] + np.zeros(len(q.node_mass))
    for level in encoded.level_variances(q.values).values():
        variance = variance + level
    if q.mean is not None and q.covariance is not None:
        x = encoded.design.matrix[row]
        mean = q.mean @ x
        sd = np.sqrt(variance + np.einsum("i,nij,j->n", x, q.covariance, x))
        return lambda t: float(ndtr((t - mean) / sd) @ q.node_mass)
    mu, sd = q.axes["mu"].nodes, np.sqrt(variance)[:, None]
    return lambda t: float((ndtr((t - mu) / sd) * q.joint).sum())


def _crps(cdf: Callable[[float], float], y: float, scale: str) -> float:
    def density(t: float) -> float:
        return 1 / math.cosh(t) ** 2 if scale == "z" else 1.0

    steps = [0, 0.1, 0.3, 1.0, 3.0, 10.0, 18.0]
    total = 0.0
    for near, far in pairwise(steps):
        above = quad(lambda t: (1 - cdf(t)) ** 2 * density(t), y + near, y + far, epsabs=1e-11)
        below = quad(lambda t: cdf(t) ** 2 * density(t), y - far, y - near, epsabs=1e-11)
        total += above[0] + below[0]
    return total


def _assert_scores(encoded: Problem, studies: list[int]) -> None:
    found = _solved(encoded)
    evidence = encoded.evidence
    for study in studies:
        score = found.studies[study]
        assert score.name == evidence.study_names[study]
        rows = [r for r in np.flatnonzero(evidence.study == study) if not evidence.is_interval[r]]
        assert len(score.pit) == len(rows)
        parts = []
        for row, pit in zip(rows, score.pit, strict=True):
            cdf, y = _cdf_without(encoded, study, int(row)), float(evidence.y[row])
            assert pit == pytest.approx(cdf(y), abs=1e-9)
            parts.append(_crps(cdf, y, encoded.scale))
        if parts:
            assert score.crps == pytest.approx(sum(parts) / len(parts), abs=TOLERANCE)
        else:
            assert score.crps is None


def test_scores_of_correlations_are_those_of_quad() -> None:
    _assert_scores(problem(molloy()), [0, 3, 15])


@pytest.mark.parametrize("tau", ["HalfNormal(sigma=0.2)", "HalfCauchy(beta=0.5)"])
@pytest.mark.parametrize("model", ["random-effects", "three-level"])
def test_scores_on_any_scale_are_those_of_quad(model: str, tau: str, tmp_path: Path) -> None:
    priors = {"tau": tau} if model == "random-effects" else {"tau_study": tau}
    _assert_scores(problem(written(tmp_path, NESTED), model, **priors), [0, 1, 3])


def test_scores_with_a_mean_on_panels_are_those_of_quad() -> None:
    _assert_scores(problem(alliance()), [0, 1, 2])
    _assert_scores(problem(molloy(), mu="Cauchy(alpha=0, beta=0.1)"), [7])


def test_gauss_nodes_of_the_mean_that_do_not_do_are_not_used(tmp_path: Path) -> None:
    # A sharp row against a mean that is known to a tenth only.
    rows = [{"yi": 0.1, "vi": 0.04}, {"yi": 0.3, "vi": 0.04}, {"yi": 0.25, "vi": 1e-6}]
    _assert_scores(
        problem(written(tmp_path, rows), "common-effect", mu="Cauchy(alpha=0, beta=1)"), [2]
    )


def test_log_densities_are_of_z_whatever_the_scale() -> None:
    rows = {"ri": "ri", "ni": "ni"}
    raw = load_studies(REFERENCES / "molloy2014.csv", columns=rows, measure="COR")
    encoded = problem(raw)
    found = _solved(encoded)
    whole = exact.integrate(encoded)
    y = encoded.evidence.y
    for study in (0, 5):
        rest = exact.integrate(problem_without(encoded, encoded.evidence.study == study))
        expected = whole.log_integral - rest.log_integral + math.log(1 - y[study] ** 2)
        assert found.studies[study].log_density == pytest.approx(expected, abs=1e-9)
        assert found.effects[study].log_density == found.studies[study].log_density
    _assert_scores(encoded, [0, 5])


def test_the_log_evidence_is_the_sum_of_what_studies_add_one_by_one() -> None:
    encoded = problem(molloy())
    total, rest = 0.0, encoded
    while rest.evidence.k > 1:
        total += _solved(rest).studies[-1].log_density or math.nan
        rest = problem_without(rest, np.arange(rest.evidence.k) == rest.evidence.k - 1)
    total += exact.integrate(rest).log_integral
    assert exact.integrate(encoded).log_evidence == pytest.approx(total, abs=1e-9)


def test_an_effect_with_siblings_is_predicted_from_them(tmp_path: Path) -> None:
    encoded = problem(written(tmp_path, NESTED), "three-level")
    found = _solved(encoded)
    assert [score.name for score in found.effects] == list(encoded.evidence.effect_names)
    whole = exact.integrate(encoded).log_integral
    for row, score in enumerate(found.effects):
        rest = exact.integrate(problem_without(encoded, np.arange(6) == row))
        assert score.log_density == pytest.approx(whole - rest.log_integral, abs=1e-9)
        assert (score.pit, score.crps) == ((), None)
    assert found.elpd_loo == pytest.approx(sum(s.log_density or 0 for s in found.studies))
    assert found.elpd_loo_effects == pytest.approx(sum(s.log_density or 0 for s in found.effects))


def test_a_score_that_does_not_exist_has_a_reason_and_no_sum(tmp_path: Path) -> None:
    found = _solved(
        problem(
            written(tmp_path, NESTED[:3]),
            "three-level",
            mu="Flat()",
            tau_study="HalfNormal(sigma=1)",
        )
    )
    assert found.elpd_loo is not None
    pair = written(tmp_path, [{"yi": 0.1, "vi": 0.01}, {"yi": 0.4, "vi": 0.01}])
    found = _solved(problem(pair, mu="Flat()", tau="Jeffreys()"))
    assert found.elpd_loo is None
    assert found.studies[0].reason is not None
    assert (found.studies[0].log_density, found.studies[0].error) == (None, None)


def test_a_law_without_a_mean_has_no_crps(tmp_path: Path) -> None:
    # With one row left, the mean goes as far as a half-Cauchy tau does: tau**-2.
    rows = [{"yi": 0.1, "vi": 0.01}, {"yi": 0.4, "vi": 0.01}, {"yi": 0.2, "vi": 0.01}]
    for k, exists in ((2, False), (3, True)):
        found = _solved(problem(written(tmp_path, rows[:k]), mu="Flat()", tau="HalfCauchy(beta=1)"))
        assert all((score.crps is not None) is exists for score in found.studies)
        assert all(len(score.pit) == 1 for score in found.studies)


def test_a_fit_has_its_scores() -> None:
    (found,) = fit_many([problem(molloy())], Settings())
    assert found.leave_out is not None
    assert found.leave_out.elpd_loo == pytest.approx(7.683237424, abs=1e-9)
    assert all((score.error or 0) < 1e-9 for score in found.leave_out.studies)


# Slow: many nodes take a minute; few are held to quad above.
@pytest.mark.slow
def test_few_nodes_of_heterogeneity_score_as_many_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = problem(written(tmp_path, NESTED), "three-level", mu="Cauchy(alpha=0, beta=0.3)")
    whole = exact.integrate(encoded)
    few = leave_out(encoded, whole)
    monkeypatch.setattr("metarho.engines.exact.leave_out._MANY_NODES", 10**9)
    many = leave_out(encoded, whole)
    for one, other in zip(few.studies, many.studies, strict=True):
        assert one.crps is not None and other.crps is not None and one.crps != other.crps
        # What is promised of the scores.
        assert one.crps == pytest.approx(other.crps, abs=1e-8)
        assert one.pit == pytest.approx(other.pit, abs=1e-8)
