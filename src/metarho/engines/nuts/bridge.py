"""The log evidence of a sampled model by bridge sampling (Meng & Wong 1996, Statistica Sinica 6).

With q the posterior's unnormalised density on the sampler's unconstrained scale and g a normal
proposal fitted to half of the draws, the evidence is the root r of

    r = E_g[q/(s₁q + s₂ r g)] / E_post[g/(s₁q + s₂ r g)],     s = shares of effective draws,

found by iteration (Gronau et al. 2017, 10.1016/j.jmp.2017.09.005). Its error is the relative
mean-squared error of Frühwirth-Schnatter (2004, 10.1111/j.1368-423X.2004.00125.x), the posterior
part inflated by the draws' autocorrelation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from scipy.special import logsumexp

type Array = NDArray[np.float64]

# Far closer than the Monte Carlo error; most runs need ten steps.
_TOLERANCE = 1e-10
_MOST_STEPS = 1000


def log_evidence(
    log_density: Callable[[Array], float], draws: Array, rng: np.random.Generator
) -> tuple[float, float]:
    """The log evidence and its Monte Carlo standard error.

    ``draws`` (chain, draw, dimension) come from the posterior on the unconstrained scale,
    ``log_density`` is its log there, with the Jacobian but not normalised. The first half of every
    chain fits the proposal, the second is bridged to it.
    """
    chains, count, dimension = draws.shape
    half = count // 2
    fitted = draws[:, :half].reshape(-1, dimension)
    kept = draws[:, half:]
    centre = fitted.mean(axis=0)
    root = np.linalg.cholesky(np.atleast_2d(np.cov(fitted, rowvar=False)))
    constant = -np.log(np.diag(root)).sum() - 0.5 * dimension * math.log(2 * math.pi)

    def log_proposal(x: Array) -> Array:
        scaled = np.linalg.solve(root, (x - centre).T)
        return np.asarray(constant - 0.5 * (scaled**2).sum(axis=0))

    posterior = kept.reshape(-1, dimension)
    proposed = centre + rng.standard_normal(posterior.shape) @ root.T
    # How much more the posterior is than the proposal, at draws of either.
    at_posterior = _ratios(log_density, log_proposal, posterior)
    at_proposal = _ratios(log_density, log_proposal, proposed)
    effective = float(array_stats.ess(at_posterior.reshape(chains, -1), method="mean"))
    effective = min(max(effective, 1.0), float(len(posterior)))
    log_r = _iterate(at_posterior, at_proposal, effective, len(proposed))
    error = _relative_error(at_posterior, at_proposal, log_r, effective, chains)
    return log_r, error


def _ratios(
    log_density: Callable[[Array], float], log_proposal: Callable[[Array], Array], x: Array
) -> Array:
    return np.array([log_density(point) for point in x]) - log_proposal(x)


def _log_shares(effective: float, proposed: int) -> tuple[float, float]:
    total = effective + proposed
    return math.log(effective / total), math.log(proposed / total)


def _iterate(at_posterior: Array, at_proposal: Array, effective: float, proposed: int) -> float:
    """The fixed point in the log of r."""
    first, second = _log_shares(effective, proposed)
    log_r = float(np.median(at_posterior))
    for _ in range(_MOST_STEPS):
        top = at_proposal - np.logaddexp(first + at_proposal, second + log_r)
        bottom = -np.logaddexp(first + at_posterior, second + log_r)
        new = float(logsumexp(top) - math.log(len(top)) - logsumexp(bottom) + math.log(len(bottom)))
        if abs(new - log_r) < _TOLERANCE:
            return new
        log_r = new
    raise ArithmeticError(f"bridge sampling did not settle in {_MOST_STEPS} steps")


def _relative_error(
    at_posterior: Array, at_proposal: Array, log_r: float, effective: float, chains: int
) -> float:
    """The root of the relative mean-squared error, which is the standard error of the log."""
    first, second = _log_shares(effective, len(at_proposal))
    at_proposal, at_posterior = at_proposal - log_r, at_posterior - log_r
    upper = np.exp(at_proposal - np.logaddexp(first + at_proposal, second))
    lower = np.exp(-np.logaddexp(first + at_posterior, second))
    by_chain = lower.reshape(chains, -1)
    dependence = max(1.0, by_chain.size / float(array_stats.ess(by_chain, method="mean")))
    square = upper.var() / upper.mean() ** 2 / upper.size
    square += dependence * lower.var() / lower.mean() ** 2 / lower.size
    return math.sqrt(square)
