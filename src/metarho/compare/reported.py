"""What an ensemble expects of reported results, and what it would expect had all been reported.

By each member a result of sampling variance v is Normal(mu + bias, v + Στ²) before selection, the
bias that of PET or PEESE, and is reported in proportion to the weight w(p) of its p:

    reported   N(y; mu + bias, v + Στ²) w(p)/A,   A = ∫ N(y; …) w(p) dy
    all        N(y; mu, v + Στ²)/A

The second has the area 1/A: so many results were found for one that is reported, w being 1 in the
first band. Both are averaged over draws of the members' posteriors, members weighed
by their probability (Bartoš & Schimmack 2022, 10.15626/MP.2021.2720, look at z in this way).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from metarho.compare.ensemble import Ensemble, Member
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.exact.selection import stretch_ends
from metarho.engines.nuts.layout import group_levels
from metarho.engines.problem import Problem
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.posterior.joint import hyperparameters_of_sample, independent_draws
from metarho.posterior.rows import log_stretch_weights
from metarho.spec.model import Step, StepSelection

type Array = NDArray[np.float64]
type Of = Literal["reported", "all"]

# A band's ends are then known to a fiftieth of its width.
DRAWS = 2000
# Members that are less probable do not show.
_LEAST = 1e-4
# Of the deviation of a group, which selection is given.
_NODES, _SHARES = np.polynomial.hermite_e.hermegauss(15)
_SHARES = _SHARES / _SHARES.sum()


def not_expected(ensemble: Ensemble) -> str | None:
    """Why it is not known what the ensemble expects of results; None where it is."""
    for member in ensemble.members:
        model = member.fit.problem.model
        if model.likelihood == "exact-r" or model.measurement == "true-score":
            return f"{member.model}: results are not normal around what is estimated"
        if model.effects != "normal":
            return f"{member.model}: true effects are not normal"
    return None


@dataclass(frozen=True)
class Part:
    """N draws of the posterior of one member, each of the same ``weight`` in the average.

    ``mu``, the ``slope`` of the bias on the standard error to a ``power`` (0: none), and the
    variances of true effects ``between`` groups and of each effect's ``own``; ``weights`` (N,
    stretches) are chances of being reported by the stretches of ``step``, None without.
    """

    weight: float
    mu: Array
    slope: Array
    power: int
    between: Array
    own: Array
    step: Step | None
    weights: Array | None

    def centre(self, v: float, of: Of) -> Array:
        """The mean before selection by p, of a result with a sampling variance: (N)."""
        return self.mu + (self.slope * v ** (self.power / 2) if of == "reported" else 0.0)

    def mean(self, v: float, n: float, of: Of) -> Array:
        """The mean of results of a sampling variance v and n people: (N).

        Of a stretch with ends a, b in units of s around m: m P + s (φ(a) − φ(b)).
        """
        if self.step is None or of == "all":
            return self.centre(v, of)
        ends = _ends(self.step, v, n)
        total = np.zeros(len(self.mu))
        for shift, share in self._deviations():
            m, s = self.centre(v, of) + shift, np.sqrt(v + self.own)
            u = (ends - m[:, None]) / s[:, None]
            first = m[:, None] * np.diff(ndtr(u)) - s[:, None] * np.diff(_phi(u))
            inside = (self._chances * np.diff(ndtr(u))).sum(axis=1)
            # Each group is as probable as it was before selection.
            total += share * (self._chances * first).sum(axis=1) / inside
        return total

    def masses(self, edges: Array, v: float, n: float, of: Of) -> Array:
        """Masses between C + 1 edges of y, of results of a variance v and n people: (N, C)."""
        found = np.zeros((len(self.mu), len(edges) - 1))
        for shift, share in self._deviations():
            m, s = self.centre(v, of) + shift, np.sqrt(v + self.own)
            below = ndtr((edges - m[:, None]) / s[:, None])
            plain = np.diff(below)
            if self.step is None:
                found += share * plain
                continue
            ends = _ends(self.step, v, n)
            inside = np.diff(ndtr((ends - m[:, None]) / s[:, None]))
            reported = (self._chances * inside).sum(axis=1, keepdims=True)
            if of == "all":
                found += share * plain / reported
                continue
            for stretch, (low, high) in enumerate(pairwise(ends.tolist())):
                clipped = np.clip(edges, low, high)
                held = np.flatnonzero(np.diff(clipped) > 0)
                first, last = (ndtr((clipped[held + i] - m[:, None]) / s[:, None]) for i in (0, 1))
                found[:, held] += share * self._chances[:, [stretch]] * (last - first) / reported
        return found

    @property
    def _chances(self) -> Array:
        """Chances by stretches of y from the lowest up: stretches of p go the other way."""
        assert self.weights is not None
        return self.weights[:, ::-1]

    def _deviations(self) -> Iterator[tuple[Array, float]]:
        """A group's deviation, and its share."""
        if not self.between.any():
            yield np.zeros(len(self.mu)), 1.0
            return
        for node, share in zip(_NODES.tolist(), _SHARES.tolist(), strict=True):
            yield np.sqrt(self.between) * node, share


