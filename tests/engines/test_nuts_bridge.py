"""Bridge sampling on densities whose integral is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from metarho.engines.nuts.bridge import log_evidence

type Array = NDArray[np.float64]

LOG_INTEGRAL = -3.7


def _skewed(rng: np.random.Generator, dimension: int, count: int = 500) -> Array:
    """Logs of gamma variables, four chains: (chain, draw, dimension)."""
    return np.log(rng.gamma(2.0, 1.0, (4, count, dimension)))


def _log_skewed(x: Array) -> float:
    return float(stats.gamma.logpdf(np.exp(x), 2.0).sum() + x.sum()) + LOG_INTEGRAL


@pytest.mark.parametrize("dimension", [1, 3, 20])
def test_the_evidence_of_a_skewed_density_is_within_its_error(dimension: int) -> None:
    rng = np.random.default_rng(1)
    found, error = log_evidence(_log_skewed, _skewed(rng, dimension), rng)
    assert found == pytest.approx(LOG_INTEGRAL, abs=4 * error)
    assert 0 < error < 0.1


def test_the_proposal_itself_has_no_error_to_speak_of() -> None:
    rng = np.random.default_rng(2)
    draws = rng.multivariate_normal([1.0, -2.0], [[2.0, 0.9], [0.9, 1.0]], (4, 1000))
    law = stats.multivariate_normal([1.0, -2.0], [[2.0, 0.9], [0.9, 1.0]])
    found, error = log_evidence(lambda x: float(law.logpdf(x)), draws, rng)
    assert found == pytest.approx(0.0, abs=0.01)
    assert error < 0.01


def test_stated_errors_are_those_of_repetitions() -> None:
    found = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        value, error = log_evidence(_log_skewed, _skewed(rng, 3, 200), rng)
        found.append((value - LOG_INTEGRAL) / error)
    # Standard normal, but for what 150 repetitions cannot tell: 4 standard errors of mean and sd.
    assert abs(np.mean(found)) < 4 / math.sqrt(150)
    assert np.std(found) == pytest.approx(1.0, abs=4 / math.sqrt(300))


def test_draws_that_hang_together_count_for_less() -> None:
    rng = np.random.default_rng(3)

    # A law with lighter tails than the proposal's, so that there is an error at all.
    def log_law(x: Array) -> float:
        return float(-0.5 * (x**2).sum() - 0.1 * (x**4).sum())

    noise = rng.standard_normal((4, 4000))
    keep = np.log(rng.uniform(size=noise.shape)) < -0.1 * noise**4
    alone = np.array([one[kept][:1500] for one, kept in zip(noise, keep, strict=True)])[:, :, None]
    tied = np.sort(alone.reshape(4, 15, 100), axis=2).reshape(4, 1500, 1)
    _, error = log_evidence(log_law, alone, np.random.default_rng(4))
    _, larger = log_evidence(log_law, tied, np.random.default_rng(4))
    # Half of the error is the proposal's, and the same.
    assert larger > 1.2 * error
