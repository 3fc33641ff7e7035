"""How often an interval for the observed r of a new study holds what then comes.

Averaged over the prior, intervals of the fitted law hold as often as they say, whatever the number
of studies and of people. What printed correlations do is the exact law's to say.
"""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from cases import molloy, problem
from metarho.data.studies import Row, Studies
from metarho.data.tables import Table
from metarho.engines.exact.quadrature import solve
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.predict.new_studies import predict
from metarho.spec.analysis import Profile

LOG = logging.getLogger(__name__)
PRIORS = {"mu": "Normal(mu=0.2, sigma=0.3)", "tau": "HalfNormal(sigma=0.2)"}
SIZES = (12, 50, 500)
SETS = 1000


def _studies(y: NDArray[np.float64], people: NDArray[np.int64]) -> Studies:
    rows = tuple(
        Row(
            f"row {i}",
            i,
            f"{i:04d}",
            f"{i:04d}",
            "1",
            "exact",
            True,
            "",
            ri=math.tanh(value),
            ni=float(n),
            yi=float(value),
            vi=1 / (n - 3),
        )
        for i, (value, n) in enumerate(zip(y, people, strict=True))
    )
    return Studies(Table("simulated", {}, tuple(row.place for row in rows)), "ZCOR", "use", rows)


@pytest.mark.slow
@pytest.mark.parametrize("k", [5, 16, 50])
def test_intervals_hold_as_often_as_they_say(k: int) -> None:
    rng = np.random.default_rng((20261126, k))
    held = np.zeros((SETS, len(SIZES)), dtype=bool)
    for index in range(SETS):
        mu, tau = rng.normal(0.2, 0.3), abs(rng.normal(0, 0.2))
        people = rng.integers(12, 300, k)
        y = rng.normal(mu, np.sqrt(tau**2 + 1 / (people - 3)))
        own = problem(_studies(y, people), **PRIORS)
        posterior = Exact(own, solve(own))
        for place, n in enumerate(SIZES):
            law = posterior.theta_new(posterior.head, 1 / (n - 3))
            new = rng.normal(mu, math.sqrt(tau**2 + 1 / (n - 3)))
            held[index, place] = 0.025 <= float(law.cdf(np.array(new))) <= 0.975
    for n, share in zip(SIZES, held.mean(axis=0), strict=True):
        LOG.info("| %d | %d | %.3f |", k, n, share)
        # Four standard errors of a share of .95 in so many data sets.
        assert share == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / SETS))


def _known(rho: float) -> Fit:
    """A fit in which the mean is known and nothing varies."""
    point = f"DiracDelta(c={math.atanh(rho)!r})"
    (fit,) = fit_many([problem(molloy(), "common-effect", mu=point)], Settings())
    return fit


def _correlations(rho: float, n: int, count: int) -> NDArray[np.float64]:
    """r of as many bivariate normal pairs as there are people."""
    rng = np.random.default_rng(20261126)
    x, e = rng.standard_normal((2, count, n))
    y = rho * x + math.sqrt(1 - rho**2) * e
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    return np.asarray((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))


def test_the_exact_law_has_the_tails_that_shortcuts_miss() -> None:
    rho, n, count = 0.8, 12, 200_000
    r = _correlations(rho, n, count)
    error = 4 * math.sqrt(0.025 * 0.975 / count)
    tails = {}
    for law in ("exact", "model"):
        summary = predict(_known(rho), Profile(label="x", ni=n), [], law)[-1].summary
        assert summary.lower is not None and summary.upper is not None
        tails[law] = (r < summary.lower).mean(), (r > summary.upper).mean()
    # A normal law on r ends beyond 1.
    sd = (1 - rho**2) / math.sqrt(n - 1)
    assert rho + 1.959964 * sd > 1
    tails["normal on r"] = (r < rho - 1.959964 * sd).mean(), (r > rho + 1.959964 * sd).mean()
    for law, (below, above) in tails.items():
        LOG.info("| %s | %.4f | %.4f |", law, below, above)
    assert tails["exact"] == pytest.approx((0.025, 0.025), abs=error)
    # Fisher's z is biased upwards, by rho/(2(n − 1)): its upper tail holds more.
    assert tails["model"][1] > 0.025 + error and tails["model"][0] < 0.025 - error
    assert tails["normal on r"][1] == 0 and tails["normal on r"][0] > 0.045
