"""Scores of two fits, and the probabilities of several."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cases import alliance, molloy, problem
from metarho.compare.probabilities import probabilities
from metarho.compare.scores import crps, elpd, elpd_difference, incomparable, study_densities
from metarho.engines.problem import problem_without
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit


def _fits() -> list[Fit]:
    sets = [{}, {"mu": "Normal(mu=0, sigma=0.05)"}, {"tau": "HalfNormal(sigma=0.05)"}]
    return fit_many([problem(molloy(), **priors) for priors in sets], Settings())


def test_elpd_is_the_evidence_of_the_whole_less_that_of_the_rest() -> None:
    # p(study | others) = p(all)/p(others), each from a fit of its own; studies have one row here.
    fit, *_ = _fits()
    rest = fit_many(
        [problem_without(fit.problem, np.arange(16) == row) for row in range(16)], Settings()
    )
    brute = [(fit.log_evidence or 0) - (other.log_evidence or 0) for other in rest]
    assert study_densities(fit) == pytest.approx(brute, abs=1e-8)
    assert elpd(fit) == pytest.approx(math.fsum(brute), abs=1e-7)


def test_a_difference_is_the_sum_over_studies_within_its_interval() -> None:
    first, second, _ = _fits()
    found = elpd_difference(second, first, 0.95, np.random.default_rng(1))
    assert found is not None
    own, other = study_densities(second), study_densities(first)
    assert own is not None and other is not None
    assert found.elpd == pytest.approx((own - other).sum())
    assert found.better == (own > other).sum() and found.studies == 16
    assert found.lower < found.elpd < found.upper
    # The bootstrap's sd of a sum is that of the sample: √(k/(k + 1))·√k·sd.
    sd = np.std(own - other) * 16 / math.sqrt(17)
    # Of 4,000 draws, and of a law that is not normal.
    assert found.upper - found.lower == pytest.approx(2 * 1.96 * sd, rel=0.1)


def test_a_fit_against_itself_differs_by_nothing() -> None:
    first, *_ = _fits()
    found = elpd_difference(first, first, 0.95, np.random.default_rng(1))
    assert found is not None
    assert (found.elpd, found.lower, found.upper, found.better) == (0, 0, 0, 0)


def test_what_is_not_about_the_same_rows_is_not_compared() -> None:
    problems = [problem(alliance(how)) for how in ("use", "drop")] + [problem(molloy())]
    fits = fit_many(problems, Settings())
    assert "interval rows" in (incomparable(fits[0], fits[1]) or "")
    assert "rows are not the same" in (incomparable(fits[1], fits[2]) or "")
    assert elpd_difference(fits[1], fits[2], 0.95, np.random.default_rng(1)) is None
    (again,) = fit_many([problem(molloy().dropping_intervals())], Settings())
    assert incomparable(fits[2], again) is None
    # Each is alone among what it can be compared with.
    assert probabilities(fits) == pytest.approx([1, 1, 1])


def test_probabilities_are_those_of_the_evidence() -> None:
    fits = _fits()
    weights = np.exp([fit.log_evidence or 0.0 for fit in fits])
    assert probabilities(fits) == pytest.approx(list(weights / weights.sum()), rel=1e-12)
    (improper,) = fit_many([problem(molloy(), mu="Flat()")], Settings())
    assert probabilities([*fits, improper])[3] is None


def test_crps_is_the_mean_over_studies() -> None:
    fit, *_ = _fits()
    assert fit.leave_out is not None
    assert crps(fit) == pytest.approx(np.mean([s.crps for s in fit.leave_out.studies]))