def parts_of(ensemble: Ensemble, count: int = DRAWS) -> tuple[Part, ...]:
    """About ``count`` draws, each member's in proportion to its probability, at least one.

    The same draws for the same fits: each member's from its own seed.
    """
    seen = [
        (member, p)
        for member, p in zip(ensemble.members, ensemble.probabilities.tolist(), strict=True)
        if p > _LEAST
    ]
    total = math.fsum(p for _, p in seen)
    found = []
    for member, p in seen:
        share = p / total
        draws = math.ceil(count * share)
        found.append(_part(member, share / draws, draws))
    return tuple(found)


def _part(member: Member, weight: float, count: int) -> Part:
    fit = member.fit
    problem, rng = fit.problem, np.random.default_rng(fit.seed)
    given = _hyperparameters(problem, member, count, rng)
    zero = np.zeros(given.count)
    selection = problem.model.selection
    kind = selection if isinstance(selection, str) else "none"
    step = selection.step if isinstance(selection, StepSelection) else None
    groups = group_levels(problem)
    between = sum((given.tau2[level] for level in groups), zero)
    own = given.tau2.get("effect", zero)
    if step is None:
        between, own = zero, between + own
    return Part(
        weight * count / given.count,
        given.coefficients[:, 0],
        given.others.get(kind, zero),
        {"pet": 1, "peese": 2}.get(kind, 0),
        between,
        own,
        step,
        None if step is None else np.exp(log_stretch_weights(step, given)),
    )


def _hyperparameters(
    problem: Problem, member: Member, count: int, rng: np.random.Generator
) -> Hyperparameters:
    result = member.fit.result
    if isinstance(result, Quadrature):
        values = independent_draws(problem, result, count, rng)
        others = {name: values[name] for name in problem.shapes}
        return Hyperparameters(values["mu"][:, None], problem.level_variances(values), {}, others)
    # Loaded here: ArviZ's statistics, which exact fits do without.
    from metarho.posterior.sampled import Sampled

    assert isinstance(member.fit.posterior, Sampled)
    given = hyperparameters_of_sample(member.fit.posterior)
    kept = rng.permutation(given.count)[:count]
    return Hyperparameters(
        given.coefficients[kept],
        {level: tau2[kept] for level, tau2 in given.tau2.items()},
        {},
        {name: values[kept] for name, values in given.others.items()},
    )


@dataclass(frozen=True)
class Band:
    """Means over draws, and quantiles of them, at each of C places."""

    mean: Array
    lower: Array
    upper: Array


def band(values: Array, weights: Array, prob: float) -> Band:
    """Of draws (N, C) with weights (N): the mean and an equal-tailed interval at each place."""
    order = np.argsort(values, axis=0)
    below = np.cumsum((weights / weights.sum())[order], axis=0)
    ends = []
    for share in ((1 - prob) / 2, (1 + prob) / 2):
        place = np.minimum((below < share - 1e-12).sum(axis=0), len(values) - 1)
        row = np.take_along_axis(order, place[None], axis=0)
        ends.append(np.take_along_axis(values, row, axis=0)[0])
    return Band(weights @ values / weights.sum(), *ends)


def weights_of(parts: tuple[Part, ...]) -> Array:
    """The weight of every draw, part after part."""
    return np.concatenate([np.full(len(part.mu), part.weight) for part in parts])


def mean_by_error(
    parts: tuple[Part, ...], errors: Array, sizes: Array, of: Of, prob: float
) -> Band:
    """The mean of results at E standard errors, with as many n."""
    columns = [
        np.concatenate([part.mean(error**2, n, of) for part in parts])
        for error, n in zip(errors.tolist(), sizes.tolist(), strict=True)
    ]
    return band(np.stack(columns, axis=1), weights_of(parts), prob)


def _ends(step: Step, v: float, n: float) -> Array:
    """Where stretches of y end, from the lowest up, −∞ and ∞ included."""
    lower, upper = stretch_ends(step, np.array([v]), np.array([n]))
    return np.concatenate([lower[0, ::-1], upper[0, :1]])


def _phi(x: Array) -> Array:
    return np.asarray(np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi))
