"""Power scaling by quadrature: closed forms, refits under scaled priors, and ArviZ's estimate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from cases import alliance, molloy, problem
from metarho.compare import exact_power_scaling as exactly
from metarho.compare.exact_power_scaling import diagnosis, exact_power_scaling, numbers_in_words
from metarho.compare.power_scaling import power_scaling
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit

CASES = {
    "conjugate": problem(molloy()),
    "a prior that matters": problem(molloy(), mu="Normal(mu=0, sigma=0.05)"),
    "mu on panels": problem(molloy(), mu="Cauchy(alpha=0, beta=0.2)"),
    "words": problem(alliance("use")),
    "two levels": problem(alliance("drop"), "three-level"),
}


def _fit(encoded: Problem) -> Fit:
    (fit,) = fit_many([encoded], Settings())
    return fit


def test_a_normal_posterior_has_its_closed_form() -> None:
    sigma = 0.05
    encoded = problem(molloy(), "common-effect", mu=f"Normal(mu=0, sigma={sigma})")
    (found,) = exact_power_scaling(_fit(encoded))
    y, w = encoded.evidence.y, 1 / encoded.evidence.v

    def law(of_prior: float, of_rows: float) -> tuple[float, float]:
        precision = of_rows * w.sum() + of_prior / sigma**2
        return float(of_rows * (w @ y) / precision), float(precision**-0.5)

    base = law(1, 1)
    low, high = norm.ppf([1 / 4001, 4000 / 4001], *base)

    def distance(other: tuple[float, float], sign: int) -> float:
        def apart(x: float) -> float:
            p, q = (float(norm.cdf(sign * (x - m) / s)) for m, s in (base, other))
            middle = 0.5 * (p + q)
            return p * math.log2(p / middle) + q * math.log2(q / middle)

        def both(x: float) -> float:
            return float(sum(norm.cdf(sign * (x - m) / s) for m, s in (base, other)))

        top = quad(apart, low, high, epsabs=1e-14, epsrel=1e-10)[0]
        return math.sqrt(top / quad(both, low, high, epsabs=1e-12)[0])

    for number, place in ((found.prior, 0), (found.likelihood, 1)):
        slopes = []
        for power in (0.99, 1.01):
            other = law(*(power if index == place else 1.0 for index in range(2)))
            slopes.append(max(distance(other, 1), distance(other, -1)) / abs(math.log2(power)))
        # A distance is the root of what quad knows to 1e-14.
        assert number == pytest.approx(sum(slopes) / 2, abs=1e-6)


@pytest.mark.parametrize("power", exactly.POWERS)
def test_a_prior_to_a_power_is_refitted_where_it_stays_in_its_family(power: float) -> None:
    encoded = problem(molloy(), mu="Normal(mu=0, sigma=0.05)", tau="HalfNormal(sigma=0.1)")
    root = math.sqrt(power)
    refit = problem(
        molloy(),
        mu=f"Normal(mu=0, sigma={0.05 / root!r})",
        tau=f"HalfNormal(sigma={0.1 / root!r})",
    )
    ours = exactly._scaled(encoded, exact.integrate(encoded), "prior", power)
    theirs = Exact(refit, exact.integrate(refit))
    assert ours is not None
    for name, x in (("mu", np.linspace(0, 0.2, 9)), ("tau", np.linspace(0.02, 0.3, 9))):
        # What is promised of quantities of the exact engine.
        assert ours.parameters[name].cdf(x) == pytest.approx(
            theirs.parameters[name].cdf(x), abs=1e-8
        )


@pytest.mark.parametrize("power", exactly.POWERS)
def test_a_likelihood_to_a_power_is_that_of_panels_of_mu(power: float) -> None:
    # A Student-t prior with so many degrees of freedom is normal, but not conjugate.
    closed = problem(molloy(), mu="Normal(mu=0, sigma=0.05)")
    panels = problem(molloy(), mu="StudentT(nu=100000000000, mu=0, sigma=0.05)")
    one, other = (
        exactly._scaled(encoded, exact.integrate(encoded), "likelihood", power)
        for encoded in (closed, panels)
    )
    assert one is not None and other is not None
    for name, x in (("mu", np.linspace(0, 0.2, 9)), ("tau", np.linspace(0.02, 0.3, 9))):
        assert one.parameters[name].cdf(x) == pytest.approx(other.parameters[name].cdf(x), abs=1e-8)


@pytest.mark.parametrize("name", list(CASES))
def test_arviz_estimates_the_same_from_draws(name: str) -> None:
    fit = _fit(CASES[name])
    for ours, theirs in zip(exact_power_scaling(fit), power_scaling(fit), strict=True):
        assert ours.parameter == theirs.parameter
        # 4,000 draws know a distance to a tenth of it or so.
        assert ours.prior == pytest.approx(theirs.prior, rel=0.2, abs=0.003)
        assert ours.likelihood == pytest.approx(theirs.likelihood, rel=0.2, abs=0.003)


@pytest.mark.parametrize(
    "mu",
    [
        "NormalMixture(w=[0.5, 0.5], mu=[0, 0.3], sigma=[0.1, 0.1])",
        "Normal(mu=0, sigma=2) on mu/tau",
    ],
)
def test_what_leaves_its_family_is_left_out(mu: str) -> None:
    assert exact_power_scaling(_fit(problem(molloy(), mu=mu))) == ()
    assert numbers_in_words(()) is None


def test_the_words_are_those_of_arviz() -> None:
    assert diagnosis(0.06, 0.2) == "potential prior-data conflict"
    assert diagnosis(0.06, 0.01) == "potential strong prior / weak likelihood"
    assert diagnosis(0.01, 0.2) == "✓"
