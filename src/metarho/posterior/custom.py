"""A custom model's draws as marginals: what its file names, and nothing that it does not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metarho.engines import law_of_r
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.posterior.marginals import ABSENT, NOTHING, Kind, Marginal, Point, Summary
from metarho.posterior.sampled import Sample

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Custom:
    """The interface of ``Sampled``, of a model that only its file knows.

    ``mu`` is the mean on the model's scale. Heterogeneity is not known as such, and a new study's
    true effect only if the file names it ``theta_new``.
    """

    problem: Problem
    draws: Draws
    seed: int = 0

    @cached_property
    def parameters(self) -> dict[str, Marginal]:
        """The marginal of every parameter, in the problem's order."""
        priors = self.problem.priors
        return {
            name: Point(priors[name].prior.values["c"])
            if priors[name].prior.is_point
            else Sample(values)
            for name, values in self.draws.parameters.items()
        }

    @property
    def head(self) -> Array:
        """The row of the headline: there are no moderators but the file's."""
        return self.problem.design.average

    @property
    def tau(self) -> Marginal:
        """Heterogeneity: not known as such."""
        return ABSENT

    def mean_of(self, row: Array) -> Sample:
        """The posterior of mu, at any row."""
        return Sample(self.draws.parameters["mu"])

    def theta_new(
        self, row: Array, extra_variance: float = 0.0, scale: Array | None = None
    ) -> Marginal:
        """The true effect of a new study, plus independent noise of a given variance."""
        theta = self.draws.theta_new
        if theta is None:
            return ABSENT
        noise = np.random.default_rng(self.seed).standard_normal(theta.shape)
        return Sample(theta + np.sqrt(extra_variance) * noise)

    def observed_z(self, row: Array, n: float, scale: Array | None = None) -> Marginal:
        """What a new study of n people observes under the exact law of r, as z."""
        theta = self.draws.theta_new
        if theta is None:
            return ABSENT
        rng = np.random.default_rng((self.seed, 1))
        return Sample(law_of_r.sample(theta, n, rng))

    def rho(self, base: Marginal) -> Marginal:
        """A quantity of the model's scale as a correlation."""
        if isinstance(base, Sample) and self.problem.scale == "z":
            return Sample(np.tanh(base.draws))
        return base

    def derived(self, prob: float, kind: Kind) -> dict[str, Summary]:
        """rho_median; the rest is made of heterogeneity."""
        found = {"rho_median": NOTHING, "rho_mean": NOTHING, "I2": NOTHING, "H2": NOTHING}
        if self.problem.scale != "yi":
            found["rho_median"] = self.rho(self.mean_of(self.head)).summary(prob, kind)
        return found
