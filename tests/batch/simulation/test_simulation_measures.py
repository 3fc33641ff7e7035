"""Measures of a method: by hand, and their Monte Carlo errors against repeated simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from metarho.batch.simulation.measures import of_bayes_factors, of_new_study, of_parameter


def test_measures_are_those_of_the_literature_by_hand() -> None:
    median = np.array([0.1, 0.3, -0.4, 0.2])
    lower = np.array([-0.1, 0.1, -0.6, 0.25])
    upper = np.array([0.3, 0.5, -0.2, 0.35])
    found = of_parameter(0.2, median, lower, upper, may_be_0=True)
    assert found["coverage"] == pytest.approx(2 / 4)
    assert found["coverage_mcse"] == pytest.approx(math.sqrt(0.5 * 0.5 / 4))
    assert found["bias"] == pytest.approx(-0.15)
    assert found["bias_mcse"] == pytest.approx(np.std(median, ddof=1) / 2)
    assert found["rmse"] == pytest.approx(math.sqrt(np.mean((median - 0.2) ** 2)))
    assert found["width"] == pytest.approx(np.mean(upper - lower))
    # Three intervals exclude 0; of their estimates one has the wrong sign.
    assert found["excludes_0"] == pytest.approx(3 / 4)
    assert found["type_s"] == pytest.approx(1 / 3)
    assert found["type_m"] == pytest.approx((0.3 + 0.4 + 0.2) / 3 / 0.2)


def test_what_has_no_cases_is_blank() -> None:
    one = (np.array([0.1]), np.array([-0.1]), np.array([0.3]))
    at_0 = of_parameter(0.0, *one, may_be_0=True)
    assert at_0["type_s"] is None and at_0["type_m"] is None
    assert at_0["excludes_0"] == 0
    sd = of_parameter(0.2, *one, may_be_0=False)
    assert sd["excludes_0"] is None
    nothing = of_parameter(0.2, *(np.empty(0),) * 3, may_be_0=True)
    assert set(nothing.values()) == {None}


def test_monte_carlo_errors_are_the_spread_of_repeated_simulations() -> None:
    rng = np.random.default_rng(1)
    names = ("coverage", "bias", "rmse", "width", "excludes_0", "type_s", "type_m")
    values: dict[str, list[float]] = {name: [] for name in names}
    errors: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(400):
        median = rng.normal(0.1, 0.1, 300)
        half = rng.uniform(0.1, 0.2, 300)
        found = of_parameter(0.1, median, median - half, median + half, may_be_0=True)
        for name in names:
            values[name].append(float(found[name] or 0))
            errors[name].append(float(found[f"{name}_mcse"] or 0))
    for name in names:
        # The sd of 400 numbers is known to 3.5%, the mean error better: four of these, and what the
        # delta method leaves out.
        assert np.mean(errors[name]) == pytest.approx(np.std(values[name], ddof=1), rel=0.16), name


def test_a_new_study_lies_in_its_interval_as_often_as_draws_say() -> None:
    lower, upper = np.array([-0.1, 0.0, 0.3]), np.array([0.2, 0.5, 0.4])
    found = of_new_study(0.2, 0.15, lower, upper, upper - lower)
    law = stats.norm(0.2, 0.15)
    assert found["coverage"] == pytest.approx(np.mean(law.cdf(upper) - law.cdf(lower)))
    known = of_new_study(0.2, 0.0, lower, upper, upper - lower)
    assert known["coverage"] == pytest.approx(2 / 3)


def test_bayes_factors_mislead_on_the_wrong_side_of_a_threshold() -> None:
    log_bf = np.log([20.0, 5.0, 1.0, 0.2, 0.05])
    at_0, beyond = of_bayes_factors(0.0, log_bf), of_bayes_factors(0.3, log_bf)
    assert at_0["bf_misleading_3"] == pytest.approx(2 / 5)
    assert at_0["bf_misleading_10"] == pytest.approx(1 / 5)
    assert beyond["bf_misleading_3"] == pytest.approx(2 / 5)
    assert at_0["bf_undecided_3"] == beyond["bf_undecided_3"] == pytest.approx(1 / 5)
    assert at_0["bf_undecided_10"] == pytest.approx(3 / 5)
    assert at_0["log_bf_mean"] == pytest.approx(np.mean(log_bf))
