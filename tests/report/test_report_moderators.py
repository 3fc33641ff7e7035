"""Moderators as sentences: levels, numbers, and what a probability is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases import alliance, model
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import encode
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.report.moderators import moderators_in_words
from metarho.spec.model import with_mods


def _exact(mods: str) -> Fit:
    spec = with_mods(model("three-level-moderators"), mods)
    (fit,) = fit_many([encode(spec, alliance("drop"))], Settings())
    return fit


def _with_slope(fit: Fit, name: str, values: np.ndarray) -> Fit:
    """The fit with draws in which one slope is what we say."""
    rng = np.random.default_rng(1)
    shape = values.shape
    parameters = {one: np.abs(0.1 * rng.standard_normal(shape)) for one in fit.problem.priors}
    return replace(
        fit, engine="nuts", result=Draws({**parameters, name: values}, {}, {}, 0.8, False)
    )


def test_a_model_without_moderators_has_no_sentences() -> None:
    assert moderators_in_words(_exact("~ 1"), "correlation") == ()


def test_levels_are_told_with_their_counts_and_what_is_open() -> None:
    said = " ".join(moderators_in_words(_exact("~ guidance"), "correlation"))
    assert "By guidance: " in said
    assert "at guided (6 effects) and " in said and "at unguided (4 effects)." in said
    assert "The data do not tell unguided (" in said and "from guided." in said
    assert "The true correlation of a new study like the average one" in said


def test_numbers_are_told_at_their_quartiles() -> None:
    said = " ".join(moderators_in_words(_exact("~ center(year)"), "correlation"))
    assert "By year: " in said and "the quartiles here; the second is not told apart" in said


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.99, "It is clearly higher at unguided than at guided (99%)."),
        (0.93, "It is probably higher at unguided than at guided (93%)."),
        (0.60, "The data do not tell unguided (higher with probability 60%) from guided."),
        (0.08, "It is probably lower at unguided than at guided (92%)."),
    ],
)
def test_a_probability_is_worth_what_it_is_called(share: float, said: str) -> None:
    values = np.where(np.arange(1000) < round(1000 * share), 0.2, -0.2).reshape(2, 500)
    fit = _with_slope(_exact("~ guidance"), "beta[guidance[T.unguided]]", values)
    assert said in moderators_in_words(fit, "correlation")


def test_levels_that_are_unknown_are_counted() -> None:
    spec = with_mods(model("three-level-moderators"), "~ timing")
    problem = encode(spec, alliance())
    rng = np.random.default_rng(2)
    draws = {name: np.abs(0.1 * rng.standard_normal((2, 100))) for name in problem.priors}
    fit = replace(_exact("~ 1"), problem=problem, result=Draws(draws, {}, {}, 0.8, False))
    assert "; of 2 it is unknown." in " ".join(moderators_in_words(fit, "correlation"))
