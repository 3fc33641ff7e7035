"""Assurance of one cell of a plan: what further studies of which size would settle, as rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.batch.plan import Cell, Plan
from metarho.batch.run import settings_of
from metarho.batch.sensitivity import Announce
from metarho.compare.quantities import Way, way
from metarho.compare.rows import Row, Value
from metarho.engines.problem import Problem
from metarho.errors import InputError, did_you_mean, shown
from metarho.predict.assurance import (
    FEWEST_PEOPLE,
    MOST_PEOPLE,
    Goal,
    Outlook,
    Smallest,
    check_assurance,
    check_studies,
    outlook,
    own_value,
    prospect,
    smallest,
)
from metarho.predict.futures import Further
from metarho.spec.claims import parse_claim
from metarho.spec.moderator_settings import parse_moderators

type Array = NDArray[np.float64]

TABLE = "assurance.csv"
# From a small trial to a large one, in steps of an eighth; fewer where a size takes seconds.
START, END = 20.0, 2000.0
SIZES: Mapping[Way, int] = {"at once": 40, "one by one": 12, "slow": 12, "sampled": 0}
MOST_SIZES = 200
MOST_STUDIES = 100
FEWEST_FUTURES, MOST_FUTURES = 200, 100_000


@dataclass(frozen=True)
class Asked:
    """What a user asks: texts as on the command line, None for what is left to defaults.

    ``about_profile`` asks about the mean at the new studies' moderators, not at the headline's.
    """

    claims: tuple[str, ...] = ()
    width: float | None = None
    ni: str | None = None
    start: float | None = None
    end: float | None = None
    studies: str = "1"
    moderators: tuple[str, ...] = ()
    probability: float = 0.8
    futures: int = 2000
    about_profile: bool = False


@dataclass(frozen=True)
class Question:
    """What will be computed of a cell, all of it checked.

    ``row`` is the design's row of the further studies, ``about`` that of the mean asked about.
    """

    cell: Cell
    goals: tuple[Goal, ...]
    sizes: tuple[float, ...]
    studies: tuple[int, ...]
    profile: str
    at_profile: bool
    row: Array
    about: Array
    probability: float
    futures: int

    @property
    def steps(self) -> int:
        """How many a progress bar shows."""
        return len(self.studies) * (len(self.sizes) + 2)


@dataclass(frozen=True)
class Assured:
    """What was found, for every number of studies in order.

    ``curves`` are over the question's sizes, ``limits`` those of endless studies, ``smallest`` by
    goal the fewest people. ``own`` are the goals' numbers today, ``width`` that of
    the interval. ``status`` says whether today's posterior can be reported.
    """

    cell: Cell
    question: Question
    own: tuple[float, ...]
    curves: tuple[tuple[Outlook, ...], ...]
    limits: tuple[Outlook, ...]
    smallest: tuple[tuple[Smallest, ...], ...]
    width: float
    status: str
    rows: tuple[Row, ...]
    sentences: tuple[str, ...]


def question(plan: Plan, cell: Cell, asked: Asked) -> Question:
    """What is asked, with what was left to defaults. Nothing is computed.

    Raises InputError for anything asked that the cell does not have.
    """
    problem, settings = cell.problem, settings_of(plan)
    goals = _goals(asked)
    check_assurance(problem, goals, settings)
    studies = _numbers_of_studies(asked.studies)
    sizes = _sizes(asked, studies, SIZES[way(problem, settings)])
    for count in studies:
        for size in sizes:
            check_studies(size, count)
    if not 0 < asked.probability < 1:
        raise InputError(f"--probability lies between 0 and 1, not {asked.probability:g}")
    if not FEWEST_FUTURES <= asked.futures <= MOST_FUTURES:
        raise InputError(
            f"--futures is a number from {FEWEST_FUTURES:,} to {MOST_FUTURES:,}, not "
            f"{asked.futures:,}"
        )
    moderators = _moderators(problem, asked.moderators)
    row = problem.design.encode(moderators)
    profile = ", ".join(f"{name}={value}" for name, value in moderators.items())
    about = row if asked.about_profile else problem.design.average
    return Question(
        cell,
        goals,
        sizes,
        studies,
        profile,
        asked.about_profile,
        row,
        about,
        asked.probability,
        asked.futures,
    )


def assure(plan: Plan, asked: Question, announce: Announce) -> Assured:
    """The curves, their limits and the fewest people. Writes nothing."""
    settings = replace(settings_of(plan), agreement=False, store=None)
    problem, goals = asked.cell.problem, asked.goals
    announce("looking ahead", problem)
    seen = prospect(
        problem, asked.row, asked.about, goals, settings, asked.futures, max(asked.studies)
    )

    def at(ni: float, studies: int) -> Outlook:
        found = outlook(seen, Further(ni, studies), goals)
        announce("fitted", problem)
        return found

    def fewest(studies: int) -> tuple[Smallest, ...]:
        found = smallest(seen, goals, studies, asked.probability)
        announce("fitted", problem)
        return found

    own = tuple(own_value(seen, goal) for goal in goals)
    curves = tuple(tuple(at(ni, count) for ni in asked.sizes) for count in asked.studies)
    limits = tuple(at(seen.endless * count, count) for count in asked.studies)
    needed = tuple(fewest(count) for count in asked.studies)
    width = own_value(seen, Goal(width=1.0))
    found = Assured(asked.cell, asked, own, curves, limits, needed, width, seen.status, (), ())
    return replace(found, rows=tuple(_rows(found)), sentences=tuple(_sentences(found)))


def holds(goal: Goal, own: float) -> bool:
    """Whether a goal is reached by a value of its quantity."""
    if goal.claim is not None:
        return goal.claim.holds(own)
    assert goal.width is not None
    return own < goal.width


def named(count: int) -> str:
    """So many further studies in words."""
    return "one further study" if count == 1 else f"{count} further studies"


def _goals(asked: Asked) -> tuple[Goal, ...]:
    goals = [Goal(claim=parse_claim(text)) for text in dict.fromkeys(asked.claims)]
    if asked.width is not None:
        if not 0 < asked.width < 2:
            raise InputError(f"--width is that of an interval on r, above 0, not {asked.width:g}")
        goals.append(Goal(width=asked.width))
    if not goals:
        raise InputError(
            "say what tomorrow's posterior is to reach: --claim 'P(rho > 0.1) >= 0.95', or "
            "--width 0.15 for an interval of the mean correlation that is narrower"
        )
    return tuple(goals)


def _numbers_of_studies(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    counts = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= 9]
    if len(counts) != len(words) or not all(1 <= count <= MOST_STUDIES for count in counts):
        raise InputError(
            f"--studies {shown(text)}: write numbers from 1 to {MOST_STUDIES} apart by commas, as "
            "1,3"
        )
    return tuple(dict.fromkeys(counts))


def _sizes(asked: Asked, studies: Sequence[int], count: int) -> tuple[float, ...]:
    """Numbers of people: as written, or evenly spread over a range of logarithms."""
    if asked.ni is not None:
        if asked.start is not None or asked.end is not None:
            raise InputError("--ni names the sizes, --from and --to their range; give one of them")
        words = [word.strip() for word in asked.ni.split(",")]
        if not all(word.isascii() and word.isdigit() and len(word) <= 9 for word in words):
            raise InputError(
                f"--ni {shown(asked.ni)}: write numbers of people apart by commas, as 60,180,500"
            )
        if len(words) > MOST_SIZES:
            raise InputError(f"--ni: up to {MOST_SIZES} sizes, not {len(words)}")
        return tuple(sorted({float(word) for word in words}))
    start = max(START, FEWEST_PEOPLE * max(studies)) if asked.start is None else asked.start
    end = max(END, 10 * start) if asked.end is None else asked.end
    for flag, size in (("--from", start), ("--to", end)):
        if not (FEWEST_PEOPLE <= size <= MOST_PEOPLE):
            raise InputError(
                f"{flag} is a number of people, {FEWEST_PEOPLE} to {MOST_PEOPLE:,}, not {size:g}"
            )
    if not start < end:
        raise InputError(f"the range of people from {start:g} to {end:g} is empty")
    spread = np.geomspace(start, end, count).round()
    return tuple(float(size) for size in np.unique(spread))


def _moderators(problem: Problem, texts: Sequence[str]) -> dict[str, str | float]:
    """The new studies' moderators, ``column=value`` each."""
    found = parse_moderators(texts)
    for name in found:
        if name not in problem.moderators:
            raise InputError(
                f"--set: model {problem.model.name} has no moderator {shown(name)}; "
                + did_you_mean(name, problem.moderators)
            )
    return dict(found)


