"""Prior densities of the exact engine, and posteriors under the rarer ones."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from adaptive import Density, Rows, integrate
from cases import CUT, JOINT, PRIORS, TRANSFORMED, WEIGHTS, molloy, problem, written
from metarho.data.studies import Studies
from metarho.engines import exact
from metarho.engines.exact.priors import (
    DENSITIES,
    at_lower_end,
    at_upper_end,
    is_out_of_reach,
    landmarks,
    log_density,
    log_mass,
    tail_index,
    truncated_quantile,
)
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.posterior.exact import Exact
from metarho.spec.priors import FAMILIES, REFERENCES, Prior, parse_prior

V = np.array([0.02, 0.011, 0.3, 0.0007])
PROPER = [text for text in PRIORS.values() if parse_prior(text).proper and "Dirac" not in text]


def density(prior: Prior, x: float) -> float:
    return math.exp(log_density(prior, np.array([x]), V)[0])


def integral(prior: Prior, upto: float = math.inf) -> float:
    """∫ density up to a point: each end over exp, so that infinite ends and densities are met."""
    low, high = prior.support[0], min(prior.support[1], upto)
    marks = sorted({mark for mark in landmarks(prior, V) if low < mark < high})
    if not marks:
        marks = [0.0 if math.isinf(low) else 0.5 * (low + min(high, low + 2))]
    options: dict[str, Any] = {"epsabs": 1e-13, "epsrel": 1e-12, "limit": 400}
    middle = sum(quad(lambda x: density(prior, x), a, b, **options)[0] for a, b in pairwise(marks))
    first, last = marks[0], marks[-1]

    def outside(x: float, end: float) -> float:
        if math.isinf(end):
            scale = max(abs(x), 1.0)
            sign = math.copysign(1.0, end)

            def value(t: float) -> float:
                at = x + sign * scale * math.expm1(t)
                return density(prior, at) * scale * math.exp(t)

            return float(sum(quad(value, a, a + 10, **options)[0] for a in range(0, 60, 10)))
        width = abs(x - end)
        return float(
            sum(
                quad(
                    lambda t: density(prior, end + (x - end) * math.exp(-t)) * width * math.exp(-t),
                    a,
                    a + 10,
                    **options,
                )[0]
                for a in range(0, 120, 10)
            )
        )

    return float(middle + outside(first, low) + outside(last, high))


@pytest.mark.parametrize("text", [*PROPER, *TRANSFORMED, *CUT])
def test_every_proper_density_integrates_to_one(text: str) -> None:
    assert integral(parse_prior(text)) == pytest.approx(1, abs=2e-10)


@pytest.mark.parametrize("k", [1, 2, 300])
def test_the_conventional_prior_integrates_to_one_whatever_the_rows(k: int) -> None:
    v = np.logspace(-8, 2, k)
    prior = parse_prior("Conventional()")
    total = sum(
        quad(
            lambda u: math.exp(log_density(prior, np.array([math.exp(u)]), v)[0] + u),
            a,
            a + 5,
            epsrel=1e-13,
        )[0]
        for a in range(-35, 50, 5)
    )
    assert total == pytest.approx(1, abs=1e-12)


def test_with_equal_rows_the_conventional_prior_has_a_formula() -> None:
    x, s2 = np.array([0.01, 0.3, 5.0]), 0.04
    truth = np.log(math.sqrt(s2) * x / (s2 + x**2) ** 1.5)
    seen = log_density(parse_prior("Conventional()"), x, np.full(5, s2))
    assert seen == pytest.approx(truth, abs=1e-13)


def _far_normal(lower: float) -> float:
    """Log P(X > lower) of a standard normal, by the continued fraction of Mills' ratio."""
    fraction = lower
    for n in range(400, 0, -1):
        fraction = lower + n / fraction
    return -0.5 * lower**2 - 0.5 * math.log(2 * math.pi) - math.log(fraction)


