"""Families of priors that are equal in one respect: against SciPy's distributions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import expon, halfcauchy, halfnorm, invgamma, lognorm, lomax, t, uniform

from cases import alliance, molloy, problem
from metarho.compare.matched import (
    FAMILIES,
    Match,
    expected_share,
    matched,
    matched_prior,
    quantile,
    reference_error,
    respect,
)
from metarho.compare.quantities import quantities_of
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.spec.claims import parse_quantities
from metarho.spec.priors import Prior, parse_prior

V = np.array([0.01, 0.02, 0.03, 0.005])
WANTED = parse_quantities(["lower,P(rho > 0.1),bf_tau"])


def _scipy(prior: Prior) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """Density and quantile function."""
    a = prior.values
    match prior.family:
        case "HalfNormal":
            law = halfnorm(scale=a["sigma"])
        case "HalfStudentT":
            half = t(a["nu"], scale=a["sigma"])
            return lambda x: 2 * half.pdf(x), lambda p: float(half.ppf((1 + p) / 2))
        case "HalfCauchy":
            law = halfcauchy(scale=a["beta"])
        case "Exponential":
            law = expon(scale=1 / a["lam"])
        case "LogNormal":
            law = lognorm(a["sigma"], scale=math.exp(a["mu"]))
        case "Lomax":
            law = lomax(a["alpha"], scale=a["scale"])
        case "Uniform":
            law = uniform(a["lower"], a["upper"] - a["lower"])
        case "InverseGamma":
            law = invgamma(a["alpha"], scale=a["beta"])
        case _:
            raise AssertionError(prior.family)
    return law.pdf, lambda p: float(law.ppf(p))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_quantiles_of_priors_are_scipys(family: str, share: float) -> None:
    prior = FAMILIES[family]
    assert quantile(prior, share, V) == pytest.approx(_scipy(prior)[1](share), rel=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_expected_share_is_an_integral_that_scipy_agrees_on(family: str) -> None:
    prior = matched_prior(family, "median", 0.3, V)
    density, _ = _scipy(prior)
    sigma = float(np.exp(np.log(np.sqrt(V)).mean()))
    assert reference_error(V) == pytest.approx(sigma, rel=1e-14)
    end = prior.support[1]
    # Over tau = x/(1 - x), so that heavy tails end.
    last = end / (1 + end) if math.isfinite(end) else 1.0
    value, _ = quad(
        lambda x: density(x / (1 - x)) * x**2 / (x**2 + (sigma * (1 - x)) ** 2) / (1 - x) ** 2,
        0,
        last,
        limit=400,
        epsabs=1e-12,
    )
    assert expected_share(prior, V) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("match", ["median", "tail", "information"])
@pytest.mark.parametrize("value", [0.03, 0.45])
def test_a_matched_prior_has_what_was_asked_by_scipys_numbers(
    family: str, match: Match, value: float
) -> None:
    prior = matched_prior(family, match, value, V)
    assert prior.family == family
    if match == "information":
        # Held to SciPy above.
        assert expected_share(prior, V) == pytest.approx(value, abs=1e-10)
    else:
        found = _scipy(prior)[1](0.5 if match == "median" else 0.95)
        assert found == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("text", ["Gamma(alpha=0.5, beta=2) on tau2", "DuMouchel()"])
def test_other_priors_have_these_respects_too(text: str) -> None:
    prior = parse_prior(text)
    if prior.is_reference:
        # s0/(s0 + tau) is uniform: the median is s0.
        expected = math.sqrt(len(V) / float(np.sum(1 / V)))
    else:
        from scipy.stats import gamma

        expected = math.sqrt(gamma(0.5, scale=0.5).ppf(0.5))
    assert respect("median", prior, V) == pytest.approx(expected, rel=1e-9)


def test_a_share_that_no_width_has_is_refused() -> None:
    for value in (0.0, 1.0, 1.2):
        with pytest.raises(InputError, match="no HalfNormal expects"):
            matched_prior("HalfNormal", "information", value, V)


@pytest.mark.parametrize("match", ["median", "tail", "information"])
def test_quantities_under_matched_families_are_those_of_separate_fits(match: Match) -> None:
    base = problem(molloy(), tau="HalfCauchy(beta=0.2)")
    found = matched(base, "tau", match, [0.2, 1.0, 5.0], WANTED, Settings())
    v = base.evidence.v
    # The model's own family is not drawn twice.
    assert len(found.families) == len(FAMILIES) and "HalfCauchy" not in found.families
    assert found.values[1] == pytest.approx(found.own)
    for i, family in enumerate(found.families):
        for j in range(3):
            prior = found.priors[i][j]
            assert respect(match, prior, v) == pytest.approx(found.values[j], rel=1e-8), family
        (fit,) = fit_many([problem(molloy(), tau=str(found.priors[i][1]))], Settings())
        expected = quantities_of(fit, WANTED, Settings())
        np.testing.assert_allclose(found.numbers[i, 1], expected, rtol=1e-8)
    assert found.of(WANTED[0]).shape == (8, 3)


@pytest.mark.parametrize("tau", ["Jeffreys()", "DuMouchel()", "DiracDelta(c=0.1)", "Flat()"])
def test_priors_without_a_scale_cannot_be_matched(tau: str) -> None:
    base = problem(alliance("drop"), tau=tau)
    with pytest.raises(InputError, match=r"no such argument|no proper prior"):
        matched(base, "tau", "median", [1.0], WANTED, Settings())
