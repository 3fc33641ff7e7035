"""Priors: read as literals, printed back as they were, refused with a sentence."""

from __future__ import annotations

import math

import pytest

from metarho.errors import InputError
from metarho.spec.priors import COMING, FAMILIES, LARGEST_NUMBER, LONGEST_PRIOR, Prior, parse_prior

# Every family once, with arguments that differ from each other.
EXAMPLES = {
    "Normal": "Normal(mu=-0.1, sigma=0.5)",
    "StudentT": "StudentT(nu=4, mu=0.2, sigma=0.5)",
    "Cauchy": "Cauchy(alpha=0.1, beta=0.707)",
    "Uniform": "Uniform(lower=-1, upper=2)",
    "Flat": "Flat()",
    "HalfNormal": "HalfNormal(sigma=0.25)",
    "HalfStudentT": "HalfStudentT(nu=3, sigma=0.5)",
    "HalfCauchy": "HalfCauchy(beta=0.3)",
    "Exponential": "Exponential(lam=4)",
    "Gamma": "Gamma(alpha=2, beta=10)",
    "InverseGamma": "InverseGamma(alpha=1, beta=0.15)",
    "LogNormal": "LogNormal(mu=-2, sigma=0.5)",
    "Beta": "Beta(alpha=2, beta=3)",
    "DiracDelta": "DiracDelta(c=0.1)",
}

SUPPORTS = {
    "Normal": (-math.inf, math.inf),
    "StudentT": (-math.inf, math.inf),
    "Cauchy": (-math.inf, math.inf),
    "Uniform": (-1.0, 2.0),
    "Flat": (-math.inf, math.inf),
    "HalfNormal": (0.0, math.inf),
    "HalfStudentT": (0.0, math.inf),
    "HalfCauchy": (0.0, math.inf),
    "Exponential": (0.0, math.inf),
    "Gamma": (0.0, math.inf),
    "InverseGamma": (0.0, math.inf),
    "LogNormal": (0.0, math.inf),
    "Beta": (0.0, 1.0),
    "DiracDelta": (0.1, 0.1),
}


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_prior(text)
    return str(caught.value)


