"""What a run keeps of sampled fits beside numbers: their Monte Carlo errors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import metarho
from metarho.batch.plain_answers import monte_carlo_errors
from metarho.engines.nuts.draws import Draws
from metarho.posterior.fit import Fit
from metarho.spec.analysis import Interval


def drawn(model: str, parameters: dict[str, np.ndarray], interval: Interval | None = None) -> Fit:
    studies = metarho.load_studies("internet-alliance", where='role == "main"', intervals="drop")
    fit = metarho.fit(metarho.load_model(model), studies)
    draws = Draws(parameters, {}, {}, 0.8, False, 1.5, 0.01)
    return replace(fit, engine="nuts", result=draws, interval=interval or Interval())


def test_errors_are_those_of_independent_draws() -> None:
    # 4,000 normal draws of mu around 0, where r and z are alike.
    mu = np.random.default_rng(1).normal(0.0, 0.05, (4, 1000))
    found = monte_carlo_errors(drawn("common-effect", {"mu": mu}))
    # The median's error is sd sqrt(pi/2) / sqrt(4000); ArviZ's estimate of it is within a quarter.
    assert found["median"] == pytest.approx(0.05 * math.sqrt(math.pi / 2 / 4000), rel=0.25)
    assert found["lower"] > found["median"]
    # Without heterogeneity a new study is the mean, and tau is 0 in all draws.
    assert found["new_upper"] == found["upper"]
    assert found["tau"] == 0.0
    assert found["log_evidence"] == 0.01


def test_ends_of_shortest_intervals_have_no_error() -> None:
    mu = np.random.default_rng(1).normal(0.0, 0.05, (4, 1000))
    found = monte_carlo_errors(drawn("common-effect", {"mu": mu}, Interval(kind="hdi")))
    assert set(found) == {"median", "tau", "log_evidence"}


def test_exact_fits_have_none() -> None:
    studies = metarho.load_studies("internet-alliance", where='role == "main"', intervals="drop")
    fit = metarho.fit(metarho.load_model("common-effect"), studies)
    assert monte_carlo_errors(fit) == {}
