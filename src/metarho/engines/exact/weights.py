"""Unknown weights of selection, integrated out at given values of the mean and of heterogeneity.

Weights enter the likelihood of a row through one short sum (``selection.SelectedRows``), so that
given mu and tau they are integrated by a rule of their own, whatever the other priors are:

    log ∫ Π_b ω_b^counts Π_r (Σ_b ω_b P_rb)^powers dπ(ω).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, xlog1py, xlogy

from metarho.engines.exact.panels import Axis
from metarho.engines.exact.products import Products
from metarho.engines.exact.selection import SelectedRows
from metarho.engines.problem import Problem
from metarho.spec.model import StepSelection
from metarho.spec.priors import PER_BAND, Prior

type Array = NDArray[np.float64]

# A tensor rule over more weights than this is no longer a matter of seconds.
MOST_WEIGHTS = 3
# With so few rows, and no longer a stretch of x, up to two weights have a law as wide as that: no
# narrower one is looked for. Of three a wider one would take more nodes than looking does.
_FEW_ROWS, _LONG = {1: 40, 2: 40, 3: 0}, 8.0
# Where it is looked for: nodes a weight, rounds, and what counts beside the largest: exp(−22).
_LOOK, _ROUNDS, _NEGLIGIBLE = 7, 2, 22.0
# Ends of the log of a ratio's scale: far below, products of as many are no numbers; above, a ratio
# is itself.
_LOWEST_SCALE, _HIGHEST_SCALE = -600.0, 2.0
# Panels a weight: the law bends at a distance of π from the line of x.
_MOST_PANELS = {1: 100, 2: 6, 3: 1}
# A fractional power of the distance to an end is a polynomial to 1e-8 from this shape of a Beta on.
_SMOOTH = 4.0
# Of the stretch that weights are looked for on, added at either end.
_MARGIN = 0.1


@dataclass(frozen=True)
class WeightLaw:
    """The prior of D unknown weights: ``shapes`` (alpha, beta) of a Beta law each.

    ``cumulative``: of each in units of the one before it, so that weights never rise.
    """

    shapes: tuple[tuple[float, float], ...]
    cumulative: bool

    @property
    def count(self) -> int:
        """D."""
        return len(self.shapes)

    def weights(self, ratios: Array) -> Array:
        """Weights of all bands from what the law is of, (..., D) → (..., D + 1), the first 1."""
        found = np.cumprod(ratios, axis=-1) if self.cumulative else ratios
        return np.concatenate([np.ones((*found.shape[:-1], 1)), found], axis=-1)

    def counts(self, of_bands: Array) -> Array:
        """How often each of what the law is of is a factor (D), from how often each band is."""
        if self.cumulative:
            return np.asarray(np.cumsum(of_bands[::-1])[::-1][1:])
        return of_bands[1:]

    def log_density(self, ratios: Array) -> Array:
        """Log density of what the law is of, (..., D) → (..., D)."""
        a, b = np.array(self.shapes).T
        return np.asarray(xlogy(a - 1, ratios) + xlog1py(b - 1, -ratios) - betaln(a, b))


def weight_law(problem: Problem) -> WeightLaw | None:
    """The law of weights that are integrated here; None where weights are known, or an axis.

    Up to three weights, each with a Uniform(0, 1) prior or a Beta whose density has no root and no
    pole at an end.
    """
    selection = problem.model.selection
    if not isinstance(selection, StepSelection) or not selection.step.omegas:
        return None
    priors = [problem.prior(name) for name in selection.step.omegas]
    shapes = [shape for prior in priors if (shape := _shape(prior)) is not None]
    if len(priors) > MOST_WEIGHTS or len(shapes) < len(priors):
        return None
    return WeightLaw(tuple(shapes), any(prior.on == PER_BAND for prior in priors))


def _shape(prior: Prior) -> tuple[float, float] | None:
    if prior.on not in ("", PER_BAND):
        return None
    values = prior.values
    if prior.family == "Uniform" and (values["lower"], values["upper"]) == (0.0, 1.0):
        return 1.0, 1.0
    if prior.family != "Beta" or not all(map(_is_smooth, values.values())):
        return None
    return values["alpha"], values["beta"]


def _is_smooth(shape: float) -> bool:
    """Whether a Beta density is as good as a polynomial at the end that has the shape."""
    return shape >= 1 and (shape >= _SMOOTH or shape.is_integer())


@dataclass(frozen=True)
class Rule:
    """Where weights are looked at, for nodes of the rest that lie close together.

    A ratio s runs over x = log(1 + s/c), evenly below ``scale`` c (D) and in its logarithm above,
    between ``low`` and ``high`` (D): a row's sum of weights is about to vanish at s = −c.
    """

    rows: SelectedRows
    law: WeightLaw
    scale: Array
    low: Array
    high: Array

    @classmethod
    def over(cls, rows: SelectedRows, law: WeightLaw, shares: Array) -> Rule:
        """Between 0 and 1, for nodes at which bands have shares (M, B, R)."""
        scale = _scales(law, shares)
        return cls(rows, law, scale, np.zeros(law.count), np.log1p(1 / scale))

    @classmethod
    def at(cls, rows: SelectedRows, law: WeightLaw, shares: Array) -> Rule:
        """Between ends beyond which, of many rows, there is nothing."""
        whole = cls.over(rows, law, shares)
        few = rows.size <= _FEW_ROWS[law.count]
        if few and float(whole.high.max()) <= _LONG:
            return whole
        return whole._narrowed(shares)

    def log_expected(self, shares: Array, places: int) -> Array:
        """What the integral over the weights is at M nodes, by so many nodes a weight: (M)."""
        log_masses, weights = self._nodes(places)
        return Products(shares, self.rows.powers, weights).log_sums(log_masses)

    def log_integrand(self, shares: Array, places: int) -> Array:
        """Log of prior, likelihood and the rule's weight at a tensor of nodes: (M, places**D)."""
        log_masses, weights = self._nodes(places)
        return log_masses + Products(shares, self.rows.powers, weights).logs()

    def _nodes(self, places: int) -> tuple[Array, Array]:
        """A tensor of W nodes: logs of all but what rows divide by (W); weights of bands (B, W)."""
        axis, count = self.axis(places), self.law.count
        width = self.high - self.low
        x = self.low + width * axis.u[:, None]
        each = self.scale * np.expm1(x)
        logs = self.law.log_density(each) + self.law.counts(self.rows.counts) * np.log(each)
        logs += np.log((axis.weights / axis.slope(axis.u))[:, None] * width * (each + self.scale))
        at, d = np.indices([len(axis.u)] * count).reshape(count, -1).T, np.arange(count)
        return logs[at, d].sum(axis=1), np.ascontiguousarray(self.law.weights(each[at, d]).T)

    def axis(self, places: int) -> Axis:
        """The nodes of a ratio between its ends, from 0 to 1.

        A weight may be of any order of magnitude, and have a law that is flat in its logarithm.
        """
        longest = float((self.high - self.low).max())
        panels = min(max(1, math.ceil(longest / _LONG)), _MOST_PANELS[self.law.count])
        return Axis("sinh", 0.0, 1.0, np.linspace(0.0, 1.0, panels + 1), places)

    def _narrowed(self, shares: Array) -> Rule:
        """The rule between ends beyond which there is nothing to speak of, and a margin."""
        rule = self
        for _ in range(_ROUNDS):
            rule = rule._closer(shares)
        margin = _MARGIN * (rule.high - rule.low)
        low, high = np.maximum(rule.low - margin, 0.0), np.minimum(rule.high + margin, self.high)
        return replace(rule, low=low, high=high)

    def _closer(self, shares: Array) -> Rule:
        """The rule between the nodes, of a coarse one, next to those that count somewhere.

        In the logs of the ratios the law is log-concave: what counts is one piece.
        """
        nodes = self.axis(_LOOK).u
        places = np.concatenate([[0.0], nodes, [1.0]])
        logs = self.log_integrand(shares, _LOOK)
        alive = (logs > logs.max(axis=1, keepdims=True) - _NEGLIGIBLE).any(axis=0)
        at = np.argwhere(alive.reshape([len(nodes)] * self.law.count))
        width = self.high - self.low
        low = self.low + width * places[at.min(axis=0)]
        high = self.low + width * places[at.max(axis=0) + 2]
        return replace(self, low=low, high=high)


def _scales(law: WeightLaw, shares: Array) -> Array:
    """The c of each ratio (D): the other bands' share over that of those it multiplies.

    Of the row, and the node, for which it is least: for it the sum changes at the smallest ratio.
    """
    if law.cumulative:
        multiplied = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1][:, 1:]
        others = np.cumsum(shares, axis=1)[:, :-1]
    else:
        multiplied = shares[:, 1:]
        others = np.maximum(1 - multiplied, 0.0)
    with np.errstate(divide="ignore"):
        logs = np.log(others) - np.log(multiplied)
    lowest = _LOWEST_SCALE / law.count**2
    return np.asarray(np.exp(np.clip(logs, lowest, _HIGHEST_SCALE).min(axis=(0, 2))))
