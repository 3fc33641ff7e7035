"""Which parameters are hard, and the first, coarse panels of their axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from metarho.engines.exact.moments import (
    moments_of,
    moments_of_shape,
    moments_of_spread,
    needed,
)
from metarho.engines.exact.panels import GROWTH, Axis, Reach
from metarho.engines.exact.priors import at_lower_end, components, landmarks, middles
from metarho.engines.exact.weights import weight_law
from metarho.engines.problem import Evidence, Problem
from metarho.spec.priors import PER_TAU, Prior

CLOSED = ("Normal", "Flat", "DiracDelta")
COMPONENT = "component"

# Ends of an axis without ends: squares of what lies within are still numbers.
FARTHEST = 1e140
NEAREST_LOG = -690.0
# On a logit axis the ends are this far out for a density that is constant there: exp(-60).
FAR_LOGIT = 60.0


@dataclass(frozen=True)
class Hard:
    """A parameter that is integrated numerically, where it begins and how far it may go."""

    name: str
    prior: Prior
    axis: Axis
    reach: Reach


def is_conjugate(problem: Problem) -> bool:
    """Whether the coefficients of the mean can be integrated out in closed form.

    A mixture of normals on mu is: it adds an axis of atoms, one a component.
    """
    slopes = [problem.prior(name) for name in problem.coefficients if name != "mu"]
    mu = problem.prior("mu")
    closed = all(prior.family in CLOSED and not prior.on for prior in slopes)
    closed &= mu.family in {*CLOSED, "NormalMixture"} and mu.on in ("", PER_TAU)
    closed &= problem.is_gaussian and problem.reporting is None
    return closed and not problem.evidence.has_intervals


def has_own_axis(prior: Prior) -> bool:
    """Whether a prior lives on a bounded stretch and may be infinite at both of its ends."""
    return prior.family in ("Beta", "StretchedBeta") and not prior.on


def hard_parameters(problem: Problem) -> list[Hard]:
    """The hard parameters in order: heterogeneity, shapes, then mu where it is not conjugate.

    A mixture of normals on mu has its components there, as atoms that are numbered.
    """
    centre, se, extent = evidence_spread(problem.evidence)
    v = problem.evidence.v
    found = []
    for name in problem.spreads:
        prior = problem.prior(name)
        # Flat() has the whole line for its support; a standard deviation has half of it.
        support = max(prior.support[0], 0.0), prior.support[1]
        if prior.is_point:
            axis, reach = Axis.atoms(prior.values["c"]), Reach(0.0, 0.0)
        elif name == "share":
            axis, reach = _axis(prior, landmarks(prior, v), support, 0.0, 1.0, support, 0)
        else:
            marks = landmarks(prior, v)
            scale = min([se, *(mark for mark in marks if mark > 0)])
            data = support[0], min(support[1], 10 * extent)
            # H² has tau² in it: its sd takes the fourth moment.
            moments = needed(moments_of_spread(problem, name), most=4)
            axis, reach = _axis(prior, marks, support, support[0], scale, data, moments)
        found.append(Hard(name, prior, axis, reach))
    # Weights of selection with a law of their own are integrated at every node (``weights``).
    weights = weight_law(problem) is not None
    found += [_shape(problem, name) for name in problem.shapes if not weights]
    prior = problem.prior("mu")
    if is_conjugate(problem) and prior.family == "NormalMixture":
        parts = range(len(components(prior)))
        found.append(Hard(COMPONENT, prior, Axis.atoms(*map(float, parts)), Reach(0.0, 0.0)))
    elif not is_conjugate(problem):
        lower, upper = prior.support
        if prior.is_point:
            axis, reach = Axis.atoms(prior.values["c"]), Reach(0.0, 0.0)
        else:
            data = max(lower, centre - extent), min(upper, centre + extent)
            moments = needed(moments_of(problem, "mu"))
            marks = landmarks(prior, v)
            axis, reach = _axis(prior, marks, prior.support, centre, se, data, moments)
        found.append(Hard("mu", prior, axis, reach))
    return found


def _shape(problem: Problem, name: str) -> Hard:
    """The axis of nu, omega or a slope of bias: begun where the prior lives, whatever the data."""
    prior = problem.prior(name)
    if prior.is_point:
        return Hard(name, prior, Axis.atoms(prior.values["c"]), Reach(0.0, 0.0))
    marks = landmarks(prior, problem.evidence.v)
    lower, upper = prior.support
    start = lower if math.isfinite(lower) else 0.0
    data = max(lower, start - 1), min(upper, start + 1)
    scale = min([1.0, *(abs(mark - start) for mark in marks if mark != start)])
    moments = needed(moments_of_shape(problem, name))
    axis, reach = _axis(prior, marks, prior.support, start, scale, data, moments)
    return Hard(name, prior, axis, reach)


def evidence_spread(evidence: Evidence) -> tuple[float, float, float]:
    """A centre, the standard error around it at tau = 0, and the range of the evidence."""
    low = np.where(evidence.is_interval, evidence.lower, evidence.y)
    high = np.where(evidence.is_interval, evidence.upper, evidence.y)
    # Before anything is known, around 0.
    low = np.where(evidence.is_silent, 0.0, low)
    low = np.where(np.isfinite(low), low, high)
    high = np.where(np.isfinite(high), high, low)
    middle = 0.5 * (low + high)
    w = 1 / evidence.v
    centre = float(w @ middle / w.sum())
    extent = float(np.max(np.abs([low - centre, high - centre]))) + 10 * float(
        np.sqrt(evidence.v.max())
    )
    return centre, float(1 / np.sqrt(w.sum())), extent


def _axis(
    prior: Prior,
    points: Sequence[float],
    support: tuple[float, float],
    centre: float,
    scale: float,
    data: tuple[float, float],
    moments: int,
) -> tuple[Axis, Reach]:
    """The first, coarse panels: over the data and the prior's landmarks, to be grown."""
    bottom, top = max(support[0], -FARTHEST), min(support[1], FARTHEST)
    marks = [mark for mark in points if bottom <= mark <= top]
    low, high = min([data[0], *marks]), max([data[1], *marks])
    if has_own_axis(prior):
        axis, reach = _share_axis(prior, bottom, top)
        start, end = reach.lower, reach.upper
    elif not at_lower_end(prior).is_integer():
        # A fractional power at the lower end keeps polynomials from converging there.
        axis = Axis("log", bottom, scale, np.zeros(1))
        start = max(-60 / at_lower_end(prior), NEAREST_LOG - math.log(scale))
        reach = Reach(start, _u(axis, top), moments)
        end = min(max(_u(axis, high), start + 1.0), reach.upper)
    else:
        axis = Axis("sinh", centre, scale, np.zeros(1))
        reach = Reach(_u(axis, bottom), _u(axis, top), moments)
        start = max(_u(axis, low), reach.lower)
        end = min(max(_u(axis, high), start + 1.0), reach.upper)
    inside = axis.to_u(np.array([mark for mark in marks if low < mark < high]))
    count = max(2, math.ceil((end - start) / GROWTH))
    breaks = np.union1d(np.linspace(start, end, count + 1), inside)
    # Breaks closer than rounding would make a panel without width.
    apart = np.concatenate([[True], np.diff(breaks) > 1e-9])
    return replace(axis, breaks=breaks[apart]), replace(reach, middles=tuple(middles(prior)))


def _share_axis(prior: Prior, bottom: float, top: float) -> tuple[Axis, Reach]:
    """An axis for a Beta density: as an angle, where halves of powers become whole ones."""
    alpha, beta = prior.values["alpha"], prior.values["beta"]
    if (2 * alpha).is_integer() and (2 * beta).is_integer():
        return Axis("arc", bottom, top - bottom, np.zeros(1)), Reach(0.0, math.pi / 2)
    axis = Axis("logit", bottom, top - bottom, np.zeros(1))
    low, high = max(-FAR_LOGIT / alpha, NEAREST_LOG), min(FAR_LOGIT / beta, -NEAREST_LOG)
    return axis, Reach(low, high)


def _u(axis: Axis, x: float) -> float:
    return float(axis.to_u(np.array(x)))
