"""Many priors on one table of likelihoods: as each prior alone, on panels of its own."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, ndtr

from cases import alliance, molloy, problem, written
from metarho.data.studies import Studies
from metarho.engines import exact
from metarho.engines.exact import shared_table
from metarho.engines.exact.quadrature import solve
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.posterior.marginals import Curve

TAUS = [
    "HalfNormal(sigma=0.25)",
    "HalfCauchy(beta=0.3)",
    "InverseGamma(alpha=1, beta=0.075)",
    "Flat()",
]
MUS = ["Normal(mu=0, sigma=0.5)", "Cauchy(alpha=0, beta=0.35)", "Normal(mu=0.285, sigma=0.06)"]
# Each for a reason: cut at an edge, infinite at 0, far narrower than the likelihood.
ALONE = [
    ("Uniform(lower=-1, upper=0.2)", TAUS[0]),
    (MUS[0], "Gamma(alpha=0.5, beta=4)"),
    ("Normal(mu=0.3, sigma=0.0001)", TAUS[0]),
    (MUS[0], "HalfNormal(sigma=0.00001)"),
]


def _words() -> list[Problem]:
    return [problem(alliance("use"), mu=mu, tau=tau) for mu, tau in product(MUS, TAUS)]


def _few(folder: Path) -> Studies:
    rows = [{"ri": r, "ni": n} for r, n in ((0.9, 6), (0.3, 25), (0.5, 12), (0.1, 40))]
    return written(folder, rows, "ZCOR")


def _compare(encoded: Problem, name: str) -> None:
    seen, truth = exact.integrate(encoded), solve(encoded)
    assert seen.log_integral == pytest.approx(truth.log_integral, abs=1e-9)
    ours, theirs = Exact(encoded, seen), Exact(encoded, truth)
    one = ours.parameters[name].summary(0.95, "eti")
    other = theirs.parameters[name].summary(0.95, "eti")
    for number in ("mean", "sd", "median", "lower", "upper"):
        a, b = getattr(one, number), getattr(other, number)
        assert (a is None) == (b is None)
        # What DESIGN promises of moments and quantiles, in posterior sds.
        assert a is None or a == pytest.approx(b, abs=1e-8 * (other.sd or 1.0)), (number, name)


@pytest.mark.parametrize("index", range(len(MUS) * len(TAUS)))
@pytest.mark.parametrize("name", ["mu", "tau"])
def test_priors_on_words_have_the_posteriors_of_their_own_panels(index: int, name: str) -> None:
    encoded = _words()[index]
    assert next(shared_table.solve([encoded])) is not None
    _compare(encoded, name)


@pytest.mark.parametrize("name", ["mu", "tau"])
def test_a_prior_under_the_exact_law_has_the_posterior_of_its_own_panels(
    name: str, tmp_path: Path
) -> None:
    encoded = problem(_few(tmp_path), "exact-r", tau="HalfNormal(sigma=0.1)")
    assert next(shared_table.solve([encoded])) is not None
    _compare(encoded, name)


def test_a_heavy_prior_on_normal_rows_shares_too() -> None:
    encoded = problem(molloy(), mu=MUS[1])
    assert next(shared_table.solve([encoded])) is not None
    _compare(encoded, "mu")


@pytest.mark.parametrize(("mu", "tau"), ALONE)
def test_what_the_table_does_not_resolve_has_panels_of_its_own(mu: str, tau: str) -> None:
    encoded = problem(alliance("use"), mu=mu, tau=tau)
    if shared_table.is_shareable(encoded):
        assert next(shared_table.solve([encoded])) is None
    assert exact.integrate(encoded).log_integral == solve(encoded).log_integral


def test_a_density_that_panels_integrate_and_do_not_draw_has_panels_of_its_own() -> None:
    # Both rules agree on it to 4e-12, and quantiles on these panels would be off by 5e-7 sds.
    encoded = problem(alliance("use"), mu="Normal(mu=0.285, sigma=0.015)")
    ours, theirs = (
        Exact(encoded, found).parameters["mu"]
        for found in (exact.integrate(encoded), solve(encoded))
    )
    assert isinstance(ours, Curve) and isinstance(theirs, Curve)
    p = np.array([0.001, 0.025, 0.3, 0.5, 0.975, 0.999])
    assert ours.quantile(p) == pytest.approx(theirs.quantile(p), abs=1e-8 * 0.015)


def test_a_tail_beyond_the_table_is_not_cut(tmp_path: Path) -> None:
    # Two numbers hardly bound heterogeneity, whose prior has no variance either.
    rows: list[dict[str, object]] = [
        {"ri": 0.3, "ni": 30, "reported": "exact"},
        {"ri": 0.1, "ni": 40, "reported": "exact"},
        {"ni": 50, "reported": "not significant"},
    ]
    encoded = problem(written(tmp_path, rows, "ZCOR"), tau="HalfCauchy(beta=1)")
    assert shared_table.is_shareable(encoded)
    seen, truth = exact.integrate(encoded), solve(encoded)
    assert seen.log_integral == pytest.approx(truth.log_integral, abs=1e-9)


# Spikes between the nodes of both rules, beside a part that they see: nothing shows in the error.
@pytest.mark.parametrize(("location", "sigma"), [(0.3, 1e-4), (0.0, 1e-5)])
def test_a_spike_between_nodes_is_not_lost_beside_a_slab(location: float, sigma: float) -> None:
    def log_integral(mu: str) -> float:
        return exact.integrate(problem(alliance("use"), mu=mu, tau=TAUS[0])).log_integral

    spike, slab = f"Normal(mu={location}, sigma={sigma})", "Normal(mu=0, sigma=0.5)"
    both = f"NormalMixture(w=[1, 3], mu=[{location}, 0], sigma=[{sigma}, 0.5])"
    # The evidence of a mixture is the mixture of its parts' evidence.
    each = np.array([log_integral(spike), log_integral(slab)])
    assert log_integral(both) == pytest.approx(logsumexp(each, b=[0.25, 0.75]), abs=1e-8)


def test_a_spike_of_heterogeneity_between_nodes_is_not_lost_beside_a_slab() -> None:
    def log_integral(tau: str) -> float:
        return exact.integrate(problem(molloy(), tau=tau)).log_integral

    spike, slab = ("Truncated(dist=Normal(mu=0.1234, sigma=1e-6), lower=0)",
                   "Truncated(dist=Normal(mu=0.1, sigma=0.1), lower=0)")  # fmt: skip
    mixture = "NormalMixture(w=[1, 3], mu=[0.1234, 0.1], sigma=[1e-6, 0.1])"
    # The cut takes Φ(−1) of the slab, and the weights are those before it.
    weights = np.array([0.25, 0.75 * ndtr(1)])
    each = np.array([log_integral(spike), log_integral(slab)])
    both = log_integral(f"Truncated(dist={mixture}, lower=0)")
    assert both == pytest.approx(logsumexp(each, b=weights / weights.sum()), abs=1e-8)


def test_numbers_do_not_depend_on_companions() -> None:
    problems = [*_words(), *(problem(alliance("use"), mu=mu, tau=tau) for mu, tau in ALONE[:2])]
    together = list(exact.fit_many(problems))
    reversed_order = list(exact.fit_many(problems[::-1]))[::-1]
    for encoded, one, other in zip(problems[::3], together[::3], reversed_order[::3], strict=True):
        for found in (other, exact.integrate(encoded)):
            assert one.log_integral == found.log_integral
            assert np.array_equal(one.mass, found.mass)


@given(st.floats(-6, 3), st.floats(-6, 3), st.floats(-3, 3))
@settings(max_examples=15, deadline=None)
def test_the_table_is_right_or_steps_aside_at_any_scale(
    log_scale: float, log_sigma: float, centre: float
) -> None:
    tau, sigma = float(np.exp(log_scale)), float(np.exp(log_sigma))
    mu = f"StudentT(nu=4, mu={centre!r}, sigma={sigma!r})"
    encoded = problem(alliance("use"), mu=mu, tau=f"HalfCauchy(beta={tau!r})")
    (seen,) = shared_table.solve([encoded])
    if seen is not None:
        assert seen.log_integral == pytest.approx(solve(encoded).log_integral, abs=1e-9)
