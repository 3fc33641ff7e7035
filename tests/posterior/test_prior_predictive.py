"""What a model expects of its rows has the law of data simulated from it for the purpose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from grammar_cases import PARTS
from metarho.posterior.prior_predictive import draw_prior_predictive
from simulation import draw_truth, simulate

COUNT = 1500


@pytest.mark.parametrize(
    "name",
    [
        "moderators, words",
        "study and effect, correlated errors",
        "crossed with raters",
        "moderators of tau",
        "Student-t effects, study",
        "mixture, study",
        "selection, three bands, words",
        "selection, known weights, mixture",
        "PET, words",
        "exact law of r, study",
    ],
)
def test_rows_are_expected_as_they_are_simulated(name: str) -> None:
    problem = PARTS[name].problem()
    rng = np.random.default_rng(7)
    truth = draw_truth(problem, rng)
    values = {name: np.full(COUNT, one[0]) for name, one in truth.items()}
    expected = draw_prior_predictive(problem, values, rng)
    simulated = np.array([simulate(problem, truth, rng) for _ in range(COUNT)])
    assert expected.shape == simulated.shape
    # One row, and what rows share: their mean. An honest pair fails twice in ten thousand.
    for first, second in ((expected[:, 1], simulated[:, 1]), (expected.mean(1), simulated.mean(1))):
        assert stats.ks_2samp(first, second).pvalue > 1e-4
