"""Sensitivity of one cell of a plan: which cell, over what range, as rows of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from metarho.batch.ensemble import of_cell
from metarho.batch.ensemble import question as members_of
from metarho.batch.plan import Cell, Plan
from metarho.batch.run import settings_of
from metarho.compare.ensemble_surface import (
    INCLUSION,
    SAMPLED_POINTS,
    Candidate,
    ensemble_surface,
    holders_of,
    is_sampled,
    place_in,
)
from metarho.compare.ensemble_surface import POINTS as ENSEMBLE_POINTS
from metarho.compare.ensemble_surface import refusal as ensemble_refusal
from metarho.compare.ensemble_surface import spread_out as spread_out_in
from metarho.compare.ensemble_surface import steps as ensemble_steps
from metarho.compare.matched import FAMILIES, Match, Matched, matched
from metarho.compare.matched import POINTS as MATCHED_POINTS
from metarho.compare.quantities import refusal, steps
from metarho.compare.rows import Row, Value
from metarho.compare.selected import selectable, weights_in
from metarho.compare.surface import (
    Surface,
    Varied,
    check_arguments,
    check_quantities,
    checked,
    default_points,
    place_of,
    spread_out,
    surface,
)
from metarho.engines.problem import Problem
from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.claims import Quantity, parse_quantities
from metarho.spec.prior_arguments import (
    WIDTH,
    PriorArgument,
    default_argument,
    parse_argument,
)
from metarho.spec.scaling import has_scale
from metarho.spec.weight_arguments import Argument, parse_varied

TABLE = "sensitivity.csv"

type Announce = Callable[[str, Problem | None], None]


@dataclass(frozen=True)
class Sensitivity:
    """What was found of a cell, as rows; ``places`` has the prior sets that lie on the surface.

    ``off`` names those that do not, for another family or other arguments. ``found`` is a surface
    or curve, or matched families.
    """

    cell: Cell
    found: Surface | Matched
    places: Mapping[str, tuple[float, ...]]
    off: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def problem(self) -> Problem:
        """What was fitted: the cell's problem, selected where a weight of selection was varied."""
        return selectable(self.cell.problem, [one.argument for one in _over(self.found)])


@dataclass(frozen=True)
class Asked:
    """What a user asks: texts as on the command line, None for what is left to defaults."""

    over: str | None = None
    quantities: tuple[str, ...] = ()
    match: Match | None = None
    start: str | None = None
    end: str | None = None
    points: int | None = None
    members: tuple[Candidate, ...] = ()
    """Of an ensemble that is asked instead of a model."""


@dataclass(frozen=True)
class Question:
    """What will be computed of a cell, all of it checked, and in how many ``steps``.

    With ``match`` the one argument is the width of a prior whose family is exchanged.
    """

    cell: Cell
    over: tuple[Varied, ...]
    quantities: tuple[Quantity, ...]
    match: Match | None
    steps: int
    members: tuple[Candidate, ...] = ()
    """Of an ensemble that is asked instead of the cell's model."""

    @property
    def problem(self) -> Problem:
        """What is fitted: the cell's problem, selected where a weight of selection is varied."""
        return selectable(self.cell.problem, [one.argument for one in self.over])


def question(plan: Plan, cell: Cell, asked: Asked) -> Question:
    """What is asked, with everything that was left to defaults. Nothing is computed.

    Raises InputError for anything asked that the cell does not have.
    """
    if asked.members:
        return _of_ensemble(plan, cell, asked)
    settings = settings_of(plan)
    if asked.match is not None:
        arguments: list[Argument] = [_matched_width(cell, asked.over)]
    else:
        arguments = arguments_of(cell.problem, asked.over)
    problem = selectable(cell.problem, arguments)
    if asked.match is not None:
        # The model's own family beside the others, of which it may be one.
        count, families = asked.points or MATCHED_POINTS, len(FAMILIES) + 1
    else:
        count, families = asked.points or default_points(problem, arguments, settings), 1
    quantities = quantities_asked(plan, cell, asked.quantities, arguments)
    check_quantities(problem, quantities)
    own = [argument.of(problem.prior(argument.parameter)) for argument in arguments]
    over = _ranges(asked, arguments, own, partial(spread_out, problem, count=count))
    check_arguments(over)
    fits = families * math.prod(len(one.values) for one in over) + 1
    return Question(cell, over, quantities, asked.match, fits * steps(problem, settings))


