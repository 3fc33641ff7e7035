"""Simulation-based calibration: truths drawn from the prior rank uniformly in their posteriors."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from cases import alliance, molloy, problem
from metarho.data.effect_sizes import critical_r
from metarho.data.studies import Studies
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.posterior.prior_draws import draw_prior

LOG = logging.getLogger("calibration")

type Array = NDArray[np.float64]

# One in a thousand honest suites fails a test at this level.
LEVEL = 1e-3


@dataclass(frozen=True)
class Case:
    """A problem to be simulated from: on printed correlations, or with rows cut into words."""

    model: str
    count: int
    data: str = "molloy"
    mods: str | None = None
    priors: tuple[tuple[str, str], ...] = ()

    def problem(self) -> Problem:
        return problem(_studies(self.data), self.model, self.mods, **dict(self.priors))


def _studies(name: str) -> Studies:
    if name == "molloy":
        return molloy()
    return alliance("use") if name == "words" else alliance("drop", "n > 0")


MIXTURE = "NormalMixture(w=[1, 2], mu=[-0.2, 0.3], sigma=[0.1, 0.3])"
CASES = {
    "tau": Case("random-effects", 10_000),
    "tau, two moderators": Case("random-effects", 10_000, "alliance", "~ guidance + center(year)"),
    "tau, inverse gamma": Case(
        "random-effects", 10_000, priors=(("tau", "InverseGamma(alpha=3, beta=0.4)"),)
    ),
    "tau, mixture on mu": Case("random-effects", 10_000, priors=(("mu", MIXTURE),)),
    "nothing: common effect": Case("common-effect", 10_000),
    "mu and tau: words": Case("random-effects", 1_000, "words"),
    "mu and tau: Student-t mu": Case(
        "random-effects", 1_000, priors=(("mu", "StudentT(nu=4, mu=0.1, sigma=0.3)"),)
    ),
    "mu and tau: truncated mu": Case(
        "random-effects", 1_000, priors=(("mu", "TruncatedNormal(mu=0, sigma=0.5, lower=0)"),)
    ),
    "tau_study and tau_effect": Case("three-level", 1_000, "alliance"),
    "tau_study and tau_effect, moderator": Case("three-level", 1_000, "alliance", "~ guidance"),
    "tau and share": Case(
        "three-level", 1_000, "alliance", priors=(("tau", "HalfNormal(sigma=0.3)"),)
    ),
}


def _ranks(base: Problem, count: int, variance_power: float = 1.0) -> dict[str, Array]:
    """Posterior cdf at the truth, for data sets simulated from the prior on the base's design.

    ``variance_power`` 0.5 plants the commonest bug, sds for variances, in the simulation.
    """
    rng = np.random.default_rng(20261122)
    evidence = base.evidence
    v = evidence.v**variance_power
    ranks: dict[str, list[float]] = {name: [] for name in base.priors}
    for _ in range(count):
        truth = {}
        for name, applied in base.priors.items():
            drawn = draw_prior(applied.prior, rng, 1, evidence.v)
            assert drawn is not None
            truth[name] = drawn
        variances = base.level_variances(truth)
        study = rng.standard_normal(len(evidence.study_names))[evidence.study]
        y = base.design.matrix @ np.array([truth[name][0] for name in base.coefficients])
        y = y + study * math.sqrt(float(np.sum(variances.get("study", 0.0))))
        y = rng.normal(y, np.sqrt(v + np.sum(variances.get("effect", 0.0))))
        nothing = np.full_like(y, np.nan)
        cut = _words(base, y) if evidence.is_interval.any() else (y, nothing, nothing)
        found = replace(base, evidence=replace(evidence, y=cut[0], lower=cut[1], upper=cut[2]))
        posterior = Exact(found, exact.integrate(found))
        for name, places in ranks.items():
            places.append(float(posterior.parameters[name].cdf(truth[name])[0]))
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
@pytest.mark.parametrize("name", CASES)
def test_truths_rank_uniformly(name: str) -> None:
    case = CASES[name]
    for parameter, ranks in _ranks(case.problem(), case.count).items():
        p = stats.kstest(ranks, "uniform").pvalue
        covered = float(np.mean((ranks > 0.025) & (ranks < 0.975)))
        LOG.info("| %s | %d | %s | %.3f | %.3f |", name, case.count, parameter, p, covered)
        assert p > LEVEL
        assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / case.count))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tau", "tau_study and tau_effect"])
def test_sds_in_place_of_variances_are_caught(name: str) -> None:
    ranks = _ranks(CASES[name].problem(), 500, variance_power=0.5)
    assert min(stats.kstest(values, "uniform").pvalue for values in ranks.values()) < LEVEL
