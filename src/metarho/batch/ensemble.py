"""Ensembles of a plan: one for every prior set, intervals used or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from metarho.batch.plan import Cell, Plan, cell_of
from metarho.batch.run import settings_of
from metarho.batch.tables import five
from metarho.compare.ensemble import (
    ALL,
    Ensemble,
    Estimate,
    Member,
    component_in_words,
    ensemble_of,
    spike_in_words,
)
from metarho.compare.ensemble_surface import (
    INCLUSION,
    POINTS,
    Candidate,
    ensemble_surface,
    refusal,
    spread_out,
    steps,
)
from metarho.compare.families import NARROWEST, WIDEST
from metarho.compare.rows import Row, Value
from metarho.compare.surface import Varied
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError
from metarho.fitting import Settings, choose, fit_many
from metarho.posterior.fit import Fit
from metarho.spec.analysis import Engine
from metarho.spec.claims import Quantity
from metarho.spec.ensemble import EnsembleSpec
from metarho.spec.model import PriorSet
from metarho.spec.prior_arguments import WIDTH, PriorArgument
from metarho.spec.priors import parse_prior

MEMBERS = "ensemble-members.csv"
RANGES = "ensemble-ranges.csv"
# What stands for a model's name where all are asked together.
ENSEMBLE = "ensemble"
COMPONENTS = "ensemble-components.csv"
ESTIMATES = "ensemble-estimates.csv"

_NOTHING = parse_prior("DiracDelta(c=0)")
_WIDTH_OF_MU = PriorArgument("mu", WIDTH)
_INCLUSION = tuple(map(Quantity, INCLUSION))
# What is said in words, and what tables are enough for.
_MAIN, _OF_BIAS = ("effect", "heterogeneity", "bias"), ("omega", "pet", "peese")
# The logs of what a table can print as a number.
_LARGEST = 700.0
_PRESENT = {True: "yes", False: "no"}


@dataclass(frozen=True)
class Asked:
    """A member before it is fitted, and the cell it comes from."""

    cell: Cell
    candidate: Candidate


@dataclass(frozen=True)
class Weighed:
    """The ensemble of one prior set on one reading of the evidence."""

    prior_set: str
    intervals: str
    ensemble: Ensemble


@dataclass(frozen=True)
class Found:
    """The ensemble of one prior set, and its tables. ``sentences`` say what it says."""

    prior_set: str
    intervals: str
    ensemble: Ensemble
    averages: tuple[Estimate, ...]
    components: tuple[Row, ...]
    estimates: tuple[Row, ...]
    members: tuple[Row, ...]
    sentences: tuple[str, ...]
    ranges: tuple[Row, ...] = ()
    """How far inclusion Bayes factors go over the scale of mu's prior, where that was asked."""

    @property
    def probable(self) -> list[Row]:
        """The members, the most probable first."""
        return sorted(self.members, key=lambda row: -float(row["posterior"] or 0.0))


def question(plan: Plan) -> tuple[Asked, ...]:
    """Every member of every ensemble of a plan, encoded; nothing is fitted.

    Raises InputError for a config without an ensemble, and for a model that is none with and
    without an effect, heterogeneity, or has an improper prior.
    """
    spec = plan.analysis.ensemble
    if spec is None:
        raise InputError(
            f"{plan.config} has no ensemble; add the key ensemble: with weights of its models, or "
            "ensemble: {} for equal ones"
        )
    weights = spec.of_models(plan.analysis.models)
    found = []
    for cell in plan.cells:
        _check(cell, spec)
        for effect, heterogeneity, share in _kinds(spec):
            nulls = _nulls(cell, effect, heterogeneity)
            problem = _problem(plan, cell, nulls) if nulls else cell.problem
            engine = _engine(problem, plan.analysis.engine)
            prior = weights[cell.model] * share
            found.append(
                Asked(cell, Candidate(cell.label, effect, heterogeneity, prior, problem, engine))
            )
    return tuple(found)


