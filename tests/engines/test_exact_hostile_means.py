"""Hostile data with priors on the mean that are not normal, against SciPy's adaptive cubature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_ndtr

from cases import problem
from cubature import Line, Logarithmic
from hostile import MU, NUMBERS, TAU, fitted, holds, hostile, log_normal, log_t, tau_prior

pytestmark = pytest.mark.hostile

type Array = NDArray[np.float64]
type Density = Callable[[Array], Array]


def _mu_prior(family: str, c: float, s: float) -> tuple[str, Density, float, float]:
    """A prior as metarho says it, its textbook log density, and its support."""
    everywhere = -math.inf, math.inf
    match family:
        case "StudentT":
            said = f"StudentT(nu=3, mu={c}, sigma={s!r})"
            return said, lambda x: log_t(x, 3, c, s), *everywhere
        case "Cauchy":
            said = f"Cauchy(alpha={c}, beta={s!r})"
            return said, lambda x: log_t(x, 1, c, s), *everywhere
        case "Uniform":
            lower, upper = c - s, c + 2 * s
            said = f"Uniform(lower={lower!r}, upper={upper!r})"
            return said, lambda x: np.full(x.shape, -math.log(3 * s)), lower, upper
        case "TruncatedNormal":
            lower, upper = c + 0.5 * s, c + 4 * s
            said = f"TruncatedNormal(mu={c}, sigma={s!r}, lower={lower!r}, upper={upper!r})"
            kept = math.log(math.exp(log_ndtr(-0.5)) - math.exp(log_ndtr(-4.0)))
            return said, lambda x: log_normal(x, c, s**2) - kept, lower, upper
        case "NormalMixture":
            narrow, other = s / 10, c + 5 * s
            said = f"NormalMixture(w=[0.25, 0.75], mu=[{c}, {other!r}], sigma=[{s!r}, {narrow!r}])"

            def mixed(x: Array) -> Array:
                parts = (
                    math.log(0.25) + log_normal(x, c, s**2),
                    math.log(0.75) + log_normal(x, other, narrow**2),
                )
                return np.logaddexp(*parts)

            return said, mixed, *everywhere
    raise ValueError(family)


FAMILIES = st.sampled_from(["StudentT", "Cauchy", "Uniform", "TruncatedNormal", "NormalMixture"])


type Rows = Sequence[tuple[float, float]]
type Drawn = tuple[str, float]


def _holds(numbers: Rows, family: str, mu: tuple[float, float], tau: Drawn) -> None:
    mu_said, log_mu, lower, upper = _mu_prior(family, *mu)
    tau_said, log_tau = tau_prior(*tau)

    def log_density(tau: Array, mu: Array) -> Array:
        rows = [log_normal(y, mu, v + tau**2) for y, v in numbers]
        return np.asarray(sum(rows, log_tau(tau) + log_mu(mu)))

    places = [end for end in (lower, mu[0], mu[0] + 5 * mu[1], upper) if math.isfinite(end)]
    marks = [(place, 0.1 * mu[1]) for place in places] + [(y, math.sqrt(v)) for y, v in numbers]
    rows = [{"yi": y, "vi": v} for y, v in numbers]
    encoded = fitted(rows, lambda studies: problem(studies, mu=mu_said, tau=tau_said))
    holds(encoded, log_density, {"tau": Logarithmic(), "mu": Line(marks, lower, upper)})


@hostile(4)
@given(numbers=NUMBERS, family=FAMILIES, mu=MU, tau=TAU)
def test_any_prior_on_the_mean_gives_the_answer_of_adaptive_cubature(
    numbers: Rows, family: str, mu: tuple[float, float], tau: Drawn
) -> None:
    _holds(numbers, family, mu, tau)


def test_a_spike_beside_the_mass_is_resolved() -> None:
    # At tau near 0 a study of a million makes a ridge of mu a thousandth as wide as the rest.
    rows = [(0.0, 1e-6), (3.4, 0.39), (1.25, 1.01), (3.4, 1.01), (3.4, 1.01)]
    _holds(rows, "StudentT", (0.0, 1.0), ("HalfNormal", 0.38))


def test_a_far_spike_that_decides_the_sd_is_resolved() -> None:
    # The core of the prior has little of the mass and much of the second moment.
    _holds([(0.0, 1.0), (1.765, 1.0)], "Cauchy", (-50.0, 0.0277), ("Exponential", 1.0))
