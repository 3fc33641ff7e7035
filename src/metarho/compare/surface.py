"""Quantities as a function of one or two arguments of priors, or weights: curves and surfaces."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metarho.compare.quantities import Way, refusal, values_of, way
from metarho.compare.selected import weights_in
from metarho.engines.problem import Problem, misplaced
from metarho.errors import InputError, did_you_mean
from metarho.fitting import Settings
from metarho.spec.claims import Quantity
from metarho.spec.weight_arguments import Argument

type Array = NDArray[np.float64]

# Points of a curve, and of each side of a surface. Where thousands cost what a few fits do, 60 a
# side are smooth in print; where a fit takes some tenths of a second, so many that a surface takes
# a minute; where it takes tens of seconds, so few that one takes minutes.
POINTS: Mapping[Way, tuple[int, int]] = {
    "at once": (200, 60),
    "one by one": (40, 10),
    "slow": (9, 4),
    "sampled": (9, 4),
}
# Of a weight of selection, over two decades: steps of 26%, so that 1/2, 1/5 and 1/10 are all but on
# it.
WEIGHT_POINTS = 21
# More would not be seen on a page, and 40,000 mixtures take half a gigabyte.
MOST_POINTS, MOST_CELLS = 1000, 40_000


@dataclass(frozen=True)
class Varied:
    """What is varied and the values it takes (N), increasing."""

    argument: Argument
    values: Array
    is_scale: bool
    """Whether its steps are factors."""


@dataclass(frozen=True)
class Surface:
    """Q quantities over one or two arguments: ``numbers`` (N, Q) or (N, M, Q), NaN for none.

    ``own`` (Q) are those under the priors as they are, which lie at ``at``. ``statuses`` has that
    of every fit; ``error`` is the largest that an integration states, None where sampled.
    """

    over: tuple[Varied, ...]
    quantities: tuple[Quantity, ...]
    numbers: Array
    own: Array
    at: tuple[float, ...]
    statuses: tuple[str, ...]
    error: float | None

    def of(self, quantity: Quantity) -> Array:
        """The numbers of one quantity (N) or (N, M)."""
        return np.asarray(self.numbers[..., self.quantities.index(quantity)])


def varied(problem: Problem, changes: Mapping[Argument, float]) -> Problem:
    """The problem with other values of arguments of its priors.

    Raises InputError for a parameter or argument that is not there, or a value that breaks its
    rules.
    """
    priors = dict(problem.priors)
    for argument, value in changes.items():
        prior = priors[checked(problem, argument).parameter]
        priors[argument.parameter] = replace(prior, prior=argument.put_into(prior.prior, value))
    return replace(problem, priors=priors)


def checked(problem: Problem, argument: Argument) -> Argument:
    """An argument of a prior that the problem has. Raises InputError otherwise."""
    if argument.parameter not in problem.priors:
        raise InputError(
            f"{argument}: the model {problem.model.name!r} has no parameter "
            f"{argument.parameter!r}; {did_you_mean(argument.parameter, problem.priors)}"
        )
    argument.of(problem.prior(argument.parameter))
    return argument


def spread_out(
    problem: Problem,
    argument: Argument,
    start: float | None,
    end: float | None,
    count: int,
) -> Varied:
    """``count`` values of an argument from start to end; None: its default range.

    Values of scales are apart by equal factors, others by equal differences. Raises InputError
    for ends that are no range.
    """
    prior = problem.prior(checked(problem, argument).parameter)
    if start is None or end is None:
        first, last = argument.default_range(prior)
        start, end = first if start is None else start, last if end is None else end
    if not start < end:
        raise InputError(f"{argument}: the range from {start:g} to {end:g} is empty")
    if not 2 <= count <= MOST_POINTS:
        raise InputError(f"{argument}: 2 to {MOST_POINTS} points are allowed, not {count}")
    is_scale = argument.is_scale(prior)
    for value in (start, end):
        argument.put_into(prior, value)
    values = (np.geomspace if is_scale else np.linspace)(start, end, count)
    return Varied(argument, np.asarray(values), is_scale)


def surface(
    problem: Problem,
    over: Sequence[Varied],
    quantities: Sequence[Quantity],
    settings: Settings,
) -> Surface:
    """Quantities under every combination of the values of one or two arguments.

    Raises InputError for a quantity that the model does not have, or priors without meaning.
    """
    check_arguments(over)
    check_quantities(problem, quantities)
    cells = [problem, *_cells(problem, over)]
    found = values_of(cells, quantities, settings)
    shape = (*(len(one.values) for one in over), len(quantities))
    return Surface(
        tuple(over),
        tuple(quantities),
        found.numbers[1:].reshape(shape),
        found.numbers[0],
        tuple(one.argument.of(problem.prior(one.argument.parameter)) for one in over),
        found.statuses[1:],
        found.error,
    )


def check_arguments(over: Sequence[Varied]) -> None:
    """Raises InputError unless one argument is varied, or two different ones, in reach."""
    if not 1 <= len(over) <= 2 or len({one.argument for one in over}) < len(over):
        raise InputError("vary one argument (a curve) or two different ones (a surface)")
    cells = math.prod(len(one.values) for one in over)
    if cells > MOST_CELLS:
        raise InputError(f"a surface has up to {MOST_CELLS:,} cells, not {cells:,}: fewer points")


def check_quantities(problem: Problem, quantities: Sequence[Quantity]) -> None:
    """Raises InputError for a quantity that the model does not have under its priors."""
    for quantity in quantities:
        if reason := refusal(problem, quantity):
            raise InputError(f"{quantity}: {reason}")


def default_points(problem: Problem, arguments: Sequence[Argument], settings: Settings) -> int:
    """Points of a curve (one argument) or of each side of a surface (two)."""
    kind = way(problem, settings)
    curve, side = POINTS[kind]
    if len(arguments) > 1:
        return side
    return WEIGHT_POINTS if weights_in(arguments) and kind == "one by one" else curve


def place_of(
    problem: Problem, other: Problem, arguments: Sequence[Argument]
) -> tuple[float, ...] | None:
    """Where another prior set lies on the surface of a problem; None when it lies off it.

    It lies on it when its priors are those of the problem but for the values of the arguments.
    """
    try:
        values = [argument.of(other.prior(argument.parameter)) for argument in arguments]
        moved = varied(problem, dict(zip(arguments, values, strict=True)))
    except InputError:
        return None
    same = all(moved.prior(name) == other.prior(name) for name in moved.priors)
    return tuple(values) if same else None


def _cells(problem: Problem, over: Sequence[Varied]) -> list[Problem]:
    """The problem at every combination of values, the last argument fastest.

    Each prior is made once, not once a cell.
    """
    parameters = {one.argument.parameter for one in over}
    if len(parameters) < len(over):
        # Two arguments of one prior.
        return [
            _meaningful(varied(problem, dict(zip([o.argument for o in over], values, strict=True))))
            for values in itertools.product(*(one.values.tolist() for one in over))
        ]
    sides = [
        [
            (one.argument.parameter, _meaningful(varied(problem, {one.argument: value})))
            for value in one.values.tolist()
        ]
        for one in over
    ]
    return [
        replace(problem, priors={**problem.priors, **{n: p.priors[n] for n, p in chosen}})
        for chosen in itertools.product(*sides)
    ]


def _meaningful(problem: Problem) -> Problem:
    """The problem; raises InputError when its priors have no meaning together."""
    if reason := misplaced(problem):
        raise InputError(reason)
    return problem


def extremes(numbers: Array) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The places of the least and the largest number of an array; None without any number.

    A Bayes factor beyond a computer's numbers is infinite, and the largest.
    """
    known = ~np.isnan(numbers)
    if not known.any():
        return None
    low = np.where(known, numbers, math.inf)
    high = np.where(known, numbers, -math.inf)
    return (
        tuple(int(i) for i in np.unravel_index(int(low.argmin()), numbers.shape)),
        tuple(int(i) for i in np.unravel_index(int(high.argmax()), numbers.shape)),
    )
