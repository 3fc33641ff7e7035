"""The exact engine against pinned high-accuracy references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases import file_order, reference, reference_problem
from metarho.engines import exact
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.posterior.effects import draw_effects
from metarho.posterior.exact import Exact
from metarho.posterior.joint import hyperparameters_of_draws, independent_draws
from metarho.posterior.marginals import Kind, Summary

# The oracle's own accuracy (its README); quantiles in posterior sds.
EVIDENCE, MOMENTS, QUANTILES = 1e-9, 1e-8, 1e-7

SETS = ("molloy2014_ZCOR", "molloy2014_COR", "eightschools", "bcg_RR")
SETTINGS = [(name, setting) for name in SETS for setting in reference(f"oracle_{name}")["settings"]]


def _solved(name: str, setting: str) -> tuple[Problem, Quadrature]:
    encoded = reference_problem(name, setting)
    return encoded, exact.integrate(encoded)


@pytest.mark.parametrize("name", SETS)
def test_the_oracle_saw_these_effects(name: str) -> None:
    truth = reference(f"oracle_{name}")
    encoded = reference_problem(name, "tau:hn0.5|mu:n0_1")
    at = file_order(encoded)
    # It holds 15 digits.
    assert encoded.evidence.y == pytest.approx(np.array(truth["y"])[at], rel=1e-13, abs=1e-15)
    assert np.sqrt(encoded.evidence.v) == pytest.approx(np.array(truth["sigma"])[at], rel=1e-13)


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


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("quantity", ["mu", "tau", "theta_new"])
def test_shortest_intervals_are_those_of_the_oracle(name: str, quantity: str) -> None:
    setting = "tau:hn0.5|mu:n0_1"
    truth = reference(f"oracle_{name}")["settings"][setting][quantity]
    posterior = Exact(*_solved(name, setting))
    kind: Kind = "hdi"
    marginal = (
        posterior.theta_new(posterior.head)
        if quantity == "theta_new"
        else posterior.parameters[quantity]
    )
    seen = marginal.summary(0.95, kind)
    # The length is flat at its minimum, so its place is known to the root of the quantile error.
    assert [seen.lower, seen.upper] == pytest.approx(truth["shortest"], abs=1e-4 * truth["sd"])


@pytest.mark.parametrize("name", ["molloy2014_ZCOR", "molloy2014_COR", "bcg_RR"])
def test_drawn_true_effects_have_the_oracle_s_means_and_sds(name: str) -> None:
    setting = "tau:hn0.5|mu:n0_1"
    truth = reference(f"oracle_{name}")["settings"][setting]["shrinkage"]
    encoded, quadrature = _solved(name, setting)
    rng = np.random.default_rng(1)
    count = 40_000
    drawn = independent_draws(encoded, quadrature, count, rng)
    given = hyperparameters_of_draws(encoded, drawn, rng)
    theta = draw_effects(encoded, given, rng)
    at = file_order(encoded)
    mean, sd = np.array(truth["mean"])[at], np.array(truth["sd"])[at]
    # 16 means and 16 sds, independent draws: 4.5 standard errors.
    assert np.abs((theta.mean(axis=0) - mean) / sd).max() < 4.5 / np.sqrt(count)
    assert np.abs(theta.std(axis=0) / sd - 1).max() < 4.5 * np.sqrt(1.0 / count)
