"""From true scores to what is observed: attenuation by unreliability, and range restriction.

With rho = tanh(theta) the correlation of true scores in the whole population, reliabilities rxx and
ryy there, and u = ux the sd of x in the sample over that in the population, observed scores have

    a = rho √(rxx ryy)                         (Spearman 1904, 10.2307/1412159)
    rho_observed = u a/√(1 + (u² − 1) a²)      (Thorndike 1949, case II: selection on x itself)

On Fisher's z that is asinh(u c s/√(1 + (1 − c²) s²)), with s = sinh(theta) and c = √(rxx ryy): no
digits are lost near a correlation of 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metarho.engines.problem import Problem
from metarho.spec.model import RELIABILITIES

type Array = NDArray[np.float64]


def observed_z(theta: Array, rxx: Array, ryy: Array, ux: Array) -> Array:
    """Fisher's z of the correlation of observed scores, all shapes broadcast."""
    c2, s = rxx * ryy, np.sinh(theta)
    return np.asarray(np.arcsinh(ux * np.sqrt(c2) * s / np.sqrt(1 + (1 - c2) * s**2)))


def known_artefacts(problem: Problem) -> dict[str, Array]:
    """rxx, ryy (NaN where unknown) and ux (1 where nothing is said) of each row: (k) each."""
    found = {name: problem.evidence.artefact(name) for name in (*RELIABILITIES, "ux")}
    return found | {"ux": np.where(np.isnan(found["ux"]), 1.0, found["ux"])}


def draw_reliabilities(problem: Problem, count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Reliabilities of each row, unknown ones from their prior: rxx and ryy, (count, k) each."""
    found = {}
    for name in RELIABILITIES:
        known = np.tile(problem.evidence.artefact(name), (count, 1))
        if name in problem.reliabilities:
            values = problem.reliabilities[name].prior.values
            if "c" in values:
                drawn = np.full(known.shape, values["c"])
            else:
                drawn = rng.beta(values["alpha"], values["beta"], known.shape)
            known = np.where(np.isnan(known), drawn, known)
        found[name] = known
    return found
