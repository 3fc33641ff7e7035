"""The log density of a PyMC model at values of its variables, without sampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

type Array = NDArray[np.float64]


def free_variables(model: pm.Model) -> dict[str, tuple[int, ...]]:
    """The variables of a model with their shapes."""
    point = model.initial_point(random_seed=1)
    return {rv.name: np.shape(point[model.rvs_to_values[rv].name]) for rv in model.free_RVs}


def log_density(model: pm.Model, values: Mapping[str, float | Array]) -> float:
    """log p(variables) + log p(data | variables), on the variables' own scales.

    Compiled for speed of compiling: it is called a few times.
    """
    point: dict[str, Any] = {}
    for rv in model.free_RVs:
        value, transform = model.rvs_to_values[rv], model.rvs_to_transforms[rv]
        given = pt.as_tensor(np.asarray(values[rv.name], dtype=float))
        moved = given if transform is None else transform.forward(given, *rv.owner.inputs)
        point[value.name] = moved.eval(mode="FAST_COMPILE")
    function = model.compile_fn(
        model.logp(jacobian=False), inputs=model.value_vars, mode="FAST_COMPILE"
    )
    return float(function(point))
