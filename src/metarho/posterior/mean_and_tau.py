"""The joint posterior density of the pooled mean and the total sd of true effects, on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.panels import Axis, legendre
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Point

type Array = NDArray[np.float64]

# Points of the grid: mu, tau.
_POINTS = (201, 161)
# What lies outside of the grid on each side; of tau above only.
_OUTSIDE = 1e-3
# Of several levels' total sd, in its sds: contours move by less than their lines are thick.
_KERNEL = 0.1
# Nodes whose laws of the mean are held at once.
_BLOCK = 4096


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
        order = np.argsort(-self.density, axis=None)
        held = np.cumsum(self.mass.ravel()[order])
        ordered = self.density.ravel()[order]
        return [float(ordered[np.searchsorted(held, prob * held[-1])]) for prob in probs]

    @property
    def mass(self) -> Array:
        """The mass around each point of the grid: at its ends a half, a quarter in its corners."""
        cells = [np.gradient(grid) for grid in (self.mu, self.tau)]
        for cell in cells:
            cell[[0, -1]] *= 0.5
        return self.density * np.outer(*cells)


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

    Exact fits: at each node of the quadrature the mean has a density, and the nodes a total sd.
    With one level that is the density, by the panels' polynomials; with several the nodes are
    brought together by a normal kernel in tau, a tenth of its sd wide. Sampled fits: a kernel
    density of draws, of Scott's width. Kernels are mirrored at tau = 0. First ask
    ``no_mean_and_tau``.
    """
    mean, tau = fit.posterior.mean_of(fit.posterior.head), fit.posterior.tau
    mu_grid = np.linspace(*mean.range(_OUTSIDE), _POINTS[0])
    tau_grid = np.linspace(0.0, tau.range(_OUTSIDE)[1], _POINTS[1])
    if isinstance(fit.posterior, Exact):
        density = _integrated(fit.posterior, mu_grid, tau_grid)
        return MeanAndTau(mu_grid, tau_grid, density, by_draws=False)
    # Loaded here: exact fits do without ArviZ.
    from metarho.posterior.sampled import Sample

    assert isinstance(mean, Sample) and isinstance(tau, Sample)
    density = _smoothed(mean.draws.ravel(), tau.draws.ravel(), mu_grid, tau_grid)
    return MeanAndTau(mu_grid, tau_grid, density, by_draws=True)


def _integrated(posterior: Exact, mu: Array, tau: Array) -> Array:
    q, problem = posterior.quadrature, posterior.problem
    spreads = problem.spreads
    at_node = np.asarray(problem.total_sd(q.values))
    if len(spreads) == 1:
        axis = q.axes[spreads[0]]
        # Not by the total sd, a root of a square: that may miss its node by a rounding.
        where = np.searchsorted(axis.nodes, q.values[spreads[0]])
        found = np.zeros((len(axis.nodes), len(mu)))
    else:
        where = np.rint(at_node / tau[1]).astype(np.intp)
        found = np.zeros((max(len(tau), int(where.max()) + 1), len(mu)))
    # Nodes beyond both grids together hold _OUTSIDE at most; in blocks, for they may be 50,000.
    for start in range(0, len(where), _BLOCK):
        block = slice(start, start + _BLOCK)
        np.add.at(found, where[block], _law_of_mean(posterior, block, mu))
    if len(spreads) == 1:
        # No nearer to 0 than the first node: there the axis' own scale has no slope.
        return _on_grid(axis, found.T, np.maximum(tau, axis.nodes[0]))
    variance = float(q.node_mass @ at_node**2) - float(q.node_mass @ at_node) ** 2
    width = max(_KERNEL * variance**0.5, float(tau[1]))
    return _scaled((_kernel(tau, width) @ found[: len(tau)]).T, mu, tau)


def _law_of_mean(posterior: Exact, nodes: slice, mu: Array) -> Array:
    """Mass times the density of the mean, at some of the nodes: (nodes, mu)."""
    q = posterior.quadrature
    if q.mu is not None:
        return _on_grid(q.mu, q.joint[nodes], mu)
    assert q.mean is not None and q.covariance is not None
    row = posterior.head
    sd = np.sqrt(np.einsum("i,jik,k->j", row, q.covariance[nodes], row))[:, None]
    away = (mu - (q.mean[nodes] @ row)[:, None]) / sd
    height = q.node_mass[nodes, None] / (sd * np.sqrt(2 * np.pi))
    return np.asarray(height * np.exp(-0.5 * away**2))


def _on_grid(axis: Axis, mass: Array, x: Array) -> Array:
    """Densities at x by the panels' polynomials, of masses (n, nodes): (n, x)."""
    panel, place = axis.locate(x)
    coefficients = axis.coefficients(axis.density_in_u(mass))[:, panel]
    in_u = (coefficients * legendre(place, axis.order)).sum(axis=-1)
    u = axis.to_u(x)
    inside = (u >= axis.breaks[0]) & (u <= axis.breaks[-1])
    # Between nodes a polynomial may fall below 0 by its rounding.
    return np.where(inside, np.maximum(in_u, 0.0) / axis.slope(u), 0.0)


def _smoothed(mu_draws: Array, tau_draws: Array, mu: Array, tau: Array) -> Array:
    """A kernel density of binned draws: a histogram, smoothed along each axis."""
    steps = mu[1] - mu[0], tau[1] - tau[0]
    edges = [np.append(grid, grid[-1] + step) - step / 2
             for grid, step in zip((mu, tau), steps, strict=True)]  # fmt: skip
    counts, *_ = np.histogram2d(mu_draws, tau_draws, bins=edges)
    narrower = len(mu_draws) ** (-1 / 6)
    by_mu = np.exp(-0.5 * ((mu[:, None] - mu) / (narrower * mu_draws.std())) ** 2)
    by_tau = _kernel(tau, narrower * float(tau_draws.std()))
    return _scaled(by_mu @ counts @ by_tau.T, mu, tau)


def _kernel(tau: Array, width: float) -> Array:
    """A normal kernel on the grid of tau, mirrored at 0."""
    parts = [np.exp(-0.5 * ((tau[:, None] + sign * tau) / width) ** 2) for sign in (-1, 1)]
    return np.asarray(parts[0] + parts[1])


def _scaled(density: Array, mu: Array, tau: Array) -> Array:
    """The density with integral 1 over the grid."""
    return np.asarray(density / MeanAndTau(mu, tau, density, by_draws=True).mass.sum())
