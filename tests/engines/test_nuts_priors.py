"""Priors in the PyMC engine have the densities of the exact engine's table."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pymc as pm
import pytest

from cases import CUT, JOINT, PRIORS, TRANSFORMED, WEIGHTS, alliance, molloy, problem
from metarho.engines import nuts
from metarho.engines.exact.priors import log_density as exact_log_density
from metarho.engines.nuts.layout import signature
from metarho.engines.nuts.priors import DENSITIES, DISTRIBUTIONS, add_prior, prior_data
from metarho.spec.priors import FAMILIES, Prior, parse_prior
from pymc_density import free_variables, log_density

V = np.array([row.vi for row in molloy().used], dtype=float)
SHARES = np.array([0.07, 0.5, 0.93])

# Point priors are data, and nothing of them is sampled.
DENSE = [text for text in (*PRIORS.values(), *TRANSFORMED, *CUT) if "DiracDelta" not in text]


def _points(low: float, high: float) -> np.ndarray:
    """Points inside a support, where priors have mass."""
    if np.isinf(low) and np.isinf(high):
        return np.array([-0.4, 0.05, 0.3])
    if np.isinf(high):
        return low + np.array([0.02, 0.2, 0.7])
    if np.isinf(low):
        return high - np.array([0.02, 0.2, 0.7])
    return low + SHARES * (high - low)


@pytest.mark.parametrize("text", DENSE)
def test_a_prior_s_density_is_that_of_the_exact_engine(text: str) -> None:
    prior = parse_prior(text)
    positive = prior.on != "r" and not prior.support[0] < 0
    with pm.Model() as model:
        add_prior("x", prior, V, None, positive=positive)
    points = _points(*prior.support)
    expected = exact_log_density(prior, points, V)
    (name,) = free_variables(model)
    # A prior on another scale is that of another variable: the density of the parameter follows.
    moved, log_slope = points, np.zeros(3)
    if prior.on == "r":
        moved, log_slope = np.tanh(points), np.log1p(-(np.tanh(points) ** 2))
    elif prior.on == "tau2":
        moved, log_slope = points**2, np.log(2 * points)
    for at, truth, slope in zip(moved, expected, log_slope, strict=True):
        # The log of 2 in PyMC's half-t has the digits of single precision (2e-9).
        assert log_density(model, {name: at}) + slope == pytest.approx(truth, abs=1e-8, rel=1e-8)


# A truncation of every family, over the same stretch.
TRUNCATED = [
    f"Truncated(dist={text}, lower=0.2, upper=0.4)"
    for name, text in PRIORS.items()
    if name not in ("Truncated", "DiracDelta") and "()" not in text
]


def _words(prior: Prior) -> tuple[object, ...]:
    """What a prior is but for its numbers."""
    return prior.family, prior.on, prior.dist.family if prior.dist else None


@pytest.mark.parametrize("texts", [[*PRIORS.values(), *TRANSFORMED], TRUNCATED])
def test_priors_of_two_families_share_no_compiled_model(texts: list[str]) -> None:
    pairs = list(combinations([parse_prior(text) for text in texts], 2))
    differ = [(one, other) for one, other in pairs if _words(one) != _words(other)]
    # Gamma and InverseGamma, or the eight that have no arguments, differ in nothing else.
    names = [tuple(tuple(one.values) for one in pair) for pair in differ]
    assert sum(one == other for one, other in names) > 9
    for one, other in differ:
        assert signature(one) != signature(other), (str(one), str(other))


def test_problems_whose_priors_are_of_two_families_are_compiled_apart() -> None:
    gamma, inverse, other = (
        problem(alliance(), tau=text)
        for text in (
            "Gamma(alpha=2, beta=0.2)",
            "InverseGamma(alpha=2, beta=0.2)",
            "Gamma(alpha=3, beta=9)",
        )
    )
    assert nuts.structure(gamma) != nuts.structure(inverse)
    assert nuts.structure(gamma) == nuts.structure(other)


SHARED = [
    (one, other)
    for one, other in combinations(DENSE, 2)
    if signature(parse_prior(one)) == signature(parse_prior(other))
]


@pytest.mark.parametrize(("first", "second"), SHARED)
def test_a_compiled_model_that_is_shared_has_the_density_of_each(first: str, second: str) -> None:
    compiled, given = parse_prior(first), parse_prior(second)
    positive = given.on != "r" and not given.support[0] < 0
    with pm.Model() as shared:
        add_prior("x", compiled, V, None, positive=positive)
    pm.set_data(prior_data("x", given, V), model=shared)
    with pm.Model() as own:
        add_prior("x", given, V, None, positive=positive)
    (name,) = free_variables(own)
    for at in _points(*given.own_support):
        assert log_density(shared, {name: at}) == pytest.approx(log_density(own, {name: at}))


def test_every_family_is_in_one_of_the_tables_or_a_point() -> None:
    names = {*DISTRIBUTIONS, *DENSITIES}
    assert names == {*FAMILIES} - {"DiracDelta", "Truncated", *JOINT, *WEIGHTS}
    assert not set(DISTRIBUTIONS) & set(DENSITIES)


def test_a_prior_on_mu_in_units_of_tau_is_multiplied_by_it() -> None:
    prior = parse_prior("Normal(mu=0.5, sigma=2) on mu/tau")
    with pm.Model() as model:
        add_prior("mu", prior, V, pm.Data("total", 0.3), positive=False)
    assert list(free_variables(model)) == ["mu_on_per_tau"]
    assert model["mu"].eval({model["mu_on_per_tau"]: 0.7}) == pytest.approx(0.21)


def test_the_numbers_of_a_prior_are_data_under_names_of_their_own() -> None:
    cut = parse_prior("Truncated(dist=Normal(mu=0.1, sigma=0.2), lower=-0.3)")
    data = prior_data("mu", cut, V)
    assert set(data) == {f"mu_prior_{n}" for n in ("dist_mu", "dist_sigma", "log_mass", "low")}
    assert set(prior_data("tau", parse_prior("UniformI2()"), V)) == {
        "tau_prior_s2",
        "tau_prior_low",
    }
