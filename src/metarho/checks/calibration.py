"""Calibrated p-values: how often a data set of the model has as small a p-value as the evidence.

The plain p-value p(y) is one number made from the data. Its law under the model, prior included, is
that of p(Y), Y from the prior predictive, and

    p_calibrated = P(p(Y) ≤ p(y))

is uniform there (Hjort, Dahl and Steinbakk 2006, Journal of the American Statistical Association
101, 1157–1174). It takes the posterior, and replicates, of every simulated data set. In conjugate
models these are cheap: the nodes of heterogeneity are those that the prior lays out, the covariance
of the rows at a node is the same for all data sets, and so is the randomness of the replicates. For
given randomness p is a function of the data and of nothing else, so that the rank of the evidence
among simulated data sets is uniform whatever the number of replicates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.checks.discrepancies import Discrepancy
from metarho.checks.p_values import exceeds, two_sided
from metarho.checks.replicates import rows_of
from metarho.engines import exact
from metarho.engines.problem import Problem, before_data
from metarho.posterior.effects import covariance_of_errors, draw_errors
from metarho.posterior.mixtures import lightest
from metarho.posterior.prior_draws import draw_priors
from metarho.posterior.prior_predictive import draw_prior_predictive

type Array = NDArray[np.float64]

# Alone they leave a calibrated p with an error of at most .016, and at .05 of .007.
SETS = 1000
# Of each simulated data set: what they leave is then about as large.
REPLICATES = 2000
# The error of the replicates is told by leaving out one batch of them after the other.
_BATCHES = 20
# Covariances are full matrices at each node, of which two parameters of heterogeneity have some
# thousands: half a gigabyte.
MOST_ROWS, MOST_ROWS_NESTED = 200, 50
# Nodes of the prior that hold less than this together are left out.
_LEAST_SHARE = 1e-6
# Numbers held at once.
_BLOCK = 4_000_000
_STREAM = 1_002


@dataclass(frozen=True)
class Calibrated:
    """A calibrated p-value, with its Monte Carlo error; ``plain`` are those of simulated sets."""

    p: float
    mcse: float
    plain: Array

    @property
    def two_sided(self) -> float:
        """2 min(p, 1 − p)."""
        return two_sided(self.p)


def no_calibration(problem: Problem) -> str | None:
    """Why p-values are not calibrated; None when they are."""
    for name, applied in problem.priors.items():
        if not applied.prior.proper:
            return (
                f"a prior predictive needs a proper prior on {name}, and {applied.prior} is "
                "improper"
            )
    if problem.evidence.is_interval.any():
        return "rows that are intervals leave no posterior in closed form; drop the intervals"
    if not problem.is_gaussian or problem.reporting is not None:
        return "only normal rows and effects without selection have posteriors in closed form"
    if refusal := exact.covers(problem):
        return refusal.removesuffix("; engine: nuts")
    if not exact.is_conjugate(problem):
        return f"the prior {problem.prior('mu')} of mu leaves no closed form; a Normal one does"
    most = MOST_ROWS if len(problem.spreads) < 2 else MOST_ROWS_NESTED
    if problem.evidence.k > most:
        return f"of {problem.evidence.k} rows; up to {most} are with random: {problem.model.random}"
    return None


def calibrate(
    problem: Problem, discrepancies: Sequence[Discrepancy], seed: int, sets: int = SETS
) -> list[Calibrated]:
    """The calibrated p-value of each statistic. ``problem`` is one that ``no_calibration`` passes.

    Where data sets are tied its place among them is random, by the seed.
    """
    rng = np.random.default_rng((seed, _STREAM))
    simulated = draw_prior_predictive(problem, draw_priors(problem, rng, sets), rng)
    everyone = np.vstack([problem.evidence.y, simulated])
    counts = _counts_above(problem, discrepancies, everyone, rng, REPLICATES)
    # One for all, so that no statistic depends on what else is asked.
    place = rng.uniform()
    return [_calibrated(batches, place) for batches in counts.transpose(1, 0, 2)]


def _calibrated(batches: Array, place: float) -> Calibrated:
    """From how many replicates are above, in B batches, of the evidence and S others (1 + S, B).

    The Monte Carlo error is that of a share of S, with the jackknife's over batches.
    """
    total = batches.sum(axis=1)
    p = rank(total[0], total[1:], place)
    left = total[:, None] - batches
    again = [rank(one[0], one[1:], place) for one in left.T]
    of_replicates = (len(again) - 1) * float(np.var(again))
    plain = total[1:] / REPLICATES
    sets = len(plain)
    # One more on either side: a share of none has an error too.
    within = (sets * p + 1) / (sets + 2)
    error = math.sqrt(within * (1 - within) / sets + of_replicates)
    return Calibrated(p, error, plain)


def rank(p: float, plain: Array, place: float) -> float:
    """Where a p-value stands among those of S simulated data sets, in (0, 1).

    Uniform when it has their law and ``place``, its place among those that are the same, is
    uniform: one of S + 1 that are alike, and a place within it.
    """
    below, same = int((plain < p).sum()), int((plain == p).sum())
    return float((below + place * (same + 1)) / (len(plain) + 1))


def plain_p_values(
    problem: Problem,
    discrepancies: Sequence[Discrepancy],
    y: Array,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> Array:
    """The plain p-value of each of F statistics for each of S data sets y (S, k): (S, F)."""
    return _counts_above(problem, discrepancies, y, rng, replicates).sum(axis=2) / replicates


def _counts_above(
    problem: Problem,
    discrepancies: Sequence[Discrepancy],
    y: Array,
    rng: np.random.Generator,
    replicates: int,
) -> Array:
    """How many replicates are above each data set, ties half, by batches: (S, F, batches).

    All data sets have the same uniform numbers for their nodes, and the same normal ones for
    coefficients, deviations and errors. ``replicates`` is a multiple of the number of batches.
    """
    evidence, rows = problem.evidence, rows_of(problem)
    places = (np.arange(replicates) + rng.uniform(size=replicates)) / replicates
    standard = rng.standard_normal((replicates, len(problem.coefficients)))
    deviations = [
        rng.standard_normal((replicates, len(evidence.groups(level)[1])))[
            :, evidence.groups(level)[0]
        ]
        for level in problem.model.levels
    ]
    errors = draw_errors(evidence, replicates, rng)
    observed = np.stack([one.of(y, rows) for one in discrepancies], axis=1)
    found = np.empty((*observed.shape, _BATCHES))
    nodes = Nodes.of(problem)
    for index, mass in enumerate(nodes.masses(y)):
        reached = np.cumsum(mass)
        node = np.searchsorted(reached, places * reached[-1])
        replicated = nodes.predictor(y[index], node, standard) + errors
        for deviation, variance in zip(deviations, nodes.variances, strict=True):
            replicated += np.sqrt(variance[node])[:, None] * deviation
        for place, one in enumerate(discrepancies):
            above = exceeds(one.of(replicated, rows), observed[index, place])
            # Places rise: every batch goes through all of them.
            found[index, place] = above.reshape(-1, _BATCHES).sum(axis=0)
    return found


@dataclass(frozen=True)
class Nodes:
    """J nodes of heterogeneity, and of the components of mu's prior, that the prior lays out.

    With X the design (k, p), the rows have at node j, before data, the mean X m_j and covariance
    C_j = V + Σ τ²_l G_l + X P_j Xᵀ, with m and P the prior mean and covariance of the coefficients
    and G_l 1 where rows share a group of level l. Given y the coefficients have the mean
    m_j + K_j (y − X m_j), K_j = P_j Xᵀ C_j⁻¹, and the covariance P_j − K_j X P_j.

    ``log_mass`` (J) of the prior, ``mean`` (J, p), ``whitening`` (J, k, k) is the inverse of the
    Cholesky root of C, ``gain`` (J, p, k) is K, ``root`` (J, p, p) one of the covariance given y,
    ``variances`` τ²_l (J) by level.
    """

    design: Array
    log_mass: Array
    mean: Array
    whitening: Array
    gain: Array
    root: Array
    variances: Sequence[Array]

    @classmethod
    def of(cls, problem: Problem) -> Nodes:
        """The nodes of a conjugate problem."""
        prior = exact.integrate(before_data(problem))
        assert prior.mean is not None and prior.covariance is not None
        kept = ~lightest(prior.node_mass, _LEAST_SHARE)
        by_level = problem.level_variances({n: v[kept] for n, v in prior.values.items()})
        levels = [
            np.broadcast_to(by_level[level], int(kept.sum())) for level in problem.model.levels
        ]
        x, p = problem.design.matrix, prior.covariance[kept]
        total = covariance_of_errors(problem.evidence) + x @ p @ x.T
        for level, variance in zip(problem.model.levels, levels, strict=True):
            index = problem.evidence.groups(level)[0]
            total = total + variance[:, None, None] * (index[:, None] == index)
        whitening = np.linalg.inv(np.linalg.cholesky(total))
        gain = p @ x.T @ whitening.transpose(0, 2, 1) @ whitening
        values, vectors = np.linalg.eigh(p - gain @ x @ p)
        root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
        mass = np.log(prior.node_mass[kept])
        return cls(x, mass, prior.mean[kept], whitening, gain, root, levels)

    def masses(self, y: Array) -> Iterator[Array]:
        """The posterior mass of the nodes (J) for each of S data sets (S, k), in order."""
        expected = self.mean @ self.design.T
        log_det = np.log(np.diagonal(self.whitening, axis1=1, axis2=2)).sum(axis=1)
        step = max(1, _BLOCK // expected.size)
        for start in range(0, len(y), step):
            away = y[start : start + step].T - expected[:, :, None]
            square = ((self.whitening @ away) ** 2).sum(axis=1)
            log_mass = (self.log_mass + log_det)[:, None] - 0.5 * square
            mass = np.exp(log_mass - log_mass.max(axis=0))
            yield from (mass / mass.sum(axis=0)).T

    def predictor(self, y: Array, node: NDArray[np.intp], standard: Array) -> Array:
        """Draws of Xβ given a data set y (k) and a node a draw: (M, k). ``standard`` (M, p)."""
        away = y - self.mean[node] @ self.design.T
        mean = self.mean[node] + np.einsum("mpk,mk->mp", self.gain[node], away)
        drawn = mean + np.einsum("mpq,mq->mp", self.root[node], standard)
        return np.asarray(drawn @ self.design.T)
