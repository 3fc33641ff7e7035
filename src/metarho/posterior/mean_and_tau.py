"""The joint posterior density of the pooled mean and the total sd of true effects, on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.quadrature import Quadrature
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.joint import independent_draws
from metarho.posterior.marginals import Point

type Array = NDArray[np.float64]

# Points of the grid: mu, tau.
_POINTS = (201, 161)
# What lies outside of the grid on each side; of tau above only.
_OUTSIDE = 1e-3
# Draws of a nested exact fit: smoothing them moves contours less than their lines are thick.
_DRAWS = 40_000


@dataclass(frozen=True)
class MeanAndTau:
    """``density`` (M, T) at the grids ``mu`` (M) and ``tau`` (T), evenly spaced; model's scale.

    ``by_draws`` says that it is a kernel estimate; else it is integrated.
    """

    mu: Array
    tau: Array
    density: Array
    by_draws: bool

    def levels(self, probs: Sequence[float]) -> list[float]:
        """The density above which each probability lies: ends of highest-density regions."""
        ordered = np.sort(self.density.ravel())[::-1]
        held = np.cumsum(ordered) / ordered.sum()
        return [float(ordered[np.searchsorted(held, prob)]) for prob in probs]


def no_mean_and_tau(fit: Fit) -> str | None:
    """Why there is no joint density; None where there is one."""
    if fit.problem.model.custom is not None:
        return "heterogeneity of a custom model is not known as such"
    if not fit.problem.may_vary or isinstance(fit.posterior.tau, Point):
        return "tau is known, not estimated"
    if isinstance(fit.posterior.mean_of(fit.posterior.head), Point):
        return "the mean is known, not estimated"
    return None


def mean_and_tau(fit: Fit) -> MeanAndTau:
    """The joint density of the mean at the average row and the total sd of true effects.

    Exact fits of one level: the density of tau at the quadrature's nodes times the normal law of
    the mean there (or the mean's own nodes), interpolated linearly in tau. Others: a normal
    kernel of Scott's width over the draws, mirrored at tau = 0. First ask ``no_mean_and_tau``.
    """
    mean, tau = fit.posterior.mean_of(fit.posterior.head), fit.posterior.tau
    mu_grid = np.linspace(*mean.range(_OUTSIDE), _POINTS[0])
    tau_grid = np.linspace(0.0, tau.range(_OUTSIDE)[1], _POINTS[1])
    spreads = fit.problem.spreads
    if isinstance(fit.posterior, Exact) and len(spreads) == 1:
        density = _integrated(fit.posterior, spreads[0], mu_grid, tau_grid)
        return MeanAndTau(mu_grid, tau_grid, density, by_draws=False)
    mu_draws, tau_draws = _draws(fit)
    density = _smoothed(mu_draws, tau_draws, mu_grid, tau_grid)
    return MeanAndTau(mu_grid, tau_grid, density, by_draws=True)


def _integrated(posterior: Exact, spread: str, mu: Array, tau: Array) -> Array:
    q = posterior.quadrature
    axis = q.axes[spread]
    names = list(q.axes)
    if q.mu is None:
        mass = np.moveaxis(q.mass, names.index(spread), 0).reshape(len(axis.nodes), -1)
        place = np.moveaxis(
            np.arange(q.mass.size).reshape(q.mass.shape), names.index(spread), 0
        ).reshape(mass.shape)
        assert q.mean is not None and q.covariance is not None
        row = posterior.head
        centre = (q.mean @ row)[place]
        sd = np.sqrt(np.einsum("i,jik,k->j", row, q.covariance, row))[place]
        at_nodes = np.zeros((len(axis.nodes), len(mu)))
        for part in range(mass.shape[1]):
            away = (mu - centre[:, part, None]) / sd[:, part, None]
            at_nodes += mass[:, part, None] * np.exp(-0.5 * away**2) / sd[:, part, None]
    else:
        others = tuple(d for d, name in enumerate(names) if name not in (spread, "mu"))
        mass = q.mass.sum(axis=others) / q.mu.weights
        at_nodes = np.array([np.interp(mu, q.mu.nodes, line) for line in mass])
    at_nodes /= axis.weights[:, None]
    return np.array([np.interp(tau, axis.nodes, line) for line in at_nodes.T])


def _draws(fit: Fit) -> tuple[Array, Array]:
    if isinstance(fit.result, Quadrature):
        rng = np.random.default_rng(0)
        drawn = independent_draws(fit.problem, fit.result, _DRAWS, rng)
        coefficients = np.stack([drawn[name] for name in fit.problem.coefficients], axis=-1)
        return coefficients @ fit.posterior.head, fit.problem.total_sd(drawn)
    # Loaded here: exact fits do without ArviZ.
    from metarho.posterior.sampled import Sample

    mean, tau = fit.posterior.mean_of(fit.posterior.head), fit.posterior.tau
    assert isinstance(mean, Sample) and isinstance(tau, Sample)
    return mean.draws.ravel(), tau.draws.ravel()


def _smoothed(mu_draws: Array, tau_draws: Array, mu: Array, tau: Array) -> Array:
    """A kernel density of binned draws: a histogram, smoothed along each axis."""
    steps = mu[1] - mu[0], tau[1] - tau[0]
    edges = [np.append(grid, grid[-1] + step) - step / 2
             for grid, step in zip((mu, tau), steps, strict=True)]  # fmt: skip
    counts, *_ = np.histogram2d(mu_draws, tau_draws, bins=edges)
    narrower = len(mu_draws) ** (-1 / 6)
    widths = narrower * float(mu_draws.std()), narrower * float(tau_draws.std())
    by_mu = np.exp(-0.5 * ((mu[:, None] - mu) / widths[0]) ** 2)
    by_tau = sum(np.exp(-0.5 * ((tau[:, None] + sign * tau) / widths[1]) ** 2) for sign in (-1, 1))
    found = by_mu @ counts @ np.asarray(by_tau)
    return np.asarray(found / (found.sum() * steps[0] * steps[1]))
