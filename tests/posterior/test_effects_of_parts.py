"""True effects, likelihoods and replicates under every part of the grammar, against quadrature."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad, quad_vec

import textbook
from cases import written
from grammar_cases import LEVELS, PARTS, Part
from metarho.engines.problem import Problem, problem_without
from metarho.posterior.effects import draw_effects, replicate
from metarho.posterior.hyperparameters import Hyperparameters, bias_of_rows
from metarho.posterior.study_likelihood import no_study_likelihood, study_log_likelihood
from metarho.spec.model import StepSelection

type Array = NDArray[np.float64]

VALUES = {
    "mu": 0.2,
    "tau": 0.15,
    "tau_study": 0.12,
    "tau_effect": 0.1,
    "tau_rater": 0.08,
    "nu": 3.0,
    "weight": 0.2,
    "tau_outlier": 0.4,
    "pet": 0.7,
    "peese": 2.0,
    "omega": 0.4,
}


def _values(problem: Problem) -> dict[str, Array]:
    """One value for each parameter; slopes rise."""
    slopes = iter(np.linspace(0.02, 0.1, len(problem.priors)))
    return {
        name: np.array(VALUES.get(name.partition("[")[0], 0.0) or next(slopes))
        for name in problem.priors
    }


def _given(problem: Problem, count: int) -> Hyperparameters:
    values = {name: np.full(count, float(one)) for name, one in _values(problem).items()}
    coefficients = np.stack([values[name] for name in problem.coefficients], axis=-1)
    others = {name: values[name] for name in (*problem.scale_slopes, *problem.shapes)}
    return Hyperparameters(coefficients, problem.level_variances(values), {}, others)


ONE_LEVEL = [
    "random effects, words",
    "common effect, words",
    "random effects, several tests",
    "mixture, several tests",
    "moderators, words",
    "correlated errors",
    "moderators of tau",
    "mixture, words",
    "selection",
    "selection, three bands, words",
    "selection, known weights, mixture",
    "PET, words",
    "PEESE, correlated errors",
    "study and effect",
    "study and effect, correlated errors",
]


@pytest.mark.parametrize("name", ONE_LEVEL)
def test_likelihoods_of_studies_add_up_to_that_of_the_textbook(name: str) -> None:
    problem = PARTS[name].problem()
    truth = textbook.log_density(problem, _values(problem))
    seen = study_log_likelihood(problem, _given(problem, 2))
    assert seen.shape == (2, len(problem.evidence.study_names))
    assert seen.sum(axis=1) == pytest.approx(np.full(2, truth), abs=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "mixture, study",
        "selection, study",
        "study and effect, words",
        "study and effect, several tests",
    ],
)
def test_a_study_s_likelihood_integrates_its_deviation(name: str) -> None:
    problem = PARTS[name].problem()
    seen = study_log_likelihood(problem, _given(problem, 1))[0]
    study = problem.evidence.study
    for number in np.unique(study):
        alone = problem_without(problem, study != number)
        if alone.evidence.k == 1 and problem.is_gaussian:
            continue  # Nothing of it is a variable; seen above.
        values = _values(alone)

        def density(u: float, alone: Problem = alone, values: dict[str, Array] = values) -> float:
            at = {**values, "deviation_study": np.array([u])}
            return math.exp(textbook.log_density(alone, at))

        if ("words" in name or "tests" in name) and not alone.evidence.is_interval.any():
            continue
        mass, _ = quad(density, -8, 8, epsabs=0, epsrel=1e-11, limit=200)
        assert seen[number] == pytest.approx(math.log(mass), abs=1e-9)


def test_studies_that_share_a_rater_have_no_likelihood_of_their_own() -> None:
    problem = PARTS["crossed with raters"].problem()
    assert "share rater" in str(no_study_likelihood(problem))
    with pytest.raises(ValueError, match="share rater"):
        study_log_likelihood(problem, _given(problem, 1))


def _law_of_effect(problem: Problem, row: int, theta: float) -> float:
    """The density of a true effect at a row's moderators."""
    values = _values(problem)
    slopes = np.array([float(values[name]) for name in problem.coefficients])
    mean = float(problem.design.matrix[row] @ slopes)
    scale = np.array([float(values[name]) for name in problem.scale_slopes])
    tau = 0.15 * math.exp(float(problem.scale_design.matrix[row, 1:] @ scale))
    match problem.model.effects:
        case "student-t":
            return float(stats.t.pdf(theta, 3, mean, tau))
        case "mixture":
            outlying = stats.norm.pdf(theta, mean, math.hypot(tau, 0.4))
            return float(0.8 * stats.norm.pdf(theta, mean, tau) + 0.2 * outlying)
    return float(stats.norm.pdf(theta, mean, tau))


