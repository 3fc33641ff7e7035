"""Every evidence of RoBMA's 36 members against a dense sum that shares nothing with the engine.

Gauss–Legendre panels of fixed width over mu, log tau, slopes and logs of weights; chances of bands
are differences of cdfs between the limits of t tests, and weights that fall are uniform over all
that do.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

import textbook
from cases import model, molloy
from metarho.engines import exact
from metarho.engines.problem import Problem, encode
from metarho.spec.model import StepSelection
from metarho.spec.priors import parse_prior

type Array = NDArray[np.float64]

NONE = parse_prior("DiracDelta(c=0)")
# As RoBMA's on Fisher's z: the tail of tau is heavy, and mu may be far from 0.
PRIORS = {
    "mu": parse_prior("Normal(mu=0, sigma=0.5)"),
    "tau": parse_prior("InverseGamma(alpha=1, beta=0.075)"),
}
MODELS = (
    *("random-effects", "pet", "peese", "selection-two-sided-05", "selection-two-sided-05-10"),
    *("selection-one-sided-05", "selection-one-sided-025-05", "selection-one-sided-05-50"),
    "selection-one-sided-025-05-50",
)
# Half the distance of a weight from 0 at which its logarithm begins, and panels and nodes of it.
_SCALE, _WEIGHTS = 0.01, {1: (4, 16), 2: (3, 14), 3: (2, 12)}
# What is left out of a sum: beside the largest term, its log. A billion such terms are 1e-10.
_LEAST = -44.0


def _panels(breaks: Array, order: int) -> tuple[Array, Array]:
    """Nodes, and logs of their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = 0.5 * np.diff(breaks)[:, None]
    return (breaks[:-1, None] + half * (1 + nodes)).ravel(), np.log(half * weights).ravel()


def _mus(problem: Problem) -> tuple[Array, Array]:
    if problem.prior("mu").is_point:
        return np.zeros(1), np.zeros(1)
    mu, log_w = _panels(np.linspace(-1.6, 1.0, 27), 12)
    return mu, log_w + stats.norm.logpdf(mu, 0, 0.5)


def _taus(problem: Problem) -> tuple[Array, Array]:
    if problem.prior("tau").is_point:
        return np.zeros(1), np.zeros(1)
    # Below .002 the prior is less than exp(−37), above 3 the likelihood of 16 rows.
    u, log_w = _panels(np.linspace(math.log(0.002), math.log(3.0), 17), 8)
    return np.exp(u), log_w + u + stats.invgamma.logpdf(np.exp(u), 1, scale=0.075)


def _plain(problem: Problem, mean: Array, tau: float) -> Array:
    """The log density of the rows, whose means are (M, k)."""
    sd = np.sqrt(problem.evidence.v + tau**2)
    return np.asarray(stats.norm.logpdf(problem.evidence.y, mean, sd).sum(axis=1))


def _of_bias(problem: Problem) -> float:
    """The log evidence with no selection, or a slope on standard errors or variances."""
    name, v = problem.model.selection, problem.evidence.v
    slope, log_w, predictor = np.zeros(1), np.zeros(1), np.zeros(len(v))
    if name in ("pet", "peese"):
        predictor, end = (np.sqrt(v), 15.0) if name == "pet" else (v, 400.0)
        scale = problem.prior(name).values["beta"]
        slope, log_w = _panels(np.linspace(0.0, math.asinh(end), 13), 12)
        log_w = log_w + np.log(np.cosh(slope))
        slope = np.sinh(slope)
        log_w = log_w + stats.halfcauchy.logpdf(slope, 0, scale)
    (mu, of_mu), (taus, of_tau) = _mus(problem), _taus(problem)
    found = []
    for tau, of_one in zip(taus.tolist(), of_tau, strict=True):
        for s, of_slope in zip(slope.tolist(), log_w, strict=True):
            mean = mu[:, None] + s * predictor
            found.append(logsumexp(_plain(problem, mean, tau) + of_mu) + of_one + of_slope)
    return float(logsumexp(found))


