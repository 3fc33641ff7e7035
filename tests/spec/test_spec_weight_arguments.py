"""Weights of selection as something to vary, read from text."""

from __future__ import annotations

import pytest

from metarho.errors import InputError
from metarho.spec.model import Step
from metarho.spec.prior_arguments import PriorArgument
from metarho.spec.priors import parse_prior
from metarho.spec.weight_arguments import WeightArgument, parse_varied


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("omega[p > 0.025]", Step(cutpoints=(0.025,))),
        ("omega[p>.5]", Step(cutpoints=(0.5,))),
        ("omega[p < 0.75]", Step(cutpoints=(0.25,), favours="negative")),
        (" omega[ two-sided p > 5e-2 ] ", Step(cutpoints=(0.05,), sides="two")),
    ],
)
def test_a_weight_is_read_and_is_that_of_a_step(text: str, step: Step) -> None:
    weight = parse_varied(text)
    assert isinstance(weight, WeightArgument)
    assert weight.step("z") == step
    assert weight.step("t").test == "t"
    assert parse_varied(str(weight)) == weight


def test_arguments_of_priors_are_read_as_ever_those_of_bands_too() -> None:
    assert parse_varied("mu.sigma") == PriorArgument("mu", "sigma")
    assert parse_varied("omega[0.05-0.5].alpha") == PriorArgument("omega[0.05-0.5]", "alpha")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("omega[0.025]", "is no weight of selection"),
        ("omega[p = 0.025]", "is no weight of selection"),
        ("omega[two-sided p < 0.05]", "is no weight of selection"),
        ("omega[p > 0]", "p lies between 0 and 1"),
        ("omega[p > 1]", "p lies between 0 and 1"),
        ("omega[p > 1e]", "p lies between 0 and 1"),
        ("omega[p > -0.1]", "p lies between 0 and 1"),
        ("omega", "write parameter.argument"),
    ],
)
def test_what_is_no_weight_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_varied(text)


def test_a_weight_is_held_at_a_point_and_goes_by_factors() -> None:
    weight = WeightArgument("p >", 0.025)
    held = weight.put_into(parse_prior("DiracDelta(c=1)"), 0.25)
    assert held == parse_prior("DiracDelta(c=0.25)") and weight.of(held) == 0.25
    assert weight.is_scale(held) and weight.default_range(held) == (0.01, 1.0)