def _seen(problem: Problem, row: int, theta: float) -> float:
    """The chance of what a row printed, given its true effect, but for a constant."""
    evidence, values = problem.evidence, _values(problem)
    if problem.model.likelihood == "exact-r":
        alone = problem_without(problem, np.arange(evidence.k) != row)
        centre = {**values, "mu": np.array(theta), "tau": np.array(0.0)}
        return math.exp(textbook.log_density(alone, centre))
    sd = math.sqrt(evidence.v[row])
    bias = 0.7 * sd if problem.model.selection == "pet" else 0.0
    law = stats.norm(theta + bias, sd)
    if not evidence.is_interval[row]:
        return float(law.pdf(evidence.y[row]))
    selection = problem.model.selection
    if evidence.rows[row].tests > 1:
        return textbook.chance(problem, row, theta, float(evidence.v[row]))
    if not isinstance(selection, StepSelection):
        return float(law.cdf(evidence.upper[row]) - law.cdf(evidence.lower[row]))
    cuts = stats.norm.isf(selection.step.cutpoints) * sd
    ends = [np.inf, *cuts, -np.inf]
    total = 0.0
    for band, weight in enumerate([1.0, 0.4, 0.4]):
        low, high = max(ends[band + 1], evidence.lower[row]), min(ends[band], evidence.upper[row])
        total += weight * max(0.0, float(law.cdf(high) - law.cdf(low)))
    return total


@pytest.mark.parametrize(
    "name",
    [
        "moderators of tau",
        "Student-t effects, words",
        "mixture, words",
        "random effects, several tests",
        "selection, three bands, words",
        "PET, words",
        "exact law of r, words",
    ],
)
def test_true_effects_of_draws_have_their_conditional_law(name: str) -> None:
    problem = PARTS[name].problem()
    count = 8000
    theta = draw_effects(problem, _given(problem, count), np.random.default_rng(5))
    # A number, and a word.
    words = np.flatnonzero(problem.evidence.is_interval)
    numbers = np.flatnonzero(~problem.evidence.is_interval)
    several = np.flatnonzero(problem.evidence.sums_up)
    for row in (numbers[0], words[0], words[-1], *several[:2]):

        def weighted(x: float, row: int = int(row)) -> Array:
            chance = _law_of_effect(problem, row, x) * _seen(problem, row, x)
            return chance * np.array([1.0, x, x**2])

        found, _ = quad_vec(weighted, -3, 3, points=(0.1, 0.3), epsrel=1e-7)
        mass, first, second = found
        mean = first / mass
        sd = math.sqrt(second / mass - mean**2)
        # Seven laws, three to five rows, two numbers each: 4.5 standard errors.
        assert theta[:, row].mean() == pytest.approx(mean, abs=4.5 * sd / math.sqrt(count))
        assert theta[:, row].std() == pytest.approx(sd, abs=4.5 * 2 * sd / math.sqrt(2 * count))


def test_replicates_show_the_bias_of_small_studies() -> None:
    problem = PARTS["PET, words"].problem()
    given = _given(problem, 4000)
    theta = np.zeros((4000, problem.evidence.k))
    y = replicate(problem, given, theta, np.random.default_rng(3))
    error = np.sqrt(problem.evidence.v / 4000)
    assert np.all(np.abs(y.mean(axis=0) - bias_of_rows(problem, given)[0]) < 5 * error)
    assert bias_of_rows(problem, given)[0] == pytest.approx(0.7 * np.sqrt(problem.evidence.v))


def test_samples_of_one_study_deviate_apart(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"study": "s1", "sample": "a", "effect": 1, "ri": 0.3, "ni": 50, "reported": "exact"},
        {"study": "s1", "sample": "b", "effect": 2, "ni": 60, "reported": "not significant"},
        {"study": "s2", "sample": "a", "effect": 1, "ri": 0.2, "ni": 80, "reported": "exact"},
    ]
    levels = {"random": "sample/effect"}
    priors = {**LEVELS, "tau_sample": "HalfNormal(sigma=0.2)"}
    problem = Part(lambda: written(tmp_path, rows, "ZCOR"), levels, priors).problem()
    # Samples are named within their study.
    assert problem.evidence.groups("sample")[1] == ("s1 / a", "s1 / b", "s2 / a")
    values = {"mu": np.array(0.2), "tau_sample": np.array(0.3), "tau_effect": np.array(0.1)}
    one = {name: value.reshape(1) for name, value in values.items()}
    given = Hyperparameters(np.array([[0.2]]), problem.level_variances(one))
    seen = study_log_likelihood(problem, given)
    assert seen.sum() == pytest.approx(textbook.log_density(problem, values), abs=1e-9)