def _ratios(count: int, coarse: bool) -> tuple[Array, Array]:
    """Weights after the first (nodes, count), each a part of the last; logs of what they count."""
    panels, order = (1, 6) if coarse else _WEIGHTS[count]
    u, log_w = _panels(np.linspace(0.0, math.log1p(1 / _SCALE), panels + 1), order)
    part, log_w = _SCALE * np.expm1(u), log_w + u + math.log(_SCALE)
    grid = np.array(list(product(range(len(u)), repeat=count)))
    parts = part[grid]
    # Uniform over weights that fall: count!, and the parts' Jacobian.
    jacobian = (np.log(parts) * np.arange(count - 1, -1, -1)).sum(axis=1)
    return np.cumprod(parts, axis=1), log_w[grid].sum(axis=1) + math.log(
        math.factorial(count)
    ) + jacobian


def _selected(problem: Problem) -> float:
    """The log evidence with a step function."""
    selection, evidence = problem.model.selection, problem.evidence
    assert isinstance(selection, StepSelection)
    step, count = selection.step, len(selection.step.cutpoints)
    rows = [
        textbook.stretches(step, v, float(n))
        for v, n in zip(evidence.v.tolist(), evidence.sizes.tolist(), strict=True)
    ]
    ends, band_of = np.array([ends for ends, _ in rows]), np.array(rows[0][1])
    own = [band_of[int((y < e[1:-1]).sum())] for y, e in zip(evidence.y, ends, strict=True)]
    often = np.bincount(own, minlength=count + 1)
    (mu, of_mu), (taus, of_tau) = _mus(problem), _taus(problem)

    def terms(tau: float, at: Array, coarse: bool) -> Array:
        """The log of what rows say of mu and tau, over all weights: (M)."""
        sd = np.sqrt(evidence.v + tau**2)
        z = (ends[None] - at[:, None, None]) / sd[:, None]
        # From the side on which the tail is small.
        above = np.where(z[..., 1:] > 0, stats.norm.sf(z[..., 1:]) - stats.norm.sf(z[..., :-1]), 0)
        below = np.where(
            z[..., 1:] > 0, 0, stats.norm.cdf(z[..., :-1]) - stats.norm.cdf(z[..., 1:])
        )
        chance = above + below
        of_band = np.stack([chance[..., band_of == b].sum(axis=-1) for b in range(count + 1)])
        omega, log_w = _ratios(count, coarse)
        log_w = log_w + np.log(omega) @ often[1:]
        found = np.empty(len(at))
        for m in range(len(at)):
            total = np.zeros(len(omega))
            for row in range(evidence.k):
                total -= np.log(of_band[0, m, row] + omega @ of_band[1:, m, row])
            found[m] = logsumexp(total + log_w)
        return found + _plain(problem, np.repeat(at[:, None], evidence.k, axis=1), tau)

    about = [terms(tau, mu, True) + of_mu + w for tau, w in zip(taus.tolist(), of_tau, strict=True)]
    best = max(float(values.max()) for values in about)
    found = []
    for tau, of_one, values in zip(taus.tolist(), of_tau, about, strict=True):
        counts = values > best + _LEAST / 2
        if counts.any():
            found.append(logsumexp(terms(tau, mu[counts], False) + of_mu[counts]) + of_one)
    return float(logsumexp(found))


@pytest.mark.slow
@pytest.mark.parametrize("varies", [True, False])
@pytest.mark.parametrize("effect", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_an_evidence_is_that_of_a_dense_sum(name: str, effect: bool, varies: bool) -> None:
    held = PRIORS | ({} if effect else {"mu": NONE}) | ({} if varies else {"tau": NONE})
    problem = encode(model(name), molloy(), held)
    selected = isinstance(problem.model.selection, StepSelection)
    dense = _selected(problem) if selected else _of_bias(problem)
    seen = exact.integrate(problem)
    # The sum itself is good to 1e-7; so much is asked of a member.
    assert seen.log_integral == pytest.approx(dense, abs=1e-6)
    assert seen.quad_err < 1e-6
