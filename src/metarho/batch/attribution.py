"""Which change of the inputs moved an answer: shares that sum to its difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metarho.batch.answers import Asked, answers
from metarho.batch.mixtures import Change, Pair
from metarho.batch.plain_answers import QUANTITIES, Answer
from metarho.compare.rows import Row
from metarho.compare.shapley import MOST_UNITS, shapley
from metarho.errors import FitError, InputError
from metarho.fitting import Settings, fit_many
from metarho.spec.analysis import Interval
from metarho.store.keys import key_of

# What of a difference is no change of the inputs: other packages, or a metarho that computes
# otherwise.
VERSIONS = "versions and engine"


@dataclass(frozen=True)
class Unit:
    """Changes that are made together, under one name."""

    name: str
    changes: frozenset[Change]


@dataclass(frozen=True)
class Share:
    """What a unit moved of each answer; None of one that a run does not have."""

    unit: str
    moved: Mapping[str, float | None]


@dataclass(frozen=True)
class Attribution:
    """The shares of all units. ``note`` says why some changes are taken together, if they are."""

    shares: tuple[Share, ...]
    note: str = ""


def attribution(pair: Pair, old: Answer, new: Answer) -> Attribution:
    """The Shapley value of every unit for every answer, and what versions moved.

    Units are single changes, where there are at most MOST_UNITS and every mixture of them can be
    fitted; else coarser ones (``partitions``). Mixtures are fitted exactly, with what is installed
    now; what the two runs say otherwise of their own inputs is VERSIONS.

    Raises InputError or FitError when not even the two sides can be fitted.
    """
    note = ""
    for units in partitions(pair.changes):
        if len(units) > MOST_UNITS:
            note = f"more than {MOST_UNITS} changes touch this cell, so some are taken together"
            continue
        try:
            values = _values(pair, units)
        except (InputError, FitError) as error:
            if len(units) <= 1:
                raise
            said = str(error).splitlines()[0]
            note = f"changes that depend on one another are taken together ({said})"
            continue
        return Attribution(_shares(units, values, old, new), note)
    raise AssertionError("the last partition has one unit")


def partitions(changes: Sequence[Change]) -> list[list[Unit]]:
    """The changes in ever coarser units, the last of them in one.

    Each on its own; studies together; each group of changes; evidence with its reading, and model
    with priors; all.
    """
    ways: list[Mapping[Change, str]] = [
        {one: name_of(one) for one in changes},
        {one: "evidence" if one[0] == "evidence" else name_of(one) for one in changes},
        {one: one[0] for one in changes},
        {one: _COARSE[one[0]] for one in changes},
        dict.fromkeys(changes, "all changes"),
    ]
    found: list[list[Unit]] = []
    for way in ways:
        names = dict.fromkeys(way.values())
        units = [
            Unit(name, frozenset(one for one, its in way.items() if its == name)) for name in names
        ]
        if not found or len(units) < len(found[-1]):
            found.append(units)
    return found


_COARSE = {
    **dict.fromkeys(("table", "evidence", "reading"), "evidence and reading"),
    **dict.fromkeys(("model", "priors"), "model and priors"),
    "interval": "interval",
}
_WORDS = {"evidence": "study", "reading": "reading:", "model": "model:", "priors": "prior of"}


def name_of(change: Change) -> str:
    """A change as a table prints it."""
    group, name = change
    return f"{_WORDS[group]} {name}" if group in _WORDS else name


def _values(pair: Pair, units: Sequence[Unit]) -> list[Row]:
    """The answers with every set of units switched, in the order of ``shapley``."""
    every = range(1 << len(units))
    made = [
        frozenset[Change]().union(*(u.changes for i, u in enumerate(units) if chosen >> i & 1))
        for chosen in every
    ]
    problems = {changes: pair.problem(changes) for changes in made}
    settings = Settings(engine="exact")
    keys = {c: key_of(problem, "exact", settings.sampler) for c, problem in problems.items()}
    wanted: dict[tuple[str, str], frozenset[Change]] = {}
    intervals: dict[str, Interval] = {}
    place: dict[frozenset[Change], tuple[str, str]] = {}
    for changes in made:
        interval = pair.with_changes(changes).interval
        intervals[repr(interval)] = interval
        place[changes] = (keys[changes], repr(interval))
        wanted.setdefault(place[changes], changes)
    found: dict[tuple[str, str], Row] = {}
    for said, interval in intervals.items():
        mine = {key: changes for key, changes in wanted.items() if key[1] == said}
        at = replace(settings, interval=interval)
        fits = fit_many([problems[changes] for changes in mine.values()], at)
        found |= dict(zip(mine, answers(fits, Asked(()), at), strict=True))
    return [found[place[changes]] for changes in made]


def _shares(
    units: Sequence[Unit], values: Sequence[Row], old: Answer, new: Answer
) -> tuple[Share, ...]:
    moved: dict[str, dict[str, float | None]] = {unit.name: {} for unit in units}
    moved[VERSIONS] = {}
    for quantity in QUANTITIES:
        numbers = [row[quantity] for row in values]
        known = [float(number) for number in numbers if isinstance(number, int | float)]
        before, after = old.numbers[quantity], new.numbers[quantity]
        if len(known) < len(numbers) or before is None or after is None:
            for of_unit in moved.values():
                of_unit[quantity] = None
            continue
        for unit, share in zip(units, shapley(known, len(units)), strict=True):
            moved[unit.name][quantity] = share
        moved[VERSIONS][quantity] = (known[0] - before) + (after - known[-1])
    if not any(moved[VERSIONS].values()):
        del moved[VERSIONS]
    return tuple(Share(unit, shares) for unit, shares in moved.items())
