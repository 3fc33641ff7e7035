"""The covariance of nested effects, M = V + σ²_effect I + σ²_study J, and what follows from it.

J joins the rows of a study. Errors that correlate are turned into the eigenvectors of their
covariance first, where M is diagonal but for one vector a study: all sums are then over rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from metarho.classical.effects import Effects

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Turned:
    """Effects with independent errors: y, x and the share ``c`` that rows have in their study."""

    y: Array
    x: Array
    v: Array
    c: Array
    starts: NDArray[np.intp]
    """Where each study's rows begin; studies stand together."""
    place: NDArray[np.intp]
    """Each row's study, numbered 0, 1, … in that order."""

    @cached_property
    def logdet_xx(self) -> float:
        """Log |XᵀX|."""
        return float(np.linalg.slogdet(self.x.T @ self.x)[1])

    def by_study(self, columns: Array) -> Array:
        """Sums over the rows of each study: (studies, …)."""
        return np.asarray(np.add.reduceat(columns, self.starts, axis=0))


def turned(effects: Effects) -> Turned:
    """Turn the errors of effects."""
    columns = np.column_stack([effects.y, np.ones(effects.k), effects.x])
    v = effects.v.copy()
    for group in effects.correlated:
        v[group.rows], directions = np.linalg.eigh(group.covariance)
        columns[group.rows] = directions.T @ columns[group.rows]
    names, place = np.unique(effects.study, return_inverse=True)
    starts = np.searchsorted(place, np.arange(len(names)))
    return Turned(columns[:, 0], columns[:, 2:], v, columns[:, 1], starts, place)


@dataclass(frozen=True)
class GeneralisedLeastSquares:
    """Of y on x with the covariance M at given variances of studies and of effects."""

    rows: Turned
    of_studies: float
    of_effects: float

    @cached_property
    def w(self) -> Array:
        """1/(v + σ²_effect)."""
        return np.asarray(1 / (self.rows.v + self.of_effects))

    @cached_property
    def _own(self) -> Array:
        """cᵀ D⁻¹ c of each study, D being M without σ²_study."""
        return self.rows.by_study(self.w * self.rows.c**2)

    @cached_property
    def _damping(self) -> Array:
        """σ²_study / (1 + σ²_study cᵀD⁻¹c): what Sherman and Morrison take off."""
        return np.asarray(self.of_studies / (1 + self.of_studies * self._own))

    def solved(self, columns: Array) -> Array:
        """M⁻¹ times columns (k, m)."""
        weighted = self.w[:, None] * columns
        sums = self._damping[:, None] * self.rows.by_study(self.rows.c[:, None] * weighted)
        return np.asarray(weighted - (self.w * self.rows.c)[:, None] * sums[self.rows.place])

    @cached_property
    def _mx(self) -> Array:
        """M⁻¹X."""
        return self.solved(self.rows.x)

    @cached_property
    def vb(self) -> Array:
        """(XᵀM⁻¹X)⁻¹."""
        return np.asarray(np.linalg.inv(self.rows.x.T @ self._mx))

    @cached_property
    def beta(self) -> Array:
        """The coefficients."""
        return np.asarray(self.vb @ (self._mx.T @ self.rows.y))

    @cached_property
    def _weighted_residuals(self) -> Array:
        """Py = M⁻¹(y − Xβ)."""
        return self.solved((self.rows.y - self.rows.x @ self.beta)[:, None])[:, 0]

    @cached_property
    def rss(self) -> float:
        """yᵀPy; at variances of 0 it is Q."""
        return float(self._weighted_residuals @ (self.rows.y - self.rows.x @ self.beta))

    @cached_property
    def trace(self) -> float:
        """Tr P."""
        whole = (
            self.w.sum() - (self._damping * self.rows.by_study((self.w * self.rows.c) ** 2)).sum()
        )
        return float(whole - np.trace(self.vb @ (self._mx.T @ self._mx)))

    def log_likelihood(self, *, restricted: bool) -> float:
        """Log L at the best coefficients; restricted, with ½ log|XᵀX| as metafor has it."""
        k, p = self.rows.x.shape
        logdet = -np.log(self.w).sum() + np.log1p(self.of_studies * self._own).sum()
        ll = -0.5 * (k * math.log(2 * math.pi) + logdet + self.rss)
        if restricted:
            size = float(np.linalg.slogdet(self.vb)[1])
            ll += 0.5 * (p * math.log(2 * math.pi) + self.rows.logdet_xx + size)
        return float(ll)

    def slope(self, *, restricted: bool) -> Array:
        """The derivatives of log L by the variances of studies and of effects."""
        c, q, mx = self.rows.c, self._weighted_residuals, self._mx
        joined = self._own - self._damping * self._own**2
        plain = self.w.sum() - (self._damping * self.rows.by_study((self.w * c) ** 2)).sum()
        traces = np.array([joined.sum(), plain])
        if restricted:
            sums = self.rows.by_study(c[:, None] * mx)
            traces -= [np.trace(self.vb @ (sums.T @ sums)), np.trace(self.vb @ (mx.T @ mx))]
        squares = np.array([(self.rows.by_study(c * q) ** 2).sum(), (q**2).sum()])
        return np.asarray(0.5 * (squares - traces))


def study_blocks(effects: Effects, of_studies: float, of_effects: float) -> list[Array]:
    """M of each study, in the order of its rows."""
    edges = np.flatnonzero(np.diff(effects.study, prepend=-1, append=-1))
    whole = {}
    for group in effects.correlated:
        for place, row in enumerate(group.rows.tolist()):
            whole[row] = (group.rows, group.covariance[place])
    found = []
    for first, last in pairwise(edges.tolist()):
        block = np.full((last - first, last - first), of_studies)
        for row in range(first, last):
            block[row - first, row - first] += effects.v[row] + of_effects
            if row in whole:
                others, covariances = whole[row]
                apart = others != row
                block[row - first, others[apart] - first] += covariances[apart]
        found.append(block)
    return found