def of_cell(asked: Sequence[Asked], prior_set: str, intervals: str) -> tuple[Candidate, ...]:
    """The members of one ensemble: those with a prior set and intervals."""
    where = prior_set, intervals
    return tuple(
        one.candidate for one in asked if (one.cell.prior_set, one.cell.intervals) == where
    )


def ensemble_cell(
    plan: Plan, model: str | None, prior_set: str | None, intervals: str | None
) -> tuple[Cell, tuple[Candidate, ...]]:
    """A cell that stands for an ensemble in headings and rows, and the ensemble's members.

    Raises InputError where a model is named too, and as ``question`` and ``cell_of`` do.
    """
    if model is not None:
        raise InputError("--ensemble asks all models together; leave --model out")
    cell = cell_of(plan, None, prior_set, intervals)
    members = of_cell(question(plan), cell.prior_set, cell.intervals)
    return replace(cell, model=ENSEMBLE), members


def ensembles(
    plan: Plan,
    asked: Sequence[Asked],
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
) -> tuple[Found, ...]:
    """Fit all members, through the store, and average those of each prior set on one evidence."""
    prob = plan.analysis.interval.prob
    weighed = weigh(plan, asked, announce, warn)
    announce("averaging", None)
    return tuple(found_of(one, one.ensemble.estimates(prob), prob) for one in weighed)


def weigh(
    plan: Plan,
    asked: Sequence[Asked],
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
) -> tuple[Weighed, ...]:
    """Fit all members, through the store, and weigh those of each prior set on one evidence."""
    settings = replace(settings_of(plan, announce, warn), agreement=False)
    fits: dict[int, Fit] = {}
    for engine in dict.fromkeys(one.candidate.engine for one in asked):
        here = [index for index, one in enumerate(asked) if one.candidate.engine == engine]
        problems = [asked[index].candidate.problem for index in here]
        fits |= dict(zip(here, fit_many(problems, replace(settings, engine=engine)), strict=True))
    groups: dict[tuple[str, str], list[Member]] = {}
    for index, one in enumerate(asked):
        member = one.candidate.member(fits[index])
        groups.setdefault((one.cell.intervals, one.cell.prior_set), []).append(member)
    return tuple(
        Weighed(prior_set, intervals, ensemble_of(members))
        for (intervals, prior_set), members in groups.items()
    )


def ranges(
    plan: Plan,
    asked: Sequence[Asked],
    found: Sequence[Found],
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
) -> tuple[Found, ...]:
    """The ensembles with how far their inclusion Bayes factors go over the scale of mu's prior.

    From a tenth to ten times as wide, in all members at once: what readers would have found who
    expect less or more.
    """
    settings = settings_of(plan, announce, warn)
    return tuple(replace(one, ranges=tuple(_range_rows(one, asked, settings))) for one in found)


def check_ranges(asked: Sequence[Asked]) -> int:
    """How many fits the ranges take.

    Raises InputError where mu's prior has no scale, or no members with and without are compared.
    """
    total = 0
    for prior_set, intervals in dict.fromkeys(
        (one.cell.prior_set, one.cell.intervals) for one in asked
    ):
        members = of_cell(asked, prior_set, intervals)
        if all(refusal(members, quantity) is not None for quantity in _INCLUSION):
            raise InputError(
                "--ranges is of inclusion Bayes factors, and all members have the same components; "
                "leave --ranges out, or set effect: or heterogeneity: below 1 in ensemble:"
            )
        total += steps(members, [_of_mu(members)])
    return total


def _of_mu(members: Sequence[Candidate]) -> Varied:
    return spread_out(members, _WIDTH_OF_MU, NARROWEST, WIDEST, POINTS[1])