@pytest.mark.parametrize("lower", [3.0, 6.0, 20.0, 37.0])
def test_far_tails_keep_twelve_digits(lower: float) -> None:
    prior = parse_prior("Normal(mu=0, sigma=1)")
    assert log_mass(prior, lower, math.inf) == pytest.approx(_far_normal(lower), rel=1e-12)
    assert log_mass(prior, -math.inf, -lower) == pytest.approx(_far_normal(lower), rel=1e-12)


def test_narrow_and_far_stretches_keep_twelve_digits() -> None:
    normal, cauchy = parse_prior("Normal(mu=0, sigma=1)"), parse_prior("HalfCauchy(beta=1)")
    # For a narrow stretch the density in its middle, and its second derivative.
    h, m = 1e-6, 5.0
    truth = stats.norm.logpdf(m) + math.log(2 * h) + math.log1p(h**2 * (m**2 - 1) / 6)
    assert log_mass(normal, m - h, m + h) == pytest.approx(truth, rel=1e-11)
    # arctan far out is 1/x - 1/(3 x³).
    assert log_mass(cauchy, 1e8, math.inf) == pytest.approx(math.log(2 / math.pi * 1e-8), rel=1e-12)
    gamma = parse_prior("Gamma(alpha=1, beta=1)")
    assert log_mass(gamma, 300, 301) == pytest.approx(-300 + math.log1p(-math.exp(-1)), rel=1e-12)
    lomax = parse_prior("Lomax(alpha=2, scale=1)")
    assert log_mass(lomax, 1e9, math.inf) == pytest.approx(-2 * math.log1p(1e9), rel=1e-13)


@pytest.mark.parametrize("text", [text for text in CUT if "NormalMixture" not in text])
def test_quantiles_of_a_truncation_increase_from_end_to_end(text: str) -> None:
    prior = parse_prior(text)
    seen = truncated_quantile(prior, np.array([0.0, 0.2, 0.5, 0.9, 1.0]))
    assert (np.diff(seen) > 0).all()
    ends = [(x, end) for x, end in zip(seen[[0, -1]], prior.support, strict=True)]
    assert all(x == pytest.approx(end) or math.isinf(end) for x, end in ends)


TAILED = [*PROPER, *TRANSFORMED, *(PRIORS[name] for name in ("SquareRoot", "Jeffreys")), *CUT]
TAILED += [PRIORS["BergerDeely"], PRIORS["OverallJeffreys"], "Flat() on tau2"]


@pytest.mark.parametrize("text", TAILED)
def test_the_upper_tail_falls_as_the_index_says(text: str) -> None:
    prior = parse_prior(text)
    index = tail_index(prior)
    if math.isfinite(prior.support[1]):
        assert index == math.inf
        return
    near, far = log_density(prior, np.array([1e8, 1e9]), V)
    if math.isinf(index):
        assert far == -math.inf or near - far > 50 * math.log(10)
    else:
        assert (near - far) / math.log(10) == pytest.approx(index, abs=1e-4)


# These fall faster than any power above 0.
NO_POWER = ("InverseGamma", "LogNormal")


@pytest.mark.parametrize("text", TAILED)
def test_the_density_starts_as_the_power_says(text: str) -> None:
    prior = parse_prior(text)
    low, high = prior.support
    if math.isinf(low):
        return
    width = min(high - low, 1.0)
    near, far = log_density(prior, low + width * np.array([1e-9, 1e-8]), V)
    if any(family in text for family in NO_POWER) and low == 0:
        assert near == -math.inf or (far - near) > 50
    else:
        assert 1 + (far - near) / math.log(10) == pytest.approx(at_lower_end(prior), abs=1e-6)


@pytest.mark.parametrize("text", TAILED)
def test_the_density_ends_as_the_power_says(text: str) -> None:
    prior = parse_prior(text)
    low, high = prior.support
    if math.isinf(high):
        return
    width = min(high - low, 1.0)
    near, far = log_density(prior, high - width * np.array([2.0**-26, 2.0**-24]), V)
    assert 1 + (far - near) / math.log(4) == pytest.approx(at_upper_end(prior), abs=1e-5)


