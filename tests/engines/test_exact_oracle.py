"""The exact engine against pinned high-accuracy references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases import reference, reference_problem
from metarho.engines import exact
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.posterior.effects import draw_effects
from metarho.posterior.exact import Exact
from metarho.posterior.joint import hyperparameters_of_draws, independent_draws
from metarho.posterior.marginals import Kind, Summary

# The oracle's own accuracy (its README); quantiles in posterior sds.
EVIDENCE, MOMENTS, QUANTILES = 1e-9, 1e-8, 1e-7

SETS = ("molloy2014_ZCOR", "eightschools")
SETTINGS = [(name, setting) for name in SETS for setting in reference(f"oracle_{name}")["settings"]]


def _solved(name: str, setting: str) -> tuple[Problem, Quadrature]:
    encoded = reference_problem(name, setting)
    return encoded, exact.integrate(encoded)


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_posterior_equals_the_oracle(name: str, setting: str) -> None:
    truth = reference(f"oracle_{name}")["settings"][setting]
    encoded, quadrature = _solved(name, setting)
    posterior = Exact(encoded, quadrature)
    if truth["log_marginal_likelihood"] is not None:
        assert quadrature.log_evidence == pytest.approx(
            truth["log_marginal_likelihood"], abs=EVIDENCE
        )
    _assert_same(posterior.parameters["mu"].summary(0.95, "eti"), truth["mu"], "central")
    _assert_same(posterior.parameters["tau"].summary(0.95, "eti"), truth["tau"], "central")
    theta = posterior.theta_new(posterior.head)
    _assert_same(theta.summary(0.95, "eti"), truth["theta_new"], "central")


def _assert_same(seen: Summary, truth: dict[str, Any], interval: str) -> None:
    sd = truth["sd"]
    if seen.sd is not None:
        assert seen.sd == pytest.approx(sd, rel=MOMENTS)
    assert seen.mean == pytest.approx(truth["mean"], abs=MOMENTS * sd)
    assert seen.median == pytest.approx(truth["median"], abs=QUANTILES * sd)
    assert [seen.lower, seen.upper] == pytest.approx(truth[interval], abs=QUANTILES * sd)


@pytest.mark.parametrize("quantity", ["mu", "tau", "theta_new"])
def test_shortest_intervals_are_those_of_the_oracle(quantity: str) -> None:
    setting = "tau:hn0.5|mu:n0_1"
    truth = reference("oracle_molloy2014_ZCOR")["settings"][setting][quantity]
    posterior = Exact(*_solved("molloy2014_ZCOR", setting))
    kind: Kind = "hdi"
    marginal = (
        posterior.theta_new(posterior.head)
        if quantity == "theta_new"
        else posterior.parameters[quantity]
    )
    seen = marginal.summary(0.95, kind)
    # The length is flat at its minimum, so its place is known to the root of the quantile error.
    assert [seen.lower, seen.upper] == pytest.approx(truth["shortest"], abs=1e-4 * truth["sd"])


def test_drawn_true_effects_have_the_oracle_s_means_and_sds() -> None:
    setting = "tau:hn0.5|mu:n0_1"
    truth = reference("oracle_molloy2014_ZCOR")["settings"][setting]["shrinkage"]
    encoded, quadrature = _solved("molloy2014_ZCOR", setting)
    rng = np.random.default_rng(1)
    count = 40_000
    drawn = independent_draws(encoded, quadrature, count, rng)
    given = hyperparameters_of_draws(encoded, drawn, rng)
    theta = draw_effects(encoded, given, rng)
    file_order = [int(row.study.removeprefix("row ")) - 1 for row in encoded.evidence.rows]
    mean, sd = np.array(truth["mean"])[file_order], np.array(truth["sd"])[file_order]
    # 16 means and 16 sds, independent draws: 4.5 standard errors.
    assert np.abs(theta.mean(axis=0) - mean).max() < 4.5 * (sd / np.sqrt(count)).max()
    assert np.abs(theta.std(axis=0) / sd - 1).max() < 4.5 * np.sqrt(1.0 / count)