def test_the_examples_are_all_families() -> None:
    assert set(EXAMPLES) == set(FAMILIES) == set(SUPPORTS)


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_every_family_prints_back_to_itself(text: str) -> None:
    prior = parse_prior(text)
    assert str(prior) == text
    assert parse_prior(str(prior)) == prior


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_mass_where_its_table_says(family: str) -> None:
    assert parse_prior(EXAMPLES[family]).support == SUPPORTS[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_only_flat_is_improper_and_only_dirac_is_a_point(family: str) -> None:
    prior = parse_prior(EXAMPLES[family])
    assert prior.proper is (family != "Flat")
    assert prior.is_point is (family == "DiracDelta")


@pytest.mark.parametrize("text", ["0.1", "1.5e-05", "1234.5678901234567", "0.30000000000000004"])
def test_a_number_survives_printing_to_the_last_digit(text: str) -> None:
    prior = parse_prior(f"HalfNormal(sigma={text})")
    assert prior.values == {"sigma": float(text)}
    assert parse_prior(str(prior)) == prior


def test_the_order_of_arguments_and_spaces_do_not_matter() -> None:
    assert parse_prior(" Normal( sigma = +0.5,\n mu=-.1 ) ") == parse_prior(EXAMPLES["Normal"])


def test_a_misspelt_family_is_refused_with_the_nearest_name() -> None:
    message = refusal("HalfNorml(sigma=1)")
    assert "no family 'HalfNorml'" in message
    assert "did you mean 'HalfNormal'?" in message
    assert all(family in message for family in FAMILIES)


def test_a_misspelt_argument_is_refused_with_the_nearest_name() -> None:
    message = refusal("Normal(mu=0, sgima=1)")
    assert "Normal has no argument 'sgima'" in message
    assert message.endswith("allowed: mu, sigma; did you mean 'sigma'?")


@pytest.mark.parametrize(
    ("family", "argument"),
    [
        (name, argument)
        for name, family in FAMILIES.items()
        for argument, constraint in family.arguments.items()
        if constraint == "positive"
    ],
)
@pytest.mark.parametrize("value", ["-1", "0", "-0.0"])
def test_a_scale_that_is_not_positive_is_refused_with_its_argument(
    family: str, argument: str, value: str
) -> None:
    given = dict.fromkeys(FAMILIES[family].arguments, "1") | {argument: value}
    inside = ", ".join(f"{name}={number}" for name, number in given.items())
    message = refusal(f"{family}({inside})")
    assert f"{argument} must be greater than 0, not {float(value)!r}" in message


@pytest.mark.parametrize("text", ["HalfNormal(0.25)", "Normal(0, sigma=1)", "HalfNormal(**x)"])
def test_positional_and_starred_arguments_are_refused_with_the_form_to_write(text: str) -> None:
    message = refusal(text)
    assert "arguments are given by name" in message
    assert "sigma=..." in message


def test_a_missing_argument_is_named() -> None:
    assert "mu, sigma missing; write StudentT(nu=..., mu=..., sigma=...)" in refusal(
        "StudentT(nu=3)"
    )


def test_an_argument_given_twice_is_refused() -> None:
    assert "mu is given twice" in refusal("Normal(mu=0, mu=1, sigma=1)")


@pytest.mark.parametrize(
    "value",
    [
        "Normal(mu=0, sigma=1)",
        "'1'",
        "True",
        "1j",
        "nan",
        "inf",
        "1 + 1",
        "[1]",
        "x.y",
        "--1",
        "__import__('os').system('true')",
    ],
)
def test_an_argument_that_is_no_literal_number_is_refused(value: str) -> None:
    assert "sigma must be a number" in refusal(f"HalfNormal(sigma={value})")


@pytest.mark.parametrize("value", ["1e999", "9" * 400])
def test_an_argument_that_is_not_finite_is_refused(value: str) -> None:
    assert "sigma must be a finite number" in refusal(f"HalfNormal(sigma={value})")


@pytest.mark.parametrize("size", [2 * LARGEST_NUMBER, 1e300, 0.5 / LARGEST_NUMBER, 1e-300])
def test_a_scale_beyond_what_engines_can_hold_is_refused_with_the_limits(size: float) -> None:
    message = refusal(f"Normal(mu=0, sigma={size})")
    assert f"sigma is {size!r}; sizes from {1 / LARGEST_NUMBER:g} to" in message


@pytest.mark.parametrize("mu", [LARGEST_NUMBER, -LARGEST_NUMBER, 0.1 / LARGEST_NUMBER, 0.0])
def test_a_location_may_be_as_small_as_it_likes_but_not_larger_than_the_limit(mu: float) -> None:
    assert parse_prior(f"Normal(mu={mu}, sigma=1)").values["mu"] == mu
    assert parse_prior(f"HalfNormal(sigma={1 / LARGEST_NUMBER})").values["sigma"] > 0
    assert "mu is" in refusal(f"Normal(mu={2 * LARGEST_NUMBER}, sigma=1)")


@pytest.mark.parametrize("bounds", ["lower=1, upper=0", "lower=1, upper=1"])
def test_a_uniform_prior_without_room_is_refused(bounds: str) -> None:
    assert "lower must be less than upper" in refusal(f"Uniform({bounds})")


@pytest.mark.parametrize(
    "text",
    ["", "x", "1 + 1", "Normal", "pm.Normal(mu=0, sigma=1)", "f(x)(y)", "lambda: 1", "a; b", "("],
)
def test_what_is_no_call_of_a_family_is_refused_with_an_example(text: str) -> None:
    assert "is not a prior" in refusal(text)
    assert "HalfNormal(sigma=0.25)" in refusal(text)


@pytest.mark.parametrize("bracket", ["(", "[", "{"])
@pytest.mark.parametrize("count", [LONGEST_PRIOR, 5000])
def test_thousands_of_brackets_are_refused_shortly(bracket: str, count: int) -> None:
    assert len(refusal(bracket * count)) < 300


def test_a_long_prior_is_refused_before_it_is_parsed() -> None:
    message = refusal("HalfNormal(sigma=1" + " " * LONGEST_PRIOR + ")")
    assert message.startswith(f"a prior may have {LONGEST_PRIOR} characters")


def test_a_prior_on_the_correlation_scale_is_coming_and_not_misspelt() -> None:
    message = refusal("Normal(mu=0.2, sigma=0.1) on r")
    assert "not available yet" in message
    assert "is not a prior" not in message


@pytest.mark.parametrize("family", sorted(COMING))
def test_a_coming_family_is_told_apart_from_a_misspelt_one(family: str) -> None:
    message = refusal(f"{family}(mu=0)")
    assert f"{family} belongs to the grammar but is not available yet" in message
    assert "no family" not in message


def test_coming_families_cannot_be_written_today() -> None:
    assert not COMING & set(FAMILIES)


def test_a_prior_is_a_value() -> None:
    first, second = parse_prior("Normal(mu=0, sigma=1)"), parse_prior("Normal(sigma=1.0, mu=0)")
    assert first == second
    assert hash(first) == hash(second)
    assert first != Prior("Normal", (("mu", 0.0), ("sigma", 2.0)))
