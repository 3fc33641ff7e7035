"""Prior–data conflict against closed forms, adaptive integrals, simulation and its own law."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad
from scipy.interpolate import PchipInterpolator

from cases import alliance, molloy, problem, written
from metarho.compare.conflict import (
    conflict,
    conflict_by_study,
    headline,
    p_of_mean,
    p_of_spread,
    residual_square,
    study_behind,
    tails_of_spread,
)
from metarho.engines.problem import Problem, problem_without
from simulation import draw_truth, simulate

type Array = NDArray[np.float64]


def covariances(encoded: Problem) -> dict[str, Array]:
    """The covariance of sampling errors, and which rows share a group of each level."""
    evidence = encoded.evidence
    sampling = np.diag(evidence.v)
    for group in evidence.correlated:
        sampling[np.ix_(group.rows, group.rows)] = group.covariance
    same = evidence.study[:, None] == evidence.study
    return {"sampling": sampling, "study": same.astype(float), "effect": np.eye(evidence.k)}


def weighted_mean(encoded: Problem) -> tuple[float, Array]:
    """The precision-weighted mean and the weights of rows in it."""
    w = 1 / encoded.evidence.v
    return float(w @ encoded.evidence.y / w.sum()), w / w.sum()


def two_levels(folder: Path, rho_within: float = 0.5) -> Problem:
    """Seven effects of four studies, whose errors correlate within a study."""
    y, v = (0.3, 0.1, 0.5, 0.2, -0.1, 0.4, 0.6), (0.01, 0.02, 0.01, 0.05, 0.03, 0.02, 0.04)
    rows = [
        {"study": study, "effect": str(i), "yi": yi, "vi": vi}
        for i, (study, yi, vi) in enumerate(zip("AABBCDD", y, v, strict=True))
    ]
    return problem(
        written(folder, rows, rho_within=rho_within),
        "three-level",
        tau_study="HalfNormal(sigma=0.3)",
        tau_effect="Exponential(lam=8)",
    )


def known_levels(encoded: Problem, study: float, effect: float) -> Problem:
    """The same with both level sds known."""
    sds = {"tau_study": study, "tau_effect": effect}
    known = problem(
        alliance("drop"), "three-level", **{n: f"DiracDelta(c={sd})" for n, sd in sds.items()}
    )
    return replace(encoded, priors=known.priors)


def equal_rows(folder: Path, tau: str) -> Problem:
    """Nine effects that are equally precise."""
    y = np.linspace(-0.2, 0.7, 9) ** 3
    rows = [{"study": f"S{i}", "yi": float(yi), "vi": 0.02} for i, yi in enumerate(y)]
    return problem(written(folder, rows), tau=tau)


@pytest.mark.parametrize("tau", [0.0, 0.15])
@pytest.mark.parametrize("mu", [-0.4, 0.1, 1.5])
def test_p_of_a_normal_mean_is_that_of_box_where_tau_is_known(mu: float, tau: float) -> None:
    encoded = problem(molloy(), mu=f"Normal(mu={mu}, sigma=0.2)", tau=f"DiracDelta(c={tau})")
    t, a = weighted_mean(encoded)
    sd = math.sqrt(0.2**2 + a**2 @ (encoded.evidence.v + tau**2))
    found = conflict(encoded)
    assert found.mu == pytest.approx(2 * stats.norm.cdf(-abs(t - mu) / sd), rel=1e-11)
    assert found.tau is None
    assert "no prior" in (found.no_tau or "")


def test_p_of_the_average_row_holds_slopes_levels_and_correlated_errors(tmp_path: Path) -> None:
    encoded = problem(
        alliance("drop"),
        "three-level",
        "~ center(year)",
        tau_study="DiracDelta(c=0.2)",
        tau_effect="DiracDelta(c=0.1)",
    )
    for one in (encoded, known_levels(two_levels(tmp_path), 0.2, 0.1)):
        x, parts = one.design.matrix, covariances(one)
        row = x.mean(axis=0)
        w = np.diag(1 / one.evidence.v)
        a = row @ np.linalg.solve(x.T @ w @ x, x.T @ w)
        b = np.diag([one.prior(name).values["sigma"] ** 2 for name in one.coefficients])
        y_law = parts["sampling"] + 0.04 * parts["study"] + 0.01 * parts["effect"]
        sd = math.sqrt(a @ y_law @ a + row @ b @ row)
        wanted = 2 * stats.norm.cdf(-abs(a @ one.evidence.y) / sd)
        assert conflict(one).mu == pytest.approx(wanted, rel=1e-11)
    assert two_levels(tmp_path).evidence.correlated


def test_p_of_the_mean_averages_over_the_prior_of_tau() -> None:
    encoded = problem(molloy(), mu="Normal(mu=0.9, sigma=0.2)", tau="HalfNormal(sigma=0.25)")
    t, a = weighted_mean(encoded)

    def given(tau: float) -> float:
        sd = math.sqrt(0.2**2 + a**2 @ (encoded.evidence.v + tau**2))
        return float(2 * stats.norm.cdf(-abs(t - 0.9) / sd) * stats.halfnorm.pdf(tau, scale=0.25))

    wanted = quad(given, 0, 3, points=[0.1, 0.5], epsabs=1e-13)[0]
    # Both rules of nodes agree to 1e-9.
    assert conflict(encoded).mu == pytest.approx(wanted, abs=1e-9)


def test_a_mean_in_units_of_tau_is_wide_where_tau_is() -> None:
    encoded = problem(molloy(), mu="Normal(mu=0, sigma=2) on mu/tau", tau="HalfNormal(sigma=0.25)")
    t, a = weighted_mean(encoded)

    def given(tau: float) -> float:
        sd = math.sqrt(4 * tau**2 + a**2 @ (encoded.evidence.v + tau**2))
        return float(2 * stats.norm.cdf(-abs(t) / sd) * stats.halfnorm.pdf(tau, scale=0.25))

    wanted = quad(given, 0, 3, points=[0.01, 0.1, 0.5], epsabs=1e-13)[0]
    assert conflict(encoded).mu == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    ("mu", "law"),
    [
        ("StudentT(nu=4, mu=0.6, sigma=0.1)", stats.t(4, 0.6, 0.1)),
        ("Cauchy(alpha=0.6, beta=0.1)", stats.cauchy(0.6, 0.1)),
        ("Uniform(lower=0.1, upper=1.1)", stats.uniform(0.1, 1.0)),
    ],
)
def test_p_of_a_mean_that_is_not_normal_is_an_integral_over_it(
    mu: str, law: stats.rv_continuous
) -> None:
    encoded = problem(molloy(), mu=mu, tau="DiracDelta(c=0.1)")
    t, a = weighted_mean(encoded)
    noise = math.sqrt(a**2 @ (encoded.evidence.v + 0.01))
    far = abs(t - 0.6)

    def above(e: float) -> float:
        return float(2 * stats.norm.pdf(e) * law.sf(0.6 + far - noise * e))

    wanted = quad(above, -12, 12, points=[0.0], limit=400, epsabs=1e-12)[0]
    # The adaptive rule is asked for 1e-12 and meets corners of the uniform law.
    assert conflict(encoded).mu == pytest.approx(wanted, abs=1e-9)


def below_level(density: Callable[[Array], Array], t: float) -> float:
    """P(m(T) <= m(t)) by a sum over a million points, of which the ends of stretches miss one."""
    x = np.linspace(-4, 5, 1_000_001)
    height = density(x)
    return float(height[height <= density(np.array([t]))].sum() * (x[1] - x[0]))


@pytest.mark.parametrize("t", [-0.3, 0.02, 0.1, 0.2, 0.26, 0.4, 0.9])
def test_a_mixture_is_conflicted_with_between_its_modes_too(t: float) -> None:
    encoded = problem(
        molloy(),
        mu="NormalMixture(w=[1, 2.5], mu=[0, 0.3], sigma=[0.01, 0.1])",
        tau="DiracDelta(c=0.05)",
    )
    _, a = weighted_mean(encoded)
    noise = a**2 @ (encoded.evidence.v + 0.05**2)

    def density(x: Array) -> Array:
        sds = np.sqrt(np.array([0.01, 0.1]) ** 2 + noise)
        parts = stats.norm.pdf(x[:, None], [0, 0.3], sds)
        return np.asarray(parts @ [1 / 3.5, 2.5 / 3.5])

    found = p_of_mean(encoded, np.array([t]))[0]
    # At most four ends of a stretch, each a step of 1e-5 under a density of at most 10.
    assert found == pytest.approx(below_level(density, t), abs=2e-4)


@pytest.mark.parametrize("t", [-0.35, -0.1, 0.1, 0.19, 0.3])
def test_a_truncated_mean_is_lopsided(t: float) -> None:
    encoded = problem(
        molloy(),
        mu="Truncated(dist=Normal(mu=0.1, sigma=0.2), lower=-0.3, upper=0.2)",
        tau="DiracDelta(c=0.1)",
    )
    _, a = weighted_mean(encoded)
    noise = float(a**2 @ (encoded.evidence.v + 0.01))

    def density(x: Array) -> Array:
        total = 0.04 + noise
        centre, sd = (0.1 * noise + 0.04 * x) / total, math.sqrt(0.04 * noise / total)
        kept = stats.norm.cdf(0.2, centre, sd) - stats.norm.cdf(-0.3, centre, sd)
        whole = stats.norm.cdf(0.2, 0.1, 0.2) - stats.norm.cdf(-0.3, 0.1, 0.2)
        return np.asarray(stats.norm.pdf(x, 0.1, math.sqrt(total)) * kept / whole)

    found = p_of_mean(encoded, np.array([t]))[0]
    # Two ends of a stretch, each a step of 1e-5 under a density of at most 3.
    assert found == pytest.approx(below_level(density, t), abs=1e-4)


@pytest.mark.parametrize(
    ("tau", "law"),
    [
        ("HalfNormal(sigma=0.25)", stats.halfnorm(scale=0.25)),
        ("HalfNormal(sigma=0.004)", stats.halfnorm(scale=0.004)),
        ("HalfNormal(sigma=5)", stats.halfnorm(scale=5)),
        ("HalfCauchy(beta=0.3)", stats.halfcauchy(scale=0.3)),
    ],
)
def test_p_of_heterogeneity_is_a_scaled_chi_squared_law_of_equal_rows(
    tmp_path: Path, tau: str, law: stats.rv_continuous
) -> None:
    encoded = equal_rows(tmp_path, tau)
    y = encoded.evidence.y
    q = float(((y - y.mean()) ** 2).sum() / 0.02)
    assert residual_square(encoded, y[None])[0] == pytest.approx(q, rel=1e-12)
    for value in (0.2 * q, q, 10 * q):
        # Over the share of the prior below, which has ends also where tau has none.
        def below(share: float, value: float = value) -> float:
            return float(stats.chi2.cdf(value / (1 + law.ppf(share) ** 2 / 0.02), 8))

        cdf = quad(below, 0, 1, epsabs=1e-12, limit=400)[0]
        found = p_of_spread(encoded, np.array([value]))[0]
        assert found == pytest.approx(2 * min(cdf, 1 - cdf), abs=1e-8)


def test_p_under_a_prior_far_wider_than_the_rows_is_the_integral_over_it() -> None:
    encoded = problem(molloy(), tau="HalfCauchy(beta=1)")
    q = residual_square(encoded, encoded.evidence.y[None])

    def below(angle: float) -> float:
        known = problem(molloy(), tau=f"DiracDelta(c={math.tan(angle)!r})")
        return float(tails_of_spread(known, q)[0, 0])

    # With tau = tan(angle) the prior is uniform in the angle; F falls within a few sds of a row.
    wanted = quad(below, 0, math.pi / 2, points=[0.1, 0.3, 1], epsabs=1e-9, limit=60)[0]
    assert tails_of_spread(encoded, q)[0, 0] == pytest.approx(2 / math.pi * wanted, abs=1e-8)


@pytest.mark.parametrize("k", [16, 100])
@pytest.mark.parametrize("times", [1.0, 3.0])
def test_p_of_heterogeneity_of_many_rows_is_an_integral_over_its_prior(
    k: int, times: float, tmp_path: Path
) -> None:
    # Of many rows the law of Q is sharp, and more panels hold it.
    rows = [{"yi": 0.01 * i, "vi": 0.01} for i in range(k)]
    encoded = problem(written(tmp_path, rows), tau="HalfNormal(sigma=0.3)")
    q, turn = times * k, 0.1 * math.sqrt(max(times * k / (k - 1) - 1, 0.01))

    def below(tau: float) -> float:
        law = stats.chi2.cdf(q / (1 + tau**2 / 0.01), k - 1)
        return float(2 * stats.norm.pdf(tau, 0, 0.3) * law)

    ends = [0, 0.7 * turn, turn, 1.3 * turn, 2 * turn + 0.3, 4]
    wanted = math.fsum(quad(below, a, b, epsabs=1e-12)[0] for a, b in pairwise(ends))
    # What a law is settled to.
    assert tails_of_spread(encoded, np.array([q]))[0, 0] == pytest.approx(wanted, abs=1e-9)


def test_a_tail_that_rounds_to_nothing_is_not_below_0() -> None:
    encoded = problem(molloy(), tau="Exponential(lam=1000)")
    assert (tails_of_spread(encoded, np.array([1.0, 300.0])) >= 0).all()


def test_both_p_values_of_two_levels_are_what_is_simulated(tmp_path: Path) -> None:
    encoded = two_levels(tmp_path)
    parts, rng, n = covariances(encoded), np.random.default_rng(5), 200_000
    k = encoded.evidence.k
    between = np.abs(rng.normal(0, 0.3, (n, 1)))
    within = rng.exponential(1 / 8, (n, 1))
    mu = rng.normal(0, 0.5, (n, 1))
    groups = rng.standard_normal((n, 4))[:, encoded.evidence.study]
    errors = rng.standard_normal((n, k)) @ np.linalg.cholesky(parts["sampling"]).T
    drawn = mu + between * groups + within * rng.standard_normal((n, k)) + errors

    observed = encoded.evidence.y
    _, a = weighted_mean(encoded)
    precision = np.linalg.inv(parts["sampling"])

    def square(y: Array) -> Array:
        mean = y @ precision.sum(axis=0) / precision.sum()
        return np.asarray(np.einsum("ni,ij,nj->n", y, precision, y) - precision.sum() * mean**2)

    above = np.mean(square(drawn) > square(observed[None]))
    wanted = np.mean(np.abs(drawn @ a) >= abs(observed @ a)), 2 * min(above, 1 - above)
    found = conflict(encoded)
    # Four standard errors of a share, twice that of 2 min.
    error = 4 * 0.5 / math.sqrt(n)
    assert found.mu == pytest.approx(wanted[0], abs=error)
    assert found.tau == pytest.approx(wanted[1], abs=2 * error)


def test_a_total_and_its_share_are_the_levels_they_split_into(tmp_path: Path) -> None:
    levels = two_levels(tmp_path)
    split = problem(
        alliance("drop"), "three-level", tau="DiracDelta(c=0.2)", share="Uniform(lower=0, upper=1)"
    )
    found = conflict(replace(levels, priors=split.priors))

    def at(share: float) -> float:
        known = known_levels(levels, 0.2 * math.sqrt(share), 0.2 * math.sqrt(1 - share))
        return conflict(known).mu or math.nan

    nodes, weights = np.polynomial.legendre.leggauss(12)
    wanted = 0.5 * sum(w * at(0.5 * (1 + x)) for x, w in zip(nodes, weights, strict=True))
    # 12 nodes of a function that is almost straight.
    assert found.mu == pytest.approx(wanted, abs=1e-9)
    assert found.tau is not None


def test_studies_that_are_left_out_change_p_as_the_rest_alone_has_it() -> None:
    encoded = problem(molloy(), mu="Normal(mu=0.5, sigma=0.2)")
    whole = conflict(encoded)
    for number, change in enumerate(conflict_by_study(encoded)):
        rest = conflict(problem_without(encoded, encoded.evidence.study == number))
        assert change.study == encoded.evidence.study_names[number]
        assert change.mu == (rest.mu or math.nan) - (whole.mu or math.nan)
        assert change.tau == (rest.tau or math.nan) - (whole.tau or math.nan)


def test_a_study_far_from_all_others_is_behind_the_conflict() -> None:
    encoded = problem(molloy(), tau="HalfNormal(sigma=0.05)")
    y = encoded.evidence.y.copy()
    y[4] = 3.0
    moved = replace(encoded, evidence=replace(encoded.evidence, y=y))
    whole, changes = conflict(moved), conflict_by_study(moved)
    assert (whole.tau or 1) < 1e-6
    assert study_behind(changes, "tau") == encoded.evidence.study_names[4]
    assert study_behind([], "mu") is None


def test_a_law_that_is_not_resolved_costs_its_p_value_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("metarho.compare.conflict._ERROR", -1.0)
    found = conflict(problem(molloy()))
    assert found.mu is None and found.tau is None
    assert "not resolved" in (found.no_mu or "") and "not resolved" in (found.no_tau or "")


def test_what_cannot_be_looked_up_says_why(tmp_path: Path) -> None:
    flat = conflict(problem(molloy(), mu="Flat()"))
    assert flat.mu is None
    assert "proper prior on mu" in (flat.no_mu or "")
    assert flat.tau is not None
    vague = conflict(problem(molloy(), tau="Flat()"))
    assert "proper prior on tau" in (vague.no_mu or "")
    assert "proper prior on tau" in (vague.no_tau or "")
    intervals = conflict(problem(alliance()))
    assert "intervals" in (intervals.no_mu or "")
    assert "intervals" in (intervals.no_tau or "")
    heavy = conflict(problem(molloy(), "student-t"))
    assert "normal rows and effects" in (heavy.no_mu or "")
    known = conflict(problem(molloy(), mu="DiracDelta(c=0.1)"))
    assert "held at a value" in (known.no_mu or "")
    assert known.tau is not None
    single = conflict(problem(written(tmp_path, [{"study": "A", "yi": 0.2, "vi": 0.01}])))
    assert single.mu is not None
    assert "left over" in (single.no_tau or "")


def uniformity(encoded: Problem, count: int, seed: int, between: int = 20) -> tuple[float, float]:
    """KS p-values of both conflicts over data sets that are drawn from the prior."""
    rng = np.random.default_rng(seed)
    drawn = np.stack([simulate(encoded, draw_truth(encoded, rng), rng) for _ in range(count)])
    p = p_of_mean(encoded, headline(encoded, drawn))
    # Of so many values of Q the cdf is smooth between them, to less than a KS distance shows.
    log_q = np.log(residual_square(encoded, drawn))
    grid = np.linspace(log_q.min(), log_q.max(), between)
    below = PchipInterpolator(grid, tails_of_spread(encoded, np.exp(grid))[0])(log_q)
    p_q = 2 * np.minimum(below, 1 - below)
    return stats.kstest(p, "uniform").pvalue, stats.kstest(p_q, "uniform").pvalue


def test_p_values_are_uniform_under_the_prior_of_two_levels() -> None:
    assert min(uniformity(problem(molloy()), 300, 1)) > 0.001


def test_p_values_are_uniform_under_the_prior_of_three_levels(tmp_path: Path) -> None:
    assert min(uniformity(two_levels(tmp_path), 300, 2)) > 0.001


@pytest.mark.slow
def test_ten_thousand_p_values_are_uniform_under_the_prior(tmp_path: Path) -> None:
    assert min(uniformity(problem(molloy()), 10_000, 3, 40)) > 0.001
    assert min(uniformity(two_levels(tmp_path), 10_000, 4, 40)) > 0.001
