"""Priors: read as literals, printed back as they were, refused with a sentence."""

from __future__ import annotations

import math

import pytest

from cases import CUT, JOINT, PRIORS, TRANSFORMED, WEIGHTS
from metarho.errors import InputError
from metarho.spec.priors import (
    COMING,
    FAMILIES,
    LARGEST_NUMBER,
    LONGEST_PRIOR,
    MOST_COMPONENTS,
    REFERENCES,
    Prior,
    parse_prior,
)

EXAMPLES = {**PRIORS, **JOINT, **WEIGHTS}

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
    "PenalizedComplexity": (0.0, math.inf),
    "Lomax": (0.0, math.inf),
    "StretchedBeta": (-1.0, 1.0),
    "NormalMixture": (-math.inf, math.inf),
    "Truncated": (-0.3, 0.2),
    **dict.fromkeys(REFERENCES, (0.0, math.inf)),
    **dict.fromkeys(JOINT, (-math.inf, math.inf)),
    **dict.fromkeys(WEIGHTS, (0.0, 1.0)),
}

IMPROPER = {"Flat", "SquareRoot", "Jeffreys", "BergerDeely", "OverallJeffreys"}


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
def test_what_is_improper_and_what_is_a_point(family: str) -> None:
    prior = parse_prior(EXAMPLES[family])
    assert prior.proper is (family not in IMPROPER)
    assert prior.is_point is (family == "DiracDelta")


@pytest.mark.parametrize("text", [*TRANSFORMED, *CUT])
def test_transformed_and_truncated_priors_print_back_to_themselves(text: str) -> None:
    prior = parse_prior(text)
    assert parse_prior(str(prior)) == prior
    assert hash(parse_prior(str(prior))) == hash(prior)


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
    given = dict.fromkeys(FAMILIES[family].arguments, "0.5") | {argument: value}
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


SUPPORTS_ON = {
    "Uniform(lower=-1, upper=1) on r": (-math.inf, math.inf),
    "Uniform(lower=-0.5, upper=0.5) on r": (-math.atanh(0.5), math.atanh(0.5)),
    "Beta(alpha=2, beta=2) on r": (0.0, math.inf),
    "Uniform(lower=0.01, upper=0.25) on tau2": (0.1, 0.5),
    "InverseGamma(alpha=1, beta=0.1) on tau2": (0.0, math.inf),
    "Flat() on tau2": (0.0, math.inf),
    "Truncated(dist=Normal(mu=0, sigma=1), lower=0.04) on tau2": (0.2, math.inf),
}


@pytest.mark.parametrize("text", SUPPORTS_ON)
def test_the_support_is_on_the_parameter_s_own_scale(text: str) -> None:
    prior = parse_prior(text)
    assert prior.on == text.rpartition(" ")[2]
    assert prior.support == pytest.approx(SUPPORTS_ON[text])


@pytest.mark.parametrize("space", [" on r", "  on  r ", "on r"])
def test_space_around_the_scale_does_not_matter(space: str) -> None:
    text = "Uniform(lower=-1, upper=1)"
    assert parse_prior(text + space) == parse_prior(f"{text} on r")


@pytest.mark.parametrize(
    ("text", "moved"),
    [("DiracDelta(c=0.04) on tau2", 0.2), ("DiracDelta(c=0.5) on r", math.atanh(0.5))],
)
def test_a_point_is_moved_to_the_parameter_s_own_scale(text: str, moved: float) -> None:
    assert parse_prior(text) == Prior("DiracDelta", (("c", moved),))


NOT_ON = {
    "Normal(mu=0.2, sigma=0.1) on r": "has mass outside -1 to 1, r has none",
    "Flat() on r": "has mass outside -1 to 1",
    "Truncated(dist=Normal(mu=0, sigma=1), lower=-1) on r": "has mass outside -1 to 1",
    "DiracDelta(c=1) on r": "has mass outside -1 to 1",
    "Normal(mu=0, sigma=1) on tau2": "has mass below 0, tau2 has none",
    "DiracDelta(c=-1) on tau2": "has mass below 0",
    "Jeffreys() on tau2": "has a scale of its own",
    "DuMouchel() on r": "has a scale of its own",
    "StudentT(nu=3, mu=0, sigma=1) on mu/tau": "use Normal or NormalMixture",
    "Normal(mu=0, sigma=1) on tau/mu": "not 'on tau/mu'",
    "HalfNormal(sigma=1) on z": "'on r' or 'on mu/tau' (for mu) or 'on tau2' (for tau), not 'on z'",
}


