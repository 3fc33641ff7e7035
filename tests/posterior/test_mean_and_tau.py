"""The joint density of mean and heterogeneity: its margins are the posteriors of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cases import alliance, molloy, problem
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.posterior.mean_and_tau import MeanAndTau, mean_and_tau, no_mean_and_tau


def _fit(encoded: Problem) -> Fit:
    return fit_many([encoded], Settings(engine="exact"))[0]


TWO = "NormalMixture(w=[1, 1], mu=[0, 0.3], sigma=[0.1, 0.2])"
CASES = {
    # The mean conjugate; on an axis of its own; of two components; with two levels of either kind.
    "conjugate": (problem(molloy()), 1e-4),
    "intervals": (problem(alliance()), 1e-4),
    "mixture prior": (problem(molloy(), mu=TWO), 1e-4),
    # The kernel makes tau wider by half of the square of a tenth of its sd.
    "nested": (problem(alliance("drop"), "three-level"), 2e-2),
    "nested, intervals": (problem(alliance(where='study < "B"'), "three-level"), 2e-2),
}  # fmt: skip


@pytest.mark.parametrize(("encoded", "tolerance"), CASES.values(), ids=CASES)
def test_its_margins_are_the_posteriors(encoded: Problem, tolerance: float) -> None:
    fit = _fit(encoded)
    found = mean_and_tau(fit)
    assert not found.by_draws
    # What lies beyond the grid is 3e-3 of the mass at most.
    assert found.mass.sum() == pytest.approx(1, abs=4e-3)
    for margin, marginal, grid in (
        (np.trapezoid(found.density, found.tau, axis=1),
         fit.posterior.mean_of(fit.posterior.head), found.mu),
        (np.trapezoid(found.density, found.mu, axis=0), fit.posterior.tau, found.tau),
    ):  # fmt: skip
        truth = marginal.density(grid)
        middle = slice(20, -20)
        assert np.asarray(margin)[middle] == pytest.approx(
            np.asarray(truth)[middle], abs=(tolerance + 3e-3) * float(truth.max())
        )


def test_the_mean_given_tau_is_the_conditional_one() -> None:
    encoded = problem(molloy(), mu="Flat()")
    found = mean_and_tau(_fit(encoded))
    tau = found.tau[60]
    weights = 1 / (encoded.evidence.v + tau**2)
    truth = stats.norm(np.average(encoded.evidence.y, weights=weights), weights.sum() ** -0.5)
    given = found.density[:, 60] / found.density[:, 60].max()
    expected = truth.pdf(found.mu) / truth.pdf(found.mu).max()
    # Both are divided by their largest value on the grid; between nodes are polynomials.
    assert given == pytest.approx(expected, abs=1e-6)


def test_levels_hold_the_probabilities_that_they_say() -> None:
    mu, tau = np.linspace(-5, 5, 401), np.linspace(0, 10, 401)
    density = np.exp(-0.5 * (mu[:, None] ** 2 + (tau - 5) ** 2)) / (2 * np.pi)
    found = MeanAndTau(mu, tau, density, by_draws=False)
    # P(inside) of two normals is 1 − density/density at the middle.
    expected = [(1 - prob) / (2 * np.pi) for prob in (0.5, 0.8, 0.95)]
    assert found.levels((0.5, 0.8, 0.95)) == pytest.approx(expected, rel=5e-3)


def test_draws_are_smoothed_and_nothing_goes_below_zero() -> None:
    fit = _fit(problem(molloy()))
    rng = np.random.default_rng(7)
    mu = rng.normal(0.2, 0.05, (4, 5000))
    tau = np.abs(rng.normal(0, 0.1, (4, 5000)))
    found = mean_and_tau(
        replace(fit, engine="nuts", result=Draws({"mu": mu, "tau": tau}, {}, {}, 0.8, False))
    )
    assert found.by_draws
    by_tau = found.density.sum(axis=0) * (found.mu[1] - found.mu[0])
    # A half-normal is highest at 0, where a kernel that leaked below would halve it; 20,000 draws
    # know a density to 3 percent.
    assert by_tau[0] == pytest.approx(stats.halfnorm(scale=0.1).pdf(0), rel=0.05)


def test_what_is_known_has_no_joint_density() -> None:
    assert "tau is known" in str(no_mean_and_tau(_fit(problem(molloy(), "common-effect"))))
    known = problem(molloy(), tau="DiracDelta(c=0.1)")
    assert "tau is known" in str(no_mean_and_tau(_fit(known)))
    known = problem(molloy(), mu="DiracDelta(c=0.1)")
    assert "mean is known" in str(no_mean_and_tau(_fit(known)))
    assert no_mean_and_tau(_fit(problem(molloy()))) is None
