"""Simulation-based calibration: truths drawn from the prior rank uniformly in their posteriors."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from cases import alliance, molloy, problem
from metarho.data.effect_sizes import critical_r
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact

LOG = logging.getLogger("calibration")

type Array = NDArray[np.float64]

# One in a thousand honest suites fails a test at this level.
LEVEL = 1e-3


def _ranks(base: Problem, count: int, words: bool, variance_power: float = 1.0) -> dict[str, Array]:
    """Posterior cdf at the truth, for data sets simulated from the prior on the base's design.

    ``variance_power`` 0.5 plants the commonest bug, sds for variances, in the simulation.
    """
    rng = np.random.default_rng(20261122)
    ranks: dict[str, list[float]] = {"mu": [], "tau": []}
    for _ in range(count):
        mu, tau = rng.normal(0, 0.5), abs(rng.normal(0, 0.25))
        v = base.evidence.v**variance_power
        y = rng.normal(mu, np.sqrt(v + tau**2))
        nothing = np.full_like(y, np.nan)
        cut = _words(base, y) if words else (y, nothing, nothing)
        evidence = replace(base.evidence, y=cut[0], lower=cut[1], upper=cut[2])
        found = replace(base, evidence=evidence)
        posterior = Exact(found, exact.integrate(found))
        for name, truth in (("mu", mu), ("tau", tau)):
            marginal = posterior.parameters[name]
            ranks[name].append(float(marginal.cdf(np.array(truth))))
    return {name: np.array(values) for name, values in ranks.items()}


def _words(base: Problem, y: Array) -> tuple[Array, Array, Array]:
    """y, lower and upper, y cut into words in the rows that printed words."""
    limits = np.array([math.atanh(critical_r(row.ni or 4)) for row in base.evidence.rows])
    cut = base.evidence.is_interval
    lower = np.where(y > limits, limits, np.where(y < -limits, -np.inf, -limits))
    upper = np.where(y > limits, np.inf, np.where(y < -limits, -limits, limits))
    return (
        np.where(cut, np.nan, y),
        np.where(cut, lower, np.nan),
        np.where(cut, upper, np.nan),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("words", "count"), [(False, 10_000), (True, 1_000)])
def test_truths_rank_uniformly(words: bool, count: int) -> None:
    base = problem(alliance() if words else molloy())
    for name, ranks in _ranks(base, count, words).items():
        p = stats.kstest(ranks, "uniform").pvalue
        covered = float(np.mean((ranks > 0.025) & (ranks < 0.975)))
        LOG.info(
            "%s, words %s: %d data sets, KS p %.3f, 95%% intervals cover %.4f",
            name,
            words,
            count,
            p,
            covered,
        )
        assert p > LEVEL
        assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / count))


@pytest.mark.slow
def test_sds_in_place_of_variances_are_caught() -> None:
    ranks = _ranks(problem(molloy()), 500, False, variance_power=0.5)
    assert stats.kstest(ranks["tau"], "uniform").pvalue < LEVEL
