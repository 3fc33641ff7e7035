"""The observed r of a new study under the exact law, against SciPy's adaptive integration."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from cases import molloy, problem
from metarho.engines import exact, law_of_r
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.joint import independent_draws
from metarho.predict.new_studies import predict
from metarho.spec.analysis import Profile

HELD = {"mu": "DiracDelta(c=0.3)", "tau": "DiracDelta(c=0.2)"}
NORMAL = stats.norm(0.3, 0.2)


@pytest.mark.parametrize("n", [4, 30, 5000])
def test_the_law_of_r_is_averaged_over_the_true_effect(n: int) -> None:
    encoded = problem(molloy(), **HELD)
    posterior = Exact(encoded, exact.integrate(encoded))
    found = posterior.observed_z(posterior.head, n)
    for z in (-1.0, 0.0, 0.3, 0.9):

        def integrand(theta: float, z: float = z) -> float:
            return float(law_of_r.cdf(z, theta, n)) * float(NORMAL.pdf(theta))

        cuts = [z + step / math.sqrt(n - 1) for step in (-5, -2, 0, 2, 5)]
        truth, _ = quad(integrand, -2.2, 2.8, points=cuts, epsabs=1e-12, limit=200)
        assert found.cdf(np.array(z)) == pytest.approx(truth, abs=1e-9)


def test_with_millions_of_people_the_observed_r_is_the_true_one() -> None:
    encoded = problem(molloy())
    posterior = Exact(encoded, exact.integrate(encoded))
    z = np.array([-0.1, 0.15, 0.4])
    found = posterior.observed_z(posterior.head, 10_000_000).cdf(z)
    # The law's own variance, 1e-7, against 0.0125 of the true effect.
    assert found == pytest.approx(posterior.theta_new(posterior.head).cdf(z), abs=1e-5)


def test_tails_of_any_weight_lie_within_r() -> None:
    encoded = problem(molloy(), mu="Cauchy(alpha=0, beta=100)", tau="HalfCauchy(beta=100)")
    posterior = Exact(encoded, exact.integrate(encoded))
    found = posterior.observed_z(posterior.head, 20)
    assert found.cdf(np.array(100.0)) == pytest.approx(1.0, abs=1e-12)
    assert found.cdf(np.array(0.0)) == pytest.approx(0.2, abs=0.2)


def test_the_law_may_be_chosen_and_differs_where_samples_are_small() -> None:
    (fit,) = fit_many([problem(molloy())], Settings(engine="exact"))
    for n, least, most in ((10, 2e-3, 2e-2), (2000, 0.0, 2e-4)):
        profile = Profile(label="x", ni=n)
        own, exactly = (predict(fit, profile, [0.2], law)[-1] for law in ("model", "exact"))
        apart = abs(own.probabilities[0] - exactly.probabilities[0])
        assert least <= apart <= most


def test_a_sampled_fit_observes_the_same() -> None:
    (solved,) = fit_many([problem(molloy())], Settings(engine="exact"))
    assert isinstance(solved.result, Quadrature)
    drawn = independent_draws(solved.problem, solved.result, 2000, np.random.default_rng(1))
    chains = {name: values.reshape(2, 1000) for name, values in drawn.items()}
    sampled = replace(solved, engine="nuts", result=Draws(chains, {}, {}, 0.8, False))
    profile = Profile(label="x", ni=12)
    seen, truth = (predict(fit, profile, [], "exact")[-1] for fit in (sampled, solved))
    assert seen.summary.sd is not None and truth.summary.sd is not None
    # Six standard errors of 2000 draws that are independent but for their hyperparameters.
    error = truth.summary.sd / math.sqrt(2000)
    assert seen.summary.mean == pytest.approx(truth.summary.mean, abs=6 * error)
    assert seen.summary.sd == pytest.approx(truth.summary.sd, abs=6 * error)
