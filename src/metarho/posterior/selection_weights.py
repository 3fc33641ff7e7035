"""Posteriors of unknown weights of selection that the exact engine has integrated out.

The density of one weight at x is the integral of prior times likelihood over all else: over mu and
tau at nodes of the panels of their posterior, over the other weights by a rule. Of a cumulative
Dirichlet law, whose ω_b are sums of its last parts, those above and below a known one are
independent: with α_0 … α_D the numbers of the bands,

    ω_j ~ Beta(Σ_(b≥j) α_b, Σ_(b<j) α_b)
    ω_i/ω_(i−1) ~ Beta(Σ_(b≥i) α_b, α_(i−1)),  i > j
    (1 − ω_i)/(1 − ω_(i+1)) ~ Beta(Σ_(b<i) α_b, α_i),  i < j.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, xlog1py, xlogy

from metarho.engines.exact.panels import Axis
from metarho.engines.exact.quadrature import Quadrature, solve_on
from metarho.engines.exact.weights import Rule, Selection, WeightLaw, selection_of
from metarho.engines.problem import Problem
from metarho.posterior.marginals import Curve, Marginal

type Array = NDArray[np.float64]

# Weights lie evenly below a scale, this at most, and in their logarithm above, on panels of about
# this width and so many nodes.
_SCALE, _WIDTH, _ORDER = 0.05, 1.0, 12


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
    scales = Rule.at(selected.rows, selected.law, selected.rows.shares(at[1], at[0] ** 2)).scale
    for index, name in enumerate(problem.shapes):
        scale = min(_SCALE, float(scales[:, index].min()))
        stretch = math.asinh(1 / scale)
        breaks = np.linspace(0.0, stretch, math.ceil(stretch / _WIDTH) + 1)
        axis = Axis("sinh", 0.0, scale, breaks, _ORDER)
        found[name] = Curve(axis, _density(selected, index, axis, at, log_mass))
    return found


def _expected(selected: Selection, tau: float, at: tuple[Array, Array]) -> Array:
    """The log of what weights were integrated to, at the nodes of one tau, in their order."""
    return np.asarray(selected.log_expected(np.array([tau]), at[1][at[0] == tau])[0])


def _density(
    selected: Selection, index: int, axis: Axis, at: tuple[Array, Array], log_mass: Array
) -> Array:
    """The density of one weight at the nodes of its axis."""
    law, rows = selected.law, selected.rows
    places = _NODES[law.count].others
    nodes, weights = np.polynomial.legendre.leggauss(places)
    stretch = math.asinh(1 / _SCALE)
    u = 0.5 * stretch * (1 + nodes)
    ratio, log_w = _SCALE * np.sinh(u), np.log(0.5 * stretch * weights * _SCALE * np.cosh(u))
    others = law.count - 1
    grid = np.array(list(product(range(places), repeat=others)), dtype=np.intp)
    shares = rows.shares(at[1], at[0] ** 2)
    found = np.empty(len(axis.nodes))
    peak = -math.inf
    logs = []
    for x in axis.nodes:
        omega, log_prior = _given(law, index, float(x), ratio[grid])
        inner = log_prior + log_w[grid].sum(axis=1) + np.log(omega) @ rows.counts
        values = log_mass[:, None] + inner + np.log(omega @ shares) @ rows.powers
        top = float(values.max())
        logs.append(top + math.log(float(np.exp(values - top).sum())))
        peak = max(peak, logs[-1])
    found = np.exp(np.array(logs) - peak)
    return np.asarray(found / (found @ axis.weights))


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
            omega[:, i] = 1 - (1 - omega[:, i + 1]) * ratios[:, place]
            shapes.append((sum(alpha[:i]), alpha[i]))
    values = np.column_stack([np.full(len(ratios), x), ratios])
    a, b = np.array(shapes).T
    return omega, (xlogy(a - 1, values) + xlog1py(b - 1, -values) - betaln(a, b)).sum(axis=1)
