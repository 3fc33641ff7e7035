"""Joint draws of the hyperparameters: the sampler's own, or independent ones from a quadrature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact import likelihood
from metarho.engines.exact.panels import legendre
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.posterior.effects import Hyperparameters
from metarho.posterior.exact import Exact
from metarho.posterior.marginals import Point
from metarho.posterior.sampled import Sampled

type Array = NDArray[np.float64]


def independent_draws(
    problem: Problem, quadrature: Quadrature, count: int, rng: np.random.Generator
) -> dict[str, Array]:
    """``count`` independent draws of every parameter.

    tau by its quantile function; the coefficients given tau from their normal law, or by the
    quantile function of mu given tau, interpolated between nodes of tau.
    """
    tau_marginal = Exact(problem, quadrature).tau
    if isinstance(tau_marginal, Point):
        tau = np.full(count, tau_marginal.value)
    else:
        tau = tau_marginal.quantile(rng.uniform(size=count))
    if quadrature.mu is None:
        priors = [problem.prior(name) for name in problem.coefficients]
        given = likelihood.gaussian(problem.evidence, problem.design.matrix, priors, tau)
        # Point priors leave zero rows in the covariance: a square root by eigenvalues bears them.
        values, vectors = np.linalg.eigh(given.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
        noise = rng.standard_normal((count, len(priors)))
        coefficients = given.mean + np.einsum("nij,nj->ni", root, noise)
    elif quadrature.mu.is_point:
        coefficients = np.full((count, 1), quadrature.mu.centre)
    else:
        coefficients = _mu_given_tau(quadrature, tau, rng.uniform(size=count))[:, None]
    found = {name: coefficients[:, i] for i, name in enumerate(problem.coefficients)}
    if "tau" in problem.priors:
        found["tau"] = tau
    return found


def _mu_given_tau(quadrature: Quadrature, tau: Array, share: Array) -> Array:
    """The quantile of mu given tau at each share, by bisection in the interpolated density."""
    mu, axis = quadrature.mu, quadrature.tau
    assert mu is not None
    in_u = quadrature.mass / mu.weights * mu.slope(mu.u)
    if axis.is_point:
        density = np.broadcast_to(in_u[0], (len(tau), in_u.shape[1]))
    else:
        per_tau = (in_u / axis.weights[:, None] * axis.slope(axis.u)[:, None]).T
        coefficients = axis.coefficients(per_tau)
        panel, place = axis.locate(tau)
        density = np.einsum("mno,no->nm", coefficients[:, panel], legendre(place, axis.order))
        density = np.maximum(density, 0.0)
    running = mu.antiderivatives(density)
    starts = np.cumsum(running.sum(axis=2), axis=1)
    starts = np.concatenate([np.zeros((len(tau), 1)), starts], axis=1)
    target = share * starts[:, -1]
    panel = np.clip((starts <= target[:, None]).sum(axis=1) - 1, 0, mu.panels - 1)
    rows = np.arange(len(tau))
    within, start = running[rows, panel], starts[rows, panel]
    low, high = np.full(len(tau), -1.0), np.full(len(tau), 1.0)
    for _ in range(50):
        middle = 0.5 * (low + high)
        reached = start + np.einsum("ni,ni->n", within, legendre(middle, mu.order + 1))
        low, high = (
            np.where(reached < target, middle, low),
            np.where(reached < target, high, middle),
        )
    return mu.to_x(mu.breaks[panel] + 0.5 * (1 + high) * mu.widths[panel])


def hyperparameters_of_draws(problem: Problem, parameters: dict[str, Array]) -> Hyperparameters:
    """Independent draws as hyperparameters (common effect or one level of effects)."""
    coefficients = np.stack([parameters[name] for name in problem.coefficients], axis=-1)
    zero = np.zeros(len(coefficients))
    tau2 = parameters["tau"] ** 2 if "tau" in parameters else zero
    return Hyperparameters(coefficients, zero, tau2, None)


def hyperparameters_of_sample(sampled: Sampled) -> Hyperparameters:
    """The sampler's draws, chain after chain, as hyperparameters."""
    p = sampled.coefficients.shape[-1]
    zero = np.zeros(sampled.total_variance.size)
    variances = {level: values.ravel() for level, values in sampled.level_variances.items()}
    deviation = sampled.draws.deviation
    return Hyperparameters(
        sampled.coefficients.reshape(-1, p),
        variances.get("study", zero),
        variances.get("effect", zero),
        None if deviation is None else deviation.reshape(len(zero), -1),
    )
