"""The exact engine before anything is known of the rows: its posterior is the prior."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtr

from cases import alliance, molloy, problem
from metarho.engines import exact
from metarho.engines.problem import Problem, before_data, encode
from metarho.posterior.exact import Exact
from metarho.spec.lookup import shipped_folder
from metarho.spec.model import read_model
from metarho.spec.priors import parse_prior

# P(mu + tau·e <= x) given tau, with e standard normal: closed forms, and for t a mean over the
# precision that makes it a mixture of normals.
NEW: Mapping[str, Callable[[float, float], float]] = {
    "Normal(mu=0.1, sigma=0.3)": lambda x, t: float(ndtr((x - 0.1) / math.hypot(0.3, t))),
    "Uniform(lower=-0.4, upper=0.9)": lambda x, t: (area(x + 0.4, t) - area(x - 0.9, t)) / 1.3,
    "StudentT(nu=4, mu=0.1, sigma=0.2)": lambda x, t: of_precision(
        lambda w: float(ndtr((x - 0.1) / math.hypot(0.2 / math.sqrt(w), t)))
    ),
}
TAU: Mapping[str, Callable[[float], float]] = {
    "HalfNormal(sigma=0.25)": lambda t: 2 * math.exp(-8 * t**2) * 4 / math.sqrt(2 * math.pi),
    "Exponential(lam=4)": lambda t: 4 * math.exp(-4 * t),
    "LogNormal(mu=-1.8, sigma=0.6)": lambda t: (
        math.exp(-0.5 * ((math.log(t) + 1.8) / 0.6) ** 2) / (0.6 * t * math.sqrt(2 * math.pi))
    ),
}


def area(x: float, t: float) -> float:
    """The integral of the cdf of Normal(0, t) up to x."""
    u = x / t
    return float(t * (u * ndtr(u) + math.exp(-0.5 * u * u) / math.sqrt(2 * math.pi)))


def of_precision(given: Callable[[float], float]) -> float:
    """The mean over Gamma(2, 2), what makes a t of 4 degrees of freedom."""
    return float(quad(lambda w: given(w) * 4 * w * math.exp(-2 * w), 0, 25, epsabs=1e-11)[0])


def prior_of(model: str, **priors: str) -> Problem:
    found = read_model(shipped_folder("models") / f"{model}.yaml")
    given = {name: parse_prior(text) for name, text in priors.items()}
    return before_data(encode(found, molloy(), given))


@pytest.mark.parametrize("mu", NEW)
@pytest.mark.parametrize("tau", TAU)
def test_a_new_effect_before_data_has_the_law_that_the_priors_imply(mu: str, tau: str) -> None:
    asked = prior_of("random-effects", mu=mu, tau=tau)
    new = Exact(asked, exact.integrate(asked)).theta_new(asked.design.average)
    for x in (-0.5, 0.3):

        def at(t: float, x: float = x) -> float:
            return float(NEW[mu](x, t) * TAU[tau](t))

        wanted = quad(at, 1e-12, 12, points=[0.1, 1], epsabs=1e-10)[0]
        # The adaptive rule is asked for 1e-10, and stops at 12.
        assert float(new.cdf(np.array(x))) == pytest.approx(wanted, abs=1e-9)


def test_nothing_is_learned_before_data() -> None:
    asked = prior_of("random-effects")
    found = exact.integrate(asked)
    assert found.log_integral == pytest.approx(0.0, abs=1e-12)
    assert found.quad_err < 1e-10


def test_moments_that_a_prior_lacks_are_not_reported() -> None:
    asked = prior_of("random-effects", tau="HalfCauchy(beta=0.3)")
    summary = Exact(asked, exact.integrate(asked)).tau.summary(0.95, "eti")
    assert summary.mean is None
    assert summary.median == pytest.approx(0.3, rel=1e-9)


@pytest.mark.parametrize("model", ["three-level", "three-level-moderators"])
def test_models_of_several_levels_have_priors_too(model: str) -> None:
    case = problem(alliance("drop"), model)
    asked = before_data(case)
    found = Exact(asked, exact.integrate(asked))
    tau = found.parameters["tau_study"].summary(0.95, "eti")
    prior = case.prior("tau_study")
    assert prior.family == "HalfNormal"
    assert tau.median == pytest.approx(stats.halfnorm(scale=prior.values["sigma"]).median())


def test_selection_says_nothing_of_rows_that_are_not_known() -> None:
    asked = prior_of("selection")
    found = exact.integrate(asked)
    assert found.log_integral == pytest.approx(0.0, abs=1e-9)