def _rows(found: Assured) -> list[Row]:
    """By number of studies and goal: every size, endless studies, the fewest people."""
    asked, cell = found.question, found.cell
    rows: list[Row] = []
    last = {"status": found.status}
    for index, count in enumerate(asked.studies):
        for place, goal in enumerate(asked.goals):
            head: dict[str, Value] = {
                "model": cell.label,
                "prior": cell.prior_set,
                "intervals": cell.intervals,
                "profile": asked.profile,
                "mean_at": "profile" if asked.at_profile else "average",
                "goal": str(goal),
                "today": found.own[place] if math.isfinite(found.own[place]) else None,
                "studies": count,
            }
            for one in found.curves[index]:
                rows.append(
                    {**head, "what": "size", **_numbers(one, place, one.further.ni), **last}
                )
            rows.append(
                {**head, "what": "limit", **_numbers(found.limits[index], place, None), **last}
            )
            fewest = found.smallest[index][place]
            rows.append(
                {
                    **head,
                    "what": f"fewest for {asked.probability:g}",
                    **dict.fromkeys(_numbers(found.limits[index], place, None)),
                    "ni": fewest.ni,
                    "ni_each": None if fewest.ni is None else fewest.ni / count,
                    "assurance": fewest.at.probability,
                    "mcse": fewest.at.error,
                    **last,
                }
            )
    return rows


