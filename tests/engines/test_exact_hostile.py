"""Hostile data and priors, found by hypothesis, against SciPy's adaptive integration.

One study of a million among tiny ones, identical effects, one study; priors a thousand times
narrower or wider than the likelihood, and far from it. The answer is right to the tolerance.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from scipy.integrate import quad_vec

from cases import problem, written
from hostile import MU, NUMBERS, TAU, tau_prior
from metarho.engines import exact
from metarho.posterior.exact import Exact

type Array = NDArray[np.float64]

# The contract for one and two hard dimensions. The reference asks 1e-11 of itself.
TOLERANCE = 1e-8
# log tau, from where the likelihood is that of tau = 0 to where no density is left.
LOWEST, HIGHEST = -45.0, 60.0
# What lies this far below the peak of a log density is 1e-20 of it.
NEGLIGIBLE = 46.0


def _peaks(
    function: Callable[[Array], Array], low: float, high: float
) -> tuple[float, list[float]]:
    """The largest value seen of a log density, and cuts where it is not negligible."""
    grid = np.linspace(low, high, 20_001)
    for _ in range(3):
        values = function(grid)
        top = float(values.max())
        kept = np.flatnonzero(values > top - 2 * NEGLIGIBLE)
        first, last = max(kept[0] - 1, 0), min(kept[-1] + 1, len(grid) - 1)
        grid = np.linspace(grid[first], grid[last], 2001)
    return top, [float(x) for x in grid[::100]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(numbers=NUMBERS, mu=MU, tau=TAU)
def test_whatever_the_numbers_and_priors_the_answer_is_that_of_adaptive_integration(
    numbers: list[tuple[float, float]], mu: tuple[float, float], tau: tuple[str, float]
) -> None:
    y, v = np.array(numbers).T
    centre, sigma = mu
    said, log_prior = tau_prior(*tau)

    def given_tau(log_tau: Array) -> tuple[Array, Array, Array]:
        """Log density of log tau but for a constant; mean and variance of mu given it."""
        w = 1 / (v + np.exp(2 * log_tau)[:, None])
        precision = w.sum(axis=1) + sigma**-2
        mean = centre + (w @ (y - centre)) / precision
        # About the posterior mean: no terms cancel.
        square = (w * (y - mean[:, None]) ** 2).sum(axis=1) + ((mean - centre) / sigma) ** 2
        log_p = 0.5 * (np.log(w / (2 * math.pi)).sum(axis=1) - square)
        log_p = log_p - 0.5 * np.log(precision * sigma**2)
        return log_p + log_prior(np.exp(log_tau)) + log_tau, mean, 1 / precision

    top, cuts = _peaks(lambda u: given_tau(u)[0], LOWEST, HIGHEST)

    def integrand(u: float) -> Array:
        log_p, mean, variance = (float(part[0]) for part in given_tau(np.array([u])))
        t = math.exp(u)
        return math.exp(log_p - top) * np.array([1, t, t * t, mean, variance + mean**2])

    truth, _ = quad_vec(integrand, cuts[0], cuts[-1], points=cuts[1:-1], epsabs=0, epsrel=1e-11)
    with tempfile.TemporaryDirectory() as folder:
        rows = [{"yi": a, "vi": b} for a, b in zip(y, v, strict=True)]
        studies = written(Path(folder), rows)
        encoded = problem(studies, mu=f"Normal(mu={centre}, sigma={sigma!r})", tau=said)
    quadrature = exact.integrate(encoded)
    assert quadrature.quad_err < TOLERANCE
    assert quadrature.log_evidence == pytest.approx(math.log(truth[0]) + top, abs=TOLERANCE)
    found = {k: m.summary(0.95, "eti") for k, m in Exact(encoded, quadrature).parameters.items()}
    for name, first, second in (("tau", 1, 2), ("mu", 3, 4)):
        mean = truth[first] / truth[0]
        # Where the spread is far below the mean, the reference's own difference has no digits.
        sd = math.sqrt(max(truth[second] / truth[0] - mean**2, 1e-16 * mean**2, 1e-30))
        if found[name].sd is not None:
            tolerance = TOLERANCE * max(sd, 1e-6 * abs(mean))
            assert found[name].mean == pytest.approx(mean, abs=tolerance)