@pytest.mark.parametrize("text", [*PRIORS.values(), *TRANSFORMED, *CUT])
def test_at_its_ends_and_outside_a_density_is_silent(text: str) -> None:
    prior = parse_prior(text)
    if prior.is_point:
        return
    low, high = prior.support
    ends = [end for end in (low, high) if math.isfinite(end)]
    assert not np.isnan(log_density(prior, np.array([*ends, -1e140, 1e140, 0.0]), V)).any()
    outside = [x for x in (-1e3, 1e3, 5e-324) if not low <= x <= high]
    assert (log_density(prior, np.array(outside), V) == -np.inf).all()


@pytest.mark.parametrize("text", ["InverseGamma(alpha=1, beta=0.1)", "LogNormal(mu=0, sigma=1)"])
def test_a_density_that_vanishes_at_zero_is_zero_there(text: str) -> None:
    assert log_density(parse_prior(text), np.array([0.0]), V)[0] == -math.inf


@pytest.mark.parametrize("text", [*PRIORS.values(), *TRANSFORMED, *CUT])
def test_landmarks_lie_within_the_support(text: str) -> None:
    prior = parse_prior(text)
    if not prior.is_point:
        low, high = prior.support
        assert all(low <= mark <= high and math.isfinite(mark) for mark in landmarks(prior, V))


def test_reference_priors_are_those_of_their_formulas() -> None:
    x, k = 0.17, len(V)
    s0 = math.sqrt(k / (1 / V).sum())
    w = 1 / V
    s2 = (k - 1) * w.sum() / (w.sum() ** 2 - (w**2).sum())
    ratio = x / (V + x**2)
    truth = {
        "DuMouchel": s0 / (s0 + x) ** 2,
        "UniformShrinkage": 2 * s0**2 * x / (s0**2 + x**2) ** 2,
        "UniformI2": 2 * s2 * x / (s2 + x**2) ** 2,
        "SquareRoot": x**-0.5,
        "Jeffreys": math.sqrt((ratio**2).sum()),
        "BergerDeely": float(ratio.prod()) ** (1 / k),
        "OverallJeffreys": math.sqrt((1 / (V + x**2)).sum() * (ratio**2).sum()),
        "Conventional": float((x / (V + x**2) ** 1.5).prod()) ** (1 / k),
    }
    assert set(truth) == REFERENCES
    for family, value in truth.items():
        seen = density(parse_prior(f"{family}()"), x)
        if family == "Conventional":
            seen *= quad(
                lambda t: (
                    math.exp(t)
                    * float((math.exp(t) / (V + math.exp(2 * t)) ** 1.5).prod()) ** (1 / k)
                ),
                -25,
                25,
                epsrel=1e-12,
                limit=500,
            )[0]
        assert seen == pytest.approx(value, rel=1e-10), family


def test_the_density_table_has_every_family_but_the_point() -> None:
    assert set(DENSITIES) == {*FAMILIES} - {"DiracDelta", *JOINT, *WEIGHTS}


def test_a_penalised_complexity_prior_has_the_tail_it_was_given() -> None:
    prior = parse_prior("PenalizedComplexity(upper=0.5, alpha=0.05)")
    assert math.exp(log_mass(prior, 0.5, math.inf)) == pytest.approx(0.05, rel=1e-12)


# Posteriors.


def _gen(folder: Path, k: int) -> Studies:
    rows = ((0.31, 0.02), (-0.12, 0.011), (0.45, 0.03), (0.05, 0.008))
    return written(folder, [{"yi": y, "vi": v} for y, v in rows[:k]])


