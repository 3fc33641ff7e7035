"""Stacking weights against what an optimum must be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cases import alliance, molloy, problem
from metarho.compare.stacking import stacking, stacking_weights
from metarho.fitting import Settings, fit_many

type Array = NDArray[np.float64]


def _score(log_density: Array, weights: Array) -> float:
    return float(np.log(np.exp(log_density) @ weights).sum())


def test_weights_of_two_fits_are_those_of_a_fine_grid() -> None:
    log_density = np.random.default_rng(1).normal(size=(12, 2))
    grid = np.linspace(0, 1, 100_001)
    scores = np.log(
        np.exp(log_density[:, :1]) * grid + np.exp(log_density[:, 1:]) * (1 - grid)
    ).sum(axis=0)
    weights = stacking_weights(log_density, np.ones(12))
    # The score is flat at its optimum: a grid of 1e-5 knows it to 1e-9.
    assert weights[0] == pytest.approx(grid[scores.argmax()], abs=2e-5)
    assert _score(log_density, weights) >= scores.max() - 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_no_weight_moved_to_another_fit_predicts_better(seed: int) -> None:
    # Of 30 fits most get nothing; the gradient at the optimum is 1 where a weight is positive.
    rng = np.random.default_rng(seed)
    log_density = rng.normal(size=(20, 1)) + 0.3 * rng.normal(size=(20, 30))
    studies = rng.dirichlet(np.ones(20)) * 20
    weights = stacking_weights(log_density, studies)
    density = np.exp(log_density)
    gradient = density.T @ (studies / 20 / (density @ weights))
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    assert gradient.max() <= 1 + 1e-5
    assert gradient[weights > 1e-3] == pytest.approx(1, abs=1e-5)


def test_a_fit_that_predicts_every_study_worse_gets_nothing() -> None:
    log_density = np.random.default_rng(2).normal(size=(9, 1)) - [0.0, 0.5]
    assert stacking_weights(log_density, np.ones(9)) == pytest.approx([1, 0], abs=1e-9)


def test_fits_on_other_rows_are_stacked_apart() -> None:
    wide, narrow = "Normal(mu=0, sigma=0.5)", "Normal(mu=0, sigma=0.1)"
    problems = [problem(molloy(), mu=wide), problem(alliance("drop"), mu=wide)]
    problems += [problem(molloy(), mu=narrow)]
    fits = fit_many(problems, Settings())
    first, alone, second = stacking(fits, 0.95, 1)
    assert first is not None and second is not None and alone is not None
    assert alone.weight == alone.lower == alone.upper == 1
    assert first.weight + second.weight == pytest.approx(1)
    assert first.lower <= first.weight <= first.upper
