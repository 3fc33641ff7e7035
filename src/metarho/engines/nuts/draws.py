"""Posterior draws of the hyperparameters and what the sampler said about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """``parameters`` by name, each (chain, draw); ``deviations`` by level (chain, draw, group).

    Deviations are those that were not integrated out, in units of their level's sd.
    ``statistics`` by ArviZ's names, each (chain, draw). ``target_accept`` is that of the run
    that counts, ``retried`` whether it was raised because an earlier one diverged.
    ``imputed`` has the design's rows with unknown moderators, (chain, draw, p) by their number.
    ``latent`` has what models of true scores sample for each row, (chain, draw, k): ``theta``, and
    the reliabilities ``rxx`` and ``ryy``; and what a custom model says of each row, if it does:
    ``theta``, ``log_likelihood`` and ``y``, a replicate. ``theta_new`` (chain, draw) is a new true
    effect by a custom model that has one. ``log_evidence`` is by bridge sampling, with its Monte
    Carlo standard error; None with improper priors.
    """

    parameters: Mapping[str, Array]
    deviations: Mapping[str, Array]
    statistics: Mapping[str, Array]
    target_accept: float
    retried: bool
    log_evidence: float | None = None
    log_evidence_mcse: float | None = None
    imputed: Mapping[str, Array] = field(default_factory=dict)
    latent: Mapping[str, Array] = field(default_factory=dict)
    theta_new: Array | None = None
