"""Posteriors of unknown weights of selection that the exact engine has integrated out.

The density of one weight at x is the integral of prior times likelihood over all else: over mu and
tau at nodes of the panels of their posterior, over the other weights by a rule. Of a cumulative
Dirichlet law, whose ω_b are sums of its last parts, those above and below a known one are
independent: with α_0 … α_D the numbers of the bands,

    ω_j ~ Beta(Σ_(b≥j) α_b, Σ_(b<j) α_b)
    ω_i/ω_(i−1) ~ Beta(Σ_(b≥i) α_b, α_(i−1)),  i > j
    (ω_i − ω_(i+1))/(1 − ω_(i+1)) ~ Beta(α_i, Σ_(b<i) α_b),  i < j.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, logsumexp, xlog1py, xlogy

from metarho.engines.exact.panels import Axis
from metarho.engines.exact.quadrature import Quadrature, solve_on
from metarho.engines.exact.weight_panels import Selection, selection_of
from metarho.engines.exact.weights import Rule, WeightLaw
from metarho.engines.problem import Problem
from metarho.posterior.marginals import Curve, Marginal

type Array = NDArray[np.float64]

# Weights lie evenly below a scale, this at most, and in their logarithm above, on panels of about
# this width and so many nodes.
_SCALE, _WIDTH, _ORDER = 0.05, 1.0, 12
# Of more rows than this the laws of weights are narrow, and where they lie is looked for: nodes
# each, or of a panel, rounds, and what counts beside the largest: exp(−20).
_MANY_ROWS, _LOOK, _ROUNDS, _NEGLIGIBLE = 60, 7, 3, 20.0


@dataclass(frozen=True)
class _Nodes:
    """Nodes of each other weight, and of a panel of mu and tau; these count from a share on."""

    others: int
    panel: int
    least: float


# By how many weights there are: one or two to 1e-5 of their sd, three, which take ten times as
# long, to 3e-4.
_NODES = {1: _Nodes(16, 6, 1e-8), 2: _Nodes(16, 6, 1e-8), 3: _Nodes(12, 5, 1e-6)}


def weights_of_selection(problem: Problem, quadrature: Quadrature) -> dict[str, Marginal] | None:
    """The posterior of every weight, by name; None where none was integrated out."""
    selected = selection_of(problem)
    if selected is None:
        return None
    axes = list(quadrature.axes.values())
    nodes = _NODES[selected.law.count]
    few = solve_on(problem, axes, nodes.panel)
    mu, taus = few.mu, few.values
    assert mu is not None
    tau = taus[problem.spreads[0]] if problem.spreads else np.zeros(1)
    mass = few.joint.ravel()
    kept = mass > nodes.least * mass.max()
    at = np.repeat(tau, len(mu.nodes))[kept], np.tile(mu.nodes, len(tau))[kept]
    # The likelihood of rows given weights over that with weights integrated out.
    log_mass = np.log(mass[kept]) - np.concatenate(
        [_expected(selected, one, at) for one in np.unique(at[0])]
    )
    found: dict[str, Marginal] = {}
    scales = Rule.over(selected.rows, selected.law, selected.rows.shares(at[1], at[0] ** 2)).scale
    for index, name in enumerate(problem.shapes):
        scale = min(_SCALE, float(scales[index]))
        stretch = math.asinh(1 / scale)
        breaks = np.linspace(0.0, stretch, math.ceil(stretch / _WIDTH) + 1)
        if selected.rows.size > _MANY_ROWS:
            look = Axis("sinh", 0.0, scale, breaks, _LOOK)
            logs = _log_density(selected, index, look, at, log_mass)
            breaks = _around(look, logs > logs.max() - _NEGLIGIBLE)
        axis = Axis("sinh", 0.0, scale, breaks, _ORDER)
        logs = _log_density(selected, index, axis, at, log_mass)
        density = np.exp(logs - logs.max())
        found[name] = Curve(axis, density / (density @ axis.weights))
    return found


def _around(axis: Axis, alive: NDArray[np.bool_]) -> Array:
    """As many panels as an axis has, between the nodes next to those that count, and the rest."""
    edges = np.concatenate([axis.breaks[:1], axis.u, axis.breaks[-1:]])
    first, last = np.flatnonzero(alive)[[0, -1]]
    inner = np.linspace(edges[first], edges[last + 2], axis.panels + 1)
    return np.unique(np.concatenate([axis.breaks[:1], inner, axis.breaks[-1:]]))


def _expected(selected: Selection, tau: float, at: tuple[Array, Array]) -> Array:
    """The log of what weights were integrated to, at the nodes of one tau, in their order."""
    return np.asarray(selected.log_expected(np.array([tau]), at[1][at[0] == tau])[0])


def _log_density(
    selected: Selection, index: int, axis: Axis, at: tuple[Array, Array], log_mass: Array
) -> Array:
    """The log density of one weight at the nodes of its axis, but for a constant."""
    law, rows = selected.law, selected.rows
    shares = rows.shares(at[1], at[0] ** 2)

    def inside(x: float, box: _Box, places: int) -> Array:
        """The log of what each node of the others adds, mu and tau integrated out."""
        ratios, log_w = box.rule(places)
        omega, log_prior = _given(law, index, x, ratios)
        inner = log_prior + log_w + np.log(omega) @ rows.counts
        values = log_mass[:, None] + inner + np.log(omega @ shares) @ rows.powers
        return np.asarray(logsumexp(values, axis=0))

    logs = []
    for x in axis.nodes.tolist():
        box = _Box.whole(law.count - 1)
        for _ in range(_ROUNDS if rows.size > _MANY_ROWS else 0):
            box = box.narrowed(inside(x, box, _LOOK), _LOOK)
        logs.append(float(logsumexp(inside(x, box, _NODES[law.count].others))))
    return np.array(logs)


@dataclass(frozen=True)
class _Box:
    """Where the other weights' ratios are looked at: between ``low`` and ``high`` (D − 1).

    In asinh(ratio/_SCALE). Of many rows the law is narrow, and nodes between 0 and 1 would miss it.
    """

    low: Array
    high: Array

    @classmethod
    def whole(cls, count: int) -> _Box:
        """All ratios between 0 and 1."""
        return cls(np.zeros(count), np.full(count, math.asinh(1 / _SCALE)))

    def rule(self, places: int) -> tuple[Array, Array]:
        """Ratios (places**(D − 1), D − 1) at a tensor of nodes, and the logs of their weights."""
        nodes, weights = np.polynomial.legendre.leggauss(places)
        half = 0.5 * (self.high - self.low)
        u = self.low + half * (1 + nodes[:, None])
        log_w = np.log(half * weights[:, None] * _SCALE * np.cosh(u))
        each = np.arange(len(half))
        grid = np.array(list(product(range(places), repeat=len(half))), dtype=np.intp)
        return _SCALE * np.sinh(u)[grid, each], log_w[grid, each].sum(axis=1)

    def narrowed(self, logs: Array, places: int) -> _Box:
        """The box between the nodes, of a rule, next to those that count."""
        nodes = np.polynomial.legendre.leggauss(places)[0]
        edges = np.concatenate([[0.0], 0.5 * (1 + nodes), [1.0]])
        count = len(self.low)
        alive = np.argwhere((logs > logs.max() - _NEGLIGIBLE).reshape([places] * count))
        width = self.high - self.low
        first, last = alive.min(axis=0), alive.max(axis=0)
        return _Box(self.low + width * edges[first], self.low + width * edges[last + 2])


def _given(law: WeightLaw, index: int, x: float, ratios: Array) -> tuple[Array, Array]:
    """Weights of all bands (G, B) where one is x, and the log prior density of it and the rest.

    ``ratios`` (G, D − 1) are what the rest is made of: those below it first.
    """
    count = law.count
    omega = np.ones((len(ratios), count + 1))
    omega[:, index + 1] = x
    if not law.cumulative:
        rest = [d for d in range(count) if d != index]
        for place, d in enumerate(rest):
            omega[:, d + 1] = ratios[:, place]
        shapes = [law.shapes[index], *(law.shapes[d] for d in rest)]
    else:
        alpha = [law.shapes[0][1], *(shape[1] for shape in law.shapes[1:]), law.shapes[-1][0]]
        j = index + 1
        shapes = [(sum(alpha[j:]), sum(alpha[:j]))]
        below, above = range(j + 1, count + 1), range(j - 1, 0, -1)
        for place, i in enumerate(below):
            omega[:, i] = omega[:, i - 1] * ratios[:, place]
            shapes.append((sum(alpha[i:]), alpha[i - 1]))
        for place, i in enumerate(above, start=len(below)):
            omega[:, i] = omega[:, i + 1] + (1 - omega[:, i + 1]) * ratios[:, place]
            shapes.append((alpha[i], sum(alpha[:i])))
    values = np.column_stack([np.full(len(ratios), x), ratios])
    a, b = np.array(shapes).T
    return omega, (xlogy(a - 1, values) + xlog1py(b - 1, -values) - betaln(a, b)).sum(axis=1)
