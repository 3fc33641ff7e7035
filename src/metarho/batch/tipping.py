"""Tipping points of one cell of a plan, and the further study that would flip its claim."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from metarho.batch.plan import Cell, Plan
from metarho.batch.run import settings_of
from metarho.batch.sensitivity import Announce, ends_of
from metarho.compare.adversary import SIZES, Flip, adversary, check_adversary
from metarho.compare.ensemble_surface import POINTS as ENSEMBLE_POINTS
from metarho.compare.ensemble_surface import Candidate, ensemble_tipping, holders_of
from metarho.compare.ensemble_surface import check_exact as check_ensemble
from metarho.compare.ensemble_surface import spread_out as spread_out_in
from metarho.compare.ensemble_surface import steps as ensemble_steps
from metarho.compare.quantities import steps, way
from metarho.compare.rows import Row
from metarho.compare.selected import less_often, selectable
from metarho.compare.strength import log_evidence_ratios, strength_sentence
from metarho.compare.surface import WEIGHT_POINTS, Varied, checked, spread_out
from metarho.compare.tipping import POINTS, Tipping, check_exact, sentence, tipping
from metarho.engines.problem import Problem
from metarho.errors import InputError, shown
from metarho.spec.claims import Claim
from metarho.spec.weight_arguments import Argument, WeightArgument

TABLE = "tipping.csv"


@dataclass(frozen=True)
class Tipped:
    """What was found: the tipping point in words and numbers, and the further studies."""

    cell: Cell
    found: Tipping
    flips: tuple[Flip, ...]
    sentence: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Doubt:
    """A claim and what is moved until it fails, all of it checked; the sizes of further studies."""

    cell: Cell
    claim: Claim
    over: Varied
    sizes: tuple[int, ...]
    steps: int
    """How many a progress bar shows."""
    members: tuple[Candidate, ...] = ()
    """Of an ensemble that the claim is about instead of the cell's model."""

    @property
    def problem(self) -> Problem:
        """What is fitted: the cell's problem, selected where a weight of selection is varied."""
        return selectable(self.cell.problem, [self.over.argument])


def doubt(
    plan: Plan,
    cell: Cell,
    claim: Claim,
    argument: Argument,
    start: str | None,
    end: str | None,
    points: int | None,
    sizes: Sequence[int],
    members: tuple[Candidate, ...] = (),
) -> Doubt:
    """What is asked, with what was left to defaults. Nothing is computed.

    Raises InputError for anything asked that the cell does not have.
    """
    if members:
        return _of_ensemble(cell, members, claim, argument, (start, end), points, sizes)
    settings = settings_of(plan)
    problem = selectable(cell.problem, [argument])
    check_exact(problem, claim, settings)
    checked(problem, argument)
    if sizes:
        check_adversary(cell.problem, sizes)
    low, high = _ends(start, end, argument, problem)
    kind = way(problem, settings)
    is_weight = isinstance(argument, WeightArgument) and kind == "one by one"
    count = points or (WEIGHT_POINTS if is_weight else POINTS[kind])
    over = spread_out(problem, argument, low, high, count)
    each = (count + 1) * steps(problem, settings)
    return Doubt(cell, claim, over, tuple(sizes), each + len(sizes))


def _of_ensemble(
    cell: Cell,
    members: tuple[Candidate, ...],
    claim: Claim,
    argument: Argument,
    ends: tuple[str | None, str | None],
    points: int | None,
    sizes: Sequence[int],
) -> Doubt:
    """The same of a claim about an ensemble."""
    if sizes:
        raise InputError("--adversary is for one model; leave --ensemble out")
    check_ensemble(members, claim)
    low, high = _ends(*ends, argument, holders_of(members, argument)[0].problem)
    over = spread_out_in(members, argument, low, high, points or ENSEMBLE_POINTS[1])
    return Doubt(cell, claim, over, (), ensemble_steps(members, [over]), members)