def _cdf_of_tau(encoded: Problem, log_prior: Density, upto: list[float]) -> list[float]:
    """P(tau <= x) with a flat mu integrated out in closed form."""
    y, v = encoded.evidence.y, encoded.evidence.v

    def value(u: float) -> float:
        tau = math.exp(u)
        w = 1 / (v + tau**2)
        m = (w * y).sum() / w.sum()
        log = 0.5 * (np.log(w).sum() - (w * (y - m) ** 2).sum() - math.log(w.sum()))
        return math.exp(log + log_prior(tau) + u)

    cuts = [-60.0, -20.0, -8.0, -5.0, -3.0, -2.0, -1.0, 0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 70.0]

    def area(top: float) -> float:
        points = [cut for cut in cuts if cut < top] + [top]
        return math.fsum(
            quad(value, a, b, epsabs=0, epsrel=1e-11, limit=300)[0] for a, b in pairwise(points)
        )

    total = area(cuts[-1])
    return [area(math.log(x)) / total for x in upto]


def _formula(family: str, v: Any) -> Density:
    def berger_deely(t: float) -> float:
        return float(np.log(t / (v + t**2)).mean())

    def jeffreys(t: float) -> float:
        return 0.5 * math.log(((t / (v + t**2)) ** 2).sum())

    def overall(t: float) -> float:
        return 0.5 * math.log((1 / (v + t**2)).sum()) + jeffreys(t)

    return {
        "BergerDeely": berger_deely,
        "Jeffreys": jeffreys,
        "OverallJeffreys": overall,
        "SquareRoot": lambda t: -0.5 * math.log(t),
        "Flat() on tau2": math.log,
    }[family]


# The fewest rows with a flat mean, and some more.
EDGES = [
    ("BergerDeely", 2),
    ("BergerDeely", 4),
    ("Jeffreys", 2),
    ("SquareRoot", 2),
    ("OverallJeffreys", 1),
    ("OverallJeffreys", 4),
    ("Flat() on tau2", 4),
]


@pytest.mark.parametrize(("family", "k"), EDGES)
def test_improper_reference_priors_agree_with_adaptive_integration(
    family: str, k: int, tmp_path: Path
) -> None:
    text = family if "(" in family else f"{family}()"
    encoded = problem(_gen(tmp_path, k), mu="Flat()", tau=text)
    quadrature = exact.integrate(encoded)
    assert quadrature.log_evidence is None
    seen = Exact(encoded, quadrature).parameters["tau"].summary(0.8, "eti")
    ends = [seen.lower, seen.median, seen.upper]
    log_prior = _formula(family, encoded.evidence.v)
    assert all(end is not None for end in ends)
    shares = _cdf_of_tau(encoded, log_prior, [end or 0.0 for end in ends])
    assert shares == pytest.approx([0.1, 0.5, 0.9], abs=1e-8)


@pytest.mark.parametrize(
    ("prior", "k", "needed"),
    [
        ("Flat()", 2, 3),
        ("Flat() on tau2", 3, 4),
        ("SquareRoot()", 1, 2),
        ("Jeffreys()", 1, 2),
        ("BergerDeely()", 1, 2),
    ],
)
def test_improper_posteriors_are_refused_with_the_rows_they_need(
    prior: str, k: int, needed: int, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"needs at least {needed} rows .* there are {k}"):
        problem(_gen(tmp_path, k), mu="Flat()", tau=prior)


@pytest.mark.parametrize(
    ("prior", "k"), [("Flat()", 2), ("SquareRoot()", 1), ("Jeffreys()", 1), ("BergerDeely()", 1)]
)
def test_a_proper_mean_spares_a_row(prior: str, k: int, tmp_path: Path) -> None:
    problem(_gen(tmp_path, k), mu="Normal(mu=0, sigma=1)", tau=prior)


def test_uniform_i2_needs_two_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"UniformI2\(\) needs at least 2 rows, and there is 1"):
        problem(_gen(tmp_path, 1), mu="Normal(mu=0, sigma=1)", tau="UniformI2()")


def _normal(mu: float, sigma: float) -> Density:
    # Written out, as it is asked for a hundred thousand times.
    constant = math.log(sigma * math.sqrt(2 * math.pi))
    return lambda x: -0.5 * ((x - mu) / sigma) ** 2 - constant


def _on_r(log_density_of_r: Density) -> Density:
    return lambda z: log_density_of_r(math.tanh(z)) + math.log1p(-(math.tanh(z) ** 2))


