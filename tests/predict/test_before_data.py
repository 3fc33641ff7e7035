"""What priors imply before data: against SciPy, and against the figures that were published."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from metarho.errors import InputError
from metarho.posterior.marginals import Curve
from metarho.posterior.mixtures import Mixture
from metarho.predict.before_data import Implied, as_dict, implied, prior_marginal
from metarho.spec.catalogue import entry
from metarho.spec.priors import parse_prior

MU, TAU = parse_prior("Normal(mu=0.1, sigma=0.3)"), parse_prior("HalfNormal(sigma=0.25)")


@pytest.fixture(scope="module")
def found() -> Implied:
    return implied(MU, TAU)


# slug -> median, 95% point, 97.5% point, P(tau > .3), as computed from the published parameters.
HETEROGENEITY = {
    "robma4-tau-z": (0.169, 0.490, 0.560, 0.23),
    "uisd8-tau-z": (0.084, 0.245, 0.280, 0.016),
    "alliance-tau": (0.101, 0.294, 0.336, 0.046),
    "vanerp-r-hn": (0.152, 0.443, 0.506, 0.18),
    "vanerp-r-ln": (0.162, 0.437, 0.528, 0.15),
    "robma3-tau-z": (0.108, 1.46, 2.96, 0.22),
    "metabma-tau-z": (0.108, 1.46, 2.96, 0.22),
    "cochrane-tau-z": (0.144, 0.81, 1.26, 0.21),
    "cochrane-cmd-tau-z": (0.173, 1.05, 1.66, 0.28),
    "turner-mental-np-tau-z": (0.086, 0.352, 0.461, 0.07),
    "halfcauchy-0.25-z": (0.250, 3.18, 6.36, 0.44),
    "halfcauchy-0.3-z": (0.300, 3.81, 7.64, 0.50),
}


@pytest.mark.parametrize("slug", HETEROGENEITY)
def test_priors_of_tau_have_the_quantiles_of_the_table(slug: str) -> None:
    marginal = prior_marginal("tau", entry(slug).prior)
    assert isinstance(marginal, Curve)
    quantiles = marginal.quantile(np.array([0.5, 0.95, 0.975]))
    above = 1 - float(marginal.cdf(np.array(0.3)))
    *wanted, share = HETEROGENEITY[slug]
    # The table prints two or three digits.
    for value, printed in zip(quantiles, wanted, strict=True):
        assert value == pytest.approx(printed, rel=5e-3, abs=5.1e-4)
    assert above == pytest.approx(share, abs=0.0051)


# What 95% of mean correlations lie within.
MEANS = {
    "robma4-mu-z": 0.753,
    "robma3-mu-z": 0.753,
    "metabma-mu-z": 1.000,
    "cochrane-mu-z": 0.503,
    "cochrane-cmd-mu-z": 0.609,
    "bosco-mu-z": 0.439,
    "alliance-sceptical": 0.286,
}


def _central(slug: str) -> tuple[float, float]:
    """The central 95% of a prior of mu, on r."""
    found = prior_marginal("mu", entry(slug).prior).summary(0.95, "eti")
    assert found.lower is not None and found.upper is not None
    return math.tanh(found.lower), math.tanh(found.upper)


@pytest.mark.parametrize("slug", MEANS)
def test_priors_of_mu_have_the_central_interval_of_the_table(slug: str) -> None:
    assert _central(slug) == pytest.approx((-MEANS[slug], MEANS[slug]), abs=5.1e-4)


def test_a_widened_and_a_broad_prior_have_the_intervals_they_say() -> None:
    for slug, ends in (
        ("alliance-f2f-2018-wide", (0.166, 0.382)),
        ("alliance-optimistic-broad", (-0.09, 0.46)),
    ):
        assert _central(slug) == pytest.approx(ends, abs=0.0051)


# Independent quantile functions.
LAWS: dict[str, Any] = {
    "robma4-mu-z": stats.norm(0, 0.5),
    "metabma-mu-z": stats.cauchy(0, 0.354),
    "cochrane-cmd-mu-z": stats.t(5, 0, 0.275),
    "robma4-tau-z": stats.halfnorm(scale=0.25),
    "robma3-tau-z": stats.invgamma(1, scale=0.075),
    "vanerp-r-ln": stats.lognorm(0.602, scale=math.exp(-1.818)),
    "vanerp-r-gamma": stats.gamma(2.91, scale=1 / 15.67),
    "harrer-tau-z": stats.halfcauchy(scale=0.25),
    # s0/(s0 + tau)² and 2 s0² tau/(s0² + tau²)², s0² = 1/97.
    "bayesmeta-dumouchel": stats.lomax(1, scale=97**-0.5),
    "bayesmeta-shrinkage": stats.burr12(2, 1, scale=97**-0.5),
}


@pytest.mark.parametrize("slug", LAWS)
def test_our_quantiles_are_scipy_s(slug: str) -> None:
    one = entry(slug)
    marginal = prior_marginal(one.parameter, one.prior)
    assert isinstance(marginal, Mixture if slug == "robma4-mu-z" else Curve)
    p = np.array([0.025, 0.25, 0.5, 0.75, 0.975])
    # Panels resolve a density to 1e-9 of its mass.
    assert marginal.quantile(p) == pytest.approx(LAWS[slug].ppf(p), rel=1e-7, abs=1e-8)


def joint(x: float) -> float:
    """P(theta_new <= x), by SciPy's adaptive rule over tau."""
    law = stats.halfnorm(scale=0.25)
    return float(
        quad(lambda t: law.pdf(t) * stats.norm.cdf(x, 0.1, math.hypot(0.3, t)), 0, 3, epsabs=1e-12)[
            0
        ]
    )


