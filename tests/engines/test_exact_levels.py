"""Nested heterogeneity and mixtures on mu in the exact engine, against dense textbook formulas.

References are written apart from the package: multivariate normal densities with full covariance
matrices, integrated by SciPy's adaptive rules, and for intervals a trapezoidal tensor grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad_vec
from scipy.special import logsumexp

from cases import alliance, problem, written
from metarho.data.studies import Studies, load_studies
from metarho.engines import exact
from metarho.engines.exact.likelihood import log_likelihood_table
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.posterior.effects import draw_effects
from metarho.posterior.exact import Exact
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.posterior.joint import independent_draws
from metarho.posterior.study_likelihood import study_log_likelihood

type Array = NDArray[np.float64]

# Nested adaptive rules stop at 1e-11 each; two hard dimensions are asked 1e-8 (DESIGN.md).
TOLERANCE = 1e-8

ROWS = [
    ("a", "1", 0.31, 0.02),
    ("a", "2", 0.12, 0.011),
    ("b", "1", 0.45, 0.03),
    ("c", "1", 0.05, 0.008),
    ("c", "2", 0.22, 0.016),
    ("c", "3", -0.1, 0.04),
    ("d", "1", 0.6, 0.01),
]
X = [0.0, 1.0, 0.5, -1.0, 0.3, 2.0, 0.7]


def _nested(folder: Path, rho_within: float = 0.0) -> Studies:
    path = folder / "nested.csv"
    lines = ["study,effect,yi,vi,x"]
    lines += [f"{s},{e},{y},{v},{x}" for (s, e, y, v), x in zip(ROWS, X, strict=True)]
    path.write_text("\n".join(lines), encoding="utf-8")
    columns = {name: name for name in ("study", "effect", "yi", "vi")}
    return load_studies(path, measure="GEN", columns=columns, rho_within=rho_within)


@dataclass(frozen=True)
class Dense:
    """The marginal law of the rows given level sds, with normal coefficients integrated out."""

    y: Array
    v: Array
    together: Array
    x: Array
    prior_mean: Array
    prior_cov: Array

    def at(self, tau2_study: float, tau2_effect: float) -> tuple[float, Array, Array]:
        """Log density of y; mean and variance of the coefficients given y."""
        noise = self.v + tau2_effect * np.eye(len(self.y)) + tau2_study * self.together
        cov = noise + self.x @ self.prior_cov @ self.x.T
        residual = self.y - self.x @ self.prior_mean
        # The normal density written out: SciPy's takes ten times as long, a hundred thousand times.
        inverse = np.linalg.inv(cov)
        log_density = -0.5 * (np.linalg.slogdet(2 * np.pi * cov)[1] + residual @ inverse @ residual)
        gain = self.prior_cov @ self.x.T @ inverse
        mean = self.prior_mean + gain @ residual
        variance = np.diag(self.prior_cov - gain @ self.x @ self.prior_cov)
        return float(log_density), mean, variance


def _dense(slopes: bool, rho_within: float = 0.0) -> Dense:
    study = np.array([row[0] for row in ROWS])
    together = (study[:, None] == study).astype(float)
    sd = np.sqrt([row[3] for row in ROWS])
    correlation = np.where(np.eye(len(ROWS)) == 1, 1.0, rho_within * together)
    columns = [np.ones(len(ROWS)), np.array(X)] if slopes else [np.ones(len(ROWS))]
    sds = [0.5, 0.25] if slopes else [0.5]
    return Dense(
        np.array([row[2] for row in ROWS]),
        correlation * np.outer(sd, sd),
        together,
        np.column_stack(columns),
        np.zeros(len(sds)),
        np.diag(np.square(sds)),
    )


def _half_normal(sigma: float) -> Callable[[float], float]:
    height = math.sqrt(2 / math.pi) / sigma
    return lambda x: height * math.exp(-0.5 * (x / sigma) ** 2)


def _two_dimensions(function: Callable[[float, float], Array], cuts: Sequence[float]) -> Array:
    """∫∫ over both variables between the cuts."""

    def inner(a: float) -> Array:
        found, _ = quad_vec(
            lambda b: function(a, b), cuts[0], cuts[-1], points=cuts[1:-1], epsrel=1e-11
        )
        return np.asarray(found)

    found, _ = quad_vec(inner, cuts[0], cuts[-1], points=cuts[1:-1], epsrel=1e-11)
    return np.asarray(found)


CUTS = (0.0, 0.1, 0.4, 1.0, 2.2)


@pytest.mark.parametrize(("slopes", "rho_within"), [(False, 0.0), (True, 0.0), (True, 0.6)])
def test_three_levels_agree_with_dense_covariances_and_adaptive_integration(
    slopes: bool, rho_within: float, tmp_path: Path
) -> None:
    dense = _dense(slopes, rho_within)
    study_prior, effect_prior = _half_normal(0.25), _half_normal(0.15)

    def integrand(a: float, b: float) -> Array:
        log_p, mean, variance = dense.at(a**2, b**2)
        mass = math.exp(log_p) * study_prior(a) * effect_prior(b)
        return mass * np.concatenate([[1, a, a * a, b, b * b], mean, variance + mean**2])

    truth = _two_dimensions(integrand, CUTS)
    studies = _nested(tmp_path, rho_within)
    encoded = problem(studies, "three-level", "~ x" if slopes else None)
    posterior = _solved(encoded)
    assert posterior.quadrature.log_evidence == pytest.approx(math.log(truth[0]), abs=TOLERANCE)
    found = {n: m.summary(0.95, "eti") for n, m in posterior.parameters.items()}
    moments = truth[1:] / truth[0]
    p = len(encoded.coefficients)
    pairs = {
        "tau_study": (moments[0], moments[1]),
        "tau_effect": (moments[2], moments[3]),
        **{n: (moments[4 + i], moments[4 + p + i]) for i, n in enumerate(encoded.coefficients)},
    }
    for name, (mean, square) in pairs.items():
        sd = math.sqrt(square - mean**2)
        assert found[name].mean == pytest.approx(mean, abs=TOLERANCE * sd)
        assert found[name].sd == pytest.approx(sd, rel=TOLERANCE)


@pytest.mark.parametrize("share", ["Beta(alpha=1, beta=1)", "Beta(alpha=1.5, beta=2.3)"])
def test_a_total_and_its_share_agree_with_adaptive_integration(share: str, tmp_path: Path) -> None:
    dense = _dense(slopes=False)
    alpha, beta = (1.0, 1.0) if "alpha=1," in share else (1.5, 2.3)
    total_prior = _half_normal(0.3)

    def over_share(tau: float) -> Array:
        def integrand(angle: float) -> Array:
            # As an angle the share's density has no roots at its ends.
            part = math.sin(angle) ** 2
            log_p, mean, variance = dense.at(tau**2 * part, tau**2 * (1 - part))
            mass = math.exp(log_p) * float(stats.beta.pdf(part, alpha, beta)) * total_prior(tau)
            mass *= math.sin(2 * angle)
            study = tau * math.sqrt(part)
            return mass * np.array(
                [1, tau, tau**2, part, study, mean[0], variance[0] + mean[0] ** 2]
            )

        return np.asarray(quad_vec(integrand, 0, math.pi / 2, epsrel=1e-10)[0])

    truth = np.asarray(quad_vec(over_share, 0, 2.6, points=CUTS[1:-1], epsrel=1e-10)[0])
    encoded = problem(_nested(tmp_path), "three-level", tau="HalfNormal(sigma=0.3)", share=share)
    posterior = _solved(encoded)
    assert posterior.quadrature.log_evidence == pytest.approx(math.log(truth[0]), abs=TOLERANCE)
    found = {n: m.summary(0.95, "eti") for n, m in posterior.parameters.items()}
    moments = truth[1:] / truth[0]
    sd = math.sqrt(moments[1] - moments[0] ** 2)
    assert found["tau"].mean == pytest.approx(moments[0], abs=TOLERANCE * sd)
    assert found["tau"].sd == pytest.approx(sd, rel=TOLERANCE)
    assert found["share"].mean == pytest.approx(moments[2], abs=TOLERANCE)
    assert found["tau_study"].mean == pytest.approx(moments[3], abs=TOLERANCE * sd)
    assert found["mu"].mean == pytest.approx(moments[4], abs=TOLERANCE * sd)
    assert found["mu"].sd == pytest.approx(math.sqrt(moments[5] - moments[4] ** 2), rel=TOLERANCE)


def test_correlated_errors_of_one_level_agree_with_adaptive_integration(tmp_path: Path) -> None:
    dense = _dense(False, 0.6)
    prior = _half_normal(0.25)

    def integrand(b: float) -> Array:
        log_p, mean, variance = dense.at(0.0, b**2)
        return math.exp(log_p) * prior(b) * np.array([1, b, mean[0], variance[0] + mean[0] ** 2])

    truth = np.asarray(quad_vec(integrand, 0, 2.2, points=CUTS[1:-1], epsrel=1e-12)[0])
    encoded = problem(_nested(tmp_path, 0.6))
    posterior = _solved(encoded)
    assert posterior.quadrature.log_evidence == pytest.approx(math.log(truth[0]), abs=TOLERANCE)
    found = posterior.parameters["mu"].summary(0.95, "eti")
    assert found.mean == pytest.approx(truth[2] / truth[0], abs=TOLERANCE)
    assert posterior.i2() is None
    common = _solved(problem(_nested(tmp_path, 0.6), "common-effect"))
    assert common.quadrature.log_evidence == pytest.approx(dense.at(0.0, 0.0)[0], abs=1e-10)


def test_a_known_covariance_agrees_with_adaptive_integration(tmp_path: Path) -> None:
    dense = _dense(slopes=True)
    v = dense.v.copy()
    for a, b, correlation in ((0, 1, 0.7), (3, 4, 0.5), (3, 5, -0.3)):
        v[a, b] = v[b, a] = correlation * math.sqrt(v[a, a] * v[b, b])
    dense = replace(dense, v=v)

    def integrand(a: float, b: float) -> Array:
        log_p, mean, variance = dense.at(a**2, b**2)
        mass = math.exp(log_p) * _half_normal(0.25)(a) * _half_normal(0.15)(b)
        return mass * np.concatenate([[1, a, b], mean, variance + mean**2])

    truth = _two_dimensions(integrand, CUTS)
    studies = _nested(tmp_path)
    path = tmp_path / "v.csv"
    np.savetxt(path, v, delimiter=",", header=",".join("abcdefg"), comments="", fmt="%.17g")
    columns = {name: name for name in ("study", "effect", "yi", "vi")}
    studies = load_studies(
        studies.table.source, measure="GEN", columns=columns, covariance=str(path)
    )
    posterior = _solved(problem(studies, "three-level", "~ x"))
    assert posterior.quadrature.log_evidence == pytest.approx(math.log(truth[0]), abs=TOLERANCE)
    moments = truth[1:] / truth[0]
    for index, name in enumerate(("tau_study", "tau_effect", "mu", "beta[x]")):
        found = posterior.parameters[name].summary(0.95, "eti")
        assert found.mean == pytest.approx(moments[index], abs=TOLERANCE)


@pytest.mark.parametrize("name", ["random-effects", "three-level"])
def test_a_prior_on_mu_in_units_of_tau_agrees_with_adaptive_integration(
    name: str, tmp_path: Path
) -> None:
    nested = name == "three-level"
    study, effect = _half_normal(0.25), _half_normal(0.15 if nested else 0.25)

    def given(a: float, b: float) -> Array:
        """Mass, tau and the moments of mu at two level sds: mu ~ Normal(0.5 tau, (2 tau)²)."""
        total = math.hypot(a, b)
        dense = replace(
            _dense(slopes=False),
            prior_mean=np.array([0.5 * total]),
            prior_cov=np.array([[(2 * total) ** 2]]),
        )
        log_p, mean, variance = dense.at(a**2, b**2)
        mass = math.exp(log_p) * effect(b)
        return mass * np.array([1, b, mean[0], variance[0] + mean[0] ** 2])

    if nested:
        truth = _two_dimensions(lambda a, b: given(a, b) * study(a), CUTS)
    else:
        truth = np.asarray(
            quad_vec(lambda b: given(0.0, b), 0, 2.2, points=CUTS[1:-1], epsrel=1e-12)[0]
        )
    encoded = problem(_nested(tmp_path), name, mu="Normal(mu=0.5, sigma=2) on mu/tau")
    posterior = _solved(encoded)
    assert posterior.quadrature.log_evidence == pytest.approx(math.log(truth[0]), abs=TOLERANCE)
    mu = posterior.parameters["mu"].summary(0.95, "eti")
    assert mu.mean == pytest.approx(truth[2] / truth[0], abs=TOLERANCE)
    assert mu.sd == pytest.approx(math.sqrt(truth[3] / truth[0] - (mu.mean or 0) ** 2), abs=1e-8)
    (one,) = exact.fit_many([encoded])
    assert one.log_evidence == pytest.approx(posterior.quadrature.log_evidence, abs=1e-9)
    drawn = independent_draws(encoded, posterior.quadrature, 20_000, np.random.default_rng(1))
    assert drawn["mu"].mean() == pytest.approx(mu.mean, abs=5 * (mu.sd or 0) / math.sqrt(20_000))


def test_a_prior_on_mu_in_units_of_tau_needs_a_tau_and_plain_rows(tmp_path: Path) -> None:
    per_tau = "Normal(mu=0, sigma=1) on mu/tau"
    for name, priors in (("common-effect", {}), ("random-effects", {"tau": "DiracDelta(c=0)"})):
        with pytest.raises(InputError, match="do not vary"):
            problem(_nested(tmp_path), name, mu=per_tau, **priors)
    refusal = exact.covers(problem(alliance("use"), mu=per_tau))
    assert refusal is not None and "without interval rows" in refusal
    for text in ("Cauchy(alpha=0, beta=1) on mu/tau", "Normal(mu=0, sigma=1) on tau/mu"):
        with pytest.raises(InputError, match="mu/tau"):
            problem(_nested(tmp_path), mu=text)


def test_true_effects_under_correlated_errors_have_their_conditional_law(tmp_path: Path) -> None:
    encoded = problem(_nested(tmp_path, 0.6), "three-level")
    dense, count = _dense(False, 0.6), 40_000
    given = Hyperparameters(
        np.full((count, 1), 0.2),
        {"study": np.full(count, 0.1**2), "effect": np.full(count, 0.15**2)},
    )
    theta = draw_effects(encoded, given, np.random.default_rng(3))
    prior = 0.1**2 * dense.together + 0.15**2 * np.eye(len(dense.y))
    gain = prior @ np.linalg.inv(prior + dense.v)
    mean = 0.2 + gain @ (dense.y - 0.2)
    covariance = prior - gain @ prior
    sd = np.sqrt(np.diag(covariance))
    # 7 means, 28 entries of a covariance: 4.5 standard errors of independent draws.
    assert np.abs((theta.mean(axis=0) - mean) / sd).max() < 4.5 / math.sqrt(count)
    seen = np.cov(theta.T) / np.outer(sd, sd)
    assert np.abs(seen - covariance / np.outer(sd, sd)).max() < 4.5 * math.sqrt(2 / count)
    first = Hyperparameters(
        given.coefficients[:1], {level: values[:1] for level, values in given.tau2.items()}
    )
    by_study = study_log_likelihood(encoded, first)
    noise = dense.v + prior
    whole = stats.multivariate_normal.logpdf(dense.y, np.full(len(dense.y), 0.2), noise)
    assert by_study.sum() == pytest.approx(whole, abs=1e-10)


def test_intervals_are_refused_where_correlated_errors_are_tied_to_them(tmp_path: Path) -> None:
    printed: dict[str, object] = {"study": "a", "vi": 0.02, "reported": "exact", "sample": "first"}
    other = {"sample": "second", "yi_low": -0.25, "yi_high": 0.25, "reported": "range"}
    rows = [{**printed, "effect": effect, "yi": 0.1 * effect} for effect in (1, 2)]
    apart = written(tmp_path, [*rows, {**printed, **other, "study": "b", "effect": 3}], "GEN", 0.6)
    assert exact.covers(problem(apart, "three-level")) is None
    within = written(tmp_path, [*rows, {**printed, **other, "effect": 3}], "GEN", 0.6)
    assert exact.covers(problem(within)) is None
    refusal = exact.covers(problem(within, "three-level"))
    assert refusal is not None and "rho_within" in refusal and "as in a;" in refusal


def test_one_level_between_studies_agrees_with_adaptive_integration(tmp_path: Path) -> None:
    dense = _dense(slopes=False)
    prior = _half_normal(0.25)

    def integrand(a: float) -> Array:
        log_p, mean, variance = dense.at(a**2, 0.0)
        return math.exp(log_p) * prior(a) * np.array([1, a, mean[0], variance[0] + mean[0] ** 2])

    truth = np.asarray(quad_vec(integrand, 0, 2.2, points=CUTS[1:-1], epsrel=1e-12)[0])
    base = problem(_nested(tmp_path), "three-level", tau_effect="DiracDelta(c=0)")
    posterior = _solved(base)
    assert posterior.quadrature.log_evidence == pytest.approx(math.log(truth[0]), abs=TOLERANCE)
    found = posterior.parameters["mu"].summary(0.95, "eti")
    assert found.mean == pytest.approx(truth[2] / truth[0], abs=TOLERANCE)
    assert exact.hard_dimensions(base) == ("tau_study",)


@pytest.mark.parametrize("name", ["random-effects", "three-level", "common-effect"])
def test_a_mixture_of_normals_is_the_weighted_sum_of_its_parts(name: str, tmp_path: Path) -> None:
    studies = _nested(tmp_path)
    parts = [problem(studies, name, mu=f"Normal(mu={m}, sigma={s})") for m, s in MIXTURE]
    evidence = np.array([_solved(part).quadrature.log_evidence for part in parts])
    weights = np.array([0.3, 0.7]) * np.exp(evidence)
    posterior = _solved(
        problem(studies, name, mu="NormalMixture(w=[3, 7], mu=[0, 0.4], sigma=[0.1, 0.3])")
    )
    log_evidence = posterior.quadrature.log_evidence
    assert log_evidence == pytest.approx(math.log(weights.sum()), abs=1e-10)
    means = np.array([_mean(_solved(part)) for part in parts])
    assert _mean(posterior) == pytest.approx(weights @ means / weights.sum(), abs=1e-10)
    by_part = np.array([_solved(part).parameters["mu"].cdf(np.array(0.3)) for part in parts])
    below = float(posterior.parameters["mu"].cdf(np.array(0.3)))
    assert below == pytest.approx(weights @ by_part / weights.sum(), abs=1e-10)


MIXTURE = ((0, 0.1), (0.4, 0.3))


def _mean(posterior: Exact) -> float:
    return posterior.parameters["mu"].summary(0.95, "eti").mean or 0.0


def _solved(encoded: Problem) -> Exact:
    assert exact.covers(encoded) is None
    quadrature = exact.integrate(encoded)
    assert quadrature.quad_err < TOLERANCE
    return Exact(encoded, quadrature)


def test_a_study_of_intervals_and_numbers_has_the_probability_of_a_fine_rule() -> None:
    encoded = problem(alliance(), "three-level")
    evidence = encoded.evidence
    several = np.flatnonzero(np.bincount(evidence.study) > 1)
    for study in several:
        rows = evidence.only(evidence.study == study)
        for mu, tau_study, tau_effect in POINTS:
            seen = log_likelihood_table(
                rows, np.array([mu, mu + 1]), np.array([tau_study**2]), np.array([tau_effect**2])
            )[0, 0]
            truth = _by_rule(rows.y, rows.v, rows.lower, rows.upper, mu, tau_study, tau_effect)
            assert seen == pytest.approx(truth, abs=1e-9)


POINTS = [
    (0.2, 0.1, 0.08),
    (-0.6, 0.5, 0.001),
    (0.3, 0.004, 0.1),
    (0.1, 2.0, 0.0),
    (0.1, 1e-6, 0.2),
]


def _by_rule(
    y: Array, v: Array, low: Array, high: Array, mu: float, tau_study: float, tau_effect: float
) -> float:
    sd = np.sqrt(v + tau_effect**2)

    nodes, weights = np.polynomial.legendre.leggauss(40)
    eps = (np.linspace(-8.85, 8.85, 60)[:, None] + 0.15 * nodes).ravel()
    u = (mu + tau_study * eps)[:, None]
    exactly = stats.norm.pdf(y, u, sd)
    between = stats.norm.cdf(high, u, sd) - stats.norm.cdf(low, u, sd)
    product = np.prod(np.where(np.isnan(y), between, exactly), axis=1)
    return math.log(float(0.15 * np.tile(weights, 60) @ (stats.norm.pdf(eps) * product)))


def test_three_levels_with_intervals_agree_with_a_tensor_grid(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text(
        "study,effect,yi,vi,low,high,reported\n"
        "a,1,,0.02,-0.25,0.25,range\na,2,0.3,0.03,,,exact\n"
        "b,1,,0.01,0.1,0.4,range\nb,2,,0.02,-0.2,0.3,range\n"
        "c,1,0.5,0.02,,,exact\nd,1,,0.04,-0.3,0.3,range\n",
        encoding="utf-8",
    )
    columns = {name: name for name in ("study", "effect", "yi", "vi", "reported")}
    columns |= {"yi_low": "low", "yi_high": "high"}
    priors = {"tau_study": "HalfNormal(sigma=0.1)", "tau_effect": "HalfNormal(sigma=0.08)"}
    studies = load_studies(path, measure="GEN", columns=columns)
    encoded = problem(studies, "three-level", **priors)
    posterior = Exact(encoded, exact.integrate(encoded))
    # Trapezoidal in asinh of the sds and in mu: smooth and falling off at all ends but 0, where
    # the densities are even.
    u = np.arange(0, 4.0, 0.11)
    sds = 0.03 * np.sinh(u)
    slopes = 0.03 * np.cosh(u) * 0.11 * np.where(u == 0, 0.5, 1.0)
    mu = np.arange(-2.5, 3, 0.05)
    a, b = (grid.ravel() for grid in np.meshgrid(sds, sds, indexing="ij"))
    total = np.zeros((len(a), len(mu)))
    for index, (ts, te) in enumerate(zip(a, b, strict=True)):
        total[index] = _log_likelihood(encoded, mu, float(ts), float(te))
    prior = stats.halfnorm.logpdf(a, scale=0.1) + stats.halfnorm.logpdf(b, scale=0.08)
    total += prior[:, None] + stats.norm.logpdf(mu, 0, 0.5)
    weight = np.outer(slopes, slopes).ravel()[:, None] * 0.05
    mass = np.exp(total) * weight
    # Three hard dimensions are asked 1e-6 (DESIGN.md).
    log_evidence = posterior.quadrature.log_evidence
    assert log_evidence == pytest.approx(math.log(mass.sum()), abs=1e-6)
    mean = float((mass.sum(axis=0) * mu).sum() / mass.sum())
    assert _mean(posterior) == pytest.approx(mean, abs=1e-7)
    study = posterior.parameters["tau_study"].summary(0.95, "eti")
    square = (study.sd or 0) ** 2 + (study.mean or 0) ** 2
    assert square == pytest.approx(float(mass.sum(axis=1) @ a**2 / mass.sum()), abs=1e-8)


def _log_likelihood(encoded: Problem, mu: Array, tau_study: float, tau_effect: float) -> Array:
    """By Gauss–Legendre over each study's mean, 8.5 sds to either side."""
    evidence = encoded.evidence
    nodes, weights = np.polynomial.legendre.leggauss(100)
    eps, w = 8.5 * nodes, 8.5 * weights * stats.norm.pdf(8.5 * nodes)
    u = mu[:, None] + tau_study * eps
    result = np.zeros(len(mu))
    for study in range(len(evidence.study_names)):
        product = np.ones_like(u)
        for row in np.flatnonzero(evidence.study == study):
            sd = math.sqrt(evidence.v[row] + tau_effect**2)
            if np.isnan(evidence.y[row]):
                high = stats.norm.cdf((evidence.upper[row] - u) / sd)
                product = product * (high - stats.norm.cdf((evidence.lower[row] - u) / sd))
            else:
                product = product * stats.norm.pdf((evidence.y[row] - u) / sd) / sd
        with np.errstate(divide="ignore"):
            result += np.log(product @ w)
    return result