HALF_NORMAL = ("HalfNormal(sigma=0.25)", lambda t: math.log(2) + _normal(0, 0.25)(t))
TAU = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
FAR = (*TAU, 10.0, 100.0, 1e4)
MU = (-3.0, -0.5, 0.0, 0.15, 0.3, 0.6, 3.0)

POSTERIORS: dict[str, tuple[str, Density, tuple[float, ...], str, Density, tuple[float, ...]]] = {
    "uniform on r": (
        "Uniform(lower=-1, upper=1) on r",
        _on_r(lambda r: -math.log(2)),
        MU,
        *HALF_NORMAL,
        TAU,
    ),
    "stretched beta on r": (
        "StretchedBeta(alpha=2, beta=3.5) on r",
        _on_r(lambda r: float(stats.beta.logpdf((1 + r) / 2, 2, 3.5)) - math.log(2)),
        MU,
        *HALF_NORMAL,
        TAU,
    ),
    "truncated normal on r": (
        "TruncatedNormal(mu=0.4, sigma=0.1, lower=0.2, upper=1) on r",
        _on_r(lambda r: float(stats.truncnorm.logpdf(r, -2, 6, 0.4, 0.1))),
        (math.atanh(0.2), 0.3, 0.4, 0.6, 1.0, 3.0),
        *HALF_NORMAL,
        TAU,
    ),
    "mixture": (
        "NormalMixture(w=[1, 3], mu=[0, 0.4], sigma=[0.01, 0.2])",
        lambda x: float(
            np.logaddexp(
                math.log(0.25) + _normal(0, 0.01)(x), math.log(0.75) + _normal(0.4, 0.2)(x)
            )
        ),
        (-3.0, -0.5, -0.05, -0.01, 0.0, 0.01, 0.05, 0.15, 0.3, 0.6, 3.0),
        *HALF_NORMAL,
        TAU,
    ),
    "a truncation far in its tail": (
        "TruncatedNormal(mu=0, sigma=0.1, lower=0.6)",
        lambda x: _normal(0, 0.1)(x) - float(stats.norm.logsf(6)),
        (0.6, 0.61, 0.63, 0.7, 0.9, 2.0),
        *HALF_NORMAL,
        TAU,
    ),
    "inverse gamma on tau2": (
        "Normal(mu=0, sigma=0.5)",
        _normal(0, 0.5),
        MU,
        "InverseGamma(alpha=1, beta=0.01) on tau2",
        lambda t: float(stats.invgamma.logpdf(t**2, 1, scale=0.01)) + math.log(2 * t),
        (1e-3, 0.01, 0.03, *FAR[2:]),
    ),
    "gamma on tau2": (
        "Normal(mu=0, sigma=0.5)",
        _normal(0, 0.5),
        MU,
        "Gamma(alpha=0.7, beta=10) on tau2",
        lambda t: float(stats.gamma.logpdf(t**2, 0.7, scale=0.1)) + math.log(2 * t),
        (1e-30, 1e-15, 1e-8, 1e-5, 1e-3, 0.01, *TAU[1:]),
    ),
    "cut heterogeneity": (
        "Normal(mu=0, sigma=0.5)",
        _normal(0, 0.5),
        MU,
        "Truncated(dist=HalfCauchy(beta=0.3), lower=0.05, upper=1)",
        lambda t: float(
            stats.halfcauchy.logpdf(t, scale=0.3)
            - math.log(stats.halfcauchy.cdf(1, scale=0.3) - stats.halfcauchy.cdf(0.05, scale=0.3))
        ),
        (0.05, 0.1, 0.3, 1.0),
    ),
    "beta heterogeneity": (
        "Normal(mu=0, sigma=0.5)",
        _normal(0, 0.5),
        MU,
        "Beta(alpha=1.5, beta=4)",
        lambda t: float(stats.beta.logpdf(t, 1.5, 4)),
        (1e-30, 1e-8, 1e-5, 1e-3, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0),
    ),
    "penalised complexity": (
        "Normal(mu=0, sigma=0.5)",
        _normal(0, 0.5),
        MU,
        "PenalizedComplexity(upper=0.5, alpha=0.05)",
        lambda t: float(stats.expon.logpdf(t, scale=0.5 / math.log(20))),
        TAU,
    ),
}