def _ends(
    start: str | None, end: str | None, argument: Argument, problem: Problem
) -> tuple[float | None, float | None]:
    own = [argument.of(problem.prior(argument.parameter))]
    (low,), (high,) = (
        ends_of(text, [argument], own, flag) for text, flag in ((start, "--from"), (end, "--to"))
    )
    return low, high


def tip(plan: Plan, asked: Doubt, announce: Announce, warn: Callable[[str], None]) -> Tipped:
    """Where a claim of a cell tips; with sizes also the further studies. Writes nothing."""
    settings = replace(settings_of(plan, announce, warn), agreement=False, store=None)
    cell, problem, argument = asked.cell, asked.problem, asked.over.argument
    if asked.members:
        of_all = ensemble_tipping(asked.members, asked.claim, asked.over, settings)
        prior = holders_of(asked.members, argument)[0].problem.prior(argument.parameter)
        said = sentence(of_all, cell.prior_set, prior)
        return Tipped(cell, of_all, (), said, tuple(_rows(cell, of_all, ())))
    found = tipping(problem, asked.claim, asked.over, settings)
    # Without selection, where a weight is varied.
    flips = adversary(cell.problem, asked.claim, asked.sizes, settings) if asked.sizes else []
    if isinstance(argument, WeightArgument):
        at = [crossing.at for crossing in found.crossings]
        quiet = replace(settings, announce=lambda event, problem: None)
        ratios = log_evidence_ratios(problem, argument, at, quiet)
        said = strength_sentence(found, problem, ratios)
        rows = _of_weights(_rows(cell, found, flips), (0.0, *ratios))
    else:
        said = sentence(found, cell.prior_set, problem.prior(argument.parameter))
        rows = _rows(cell, found, flips)
    return Tipped(cell, found, tuple(flips), said, tuple(rows))


def further_sizes(text: str | None) -> tuple[int, ...]:
    """The sizes of further studies: as written, apart by commas, or the default ones.

    Raises InputError for what is no number of people.
    """
    if text is None:
        return SIZES
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) <= 9):
            raise InputError(
                f"--sizes {shown(text)}: write numbers of people apart by commas, as 50,200,1000"
            )
    return tuple(dict.fromkeys(int(word) for word in words))


def _rows(cell: Cell, found: Tipping, flips: Sequence[Flip]) -> list[Row]:
    """The prior as it is, every crossing, and on both sides the further study that flips."""
    claim = found.claim
    head = {
        "model": cell.label,
        "prior": cell.prior_set,
        "intervals": cell.intervals,
        "claim": str(claim),
        "varied": str(found.over.argument),
    }

    def row(what: str, at: float | None, ni: int | None, r: float | None, value: float) -> Row:
        finite = value if math.isfinite(value) else None
        return {**head, "what": what, "at": at, "ni": ni, "r": r, str(claim.quantity): finite}

    is_weight = isinstance(found.over.argument, WeightArgument)
    as_is = "no selection" if is_weight else "prior"
    rows = [row(f"{as_is}, claim {_state(found.holds)}", found.at, None, None, found.own)]
    rows += [
        row(f"claim {_state(c.holds_above)} above", c.at, None, None, c.value)
        for c in found.crossings
    ]
    for flip in flips:
        for side, r, value in zip(("below", "above"), flip.sides, flip.values, strict=True):
            what = f"further study, {side} what is expected"
            rows.append(row(what, None, flip.ni, r, math.nan if value is None else value))
    return rows


def _of_weights(rows: Sequence[Row], log_ratios: Sequence[float | None]) -> list[Row]:
    """The same rows with what weights mean: how often, and what the evidence says of them."""
    found: list[Row] = []
    for index, row in enumerate(rows):
        at = row["at"]
        known = index < len(log_ratios) and isinstance(at, float)
        found.append(
            {
                **row,
                "reported": less_often(at) if isinstance(at, float) else None,
                "log_evidence_ratio": log_ratios[index] if known else None,
            }
        )
    return found


def _state(holds: bool) -> str:
    return "holds" if holds else "fails"