@pytest.mark.parametrize("total", [False, True])
def test_draws_of_nested_models_follow_their_marginals(total: bool) -> None:
    extra = {"tau": "HalfNormal(sigma=0.3)"} if total else {}
    mixture = "NormalMixture(w=[1, 2], mu=[0, 0.3], sigma=[0.05, 0.1])"
    encoded = problem(alliance("drop"), "three-level", "~ guidance", mu=mixture, **extra)
    posterior = _solved(encoded)
    rng = np.random.default_rng(20261123)
    drawn = independent_draws(encoded, posterior.quadrature, 4000, rng)
    assert set(drawn) == set(posterior.parameters)
    for name, marginal in posterior.parameters.items():
        assert stats.kstest(drawn[name][:1000], marginal.cdf).pvalue > 1e-3, name
    drawn = {name: values[:1000] for name, values in drawn.items()}
    variances = encoded.level_variances(drawn)
    sd = np.sqrt(variances["study"] + variances["effect"])
    assert stats.kstest(sd, posterior.tau.cdf).pvalue > 1e-3
    s2 = 100 * variances["study"] / (sd**2 + _typical(encoded))
    assert stats.kstest(s2, posterior.i2_by_level()["study"].cdf).pvalue > 1e-3


def _typical(encoded: Problem) -> float:
    from metarho.posterior.heterogeneity import typical_variance

    return typical_variance(encoded) or math.nan


