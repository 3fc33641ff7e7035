"""The correlation that a new study of n people observes under the exact law of r."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact import law_of_r
from metarho.engines.exact.panels import FINE, Axis, Reach, refine
from metarho.posterior.exact import Exact
from metarho.posterior.marginals import Curve

type Array = NDArray[np.float64]

_LEAST_MASS = 1e-18
_BLOCK = 1_000_000


def observed_z(posterior: Exact, n: float) -> Curve:
    """The marginal of z = atanh(r): ∫ g(z | theta, n) p(theta_new) dtheta, on panels."""
    theta, mass = posterior.theta_atoms(n)
    held = mass > _LEAST_MASS
    theta, mass = theta[held], mass[held] / mass[held].sum()

    def log_density(axes: Sequence[Axis]) -> Array:
        z = axes[0].nodes
        found = np.empty(len(z))
        step = max(1, _BLOCK // len(theta))
        for start in range(0, len(z), step):
            block = slice(start, start + step)
            found[block] = np.exp(law_of_r.log_density(z[block, None], theta, n)) @ mass
        return np.log(np.maximum(found, np.finfo(float).tiny))

    centre = float(mass @ theta)
    width = 1 / math.sqrt(n - 1) + math.sqrt(float(mass @ (theta - centre) ** 2))
    start = Axis("sinh", centre, width, np.linspace(-4.0, 4.0, 9))
    (axis,) = refine(log_density, [start], [Reach(-8.0, 8.0)], FINE)
    return Curve(axis, np.exp(log_density([axis])))
