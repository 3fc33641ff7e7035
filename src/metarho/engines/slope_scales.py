"""The sd of slopes that share a joint prior, given the parameters that it is made of.

The formulas and their sources are in ``spec/shrinkage.py``. Values are arrays, or PyMC's variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

type Values = Mapping[str, Any]


def horseshoe_scale(column: str, values: Values) -> Any:
    """tau_g·λ̃ of a column: tau_g·λ where that is small, c where it is large."""
    wide = values["beta_global"] * values[f"beta_local[{column}]"]
    slab2 = values["beta_slab2"]
    return wide * np.sqrt(slab2 / (slab2 + wide**2))


def r2d2_scale(column: str, values: Values, total_sd: Any) -> Any:
    """tau·√(φ R²/(1 − R²)) of a column."""
    r2 = values["beta_R2"]
    return total_sd * np.sqrt(shares(values)[f"beta_phi[{column}]"] * r2 / (1 - r2))


def shares(values: Values) -> dict[str, Any]:
    """φ = γ/Σγ, by name ``beta_phi[column]``; nothing where there is no R2D2."""
    gammas = {name: value for name, value in values.items() if name.startswith("beta_gamma[")}
    total = sum(gammas.values())
    return {name.replace("gamma", "phi", 1): value / total for name, value in gammas.items()}
