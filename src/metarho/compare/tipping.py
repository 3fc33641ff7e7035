"""Tipping points: how far an argument of a prior, or a weight, must move before a claim fails.

The range is scanned; where the claim changes between two points, or comes near to changing within
three, the place is found by root finding on fits of their own.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.compare.quantities import Way, quantities_of, refusal, way
from metarho.compare.surface import Surface, Varied, surface, varied
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.spec.claims import Claim
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]

# 400 points cut two decades into steps of 1.2%. A claim that fails and holds again within one step
# is found only if the quantity's turn shows in the points around it.
POINTS: Mapping[Way, int] = {"at once": 400, "one by one": 60, "slow": 12, "sampled": 0}


@dataclass(frozen=True)
class Crossing:
    """Where a claim changes: at ``at`` the quantity, refitted, is ``value``.

    ``holds_above`` says whether the claim holds for larger values of the argument. Where the
    quantity only touches its number, both sides are alike and there is no crossing.
    """

    at: float
    value: float
    holds_above: bool


@dataclass(frozen=True)
class Tipping:
    """A claim over a range: ``scan`` (N) are the quantity's values at ``over``.

    ``own`` is the quantity under the prior as it is, which lies at ``at``.
    """

    claim: Claim
    over: Varied
    scan: Array
    at: float
    own: float
    crossings: tuple[Crossing, ...]

    @property
    def holds(self) -> bool:
        """Whether the claim holds under the prior as it is."""
        return self.claim.holds(self.own)

    @property
    def nearest(self) -> Crossing | None:
        """The smallest change that tips the claim: by factors for scales, else by difference."""
        if not self.crossings:
            return None

        def apart(crossing: Crossing) -> float:
            if self.over.is_scale:
                return abs(math.log(crossing.at / self.at))
            return abs(crossing.at - self.at)

        return min(self.crossings, key=apart)


def tipping(problem: Problem, claim: Claim, over: Varied, settings: Settings) -> Tipping:
    """Where a claim changes as what is varied moves through a range.

    Raises InputError for a quantity that the model does not have, and for a sampled model, whose
    quantities are known to a Monte Carlo error only.
    """
    check_exact(problem, claim, settings)
    found = surface(problem, [over], [claim.quantity], settings)
    return scanned(
        claim, found, lambda x: refitted(varied(problem, {over.argument: x}), claim, settings)
    )


def scanned(claim: Claim, found: Surface, value: Callable[[float], float]) -> Tipping:
    """Where a claim changes along a curve of its quantity; ``value`` refits it at one place.

    Raises InputError where the quantity has no value in a part of the range.
    """
    (over,) = found.over
    scan = found.of(claim.quantity)
    if np.isnan(scan).any():
        raise InputError(f"{claim.quantity} has no value in part of the range of {over.argument}")
    coordinate = np.log(over.values) if over.is_scale else over.values
    back: Callable[[float], float] = math.exp if over.is_scale else float
    roots = crossings(claim, coordinate, scan, lambda u: value(back(u)))
    return Tipping(
        claim,
        over,
        scan,
        found.at[0],
        float(found.own[0]),
        tuple(Crossing(back(u), at, above) for u, at, above in roots),
    )


def check_exact(problem: Problem, claim: Claim, settings: Settings) -> None:
    """Raises InputError for a claim that has no tipping point that could be found."""
    if reason := refusal(problem, claim.quantity):
        raise InputError(f"{claim}: {reason}")
    if way(problem, settings) == "sampled":
        raise InputError(
            f"model {problem.model.name} is sampled here, and a tipping point asks for more digits "
            "than draws have; use a model, or intervals: drop, that the exact engine covers, or "
            "metarho sensitivity"
        )


def crossings(
    claim: Claim, points: Array, scan: Array, value: Callable[[float], float]
) -> list[tuple[float, float, bool]]:
    """Every place between scanned points where a claim changes: (place, value there, holds above).

    Between two points that differ in whether the claim holds, and on both sides of a turn between
    three points that brings the quantity across its number.
    """
    margins = [claim.margin(found) for found in scan.tolist()]
    known = list(zip(points.tolist(), margins, strict=True))
    for left, middle, right in zip(known, known[1:], known[2:], strict=False):
        turn = _turn(claim, left, middle, right, value)
        if turn is not None:
            known.append(turn)
    known.sort()
    found: list[tuple[float, float, bool]] = []
    for (low, before), (high, after) in itertools.pairwise(known):
        if (before > 0) != (after > 0):
            at = _root(lambda u: claim.margin(value(u)), low, high, before, after)
            found.append((at, value(at), after > 0))
    return found


def refitted(problem: Problem, claim: Claim, settings: Settings) -> float:
    """The claim's quantity in a fit of its own."""
    alone = Settings(settings.engine, False, settings.sampler, settings.interval)
    (fit,) = fit_many([problem], alone)
    return quantities_of(fit, [claim.quantity], alone)[0]


