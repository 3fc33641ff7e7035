"""A fit in sentences."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from metarho.posterior.fit import Agreement
from metarho.report.apa import apa_sentences
from metarho.spec.analysis import Interval
from printed_cases import CASES, HOSTILE, case, of_rows

SAID = {
    "random effects": "A random-effects model of 16 effects from 15 studies gave a pooled "
    "correlation of ρ = .15 [.08, .22] (posterior median, 95% equal-tailed credible interval).",
    "common effect": "The model has no heterogeneity: one true effect for all.",
    "improper": "The priors of mu and tau are improper, so there is no marginal likelihood and no "
    "Bayes factor.",
    "moderators": "Slopes against design ",
    "three levels": " between studies, τ_effect = ",
    "a total and its share": "The share of the variance of true effects that lies between studies "
    "was .",
    "selected": "Results with a one-sided p above .025 were reported ω = 0.",
    "Student-t": " degrees of freedom.",
    "imputed": "The mean correlation by guidance, other moderators at their average: guided, .",
    "mixture": "An effect was an outlier with probability .",
    "pet": "a pooled correlation in a study without sampling error of ρ = .",
    "peese": "per unit of the sampling variance (PEESE; Fisher's z).",
    "true scores": "gave a pooled correlation of true scores of ρ = .",
    "custom": "The parameter phi was 0.",
    "failed": "These numbers are not to be reported, for their computation failed its checks: "
    "R-hat of mu is 1.2. A random-effects model",
}


@pytest.mark.parametrize("name", list(CASES))
def test_sentences_say_what_a_model_has(name: str) -> None:
    text = " ".join(apa_sentences(case(name)))
    assert SAID[name] in text
    # Correlations and probabilities have no zero before the point, sds and slopes have one.
    assert not re.search(r"(ρ = |P\([^)]*\) [=<>] )0", text)
    assert not re.search(r"(τ\w* = |b = )−?\.", text)
    assert re.search(r"(?<![\w.(=-])-[.\d]", text) is None, "a hyphen for a minus"
    assert re.search(r"−0?\.0+(?!\d)", text) is None, "a sign on 0"
    for word in ("significant", "null hypothesis", "p-value", "confidence"):
        assert word not in text


@pytest.mark.parametrize("name", list(CASES))
def test_all_is_said_once_and_ends_in_a_point(name: str) -> None:
    sentences = apa_sentences(case(name))
    assert len(set(sentences)) == len(sentences)
    assert all(sentence.endswith(".") and ".." not in sentence for sentence in sentences)


def test_the_verdict_comes_first() -> None:
    assert apa_sentences(case("failed"))[0].startswith("These numbers are not to be reported")
    warned = replace(case("pet"), status="warnings", reasons=("E-BFMI is 0.20",))
    assert apa_sentences(warned)[0] == (
        "The computation was accepted with warnings: E-BFMI is 0.20."
    )


def test_thresholds_and_digits_are_those_that_are_asked_for() -> None:
    text = " ".join(apa_sentences(case("random effects"), digits=3, thresholds=(0.0, 0.05)))
    assert "ρ = .147 [.082, .217]" in text
    assert "P(ρ > 0) = .9999 and P(ρ > .050) = .9967" in text
    assert "τ = 0.096 [0.040, 0.183] (Fisher's z), I² = 64.6% [23.9%, 86.9%]" in text


def test_a_share_of_draws_is_no_certainty() -> None:
    # 300 draws, all above: half of a draw may be below.
    fit = case("pet")
    text = " ".join(apa_sentences(fit, thresholds=(-0.9,)))
    assert "P(ρ > −.90) = .998" in text


def test_the_kind_of_an_interval_is_named() -> None:
    shortest = replace(case("random effects"), interval=Interval(prob=0.9, kind="hdi"))
    text = " ".join(apa_sentences(shortest))
    assert "90% highest-density credible interval" in text and "with 90% probability" in text


def test_the_engine_and_its_error_are_said() -> None:
    exact = apa_sentences(case("random effects"))[-1]
    assert re.search(r"integrated numerically \(metarho [\d.]+, exact engine; .* error \de-", exact)
    sampled = apa_sentences(case("pet"))[-1]
    assert "2 chains of 150 draws, largest R-hat" in sampled and "0 divergences" in sampled
    said = Agreement(1.5, "mean of mu", 10, 4.2, reran=False)
    both = apa_sentences(replace(case("random effects"), agreement=said))[-1]
    assert "The second engine agreed with the first" in both and "1.50 Monte Carlo" in both


def test_effects_that_are_no_correlations_have_zeros_and_another_letter(tmp_path: Path) -> None:
    fit = of_rows(tmp_path, "study,yi,vi\na,0.3,0.02\nb,0.1,0.03\nc,0.2,0.01\n")
    text = " ".join(apa_sentences(fit))
    assert "gave a pooled effect of μ = 0.2" in text and "P(μ > 0) = .9" in text
    assert "The true effect of a new study lies in [" in text
    assert "ρ" not in text and "the scale of yi" in text


def test_one_effect_of_one_study_is_singular(tmp_path: Path) -> None:
    fit = of_rows(tmp_path, f'study,ri,ni\n"{HOSTILE}",0.3,50\n', "ZCOR")
    assert apa_sentences(fit)[0].startswith(
        "A random-effects model of 1 effect from 1 study gave a pooled correlation of ρ = ."
    )
