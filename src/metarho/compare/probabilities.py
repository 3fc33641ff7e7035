"""How probable each of several fits is, when they were equally probable before the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from metarho.compare.scores import incomparable
from metarho.posterior.fit import Fit


def probabilities(fits: Sequence[Fit]) -> list[float | None]:
    """Posterior probability of each fit among those it can be compared with, from the evidence.

    p_i = exp(log evidence_i)/Σ_j exp(log evidence_j): equal prior probabilities, as every prior
    set of every model counts once. None where the evidence does not exist (improper priors).
    """
    found: list[float | None] = []
    for fit in fits:
        if fit.log_evidence is None:
            found.append(None)
            continue
        others = [
            other.log_evidence
            for other in fits
            if other.log_evidence is not None and incomparable(fit, other) is None
        ]
        found.append(float(np.exp(fit.log_evidence - logsumexp(others))))
    return found
