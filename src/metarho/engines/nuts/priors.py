"""Prior families as PyMC distributions, one table row a family.

PyMC's own families are used where it has them. The others, and truncations, are densities on the
stretch between the ends of their support.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions.transforms import Interval

from metarho.engines.exact.priors import (
    harmonic_variance,
    log_conventional_integral,
    log_mass,
    typical_variance,
)
from metarho.spec.priors import PER_BAND, PER_HORSESHOE, PER_R2D2, PER_TAU, Prior

type Array = NDArray[np.float64]
type Data = Mapping[str, Any]

DISTRIBUTIONS: Mapping[str, Any] = {
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
    "NormalMixture": pm.NormalMixture,
}
"""Families that PyMC has."""


def _log_lomax(x: Any, alpha: Any, scale: Any) -> Any:
    return pt.log(alpha / scale) - (alpha + 1) * pt.log1p(x / scale)


def _log_exponential(x: Any, rate: Any) -> Any:
    return pt.log(rate) - rate * x


def _log_stretched_beta(x: Any, alpha: Any, beta: Any) -> Any:
    inside = (alpha - 1) * pt.log1p(x) + (beta - 1) * pt.log1p(-x)
    total = alpha + beta
    return (
        inside - (total - 1) * np.log(2) + pt.gammaln(total) - pt.gammaln(alpha) - pt.gammaln(beta)
    )


def _log_shrinkage(x: Any, s2: Any) -> Any:
    return pt.log(2 * s2 * x) - 2 * pt.log(s2 + x**2)


def _log_jeffreys(x: Any, v: Any) -> Any:
    return 0.5 * pt.log(((x / (v + x**2)) ** 2).sum())


DENSITIES: Mapping[str, Callable[[Any, Data], Any]] = {
    "PenalizedComplexity": lambda x, a: _log_exponential(x, -pt.log(a["alpha"]) / a["upper"]),
    "Lomax": lambda x, a: _log_lomax(x, a["alpha"], a["scale"]),
    "StretchedBeta": lambda x, a: _log_stretched_beta(x, a["alpha"], a["beta"]),
    "DuMouchel": lambda x, a: _log_lomax(x, 1.0, pt.sqrt(a["s2"])),
    "UniformShrinkage": lambda x, a: _log_shrinkage(x, a["s2"]),
    "UniformI2": lambda x, a: _log_shrinkage(x, a["s2"]),
    "Conventional": lambda x, a: pt.log(x) - 1.5 * pt.log(a["v"] + x**2).mean() - a["constant"],
    "SquareRoot": lambda x, a: -0.5 * pt.log(x),
    "Jeffreys": lambda x, a: _log_jeffreys(x, a["v"]),
    "BergerDeely": lambda x, a: pt.log(x) - pt.log(a["v"] + x**2).mean(),
    "OverallJeffreys": lambda x, a: (
        0.5 * pt.log((1 / (a["v"] + x**2)).sum()) + _log_jeffreys(x, a["v"])
    ),
}
"""Log densities of families that PyMC lacks."""

_REFERENCE_NUMBERS: Mapping[str, Callable[[Array], dict[str, Any]]] = {
    "DuMouchel": lambda v: {"s2": harmonic_variance(v)},
    "UniformShrinkage": lambda v: {"s2": harmonic_variance(v)},
    "UniformI2": lambda v: {"s2": typical_variance(v)},
    "Conventional": lambda v: {"v": v, "constant": log_conventional_integral(v)},
    "SquareRoot": lambda v: {},
    "Jeffreys": lambda v: {"v": v},
    "BergerDeely": lambda v: {"v": v},
    "OverallJeffreys": lambda v: {"v": v},
}


# What a prior on another scale is a prior of: the name of that variable, and its parameter.
_ON = {
    "": "",
    "r": "_on_r",
    "tau2": "_on_tau2",
    PER_TAU: "_on_per_tau",
    PER_HORSESHOE: "_on_horseshoe",
    PER_R2D2: "_on_R2D2",
    PER_BAND: "_on_band_before",
}


def prior_data(variable: str, prior: Prior, v: Array) -> dict[str, Array]:
    """The numbers of a prior by the names of ``add_prior``'s data.

    ``v`` are the sampling variances of the evidence, which reference priors are made of.
    """
    prefix = f"{variable}{_ON[prior.on]}_prior_"
    return {prefix + name: np.asarray(value) for name, value in _numbers(prior, v).items()}


def _numbers(prior: Prior, v: Array) -> dict[str, Any]:
    numbers: dict[str, Any] = dict(prior.values)
    for name, values in prior.lists:
        numbers[name] = np.array(values) / (math.fsum(values) if name == "w" else 1.0)
    if prior.is_reference:
        numbers |= _REFERENCE_NUMBERS[prior.family](v)
    if prior.dist is not None:
        inner = _numbers(prior.dist, v)
        numbers = {f"dist_{name}": value for name, value in inner.items()}
        numbers["log_mass"] = log_mass(prior.dist, *prior.own_support)
    if prior.family not in DISTRIBUTIONS and not prior.is_point:
        ends = zip(("low", "high"), prior.own_support, strict=True)
        numbers |= {name: end for name, end in ends if math.isfinite(end)}
    return numbers


def variable_of(parameter: str, prior: Prior) -> str:
    """The name of the variable that a prior is of: with a prior on another scale, another one."""
    return parameter + _ON[prior.on]


def add_prior(variable: str, prior: Prior, v: Array, unit: Any, *, positive: bool) -> Any:
    """A parameter of the current model, its prior's numbers held as data.

    Models that differ only in those numbers are one compiled model. A prior on another scale is
    that of a variable of its own, from which the parameter follows. ``unit`` is what a
    relative prior is in units of; ``positive`` parameters are sds.
    """
    own = _add(variable + _ON[prior.on], prior, v, positive=positive)
    if not prior.on:
        return own
    if prior.is_relative:
        return pm.Deterministic(variable, own * unit)
    moved = {"r": pt.arctanh, "tau2": pt.sqrt}
    return pm.Deterministic(variable, moved[prior.on](own))


def is_unbounded(prior: Prior) -> bool:
    """Whether a prior is one of the parameter itself, with a density on the whole line."""
    line = not prior.on and all(map(math.isinf, prior.own_support))
    return line and not prior.is_point and prior.dist is None


def add_shifted_prior(variable: str, prior: Prior, v: Array, shift: Any) -> Any:
    """A parameter whose sampled variable is the parameter plus a shift; its density is the same."""
    level = pm.Flat(f"{variable}_shifted")
    parameter = pm.Deterministic(variable, level - shift)
    data = _data(variable, prior, v)
    if prior.proper:
        pm.Potential(f"{variable}_prior", _log_density(parameter, prior, data))
    return parameter


def _add(variable: str, prior: Prior, v: Array, *, positive: bool) -> Any:
    data = _data(variable, prior, v)
    if prior.is_point:
        return data["c"]
    if prior.family == "Flat" and positive:
        return pm.HalfFlat(variable)
    if prior.family in DISTRIBUTIONS:
        return DISTRIBUTIONS[prior.family](variable, **data)
    ends = [data[name] for name in ("low", "high") if name in data]
    return pm.CustomDist(
        variable,
        *ends,
        logp=lambda x, *_: _log_density(x, prior, data),
        support_point=lambda rv, size, *given: _between(data, given),
        # The ends are the last inputs of the variable, and must be taken from there.
        transform=Interval(bounds_fn=lambda *inputs: _ends(data, inputs)) if ends else None,
    )


def _data(variable: str, prior: Prior, v: Array) -> dict[str, Any]:
    """The numbers of a prior as data of the current model."""
    prefix = f"{variable}_prior_"
    return {
        name: pm.Data(prefix + name, np.asarray(value))
        for name, value in _numbers(prior, v).items()
    }


def _ends(data: Data, inputs: Sequence[Any]) -> tuple[Any, Any]:
    """Lower and upper end among the inputs of a variable; None where there is none."""
    match "low" in data, "high" in data:
        case True, True:
            return inputs[-2], inputs[-1]
        case True, False:
            return inputs[-1], None
        case _:
            return None, inputs[-1]


def _between(data: Data, inputs: Sequence[Any]) -> Any:
    """Where chains begin, give or take: between the ends, or a little beyond the only one."""
    if not inputs:
        return pt.as_tensor(0.0)
    low, high = _ends(data, inputs)
    if low is not None and high is not None:
        return 0.5 * (low + high)
    return low + 0.1 if low is not None else high - 0.1


def _log_density(x: Any, prior: Prior, data: Data) -> Any:
    if prior.dist is not None:
        inner = {n.removeprefix("dist_"): d for n, d in data.items() if n.startswith("dist_")}
        return _log_density(x, prior.dist, inner) - data["log_mass"]
    if prior.family in DENSITIES:
        return DENSITIES[prior.family](x, data)
    return pm.logp(DISTRIBUTIONS[prior.family].dist(**data), x)