def test_true_correlations_spread_as_both_priors_imply(found: Implied) -> None:
    assert found.rho_new.lower is not None and found.rho_new.upper is not None
    assert joint(math.atanh(found.rho_new.lower)) == pytest.approx(0.025, abs=1e-9)
    assert joint(math.atanh(found.rho_new.upper)) == pytest.approx(0.975, abs=1e-9)
    assert found.below_zero == pytest.approx(joint(0.0), abs=1e-9)


def test_heterogeneity_and_i2_are_of_the_prior_of_tau(found: Implied) -> None:
    law = stats.halfnorm(scale=0.25)
    assert found.tau.median == pytest.approx(law.median(), rel=1e-9)
    assert found.tau_above == pytest.approx({0.1: law.sf(0.1), 0.3: law.sf(0.3)}, abs=1e-9)
    for n in (30, 100, 300):
        tau2 = law.ppf(0.975) ** 2
        assert found.i2[n].upper == pytest.approx(100 * tau2 / (tau2 + 1 / (n - 3)), rel=1e-8)


def test_observed_correlations_are_those_of_simulated_studies(found: Implied) -> None:
    rng = np.random.default_rng(5)
    count, n = 200_000, 30
    mu = rng.normal(0.1, 0.3, count)
    rho = np.tanh(mu + np.abs(rng.normal(0, 0.25, count)) * rng.standard_normal(count))
    # r of n pairs by Bartlett's decomposition of a Wishart matrix of two variables.
    a, c = np.sqrt(rng.chisquare(n - 1, count)), np.sqrt(rng.chisquare(n - 2, count))
    b = rng.standard_normal(count)
    y = rho * a + np.sqrt(1 - rho**2) * b
    r = y / np.hypot(y, np.sqrt(1 - rho**2) * c)
    for p, value in ((0.025, "lower"), (0.5, "median"), (0.975, "upper")):
        ours = getattr(found.observed_r[n], value)
        # Four standard errors of a share of 200,000.
        assert (r <= ours).mean() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / count))


def test_an_improper_prior_implies_nothing() -> None:
    with pytest.raises(InputError, match="improper"):
        implied(parse_prior("Flat()"), TAU)


def test_a_known_mean_spreads_by_heterogeneity_alone() -> None:
    found = implied(parse_prior("DiracDelta(c=0.2)"), TAU)
    assert found.rho.lower == found.rho.upper == pytest.approx(math.tanh(0.2))

    def below(x: float) -> float:
        law = stats.halfnorm(scale=0.25)
        return float(quad(lambda t: law.pdf(t) * stats.norm.cdf((x - 0.2) / t), 1e-12, 3)[0])

    assert found.below_zero == pytest.approx(below(0.0), abs=1e-8)


def test_plain_values_leave_out_what_does_not_exist() -> None:
    plain = as_dict(implied(parse_prior("Cauchy(alpha=0, beta=0.1)"), TAU, sizes=(30,)))
    assert plain["mu"] == "Cauchy(alpha=0, beta=0.1)"
    observed = plain["observed_r"]
    assert isinstance(observed, dict)
    assert list(observed) == ["30"]
    assert isinstance(plain["i2"], dict) and plain["i2"]["30"]["mean"] is None


def test_without_spread_observed_correlations_have_the_law_of_r() -> None:
    known = parse_prior("DiracDelta(c=0)")
    found = implied(known, known)
    for n, one in found.observed_r.items():
        # (1 + r)/2 of n people without a correlation is Beta((n − 2)/2, (n − 2)/2).
        law = stats.beta((n - 2) / 2, (n - 2) / 2, loc=-1, scale=2)
        assert (one.lower, one.upper) == pytest.approx((law.ppf(0.025), law.ppf(0.975)), abs=1e-8)
