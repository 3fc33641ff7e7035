"""New true effects of sampled models: their spread and mean correlation, against quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from grammar_cases import PARTS
from metarho.posterior import new_effects
from metarho.posterior.student_effects import average_correlation_given

COUNT = 200_000
HERE = np.array([1.0])


def test_the_spread_of_new_effects_is_that_of_the_mixture_and_its_mean_correlation_too() -> None:
    problem = PARTS["mixture, study"].problem()
    values = {
        name: np.full(COUNT, one)
        for name, one in {
            "mu": 0.2,
            "tau_study": 0.1,
            "tau_effect": 0.2,
            "weight": 0.25,
            "tau_outlier": 0.6,
        }.items()
    }
    noise = new_effects.draw_noise(problem, values, HERE, 0.04, np.random.default_rng(1))
    variance = 0.01 + 0.04 + 0.25 * 0.36
    assert new_effects.total_variance(problem, values, HERE)[0] == pytest.approx(variance)
    assert noise.var() == pytest.approx(variance + 0.04, rel=0.02)
    plain, outlying = (stats.norm(0.2, math.sqrt(v)) for v in (0.05, 0.05 + 0.36))

    def density(x: float) -> float:
        return math.tanh(x) * float(0.75 * plain.pdf(x) + 0.25 * outlying.pdf(x))

    one = {name: value[:1] for name, value in values.items()}
    found = new_effects.mean_correlation(problem, one, HERE, np.array([0.2]))
    assert found[0] == pytest.approx(quad(density, -6, 6, epsrel=1e-10)[0], abs=1e-9)


def test_moderators_of_tau_spread_new_effects() -> None:
    problem = PARTS["moderators of tau"].problem()
    values = {"mu": np.zeros(COUNT), "tau": np.full(COUNT, 0.2)}
    values |= {name: np.full(COUNT, 0.5) for name in problem.scale_slopes}
    at = np.array([1.0, 1.0, 0.0])
    noise = new_effects.draw_noise(problem, values, at, 0.0, np.random.default_rng(2))
    assert noise.std() == pytest.approx(0.2 * math.exp(0.5), rel=0.01)


@pytest.mark.parametrize("nu", [0.5, 2.0, 30.0])
def test_the_mean_correlation_over_student_t_effects_is_paired_draw_by_draw(nu: float) -> None:
    mean, between, tau2 = np.array([0.1, 0.7]), np.array([0.0, 0.04]), np.array([0.09, 0.01])
    found = average_correlation_given(mean, between, tau2, np.array([nu, nu]))
    for at in range(2):
        noise = np.linspace(-9, 9, 181)
        centres = mean[at] + math.sqrt(between[at]) * noise
        # t = sinh x, so that heavy tails are a short stretch; the trapezoidal rule in both.
        x = np.linspace(-60, 60, 6001)
        t = np.sinh(x)
        weights = stats.t.pdf(t, nu) * np.cosh(x) * 0.02
        at_centres = np.tanh(centres[:, None] + math.sqrt(tau2[at]) * t) @ weights
        truth = float(stats.norm.pdf(noise) @ at_centres) * 0.1
        assert found[at] == pytest.approx(truth, abs=1e-6)
