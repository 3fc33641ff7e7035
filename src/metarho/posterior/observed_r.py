"""The correlation that a new study of n people observes under the exact law of r."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from metarho.engines import law_of_r
from metarho.engines.exact.panels import FINE, Axis, Reach, Seen, refine
from metarho.posterior.marginals import Curve, Marginal, Point

type Array = NDArray[np.float64]

# Where tanh is 1: a true effect further out has the same law of r.
_FARTHEST = 19.0
# Of a true effect, this on either side is put at its ends.
_OUTSIDE = 1e-13
_LEAST_MASS = 1e-18
# exp(-40) cannot be seen: a law that has fallen this far holds nothing.
_NEGLIGIBLE = 40.0
# A Gauss rule of 24 nodes takes in 6 widths of the law at once.
_WIDTHS = 6.0
_ROWS, _BLOCK = 16, 100_000


def observed_z(theta: Marginal, n: float) -> Curve:
    """The marginal of z = atanh(r), r that of n people: ∫ g(z | theta, n) p(theta) dtheta.

    ``theta`` is the true effect of the new study on Fisher's z; n at least 4. The curve is exact as
    one of r = tanh(z): true effects beyond 19, whose r are 1 or −1, are taken for 19, so that means
    and sds of z itself are given only where none are.
    """
    atoms, mass = _atoms(theta, n)
    width = 1 / math.sqrt(n - 1)
    # g falls at least like cosh(z − theta)^−(n − 3/2) (√2 cosh z/cosh theta)^½.
    reach = math.acosh(math.exp(min(_NEGLIGIBLE / (n - 2), 600.0))) + width

    def look(axes: Sequence[Axis]) -> Seen:
        z = axes[0].nodes
        found = np.empty(len(z))
        for start in range(0, len(z), _ROWS):
            block = slice(start, start + _ROWS)
            first, last = np.searchsorted(atoms, [z[block].min() - reach, z[block].max() + reach])
            near = slice(int(first), int(last))
            law = np.exp(law_of_r.log_density(z[block, None], atoms[near], n))
            found[block] = law @ mass[near]
        return Seen(np.log(np.maximum(found, np.finfo(float).tiny)))

    centre = float(mass @ atoms)
    spread = width + math.sqrt(float(mass @ (atoms - centre) ** 2))
    start = Axis("sinh", centre, spread, np.linspace(-4.0, 4.0, 9))
    (axis,) = refine(look, [start], [Reach(-8.0, 8.0)], FINE)
    whole = isinstance(theta, Point) or max(map(abs, theta.range(_OUTSIDE))) < _FARTHEST
    return Curve(axis, np.exp(look([axis]).log_density), math.inf if whole else 0.0)


def _atoms(theta: Marginal, n: float) -> tuple[Array, Array]:
    """A true effect as sorted atoms with masses, for averages of the law of n people."""
    if isinstance(theta, Point):
        return np.array([theta.value]), np.ones(1)
    low, high = ends_of(theta)
    curve = on_panels(theta, low, high)
    breaks = curve.axis.to_x(curve.axis.breaks)
    most = _WIDTHS / math.sqrt(n - 1)
    pieces = [np.linspace(a, b, max(1, math.ceil((b - a) / most)) + 1) for a, b in pairwise(breaks)]
    cuts = np.unique(np.concatenate(pieces))
    # So wide a scale that the coordinate is theta itself.
    axis = Axis("sinh", 0.0, 1e4, np.arcsinh(cuts / 1e4))
    found = []
    for start in range(0, len(axis.nodes), _BLOCK):
        block = slice(start, start + _BLOCK)
        found.append(curve.density(axis.nodes[block]) * axis.weights[block])
    below, above = theta.cdf(np.array([low]))[0], 1 - theta.cdf(np.array([high]))[0]
    atoms = np.concatenate([[low], axis.nodes, [high]])
    mass = np.concatenate([[below], *found, [above]])
    held = mass > _LEAST_MASS
    return atoms[held], mass[held] / mass[held].sum()


def ends_of(theta: Marginal) -> tuple[float, float]:
    """Between which true effects count for what is observed."""
    low, high = (float(np.clip(end, -_FARTHEST, _FARTHEST)) for end in theta.range(_OUTSIDE))
    return low, high


def on_panels(theta: Marginal, low: float, high: float) -> Curve:
    """The density of a true effect between two ends, resolved on panels."""

    def look(axes: Sequence[Axis]) -> Seen:
        density = theta.density(axes[0].nodes)
        return Seen(np.log(np.maximum(density, np.finfo(float).tiny)))

    near = theta.range(0.25)
    centre, scale = 0.5 * (near[0] + near[1]), 0.5 * (near[1] - near[0])
    axis = Axis("sinh", centre, scale, np.zeros(1))
    first, last = (float(u) for u in axis.to_u(np.array([low, high])))
    start = Axis("sinh", centre, scale, np.linspace(first, last, 9))
    (axis,) = refine(look, [start], [Reach(first, last)], FINE)
    return Curve(axis, theta.density(axis.nodes))
