"""The sampled engine against metafor's rma.mv: three levels on the rows of crede2010.

With mu and slopes Flat() and both sds Uniform(0, 1) all priors have density 1: the log density that
is sampled is the log likelihood, its peak maximum likelihood, and its posterior what R sums over
rma.mv's restricted likelihood.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from cases import attendance, problem, reference
from metarho.engines import exact, nuts
from metarho.engines.nuts.model import build
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.posterior.sampled import monte_carlo_errors
from metarho.spec.analysis import Sampler

type Array = NDArray[np.float64]

RMA_MV: dict[str, Any] = reference("rmamv_surface")
SURFACES: dict[str, Any] = RMA_MV["surfaces"]
SDS = ("tau_study", "tau_effect")
# Two moments of three parameters, with a fixed seed.
MCSE = 4.0


def _flat(name: str) -> Problem:
    """The problem of a surface with priors of density 1."""
    mods = "~ `class`" if name == "class" else None
    priors = {"mu": "Flat()", **dict.fromkeys(SDS, "Uniform(lower=0, upper=1)")}
    if mods:
        priors["beta"] = "Flat()"
    return problem(attendance(SURFACES[name]["rho"]), "three-level", mods, **priors)


def _values(coefficients: Array, sds: Array) -> dict[str, float]:
    """The model's own values of coefficients and sds, which it has as log(sd / (1 - sd))."""
    names = ["mu", *(f"beta_{at}" for at in range(len(coefficients) - 1))]
    found = dict(zip(names, coefficients, strict=True))
    return found | {f"{sd}_interval__": at for sd, at in zip(SDS, logit(sds), strict=True)}


@pytest.mark.parametrize("name", SURFACES)
def test_the_density_that_is_sampled_is_the_likelihood_of_rma_mv(name: str) -> None:
    model = build(_flat(name))
    height = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    rng = np.random.default_rng(4)
    for truth in SURFACES[name]["at"]:
        estimate, covariance = np.array(truth["coef"]), np.array(truth["vb"])
        for se_away in (0.0, 1.0, 4.0):
            away = se_away * np.sqrt(np.diag(covariance)) * rng.choice([-1.0, 1.0], len(estimate))
            # With the sds held it is quadratic in the coefficients.
            expected = truth["ll"] - 0.5 * away @ np.linalg.solve(covariance, away)
            at = _values(estimate + away, np.array([truth[sd] for sd in SDS]))
            # R prints 15 digits: a log likelihood of 40 to 1e-13, a covariance to 1e-14 of itself.
            assert float(height(at)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", ["plain", "correlated"])
def test_the_density_that_is_sampled_peaks_at_the_maximum_likelihood_of_rma_mv(name: str) -> None:
    truth = SURFACES[name]["ml"]
    model = build(_flat(name))
    names = [variable.name for variable in model.value_vars]
    height = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    slope = model.compile_dlogp(jacobian=False, mode="FAST_COMPILE")

    def below(point: Array) -> tuple[float, Array]:
        at = dict(zip(names, point, strict=True))
        return -float(height(at)), -np.asarray(slope(at), dtype=float)

    start = _values(np.zeros(1), np.array([0.5, 0.5]))
    first = np.array([start[name] for name in names])
    found = minimize(below, first, jac=True, method="BFGS", options={"gtol": 1e-9})
    at = dict(zip(names, found.x, strict=True))
    sds = expit([at[f"{sd}_interval__"] for sd in SDS])
    # nlminb stops when the likelihood changes by 1e-10 of itself: 1e-5 sds of an estimate.
    assert at["mu"] == pytest.approx(truth["coef"][0], abs=1e-6)
    assert np.square(sds) == pytest.approx(np.array(truth["sigma2"]), abs=1e-6)
    assert -found.fun == pytest.approx(truth["ll"], abs=1e-9)


@pytest.mark.slow
def test_the_sampled_posterior_is_what_r_sums_over_rma_mv() -> None:
    truth = RMA_MV["posterior"]
    (draws,) = nuts.fit_many([(_flat("plain"), 20261127)], Sampler())
    for name in ("mu", *SDS):
        values = draws.parameters[name]
        errors = monte_carlo_errors(values, 0.95)
        assert abs(values.mean() - truth[name]["mean"]) < MCSE * errors["mean"], name
        assert abs(values.std() - truth[name]["sd"]) < MCSE * errors["sd"], name


def test_the_exact_posterior_is_what_r_sums_over_rma_mv() -> None:
    encoded = _flat("plain")
    parameters = Exact(encoded, exact.integrate(encoded)).parameters
    for name in ("mu", *SDS):
        seen = parameters[name].summary(0.95, "eti")
        truth = RMA_MV["posterior"][name]
        # R's sums over 40 and over 28 nodes of each sd differ by 1.3e-4: over 40 they are closer.
        assert [seen.mean, seen.sd] == pytest.approx([truth["mean"], truth["sd"]], abs=1e-5)
