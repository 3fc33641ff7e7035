"""What a prior of mu is worth in evidence: its effective sample size.

ELIR, the expected local information ratio: E[i(mu)] over the prior, with i = −d² log p/dmu², over
the Fisher information of one unit, 1/variance (Neuenschwander, Weber, Schmidli, O'Hagan 2020,
Biometrics 76(2), 10.1111/biom.13252). A unit is a study or a participant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from metarho.compare.integrals import integral
from metarho.engines.exact.priors import (
    components,
    landmarks,
    log_density,
    truncated_parts,
    truncated_quantile,
)
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]

_NO_ROWS = np.array([])
# Where a truncation without an end stops: beyond, nothing is left that double precision shows.
_TAILS = np.array([1e-14, 1e-10, 1 - 1e-10, 1 - 1e-14])
# On r the information goes like 1 − r²: beyond z = 20 it is 1e-17.
_NO_MORE_ON_Z = (-20.0, -8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0, 20.0)
_ALLOWED = 1e-12
# The average of a centred column is 0 but for rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class PriorSampleSize:
    """The effective sample size of mu's prior, in studies and in participants.

    A study has the median number of people and shares the heterogeneity of the posterior; a
    participant is one without heterogeneity, on Fisher's z. None where it is not known.
    """

    studies: float | None
    participants: float | None


def prior_sample_size_of_mu(problem: Problem, exact: Exact) -> PriorSampleSize:
    """The effective sample size of the prior of the headline, rowᵀ(mu, beta).

    Without moderators the headline is mu. With them its prior is known where all priors in it are
    normal, with variance Σ row²·sigma²; a Flat one among them makes it flat.
    """
    information = _of_headline(problem, exact.head)
    unit = study_unit(problem, exact)
    is_z = problem.measure == "ZCOR"
    return PriorSampleSize(
        None if information is None or unit is None else information * unit,
        information if is_z else None,
    )


def prior_sample_size(prior: Prior, unit_variance: float) -> float | None:
    """ELIR: unit_variance · E[i(mu)]; None where ``expected_information`` is."""
    information = expected_information(prior)
    return None if information is None else unit_variance * information


def study_unit(problem: Problem, exact: Exact) -> float | None:
    """The variance of one study's estimate of mu: 1/(ñ − 3) + E[Στ² | y], ñ the median n.

    For GEN and COR the median sampling variance stands for 1/(ñ − 3). None where Στ² has no
    posterior mean. With Student-t effects tau is their scale.
    """
    tau = exact.tau.summary(0.95, "eti")
    if tau.mean is None or tau.sd is None:
        return None
    evidence = problem.evidence
    if problem.measure == "ZCOR":
        sampling = 1 / (float(np.median(evidence.sizes)) - 3)
    else:
        sampling = float(np.median(evidence.v))
    return sampling + tau.mean**2 + tau.sd**2


def expected_information(prior: Prior) -> float | None:
    """E[−d² log p/dmu²] over the prior of mu, on mu's scale, ends of the support left out.

    0 for flat priors, below 0 where most of a prior lies where it is convex in the log (the far
    tail of a Cauchy). None for a point, whose information is infinite, for priors in units of tau
    and for families that are not ones of mu.
    """
    if prior.on not in ("", "r"):
        return None
    a = prior.values
    match prior.family, prior.on:
        case "Flat", "":
            return 0.0
        case (("Normal" | "HalfNormal"), ""):
            return 1 / a["sigma"] ** 2
        case "StudentT", "":
            return (a["nu"] + 1) / ((a["nu"] + 3) * a["sigma"] ** 2)
        case "Cauchy", "":
            return 1 / (2 * a["beta"] ** 2)
        case "StretchedBeta", "r":
            # −(log p)'' = (alpha + beta)(1 − r²), and E(1 − r²) is known.
            return 4 * a["alpha"] * a["beta"] / (a["alpha"] + a["beta"] + 1)
        case (("Uniform" | "NormalMixture" | "Truncated"), _):
            return _integrated(prior)
    return None


def _of_headline(problem: Problem, row: Array) -> float | None:
    """E[i] of the prior of rowᵀ(mu, beta)."""
    inside = [
        (problem.prior(name), float(x))
        for name, x in zip(problem.coefficients, row, strict=True)
        if abs(x) > _ROUNDING
    ]
    if len(inside) == 1 and inside[0][1] == 1:
        return expected_information(inside[0][0])
    if any(prior.family == "Flat" for prior, _ in inside):
        return 0.0
    if any(prior.family != "Normal" or prior.on for prior, _ in inside):
        return None
    return 1 / math.fsum((x * prior.values["sigma"]) ** 2 for prior, x in inside)


def _integrated(prior: Prior) -> float | None:
    """E[i] by quadrature on mu's scale.

    With f the density of r, p(z) = f(r)s, r = tanh z and s = 1 − r²:
    −(log p)'' = −s²(log f)'' + 2rs(log f)' + 2s.
    """
    base = prior.dist or prior

    def information(x: Array) -> Array:
        if prior.on != "r":
            return _SLOPES[base.family](x, base)[1]
        r, s = np.tanh(x), 4 * expit(2 * x) * expit(-2 * x)
        if base.family == "StretchedBeta":
            # The same without (1 − r) below a fraction.
            return np.asarray((base.values["alpha"] + base.values["beta"]) * s)
        slope, curvature = _SLOPES[base.family](r, base)
        return np.asarray(s**2 * curvature + 2 * r * s * slope + 2 * s)

    if base.family not in _SLOPES and (base.family, prior.on) != ("StretchedBeta", "r"):
        return None
    return integral(
        lambda x: np.exp(log_density(prior, x, _NO_ROWS)) * information(x),
        _breaks(prior),
        lambda total: _ALLOWED * abs(total) + _ALLOWED**2,
    )


def _breaks(prior: Prior) -> list[float]:
    """Where panels begin and end: what a mesh must not miss, the ends, and the tails."""
    low, high = prior.support
    marks = {*landmarks(prior, _NO_ROWS), low, high}
    if prior.on == "r":
        marks |= {mark for mark in _NO_MORE_ON_Z if low < mark < high}
    elif prior.dist is not None:
        for _, part in truncated_parts(prior):
            marks |= set(truncated_quantile(part, _TAILS).tolist())
    return sorted(mark for mark in marks if math.isfinite(mark))


def _normal(x: Array, prior: Prior) -> tuple[Array, Array]:
    a = prior.values
    return -(x - a.get("mu", 0.0)) / a["sigma"] ** 2, np.full(x.shape, a["sigma"] ** -2)


def _student_t(x: Array, nu: float, mu: float, sigma: float) -> tuple[Array, Array]:
    # In units of sigma, so that squares of large numbers stay numbers.
    d = (x - mu) / sigma
    share = 1 / (nu + d**2)
    curvature = (nu + 1) * (nu - d**2) * share**2
    return -(nu + 1) * d * share / sigma, curvature / sigma**2


def _mixture(x: Array, prior: Prior) -> tuple[Array, Array]:
    """−(log Σ w p)'' is the mean of 1/sigma² less the variance of the slopes, given x."""
    parts = components(prior)
    logs = [math.log(w) + log_density(part, x, _NO_ROWS) for w, part in parts]
    share = softmax(np.array(logs), axis=0)
    each = [_normal(x, part) for _, part in parts]
    slopes, curvatures = (np.array(values) for values in zip(*each, strict=True))
    mean = (share * slopes).sum(axis=0)
    return mean, (share * (curvatures - (slopes - mean) ** 2)).sum(axis=0)


def _zeros(x: Array, prior: Prior) -> tuple[Array, Array]:
    return np.zeros(x.shape), np.zeros(x.shape)


_SLOPES: Mapping[str, Callable[[Array, Prior], tuple[Array, Array]]] = {
    "Normal": _normal,
    "HalfNormal": _normal,
    "StudentT": lambda x, prior: _student_t(
        x, prior.values["nu"], prior.values["mu"], prior.values["sigma"]
    ),
    "Cauchy": lambda x, prior: _student_t(x, 1.0, prior.values["alpha"], prior.values["beta"]),
    "Uniform": _zeros,
    "NormalMixture": _mixture,
}
"""(log f)' and −(log f)'' of the families of mu that have both everywhere."""
