"""Families of priors of heterogeneity made comparable: equal in one respect, different in shape.

Half-normal against half-Cauchy with one scale compares two scales, not two shapes. Matched, both
have the same median, or the same upper tail, or expect the same share of heterogeneity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metarho.compare.integrals import integral
from metarho.compare.quantities import values_of
from metarho.compare.surface import check_quantities, checked
from metarho.engines.exact.priors import landmarks, log_density
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting import Settings
from metarho.spec.claims import Quantity
from metarho.spec.prior_arguments import WIDTH, PriorArgument
from metarho.spec.priors import Prior
from metarho.spec.scaling import has_scale, rescaled

type Array = NDArray[np.float64]
type Match = Literal["median", "tail", "information"]

# Half-normal priors are argued for by the 5% that they leave beyond a value (Röver 2020, section
# 3.4 of 10.18637/jss.v093.i06).
TAIL = 0.95
# Smooth curves in print, and a second or two to match eight families at each point. Odd, so that
# the middle of the range is the prior as it is.
POINTS = 31

# At scale 1. Shapes: a half-t of 3 degrees of freedom, between normal and Cauchy; the log-normal as
# fitted to the heterogeneity of correlations in psychology (quartiles .10, .17, .24: van Erp et al.
# 2017, 10.5334/jopd.33, as counted by Olsson-Collentine et al.); inverse-gamma with alpha = 1 as in
# RoBMA and metaBMA; Lomax with alpha = 1, which is DuMouchel's shape.
FAMILIES: Mapping[str, Prior] = {
    "HalfNormal": Prior("HalfNormal", (("sigma", 1.0),)),
    "HalfStudentT": Prior("HalfStudentT", (("nu", 3.0), ("sigma", 1.0))),
    "HalfCauchy": Prior("HalfCauchy", (("beta", 1.0),)),
    "Exponential": Prior("Exponential", (("lam", 1.0),)),
    "LogNormal": Prior("LogNormal", (("mu", 0.0), ("sigma", 0.602))),
    "Lomax": Prior("Lomax", (("alpha", 1.0), ("scale", 1.0))),
    "Uniform": Prior("Uniform", (("lower", 0.0), ("upper", 1.0))),
    "InverseGamma": Prior("InverseGamma", (("alpha", 1.0), ("beta", 1.0))),
}
"""The families that are matched, each to be made as wide as the match asks."""

# How far a scale may be from that of the evidence before a match is called impossible.
_FARTHEST = 1e12
_ALLOWED = 1e-13
_TINY = 1e-300


@dataclass(frozen=True)
class Matched:
    """Quantities under families of priors of one parameter that are equal in one respect.

    ``values`` (N) is that respect, ``numbers`` (families, N, Q), ``priors`` (families, N) what was
    fitted; the first family is the model's own, whose prior as it is lies at ``own``.
    """

    parameter: str
    match: Match
    values: Array
    families: tuple[str, ...]
    priors: tuple[tuple[Prior, ...], ...]
    quantities: tuple[Quantity, ...]
    numbers: Array
    own: float
    statuses: tuple[str, ...]

    def of(self, quantity: Quantity) -> Array:
        """The numbers of one quantity (families, N)."""
        return np.asarray(self.numbers[..., self.quantities.index(quantity)])


def respect(match: Match, prior: Prior, v: Array) -> float:
    """The median of a proper prior of tau, its upper 5% point, or what it expects of heterogeneity.

    The last is E[tau²/(tau² + σ_ref²)], σ_ref the geometric mean of the standard errors (Sørbye and
    Rue 2014, equation 7): the share of an estimate's variance that the prior expects to be
    heterogeneity. It is the prior mean of the relative latent model complexity by which the R
    packages ra4bayesmeta and pa4bayesmeta compare priors (Ott, Plummer and Roos 2021,
    10.1002/sim.9076).
    """
    if match == "information":
        return expected_share(prior, v)
    return quantile(prior, 0.5 if match == "median" else TAIL, v)


def quantile(prior: Prior, share: float, v: Array) -> float:
    """Where a proper prior of tau has a share of its mass below, from its density."""
    # Loaded here: a fit does without.
    from scipy.optimize import brentq

    low, high = max(prior.support[0], 0.0), prior.support[1]
    marks = sorted(mark for mark in landmarks(prior, v) if low < mark < high)
    scale = marks[len(marks) // 2] if marks else high

    def gap(log_x: float) -> float:
        return _mass(prior, low, min(low + scale * math.exp(log_x), high), v) - share

    reach = math.log(_FARTHEST)
    return low + scale * math.exp(float(brentq(gap, -reach, reach, xtol=1e-14, rtol=1e-14)))


def expected_share(prior: Prior, v: Array) -> float:
    """E[tau²/(tau² + σ_ref²)] under a proper prior of tau."""
    sigma = reference_error(v)
    low, high = max(prior.support[0], 0.0), prior.support[1]
    ends = [mark for mark in _breaks(prior, low, high, v) if mark > 0]

    def weighted(x: Array) -> Array:
        return np.asarray(_density(prior, x, v) / (1 + (x / sigma) ** 2))

    # 1 less what is not heterogeneity, so that heavy tails, where it is all, need no end.
    near = [low, *sorted({*ends, *(sigma * step for step in (0.01, 0.1, 1, 10, 100))})]
    near = [mark for mark in near if low <= mark <= high]
    # As 1/x: the tail is an integral over an end.
    rest = integral(weighted, [*near, *([high] if math.isfinite(high) else [])], _allowed)
    if math.isinf(high):
        rest += integral(
            lambda u: weighted(1 / np.maximum(u, _TINY)) / np.maximum(u, _TINY) ** 2,
            [0.0, 1 / near[-1]],
            _allowed,
        )
    return 1 - rest


def reference_error(v: Array) -> float:
    """σ_ref, the geometric mean of the standard errors."""
    return math.exp(0.5 * float(np.log(v).mean()))


def matched_prior(family: str, match: Match, value: float, v: Array) -> Prior:
    """The prior of a family that has a value of the median, the tail or the expected share.

    Raises InputError when none has.
    """
    base = FAMILIES[family]
    if match != "information":
        return rescaled(base, value / _at_scale_1(family, match))
    from scipy.optimize import brentq

    sigma = reference_error(v)

    def gap(log_factor: float) -> float:
        return expected_share(rescaled(base, sigma * math.exp(log_factor)), v) - value

    reach = math.log(_FARTHEST)
    if not gap(-reach) < 0 < gap(reach):
        raise InputError(f"no {family} expects a share of heterogeneity of {value:g}")
    found = float(brentq(gap, -reach, reach, xtol=1e-13, rtol=1e-13))
    return rescaled(base, sigma * math.exp(found))


@lru_cache
def _at_scale_1(family: str, match: Match) -> float:
    return respect(match, FAMILIES[family], np.empty(0))


def matched(
    problem: Problem,
    parameter: str,
    match: Match,
    factors: Sequence[float],
    quantities: Sequence[Quantity],
    settings: Settings,
) -> Matched:
    """Quantities under every family, matched to the model's own prior at each of its widths.

    ``factors`` (N) make the prior of ``parameter`` so many times as wide. Raises InputError for a
    prior that has no scale, and for quantities that the model does not have.
    """
    argument = checked(problem, PriorArgument(parameter, WIDTH))
    check_quantities(problem, quantities)
    own, v = problem.prior(argument.parameter), problem.evidence.v
    if not own.proper or max(own.support[0], 0.0) != own.support[0] or not has_scale(own):
        raise InputError(f"{parameter}: {own} is no proper prior of an sd with a scale")
    widths = [rescaled(own, factor) for factor in factors]
    values = [respect(match, prior, v) for prior in widths]
    rows = {f"{own.family} (the model's own)": widths}
    for family in FAMILIES:
        priors = [matched_prior(family, match, value, v) for value in values]
        # The model's own family may be one of them.
        if not all(map(_alike, priors, widths)):
            rows[family] = priors
    applied = problem.priors[parameter]
    problems = [
        replace(problem, priors={**problem.priors, parameter: replace(applied, prior=prior)})
        for priors in rows.values()
        for prior in priors
    ]
    found = values_of(problems, quantities, settings)
    return Matched(
        parameter,
        match,
        np.array(values),
        tuple(rows),
        tuple(tuple(priors) for priors in rows.values()),
        tuple(quantities),
        found.numbers.reshape(len(rows), len(values), len(quantities)),
        respect(match, own, v),
        found.statuses,
    )


def _alike(one: Prior, other: Prior) -> bool:
    """Whether two priors are one but for rounding."""
    same = (one.family, one.on, one.dist) == (other.family, other.on, other.dist)
    return same and bool(
        np.allclose(list(one.values.values()), list(other.values.values()), rtol=1e-9, atol=1e-9)
    )


def _allowed(total: float) -> float:
    return _ALLOWED


def _density(prior: Prior, x: Array, v: Array) -> Array:
    return np.exp(log_density(prior, x, v))


def _breaks(prior: Prior, low: float, high: float, v: Array) -> list[float]:
    marks = {mark for mark in landmarks(prior, v) if low < mark < high}
    return sorted({low, *marks, *([high] if math.isfinite(high) else [])})


def _mass(prior: Prior, low: float, x: float, v: Array) -> float:
    """The mass between two points."""
    return integral(
        lambda t: _density(prior, t, v),
        [*(mark for mark in _breaks(prior, low, math.inf, v) if mark < x), x],
        _allowed,
    )
