"""Conjugate posteriors of one body of evidence under many priors, read all at once.

Given heterogeneity the mean is normal, so that each posterior is a mixture of normals over nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metarho.compare.bayes_factors import Null, held
from metarho.engines import exact
from metarho.engines.exact.inversion import invert_rows
from metarho.engines.exact.panels import Axis
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem, improper
from metarho.posterior.average import average_correlation
from metarho.posterior.exact import Exact
from metarho.posterior.normal_mixtures import NormalMixtures
from metarho.posterior.study_likelihood import log_jacobian

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class ManyPosteriors:
    """C problems that differ in their priors only, with their quadratures; mu conjugate and free.

    Everything is at the headline row, and on r where the model is on Fisher's z. Arrays have one
    number a posterior (C), NaN where it has none.
    """

    problems: Sequence[Problem]
    solved: Sequence[Quadrature]

    def mean_quantile(self, share: float) -> Array:
        """Below what the median true correlation lies with a probability."""
        return self._on_r(self._means.quantile(share))

    def new_quantile(self, share: float) -> Array:
        """Below what the true correlation of a new study lies with a probability."""
        return self._on_r(self._new.quantile(share))

    def mean_above(self, rho: float) -> Array:
        """P(median true correlation > rho)."""
        return 1 - self._means.cdf(self._on_model_scale(rho))

    def new_above(self, rho: float) -> Array:
        """P(true correlation of a new study > rho)."""
        return 1 - self._new.cdf(self._on_model_scale(rho))

    def rho_mean(self) -> Array:
        """The posterior mean of rho_mean, which is E tanh of a new true effect; on r that of mu.

        Posteriors with the same prior of the mean have the same law of it at the nodes they share.
        """
        found = np.empty(len(self.problems))
        keys = [tuple(p.prior(name) for name in p.coefficients) for p in self.problems]
        for group in _alike(keys):
            first = max(group, key=lambda index: len(self.solved[index].node_mass))
            nodes, at_nodes = self._nodes(first), self._averages(first)
            for index in group:
                mass, own = self.solved[index].node_mass, self._nodes(index)
                shared = np.array_equal(own, nodes[:, : own.shape[1]])
                values = at_nodes[: own.shape[1]] if shared else self._averages(index)
                found[index] = mass @ values / mass.sum()
        return found

    def tau_median(self) -> Array:
        """The posterior median of the total sd: of those on the same panels together."""
        found = np.empty(len(self.problems))
        for group in _alike([_key(q) for q in self.solved]):
            axes = list(self.solved[group[0]].axes.values())
            if len(axes) == 1 and not axes[0].is_atoms and len(self.problems[0].spreads) == 1:
                (axis,) = axes
                density = axis.density_in_u(np.stack([self.solved[index].mass for index in group]))
                found[group] = axis.at(*invert_rows(axis, density, np.full(len(group), 0.5)))
                continue
            for index in group:
                exactly = Exact(self.problems[index], self.solved[index])
                median = exactly.tau.summary(0.5, "eti").median
                found[index] = math.nan if median is None else median
        return found

    def log_evidence(self) -> Array:
        """The log marginal likelihood, as ``Fit.log_evidence`` has it."""
        jacobian = float(log_jacobian(self.problems[0]).sum())
        found = [math.nan if q.log_evidence is None else q.log_evidence for q in self.solved]
        return np.array(found) + jacobian

    def log_bayes_factor(self, null: Null) -> Array:
        """Log BF10 against the models with a parameter held, each of which is solved once.

        An improper prior of the parameter has an arbitrary constant, and no Bayes factor.
        """
        keys = [
            tuple(a.prior for name, a in p.priors.items() if name not in null.values)
            for p in self.problems
        ]
        found = np.full(len(self.problems), math.nan)
        groups = _alike(keys)
        without = [held(self.problems[group[0]], null) for group in groups]
        covered = [improper(one) is None and exact.covers(one) is None for one in without]
        refits = exact.fit_many(one for one, is_in in zip(without, covered, strict=True) if is_in)
        for group, is_in in zip(groups, covered, strict=True):
            log_integral = next(refits).log_integral if is_in else math.nan
            for index in group:
                if all(self.problems[index].prior(name).proper for name in null.values):
                    found[index] = self.solved[index].log_integral - log_integral
        return found

    @property
    def _is_z(self) -> bool:
        return self.problems[0].scale == "z"

    @cached_property
    def _row(self) -> Array:
        return self.problems[0].design.average

    def _on_r(self, x: Array) -> Array:
        return np.tanh(x) if self._is_z else x

    def _on_model_scale(self, rho: float) -> Array:
        return np.array(math.atanh(rho) if self._is_z else rho)

    @cached_property
    def _means(self) -> NormalMixtures:
        return self._mixtures(lambda index, variance: variance)

    @cached_property
    def _new(self) -> NormalMixtures:
        return self._mixtures(lambda index, variance: variance + self._total_sds[index] ** 2)

    def _mixtures(self, noisy: Callable[[int, Array], Array]) -> NormalMixtures:
        """Of the mean, with what ``noisy`` makes of its variance at the nodes."""
        parts = []
        for index, q in enumerate(self.solved):
            mean, variance = self._given_nodes(q)
            parts.append((q.node_mass, mean, np.sqrt(noisy(index, variance))))
        return NormalMixtures.of(parts)

    def _given_nodes(self, q: Quadrature) -> tuple[Array, Array]:
        """Mean and variance of the mean at each node of heterogeneity."""
        assert q.mean is not None and q.covariance is not None
        row = self._row
        if len(row) == 1:
            return q.mean[:, 0] * row, q.covariance[:, 0, 0] * row**2
        return q.mean @ row, np.einsum("i,tij,j->t", row, q.covariance, row)

    @cached_property
    def _total_sds(self) -> list[Array]:
        """The total sd of true effects at the nodes of each posterior; of equal nodes once."""
        found = [np.empty(0)] * len(self.problems)
        for group in _alike([_key(q) for q in self.solved]):
            sd = self.problems[group[0]].total_sd(self.solved[group[0]].values)
            for index in group:
                found[index] = sd
        return found

    def _nodes(self, index: int) -> Array:
        """The hard parameters at the nodes of one posterior (parameters, J)."""
        values = self.solved[index].values.values()
        return np.stack(list(values)) if values else np.zeros((1, 1))

    def _averages(self, index: int) -> Array:
        """The mean correlation of true effects at each node of one posterior."""
        mean, variance = self._given_nodes(self.solved[index])
        if not self._is_z:
            return mean
        return average_correlation(mean, np.sqrt(variance + self._total_sds[index] ** 2))


def _alike(keys: Sequence[Hashable]) -> list[list[int]]:
    """The places of equal keys, together."""
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def _key(q: Quadrature) -> tuple[Hashable, ...]:
    """What quadratures with the same nodes share."""

    def of(axis: Axis) -> Hashable:
        return axis.kind, axis.centre, axis.scale, axis.breaks.tobytes(), axis.order

    return tuple((name, of(axis)) for name, axis in q.axes.items())
