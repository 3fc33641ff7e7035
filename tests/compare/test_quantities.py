"""Quantities of many posteriors at once: against fits of their own, and against SciPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import halfnorm, norm

from cases import alliance, eight_schools, molloy, problem, reference_studies
from metarho.compare.quantities import quantities_of, refusal, values_of, way
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many
from metarho.spec.analysis import Interval
from metarho.spec.claims import NAMES, Quantity, parse_quantity

SETTINGS = Settings()
EVERYTHING = (*(Quantity(name) for name in NAMES), Quantity("rho", 0.1), Quantity("rho_new", -0.05))
# From priors a hundred times narrower than the evidence to ones a hundred times wider.
MU = ("Normal(mu=0, sigma=0.002)", "Normal(mu=0.3, sigma=0.2)", "Normal(mu=-1, sigma=30)", "Flat()")
TAU = (
    "HalfNormal(sigma=0.001)",
    "HalfNormal(sigma=0.3)",
    "HalfCauchy(beta=2)",
    "InverseGamma(alpha=1, beta=0.15)",
    # The shared panels do not resolve it: it is cut at an edge.
    "Uniform(lower=0, upper=0.17)",
)


def _grid() -> list[Problem]:
    return [problem(molloy(), mu=mu, tau=tau) for mu, tau in itertools.product(MU, TAU)]


def _alone(one: Problem, settings: Settings = SETTINGS) -> list[float]:
    (fit,) = fit_many([one], settings)
    return quantities_of(fit, EVERYTHING, settings)


def test_every_quantity_of_many_is_that_of_a_fit_of_its_own() -> None:
    problems = _grid()
    found = values_of(problems, EVERYTHING, SETTINGS)
    assert found.error is not None and found.error < 1e-8
    assert found.statuses == ("ok",) * len(problems)
    for one, numbers in zip(problems, found.numbers, strict=True):
        np.testing.assert_allclose(numbers, _alone(one), rtol=1e-8, atol=1e-8, equal_nan=True)


def test_a_flat_mean_has_no_evidence_and_no_bayes_factor_of_an_effect() -> None:
    problems = _grid()
    found = values_of(problems, EVERYTHING, SETTINGS)
    for one, numbers in zip(problems, found.numbers, strict=True):
        named = dict(zip(map(str, EVERYTHING), numbers, strict=True))
        flat = not one.prior("mu").proper
        assert math.isnan(named["log_evidence"]) == flat
        assert math.isnan(named["bf_mu"]) == flat
        # A shared improper prior cancels.
        assert math.isfinite(named["bf_tau"])


def test_quantities_are_those_of_adaptive_integration() -> None:
    """Own densities: y | mu, tau normal, prior normal and half-normal, tau integrated by SciPy."""
    one = problem(molloy(), mu="Normal(mu=0.1, sigma=0.2)", tau="HalfNormal(sigma=0.3)")
    wanted = [parse_quantity(t) for t in ("lower", "new_upper", "P(rho > 0.1)", "rho_mean", "tau")]
    lower, new_upper, above, rho_mean, tau = values_of([one], wanted, SETTINGS).numbers[0]
    y, v = one.evidence.y, one.evidence.v

    def given(t: float) -> tuple[float, float, float]:
        """The density of tau up to a constant; mean and variance of mu given tau."""
        total = v + t**2
        precision = 1 / 0.04 + np.sum(1 / total)
        mean = (0.1 / 0.04 + np.sum(y / total)) / precision
        log_joint = norm.logpdf(y, mean, np.sqrt(total)).sum() + norm.logpdf(mean, 0.1, 0.2)
        log_joint -= norm.logpdf(mean, mean, precision**-0.5)
        return float(np.exp(log_joint - 5) * halfnorm.pdf(t, scale=0.3)), mean, 1 / precision

    def average(function: Callable[[float, float, float], float], end: float = 3.0) -> float:
        def integrand(t: float) -> float:
            density, mean, variance = given(t)
            return density * float(function(t, mean, variance))

        return float(quad(integrand, 0, end, points=[0.05, 0.15, 0.4], limit=400, epsabs=1e-14)[0])

    whole = average(lambda t, m, s: 1.0)

    def probability(x: float, new: bool = False) -> float:
        return (
            average(lambda t, m, s: norm.cdf(math.atanh(x), m, math.sqrt(s + t**2 * new))) / whole
        )

    # SciPy's absolute error, over an integral of about 1.
    assert probability(lower) == pytest.approx(0.025, abs=1e-9)
    assert probability(new_upper, new=True) == pytest.approx(0.975, abs=1e-9)
    assert above == pytest.approx(1 - probability(0.1), abs=1e-9)
    below_tau = quad(lambda t: given(t)[0], 0, tau, epsabs=1e-14)[0]
    assert below_tau / whole == pytest.approx(0.5, abs=1e-9)
    x, weights = np.polynomial.hermite_e.hermegauss(60)
    mean_r = (
        average(
            lambda t, m, s: float(np.tanh(m + math.sqrt(s + t**2) * x) @ weights / weights.sum())
        )
        / whole
    )
    assert rho_mean == pytest.approx(mean_r, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "mods"),
    [("common-effect", None), ("three-level", None), ("random-effects", "~ center(year)")],
)
def test_other_conjugate_models_are_read_at_once_too(name: str, mods: str | None) -> None:
    problems = [
        problem(alliance("drop"), name, mods, mu=f"Normal(mu=0, sigma={sigma})")
        # Two levels take a second each.
        for sigma in ((0.05,) if name == "three-level" else (0.05, 0.5))
    ]
    wanted = [Quantity("upper"), Quantity("rho_mean"), Quantity("bf_mu"), Quantity("rho_new", 0.1)]
    found = values_of(problems, wanted, SETTINGS)
    for one, numbers in zip(problems, found.numbers, strict=True):
        (fit,) = fit_many([one], SETTINGS)
        np.testing.assert_allclose(numbers, quantities_of(fit, wanted, SETTINGS), atol=1e-8)


@pytest.mark.parametrize("kind", ["heavy", "hdi", "intervals"])
def test_what_is_no_mixture_of_normals_is_fitted_one_by_one(kind: str) -> None:
    settings = Settings(interval=Interval(kind="hdi")) if kind == "hdi" else SETTINGS
    mu = "StudentT(nu=4, mu=0, sigma=0.3)" if kind == "heavy" else "Normal(mu=0, sigma=0.3)"
    studies = alliance("use" if kind == "intervals" else "drop")
    one = problem(studies, mu=mu)
    assert way(one, settings) == "one by one"
    wanted = [Quantity("lower"), Quantity("bf_mu"), Quantity("rho", 0.1)]
    heard: list[str] = []
    told = replace(settings, announce=lambda event, problem: heard.append(event))
    numbers = values_of([one, one], wanted, told).numbers
    (fit,) = fit_many([one], settings)
    expected = [
        fit.pooled.lower,
        values_of([one], [Quantity("bf_mu")], settings).numbers[0, 0],
        1 - float(fit.posterior.mean_of(fit.posterior.head).cdf(np.array(math.atanh(0.1)))),
    ]
    np.testing.assert_allclose(numbers[0], np.array(expected, dtype=float), rtol=1e-12)
    # Refits for Bayes factors are not what a progress bar counts.
    assert heard.count("fitted") <= 2


def test_ways_are_told_by_structure() -> None:
    assert way(problem(molloy()), SETTINGS) == "at once"
    assert way(problem(molloy(), "common-effect"), SETTINGS) == "at once"
    assert way(problem(alliance("drop"), "three-level"), SETTINGS) == "one by one"
    assert way(problem(alliance("use"), "three-level"), SETTINGS) == "slow"
    assert way(problem(alliance("drop"), "exact-r"), SETTINGS) == "slow"
    assert way(problem(alliance("drop"), "mixture"), SETTINGS) == "sampled"


def test_raw_correlations_stay_on_their_scale() -> None:
    one = problem(reference_studies("molloy2014_COR"))
    found = values_of([one], EVERYTHING, SETTINGS).numbers[0]
    np.testing.assert_allclose(found, _alone(one), atol=1e-8)


def test_generic_effects_have_no_correlations() -> None:
    one = problem(eight_schools(), mu="Normal(mu=0, sigma=10)", tau="HalfNormal(sigma=10)")
    for quantity in EVERYTHING:
        told = refusal(one, quantity)
        assert (told is not None) == (quantity.name.startswith("rho")), quantity
    wanted = [Quantity("lower"), Quantity("new_upper"), Quantity("bf_tau")]
    (fit,) = fit_many([one], SETTINGS)
    np.testing.assert_allclose(
        values_of([one], wanted, SETTINGS).numbers[0],
        quantities_of(fit, wanted, SETTINGS),
        rtol=1e-9,
    )


def test_quantities_that_priors_leave_without_meaning_are_refused_with_the_reason() -> None:
    flat = problem(molloy(), mu="Flat()")
    assert "improper" in str(refusal(flat, Quantity("bf_mu")))
    assert "improper" in str(refusal(flat, Quantity("log_evidence")))
    common = problem(molloy(), "common-effect")
    assert "heterogeneity free" in str(refusal(common, Quantity("bf_tau")))