def _of_ensemble(plan: Plan, cell: Cell, asked: Asked) -> Question:
    """The same of an ensemble: by default over mu's scale, and its inclusion Bayes factors."""
    members = asked.members
    if asked.match is not None:
        raise InputError("--match compares priors of one model; leave --ensemble out")
    if asked.over is None:
        # By its own name where all members mean the same by it.
        priors = {one.problem.prior("mu") for one in members if one.effect}
        own_name = default_argument("mu", next(iter(priors)))
        arguments: list[Argument] = [own_name if len(priors) == 1 else PriorArgument("mu", WIDTH)]
    else:
        arguments = [parse_varied(word) for word in asked.over.split(",")]
    # What multiples of the prior's own value are of, and ends are checked with.
    holders = [holders_of(members, argument)[0].problem for argument in arguments]
    count = asked.points or (
        SAMPLED_POINTS if is_sampled(members) else ENSEMBLE_POINTS[min(len(arguments), 2)]
    )
    own = [a.of(p.prior(a.parameter)) for a, p in zip(arguments, holders, strict=True)]
    over = _ranges(asked, arguments, own, partial(spread_out_in, members, count=count))
    check_arguments(over)
    texts = asked.quantities or tuple(
        name for name in INCLUSION if ensemble_refusal(members, Quantity(name)) is None
    )
    if not texts:
        raise InputError(
            "all members have the same components, and there is no inclusion Bayes factor; name "
            "other quantities, such as rho_median, or set effect: or heterogeneity: below 1"
        )
    quantities = parse_quantities(texts, of_ensemble=True)
    for quantity in quantities:
        if reason := ensemble_refusal(members, quantity):
            raise InputError(f"{quantity}: {reason}")
    return Question(cell, over, quantities, None, ensemble_steps(members, over), members)


def _ranges(
    asked: Asked,
    arguments: Sequence[Argument],
    own: Sequence[float],
    spread: Callable[[Argument, float | None, float | None], Varied],
) -> tuple[Varied, ...]:
    """The values of each argument between the ends that are asked for."""
    starts, ends = (
        ends_of(text, arguments, own, flag)
        for text, flag in ((asked.start, "--from"), (asked.end, "--to"))
    )
    return tuple(map(spread, arguments, starts, ends))


def sensitivity(
    plan: Plan, asked: Question, announce: Announce, warn: Callable[[str], None]
) -> Sensitivity:
    """Quantities of a cell over arguments of its priors. Writes only to the store."""
    settings = replace(settings_of(plan, announce, warn), agreement=False)
    cell, over = asked.cell, asked.over
    if asked.members:
        found = ensemble_surface(asked.members, over, asked.quantities, settings)
        return of_ensemble(plan, cell, asked.members, found)
    if asked.match is not None:
        (width,) = over
        families = matched(
            cell.problem,
            width.argument.parameter,
            asked.match,
            width.values.tolist(),
            asked.quantities,
            settings,
        )
        return Sensitivity(cell, families, {}, (), tuple(_matched_rows(cell, families)))
    return of_surface(plan, cell, surface(asked.problem, over, asked.quantities, settings))


def of_ensemble(
    plan: Plan, cell: Cell, members: Sequence[Candidate], found: Surface
) -> Sensitivity:
    """A surface of an ensemble with its rows, and the plan's prior sets on it or off it."""
    arguments = [one.argument for one in found.over]
    asked = members_of(plan)
    peers = {
        name: place_in(members, of_cell(asked, name, cell.intervals), arguments)
        for name in plan.analysis.priors
    }
    return _found(cell, found, peers)


def of_surface(plan: Plan, cell: Cell, found: Surface) -> Sensitivity:
    """A surface of a cell with its rows, and the plan's prior sets on it or off it."""
    arguments = [one.argument for one in found.over]
    problem = selectable(cell.problem, arguments)
    peers = {
        c.prior_set: place_of(problem, selectable(c.problem, arguments), arguments)
        for c in plan.cells
        if (c.model, c.intervals) == (cell.model, cell.intervals)
    }
    return _found(cell, found, peers)


def _found(
    cell: Cell, found: Surface, peers: Mapping[str, tuple[float, ...] | None]
) -> Sensitivity:
    return Sensitivity(
        cell,
        found,
        {name: place for name, place in peers.items() if place is not None},
        tuple(name for name, place in peers.items() if place is None),
        tuple(_surface_rows(cell, found)),
    )


def arguments_of(problem: Problem, over: str | None) -> list[Argument]:
    """What is varied: by default the scales of mu's and of heterogeneity's prior.

    Raises InputError for what the problem, selected where a weight is varied, does not have.
    """
    if over is None:
        names = [n for n in ("mu", *problem.spreads[:1]) if has_scale(problem.prior(n))]
        if not names:
            raise InputError("no prior here has a scale: say with --over what to vary")
        return [default_argument(name, problem.prior(name)) for name in names]
    arguments = [parse_varied(word) for word in over.split(",")]
    with_weight = selectable(problem, arguments)
    return [checked(with_weight, argument) for argument in arguments]