def test_draws_of_a_nested_model_with_intervals_follow_their_marginals() -> None:
    encoded = problem(alliance(), "three-level")
    quadrature: Quadrature = exact.integrate(encoded)
    posterior = Exact(encoded, quadrature)
    drawn = independent_draws(encoded, quadrature, 4000, np.random.default_rng(7))
    for name, marginal in posterior.parameters.items():
        assert stats.kstest(drawn[name], marginal.cdf).pvalue > 1e-3, name
    together = np.corrcoef(drawn["mu"], drawn["tau_study"])[0, 1]
    mass = quadrature.mass.sum(axis=1)
    mu, tau = quadrature.axes["mu"].nodes, quadrature.axes["tau_study"].nodes
    centred = (mu - mass.sum(axis=0) @ mu), (tau - mass.sum(axis=1) @ tau)
    spread = math.sqrt((mass.sum(axis=0) @ centred[0] ** 2) * (mass.sum(axis=1) @ centred[1] ** 2))
    truth = float(centred[1] @ mass @ centred[0]) / spread
    # Independent draws: 4 standard errors of a correlation.
    assert together == pytest.approx(truth, abs=4 / math.sqrt(4000))


# Lower and upper ends of one study's intervals, with numbers as intervals of no width.
TIED = {
    "a number and a range": ((0.3, 0.3), (-0.2, 0.25)),
    "two ranges": ((-0.2, 0.25), (0.1, 0.4)),
    "significant positive twice": ((0.2, math.inf), (0.35, math.inf)),
    "significant negative, three rows": ((-math.inf, -0.2), (-math.inf, -0.3), (-math.inf, -0.1)),
    "positive and not significant": ((0.2, math.inf), (-0.2, 0.2)),
    "positive and negative": ((0.2, math.inf), (-math.inf, -0.25)),
}


