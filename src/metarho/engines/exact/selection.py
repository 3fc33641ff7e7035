"""The likelihood of selected results: a step function of the p-value.

A result y is reported with a chance in proportion to the weight w of its band of p, so that its
density is (Vevea & Hedges 1995, 10.1007/BF02294384)

    N(y; mu, v + tau²) w(p)/A,    A = Σ_b w_b P(y in band b | mu, v + tau²).

A word on a result is an interval of y, with the probability Σ_b w_b P(y in both)/A: selection acts
on rows, each by itself, given mu and tau. Bands are stretches of y; with two-sided p a band is two
of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from metarho.data.effect_sizes import critical_r
from metarho.engines.exact.intervals import log_interval
from metarho.engines.exact.likelihood import log_likelihood_table
from metarho.engines.problem import Evidence
from metarho.spec.model import Step

type Array = NDArray[np.float64]

# Rows of more different variances than this are summed by interpolation between as many, where logs
# of variances span no more than this; between more in proportion beyond.
MOST_KINDS, _SPAN = 32, 4.0
# A variance is that of n people, 1/(n − 3), to rounding.
_ROUNDING = 1e-9


def limits(step: Step, v: Array, sizes: Array) -> Array:
    """Where stretches of y end, the first lying above the first: rows × one-sided cutpoints.

    ``v`` and ``sizes`` are the rows' sampling variances and n; limits of t are on Fisher's z.
    """
    if step.test == "z":
        return np.asarray(np.sqrt(v)[:, None] * ndtri(1 - np.array(step.one_sided)))

    def limit(n: float, p: float) -> float:
        away = np.arctanh(critical_r(n, 2 * min(p, 1 - p)))
        return float(np.sign(0.5 - p) * away)

    ends = [[limit(n, p) for p in step.one_sided] for n in sizes.tolist()]
    return np.array(ends).reshape(len(sizes), len(step.one_sided))


def stretch_ends(step: Step, v: Array, sizes: Array) -> tuple[Array, Array]:
    """Lower and upper ends of the stretches of y: (k, stretches) each."""
    limit = limits(step, v, sizes)
    endless = np.full((len(limit), 1), np.inf)
    return np.hstack([limit, -endless]), np.hstack([endless, limit])


def bands(step: Step, y: Array, v: Array, sizes: Array) -> NDArray[np.intp]:
    """The band of each number: 0 for p up to the first cutpoint."""
    below = y[:, None] < limits(step, v, sizes)
    return np.array(step.band_of, dtype=np.intp)[below.sum(axis=1)]


@dataclass(frozen=True)
class SelectedRows:
    """Rows as selection sees them, those that it treats alike together: R kinds, B bands.

    Weights ω (B) multiply the likelihood of the rows by

        Π_b ω_b^``counts`` · Π_r (Σ_b ω_b P_rb)^``powers``

    with P_rb the share that band b has in what a kind is about: all results that it might have
    had, with a negative power, or those that its word stands for. Stretches of y lie between
    ``lower`` and ``upper`` (R, stretches), empty ones at no width; ``v`` (R) are sampling
    variances, ``band_of`` the bands of the stretches. ``own`` are the variances of rows, the ends
    of the stretch or interval that each lies in, and how many of each there are.
    """

    counts: Array
    v: Array
    lower: Array
    upper: Array
    powers: Array
    band_of: tuple[int, ...]
    own: tuple[Array, Array, Array, Array]

    def at_most(self, tau: Array, mu: Array) -> Array:
        """The most that the log of the product may be, whatever the weights, at N tau and M mu.

        A row's weight over what it divides by is at most one over the chance of what it lies in.
        """
        v, lower, upper, counts = self.own
        found = np.empty((len(tau), len(mu)))
        for node, one in enumerate(tau):
            sd = np.sqrt(v + one**2)
            low, high = ((ends - mu[:, None]) / sd for ends in (lower[:, 0], upper[:, 0]))
            found[node] = -log_interval(low, high) @ counts
        return found

    @property
    def size(self) -> float:
        """How many rows were selected."""
        return float(-self.powers[self.powers < 0].sum())

    def shares(self, mu: Array, tau2: float | Array) -> Array:
        """P_rb at M nodes of mu, and one of tau² or one each: (M, B, R)."""
        sd = np.sqrt(self.v + np.broadcast_to(tau2, mu.shape)[:, None])
        held = np.flatnonzero((self.lower < self.upper).any(axis=0))
        logs = np.full((len(self.band_of), *sd.shape), -np.inf)
        for stretch in held:
            here = np.flatnonzero(self.lower[:, stretch] < self.upper[:, stretch])
            low = (self.lower[here, stretch] - mu[:, None]) / sd[:, here]
            high = (self.upper[here, stretch] - mu[:, None]) / sd[:, here]
            logs[stretch][:, here] = log_interval(low, high)
        shares = np.exp(logs - logs.max(axis=0))
        shares /= shares.sum(axis=0)
        found = np.zeros((len(mu), len(self.counts), len(self.v)))
        for part, band in zip(shares, self.band_of, strict=True):
            found[:, band] += part
        return found


@dataclass(frozen=True)
class Rows:
    """What selection depends on of rows, each (k): numbers, NaN in intervals, or their ends."""

    y: Array
    v: Array
    lower: Array
    upper: Array
    sizes: Array

    @classmethod
    def of(cls, evidence: Evidence) -> Rows:
        """Those of evidence."""
        return cls(evidence.y, evidence.v, evidence.lower, evidence.upper, evidence.sizes)


def selected_rows(rows: Rows, step: Step) -> SelectedRows:
    """Rows that are numbers or intervals, as a step function selects them."""
    lower, upper = stretch_ends(step, rows.v, rows.sizes)
    word = np.isnan(rows.y)
    numbered = bands(step, rows.y[~word], rows.v[~word], rows.sizes[~word])
    counts = np.bincount(numbered, minlength=len(step.cutpoints) + 1)
    held = (lower <= rows.y[:, None]) & (rows.y[:, None] < upper)
    own_low = np.where(word, rows.lower, np.where(held, lower, -np.inf).max(axis=1))
    own_high = np.where(word, rows.upper, np.where(held, upper, np.inf).min(axis=1))
    own = _kinds(rows.v, own_low[:, None], own_high[:, None])
    all_v, all_lower, all_upper, powers = _kinds(rows.v, lower, upper)
    everyone = _few_kinds(rows, step, all_v, -powers)
    if everyone is None:
        everyone = all_v, all_lower, all_upper, -powers
    low = np.maximum(lower[word], rows.lower[word, None])
    high = np.minimum(upper[word], rows.upper[word, None])
    spoken = _kinds(rows.v[word], np.minimum(low, high), high)
    v, low, high, powers = (np.concatenate(pair) for pair in zip(everyone, spoken, strict=True))
    return SelectedRows(counts.astype(float), v, low, high, powers, step.band_of, own)


def _kinds(v: Array, lower: Array, upper: Array) -> tuple[Array, Array, Array, Array]:
    """Rows without repeats: their variances and stretches, and how many of each there are."""
    alike, counts = np.unique(np.column_stack([v, lower, upper]), axis=0, return_counts=True)
    stretches = lower.shape[1]
    return (
        alike[:, 0],
        alike[:, 1 : stretches + 1],
        alike[:, stretches + 1 :],
        counts.astype(float),
    )


def _few_kinds(
    rows: Rows, step: Step, v: Array, powers: Array
) -> tuple[Array, Array, Array, Array] | None:
    """As many kinds as log v needs, whose sum, by other powers, is that over all rows.

    What is summed is smooth in log v: it is taken for the polynomial through its values at
    Chebyshev's nodes, so that each row's is a sum of theirs. None where rows are few, or where
    limits are not given by v.
    """
    low, high = np.log(v.min()), np.log(v.max())
    count = math.ceil(MOST_KINDS * max(1.0, (high - low) / _SPAN))
    if len(v) <= count:
        return None
    if step.test == "t" and (np.abs((rows.sizes - 3) * rows.v - 1) > _ROUNDING).any():
        return None
    places = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    nodes = np.exp(0.5 * (low + high) + 0.5 * (high - low) * places)
    at = (2 * np.log(v) - low - high) / (high - low)
    # Lagrange's polynomials, by Chebyshev's: Σ_c (2 − [c = 0])/n T_c(place) T_c(at).
    order = np.arange(count)
    at_nodes = np.cos(np.outer(order, np.arccos(places))) * (2.0 - (order == 0))[:, None]
    shares = np.cos(np.outer(np.arccos(np.clip(at, -1, 1)), order)) @ at_nodes / count
    return nodes, *stretch_ends(step, nodes, 3 + 1 / nodes), powers @ shares


def log_band_weights(step: Step, omega: Array | None, count: int) -> Array:
    """Log weights of the bands at each of ``count`` nodes: (nodes, bands), the first 0."""
    if step.weights is not None:
        found = np.tile(np.log([1.0, *step.weights]), (count, 1))
    else:
        assert omega is not None
        found = np.column_stack([np.zeros(count), np.log(omega)])
    return np.asarray(found)


def log_likelihood_table_selected(
    evidence: Evidence, step: Step, mu: Array, tau2: Array, omega: Array | None
) -> Array:
    """Log p(all rows | mu, tau, omega) at N nodes of tau² and omega and M of mu: shape (N, M)."""
    values, place = np.unique(tau2, return_inverse=True)
    log_weights = log_band_weights(step, omega, len(tau2))
    rows = selected_rows(Rows.of(evidence), step)
    plain = log_likelihood_table(evidence, mu, np.zeros(len(values)), values)
    table = plain[place] + (log_weights @ rows.counts)[:, None]
    for index, value in enumerate(values):
        here = place == index
        shares = rows.shares(mu, float(value))
        # Relative to the largest weight: one as large as 1e200 has a share that rounds to 0.
        top = log_weights[here].max(axis=1)
        scaled = np.exp(log_weights[here] - top[:, None])
        sums = np.log(np.einsum("nb,mbr->nmr", scaled, shares)) + top[:, None, None]
        table[here] += sums @ rows.powers
    return np.asarray(table)
