"""An ensemble as a function of arguments of its priors: which prior, asked of all members at once.

Every member whose prior has the argument takes each value; the others (mu = 0, say) are what they
are and are fitted once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metarho.compare.ensemble import (
    COMPONENTS,
    Bias,
    Ensemble,
    Main,
    Member,
    bias_of,
    ensemble_of,
)
from metarho.compare.quantities import factor_of
from metarho.compare.surface import (
    Surface,
    Varied,
    check_arguments,
    checked,
    place_of,
    varied,
)
from metarho.compare.surface import spread_out as spread_out_one
from metarho.compare.tipping import Tipping, scanned
from metarho.engines.problem import Problem, misplaced
from metarho.errors import InputError, did_you_mean
from metarho.fitting import Settings, choose, fit_many
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.spec.analysis import Engine
from metarho.spec.claims import Claim, Quantity
from metarho.spec.weight_arguments import Argument, WeightArgument

# Points of a curve, steps of 26% over two decades, and of each side of a surface: every one is a
# fit of most members.
POINTS = {1: 21, 2: 5}
# Where a member is sampled, each takes a minute.
SAMPLED_POINTS = 4

INCLUSION: Mapping[str, str] = {
    "bf_effect": "effect",
    "bf_heterogeneity": "heterogeneity",
    "bf_bias": "bias",
}
"""What an ensemble is for: inclusion Bayes factors, each of a component."""

# What each number is read from.
_READ: Mapping[str, tuple[Main, str]] = {
    "rho_median": ("mean", "median"),
    "lower": ("mean", "lower"),
    "upper": ("mean", "upper"),
    "new_lower": ("new", "lower"),
    "new_upper": ("new", "upper"),
    "tau": ("tau", "median"),
}


@dataclass(frozen=True)
class Candidate:
    """A member before it is fitted: its model, what it has, its probability, its problem."""

    model: str
    effect: bool
    heterogeneity: bool
    prior: float
    problem: Problem
    engine: Engine

    @property
    def bias(self) -> Bias:
        """The kind of bias it has."""
        return bias_of(self.problem.model)

    def member(self, fit: Fit) -> Member:
        """The member that a fit makes of it."""
        return Member(self.model, self.effect, self.heterogeneity, self.prior, fit)

    def has(self, argument: Argument) -> bool:
        """Whether it has the parameter, and has it free."""
        priors = self.problem.priors
        return argument.parameter in priors and not priors[argument.parameter].prior.is_point

    def under(self, changes: Mapping[Argument, float]) -> Candidate:
        """The same with other values of the arguments that it has."""
        own = {argument: value for argument, value in changes.items() if self.has(argument)}
        if not own:
            return self
        problem = varied(self.problem, own)
        if reason := misplaced(problem):
            raise InputError(reason)
        return replace(self, problem=problem)


def is_sampled(candidates: Sequence[Candidate]) -> bool:
    """Whether the evidence of a member comes from draws."""
    return any(choose(one.problem, one.engine)[0] != "exact" for one in candidates)


def spread_out(
    candidates: Sequence[Candidate],
    argument: Argument,
    start: float | None,
    end: float | None,
    count: int,
) -> Varied:
    """``count`` values of an argument, as ``surface.spread_out``, of all members that have it.

    Raises InputError where none has it, a member's prior has no such argument or cannot take the
    values, or members differ in it.
    """
    holders = holders_of(candidates, argument)
    found = [spread_out_one(one.problem, argument, start, end, count) for one in holders]
    own = {argument.of(one.problem.prior(argument.parameter)) for one in holders}
    if len(own) > 1 or len({one.is_scale for one in found}) > 1:
        values = ", ".join(f"{value:g}" for value in sorted(own))
        raise InputError(
            f"{argument}: members differ in it ({values}); vary {argument.parameter}.width, which "
            "makes every member's prior so many times as wide"
        )
    return found[0]


def holders_of(candidates: Sequence[Candidate], argument: Argument) -> list[Candidate]:
    """The members that have what is varied. Raises InputError where none has, or a weight is."""
    if isinstance(argument, WeightArgument):
        raise InputError(
            f"{argument}: an ensemble has models of selection of its own; vary the weight in one "
            "model, without --ensemble"
        )
    holders = [one for one in candidates if one.has(argument)]
    if not holders:
        names = dict.fromkeys(
            name
            for one in candidates
            for name, applied in one.problem.priors.items()
            if not applied.prior.is_point
        )
        raise InputError(
            f"{argument}: no member has a parameter {argument.parameter!r}; "
            f"{did_you_mean(argument.parameter, names)}"
        )
    for one in holders:
        checked(one.problem, argument)
    return holders


def refusal(candidates: Sequence[Candidate], quantity: Quantity) -> str | None:
    """Why an ensemble has no such quantity; None when it has."""
    if quantity.name in INCLUSION:
        has = [COMPONENTS[INCLUSION[quantity.name]](one) for one in candidates]
        if all(has) or not any(has):
            every = "every member has" if all(has) else "no member has"
            return f"{quantity} compares members with and without, and {every} it"
    problem = candidates[0].problem
    if problem.scale == "yi" and quantity.name in ("rho", "rho_new", "rho_median"):
        return f"measure {problem.measure} has no correlations, and {quantity} is one of them"
    return None


def steps(candidates: Sequence[Candidate], over: Sequence[Varied]) -> int:
    """How many fits a surface takes: of members that change one a combination, of others one."""
    moved = sum(any(one.has(each.argument) for each in over) for one in candidates)
    combinations = math.prod(len(each.values) for each in over)
    return moved * (combinations + 1) + len(candidates) - moved


def ensemble_surface(
    candidates: Sequence[Candidate],
    over: Sequence[Varied],
    quantities: Sequence[Quantity],
    settings: Settings,
) -> Surface:
    """Quantities of an ensemble under every combination of the values of one or two arguments.

    Raises InputError for a quantity that the ensemble does not have.
    """
    check_arguments(over)
    for quantity in quantities:
        if reason := refusal(candidates, quantity):
            raise InputError(f"{quantity}: {reason}")
    combinations: list[Mapping[Argument, float]] = [
        dict(zip([one.argument for one in over], values, strict=True))
        for values in itertools.product(*(one.values.tolist() for one in over))
    ]
    # Member by member, so that priors of one member share what its rows say.
    fits = [_fits(one, [{}, *combinations], settings) for one in candidates]
    ensembles = [
        ensemble_of([one.member(mine[place]) for one, mine in zip(candidates, fits, strict=True)])
        for place in range(len(combinations) + 1)
    ]
    numbers = np.array([_numbers(one, quantities, settings.interval.prob) for one in ensembles])
    statuses = tuple(
        "not reportable" if any(m.fit.status == "not reportable" for m in one.members) else "ok"
        for one in ensembles[1:]
    )
    errors = [member.fit.quad_err for one in ensembles for member in one.members]
    return Surface(
        tuple(over),
        tuple(quantities),
        numbers[1:].reshape(*(len(one.values) for one in over), len(quantities)),
        numbers[0],
        tuple(_own(candidates, one.argument) for one in over),
        statuses,
        None if None in errors else max(error for error in errors if error is not None),
    )


def ensemble_tipping(
    candidates: Sequence[Candidate], claim: Claim, over: Varied, settings: Settings
) -> Tipping:
    """Where a claim about an ensemble changes as an argument of its priors moves.

    Raises InputError as ``ensemble_surface``, and where a member is sampled.
    """
    check_exact(candidates, claim)
    found = ensemble_surface(candidates, [over], [claim.quantity], settings)
    quiet = replace(settings, announce=lambda event, problem: None)
    still = {
        index: _fits(one, [{}], quiet)[0]
        for index, one in enumerate(candidates)
        if not one.has(over.argument)
    }

    def value(x: float) -> float:
        members = [
            one.member(
                still[index] if index in still else _fits(one, [{over.argument: x}], quiet)[0]
            )
            for index, one in enumerate(candidates)
        ]
        ensemble = ensemble_of(members)
        return _numbers(ensemble, [claim.quantity], settings.interval.prob)[0]

    return scanned(claim, found, value)


def check_exact(candidates: Sequence[Candidate], claim: Claim) -> None:
    """Raises InputError for a claim that has no tipping point that could be found."""
    if reason := refusal(candidates, claim.quantity):
        raise InputError(f"{claim}: {reason}")
    for one in candidates:
        if choose(one.problem, one.engine)[0] != "exact":
            raise InputError(
                f"model {one.model} is sampled here, and a tipping point asks for more digits than "
                "draws have; leave it out of the ensemble, or use metarho sensitivity --ensemble"
            )


def place_in(
    candidates: Sequence[Candidate], others: Sequence[Candidate], arguments: Sequence[Argument]
) -> tuple[float, ...] | None:
    """Where another prior set's ensemble lies on the surface of one; None when it lies off it.

    It lies on it when each member's priors are the same but for the values of the arguments, and
    those are the same in all.
    """
    found: dict[Argument, set[float]] = {argument: set() for argument in arguments}
    for one, other in zip(candidates, others, strict=True):
        own = [argument for argument in arguments if one.has(argument)]
        place = place_of(one.problem, other.problem, own)
        if place is None:
            return None
        for argument, value in zip(own, place, strict=True):
            found[argument].add(value)
    if any(len(values) != 1 for values in found.values()):
        return None
    return tuple(value for values in found.values() for value in values)


def _fits(
    one: Candidate, changes: Sequence[Mapping[Argument, float]], settings: Settings
) -> list[Fit]:
    """A member's fits under changes; one and the same where it has nothing that changes."""
    own = replace(settings, engine=one.engine, agreement=False)
    moved = [one.under(change) for change in changes]
    if all(other is one for other in moved):
        (fit,) = fit_many([one.problem], own)
        return [fit] * len(changes)
    return fit_many([other.problem for other in moved], own)


def _own(candidates: Sequence[Candidate], argument: Argument) -> float:
    return argument.of(holders_of(candidates, argument)[0].problem.prior(argument.parameter))


def _numbers(ensemble: Ensemble, quantities: Sequence[Quantity], prob: float) -> list[float]:
    """Quantities of an ensemble; NaN where there is none."""
    components = {one.name: one for one in ensemble.components}
    ends: dict[Main, Summary] = {}

    def summary(what: Main) -> Summary:
        if what not in ends:
            ends[what] = ensemble.summary_of(what, prob)
        return ends[what]

    numbers = []
    for quantity in quantities:
        name = quantity.name
        if name in INCLUSION:
            value: float | None = factor_of(components[INCLUSION[name]].log_bf)
        elif name == "log_evidence":
            value = ensemble.log_evidence
        elif quantity.threshold is not None:
            value = ensemble.above("mean" if name == "rho" else "new", quantity.threshold)
        else:
            what, part = _READ[name]
            value = getattr(summary(what), part)
        numbers.append(math.nan if value is None else value)
    return numbers
