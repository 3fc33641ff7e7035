"""Bayes factors against closed forms, pinned references and their own other form."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cases import alliance, molloy, problem, reference, reference_studies, written
from grammar_cases import PARTS
from metarho.compare.bayes_factors import BayesFactor, Null, bayes_factors, direction, nulls
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many

TAU = {
    "hn0.5": "HalfNormal(sigma={0:.10g})",
    "hn1": "HalfNormal(sigma={0:.10g})",
    "hc0.3": "HalfCauchy(beta={0:.10g})",
    "hc0.5": "HalfCauchy(beta={0:.10g})",
    "exp2": "Exponential(lam={0:.10g})",
    "invgamma1_0.15": "InverseGamma(alpha=1, beta={0:.10g})",
    "shrinkage": "UniformShrinkage()",
}
SCALES = {"hn0.5": 0.5, "hn1": 1.0, "hc0.3": 0.3, "hc0.5": 0.5, "invgamma1_0.15": 0.15}
PINNED = reference("bayes_factors")
SETTINGS = [
    (source, name, setting)
    for source in ("bayesmeta", "oracle")
    for name, settings in PINNED[source]["data"].items()
    for setting in settings
]


def _factors(encoded: Problem) -> dict[str, BayesFactor]:
    (fit,) = fit_many([encoded], Settings())
    return {factor.null: factor for factor in bayes_factors(fit, Settings())}


@pytest.mark.parametrize(("source", "name", "setting"), SETTINGS)
def test_bayes_factors_are_those_of_the_references(source: str, name: str, setting: str) -> None:
    unit = 50.0 if name == "eightschools" else 1.0
    tau, mu = setting.removeprefix("tau:").split("|mu:n0_")
    scale = 2 / unit if tau == "exp2" else SCALES.get(tau, 1.0) * unit
    encoded = problem(
        reference_studies(name),
        mu=f"Normal(mu=0, sigma={float(mu) * unit})",
        tau=TAU[tau].format(scale),
    )
    pinned = PINNED[source]["data"][name][setting]
    found = _factors(encoded)
    for null in ("tau=0", "mu=0"):
        truth = pinned[null] if source == "oracle" else math.log(pinned[null])
        # bayesmeta agrees with the oracle to 5e-11.
        assert -(found[null.replace("=", " = ")].log_bf or 0) == pytest.approx(truth, abs=1e-9)


def test_the_common_effect_has_a_closed_form() -> None:
    encoded = problem(molloy(), "common-effect", mu="Normal(mu=0.1, sigma=0.3)")
    y, v = encoded.evidence.y, encoded.evidence.v
    precision = (1 / v).sum()
    mean, variance = (y / v).sum() / precision, 1 / precision
    model = stats.norm.logpdf(mean, 0.1, math.sqrt(variance + 0.3**2))
    null = stats.norm.logpdf(mean, 0, math.sqrt(variance))
    (found,) = _factors(encoded).values()
    assert found.log_bf == pytest.approx(model - null, abs=1e-10)
    assert found.savage_dickey == pytest.approx(model - null, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "priors"),
    [
        ("random-effects", {"mu": "Normal(mu=0, sigma=0.5)", "tau": "HalfNormal(sigma=0.25)"}),
        ("random-effects", {"mu": "Cauchy(alpha=0, beta=0.7)", "tau": "HalfCauchy(beta=0.2)"}),
        ("random-effects", {"tau": "DuMouchel()"}),
        ("random-effects", {"mu": "NormalMixture(w=[1, 2], mu=[0, 0.3], sigma=[0.1, 0.2])"}),
        ("three-level", {}),
        ("three-level", {"tau": "HalfNormal(sigma=0.3)"}),
    ],
)
def test_densities_at_the_null_give_the_ratio_of_evidences(
    name: str, priors: dict[str, str]
) -> None:
    found = _factors(problem(alliance("drop"), name, **priors))
    assert len(found) == (2 if name == "random-effects" else 4)
    for null, factor in found.items():
        assert factor.log_bf is not None and factor.savage_dickey is not None, null
        assert factor.savage_dickey == pytest.approx(factor.log_bf, abs=1e-8), null


def test_with_intervals_and_with_moderators_both_forms_agree() -> None:
    for encoded in (problem(alliance()), problem(alliance("drop"), mods="~ guidance")):
        for factor in _factors(encoded).values():
            assert factor.savage_dickey == pytest.approx(factor.log_bf, abs=1e-8)
            assert factor.error is not None and factor.error < 1e-8


def test_priors_without_a_density_at_the_null_have_no_savage_dickey() -> None:
    found = _factors(problem(molloy(), tau="InverseGamma(alpha=1, beta=0.1)"))["tau = 0"]
    assert found.log_bf is not None and found.savage_dickey is None
    assert found.no_savage_dickey == "the prior density of tau is 0 at 0"
    found = _factors(problem(molloy(), tau="Gamma(alpha=0.5, beta=2)"))["tau = 0"]
    assert found.no_savage_dickey == "the prior density of tau is infinite at 0"


def test_improper_priors_are_refused_or_labelled() -> None:
    found = _factors(problem(molloy(), mu="Flat()"))
    assert found["mu = 0"].log_bf is None
    assert found["mu = 0"].reason == "mu = 0 needs a proper prior on mu, and Flat() is improper"
    assert found["tau = 0"].label == "shared improper prior on mu"
    assert found["tau = 0"].savage_dickey == pytest.approx(found["tau = 0"].log_bf, abs=1e-8)
    found = _factors(problem(molloy(), tau="Jeffreys()"))
    assert found["tau = 0"].log_bf is None
    assert found["mu = 0"].label == "shared improper prior on tau"
    assert _factors(problem(molloy()))["mu = 0"].label == ""


def test_a_far_null_has_its_ratio_of_evidences(tmp_path: Path) -> None:
    rows = [{"yi": 12.0 + 0.01 * i, "vi": 1e-4} for i in range(8)]
    studies = written(tmp_path, rows)
    found = _factors(problem(studies, mu="StudentT(nu=3, mu=0, sigma=1)"))["mu = 0"]
    assert found.log_bf is not None and found.log_bf > 10
    assert found.savage_dickey is None
    assert found.no_savage_dickey is not None
    assert found.no_savage_dickey.startswith("the null lies where")


def test_what_the_model_holds_has_no_null() -> None:
    assert nulls(problem(molloy(), "common-effect", mu="DiracDelta(c=0.1)")) == ()
    names = [null.name for null in nulls(problem(molloy(), "three-level"))]
    assert names == ["mu = 0", "tau_study = tau_effect = 0", "tau_study = 0", "tau_effect = 0"]


EFFECT = Null("mu = 0", {"mu": 0.0}, "an effect", "one")


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (3.2, "3.2 times as likely with an effect as without one"),
        (1 / 27.04, "27 times as likely without an effect as with one"),
        (1234.2, "1,234 times as likely with an effect as without one"),
        (5e8, "more than 1,000,000 times as likely with an effect as without one"),
        (1.004, "as likely with an effect as without one"),
    ],
)
def test_the_direction_is_a_sentence(ratio: float, said: str) -> None:
    assert direction(float(np.log(ratio)), EFFECT) == f"the data are {said}"


def test_without_heterogeneity_a_mixture_has_no_outliers_either() -> None:
    found = {null.name: null for null in nulls(PARTS["mixture, words"].problem())}
    assert list(found) == ["mu = 0", "tau = tau_outlier = 0", "tau_outlier = 0"]
    assert found["tau = tau_outlier = 0"].with_it == "heterogeneity"
    assert found["tau_outlier = 0"].values == {"tau_outlier": 0.0}


def test_draws_without_evidence_have_no_bayes_factor() -> None:
    (fit,) = fit_many([problem(molloy())], Settings())
    sampled = replace(fit, engine="nuts", result=Draws({}, {}, {}, 0.8, False))
    found = bayes_factors(sampled, Settings())
    assert [factor.null for factor in found] == ["mu = 0", "tau = 0"]
    assert {factor.reason for factor in found} == {
        "the evidence of a sampled model needs proper priors on all its parameters and more draws "
        "than it has variables"
    }
