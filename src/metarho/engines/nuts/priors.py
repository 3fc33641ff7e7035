"""Prior families as PyMC distributions, one table row a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pymc as pm

from metarho.spec.priors import Prior

DISTRIBUTIONS: Mapping[str, Callable[..., Any]] = {
    "Normal": pm.Normal,
    "StudentT": pm.StudentT,
    "Cauchy": pm.Cauchy,
    "Uniform": pm.Uniform,
    "Flat": pm.Flat,
    "HalfNormal": pm.HalfNormal,
    "HalfStudentT": pm.HalfStudentT,
    "HalfCauchy": pm.HalfCauchy,
    "Exponential": pm.Exponential,
    "Gamma": pm.Gamma,
    "InverseGamma": pm.InverseGamma,
    "LogNormal": pm.LogNormal,
    "Beta": pm.Beta,
}
"""Every family of ``nuts.PRIORS`` but DiracDelta, which enters as data."""


def add_prior(parameter: str, variable: str, prior: Prior) -> Any:
    """A parameter of the current model, its prior's numbers held as data.

    Models that differ only in those numbers are one compiled model.
    """
    data = {
        argument: pm.Data(f"{variable}_prior_{argument}", value)
        for argument, value in prior.arguments
    }
    if prior.is_point:
        return data["c"]
    if parameter.startswith("tau") and prior.family == "Flat":
        return pm.HalfFlat(variable)
    return DISTRIBUTIONS[prior.family](variable, **data)


def prior_data(variable: str, prior: Prior) -> dict[str, float]:
    """The data of ``add_prior`` for another prior of the same family."""
    return {f"{variable}_prior_{argument}": value for argument, value in prior.arguments}
