"""Replicates of the evidence have the law of new studies, and print what their rows print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from cases import alliance, eight_schools, molloy, problem
from custom_cases import custom
from metarho.checks.replicates import (
    critical_of,
    in_checks,
    no_replicates,
    print_rows,
    printed_of,
    replicates_of,
    rows_of,
)
from metarho.data.effect_sizes import critical_r
from metarho.data.reporting import as_tests
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem, encode
from metarho.fitting import Settings, fit_many
from metarho.posterior.hyperparameters import Hyperparameters

type Array = NDArray[np.float64]

# An honest pair fails twice in ten thousand.
LEAST_P = 1e-4


def _given(base: Problem, mu: float, tau: float, count: int) -> Hyperparameters:
    """Known hyperparameters of a model of two levels."""
    return Hyperparameters(np.full((count, 1), mu), {"effect": np.full(count, tau**2)})


@pytest.mark.parametrize("name", ["random-effects", "three-level"])
def test_a_replicate_of_a_number_is_a_new_study_of_that_size(name: str) -> None:
    (fit,) = fit_many([problem(alliance("drop"), name)], Settings())
    replicates = replicates_of(fit, np.random.default_rng(5))
    assert replicates.shape == (4000, 10)
    for row in (0, 4, 9):
        law = fit.posterior.theta_new(fit.posterior.head, float(fit.problem.evidence.v[row]))
        assert stats.kstest(replicates[::4, row], law.cdf).pvalue > LEAST_P


def test_rows_of_one_study_are_replicated_together_under_three_levels() -> None:
    (fit,) = fit_many([problem(alliance("drop"), "three-level")], Settings())
    replicates, study = replicates_of(fit, np.random.default_rng(5)), fit.problem.evidence.study
    largest = np.bincount(study).argmax()
    first, second = np.flatnonzero(study == largest)[:2]
    elsewhere = np.flatnonzero(study != largest)[0]
    within = stats.pearsonr(replicates[:, first], replicates[:, second]).statistic
    across = stats.pearsonr(replicates[:, first], replicates[:, elsewhere]).statistic
    assert within > across + 0.1


def test_a_word_is_replicated_as_often_as_the_law_of_a_new_study_says() -> None:
    (fit,) = fit_many([problem(alliance())], Settings())
    replicates = replicates_of(fit, np.random.default_rng(6))
    rows, evidence = rows_of(fit.problem), fit.problem.evidence
    assert set(np.unique(replicates[:, rows.is_word])) <= {-1.0, 0.0, 1.0}
    kept = np.flatnonzero(in_checks(fit.problem))
    for place in np.flatnonzero(rows.is_word):
        row = evidence.rows[kept[place]]
        assert row.ni is not None
        law = fit.posterior.theta_new(fit.posterior.head, float(evidence.v[kept[place]]))
        limit = np.arctanh(critical_r(row.ni, row.alpha))
        chance = float(np.diff(law.cdf(np.array([-limit, limit])))[0])
        found = (replicates[:, place] == 0).mean()
        assert abs(found - chance) < 4 * np.sqrt(chance * (1 - chance) / len(replicates))


@pytest.mark.parametrize("tests", [2, 5])
def test_several_tests_print_their_word_as_often_as_a_joint_normal_law_says(tests: int) -> None:
    base = encode(problem(alliance()).model, as_tests(alliance(), tests))
    count, mu, tau = 20_000, 0.2, 0.1
    replicates = print_rows(base, _given(base, mu, tau, count), np.random.default_rng(3))
    rows = rows_of(base)
    place = int(np.flatnonzero(rows.is_word)[0])
    v, limit = rows.v[place], rows.critical[place]
    shared = 0.5 * v + tau**2
    law = stats.multivariate_normal(np.full(tests, mu), shared + 0.5 * v * np.eye(tests))
    ends = np.full(tests, limit)
    chance = law.cdf(ends, lower_limit=-ends, rng=np.random.default_rng(0))
    found = (replicates[:, place] == 0).mean()
    # Four errors of a share, and what SciPy's integration leaves.
    assert abs(found - chance) < 4 * np.sqrt(chance * (1 - chance) / count) + 1e-3


def test_a_word_is_negative_as_often_as_positive_where_effects_are_as_often_so() -> None:
    base = problem(alliance())
    words = print_rows(base, _given(base, 0.0, 0.3, 4000), np.random.default_rng(4))
    words = words[:, rows_of(base).is_word]
    negative, positive = (words == -1).mean(), (words == 1).mean()
    assert negative > 0.1
    # Rows of one set are independent: four errors of a difference of shares.
    assert abs(negative - positive) < 4 * np.sqrt((negative + positive) / words.size)


def test_words_that_mean_any_and_all_are_told_apart() -> None:
    base = encode(problem(alliance()).model, as_tests(alliance(), 3))
    other = {"all": "any", "any": "all"}
    usual = tuple(
        replace(row, word_means="any" if row.reported.startswith("significant") else "all")
        for row in base.evidence.rows
    )
    turned = tuple(replace(row, word_means=other[row.word_means]) for row in usual)
    found = []
    for rows in (usual, turned):
        one = replace(base, evidence=replace(base.evidence, rows=rows))
        words = print_rows(one, _given(one, 0.25, 0.1, 4000), np.random.default_rng(3))
        found.append((words[:, rows_of(one).is_word] == 0).mean())
    # "Not significant" where one of three was not is said far more often than where all were not.
    assert found[1] > found[0] + 0.2


def test_what_was_printed_is_numbers_and_words_and_no_range() -> None:
    base = problem(alliance())
    printed, rows = printed_of(base)[0], rows_of(base)
    reported = [row.reported for row in base.evidence.rows if row.reported != "range"]
    codes = {"not significant": 0, "significant positive": 1}
    assert len(printed) == len(reported) == 27
    for value, name, word in zip(printed, reported, rows.is_word, strict=True):
        assert word == (name != "exact")
        assert np.isfinite(value)
        assert not word or value == codes[name]


def test_significance_is_a_t_test_of_r_and_a_normal_one_of_other_effects() -> None:
    base = problem(molloy())
    limits = [np.arctanh(critical_r(row.ni or 0)) for row in base.evidence.rows]
    assert critical_of(base) == pytest.approx(limits)
    schools = problem(eight_schools(), mu="Normal(mu=0, sigma=50)", tau="HalfNormal(sigma=20)")
    assert critical_of(schools) / np.sqrt(schools.evidence.v) == pytest.approx(
        stats.norm.ppf(0.975)
    )


def test_a_sampled_fit_has_a_replicate_of_each_draw() -> None:
    (fit,) = fit_many([problem(alliance("drop"))], Settings())
    # One chain that stayed near 1 without heterogeneity, and one at -1.
    mu = np.repeat([[1.0], [-1.0]], 2000, axis=1)
    draws = Draws({"mu": mu, "tau": np.full((2, 2000), 1e-9)}, {}, {}, 0.8, False)
    sampled = replace(fit, engine="nuts", result=draws)
    replicates = replicates_of(sampled, np.random.default_rng(2))
    sd = np.sqrt(fit.problem.evidence.v)
    for chain, mean in enumerate((1.0, -1.0)):
        own = (replicates[2000 * chain : 2000 * (chain + 1)] - mean) / sd
        assert stats.kstest(own.ravel(), "norm").pvalue > LEAST_P


def test_replicates_of_a_custom_model_are_refused_by_name(tmp_path: Path) -> None:
    assert no_replicates(problem(molloy())) is None
    model = custom(tmp_path, "def build(studies, priors): ...\n")
    said = no_replicates(encode(model, molloy()))
    assert said is not None and "mine is built by mine.py" in said
