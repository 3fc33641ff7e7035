"""Priors made wider within their family."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cases import PRIORS
from metarho.engines.exact.priors import log_density
from metarho.errors import InputError
from metarho.spec.catalogue import read_prior
from metarho.spec.priors import parse_prior
from metarho.spec.scaling import has_scale, rescaled, with_argument

V = np.array([0.02, 0.01])
SCALED = [text for text in PRIORS.values() if has_scale(parse_prior(text))]
# What stays where it is: the location of priors on the line, 0 of the others.
CENTRES = {"Normal": -0.1, "StudentT": 0.2, "Cauchy": 0.1, "Uniform": 0.5}


@pytest.mark.parametrize("text", [text for text in SCALED if "Truncated" not in text])
def test_a_rescaled_prior_is_the_law_of_the_stretched_parameter(text: str) -> None:
    prior, factor = parse_prior(text), 2.5
    centre = CENTRES.get(prior.family, 0.0)
    x = np.array([0.03, 0.1, 0.4])
    stretched = centre + factor * (x - centre)
    np.testing.assert_allclose(
        log_density(rescaled(prior, factor), stretched, V),
        log_density(prior, x, V) - math.log(factor),
        rtol=1e-12,
    )


def test_a_prior_on_tau2_is_stretched_on_tau() -> None:
    prior = parse_prior("InverseGamma(alpha=2, beta=0.1) on tau2")
    x = np.array([0.1, 0.5])
    np.testing.assert_allclose(
        log_density(rescaled(prior, 3.0), 3 * x, V), log_density(prior, x, V) - math.log(3)
    )


def test_a_truncation_is_widened_inside_its_ends() -> None:
    prior = parse_prior("Truncated(dist=Normal(mu=0.1, sigma=0.2), lower=0)")
    assert str(rescaled(prior, 2.0)) == "Truncated(dist=Normal(mu=0.1, sigma=0.4), lower=0)"


@pytest.mark.parametrize(
    "text",
    [
        "Flat()",
        "DiracDelta(c=0.1)",
        "Jeffreys()",
        "StretchedBeta(alpha=1, beta=1)",
        "Uniform(lower=-1, upper=1) on r",
    ],
)
def test_what_has_no_scale_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match="has no scale; families that have: Normal"):
        rescaled(parse_prior(text), 2.0)


def test_an_argument_is_changed_by_name_and_a_wrong_one_is_refused() -> None:
    prior = parse_prior("StudentT(nu=3, mu=0, sigma=0.2)")
    assert str(with_argument(prior, "nu", 7.0)) == "StudentT(nu=7, mu=0, sigma=0.2)"
    with pytest.raises(InputError, match="no argument 'scale'; it has: nu, mu, sigma"):
        with_argument(prior, "scale", 1.0)


def test_a_changed_prior_is_no_longer_the_cited_one() -> None:
    for name in ("robma4-mu-z", "oosterwijk-mu-z"):
        cited = read_prior(name)
        assert cited.cited == name
        assert rescaled(cited, 2.0).cited == ""
        assert with_argument(cited, "sigma", 0.3).cited == ""
