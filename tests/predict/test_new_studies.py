"""Predictions for new studies: mean, true, observed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cases import alliance, problem
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.predict.new_studies import marginal_means, predict
from metarho.spec.analysis import Profile


@pytest.fixture(scope="module", params=["use", "drop"])
def fit(request: pytest.FixtureRequest) -> Fit:
    (found,) = fit_many([problem(alliance(request.param))], Settings())
    return found


def test_predictions_widen_from_mean_to_true_to_observed(fit: Fit) -> None:
    found = predict(fit, Profile(label="x", ni=80), [0.0])
    assert [item.quantity for item in found] == ["mean", "true", "observed"]
    sds = [item.summary.sd or 0 for item in found]
    assert sds[0] < sds[1] < sds[2]


def test_an_observed_r_is_a_true_effect_plus_the_sampling_error_of_z(fit: Fit) -> None:
    observed = predict(fit, Profile(label="x", ni=50), [0.0, 0.1])[-1]
    posterior = fit.tree["posterior"]
    mu, tau = (posterior[name].to_numpy().ravel() for name in ("mu", "tau"))
    spread = np.sqrt(tau**2 + 1 / 47)
    for threshold, probability in zip((0.0, 0.1), observed.probabilities, strict=True):
        simulated = stats.norm.sf((np.arctanh(threshold) - mu) / spread)
        error = simulated.std() / np.sqrt(len(mu))
        assert probability == pytest.approx(simulated.mean(), abs=4 * error)


def test_without_people_nothing_is_observed(fit: Fit) -> None:
    assert [p.quantity for p in predict(fit, Profile(label="x"), [])] == ["mean", "true"]


def test_a_huge_study_observes_its_true_effect(fit: Fit) -> None:
    _, true, observed = predict(fit, Profile(label="x", ni=1e9), [])
    assert observed.summary.upper == pytest.approx(true.summary.upper, abs=1e-7)


def test_profiles_move_the_mean_by_their_slope() -> None:
    (fit,) = fit_many([problem(alliance("drop"), mods="~ guidance")], Settings())
    means = {level: summary for _, level, summary in marginal_means(fit)}
    slope = fit.parameters["beta[guidance[T.unguided]]"].mean or 0
    difference = (
        fit.posterior.mean_of(fit.problem.design.encode({"guidance": "unguided"}))
        .summary(0.95, "eti")
        .mean
    )
    base = (
        fit.posterior.mean_of(fit.problem.design.encode({"guidance": "guided"}))
        .summary(0.95, "eti")
        .mean
    )
    assert (difference or 0) - (base or 0) == pytest.approx(slope, abs=1e-9)
    assert set(means) == {"guided", "unguided"}