@pytest.mark.parametrize("name", TIED)
def test_tied_rows_at_any_distance_and_spread_are_those_of_a_fine_rule(
    name: str, tmp_path: Path
) -> None:
    low, high = np.array(TIED[name]).T
    v = np.array([0.02, 0.01, 0.03])[: len(low)]
    rows = [
        {"study": "a", "effect": i, "vi": value, "yi": 0.1, "reported": "exact"}
        for i, value in enumerate(v)
    ]
    evidence = problem(written(tmp_path, rows), "three-level").evidence
    is_number = low == high
    evidence = replace(
        evidence,
        y=np.where(is_number, low, np.nan),
        lower=np.where(is_number, np.nan, low),
        upper=np.where(is_number, np.nan, high),
    )
    mu = np.array([-700.0, -3.0, -0.3, 0.0, 0.15, 0.5, 4.0, 800.0])
    spreads = [
        (a, b)
        for a in (0.0, 1e-170, 1e-9, 1e-6, 0.003, 0.1, 0.7, 12.0, 2500.0)
        for b in (1e-5, 0.2, 3.0, 300.0)
    ]
    tau2_study, tau2_effect = np.square(spreads).T
    seen = log_likelihood_table(evidence, mu, tau2_study, tau2_effect)
    for row, (between, within) in enumerate(spreads):
        sd = np.sqrt(v + within**2)
        truth = [_by_fine_rule(low, high, sd, at, between) for at in mu]
        # Means that are as good as excluded by a study hold no posterior.
        near = np.array(truth) > max(truth) - 60
        alone = log_likelihood_table(evidence, mu[3:4], tau2_study[[row]], tau2_effect[[row]])
        assert not near[3] or alone[0, 0] == pytest.approx(truth[3], abs=1e-8)
        np.testing.assert_allclose(seen[row, near], np.array(truth)[near], atol=1e-9)


