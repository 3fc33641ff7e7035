"""Averaged over the prior, under the model's own law, a record is what it promises: simulation."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cases import problem, written
from metarho.engines import exact
from metarho.engines.problem import Problem, before_data
from metarho.fitting import Settings
from metarho.posterior.exact import Exact
from metarho.predict.cumulative import cumulative
from metarho.predict.forecasts import Forecast, forecasts
from metarho.predict.words import ORDERED_WORDS
from metarho.spec.analysis import Interval
from simulation import draw_truth, simulate

type Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

# Five years of two studies: small ones, ordinary ones, large ones in each order.
SIZES = (12, 60, 150, 25, 40, 500, 90, 12, 30, 200)
YEARS = np.arange(10.0) // 2


def _world(folder: Path, name: str) -> Problem:
    rows = [
        {"study": f"{place:02d}", "ri": 0.1, "ni": n, "reported": "exact"}
        for place, n in enumerate(SIZES)
    ]
    return problem(written(folder, rows, "ZCOR"), name)


def _seen(world: Problem, y: Array) -> Problem:
    return replace(world, evidence=replace(world.evidence, y=y))


def _apart(found: Array, expected: float) -> float:
    """How many Monte Carlo standard errors the mean over simulations is from what is expected."""
    return abs(float(found.mean()) - expected) / float(found.std(ddof=1) / math.sqrt(len(found)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random-effects", "three-level"])
def test_intervals_cover_and_words_come_as_often_as_was_said(name: str, tmp_path: Path) -> None:
    world, rng = _world(tmp_path, name), np.random.default_rng(20261126)
    count = 400 if name == "random-effects" else 40
    settings = Settings()
    records: list[list[Forecast]] = []
    for _ in range(count):
        seen = _seen(world, simulate(world, draw_truth(world, rng), rng))
        found = cumulative(seen, YEARS, (), settings)
        records.append([one for study in found.studies for one in study.forecasts or ()])
    held = np.array([[one.held for one in record] for record in records], dtype=float)
    pit = np.array([[one.pit[0] for one in record if one.pit] for record in records])
    words = np.array([[one.words for one in record if one.words] for record in records])
    said = np.array([[ORDERED_WORDS.index(one.word or "") for one in record] for record in records])
    cover = held.mean(axis=1)
    significant = held[said != 1].mean(), held[said == 1].mean()
    logger.info("%s: coverage %.4f (%.4f), by year %s", name, cover.mean(),
                cover.std(ddof=1) / math.sqrt(count),
                held.reshape(count, 5, 2).mean(axis=(0, 2)).round(3))  # fmt: skip
    logger.info("where significant %.3f, where not %.3f", *significant)
    # Beyond 4 standard errors lies one in 16,000.
    assert _apart(cover, 0.95) < 4
    assert _apart(pit.mean(axis=1), 0.5) < 4
    assert _apart(((pit - 0.5) ** 2).mean(axis=1), 1 / 12) < 4
    for place in range(3):
        assert _apart(((said == place) - words[:, :, place]).mean(axis=1), 0.0) < 4
    # A record that only holds significant results is another thing.
    assert significant[0] < 0.95 < significant[1]


@pytest.mark.slow
def test_the_exact_law_covers_before_data_where_the_shortcut_does_not(tmp_path: Path) -> None:
    rng, draws = np.random.default_rng(7), 20_000
    rows = {}
    for name in ("exact-r", "random-effects"):
        world = before_data(_world(tmp_path, name))
        prior = Exact(world, exact.integrate(world))
        rows[name] = forecasts(prior, world, [0, 3], Interval(prob=0.5))
        if name == "exact-r":
            z = np.array([simulate(world, draw_truth(world, rng), rng)[[0, 3]]
                          for _ in range(draws)])  # fmt: skip
    for name, (small, ordinary) in rows.items():
        for n, one, column in ((12, small, z[:, 0]), (25, ordinary, z[:, 1])):
            r = np.tanh(column)
            share = float(np.mean((one.lower <= r) & (r <= one.upper)))
            logger.info("%s at n = %d: 50%% interval [%.4f, %.4f] holds %.4f", name, n, one.lower,
                        one.upper, share)  # fmt: skip
            if name == "exact-r":
                assert abs(share - 0.5) < 4 * math.sqrt(0.25 / draws)
