"""Are the ensemble's probabilities right? Worlds are drawn from its prior, and seen by it.

Whatever is asked of a world, the posterior probability of it, averaged over worlds, is how often it
is so: the sum of (so − p) has mean 0 and variance Σ p (1 − p). And the truth ranks uniformly in the
averaged posterior of rho: a truth of 0, evenly over the spike that is there.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from cases import model, molloy
from metarho.compare.averaging import mean_of
from metarho.compare.ensemble import COMPONENTS, Ensemble, Member, ensemble_of
from metarho.engines.problem import Problem, encode
from metarho.fitting import Settings, fit_many
from metarho.spec.priors import parse_prior
from simulation import draw_truth, seen_as, simulate

LOG = logging.getLogger("calibration")

NONE = parse_prior("DiracDelta(c=0)")
# Bias is as probable before the data as its absence.
WEIGHTS = {"random-effects": 2.0, "selection-one-sided-05": 1.0, "pet": 1.0}
# An honest ensemble fails one component in 16,000 at this many sds.
SDS = 4.0


@dataclass
class Tally:
    """Sums over worlds of what was so less what was expected, and of the variance of that."""

    count: int = 0
    ranks: list[float] = field(default_factory=list)
    excess: dict[str, float] = field(default_factory=dict)
    variance: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, excess: float, variance: float) -> None:
        self.excess[name] = self.excess.get(name, 0.0) + excess
        self.variance[name] = self.variance.get(name, 0.0) + variance

    @property
    def sds(self) -> Mapping[str, float]:
        """Each sum in its standard deviations."""
        return {
            name: excess / math.sqrt(self.variance[name]) for name, excess in self.excess.items()
        }


@cache
def _members() -> tuple[tuple[str, bool, bool, float, Problem], ...]:
    """Model, effect, heterogeneity, prior and problem, on the first ten correlations."""
    studies = replace(molloy(), rows=molloy().rows[:10])
    return tuple(
        (
            name,
            effect,
            varies,
            weight / 16,
            encode(
                model(name),
                studies,
                ({} if effect else {"mu": NONE}) | ({} if varies else {"tau": NONE}),
            ),
        )
        for name, weight in WEIGHTS.items()
        for effect in (True, False)
        for varies in (True, False)
    )


def _rank(ensemble: Ensemble, mu: float, rng: np.random.Generator) -> float:
    """Where the truth is in the averaged posterior of rho."""
    below, spike = 0.0, 0.0
    for member, p in zip(ensemble.members, ensemble.probabilities, strict=True):
        if member.effect:
            below += p * float(mean_of(member.fit).cdf(np.array(math.tanh(mu))))
        elif mu > 0:
            below += p
        elif mu == 0:
            spike += p
    return float(below + spike * rng.uniform())


def _tally(count: int, wrong: float = 1.0) -> Tally:
    """Worlds drawn from the prior; evidence of heterogeneity may be ``wrong`` by a factor."""
    rng = np.random.default_rng(20261127)
    members, tally = _members(), Tally(count)
    chances = np.array([prior for *_, prior, _ in members])
    for _ in range(count):
        true = int(rng.choice(len(members), p=chances))
        base = members[true][-1]
        truth = draw_truth(base, rng)
        y: NDArray[np.float64] = simulate(base, truth, rng)
        fits = fit_many([seen_as(problem, y) for *_, problem in members], Settings())
        ensemble = ensemble_of(
            [
                Member(name, effect, varies, prior * (wrong if varies else 1.0), fit)
                for (name, effect, varies, prior, _), fit in zip(members, fits, strict=True)
            ]
        )
        tally.ranks.append(_rank(ensemble, float(truth["mu"][0]), rng))
        for component in ensemble.components:
            p = component.posterior
            so = COMPONENTS[component.name](ensemble.members[true])
            tally.add(component.name, so - p, p * (1 - p))
    for name, sds in tally.sds.items():
        off = tally.excess[name] / count
        LOG.info("| %s | %d | %+.3f | %.2f |", name, count, off, sds)
    return tally


@pytest.mark.slow
def test_what_the_ensemble_says_is_so_as_often_as_it_says() -> None:
    tally = _tally(1_000)
    for name, sds in tally.sds.items():
        assert abs(sds) < SDS, name
    ranks = np.array(tally.ranks)
    p, covered = stats.kstest(ranks, "uniform").pvalue, np.mean(np.abs(ranks - 0.5) < 0.475)
    LOG.info("| rho | %d | %.3f | %.3f |", tally.count, p, covered)
    # An honest one fails once in a thousand, and covers within four binomial sds.
    assert p > 1e-3
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / tally.count))


@pytest.mark.slow
def test_an_evidence_that_is_wrong_by_a_factor_of_e_is_noticed() -> None:
    assert abs(_tally(300, math.e).sds["heterogeneity"]) > SDS