def _range_rows(one: Found, asked: Sequence[Asked], settings: Settings) -> list[Row]:
    members = of_cell(asked, one.prior_set, one.intervals)
    over = _of_mu(members)
    quantities = [q for q in _INCLUSION if refusal(members, q) is None]
    found = ensemble_surface(members, [over], quantities, settings)
    rows: list[Row] = []
    for place, quantity in enumerate(quantities):
        factors = found.of(quantity)
        row: dict[str, Value] = {
            "intervals": one.intervals,
            "priors": one.prior_set,
            "component": INCLUSION[quantity.name],
            "inclusion_bf": _finite(found.own[place]),
        }
        for name, index in (("lowest", int(factors.argmin())), ("highest", int(factors.argmax()))):
            row[f"inclusion_bf_{name}"] = _finite(factors[index])
            row[f"at_{name}"] = float(over.values[index])
        rows.append(row)
    return rows


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _kinds(spec: EnsembleSpec) -> list[tuple[bool, bool, float]]:
    """With an effect, with heterogeneity, and the probability of that before the data."""
    effect = {True: spec.effect, False: 1 - spec.effect}
    heterogeneity = {True: spec.heterogeneity, False: 1 - spec.heterogeneity}
    return [
        (with_effect, varies, p * q)
        for with_effect, p in effect.items()
        for varies, q in heterogeneity.items()
        if p * q > 0
    ]


def _nulls(cell: Cell, effect: bool, heterogeneity: bool) -> PriorSet:
    """The priors that a member has in place of its model's.

    Without heterogeneity the sds of all levels are 0: no two true effects differ.
    """
    none = {} if effect else {"mu": _NOTHING}
    sds = cell.problem.model.level_sds.values()
    return none if heterogeneity else none | dict.fromkeys(sds, _NOTHING)


def _problem(plan: Plan, cell: Cell, nulls: PriorSet) -> Problem:
    """The problem of a cell with other priors. Raises InputError where no engine covers it."""
    own = plan.analysis.priors[cell.prior_set]
    # What a set says of heterogeneity has no use where there is none.
    without = any(name.startswith("tau") for name in nulls)
    kept = {
        name: prior
        for name, prior in own.items()
        if not (without and (name.startswith("tau") or name == "share"))
    }
    model, held = cell.problem.model, nulls
    # Levels on which nothing varies are no levels, and the exact engine covers more without.
    if without and len(model.levels) > 1 and model.effects == "normal":
        model = model.model_copy(update={"random": "none"})
        held = {name: prior for name, prior in nulls.items() if not name.startswith("tau")}
    try:
        problem = encode(
            model,
            plan.studies[cell.intervals],
            {**kept, **held},
            all_rows=plan.studies.get("use"),
        )
        choose(problem, _engine(problem, plan.analysis.engine))
    except InputError as error:
        said = ", ".join(f"{name} ~ {prior}" for name, prior in nulls.items())
        raise InputError(f"model {cell.model} with {said}: {error}") from None
    return problem


def _engine(problem: Problem, engine: Engine) -> Engine:
    """The config's; where all is known nothing is left to sample, and the evidence is a formula."""
    known = all(applied.prior.is_point for applied in problem.priors.values())
    return "auto" if engine == "nuts" and known else engine


def _check(cell: Cell, spec: EnsembleSpec) -> None:
    """Raise InputError where a model cannot be with and without what the ensemble tests."""
    problem, where = cell.problem, f"model {cell.model}, prior set {cell.prior_set}"
    if problem.model.custom is not None:
        raise InputError(
            f"{where}: a custom model does not tell what an effect or heterogeneity is in it; "
            "leave it out of the ensemble"
        )
    if problem.model.columns:
        raise InputError(
            f"{where}: whether there is an effect is asked of one mean, and this model has "
            f"moderators ({', '.join(problem.model.columns)}); leave them out"
        )
    if not problem.model.levels:
        raise InputError(
            f"{where}: it has no heterogeneity, which members without it have not either; name "
            "the model that has it, and heterogeneity: less than 1"
        )
    for name in ("mu", *problem.spreads):
        if problem.prior(name).is_point:
            raise InputError(
                f"{where}: {name} ~ {problem.prior(name)} is held at a value; members without an "
                "effect or heterogeneity are added by ensemble: itself"
            )
    for name, applied in problem.priors.items():
        if not applied.prior.proper:
            raise InputError(
                f"{where}: {name} ~ {applied.prior} is improper, so that the evidence is not "
                "known; an ensemble needs proper priors"
            )
    if spec.heterogeneity < 1 and problem.prior("mu").on == "mu/tau":
        raise InputError(
            f"{where}: mu ~ {problem.prior('mu')} is in units of tau, which is 0 in some members; "
            "give mu a prior of its own, or set heterogeneity: 1"
        )