def _numbers(one: Outlook, place: int, ni: float | None) -> dict[str, Value]:
    median, above, below = one.bf_mu or (None, None, None)
    chance = one.chances[place]
    low, middle, high = one.medians
    return {
        "ni": ni,
        "ni_each": None if ni is None else one.further.each,
        "assurance": chance.probability,
        "mcse": chance.error,
        "expected_width": one.width,
        "expected_sd": one.sd,
        "expected_mean": one.mean,
        "rho_median_q05": low,
        "rho_median_q50": middle,
        "rho_median_q95": high,
        "bf_mu_median": median,
        "P(bf_mu > 3)": above,
        "P(bf_mu < 1/3)": below,
    }


def _sentences(found: Assured) -> list[str]:
    """Goal by goal and number of studies by number, then what studies can teach at all."""
    asked = found.question
    said = []
    for place, (goal, own) in enumerate(zip(asked.goals, found.own, strict=True)):
        quantity = "the interval" if goal.claim is None else str(goal.claim.quantity)
        value = f"{own:.4g} wide" if goal.claim is None else f"{own:.4g}"
        for index, count in enumerate(asked.studies):
            limit = found.limits[index].chances[place].probability
            if holds(goal, own):
                last = found.curves[index][-1]
                said.append(
                    f"{goal} holds today ({quantity} is {value}). After {named(count)} it holds "
                    f"with probability {last.chances[place].probability:.3f} at n = "
                    f"{last.further.ni:,.0f}, {limit:.3f} in the limit of endless n."
                )
                continue
            fewest = found.smallest[index][place]
            if fewest.ni is None:
                best = max(found.curves[index], key=lambda one: one.chances[place].probability)
                most = best.chances[place].probability
                # A large study may find heterogeneity, and unsettle what a smaller one settles.
                peak = f"at most {most:.3f} at n = {best.further.ni:,.0f}, " if most > limit else ""
                said.append(
                    f"{goal} does not hold today ({quantity} is {value}). "
                    f"{named(count).capitalize()}, however large, never "
                    f"{'has' if count == 1 else 'have'} a probability of {asked.probability:g} to "
                    f"reach it: {peak}{limit:.3f} in the limit of endless n."
                )
                continue
            each = "" if count == 1 else f", {fewest.ni // count:,} each"
            said.append(
                f"{goal} does not hold today ({quantity} is {value}). "
                f"{named(count).capitalize()} {'reaches' if count == 1 else 'reach'} it with a "
                f"probability of {asked.probability:g} from n = {fewest.ni:,}{each}; {limit:.3f} "
                "in the limit of endless n."
            )
    left = ", ".join(
        f"{limit.width:.3f} after {named(count)}"
        for count, limit in zip(asked.studies, found.limits, strict=True)
    )
    varies = found.cell.problem.may_vary
    said.append(
        f"What can still be learned: the interval of rho_median is {found.width:.3f} wide today, "
        f"and in the limit of endless n on average {left}."
        + (" The rest is tau: how true effects differ between studies." if varies else "")
    )
    return said
