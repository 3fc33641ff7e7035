"""The study that would flip a claim: what r one further study of n people would have to find."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.compare.quantities import Way, way
from metarho.compare.tipping import check_exact, crossings, refitted
from metarho.engines.problem import FURTHER, Problem, problem_with
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.spec.claims import Claim

type Array = NDArray[np.float64]

# From a small trial to a large one.
SIZES = (50, 100, 200, 500, 1000, 2000)
# The scan over r, in z: to ±.9999, in steps of a quarter where a fit takes milliseconds.
_REACH = 5.0
POINTS: Mapping[Way, int] = {"at once": 41, "one by one": 21, "slow": 11, "sampled": 0}

MOST_PEOPLE = 10_000_000


@dataclass(frozen=True)
class Flip:
    """What one further study of ``ni`` people would have to find for the claim to change.

    ``below`` and ``above`` are the correlations nearest to what is expected of it (``expected``),
    on either side; None where no correlation on that side flips the claim. ``values`` are the
    claim's quantity, refitted with the study.
    """

    ni: int
    expected: float
    below: float | None
    above: float | None
    values: tuple[float | None, float | None]

    @property
    def sides(self) -> tuple[float | None, float | None]:
        """``below`` and ``above``."""
        return self.below, self.above


def adversary(
    problem: Problem, claim: Claim, sizes: Sequence[int], settings: Settings
) -> list[Flip]:
    """What one further study would have to find, for each of several sizes.

    Raises InputError where a study is more than r and n: other measures, moderators, true scores;
    and for sampled models.
    """
    check_exact(problem, claim, settings)
    check_adversary(problem, sizes)
    holds, expected = _as_it_is(problem, claim, settings)
    found = []
    for size in sizes:
        found.append(_flip(problem, claim, size, holds, expected, settings))
        settings.announce("fitted", problem)
    return found


def check_adversary(problem: Problem, sizes: Sequence[int]) -> None:
    """Raises InputError where a study is more than r and n, or has no such size."""
    if reason := _no_adversary(problem):
        raise InputError(f"a further study is r and n: {reason}")
    for size in sizes:
        if not 4 <= size <= MOST_PEOPLE:
            raise InputError(f"a further study has 4 to {MOST_PEOPLE:,} people, not {size:,}")


def _no_adversary(problem: Problem) -> str | None:
    if problem.measure not in ("ZCOR", "COR"):
        return f"measure {problem.measure} has neither"
    if problem.moderators:
        return f"model {problem.model.name} asks for {', '.join(sorted(problem.moderators))} too"
    if FURTHER in problem.evidence.study_names:
        return f"the evidence has a study called {FURTHER!r} already"
    return None


def _as_it_is(problem: Problem, claim: Claim, settings: Settings) -> tuple[bool, float]:
    """Whether the claim holds without the study, and the pooled correlation, on z or r."""
    (fit,) = fit_many([problem], Settings(settings.engine, interval=settings.interval))
    median = fit.pooled.median
    assert median is not None
    return claim.holds(refitted(problem, claim, settings)), median


def _flip(
    problem: Problem, claim: Claim, size: int, holds: bool, expected: float, settings: Settings
) -> Flip:
    def value(z: float) -> float:
        return refitted(problem_with(problem, math.tanh(z), size), claim, settings)

    # A mean of COR may lie outside of what correlations are.
    centre = math.atanh(min(max(expected, -math.tanh(_REACH)), math.tanh(_REACH)))
    # Around what is expected, so that both sides begin there.
    points = np.unique(
        np.append(np.linspace(-_REACH, _REACH, POINTS[way(problem, settings)]), centre)
    )
    scan = np.array([value(z) for z in points.tolist()])
    if claim.holds(float(scan[np.searchsorted(points, centre)])) != holds:
        # Even what is expected flips it: the study's mere precision does.
        return Flip(size, expected, expected, expected, (value(centre), value(centre)))
    found = crossings(claim, points, scan, value)
    below = [(z, at) for z, at, _ in found if z < centre]
    above = [(z, at) for z, at, _ in found if z >= centre]
    low, high = (below[-1] if below else None), (above[0] if above else None)
    return Flip(
        size,
        expected,
        None if low is None else math.tanh(low[0]),
        None if high is None else math.tanh(high[0]),
        (None if low is None else low[1], None if high is None else high[1]),
    )
