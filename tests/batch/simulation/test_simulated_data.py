"""Simulated data: their law, and that a data set depends on its truth, seed and number alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from metarho.batch.simulation.truth import Truth, draw, studies_of
from metarho.data.effect_sizes import critical_r

MANY = 20_000


def drawn(truth: Truth, replicate: int = 0) -> np.ndarray:
    return draw(truth, truth.generator(1, replicate))


def is_within(share: float, expected: float, count: int) -> bool:
    """Within 4 binomial standard errors: an honest law fails once in 15,000 times."""
    return abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / count)


def test_r_has_the_law_of_a_correlation_of_so_many_people() -> None:
    # Under rho = 0 that is the t law: r = t/√(n − 2 + t²).
    r = np.tanh(drawn(Truth(0.0, 0.0, (12,) * MANY)))
    t = r * math.sqrt(10) / np.sqrt(1 - r**2)
    assert stats.kstest(t, stats.t(10).cdf).pvalue > 1e-3


def test_true_effects_vary_by_tau_around_mu() -> None:
    # With a million people z is its true effect, but for 0.001.
    z = drawn(Truth(0.3, 0.2, (1_000_000,) * MANY))
    assert stats.kstest(z, stats.norm(0.3, math.hypot(0.2, 0.001)).cdf).pvalue > 1e-3


@pytest.mark.parametrize("selection", [1.0, 0.2])
def test_what_is_not_significantly_positive_appears_with_its_chance(selection: float) -> None:
    truth = Truth(0.2, 0.1, (30,) * MANY)
    positive = float(np.mean(drawn(truth) >= truth.critical))
    selected = Truth(0.2, 0.1, (30,) * MANY, selection=selection)
    share = float(np.mean(drawn(selected) >= selected.critical))
    expected = positive / (positive + selection * (1 - positive))
    # Both shares are counted.
    assert abs(share - expected) < 6 * math.sqrt(expected * (1 - expected) / MANY)


def test_the_drawer_keeps_what_is_not_significant_on_either_side() -> None:
    truth = Truth(0.0, 0.3, (40,) * MANY, "drawer")
    z = drawn(truth)
    assert np.all(np.abs(z) >= truth.critical)
    assert is_within(float(np.mean(z > 0)), 0.5, MANY)


def test_words_are_said_of_what_is_not_significant_and_numbers_of_the_rest() -> None:
    truth = Truth(0.1, 0.1, (25, 50, 100) * 200, "words")
    z = drawn(truth)
    studies = studies_of(truth, z)
    for row, value, size in zip(studies.rows, z, truth.sizes, strict=True):
        is_word = abs(math.tanh(value)) < critical_r(size)
        assert row.is_interval == is_word
        assert row.reported == ("not significant" if is_word else "exact")
        if not is_word:
            assert row.yi == pytest.approx(value)
            assert row.vi == pytest.approx(1 / (size - 3))
    assert 0.2 < np.mean([row.is_interval for row in studies.rows]) < 0.98


def test_a_data_set_depends_on_its_truth_seed_and_number_alone() -> None:
    truth = Truth(0.1, 0.1, (30,) * 5)
    assert np.array_equal(drawn(truth, 3), drawn(Truth(0.1, 0.1, (30,) * 5), 3))
    others = [
        drawn(truth, 4),
        draw(truth, truth.generator(2, 3)),
        drawn(Truth(0.1, 0.1, (30,) * 5, "words"), 3),
        drawn(Truth(0.1, 0.1, (31,) * 5), 3),
    ]
    assert not any(np.allclose(other, drawn(truth, 3)) for other in others)