@pytest.mark.parametrize("name", POSTERIORS)
def test_posteriors_agree_with_adaptive_integration(name: str, tmp_path: Path) -> None:
    mu, log_mu, mu_points, tau, log_tau, tau_points = POSTERIORS[name]
    rows = [{"ri": r, "ni": n} for r, n in ((0.31, 60), (0.12, 90), (0.45, 40), (0.05, 130))]
    encoded = problem(written(tmp_path, rows, "ZCOR"), mu=mu, tau=tau)
    evidence = encoded.evidence
    truth = integrate(
        Rows(list(zip(evidence.y.tolist(), evidence.v.tolist(), strict=True))),
        log_mu,
        mu_points,
        log_tau,
        tau_points,
    )
    assert exact.covers(encoded) is None
    quadrature = exact.integrate(encoded)
    assert quadrature.quad_err < 1e-9
    posterior = Exact(encoded, quadrature)
    seen_mu = posterior.parameters["mu"].summary(0.95, "eti")
    seen_tau = posterior.parameters["tau"].summary(0.95, "eti")
    assert quadrature.log_evidence == pytest.approx(truth.log_evidence, abs=1e-8)
    assert seen_mu.mean == pytest.approx(truth.mean_mu, abs=1e-8 * truth.sd_mu)
    assert seen_mu.sd == pytest.approx(truth.sd_mu, rel=1e-8)
    assert seen_tau.mean == pytest.approx(truth.mean_tau, abs=1e-8 * truth.sd_tau)
    assert seen_tau.sd == pytest.approx(truth.sd_tau, rel=1e-8)


@pytest.mark.parametrize("tau", sorted(REFERENCES))
def test_reference_priors_go_with_intervals_and_with_a_mean_on_r(tau: str, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"ri": 0.3, "ni": 60}, {"ri": 0.1, "ni": 90}]
    encoded = problem(
        written(tmp_path, rows, "ZCOR"), mu="Uniform(lower=-1, upper=1) on r", tau=f"{tau}()"
    )
    assert exact.integrate(encoded).quad_err < 1e-9


@pytest.mark.parametrize("measure", ["COR", "GEN"])
def test_a_prior_on_r_is_refused_off_fisher_s_z(measure: str, tmp_path: Path) -> None:
    from cases import REFERENCES as FOLDER
    from metarho.data.studies import load_studies

    studies = _gen(tmp_path, 3)
    if measure == "COR":
        studies = load_studies(
            FOLDER / "molloy2014.csv", measure="COR", columns={"ri": "ri", "ni": "ni"}
        )
    with pytest.raises(InputError, match=rf"measure ZCOR.*{measure}.*without 'on r'"):
        problem(studies, mu="Uniform(lower=-1, upper=1) on r")


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        ("TruncatedNormal(mu=0, sigma=0.1, lower=5)", "no computer can tell it from 0"),
        ("Truncated(dist=Gamma(alpha=2, beta=10), lower=1e5)", "no computer can tell it from 0"),
        ("Gamma(alpha=0.05, beta=1)", "piles its mass onto its lower end"),
        (
            "Truncated(dist=Beta(alpha=1, beta=0.5), lower=0.1)",
            "infinite at its upper end",
        ),
    ],
)
def test_a_prior_that_doubles_cannot_hold_is_refused(prior: str, said: str) -> None:
    refusal = exact.covers(problem(molloy(), tau=prior))
    assert refusal is not None
    assert said in refusal


def test_a_truncation_is_out_of_reach_only_far_out() -> None:
    assert is_out_of_reach(parse_prior("TruncatedNormal(mu=0, sigma=1, lower=40)"))
    assert not is_out_of_reach(parse_prior("TruncatedNormal(mu=0, sigma=1, lower=37)"))