def _turn(
    claim: Claim,
    left: tuple[float, float],
    middle: tuple[float, float],
    right: tuple[float, float],
    value: Callable[[float], float],
) -> tuple[float, float] | None:
    """A point between three on one side of the number that lies on its other side, if there is one.

    Looked for only where the middle is nearest to the number of the three.
    """
    from scipy.optimize import minimize_scalar

    side = 1.0 if middle[1] > 0 else -1.0
    distances = [side * margin for _, margin in (left, middle, right)]
    turns = min(distances) > 0 and distances[1] <= min(distances[0], distances[2])
    # A parabola's vertex is never more than an eighth of the rise below the nearest point; what is
    # no parabola is given ten times that.
    rise = max(distances[0], distances[2]) - distances[1]
    if not turns or not math.isfinite(rise) or distances[1] > 10 * rise / 8:
        return None
    best = minimize_scalar(
        lambda u: side * claim.margin(value(u)),
        bounds=(left[0], right[0]),
        method="bounded",
        options={"xatol": 1e-9 * max(1.0, abs(right[0] - left[0]))},
    )
    if not best.fun < 0:
        return None
    return float(best.x), side * float(best.fun)


def _root(
    margin: Callable[[float], float], low: float, high: float, before: float, after: float
) -> float:
    """Where a margin crosses 0 between two points, ``before`` and ``after`` being those there."""
    from scipy.optimize import brentq

    # The ends keep the values that told them apart; infinite Bayes factors are far on their side.
    known = {low: before, high: after}

    def finite(u: float) -> float:
        return min(max(known[u] if u in known else margin(u), -1e300), 1e300)

    return float(brentq(finite, low, high, xtol=1e-15, rtol=1e-14))


def sentence(found: Tipping, prior_set: str, prior: Prior) -> str:
    """What was found, in words. ``prior`` is that of the parameter that was varied, as it is.

    Of a weight of selection: ``strength.strength_sentence``.
    """
    claim, over = found.claim, found.over
    name, low, high = str(over.argument), over.values[0], over.values[-1]
    shape = re.sub(rf"\b{over.argument.name}=[^,)]+", f"{over.argument.name}=…", str(prior))
    own = f"{prior_set} has {name} = {found.at:.4g}, where {claim.quantity} is {said(found.own)}"
    if not low <= found.at <= high:
        own += ", outside the range"
    given = f"With {over.argument.parameter} ~ {shape}"
    if not found.crossings:
        least, most = said(float(found.scan.min())), said(float(found.scan.max()))
        always = claim.holds(float(found.scan[0]))
        return (
            f"{given}, {claim} {'holds everywhere' if always else 'never holds'} from {name} = "
            f"{low:.4g} to {high:.4g}: {claim.quantity} lies between {least} and {most}; {own}."
        )
    parts = stretches(found)
    if len(found.crossings) == 1:
        return f"{given}, {claim} {parts[0]} and {parts[1]}; {own}."
    nearest = found.nearest
    assert nearest is not None
    verb = "fails" if found.holds else "holds"
    return (
        f"{given}, {claim} changes {len(found.crossings)} times: it {'; '.join(parts)}. {own}; "
        f"the smallest change after which it {verb} is to {nearest.at:.4g}."
    )


def said(value: float) -> str:
    """A quantity in a sentence."""
    if math.isinf(value):
        return "more than a computer's numbers"
    return (
        f"{value:z.4f}" if abs(value) < 1000 else f"{value:,.0f}" if value < 1e6 else f"{value:.3g}"
    )


def stretches(found: Tipping) -> list[str]:
    """From the left of the range to its right: where the claim holds and where it fails."""
    name = str(found.over.argument)
    ends = [crossing.at for crossing in found.crossings]
    states = [not found.crossings[0].holds_above, *(c.holds_above for c in found.crossings)]
    words = []
    for index, state in enumerate(states):
        verb = "holds" if state else "fails"
        if index == 0:
            words.append(f"{verb} when {name} < {ends[0]:.4g}")
        elif index == len(ends):
            words.append(f"{verb} above {ends[-1]:.4g}")
        else:
            words.append(f"{verb} from {ends[index - 1]:.4g} to {ends[index]:.4g}")
    return words
