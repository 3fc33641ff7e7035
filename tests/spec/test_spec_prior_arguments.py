"""Arguments of priors by name: which there are, what they may be, where they are varied."""

from __future__ import annotations

import math

import pytest

from cases import PRIORS
from metarho.errors import InputError
from metarho.spec.prior_arguments import PriorArgument, default_argument, parse_argument
from metarho.spec.priors import Prior, parse_prior
from metarho.spec.scaling import has_scale, rescaled

NORMAL = parse_prior("Normal(mu=0.1, sigma=0.5)")


@pytest.mark.parametrize(
    ("text", "parameter", "name"),
    [
        ("mu.sigma", "mu", "sigma"),
        (" tau.width ", "tau", "width"),
        ("beta[x.y].sigma", "beta[x.y]", "sigma"),
    ],
)
def test_an_argument_is_what_stands_behind_the_last_dot(
    text: str, parameter: str, name: str
) -> None:
    assert parse_argument(text) == PriorArgument(parameter, name)


@pytest.mark.parametrize("text", ["mu", "mu.", ".sigma", "mu.1", "mu.sigma()", "", "mu. sigma"])
def test_anything_else_is_no_argument(text: str) -> None:
    with pytest.raises(InputError, match=r"write parameter\.argument"):
        parse_argument(text)


@pytest.mark.parametrize(
    "family", [name for name in PRIORS if has_scale(parse_prior(PRIORS[name]))]
)
def test_every_argument_that_is_put_into_a_prior_is_there(family: str) -> None:
    prior = parse_prior(PRIORS[family])
    for name, value in (prior.dist or prior).arguments:
        argument = PriorArgument("x", name)
        assert argument.of(prior) == value
        assert argument.of(argument.put_into(prior, value * 1.1)) == pytest.approx(value * 1.1)
        assert argument.put_into(prior, value) == prior


def test_a_width_is_a_factor_of_any_prior_with_a_scale() -> None:
    for text in PRIORS.values():
        prior, width = parse_prior(text), PriorArgument("x", "width")
        if has_scale(prior):
            assert width.of(prior) == 1
            # Read back from its text, as all that is varied.
            assert width.put_into(prior, 2.0) == parse_prior(str(rescaled(prior, 2.0)))
        else:
            with pytest.raises(InputError, match="no such argument"):
                width.of(prior)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("sigma", 0.0, "no finite number above 0"),
        ("sigma", -1.0, "no finite number above 0"),
        ("width", 0.0, "no finite number above 0"),
        ("mu", math.inf, "no finite number"),
        ("sigma", math.nan, "no finite number"),
        ("sigma", 1e200, "sizes from"),
        ("sgima", 1.0, "did you mean 'sigma'"),
    ],
)
def test_what_breaks_the_rules_of_a_prior_is_refused(name: str, value: float, told: str) -> None:
    with pytest.raises(InputError) as error:
        PriorArgument("mu", name).put_into(NORMAL, value)
    assert told in error.value.message


def test_an_upper_end_below_the_lower_is_refused() -> None:
    with pytest.raises(InputError, match="lower must be less than upper"):
        PriorArgument("mu", "upper").put_into(parse_prior("Uniform(lower=0.5, upper=1)"), 0.2)


def test_scales_are_varied_over_a_decade_either_way_and_centres_over_two_scales() -> None:
    assert PriorArgument("mu", "sigma").default_range(NORMAL) == pytest.approx((0.05, 5))
    assert PriorArgument("mu", "mu").default_range(NORMAL) == pytest.approx((-0.9, 1.1))
    log_normal = parse_prior("LogNormal(mu=-2, sigma=0.6)")
    low, high = PriorArgument("tau", "mu").default_range(log_normal)
    assert (math.exp(low + 2), math.exp(high + 2)) == pytest.approx((0.1, 10))


def test_other_arguments_need_a_range() -> None:
    uniform = parse_prior("Uniform(lower=-1, upper=1)")
    for name in ("lower", "upper"):
        with pytest.raises(InputError, match="--from and --to"):
            PriorArgument("mu", name).default_range(uniform)
    assert PriorArgument("tau", "upper").is_scale(parse_prior("Uniform(lower=0, upper=1)"))


@pytest.mark.parametrize("text", PRIORS.values())
def test_the_default_argument_of_a_prior_with_a_scale_is_one_it_has(text: str) -> None:
    prior = parse_prior(text)
    if has_scale(prior):
        argument = default_argument("x", prior)
        assert argument.is_scale(prior)
        assert argument.of(prior) > 0


def test_a_truncation_is_varied_within_what_it_cuts() -> None:
    cut = parse_prior("TruncatedNormal(mu=0.1, sigma=0.2, lower=0)")
    changed = PriorArgument("mu", "sigma").put_into(cut, 0.4)
    assert changed.dist == Prior("Normal", (("mu", 0.1), ("sigma", 0.4)))
    assert changed.values == {"lower": 0.0}
