"""A prior made wider or narrower within its family."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from metarho.errors import InputError
from metarho.spec.priors import Prior

type Arguments = Mapping[str, float]

# How the arguments of each family change when the parameter is measured in a unit ``f`` times as
# large: the density is f times as wide around its centre.
_WIDER: Mapping[str, Callable[[Arguments, float], dict[str, float]]] = {
    "Normal": lambda a, f: {"sigma": a["sigma"] * f},
    "StudentT": lambda a, f: {"sigma": a["sigma"] * f},
    "Cauchy": lambda a, f: {"beta": a["beta"] * f},
    "HalfNormal": lambda a, f: {"sigma": a["sigma"] * f},
    "HalfStudentT": lambda a, f: {"sigma": a["sigma"] * f},
    "HalfCauchy": lambda a, f: {"beta": a["beta"] * f},
    "Exponential": lambda a, f: {"lam": a["lam"] / f},
    "PenalizedComplexity": lambda a, f: {"upper": a["upper"] * f},
    "Gamma": lambda a, f: {"beta": a["beta"] / f},
    "InverseGamma": lambda a, f: {"beta": a["beta"] * f},
    "LogNormal": lambda a, f: {"mu": a["mu"] + math.log(f)},
    "Lomax": lambda a, f: {"scale": a["scale"] * f},
    "Uniform": lambda a, f: _wider_stretch(a["lower"], a["upper"], f),
}


def has_scale(prior: Prior) -> bool:
    """Whether a prior can be made wider within its family.

    Points and priors without arguments cannot, nor those on r, which has ends of its own. A
    truncation can where what it cuts can; its ends stay.
    """
    return prior.on != "r" and (prior.dist or prior).family in _WIDER


def rescaled(prior: Prior, factor: float) -> Prior:
    """The prior ``factor`` times as wide, around the same centre (those above 0: from 0).

    A prior on tau2 is widened on tau. Raises InputError where there is no scale.
    """
    if not has_scale(prior):
        raise InputError(f"{prior} has no scale; families that have: {', '.join(_WIDER)}")
    inner = prior.dist or prior
    size = factor**2 if prior.on == "tau2" else factor
    found = inner
    for name, value in _WIDER[inner.family](inner.values, size).items():
        found = with_argument(found, name, value)
    return found if prior.dist is None else replace(prior, dist=found, cited="", discount="")


def with_argument(prior: Prior, name: str, value: float) -> Prior:
    """The prior with one argument changed; of a truncation that of what it cuts.

    Raises InputError for an argument that the family lacks.
    """
    inner = prior.dist or prior
    if name not in inner.values:
        raise InputError(
            f"{prior} has no argument {name!r}; it has: {', '.join(inner.values) or 'none'}"
        )
    changed = replace(
        inner,
        arguments=tuple((key, value if key == name else old) for key, old in inner.arguments),
        cited="",
        discount="",
    )
    # A prior that was changed is no longer the one that was cited.
    return changed if prior.dist is None else replace(prior, dist=changed, cited="", discount="")


def _wider_stretch(lower: float, upper: float, factor: float) -> dict[str, float]:
    """From 0 where it begins there, else around its middle."""
    if lower == 0:
        return {"upper": upper * factor}
    middle, half = 0.5 * (lower + upper), 0.5 * (upper - lower) * factor
    return {"lower": middle - half, "upper": middle + half}
