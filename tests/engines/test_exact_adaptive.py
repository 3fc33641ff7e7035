"""The exact engine against SciPy's adaptive integration (DESIGN: 1e-8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from scipy import stats

from adaptive import Answer, Density, Rows, cdf_of_new_effect, integrate
from cases import problem, written
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact

# quad's own tolerance is 1e-11 relative in each of two nested integrals.
TOLERANCE = 1e-8

NUMBERS = ((0.31, 0.02), (0.12, 0.011), (0.45, 0.03), (0.05, 0.008))
INTERVALS = ((-0.2, 0.2, 0.01), (0.15, 1e3, 0.02), (0.1, 0.3, 0.015))


@dataclass(frozen=True)
class Case:
    rows: Rows
    mu: str
    log_mu: Density
    mu_points: Sequence[float]
    tau: str | None
    log_tau: Density | None
    tau_points: Sequence[float]


def _normal(mu: float, sigma: float) -> Density:
    return lambda x: -0.5 * ((x - mu) / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))


def _half_normal(sigma: float) -> Density:
    return lambda x: math.log(2) + _normal(0, sigma)(x)


def _half_cauchy(beta: float) -> Density:
    return lambda x: math.log(2 / (math.pi * beta * (1 + (x / beta) ** 2)))


def _inverse_gamma(alpha: float, beta: float) -> Density:
    return lambda x: float(stats.invgamma.logpdf(x, alpha, scale=beta))


def _gamma(alpha: float, beta: float) -> Density:
    return lambda x: float(stats.gamma.logpdf(x, alpha, scale=1 / beta))


def _log_normal(mu: float, sigma: float) -> Density:
    return lambda x: _normal(mu, sigma)(math.log(x)) - math.log(x)


def _student(nu: float, mu: float, sigma: float) -> Density:
    constant = float(stats.t.logpdf(0, nu, 0, sigma))
    return lambda x: constant - (nu + 1) / 2 * math.log1p(((x - mu) / sigma) ** 2 / nu)


MU_POINTS = (-3.0, -0.5, 0.0, 0.15, 0.3, 0.6, 3.0)
TAU_POINTS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
N_HN = ("Normal(mu=0, sigma=0.5)", _normal(0, 0.5), MU_POINTS)
HN = ("HalfNormal(sigma=0.25)", _half_normal(0.25), TAU_POINTS)
FAR_TAU = (*TAU_POINTS, 10.0, 100.0, 1e4)

CASES = {
    "numbers": Case(Rows(NUMBERS), *N_HN, *HN),
    "numbers and intervals": Case(Rows(NUMBERS, INTERVALS), *N_HN, *HN),
    "intervals only": Case(Rows((), INTERVALS), *N_HN, *HN),
    "common effect": Case(Rows(NUMBERS, INTERVALS), *N_HN, None, None, (0.0,)),
    "one study": Case(Rows(NUMBERS[:1]), *N_HN, *HN),
    "identical effects": Case(Rows(((0.2, 0.01),) * 3), *N_HN, *HN),
    "student mean": Case(
        Rows(NUMBERS), "StudentT(nu=3, mu=0.1, sigma=0.1)", _student(3, 0.1, 0.1), MU_POINTS, *HN
    ),
    "uniform mean that cuts the likelihood": Case(
        Rows(NUMBERS, INTERVALS[:1]),
        "Uniform(lower=-0.3, upper=0.25)",
        lambda x: -math.log(0.55),
        (-0.3, 0.0, 0.15, 0.25),
        *HN,
    ),
    "half-cauchy": Case(Rows(NUMBERS), *N_HN, "HalfCauchy(beta=0.1)", _half_cauchy(0.1), FAR_TAU),
    "inverse gamma": Case(
        Rows(NUMBERS),
        *N_HN,
        "InverseGamma(alpha=1, beta=0.075)",
        _inverse_gamma(1, 0.075),
        (1e-4, 0.005, 0.02, *FAR_TAU[1:]),
    ),
    "gamma that is infinite at 0": Case(
        Rows(NUMBERS),
        *N_HN,
        "Gamma(alpha=0.5, beta=4)",
        _gamma(0.5, 4),
        (1e-30, 1e-20, 1e-12, 1e-8, 1e-5, 1e-3, 0.01, *TAU_POINTS[1:], 10.0),
    ),
    "log-normal": Case(
        Rows(NUMBERS, INTERVALS[:1]),
        *N_HN,
        "LogNormal(mu=-2, sigma=0.5)",
        _log_normal(-2, 0.5),
        (1e-3, *TAU_POINTS[1:]),
    ),
    "a prior far narrower than the likelihood, and off it": Case(
        Rows(NUMBERS),
        "Normal(mu=1, sigma=0.0001)",
        _normal(1, 0.0001),
        (0.998, 0.9995, 1.0, 1.0005, 1.002),
        "HalfNormal(sigma=0.5)",
        _half_normal(0.5),
        (0.0, 0.3, 0.6, 1.0, 2.0, 5.0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_evidence_and_moments_agree_with_adaptive_integration(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    truth = integrate(case.rows, case.log_mu, case.mu_points, case.log_tau, case.tau_points)
    seen = _seen(case, tmp_path)
    assert seen.log_evidence == pytest.approx(truth.log_evidence, abs=TOLERANCE)
    assert seen.mean_mu == pytest.approx(truth.mean_mu, abs=TOLERANCE * truth.sd_mu)
    assert seen.sd_mu == pytest.approx(truth.sd_mu, rel=TOLERANCE)
    assert seen.mean_tau == pytest.approx(truth.mean_tau, abs=TOLERANCE * max(truth.sd_tau, 1e-6))
    if name != "half-cauchy":
        # The reference stops at 1e4; what lies beyond counts for the sd of so heavy a tail.
        assert seen.sd_tau == pytest.approx(truth.sd_tau, rel=TOLERANCE)


def _encoded(case: Case, folder: Path) -> Problem:
    rows: list[dict[str, object]] = [
        {"yi": y, "vi": v, "reported": "exact"} for y, v in case.rows.exact
    ]
    rows += [
        {"vi": v, "reported": "range", "yi_low": low, "yi_high": high}
        for low, high, v in case.rows.intervals
    ]
    if case.tau is None:
        return problem(written(folder, rows), "common-effect", mu=case.mu)
    return problem(written(folder, rows), mu=case.mu, tau=case.tau)


def _seen(case: Case, folder: Path) -> Answer:
    encoded = _encoded(case, folder)
    quadrature = exact.integrate(encoded)
    found = {k: m.summary(0.95, "eti") for k, m in Exact(encoded, quadrature).parameters.items()}
    mu, tau = found["mu"], found.get("tau")
    assert quadrature.log_evidence is not None
    assert quadrature.quad_err < TOLERANCE
    return Answer(
        quadrature.log_evidence,
        mu.mean or 0.0,
        mu.sd or 0.0,
        (tau.mean or 0.0) if tau else 0.0,
        (tau.sd or 0.0) if tau else 0.0,
    )


NEW_EFFECT = {
    "student mean": (
        "StudentT(nu=3, mu=0, sigma=0.3)",
        _student(3, 0, 0.3),
        (-2.0, 0.0, 0.2, 0.4, 0.6, 2.0),
    ),
    "a mean that ends inside the likelihood": (
        "Uniform(lower=0.2, upper=0.3)",
        lambda x: -math.log(0.1),
        (0.2, 0.25, 0.3),
    ),
}


@pytest.mark.parametrize("name", NEW_EFFECT)
@pytest.mark.parametrize("intervals", [(), INTERVALS[:1]])
def test_a_new_effect_s_quantiles_agree_with_adaptive_integration(
    name: str, intervals: tuple[tuple[float, float, float], ...], tmp_path: Path
) -> None:
    mu, log_mu, points = NEW_EFFECT[name]
    case = Case(Rows(NUMBERS, intervals), mu, log_mu, points, *HN)
    encoded = _encoded(case, tmp_path)
    posterior = Exact(encoded, exact.integrate(encoded))
    seen = posterior.theta_new(posterior.head).summary(0.95, "eti")
    for x, share in ((seen.lower, 0.025), (seen.median, 0.5), (seen.upper, 0.975)):
        tau_points = (1e-9, *TAU_POINTS[1:])
        truth = cdf_of_new_effect(x or 0, case.rows, log_mu, points, HN[1], tau_points)
        assert truth == pytest.approx(share, abs=TOLERANCE)


# Found by attacking the engine; expected values by an independent adaptive integration in log tau.
ATTACKS = [
    # A prior that the data contradict: tau goes where neither prior nor spread would look.
    ([(0.5, 1e-8)] * 20, "DiracDelta(c=0)", "HalfNormal(sigma=0.001)", -2193.3913, 0.047189),
    ([(0.5, 1e-8)] * 20, "Normal(mu=0, sigma=0.01)", "Exponential(lam=10000)", -1003.713, 0.05704),
    (
        [(0.5 + 1e-5 * i, 1e-6) for i in range(20)],
        "Normal(mu=0, sigma=0.01)",
        "Exponential(lam=1000)",
        -229.310,
        0.15646,
    ),
    # More degrees of freedom than a difference of gamma functions has digits for.
    (
        [(0.3, 0.01), (0.5, 0.02), (0.1, 0.015), (0.45, 0.03)],
        "StudentT(nu=10000000000, mu=0, sigma=0.5)",
        "HalfNormal(sigma=0.25)",
        -0.6084209716,
        None,
    ),
]


@pytest.mark.parametrize(("rows", "mu", "tau", "log_evidence", "mean_tau"), ATTACKS)
def test_attacks_are_withstood(
    rows: list[tuple[float, float]],
    mu: str,
    tau: str,
    log_evidence: float,
    mean_tau: float | None,
    tmp_path: Path,
) -> None:
    studies = written(tmp_path, [{"yi": y, "vi": v} for y, v in rows])
    encoded = problem(studies, mu=mu, tau=tau)
    quadrature = exact.integrate(encoded)
    seen = Exact(encoded, quadrature).parameters["tau"].summary(0.95, "eti")
    # As many digits as the expected value is printed with.
    assert quadrature.log_evidence == pytest.approx(log_evidence, abs=6e-4 if mean_tau else 1e-9)
    assert mean_tau is None or seen.mean == pytest.approx(mean_tau, abs=6e-6)


def test_a_fixed_mean_does_not_spoil_the_stated_error(tmp_path: Path) -> None:
    rows = [(0.3, 0.01), (0.5, 0.02), (0.1, 0.015), (0.45, 0.03)]
    studies = written(tmp_path, [{"yi": y, "vi": v} for y, v in rows])
    assert exact.integrate(problem(studies, mu="DiracDelta(c=0.3)")).quad_err < 1e-9


def test_the_sd_of_a_heavy_tail_is_integrated_to_its_end(tmp_path: Path) -> None:
    rows = [(0.3, 0.01), (0.5, 0.02), (0.1, 0.015)]
    studies = written(tmp_path, [{"yi": y, "vi": v} for y, v in rows])
    encoded = problem(studies, mu="Flat()", tau="HalfCauchy(beta=0.2)")
    mu = Exact(encoded, exact.integrate(encoded)).parameters["mu"].summary(0.95, "eti")
    assert mu.sd == pytest.approx(0.1675013365, abs=1e-10)


def test_tiny_spreads_keep_their_digits(tmp_path: Path) -> None:
    studies = written(tmp_path, [{"ri": 0.3, "ni": 50}, {"ri": 0.5, "ni": 60}], "ZCOR")
    encoded = problem(
        studies, mu="Normal(mu=0.5, sigma=0.00000001)", tau="HalfNormal(sigma=0.00000001)"
    )
    posterior = Exact(encoded, exact.integrate(encoded))
    assert posterior.derived(0.95, "eti")["rho_mean"].sd == pytest.approx(7.8645e-9, rel=1e-4)
