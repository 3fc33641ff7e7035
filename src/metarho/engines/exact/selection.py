"""The likelihood of selected results: a step function of the one-sided p-value.

A result y with p = 1 − Φ(y/√v) is reported with a chance in proportion to the weight w of its band,
so that its density is (Vevea & Hedges 1995, 10.1007/BF02294384)

    N(y; mu, v + tau²) w(p)/A,    A = Σ_b w_b P(y in band b | mu, v + tau²).

Small p, and so positive effects, are favoured where the later weights are below 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri

from metarho.engines.exact.intervals import log_interval
from metarho.engines.exact.likelihood import log_likelihood_table
from metarho.engines.problem import Evidence
from metarho.spec.model import Step

type Array = NDArray[np.float64]


def limits(step: Step, v: Array) -> Array:
    """Where bands of y end, the first band lying above the first: rows × cutpoints."""
    return np.asarray(np.sqrt(v)[:, None] * ndtri(1 - np.array(step.cutpoints)))


def bands(step: Step, evidence: Evidence) -> NDArray[np.intp]:
    """The band of each row: 0 for p up to the first cutpoint."""
    below = evidence.y[:, None] < limits(step, evidence.v)
    return np.asarray(below.sum(axis=1), dtype=np.intp)


def log_weights(step: Step, omega: Array | None, count: int) -> Array:
    """Log weights of the bands at each of ``count`` nodes: (nodes, bands), the first 0."""
    if step.weights is not None:
        found = np.tile(np.log([1.0, *step.weights]), (count, 1))
    else:
        assert omega is not None
        found = np.column_stack([np.zeros(count), np.log(omega)])
    return np.asarray(found)


def log_bands(limit: Array, mu: Array, sd: Array) -> Array:
    """Log P(y in band b) for one row, mu and sd broadcast: (..., bands)."""
    ends = (limit - mu[..., None]) / sd[..., None]
    inner = [log_interval(ends[..., b + 1], ends[..., b]) for b in range(len(limit) - 1)]
    return np.stack([log_ndtr(-ends[..., 0]), *inner, log_ndtr(ends[..., -1])], axis=-1)


def log_likelihood_table_selected(
    evidence: Evidence, step: Step, mu: Array, tau2: Array, omega: Array | None
) -> Array:
    """Log p(all rows | mu, tau, omega) at N nodes of tau² and omega and M of mu: shape (N, M)."""
    values, place = np.unique(tau2, return_inverse=True)
    weights = log_weights(step, omega, len(tau2))
    plain = log_likelihood_table(evidence, mu, np.zeros(len(values)), values)
    table = plain[place] + weights[:, bands(step, evidence)].sum(axis=1)[:, None]
    # Rows of one variance are selected alike.
    kinds, first, counts = np.unique(evidence.v, return_index=True, return_counts=True)
    limit = limits(step, kinds)
    for index in range(len(first)):
        sd = np.sqrt(kinds[index] + values)
        chances = log_bands(limit[index], mu[None, :], sd[:, None])
        top = chances.max(axis=2)
        scaled = np.exp(chances - top[:, :, None])
        total = np.log(np.einsum("nmb,nb->nm", scaled[place], np.exp(weights)))
        table -= counts[index] * (total + top[place])
    return np.asarray(table)
