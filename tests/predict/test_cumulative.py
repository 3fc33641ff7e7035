"""Sequential posteriors and the record: one chain of predictions is the evidence."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from cases import CASES, alliance, molloy, problem, written
from metarho.compare.quantities import quantities_of
from metarho.data.arrivals import arrivals
from metarho.data.studies import load_studies
from metarho.engines import exact
from metarho.engines.problem import Problem, problem_without
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.predict.cumulative import Cumulative, cumulative, fits_needed
from metarho.spec.claims import parse_quantities
from metarho.store.store import Store

type Array = NDArray[np.float64]

# What a log evidence is integrated to.
TOLERANCE = 1e-9


def _all(found: Cumulative) -> float:
    """Σ log p(rows of a year | earlier years)."""
    return math.fsum(step.log_score or math.nan for step in found.steps)


def _alone(found: Cumulative) -> float:
    """Σ log score of every row by the law that predicted it."""
    rows = [one for study in found.studies for one in study.forecasts or ()]
    return math.fsum(one.log_score or math.nan for one in rows)


def _years(encoded: Problem, by: str = "year") -> Array:
    return arrivals(alliance().table, encoded.evidence.rows, by)


def _record(encoded: Problem, at: Array) -> Cumulative:
    return cumulative(encoded, at, (0.0, 0.1), Settings())


@pytest.fixture(scope="module")
def few() -> Problem:
    """Some studies of the shipped evidence: several rows, numbers, words and a range."""
    where = 'role == "main" and year < 2015'
    return problem(alliance(where=where))


@pytest.fixture(scope="module")
def record(few: Problem) -> Cumulative:
    return _record(few, _years(few))


CHAINS = {
    "random effects": ("random-effects", 'role == "main" and year in [2011, 2012, 2017]'),
    "three levels": ("three-level", 'effect in ["BN13-1", "PR11-1", "PR11-2"]'),
    "exact law of r": ("exact-r", 'effect in ["BN13-1", "PR11-2"]'),
}


@pytest.mark.parametrize("case", CHAINS.values(), ids=CHAINS)
def test_the_scores_of_the_years_sum_to_the_log_evidence(case: tuple[str, str]) -> None:
    name, where = case
    encoded = problem(alliance(where=where), name)
    assert encoded.evidence.has_intervals
    found = _record(encoded, _years(encoded))
    evidence = exact.integrate(encoded).log_evidence
    assert _all(found) == pytest.approx(evidence, abs=TOLERANCE)
    last = found.steps[-1].belief
    assert last is not None and last.log_evidence == pytest.approx(evidence, abs=TOLERANCE)


@pytest.mark.parametrize("name", ["random-effects", "common-effect", "three-level"])
def test_laws_that_predict_one_row_after_the_other_make_the_evidence(name: str) -> None:
    # Not one difference of two evidences: each row by the density of what predicted it.
    encoded = problem(molloy(), name)
    if name == "three-level":
        encoded = problem_without(encoded, np.arange(16) > 5)
    at = np.random.default_rng(5).permutation(encoded.evidence.k).astype(float)
    found = _record(encoded, at)
    assert len(found.steps) == encoded.evidence.k
    evidence = exact.integrate(encoded).log_evidence
    assert _alone(found) == pytest.approx(evidence, abs=TOLERANCE)
    assert _all(found) == pytest.approx(evidence, abs=TOLERANCE)


def test_laws_of_words_one_after_the_other_make_the_evidence() -> None:
    where = 'effect in ["KM06-1", "JL11-1", "CL16-1", "AN12-1", "BN13-1", "KO20-1"]'
    encoded = problem(alliance(where=where))
    assert encoded.evidence.is_interval.sum() == 4
    found = _record(encoded, _years(encoded))
    # A probability of a word is a difference of two values of a cdf.
    assert _alone(found) == pytest.approx(exact.integrate(encoded).log_evidence, abs=1e-8)


def test_errors_that_correlate_within_a_sample_are_of_one_study_and_one_year(
    tmp_path: Path,
) -> None:
    rows = [
        {"study": s, "sample": s, "effect": e, "ri": r, "ni": n, "reported": "exact", "x": x}
        for s, e, r, n, x in [
            ("a", 1, 0.3, 40, 2), ("a", 2, 0.2, 40, 2), ("b", 1, 0.1, 80, 1), ("c", 1, 0.5, 30, 2),
        ]
    ]  # fmt: skip
    studies = written(tmp_path, rows, "ZCOR", rho_within=0.5)
    encoded = problem(studies, "common-effect")
    found = _record(encoded, arrivals(studies.table, encoded.evidence.rows, "x"))
    y, v = encoded.evidence.y, encoded.evidence.v
    covariance = 0.25 + np.diag(v)
    covariance[0, 1] += 0.5 * v[0]
    covariance[1, 0] += 0.5 * v[0]
    joint = stats.multivariate_normal(np.zeros(4), covariance).logpdf(y)
    assert _all(found) == pytest.approx(joint, abs=TOLERANCE)
    last = stats.multivariate_normal(np.zeros(3), covariance[:3, :3]).logpdf(y[:3])
    first = stats.norm(0, math.sqrt(covariance[2, 2])).logpdf(y[2])
    (a,) = [study for study in found.studies if study.name == "a"]
    assert a.log_score == pytest.approx(last - first, abs=TOLERANCE)


@given(st.lists(st.integers(0, 4), min_size=16, max_size=16))
@settings(max_examples=10, deadline=None)
def test_whatever_the_order_the_years_make_the_evidence(order: list[int]) -> None:
    encoded = problem(molloy())
    found = _record(encoded, np.array(order, dtype=float))
    assert [step.at for step in found.steps] == sorted(set(order))
    evidence = exact.integrate(encoded).log_evidence
    assert _all(found) == pytest.approx(evidence, abs=TOLERANCE)
    assert sum(len(step.studies) for step in found.steps) == 16


def test_studies_of_one_year_do_not_predict_each_other(tmp_path: Path) -> None:
    rows = [{"study": s, "yi": y, "vi": 0.04} for s, y in [("a", 0.2), ("b", 0.5), ("c", -0.1)]]
    encoded = problem(
        written(tmp_path, rows), "random-effects",
        mu="Normal(mu=0, sigma=0.5)", tau="DiracDelta(c=0.1)",
    )  # fmt: skip
    found = _record(encoded, np.array([1.0, 2.0, 2.0]))
    # All is normal: rows share mu, and have 0.04 + 0.1² of their own.
    covariance = 0.25 + 0.05 * np.eye(3)
    joint = stats.multivariate_normal(np.zeros(3), covariance).logpdf([0.2, 0.5, -0.1])
    first = stats.norm(0, math.sqrt(0.3)).logpdf(0.2)
    second = found.steps[1]
    assert found.steps[0].log_score == pytest.approx(first, abs=TOLERANCE)
    assert second.log_score == pytest.approx(joint - first, abs=TOLERANCE)
    apart = [
        stats.multivariate_normal(np.zeros(2), covariance[:2, :2]).logpdf([0.2, y]) - first
        for y in (0.5, -0.1)
    ]
    assert [study.log_score for study in second.studies] == pytest.approx(apart, abs=TOLERANCE)
    assert [study.log_score_prior for study in second.studies] == pytest.approx(
        [stats.norm(0, math.sqrt(0.3)).logpdf(y) for y in (0.5, -0.1)], abs=TOLERANCE
    )
    # They are dependent: what one adds after the other is not what it adds alone.
    assert abs(sum(apart) - (joint - first)) > 0.1


def test_a_study_is_scored_jointly_over_its_rows(few: Problem, record: Cumulative) -> None:
    at, names = _years(few), few.evidence.study_names
    (study,) = [one for one in record.studies if one.name == "Preschl 2011"]
    own = few.evidence.study == names.index("Preschl 2011")
    before = at < 2011
    log = [exact.integrate(problem_without(few, ~rows)).log_integral for rows in (before, own,
           before | own)]  # fmt: skip
    assert study.log_score == pytest.approx(log[2] - log[0], abs=TOLERANCE)
    assert study.log_score_prior == pytest.approx(log[1], abs=TOLERANCE)
    assert study.forecasts is not None and len(study.forecasts) == 2
    alone = sum(one.log_score or math.nan for one in study.forecasts)
    assert abs(alone - (study.log_score or math.nan)) > 0.01
    # A study of one row is scored by the law of that row.
    for one in record.studies:
        if len(one.rows) == 1 and one.forecasts:
            assert one.log_score == pytest.approx(one.forecasts[0].log_score, abs=1e-8)


def test_what_is_known_after_a_year_is_a_fit_of_what_came_until_then(
    few: Problem, record: Cumulative
) -> None:
    at = _years(few)
    names = "rho_median,lower,upper,new_lower,new_upper,tau,P(rho > 0.1),log_evidence,bf_mu"
    for step in record.steps[2:4]:
        (fit,) = fit_many([problem_without(few, at > step.at)], Settings())
        wanted = quantities_of(fit, parse_quantities([names]), Settings())
        belief = step.belief
        assert belief is not None and belief.status == "ok"
        mean, new = belief.mean, belief.new
        found = (mean.median, mean.lower, mean.upper, new.lower, new.upper, belief.tau.median,
                 belief.above[1], belief.log_evidence, belief.bf_mu)  # fmt: skip
        assert found == pytest.approx(wanted, rel=1e-9)
        assert step.k_effects == fit.problem.evidence.k
        assert step.k_studies == len(fit.problem.evidence.study_names)


def test_before_the_first_year_there_is_the_prior(record: Cumulative) -> None:
    prior = record.prior
    assert prior is not None
    assert prior.mean.upper == pytest.approx(math.tanh(stats.norm(0, 0.5).ppf(0.975)), abs=1e-9)
    assert prior.tau.median == pytest.approx(stats.halfnorm(0, 0.25).median(), abs=1e-9)
    assert prior.above[0] == pytest.approx(0.5, abs=1e-12)
    assert (prior.log_evidence, prior.bf_mu) == (0.0, 1.0)
    first = record.studies[0]
    assert first.forecasts == first.prior_forecasts
    assert first.log_score == first.log_score_prior


def test_a_stored_posterior_is_never_taken_for_the_prior(tmp_path: Path) -> None:
    # Rows that are not known yet have the same labels as those that are.
    through = Settings(store=Store(tmp_path / "store", lambda message: None))
    encoded = problem(molloy())
    fit_many([encoded], through)
    at = np.arange(16.0) // 5
    once, again = (cumulative(encoded, at, (0.0,), through) for _ in range(2))
    assert once == again
    assert once.prior is not None and once.prior.mean.median == pytest.approx(0, abs=1e-12)


def test_one_study_is_predicted_by_the_prior_alone(tmp_path: Path) -> None:
    rows = [{"study": "a", "ri": 0.3, "ni": 40, "reported": "exact"}]
    encoded = problem(written(tmp_path, rows, "ZCOR"))
    found = _record(encoded, np.array([2020.0]))
    (step,) = found.steps
    (study,) = step.studies
    assert (step.k_effects, step.k_studies, step.reason) == (1, 1, None)
    assert study.log_score == study.log_score_prior == step.log_score
    assert step.log_score == pytest.approx(exact.integrate(encoded).log_evidence, abs=TOLERANCE)


def test_all_in_one_year_are_predicted_by_the_prior_alone(few: Problem) -> None:
    found = _record(few, np.full(few.evidence.k, 2000.0))
    (step,) = found.steps
    assert all(study.forecasts == study.prior_forecasts for study in step.studies)
    assert step.log_score == pytest.approx(exact.integrate(few).log_evidence, abs=TOLERANCE)


def test_nothing_is_predicted_until_there_is_a_proper_posterior() -> None:
    encoded = problem(molloy(), mu="Flat()", tau="Flat()")
    found = _record(encoded, np.arange(16.0))
    assert found.prior is None
    # Flat tau and mu take three rows.
    predicted = [step.studies[0].forecasts is not None for step in found.steps]
    assert predicted == [False] * 3 + [True] * 13
    assert [step.belief is not None for step in found.steps] == [False] * 2 + [True] * 14
    assert "mu ~ Flat() is improper" in str(found.steps[0].reason)
    assert "the posterior is improper" in str(found.steps[1].reason)
    assert "the posterior is improper" in str(found.steps[2].reason)
    assert found.steps[3].reason is None
    assert all(study.prior_forecasts is None for study in found.studies)
    assert all(step.belief is None or step.belief.bf_mu is None for step in found.steps)
    # From there on the chain holds.
    at = np.arange(16.0)
    first = exact.integrate(problem_without(encoded, at > 2)).log_integral
    scores = [step.log_score for step in found.steps]
    assert scores[:3] == [None] * 3
    whole = exact.integrate(encoded).log_integral
    assert math.fsum(score or 0.0 for score in scores) == pytest.approx(whole - first, abs=1e-9)


def test_with_moderators_all_years_speak_of_one_row() -> None:
    encoded = next(case for case in CASES if case.name == "moderators").problem()
    found = _record(encoded, _years(encoded))
    evidence = exact.integrate(encoded).log_evidence
    assert _all(found) == pytest.approx(evidence, abs=TOLERANCE)
    (fit,) = fit_many([encoded], Settings())
    last = found.steps[-1].belief
    assert last is not None and last.mean.median == pytest.approx(fit.pooled.median, abs=1e-9)
    at = _years(encoded)
    early = found.steps[3]
    (fit,) = fit_many([problem_without(encoded, at > early.at)], Settings())
    row = encoded.design.average
    assert isinstance(fit.posterior, Exact) and abs(fit.posterior.head - row).max() > 0.1
    mean = fit.posterior.rho(fit.posterior.mean_of(row)).summary(0.95, "eti")
    assert early.belief is not None and early.belief.mean == mean
    # The prior of the headline: of an intercept, and slopes times the average row.
    assert found.prior is not None and found.prior.mean.median == pytest.approx(0, abs=1e-12)


def test_every_fit_that_is_announced_is_counted() -> None:
    heard: list[str] = []
    encoded, at = problem(molloy(), mu="Flat()"), np.arange(16.0) // 3
    listening = Settings(announce=lambda event, problem: heard.append(event))
    cumulative(encoded, at, (0.0,), listening)
    # Six years, each of 12 studies of four of them added to those before, and 16 studies alone.
    assert heard.count("fitted") == fits_needed(encoded, at) == 6 + 12 + 16


def test_what_could_not_be_predicted_is_refused_by_name() -> None:
    refused = {
        "model mixture is sampled here": problem(alliance("drop"), "mixture"),
        "use a model without selection": problem(alliance("drop"), "selection"),
        r"tau: Jeffreys\(\) is made from the standard errors": problem(molloy(), tau="Jeffreys()"),
        "tau: DuMouchel": problem(molloy(), tau="DuMouchel()"),
    }
    for told, encoded in refused.items():
        with pytest.raises(InputError, match=told):
            _record(encoded, np.arange(float(encoded.evidence.k)))
    raw = problem(load_studies(Path(molloy().table.source), measure="COR",
                               columns={"ri": "ri", "ni": "ni"}))  # fmt: skip
    with pytest.raises(InputError, match="measure COR takes the sampling variance"):
        _record(raw, np.arange(16.0))
    by_draws = replace(Settings(), engine="nuts")
    with pytest.raises(InputError, match="sampled here"):
        cumulative(problem(molloy()), np.arange(16.0), (), by_draws)
