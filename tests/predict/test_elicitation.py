"""Elicited priors give the statement the probability it was made with, and impossible ones stop."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from metarho.errors import InputError
from metarho.predict.elicitation import between, elicit, mean_between
from metarho.spec.priors import Prior, parse_prior


def probability(mu: Prior, tau: Prior, low: float, high: float) -> float:
    """P(low < tanh(theta) < high), by SciPy's adaptive rule over tau."""
    law, a = stats.halfnorm(scale=tau.values["sigma"]), mu.values

    def at(t: float) -> float:
        new = stats.norm(a["mu"], math.hypot(a["sigma"], t))
        return float(law.pdf(t) * (new.cdf(math.atanh(high)) - new.cdf(math.atanh(low))))

    end = 10 * tau.values["sigma"]
    return float(quad(at, 0, end, epsabs=1e-11, limit=200)[0])


STATEMENTS = [
    (0.10, 0.45, 0.9, 0.5),
    (0.10, 0.45, 0.9, 0.05),
    (0.10, 0.45, 0.9, 0.95),
    (-0.3, 0.2, 0.5, 0.5),
    (0.85, 0.95, 0.99, 0.3),
    (-0.05, 0.05, 0.05, 0.5),
]


@pytest.mark.parametrize("low, high, prob, share", STATEMENTS)
def test_the_statement_has_its_probability(
    low: float, high: float, prob: float, share: float
) -> None:
    found = elicit(low, high, prob, share=share)
    # What is promised, of priors with the digits that are printed.
    assert probability(found.mu, found.tau, low, high) == pytest.approx(prob, abs=1e-6)
    assert found.probability == pytest.approx(prob, abs=1e-6)
    s2, sigma2 = found.mu.values["sigma"] ** 2, found.tau.values["sigma"] ** 2
    assert sigma2 / (s2 + sigma2) == pytest.approx(share, rel=1e-6)
    # The tails are equal, for the middle is the centre on z.
    below = probability(found.mu, found.tau, -0.9999999, low)
    above = probability(found.mu, found.tau, high, 0.9999999)
    assert below == pytest.approx(above, abs=1e-6)


def test_half_of_the_spread_is_heterogeneity_where_nothing_is_said() -> None:
    found = elicit(0.1, 0.45, 0.9)
    assert found.mu.values["sigma"] == found.tau.values["sigma"]


def test_what_is_said_of_the_mean_decides_the_split() -> None:
    mean = mean_between(0.2, 0.35, 0.9)
    law = stats.norm(mean.values["mu"], mean.values["sigma"])
    assert law.cdf(math.atanh(0.35)) == pytest.approx(0.95, abs=1e-6)
    assert law.cdf(math.atanh(0.2)) == pytest.approx(0.05, abs=1e-6)
    found = elicit(0.1, 0.45, 0.9, mean=mean)
    assert found.mu == mean
    assert probability(found.mu, found.tau, 0.1, 0.45) == pytest.approx(0.9, abs=1e-6)


def test_a_prior_of_the_mean_is_kept() -> None:
    mean = parse_prior("Normal(mu=0.15, sigma=0.01)")
    found = elicit(0.1, 0.45, 0.6, mean=mean)
    assert found.priors["mu"] is mean
    assert probability(mean, found.tau, 0.1, 0.45) == pytest.approx(0.6, abs=1e-6)


@given(st.floats(-0.9, 0.8), st.floats(0.02, 0.6), st.floats(0.05, 0.99), st.floats(0.02, 0.98))
@settings(max_examples=25, deadline=None)
def test_more_that_is_claimed_is_less_spread(
    low: float, width: float, prob: float, share: float
) -> None:
    high = min(low + width, 0.97)
    found, bolder = (elicit(low, high, p, share=share) for p in (prob, prob + 0.005))
    assert bolder.tau.values["sigma"] < found.tau.values["sigma"]


def test_the_probability_given_one_spread_is_that_of_a_normal_law() -> None:
    # sigma tiny: no heterogeneity; and the mean known: a mean over tau alone.
    assert between(0.2, 0.1, 1e-9, 0.1, 0.3) == pytest.approx(
        stats.norm(0.2, 0.1).cdf(0.3) - stats.norm(0.2, 0.1).cdf(0.1), abs=1e-12
    )
    law = stats.halfnorm(scale=0.1)
    wanted = quad(lambda t: law.pdf(t) * (2 * stats.norm.cdf(0.1 / t) - 1), 1e-12, 1)[0]
    assert between(0.2, 0.0, 0.1, 0.1, 0.3) == pytest.approx(wanted, abs=1e-9)


IMPOSSIBLE: dict[str, tuple[tuple[float, float, float], dict[str, Any], str]] = {
    "no interval": ((0.5, 0.1, 0.9), {}, "between 0.5 and 0.1 lies nothing"),
    "no correlation": ((0.5, 1.0, 0.9), {}, "and 1 does not"),
    "nan": ((math.nan, 0.5, 0.9), {}, "and nan does not"),
    "certainty": ((0.1, 0.5, 1.0), {}, "a probability lies between 0 and 1, and 1 does not"),
    "next to nothing": ((0.1, 0.1001, 0.9), {}, "shorter than 0.01"),
    "no share": ((0.1, 0.5, 0.9), {"share": 1.0}, "share is a number between 0 and 1, not 1"),
    "a mean elsewhere": (
        (0.1, 0.45, 0.9),
        {"mean": parse_prior("Normal(mu=0.6, sigma=0.1)")},
        "the mean is expected at 0.537, outside 0.1 to 0.45",
    ),
    "a mean too uncertain": (
        (0.1, 0.45, 0.9),
        {"mean": parse_prior("Normal(mu=0.29, sigma=0.2)")},
        "without any heterogeneity 66.3% of studies would lie between 0.1 and 0.45",
    ),
    "a mean that is no normal": (
        (0.1, 0.45, 0.9),
        {"mean": parse_prior("Cauchy(alpha=0, beta=1)")},
        "is a Normal on Fisher's z here, not Cauchy",
    ),
    "beyond every spread": ((-0.9, 0.9, 1e-7), {}, "met by no spread that means anything"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_statement_is_refused_with_the_reason(case: str) -> None:
    (low, high, prob), more, said = IMPOSSIBLE[case]
    with pytest.raises(InputError) as caught:
        elicit(low, high, prob, **more)
    assert said in str(caught.value)


def test_just_possible_and_just_impossible_are_told_apart() -> None:
    mean = parse_prior("Normal(mu=0.3, sigma=0.1)")
    law = stats.norm(0.3, 0.1)
    most = law.cdf(math.atanh(0.45)) - law.cdf(math.atanh(0.1))
    found = elicit(0.1, 0.45, most - 1e-4, mean=mean)
    assert found.probability == pytest.approx(most - 1e-4, abs=1e-6)
    with pytest.raises(InputError, match="leaves no room"):
        elicit(0.1, 0.45, most + 1e-4, mean=mean)
