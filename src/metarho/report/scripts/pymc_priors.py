"""Priors as statements of PyMC.

Families that PyMC has are its own. The others are a variable on the stretch where they have mass,
with the log of their density as a potential; a constant that no posterior depends on is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from metarho.report.scripts.quoting import python_array, python_number
from metarho.spec.priors import PER_BAND, PER_HORSESHOE, PER_R2D2, PER_TAU, Prior

# What the variable of a prior on another scale is called, after its parameter.
_ON = {
    "": "",
    "r": "_on_r",
    "tau2": "_on_tau2",
    PER_TAU: "_on_per_tau",
    PER_HORSESHOE: "_on_horseshoe",
    PER_R2D2: "_on_R2D2",
    PER_BAND: "_on_band_before",
}

# Families that PyMC has, with PyMC's names of their arguments.
_NATIVE = (
    *("Normal", "StudentT", "Cauchy", "Uniform", "HalfNormal", "HalfStudentT", "HalfCauchy"),
    *("Exponential", "Gamma", "InverseGamma", "LogNormal", "Beta"),
)
_HARMONIC = "s2 = len(v) / (1 / v).sum()  # the harmonic mean of the sampling variances"
_TYPICAL = (
    "s2 = (len(v) - 1) * (1 / v).sum() / ((1 / v).sum() ** 2 - (1 / v**2).sum())"
    "  # Higgins and Thompson's typical sampling variance"
)
_SHRINKAGE = "pt.log({x}) - 2 * pt.log(s2 + {x} ** 2)"
_JEFFREYS = "0.5 * pt.log((({x} / (v + {x} ** 2)) ** 2).sum())"

_REFERENCES: Mapping[str, tuple[str, str]] = {
    "DuMouchel": (_HARMONIC, "-2 * pt.log1p({x} / np.sqrt(s2))"),
    "UniformShrinkage": (_HARMONIC, _SHRINKAGE),
    "UniformI2": (_TYPICAL, _SHRINKAGE),
    "Conventional": ("", "pt.log({x}) - 1.5 * pt.log(v + {x} ** 2).mean()"),
    "SquareRoot": ("", "-0.5 * pt.log({x})"),
    "Jeffreys": ("", _JEFFREYS),
    "BergerDeely": ("", "pt.log({x}) - pt.log(v + {x} ** 2).mean()"),
    "OverallJeffreys": ("", f"0.5 * pt.log((1 / (v + {{x}} ** 2)).sum()) + {_JEFFREYS}"),
}
"""Reference priors of tau: what they need besides v, and the log of their density."""


def prior_lines(variable: str, prior: Prior, *, positive: bool, unit: str = "") -> list[str]:
    """Statements that make a parameter, as a Python variable of its name, with its prior.

    A prior on another scale is that of a variable of its own, from which the parameter follows.
    ``unit`` is the expression of the sd that a relative prior is in units of; ``positive``
    parameters are sds.
    """
    own = variable + _ON[prior.on]
    lines = _own_lines(own, prior, positive)
    if not prior.on:
        return lines
    moved = {"r": f"pt.arctanh({own})", "tau2": f"pt.sqrt({own})"}.get(prior.on, f"{own} * {unit}")
    return [*lines, f'{variable} = pm.Deterministic("{variable}", {moved})']


def _own_lines(name: str, prior: Prior, positive: bool) -> list[str]:
    if prior.is_point:
        return [f"{name} = {python_number(prior.values['c'])}"]
    if prior.family == "Flat":
        return [f'{name} = pm.{"HalfFlat" if positive else "Flat"}("{name}")']
    if prior.family in _NATIVE:
        return [f'{name} = pm.{prior.family}("{name}", {_arguments(prior)})']
    if prior.family == "PenalizedComplexity":
        return [f'{name} = pm.Exponential("{name}", {_rate(prior)})']
    if prior.family == "NormalMixture":
        return [f'{name} = pm.NormalMixture("{name}", {_mixture(prior)})']
    if prior.family == "StretchedBeta":
        unit = f'pm.Beta("{name}_share", {_arguments(prior)})'
        return [f'{name} = pm.Deterministic("{name}", 2 * {unit} - 1)']
    needed, density = "", ""
    if prior.is_reference:
        needed, density = _REFERENCES[prior.family]
        density = density.format(x=name)
    else:
        density = _log_density(prior.dist or prior, name)
    return [
        *([needed] if needed else []),
        _stretch(name, *prior.own_support),
        f'pm.Potential("{name}_prior", {density})',
    ]


def _stretch(name: str, low: float, high: float) -> str:
    """A variable that may be anything between two ends, one of which may be infinite."""
    if math.isfinite(low) and math.isfinite(high):
        return f'{name} = pm.Uniform("{name}", lower={low!r}, upper={high!r})'
    if low == 0:
        return f'{name} = pm.HalfFlat("{name}")'
    if math.isfinite(low):
        return f'{name} = pm.Deterministic("{name}", {low!r} + pm.HalfFlat("{name}_above"))'
    return f'{name} = pm.Deterministic("{name}", {high!r} - pm.HalfFlat("{name}_below"))'


def _log_density(prior: Prior, x: str) -> str:
    """The log of a density at a variable, without what does not depend on it."""
    special: Mapping[str, Callable[[], str]] = {
        "PenalizedComplexity": lambda: f"pm.logp(pm.Exponential.dist({_rate(prior)}), {x})",
        "NormalMixture": lambda: f"pm.logp(pm.NormalMixture.dist({_mixture(prior)}), {x})",
        "StretchedBeta": lambda: f"pm.logp(pm.Beta.dist({_arguments(prior)}), (1 + {x}) / 2)",
        "Lomax": lambda: (
            f"-({prior.values['alpha']!r} + 1) * pt.log1p({x} / {prior.values['scale']!r})"
        ),
    }
    if prior.family in special:
        return special[prior.family]()
    return f"pm.logp(pm.{prior.family}.dist({_arguments(prior)}), {x})"


def _arguments(prior: Prior) -> str:
    return ", ".join(f"{name}={python_number(value)}" for name, value in prior.arguments)


def _rate(prior: Prior) -> str:
    upper, alpha = prior.values["upper"], prior.values["alpha"]
    return f"lam=-np.log({alpha!r}) / {upper!r}"


def _mixture(prior: Prior) -> str:
    lists: Mapping[str, Sequence[float]] = dict(prior.lists)
    parts = {name: python_array(values) for name, values in lists.items()}
    total = f" / {python_array(lists['w'])}.sum()"
    return f"w={parts['w']}{total}, mu={parts['mu']}, sigma={parts['sigma']}"