def found_of(weighed: Weighed, estimates: Sequence[Estimate], prob: float) -> Found:
    """The tables and sentences of an ensemble whose ``estimates`` with intervals are known."""
    ensemble = weighed.ensemble
    head = {"intervals": weighed.intervals, "priors": weighed.prior_set}
    return Found(
        weighed.prior_set,
        weighed.intervals,
        ensemble,
        tuple(estimates),
        tuple(_component_rows(head, ensemble)),
        tuple(_estimate_row(head, ensemble, one, prob) for one in estimates),
        tuple(_member_rows(head, ensemble)),
        tuple(_sentences(ensemble, estimates)),
    )


def _component_rows(head: Mapping[str, str], ensemble: Ensemble) -> list[Row]:
    return [
        {
            **head,
            "component": one.name,
            "members": one.members,
            "prior": one.prior,
            "posterior": one.posterior,
            "inclusion_bf": math.exp(one.log_bf) if abs(one.log_bf) < _LARGEST else None,
            "log_inclusion_bf": one.log_bf,
            "log_inclusion_bf_mcse": one.mcse,
        }
        for one in ensemble.components
    ]


def _estimate_row(head: Mapping[str, str], ensemble: Ensemble, one: Estimate, prob: float) -> Row:
    problem = ensemble.members[0].fit.problem
    scales = {"rho": problem.r_label, "rho_new": problem.r_label, "omega": "share", "pet": "slope"}
    base = one.quantity.partition("[")[0].replace("peese", "pet")
    return {
        **head,
        "quantity": one.quantity,
        "over": one.over,
        "members": one.members,
        "probability": one.probable,
        "scale": scales.get(base, problem.scale_label),
        **five(one.summary),
        "prob": prob,
        "kind": "eti",
        "spike_at": one.at,
        "spike": one.spike,
    }


def _member_rows(head: Mapping[str, str], ensemble: Ensemble) -> list[Row]:
    errors = ensemble.probability_errors.tolist() if ensemble.is_sampled else None
    return [
        {
            **head,
            "model": one.model,
            "bias": one.bias,
            "effect": _PRESENT[one.effect],
            "heterogeneity": _PRESENT[one.heterogeneity],
            "prior": one.prior,
            "posterior": posterior,
            "posterior_mcse": None if errors is None else errors[index],
            "log_evidence": one.fit.log_evidence,
            "log_evidence_mcse": one.fit.log_evidence_mcse,
            "evidence_by": "integration" if one.fit.engine == "exact" else "bridge sampling",
            "engine": one.fit.engine,
            "status": one.fit.status,
        }
        for index, (one, posterior) in enumerate(
            zip(ensemble.members, ensemble.probabilities.tolist(), strict=True)
        )
    ]


def _sentences(ensemble: Ensemble, estimates: Sequence[Estimate]) -> list[str]:
    """What it says of an effect, heterogeneity and bias, and the spikes of what is estimated."""
    found = [component_in_words(one) for one in ensemble.components if one.name in _MAIN]
    given = {one.quantity: one for one in estimates if one.over != ALL}
    for one in estimates:
        if one.over == ALL and one.quantity.partition("[")[0] not in _OF_BIAS:
            said = spike_in_words(one, given.get(one.quantity))
            found += [] if said is None else [said]
    return found