def ends_of(
    text: str | None, arguments: Sequence[Argument], own: Sequence[float], flag: str
) -> list[float | None]:
    """One end of each argument's range: numbers, or with an x behind them multiples of ``own``.

    Raises InputError for anything else.
    """
    if text is None:
        return [None] * len(arguments)
    words = [word.strip() for word in text.split(",")]
    if len(words) != len(arguments):
        raise InputError(
            f"{flag} {shown(text)}: give {len(arguments)} numbers, one for each of "
            + ", ".join(map(str, arguments))
        )
    found: list[float | None] = []
    for word, value in zip(words, own, strict=True):
        try:
            number = float(word.removesuffix("x"))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise InputError(
                f"{flag} {shown(word)}: write a number, or a multiple of the prior's own value as "
                "0.1x"
            )
        found.append(number * value if word.endswith("x") else number)
    return found


def quantities_asked(
    plan: Plan, cell: Cell, texts: Sequence[str], arguments: Sequence[Argument] = ()
) -> tuple[Quantity, ...]:
    """The quantities that are asked for; without any those that a paper's reader asks after."""
    if texts:
        return parse_quantities(texts)
    if weights_in(arguments):
        # Where the mean is and whether there is one; whether the rows speak against the weight.
        about = "lower,upper" if cell.problem.scale == "yi" else "rho_median,lower,upper,P(rho > 0)"
        wanted = parse_quantities([about, "log_evidence"])
        return tuple(quantity for quantity in wanted if refusal(cell.problem, quantity) is None)
    if cell.problem.scale == "yi":
        return parse_quantities(["lower,upper,new_lower,new_upper"])
    # Where the mean is, whether it is above what matters, where a new study may lie, and whether
    # there is an effect at all.
    above = [t for t in plan.analysis.thresholds.rho if t > 0] or [0.0]
    wanted = parse_quantities([f"rho_median,lower,upper,new_lower,P(rho > {above[0]!r}),bf_mu"])
    return tuple(quantity for quantity in wanted if refusal(cell.problem, quantity) is None)


def _matched_width(cell: Cell, over: str | None) -> PriorArgument:
    """The width of the prior whose family is exchanged: by default that of heterogeneity."""
    problem = cell.problem
    if not problem.spreads:
        raise InputError(f"model {cell.model} has no heterogeneity whose priors could be matched")
    argument = parse_argument(over or f"{problem.spreads[0]}.{WIDTH}")
    if argument.parameter not in problem.spreads or argument.parameter == "share":
        raise InputError(
            f"--match compares priors of an sd of true effects, and {argument.parameter} is none; "
            + did_you_mean(argument.parameter, problem.spreads)
        )
    width = PriorArgument(argument.parameter, WIDTH)
    checked(problem, width)
    return width


def _over(found: Surface | Matched) -> tuple[Varied, ...]:
    return found.over if isinstance(found, Surface) else ()


def _head(cell: Cell) -> dict[str, Value]:
    return {"model": cell.label, "prior": cell.prior_set, "intervals": cell.intervals}


def _surface_rows(cell: Cell, found: Surface) -> list[Row]:
    rows: list[Row] = []
    shape = found.numbers.shape[:-1]
    for number, place in enumerate(np.ndindex(shape)):
        at = {
            str(one.argument): float(one.values[i])
            for one, i in zip(found.over, place, strict=True)
        }
        rows.append(
            {
                **_head(cell),
                **at,
                **_named(found.quantities, found.numbers[place].tolist()),
                "status": found.statuses[number],
            }
        )
    return rows


def _matched_rows(cell: Cell, found: Matched) -> list[Row]:
    rows: list[Row] = []
    for i, family in enumerate(found.families):
        for j, value in enumerate(found.values.tolist()):
            rows.append(
                {
                    **_head(cell),
                    "family": family,
                    f"prior of {found.parameter}": str(found.priors[i][j]),
                    found.match: value,
                    **_named(found.quantities, found.numbers[i, j].tolist()),
                    "status": found.statuses[i * len(found.values) + j],
                }
            )
    return rows


def _named(quantities: Sequence[Quantity], numbers: Sequence[float]) -> dict[str, Value]:
    """Numbers by quantity; None for what is no number."""
    return {
        str(quantity): number if math.isfinite(number) else None
        for quantity, number in zip(quantities, numbers, strict=True)
    }
