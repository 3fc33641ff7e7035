"""The exact engine against bayesmeta 3.4's published answers, within bayesmeta's own error.

What agrees: everything about tau and the log evidence. What does not: mu and theta_new, which
bayesmeta takes from a grid of normal components; they differ in the 4th digit. SciPy decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from cases import reference, reference_problem
from metarho.engines import exact
from metarho.posterior.exact import Exact
from metarho.posterior.marginals import Summary

BAYESMETA = reference("bayesmeta")["sets"]
SETTINGS = [(name, setting) for name in BAYESMETA for setting in BAYESMETA[name]]
# bayesmeta's note: means to 1e-4 sd, tail quantiles to a few 1e-3; tau is integrated adaptively.
GRID, TAU = 5e-3, 1e-9


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_posteriors_agree_with_bayesmeta_within_its_own_error(name: str, setting: str) -> None:
    truth = BAYESMETA[name][setting]
    encoded = reference_problem(name, setting)
    quadrature = exact.integrate(encoded)
    posterior = Exact(encoded, quadrature)
    _assert_close(posterior.parameters["tau"].summary(0.95, "eti"), truth["tau"], TAU)
    _assert_close(posterior.parameters["mu"].summary(0.95, "eti"), truth["mu"], GRID)
    new = posterior.theta_new(posterior.head).summary(0.95, "eti")
    _assert_close(new, truth["theta_new"], GRID)
    if quadrature.log_evidence is not None:
        assert quadrature.log_evidence == pytest.approx(truth["log_marginal_likelihood"], abs=1e-10)


def _assert_close(seen: Summary, truth: dict[str, Any], tolerance: float) -> None:
    if seen.sd is None:
        return
    sd = seen.sd
    ours = [seen.mean, seen.sd, seen.median, seen.lower, seen.upper]
    theirs = [truth["mean"], truth["sd"], truth["median"], *truth["central"]]
    assert ours == pytest.approx(theirs, abs=tolerance * sd)


def test_where_bayesmeta_differs_in_the_4th_digit_adaptive_integration_decides() -> None:
    setting = "tau:hn0.5|mu:flat"
    theirs = BAYESMETA["eightschools"][setting]["mu"]
    encoded = reference_problem("eightschools", setting)
    quadrature = exact.integrate(encoded)
    ours = Exact(encoded, quadrature).parameters["mu"].summary(0.95, "eti")
    y, v = encoded.evidence.y, encoded.evidence.v

    def given(tau: float) -> tuple[float, float, float]:
        """Density of tau times a constant; mean and sd of mu given tau, the textbook's."""
        w = 1 / (v + tau**2)
        mean = float(w @ y / w.sum())
        spread = float(w @ (y - mean) ** 2)
        log_p = 0.5 * (float(np.log(w).sum()) - math.log(w.sum()) - spread)
        prior = float(stats.halfnorm.pdf(tau, scale=25))
        return math.exp(log_p + 20) * prior, mean, math.sqrt(1 / w.sum())

    def over_tau(function: Callable[[float, float], float]) -> float:
        def integrand(tau: float) -> float:
            mass, mean, sd = given(tau)
            return mass * function(mean, sd)

        cuts = [2.0, 5.0, 10.0, 20.0, 50.0]
        return float(quad(integrand, 0, 250, points=cuts, epsabs=0, epsrel=1e-12, limit=400)[0])

    total = over_tau(lambda mean, sd: 1.0)
    mean = over_tau(lambda mean, sd: mean) / total
    assert ours.mean == pytest.approx(mean, rel=1e-9)
    square = over_tau(lambda m, sd: sd**2 + (m - mean) ** 2) / total
    assert ours.sd == pytest.approx(math.sqrt(square), rel=1e-9)
    assert ours.lower is not None
    below = over_tau(lambda m, sd: float(stats.norm.cdf(ours.lower or 0.0, m, sd))) / total
    assert below == pytest.approx(0.025, abs=1e-10)
    # And bayesmeta's numbers are those that are off: 7.9141 for 7.9144, 5.0122 for 5.0109.
    assert round(theirs["mean"], 4) == 7.9141 and round(mean, 4) == 7.9144
    assert round(theirs["sd"], 4) == 5.0122 and round(math.sqrt(square), 4) == 5.0109