@pytest.mark.parametrize("text", NOT_ON)
def test_a_prior_that_does_not_fit_its_scale_is_refused(text: str) -> None:
    assert NOT_ON[text] in refusal(text)


def test_a_truncated_normal_is_read_and_printed_as_a_truncation() -> None:
    prior = parse_prior("TruncatedNormal(mu=0, sigma=1, lower=0)")
    assert str(prior) == "Truncated(dist=Normal(mu=0, sigma=1), lower=0)"
    assert prior == parse_prior(str(prior))


UNCUTTABLE = {
    "Truncated(dist=Normal(mu=0, sigma=1))": "give lower, upper or both",
    "TruncatedNormal(mu=0, sigma=1)": "give lower, upper or both",
    "TruncatedNormal(mu=0, lower=1)": "sigma missing",
    "Truncated(lower=1)": "dist missing; write Truncated(dist=..., lower=..., upper=...)",
    "Truncated(dist=Normal(mu=0, sigma=1), lower=1, upper=1)": "lower must be less than upper",
    "Truncated(dist=HalfNormal(sigma=1), upper=0)": "nothing is left",
    "Truncated(dist=Beta(alpha=1, beta=1), lower=1, upper=2)": "mass between 0 and 1",
    "Truncated(dist=Flat(), lower=0)": "Flat cannot be truncated; allowed: Beta, Cauchy",
    "Truncated(dist=DiracDelta(c=0), lower=-1)": "DiracDelta cannot be truncated",
    "Truncated(dist=TruncatedNormal(mu=0, sigma=1, upper=1), lower=0)": "Truncated cannot be",
    "Truncated(dist=1, lower=0)": "is not a prior",
    "Truncated(dist=Normal(mu=0, sigma=1), lower=inf)": "lower must be a number",
    "Truncated(dist=Normal(mu=0, sigma=1), lower=1e101)": "lower is 1e+101; sizes from",
    **{f"Truncated(dist={name}(), lower=0)": f"{name} cannot be" for name in sorted(REFERENCES)},
}


@pytest.mark.parametrize("text", UNCUTTABLE)
def test_a_truncation_that_makes_no_sense_is_refused(text: str) -> None:
    assert UNCUTTABLE[text] in refusal(text)


TWENTY_ONE = str([1] * (MOST_COMPONENTS + 1))
UNMIXABLE = {
    "NormalMixture(w=[1], mu=[0, 1], sigma=[1])": "equal length, not w 1, mu 2, sigma 1",
    "NormalMixture(w=[1, 0], mu=[0, 1], sigma=[1, 1])": "w[1] must be greater than 0",
    "NormalMixture(w=[1], mu=[0], sigma=[-1])": "sigma[0] must be greater than 0",
    "NormalMixture(w=1, mu=[0], sigma=[1])": "w must be a list of 1 to 20 numbers",
    "NormalMixture(w=[], mu=[], sigma=[])": "w must be a list of 1 to 20 numbers",
    f"NormalMixture(w={TWENTY_ONE}, mu=[0], sigma=[1])": "w must be a list of 1 to 20 numbers",
    "NormalMixture(w=[1], mu=[x], sigma=[1])": "mu[0] must be a number",
    "NormalMixture(w=[1], mu=[0])": "sigma missing; write NormalMixture(w=[...], mu=[...], sig",
}


@pytest.mark.parametrize("text", UNMIXABLE)
def test_a_mixture_that_makes_no_sense_is_refused(text: str) -> None:
    assert UNMIXABLE[text] in refusal(text)


@pytest.mark.parametrize("alpha", [1, 1.5])
def test_the_tail_of_a_penalised_complexity_prior_is_a_probability(alpha: float) -> None:
    assert "alpha must be less than 1" in refusal(f"PenalizedComplexity(upper=1, alpha={alpha})")


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
