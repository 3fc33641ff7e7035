"""Posterior predictive p-values of statistics, by the fit's replicates.

p = P(T(replicate) ≥ T(observed) | the evidence) (Rubin 1984; Meng 1994), ties counted half, so that
both directions add up to 1. The evidence is used twice: p lies nearer to one half than a uniform
number would, and a p of .05 is rarer than one time in twenty (``calibration.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.checks.discrepancies import Discrepancy
from metarho.checks.replicates import printed_of, replicates_of, rows_of
from metarho.engines.exact.quadrature import Quadrature
from metarho.errors import FitError
from metarho.posterior.fit import Fit

type Array = NDArray[np.float64]

# Apart from the streams of ``Fit.tree``, so that neither depends on the other.
_STREAM = 1_001


@dataclass(frozen=True)
class PValue:
    """A statistic of the evidence and of N replicates: ``p`` with its Monte Carlo error ``mcse``.

    None where no error can be told: of draws that are all on one side.
    """

    name: str
    rows: int
    observed: float
    replicated: Array
    p: float
    mcse: float | None

    @property
    def two_sided(self) -> float:
        """2 min(p, 1 − p)."""
        return two_sided(self.p)


def p_values(fit: Fit, discrepancies: Sequence[Discrepancy]) -> list[PValue]:
    """The posterior predictive p-value of each statistic, of one set of replicates.

    Raises FitError where a statistic of replicates is not a number.
    """
    rows, printed = rows_of(fit.problem), printed_of(fit.problem)
    replicates = replicates_of(fit, np.random.default_rng((fit.seed, _STREAM)))
    found = []
    for one in discrepancies:
        observed = float(one.of(printed, rows)[0])
        replicated = one.of(replicates, rows)
        if np.isnan(replicated).any() or math.isnan(observed):
            raise FitError(f"{one.name} is not a number in some replicates")
        above = exceeds(replicated, observed)
        p, kept = float(above.mean()), int(one.kept.sum())
        found.append(PValue(one.name, kept, observed, replicated, p, _mcse(fit, above)))
    return found


def exceeds(replicated: Array, observed: float | Array) -> Array:
    """1 where a statistic is above what was observed, ½ where it is the same, 0 below."""
    return 0.5 * ((replicated > observed).astype(float) + (replicated >= observed))


def two_sided(p: float) -> float:
    """2 min(p, 1 − p): uniform where p is."""
    return 2 * min(p, 1 - p)


def _mcse(fit: Fit, above: Array) -> float | None:
    """The Monte Carlo standard error of a mean: of independent draws, or ArviZ's of a sampler's."""
    sd = float(above.std())
    if sd == 0:
        return None
    if isinstance(fit.result, Quadrature):
        return sd / math.sqrt(len(above))
    from arviz_stats.base import array_stats

    chains = fit.result.parameters["mu"].shape[0]
    return float(array_stats.mcse(above.reshape(chains, -1), method="mean"))
