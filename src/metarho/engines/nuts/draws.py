"""Posterior draws of the hyperparameters and what the sampler said about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """``parameters`` by name, each (chain, draw); ``deviation`` (chain, draw, mixed study) in sds.

    ``statistics`` by ArviZ's names, each (chain, draw). ``target_accept`` is that of the run
    that counts, ``retried`` whether it was raised because an earlier one diverged.
    """

    parameters: Mapping[str, Array]
    deviation: Array | None
    statistics: Mapping[str, Array]
    target_accept: float
    retried: bool
