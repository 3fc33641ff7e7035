"""Simulation-based calibration of every part that the PyMC engine samples.

Truths come from the priors, data from ``simulation.py``, all fits from one compiled model; where
a truth lies among its draws is uniform if the engine is right.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from grammar_cases import PARTS
from metarho.engines import nuts
from metarho.engines.problem import Problem
from metarho.spec.analysis import Sampler
from metarho.spec.priors import parse_prior
from simulation import draw_truth, seen_as, simulate

LOG = logging.getLogger("calibration")

type Array = NDArray[np.float64]

FOLDER = Path(__file__).parents[2] / "outputs" / "calibration"
COUNT = 200
# Enough for a place in a hundred, which 200 data sets cannot tell from an exact one.
SAMPLER = Sampler(draws=250, tune=500, chains=4)
# An honest engine fails one parameter in a thousand at this level.
LEVEL = 1e-3

# A prior of every sd that data of this size say something about; heavy tails, which the shipped
# priors of bias have, make single data sets that no sampler explores in 1000 draws.
PROPER = {"pet": "HalfNormal(sigma=1)", "peese": "HalfNormal(sigma=5)"}


def _base(name: str) -> Problem:
    problem = PARTS[name].problem()
    priors = {
        one: replace(applied, prior=parse_prior(PROPER[one])) if one in PROPER else applied
        for one, applied in problem.priors.items()
    }
    return replace(problem, priors=priors)


def _ranks(base: Problem, count: int, world: Problem | None = None) -> dict[str, Array]:
    """The share of draws below the truth, for data sets simulated from the prior.

    A ``world`` other than the base plants a bug: data come from it, draws from the base.
    """
    rng = np.random.default_rng(20261125)
    truths = [draw_truth(base, rng) for _ in range(count)]
    problems = [seen_as(base, simulate(world or base, truth, rng)) for truth in truths]
    seeded = [(problem, seed) for seed, problem in enumerate(problems)]
    ranks: dict[str, list[float]] = {name: [] for name in base.priors}
    for truth, draws in zip(truths, nuts.fit_many(seeded, SAMPLER), strict=True):
        for name, places in ranks.items():
            places.append(float(np.mean(draws.parameters[name] < truth[name])))
    return {name: np.array(places) for name, places in ranks.items()}


def _keep(name: str, found: dict[str, Array]) -> None:
    """Write the ranks where ``benchmarks/calibration.py`` draws them from."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(
        json.dumps({parameter: ranks.tolist() for parameter, ranks in found.items()}),
        encoding="utf-8",
    )


def _p(ranks: Array) -> float:
    return float(stats.kstest(ranks, "uniform").pvalue)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_truths_rank_uniformly_among_draws(name: str) -> None:
    base = _base(name)
    start = time.perf_counter()
    found = _ranks(base, COUNT)
    seconds = (time.perf_counter() - start) / COUNT
    _keep(name, found)
    for parameter, ranks in found.items():
        covered = float(np.mean((ranks > 0.025) & (ranks < 0.975)))
        LOG.info("| %s | %.2f | %s | %.3f | %.3f |", name, seconds, parameter, _p(ranks), covered)
    for parameter, ranks in found.items():
        assert _p(ranks) > LEVEL, parameter
        covered = float(np.mean((ranks > 0.025) & (ranks < 0.975)))
        assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / COUNT)), parameter


@pytest.mark.slow
def test_planted_errors_are_caught() -> None:
    base = _base("mixture, words")
    wrong = replace(base, evidence=replace(base.evidence, v=np.sqrt(base.evidence.v)))
    found = _ranks(base, COUNT, wrong)
    LOG.info("sds for variances: %s", {name: f"{_p(ranks):.1g}" for name, ranks in found.items()})
    assert min(map(_p, found.values())) < LEVEL
