"""Many priors at once: as the same priors alone, whatever their companions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import alliance, molloy, problem, written
from metarho.engines import exact
from metarho.engines.exact import shared
from metarho.engines.exact.quadrature import Quadrature, solve
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact

TAUS = [
    "HalfNormal(sigma=0.25)",
    "HalfNormal(sigma=0.01)",
    "HalfCauchy(beta=0.3)",
    "InverseGamma(alpha=1, beta=0.075)",
    "LogNormal(mu=-2, sigma=0.6)",
    "Flat()",
    "Jeffreys()",
    "Lomax(alpha=1, scale=0.2)",
    "Gamma(alpha=2, beta=20)",
    "InverseGamma(alpha=2, beta=0.01) on tau2",
]
# Each for a reason: cut at an edge, infinite at 0, far narrower than the likelihood.
ALONE = [
    "Uniform(lower=0, upper=0.2)",
    "Gamma(alpha=0.5, beta=4)",
    "HalfNormal(sigma=0.00001)",
    "Truncated(dist=Normal(mu=0.1, sigma=0.01), lower=0)",
]
MUS = ["Normal(mu=0, sigma=0.5)", "Normal(mu=1, sigma=0.02)", "Flat()", "DiracDelta(c=0)"]


def _problems() -> list[Problem]:
    studies = molloy()
    return [
        problem(studies, mu=mu, tau=tau.replace(" on tau2", ""))
        if "on tau2" not in tau
        else problem(studies, mu=mu, tau2=tau.replace(" on tau2", ""))
        for mu in MUS
        for tau in (*TAUS, *ALONE)
    ]


def test_every_prior_has_the_posterior_that_its_own_panels_give() -> None:
    for encoded, seen in zip(_problems(), exact.fit_many(_problems()), strict=True):
        truth = solve(encoded)
        if truth.log_evidence is not None:
            assert seen.log_evidence == pytest.approx(truth.log_evidence, abs=1e-9)
        ours, theirs = Exact(encoded, seen), Exact(encoded, truth)
        for name, marginal in ours.parameters.items():
            one = marginal.summary(0.95, "eti")
            other = theirs.parameters[name].summary(0.95, "eti")
            sd = other.sd or 1.0
            for number in ("mean", "sd", "median", "lower", "upper"):
                a, b = getattr(one, number), getattr(other, number)
                assert (a is None) == (b is None)
                assert a is None or a == pytest.approx(b, abs=1e-8 * sd), (encoded.priors, number)


def test_numbers_do_not_depend_on_companions() -> None:
    problems = _problems()
    together = list(exact.fit_many(problems))
    reversed_order = list(exact.fit_many(problems[::-1]))[::-1]
    for encoded, one, other in zip(problems, together, reversed_order, strict=True):
        _assert_identical(one, other)
        _assert_identical(one, exact.integrate(encoded))


def _assert_identical(one: Quadrature, other: Quadrature) -> None:
    assert one.log_evidence == other.log_evidence
    assert one.quad_err == other.quad_err
    assert np.array_equal(one.mass, other.mass)
    assert one.mean is not None and other.mean is not None
    assert np.array_equal(one.mean, other.mean)


def test_what_the_shared_panels_do_not_resolve_has_panels_of_its_own() -> None:
    by_prior = {}
    for tau in (*TAUS[:5], *ALONE):
        encoded = problem(molloy(), tau=tau)
        by_prior[tau] = shared.is_shareable(encoded) and next(shared.solve([encoded])) is not None
    assert all(by_prior[tau] for tau in TAUS[:5])
    assert not any(by_prior[tau] for tau in ALONE)


def test_tails_beyond_the_shared_panels_are_told(tmp_path: Path) -> None:
    encoded = problem(written(tmp_path, [{"yi": 0.1, "vi": 0.01}]), tau="HalfCauchy(beta=1)")
    assert list(shared.solve([encoded])) == [None]
    tau = Exact(encoded, exact.integrate(encoded)).parameters["tau"].summary(0.95, "eti")
    assert tau.mean is not None and tau.sd is None


def test_groups_hold_one_structure() -> None:
    one, other = problem(alliance("drop")), problem(alliance("drop"), "common-effect")
    assert exact.structure(one) != exact.structure(other)
    wider = problem(alliance("drop"), mu="Normal(mu=0, sigma=1)")
    assert exact.structure(one) == exact.structure(wider)
    fewer = replace(one, evidence=one.evidence.only(np.arange(one.evidence.k) > 0))
    assert exact.structure(one) != exact.structure(fewer)
    moved = replace(one, evidence=replace(one.evidence, y=one.evidence.y + 0.1))
    assert exact.structure(one) != exact.structure(moved)
    turned = replace(one, design=replace(one.design, matrix=2 * one.design.matrix))
    assert exact.structure(one) != exact.structure(turned)


@given(st.floats(-7, 7), st.floats(-7, 3), st.floats(-3, 3))
@settings(max_examples=60, deadline=None)
def test_shared_panels_are_right_or_step_aside_at_any_scale(
    log_scale: float, log_sigma: float, centre: float
) -> None:
    tau, sigma = float(np.exp(log_scale)), float(np.exp(log_sigma))
    encoded = problem(
        molloy(),
        mu=f"Normal(mu={centre!r}, sigma={sigma!r})",
        tau=f"HalfCauchy(beta={tau!r})",
    )
    (seen,) = shared.solve([encoded])
    if seen is not None:
        assert seen.log_evidence == pytest.approx(solve(encoded).log_evidence, abs=1e-9)


def test_a_prior_inside_the_first_panel_has_panels_of_its_own() -> None:
    narrow = problem(molloy(), tau="Uniform(lower=0, upper=0.000000001)")
    (found,) = exact.fit_many([narrow])
    held = exact.integrate(problem(molloy(), tau="DiracDelta(c=0)"))
    assert found.log_evidence == pytest.approx(held.log_evidence, abs=1e-9)


def test_a_mean_in_units_of_a_tau_that_piles_up_at_0_has_a_posterior() -> None:
    per_tau = "Normal(mu=0.5, sigma=2) on mu/tau"
    steep = exact.integrate(problem(molloy(), mu=per_tau, tau="Gamma(alpha=0.1, beta=3)"))
    assert np.isfinite(steep.log_integral) and steep.quad_err < 1e-8
