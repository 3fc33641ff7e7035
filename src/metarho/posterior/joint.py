"""Joint draws of the hyperparameters: the sampler's own, or independent ones from a quadrature."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.axes import COMPONENT
from metarho.engines.exact.inversion import invert_rows
from metarho.engines.exact.likelihood import condition
from metarho.engines.exact.panels import along
from metarho.engines.exact.priors import components
from metarho.engines.exact.quadrature import Quadrature, sums_at, variances_at
from metarho.engines.exact.weight_panels import selection_of
from metarho.engines.problem import Problem
from metarho.posterior.effects import draw_deviations
from metarho.posterior.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    # ArviZ's statistics, which exact fits do without.
    from metarho.posterior.sampled import Sampled

type Array = NDArray[np.float64]

# Numbers held at once while draws take planes of the quadrature with them.
_BLOCK = 4_000_000


def independent_draws(
    problem: Problem, quadrature: Quadrature, count: int, rng: np.random.Generator
) -> dict[str, Array]:
    """``count`` independent draws of every parameter.

    Hard parameters one after the other, each by its quantile function given those before; the
    coefficients given them from their normal law.
    """
    hard = _draw_axes(quadrature, rng.uniform(size=(len(quadrature.axes), count)))
    if "mu" in hard:
        coefficients = hard["mu"][:, None]
    else:
        variances = variances_at(problem, {name: hard[name] for name in problem.spreads})
        if not problem.spreads:
            variances = (np.zeros(count), np.zeros(count))
        sums = sums_at(problem, variances, hard)
        slopes = [problem.prior(name) for name in problem.coefficients[1:]]
        which = hard.get(COMPONENT, np.zeros(count))
        noise = rng.standard_normal((count, 1 + len(slopes)))
        coefficients = np.empty_like(noise)
        for index, (_, part) in enumerate(components(problem.prior("mu"))):
            given = condition(sums, [part, *slopes], np.sqrt(variances[0] + variances[1]))
            # Point priors leave zero rows in the covariance: a root by eigenvalues bears them.
            values, vectors = np.linalg.eigh(given.covariance)
            root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
            drawn = given.mean + np.einsum("nij,nj->ni", root, noise)
            coefficients = np.where((which == index)[:, None], drawn, coefficients)
    found = {name: coefficients[:, i] for i, name in enumerate(problem.coefficients)}
    selected = selection_of(problem)
    if selected is not None:
        taus = hard[problem.spreads[0]] if problem.spreads else np.zeros(count)
        drawn_weights = selected.draw(taus, coefficients[:, 0], rng)
        hard |= dict(zip(problem.shapes, drawn_weights.T, strict=True))
    found |= {name: hard[name] for name in (*problem.spreads, *problem.shapes)}
    return found | problem.implied(found)


def _draw_axes(quadrature: Quadrature, shares: Array) -> dict[str, Array]:
    """Draws of the hard parameters, each by inversion given those before it.

    ``shares`` (axes, draws) are uniform. The density is interpolated by its panels' polynomials in
    the parameters drawn before, and those still to come are summed out.
    """
    axes = list(quadrature.axes.values())
    # Densities in the coordinates: what the polynomials interpolate.
    density = quadrature.mass
    for dimension, axis in enumerate(axes):
        if not axis.is_atoms:
            density = density * along(axis.slope(axis.u) / axis.weights, dimension, density.ndim)
    marginals = [density]
    for axis in reversed(axes[1:]):
        weights = np.ones(len(axis.nodes)) if axis.is_atoms else axis.weights / axis.slope(axis.u)
        marginals.insert(0, marginals[0] @ weights)
    count = shares.shape[1]
    drawn = np.empty_like(shares)
    nodes: list[NDArray[np.intp]] = []
    factors: list[Array] = []
    for dimension, axis in enumerate(axes):
        panel = np.zeros(count, dtype=np.intp)
        within = np.zeros(count)
        size = len(axis.nodes) * math.prod(found.shape[1] for found in nodes)
        for start in range(0, count, max(1, _BLOCK // size)):
            block = slice(start, start + max(1, _BLOCK // size))
            near = [found[block] for found in nodes], [factor[block] for factor in factors]
            given = np.maximum(_interpolated(marginals[dimension], *near), 0.0)
            given = np.broadcast_to(given, (len(shares[dimension, block]), given.shape[1]))
            panel[block], within[block] = invert_rows(axis, given, shares[dimension, block])
        if axis.is_atoms:
            drawn[dimension] = axis.nodes[panel]
            nodes.append(panel[:, None])
            factors.append(np.ones((count, 1)))
        else:
            drawn[dimension] = axis.at(panel, within)
            nodes.append(panel[:, None] * axis.order + np.arange(axis.order))
            factors.append(axis.interpolation(within))
    return dict(zip(quadrature.axes, drawn, strict=True))


def _interpolated(density: Array, nodes: list[NDArray[np.intp]], factors: list[Array]) -> Array:
    """A density (axes drawn before, next axis) at draws of the former: (draws, next axis)."""
    if not nodes:
        return density[None]
    grids = [
        found.reshape(len(found), *[1] * place, -1, *[1] * (len(nodes) - place - 1))
        for place, found in enumerate(nodes)
    ]
    found = density[tuple(grids)]
    for factor in factors:
        found = np.einsum("ia...,ia->i...", found, factor)
    return found


def hyperparameters_of_draws(
    problem: Problem, parameters: dict[str, Array], rng: np.random.Generator
) -> Hyperparameters:
    """Independent draws as hyperparameters; studies that keep a deviation get it drawn."""
    coefficients = np.stack([parameters[name] for name in problem.coefficients], axis=-1)
    tau2 = problem.level_variances(parameters)
    zero = np.zeros(len(coefficients))
    study, effect = tau2.get("study", zero), tau2.get("effect", zero)
    deviation = draw_deviations(problem, coefficients[:, 0], study, effect, rng)
    deviations = {} if deviation is None else {"study": deviation}
    others = {name: parameters[name] for name in problem.shapes}
    return Hyperparameters(coefficients, tau2, deviations, others)


def hyperparameters_of_sample(sampled: Sampled) -> Hyperparameters:
    """The sampler's draws, chain after chain, as hyperparameters."""
    problem, draws = sampled.problem, sampled.draws
    coefficients = sampled.coefficients.reshape(-1, sampled.coefficients.shape[-1])
    return Hyperparameters(
        coefficients,
        {level: values.ravel() for level, values in sampled.level_variances.items()},
        {level: one.reshape(len(coefficients), -1) for level, one in draws.deviations.items()},
        {name: draws.parameters[name].ravel() for name in (*problem.scale_slopes, *problem.shapes)},
        {row: one.reshape(coefficients.shape) for row, one in draws.imputed.items()},
        {name: one.reshape(len(coefficients), -1) for name, one in draws.latent.items()},
    )