def _by_fine_rule(low: Array, high: Array, sd: Array, mu: float, tau: float) -> float:
    """Log ∫ N(u; mu, tau²) Π p(row | u) du on Gauss panels around every feature."""
    tau = max(tau, 1e-6)
    steps = np.concatenate([-(2.0 ** np.arange(4.5, -3, -0.5)), 2.0 ** np.arange(-2.5, 5, 0.5)])
    ends = np.concatenate([low, high])
    finite = np.isfinite(ends)
    breaks = [mu + 0.9 * tau * np.concatenate([np.arange(-12, 13), steps])]
    breaks += [
        end + np.concatenate([np.arange(-12, 13), steps]) * one
        for end, one in zip(ends[finite], np.tile(sd, 2)[finite], strict=True)
    ]
    # Between mu and the rows, where the mode may lie, at the width of their product.
    sharp = 1 / math.sqrt(tau**-2 + float((1 / sd**2).sum()))
    shrink = tau**-2 / (tau**-2 + (1 / sd**2).sum())
    middle = [
        end + (mu - end) * part
        for end in ends[finite]
        for part in (
            shrink,
            tau**-2 / (tau**-2 + sd.min() ** -2),
            tau**-2 / (tau**-2 + sd**-2.0).max(),
        )
    ]
    breaks += [np.atleast_1d(m) + sharp * np.arange(-14.0, 15.0) for m in np.ravel(middle)]
    cuts = np.unique(np.concatenate(breaks))
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half = 0.5 * np.diff(cuts)[:, None]
    u = (cuts[:-1, None] + half * (1 + nodes)).ravel()
    total = stats.norm.logpdf(u, mu, tau) + np.log((half * weights).ravel())
    for a, b, one in zip(low, high, sd, strict=True):
        if a == b:
            total += stats.norm.logpdf(a, u, one)
        else:
            # In the tail where both terms are small.
            flip = u > a if math.isinf(b) else u > 0.5 * (a + b)
            if math.isinf(b):
                total += stats.norm.logcdf((u - a) / one)
            elif math.isinf(a):
                total += stats.norm.logcdf((b - u) / one)
            else:
                upper = np.where(flip, (b - u) / one, (u - a) / one)
                lower = np.where(flip, (a - u) / one, (u - b) / one)
                log_upper = stats.norm.logcdf(upper)
                total += log_upper + np.log1p(-np.exp(stats.norm.logcdf(lower) - log_upper))
    return float(logsumexp(total))
