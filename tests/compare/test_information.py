"""Effective sample sizes of priors against numerical derivatives and adaptive integration."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from cases import PRIORS, alliance, molloy, problem, reference_studies, written
from metarho.compare.information import (
    PriorSampleSize,
    expected_information,
    prior_sample_size,
    prior_sample_size_of_mu,
    study_unit,
)
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.spec.priors import parse_prior

NORMAL, T = stats.norm(-0.1, 0.5), stats.t(4, 0.2, 0.5)
CAUCHY, HALF = stats.cauchy(0.1, 0.707), stats.halfnorm(scale=0.25)
STRETCHED = stats.beta(2, 3.5, -1, 2)


@dataclass(frozen=True)
class Law:
    """A prior as SciPy has it: log density up to a constant, and where it is integrated."""

    log: Callable[[float], float]
    low: float
    high: float
    on_r: bool = False


def _log_mixture(x: float) -> float:
    return math.log(stats.norm.pdf(x, 0, 0.05) + 2.5 * stats.norm.pdf(x, 0.3, 0.4))


LAWS: Mapping[str, Law] = {
    PRIORS["Normal"]: Law(NORMAL.logpdf, -6, 6),
    PRIORS["StudentT"]: Law(T.logpdf, -400, 400),
    PRIORS["Cauchy"]: Law(CAUCHY.logpdf, -1e5, 1e5),
    PRIORS["Uniform"]: Law(lambda x: 0.0, -1, 2),
    PRIORS["HalfNormal"]: Law(HALF.logpdf, 1e-3, 3),
    PRIORS["NormalMixture"]: Law(_log_mixture, -4, 4),
    PRIORS["Truncated"]: Law(stats.norm(0.1, 0.2).logpdf, -0.3, 0.2),
    "Truncated(dist=StudentT(nu=4, mu=0.2, sigma=0.5), lower=0)": Law(T.logpdf, 0, 400),
    "Truncated(dist=StudentT(nu=4, mu=0.2, sigma=0.5), lower=1, upper=3)": Law(T.logpdf, 1, 3),
    "Truncated(dist=Cauchy(alpha=0.1, beta=0.707), lower=-1, upper=2)": Law(CAUCHY.logpdf, -1, 2),
    "Truncated(dist=Uniform(lower=-1, upper=2), lower=0)": Law(lambda x: 0.0, 0, 2),
    "Truncated(dist=HalfNormal(sigma=0.25), upper=0.3)": Law(HALF.logpdf, 1e-3, 0.3),
    "Truncated(dist=NormalMixture(w=[1, 2.5], mu=[0, 0.3], sigma=[0.05, 0.4]), lower=0)": Law(
        _log_mixture, 0, 4
    ),
    "Uniform(lower=-1, upper=1) on r": Law(lambda x: 0.0, -8, 8, on_r=True),
    "Uniform(lower=-0.2, upper=0.6) on r": Law(
        lambda x: 0.0, math.atanh(-0.2), math.atanh(0.6), on_r=True
    ),
    "StretchedBeta(alpha=2, beta=3.5) on r": Law(STRETCHED.logpdf, -8, 6, on_r=True),
    "Truncated(dist=StretchedBeta(alpha=2, beta=3.5), lower=-0.1) on r": Law(
        STRETCHED.logpdf, math.atanh(-0.1), 6, on_r=True
    ),
    "Truncated(dist=Normal(mu=-0.1, sigma=0.5), lower=-1, upper=1) on r": Law(
        NORMAL.logpdf, -8, 8, on_r=True
    ),
    "Truncated(dist=StudentT(nu=4, mu=0.2, sigma=0.5), lower=-1, upper=1) on r": Law(
        T.logpdf, -8, 8, on_r=True
    ),
    "Truncated(dist=Cauchy(alpha=0.1, beta=0.707), lower=0, upper=1) on r": Law(
        CAUCHY.logpdf, 0, 8, on_r=True
    ),
    "Truncated(dist=NormalMixture(w=[1, 2.5], mu=[0, 0.3], sigma=[0.05, 0.4]), lower=-1, upper=1)"
    " on r": Law(_log_mixture, -8, 8, on_r=True),
}


def _numerically(law: Law) -> float:
    """E[−(log p)''] with five-point differences."""

    def log(x: float) -> float:
        if not law.on_r:
            return float(law.log(x))
        return float(law.log(math.tanh(x))) - 2 * math.log(math.cosh(x))

    def curvature(x: float) -> float:
        h = 5e-4 * max(1.0, abs(x))
        near = log(x + h) + log(x - h)
        far = log(x + 2 * h) + log(x - 2 * h)
        return -(16 * near - far - 30 * log(x)) / (12 * h**2)

    inside = (-100.0, -10.0, -2.0, -0.3, -0.1, 0.0, 0.1, 0.3, 0.6, 2.0, 10.0, 100.0)
    breaks = [law.low, *(x for x in inside if law.low < x < law.high), law.high]
    stretches = list(pairwise(breaks))

    def over(function: Callable[[float], float]) -> float:
        settings: dict[str, Any] = {"epsabs": 1e-8, "epsrel": 1e-8, "limit": 200}
        return math.fsum(integrate.quad(function, a, b, **settings)[0] for a, b in stretches)

    mass = over(lambda x: math.exp(log(x)))
    return over(lambda x: math.exp(log(x)) * curvature(x)) / mass


# Differences round to 1e-16/h², 1e-9; their error of h⁴ is 1e-7 of 1/sigma² at a sigma of 0.05.
# A Cauchy is cut where 1e-5 of its mass, of hardly any curvature, is left: 5e-6 of the whole.
@pytest.mark.parametrize("text", LAWS)
@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
def test_expected_information_is_that_of_numerical_derivatives(text: str) -> None:
    tolerance = 1e-5 if text == PRIORS["Cauchy"] else 2e-6
    assert expected_information(parse_prior(text)) == pytest.approx(
        _numerically(LAWS[text]), rel=tolerance, abs=1e-6
    )


@pytest.mark.parametrize(
    ("whole", "cut"),
    [
        ("StudentT(nu=4, mu=0.2, sigma=0.5)", "lower=-100000000"),
        ("Cauchy(alpha=0.1, beta=0.707)", "upper=1e30"),
        ("Normal(mu=3, sigma=0.001)", "lower=0"),
    ],
)
def test_a_truncation_of_nothing_changes_nothing(whole: str, cut: str) -> None:
    # The mass cut off is less than 1e-30; panels are integrated to 1e-12.
    assert expected_information(parse_prior(f"Truncated(dist={whole}, {cut})")) == pytest.approx(
        expected_information(parse_prior(whole)), rel=1e-11
    )


def test_both_forms_of_a_beta_on_r_agree() -> None:
    # A density that is infinite at both ends of r; panels are integrated to 1e-12.
    beta = "StretchedBeta(alpha=0.5, beta=0.7)"
    cut = parse_prior(f"Truncated(dist={beta}, lower=-1, upper=1) on r")
    assert expected_information(cut) == pytest.approx(
        expected_information(parse_prior(f"{beta} on r")), rel=1e-9
    )


def test_a_flat_prior_says_nothing() -> None:
    assert expected_information(parse_prior("Flat()")) == 0


def test_the_far_tail_of_a_heavy_prior_is_worth_less_than_nothing() -> None:
    found = expected_information(parse_prior(f"Truncated(dist={PRIORS['StudentT']}, upper=-50)"))
    assert found is not None
    assert found < 0


@pytest.mark.parametrize(
    "text",
    [
        "DiracDelta(c=0.1)",
        "Normal(mu=1, sigma=2) on mu/tau",
        "InverseGamma(alpha=1, beta=0.1) on tau2",
        "StretchedBeta(alpha=1.5, beta=3)",
        "Truncated(dist=StretchedBeta(alpha=1.5, beta=3), upper=0.5)",
        "Beta(alpha=2, beta=0.7) on r",
        "Jeffreys()",
        "RegularizedHorseshoe(tau0=0.1, slab_df=4, slab_scale=0.5)",
    ],
)
def test_other_priors_have_none(text: str) -> None:
    assert expected_information(parse_prior(text)) is None
    assert prior_sample_size(parse_prior(text), 1.0) is None


@pytest.mark.parametrize(
    ("text", "people"),
    [("Normal(mu=0, sigma=0.5)", 4.0), ("Normal(mu=0.285, sigma=0.06)", 1 / 0.06**2)],
)
def test_a_normal_prior_is_worth_its_people(text: str, people: float) -> None:
    assert prior_sample_size(parse_prior(text), 1.0) == pytest.approx(people, rel=1e-14)
    encoded, found = _integrated(problem(molloy(), mu=text, tau="HalfNormal(sigma=0.25)"))
    worth = prior_sample_size_of_mu(encoded, found)
    assert worth.participants == pytest.approx(people, rel=1e-14)
    assert worth.studies == pytest.approx(people * (study_unit(encoded, found) or 0), rel=1e-14)


def _integrated(encoded: Problem) -> tuple[Problem, Exact]:
    return encoded, Exact(encoded, exact.integrate(encoded))


def _mean_square(found: Exact) -> float:
    """E[tau²] of a density by adaptive integration."""
    low, high = found.tau.range(1e-14)
    return float(
        integrate.quad(
            lambda x: x**2 * float(found.tau.density(np.array([x]))[0]),
            low,
            high,
            epsabs=1e-12,
            limit=500,
        )[0]
    )


@pytest.mark.parametrize("measure", ["ZCOR", "COR"])
def test_a_study_is_worth_its_sampling_variance_and_heterogeneity(measure: str) -> None:
    studies = reference_studies(f"molloy2014_{measure}")
    encoded, found = _integrated(
        problem(studies, mu="Normal(mu=0, sigma=0.5)", tau="HalfNormal(sigma=0.25)")
    )
    if measure == "ZCOR":
        sampling = 1 / (float(np.median([row.ni or math.nan for row in studies.used])) - 3)
    else:
        sampling = float(np.median([row.vi or math.nan for row in studies.used]))
    # quad is asked for 1e-12.
    assert study_unit(encoded, found) == pytest.approx(sampling + _mean_square(found), abs=1e-10)
    is_known = prior_sample_size_of_mu(encoded, found).participants is not None
    assert is_known == (measure == "ZCOR")


def test_a_study_of_a_common_effect_is_worth_its_people() -> None:
    encoded, found = _integrated(
        problem(molloy(), "common-effect", mu="StudentT(nu=4, mu=0, sigma=0.5)")
    )
    people = 1 / (0.5**2 * 7 / 5)
    middle = float(np.median(encoded.evidence.sizes))
    assert prior_sample_size_of_mu(encoded, found).studies == pytest.approx(people / (middle - 3))


def test_a_study_of_three_levels_has_the_variance_of_both() -> None:
    encoded, found = _integrated(
        problem(
            alliance("drop"),
            "three-level",
            mu="Normal(mu=0, sigma=0.5)",
            tau_study="HalfNormal(sigma=0.2)",
            tau_effect="HalfNormal(sigma=0.1)",
        )
    )
    parts = [found.parameters[name].summary(0.95, "eti") for name in ("tau_study", "tau_effect")]
    total = math.fsum((part.mean or 0) ** 2 + (part.sd or 0) ** 2 for part in parts)
    middle = float(np.median(encoded.evidence.sizes))
    # The engine is exact to 1e-8.
    assert study_unit(encoded, found) == pytest.approx(1 / (middle - 3) + total, abs=1e-8)


def test_without_a_mean_of_heterogeneity_there_are_no_studies(tmp_path: Path) -> None:
    # The posterior of tau falls like tau**-2 under flat priors and three effects.
    rows = [{"yi": y, "vi": 0.01, "study": name} for y, name in ((0.1, "a"), (0.3, "b"), (0, "c"))]
    encoded, found = _integrated(problem(written(tmp_path, rows), mu="Flat()", tau="Flat()"))
    assert study_unit(encoded, found) is None
    assert prior_sample_size_of_mu(encoded, found) == PriorSampleSize(None, None)


def _with_moderators(**priors: str) -> tuple[Problem, PriorSampleSize]:
    everything = {"tau": "HalfNormal(sigma=0.2)", "beta": "Normal(mu=0, sigma=0.3)"} | priors
    encoded, found = _integrated(
        problem(alliance("drop"), mods="~ guidance + center(year)", **everything)
    )
    return encoded, prior_sample_size_of_mu(encoded, found)


def test_with_moderators_the_headline_has_the_variance_of_its_row() -> None:
    encoded, worth = _with_moderators(mu="Normal(mu=0, sigma=0.5)")
    row = encoded.design.average
    assert len(row) > 2
    variance = float(row**2 @ np.array([0.5**2, *(len(row) - 1) * [0.3**2]]))
    assert variance > 0.26
    assert worth.participants == pytest.approx(1 / variance, rel=1e-9)


def test_with_moderators_a_flat_intercept_is_worth_nothing() -> None:
    _, worth = _with_moderators(mu="Flat()")
    assert worth == PriorSampleSize(0.0, 0.0)


def test_with_moderators_other_priors_have_no_known_sum() -> None:
    _, worth = _with_moderators(
        mu="Normal(mu=0, sigma=0.5)", **{"beta[guidance]": "DiracDelta(c=0.1)"}
    )
    assert worth == PriorSampleSize(None, None)


def test_a_headline_at_the_average_of_centred_moderators_is_mu() -> None:
    encoded, found = _integrated(
        problem(
            alliance("drop"),
            mods="~ center(year)",
            mu="Uniform(lower=-1, upper=1) on r",
            beta="Normal(mu=0, sigma=0.3)",
            tau="DiracDelta(c=0.1)",
        )
    )
    assert prior_sample_size_of_mu(encoded, found).participants == pytest.approx(4 / 3, rel=1e-11)
