"""Student-t effects in the exact engine, against integrals over the true effects themselves."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad_vec

from cases import model, molloy, problem, written
from metarho.data.studies import Studies
from metarho.engines import exact
from metarho.engines.exact.student import log_likelihood_table
from metarho.engines.problem import encode
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.student_effects import draw_variances, log_likelihood

type Array = NDArray[np.float64]

ROWS = ((0.31, 0.02), (0.12, 0.011), (0.45, 0.03), (1.4, 0.008))
INTERVALS = ((-0.2, 0.2, 0.01), (0.15, None, 0.02))


def _studies(folder: Path, *, intervals: bool = False) -> Studies:
    rows: list[dict[str, object]] = [{"yi": y, "vi": v, "reported": "exact"} for y, v in ROWS]
    if intervals:
        rows += [
            {"vi": v, "reported": "range", "yi_low": low, "yi_high": 1e3 if high is None else high}
            for low, high, v in INTERVALS
        ]
    return written(folder, rows)


def _row(y: float, low: float, high: float, v: float, theta: float) -> float:
    if math.isnan(y):
        ends = (np.array([low, high]) - theta) / math.sqrt(v)
        return float(stats.norm.cdf(ends[1]) - stats.norm.cdf(ends[0]))
    return math.exp(-0.5 * (y - theta) ** 2 / v) / math.sqrt(2 * math.pi * v)


@pytest.mark.parametrize("tau", [0.01, 0.2, 1.5])
@pytest.mark.parametrize("nu", [0.4, 1.0, 4.0, 4.1, 35.0, 5000.0])
def test_rows_agree_with_integrals_over_true_effects(nu: float, tau: float, tmp_path: Path) -> None:
    evidence = problem(_studies(tmp_path, intervals=True), "student-t").evidence
    mu = 0.2
    seen = log_likelihood_table(evidence, np.array([mu]), np.array([tau**2]), np.array([nu]))
    truth = 0.0
    for y, low, high, v in zip(evidence.y, evidence.lower, evidence.upper, evidence.v, strict=True):
        ends = [end for end in (y, low, high) if abs(end) < 100]
        near = [e + s * math.sqrt(v) for e in ends for s in (-12, -4, -1, 0, 1, 4, 12)]
        near += [mu + s * tau for s in (-30, -5, -1, 0, 1, 5, 30)]
        # A bounded row gives nothing beyond its ends, an open one all of the tail.
        points = sorted(p for p in near if min(near) <= p <= max(near))

        def integrand(
            t: float, y: float = y, low: float = low, high: float = high, v: float = v
        ) -> float:
            return _row(y, low, high, v, t) * float(stats.t.pdf(t, nu, mu, tau))

        parts = [
            quad_vec(integrand, *pair, epsabs=1e-16, epsrel=1e-12) for pair in pairwise(points)
        ]
        total = math.fsum(float(part[0]) for part in parts)
        if math.isnan(y) and high > 100:
            # Up to the far end.
            total += stats.t.sf(points[-1], nu, mu, tau) - stats.t.sf(1000, nu, mu, tau)
        truth += math.log(total)
    # Where 1000, the end of the open row, is left is smoothed by v: nothing at this tolerance.
    assert seen[0, 0] == pytest.approx(truth, abs=1e-9)


@pytest.mark.parametrize("nu", [1e-6, 0.05, 5.0, 200.0])
def test_one_sided_intervals_bear_any_nu(nu: float, tmp_path: Path) -> None:
    rows = [{"ri": "", "reported": "significant positive", "ni": 30}]
    evidence = problem(written(tmp_path, rows, "ZCOR"), "student-t").evidence
    seen = log_likelihood_table(evidence, np.array([-0.1]), np.array([0.09]), np.array([nu]))
    lower, sd = evidence.lower[0], math.sqrt(evidence.v[0])
    truth, _ = quad_vec(
        lambda t: stats.norm.sf((lower - t) / sd) * stats.t.pdf(t, nu, -0.1, 0.3),
        *(-5, 5),
        points=(-0.2, 0, 0.2, 0.5, 0.8),
        epsrel=1e-11,
    )
    truth = float(truth) + float(stats.t.sf(5, nu, -0.1, 0.3))
    assert seen[0, 0] == pytest.approx(math.log(truth), abs=1e-10)


GRID = np.arange(-2.0, 3.0, 0.01)
MU = np.arange(-2.0, 2.6, 0.02)


def _law(tau: float, nu: float) -> Array:
    """Prior of mu times the likelihood at MU, summed over theta on a fixed grid."""
    columns = [np.exp(-0.5 * (y - GRID) ** 2 / v) / math.sqrt(2 * math.pi * v) for y, v in ROWS]
    away = (GRID - MU[:, None]) / tau
    constant = float(stats.t.pdf(0, nu)) / tau
    kernel = constant * (1 + away**2 / nu) ** (-0.5 * (nu + 1)) * 0.01
    prior = np.exp(-0.5 * (MU / 0.5) ** 2) / (0.5 * math.sqrt(2 * math.pi))
    return np.asarray(np.prod(kernel @ np.stack(columns, axis=1), axis=1) * prior * 0.02)


def _over_tau(nu: float) -> Array:
    def integrand(tau: float) -> Array:
        mass = _law(tau, nu)
        total = mass.sum()
        moments = [total, mass @ MU, mass @ MU**2, total * tau, total * tau**2]
        return np.array(moments) / 0.75

    found, _ = quad_vec(integrand, 0.05, 0.8, points=(0.2, 0.4), epsabs=1e-15, epsrel=1e-10)
    return np.asarray(found)


TAU = "Uniform(lower=0.05, upper=0.8)"


def _compare(posterior: Exact, truth: Array, names: dict[str, int], tolerance: float) -> None:
    seen = {n: m.summary(0.95, "eti") for n, m in posterior.parameters.items()}
    log_evidence = posterior.quadrature.log_evidence
    assert log_evidence == pytest.approx(math.log(truth[0]), abs=tolerance)
    moments = truth / truth[0]
    for name, at in names.items():
        sd = math.sqrt(moments[at + 1] - moments[at] ** 2)
        assert seen[name].mean == pytest.approx(moments[at], abs=tolerance * sd)
        assert seen[name].sd == pytest.approx(sd, rel=tolerance)


def test_the_posterior_with_known_nu_agrees_with_adaptive_integration(tmp_path: Path) -> None:
    encoded = problem(_studies(tmp_path), "student-t", tau=TAU, nu="DiracDelta(c=4)")
    posterior = Exact(encoded, exact.integrate(encoded))
    _compare(posterior, _over_tau(4.0), {"mu": 1, "tau": 3}, 1e-8)


def test_the_posterior_with_free_nu_agrees_with_adaptive_integration(tmp_path: Path) -> None:
    def integrand(nu: float) -> Array:
        found = _over_tau(nu) / 8
        return np.append(found, [found[0] * nu, found[0] * nu**2])

    truth, _ = quad_vec(integrand, 2, 10, epsabs=1e-13, epsrel=1e-9)
    encoded = problem(_studies(tmp_path), "student-t", tau=TAU, nu="Uniform(lower=2, upper=10)")
    posterior = Exact(encoded, exact.integrate(encoded))
    # Three hard dimensions (DESIGN.md).
    _compare(posterior, np.asarray(truth), {"mu": 1, "tau": 3, "nu": 5}, 1e-6)


def test_with_many_degrees_of_freedom_effects_are_normal(tmp_path: Path) -> None:
    studies = _studies(tmp_path, intervals=True)
    heavy, normal = (
        Exact(encoded, exact.integrate(encoded))
        for encoded in (
            problem(studies, "student-t", nu="DiracDelta(c=1000000)"),
            problem(studies),
        )
    )
    assert heavy.quadrature.log_evidence == pytest.approx(normal.quadrature.log_evidence, abs=1e-5)
    for x, y in (
        (heavy.theta_new(heavy.head), normal.theta_new(normal.head)),
        (heavy.parameters["tau"], normal.parameters["tau"]),
        (heavy.i2(), normal.i2()),
    ):
        assert x is not None and y is not None
        first, second = x.summary(0.95, "eti"), y.summary(0.95, "eti")
        assert first.mean == pytest.approx(second.mean, rel=1e-5)
        assert first.sd == pytest.approx(second.sd, rel=1e-5)
        assert first.upper == pytest.approx(second.upper, rel=1e-5)


def test_an_outlier_pulls_less(tmp_path: Path) -> None:
    rows = [{"yi": y, "vi": 0.01} for y in (0.1, 0.15, 0.2, 0.2, 0.25, 0.3, 1.8)]
    studies = written(tmp_path, rows)
    means = [
        Exact(p, exact.integrate(p)).parameters["mu"].summary(0.95, "eti").mean or math.nan
        for p in (problem(studies, "student-t", nu="DiracDelta(c=2)"), problem(studies))
    ]
    assert means[0] < 0.26
    assert means[1] > 0.35


def test_true_effects_and_likelihoods_of_draws(tmp_path: Path) -> None:
    encoded = problem(_studies(tmp_path, intervals=True), "student-t", nu="DiracDelta(c=3)")
    evidence, count = encoded.evidence, 4000
    mu, tau, nu = (np.full(count, x) for x in (0.2, 0.3, 3.0))
    centre, spread = (np.repeat(x[:, None], evidence.k, axis=1) for x in (mu, tau))
    table = log_likelihood_table(evidence, mu[:1], tau[:1] ** 2, nu[:1])[0, 0]
    seen = log_likelihood(evidence, centre[:3], spread[:3], nu[:3]).sum(axis=1)
    assert seen == pytest.approx(np.full(3, table), abs=1e-10)
    rng = np.random.default_rng(4)
    variance = draw_variances(evidence, centre, spread, nu, rng)
    v = evidence.v[:4]
    shrink = variance[:, :4] / (variance[:, :4] + v)
    theta = mu[:, None] + shrink * (evidence.y[:4] - mu[:, None])
    theta = theta + np.sqrt(shrink * v) * rng.standard_normal(theta.shape)
    grid = np.linspace(-6, 8, 40001)
    for row in range(4):
        density = stats.t.pdf(grid, 3, 0.2, 0.3) * stats.norm.pdf(
            evidence.y[row], grid, math.sqrt(v[row])
        )
        below = np.cumsum(density) / density.sum()
        result = stats.kstest(theta[:, row], lambda x, b=below: np.interp(x, grid, b))
        assert result.pvalue > 1e-3


def test_new_effects_follow_the_t_law(tmp_path: Path) -> None:
    encoded = problem(
        _studies(tmp_path),
        "student-t",
        mu="DiracDelta(c=0.2)",
        tau="DiracDelta(c=0.3)",
        nu="DiracDelta(c=3)",
    )
    posterior = Exact(encoded, exact.integrate(encoded))
    new = posterior.theta_new(posterior.head)
    x = np.array([-4.0, -0.3, 0.2, 0.9, 8.0])
    assert new.cdf(x) == pytest.approx(stats.t.cdf(x, 3, 0.2, 0.3), abs=1e-12)
    summary = new.summary(0.95, "eti")
    assert summary.sd == pytest.approx(0.3 * math.sqrt(3), rel=1e-12)
    average = quad_vec(lambda t: np.tanh(t) * stats.t.pdf(t, 3, 0.2, 0.3), -50, 50, points=(0, 1))
    seen = posterior.average_correlation_summary(posterior.head, 0.95, "eti")
    assert seen.mean == pytest.approx(float(average[0]), abs=1e-6)


def test_moments_that_do_not_exist_are_blank(tmp_path: Path) -> None:
    (fit,) = fit_many(
        [problem(_studies(tmp_path), "student-t", nu="DiracDelta(c=1.5)")], Settings()
    )
    new = fit.new_study["theta"]
    assert new.sd is None and new.mean is not None
    assert fit.derived["I2"].mean is None
    assert (fit.engine, fit.status) == ("exact", "ok")
    assert fit.parameters["nu"].mean == 1.5
    assert np.isfinite(fit.tree["log_likelihood"]["y"].to_numpy()).all()
    assert set(fit.tree["log_prior"].data_vars) == {"mu", "tau", "nu"}


def test_nu_is_asked_for_and_checked(tmp_path: Path) -> None:
    spec = model("student-t")
    without = {name: prior for name, prior in spec.priors.items() if name != "nu"}
    with pytest.raises(InputError, match="no prior for nu"):
        encode(spec.model_copy(update={"priors": without}), _studies(tmp_path))
    common = spec.model_copy(update={"random": "none"})
    assert "no effects that vary" in (exact.covers(encode(common, _studies(tmp_path))) or "")
    both = spec.model_copy(update={"likelihood": "exact-r"})
    refusal = exact.covers(encode(both, molloy()))
    assert "likelihood: exact-r with effects: student-t" in (refusal or "")


def test_one_row_does_not_bound_a_flat_mean_of_effects_with_any_tail(tmp_path: Path) -> None:
    studies = written(tmp_path, [{"yi": 0.3, "vi": 0.03}])
    refusal = exact.covers(problem(studies, "student-t", mu="Flat()"))
    assert refusal is not None and "bounds mu where nu is near 0" in refusal
    bounded = "Truncated(dist=Gamma(alpha=2, beta=0.1), lower=1)"
    assert exact.covers(problem(studies, "student-t", mu="Flat()", nu=bounded)) is None
