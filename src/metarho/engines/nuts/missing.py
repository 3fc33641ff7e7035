"""Unknown moderators in a PyMC model: numbers as variables, factors summed over their levels.

The likelihood of a block's rows is Σ_c P(candidate c) Π p(row | the design of candidate c).
``data/missing.py`` says what is known of the moderators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from metarho.data.missing import Imputation

type Array = NDArray[np.float64]


def add_chances(imputation: Imputation, rows: Mapping[str, Any]) -> dict[str, Any]:
    """Factor -> the chances of its levels, Dirichlet(1 + counts)."""
    return {
        name: pm.Dirichlet(f"chances_{place}", a=rows[f"counts_{place}"])
        for place, name in enumerate(imputation.factors)
    }


def add_numbers(imputation: Imputation, rows: Mapping[str, Any]) -> list[list[Any]]:
    """The unknown numbers of each block."""
    laws = {}
    for place, name in enumerate(imputation.numbers):
        n, mean, sd = (rows[f"known_{place}"][part] for part in range(3))
        freedom = (n - 1) / 2
        ratio = pm.InverseGamma(f"variance_{place}", alpha=freedom, beta=freedom)
        sigma = sd * pt.sqrt(ratio)
        laws[name] = mean + sigma / pt.sqrt(n) * pm.Normal(f"mean_{place}", 0, 1), sigma
    found = []
    for number, block in enumerate(imputation.blocks):
        values = []
        for place, name in enumerate(block.numbers):
            mean, sigma = laws[name]
            value = mean + sigma * pm.Normal(f"unknown_{number}_{place}_away", 0, 1)
            values.append(pm.Deterministic(f"unknown_{number}_{place}", value))
        found.append(values)
    return found


def add_candidates(
    imputation: Imputation, rows: Mapping[str, Any], log_rows: Any, chances: Mapping[str, Any]
) -> None:
    """The likelihood from that of all rows and candidates; the posterior chance of each besides."""
    count = 1 + sum(block.candidates for block in imputation.blocks)
    cells = pt.inc_subtensor(pt.zeros(count)[rows["cell"]], log_rows)
    total, first = cells[0], 1
    for number, block in enumerate(imputation.blocks):
        log_chance: Any = cells[first : first + block.candidates]
        for place, name in enumerate(block.factors):
            log_chance = log_chance + pt.log(chances[name])[block.levels[:, place]]
        pm.Deterministic(f"candidates_{number}", pt.special.softmax(log_chance))
        total = total + pt.logsumexp(log_chance)
        first += block.candidates
    pm.Potential("rows", total)


def drawn_rows(
    imputation: Imputation, posterior: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Array]:
    """Draws of the design's unknown rows: row -> (chain, draw, p)."""
    found: dict[str, Array] = {}
    for number, block in enumerate(imputation.blocks):
        chances = np.asarray(posterior[f"candidates_{number}"], dtype=float)
        reached = np.cumsum(chances, axis=-1)
        share = rng.uniform(size=(*chances.shape[:-1], 1)) * reached[..., -1:]
        candidate = (reached < share).sum(axis=-1)
        values = [
            np.asarray(posterior[f"unknown_{number}_{place}"], dtype=float)
            for place in range(len(block.numbers))
        ]
        found |= block.rows_at(candidate, values)
    return found
