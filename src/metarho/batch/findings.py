"""What a report says beyond the fits of a run: comparisons, checks and sensitivity of its answer.

The answer is the plan's first cell. What is asked of it here is what is cheap beside a run; the
commands ask more. What takes seconds is kept in the run's folder (``kept.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from metarho.batch import ensemble, kept, ppc
from metarho.batch.compare import Compared, compare
from metarho.batch.plan import Cell, Plan
from metarho.batch.ppc import Checked
from metarho.batch.run import Outcome, settings_of
from metarho.batch.sensitivity import (
    Asked,
    Question,
    Sensitivity,
    of_surface,
    question,
    sensitivity,
)
from metarho.classical.answers import Answers, classical_answers
from metarho.compare.ensemble import Estimate
from metarho.compare.flat_mean import flat_mean, no_triplot
from metarho.compare.left_out import LeftOut, left_out, no_left_out
from metarho.compare.quantities import way
from metarho.compare.surface import Surface
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting import fit_before_data, fit_many, keys_of, no_prior_posterior
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.spec.formulas import columns_of, is_intercept_only
from metarho.spec.scaling import has_scale
from metarho.store.keys import key_of

type Announce = Callable[[str, Problem | None], None]

# Points of each side of the surface: smooth where thousands of fits cost what a few do; where each
# takes some tenths of a second, as many as a run's reader waits for.
POINTS = {"at once": 40, "one by one": 7}


@dataclass(frozen=True)
class Findings:
    """A run, and what was found of its answer; None, with the reason in ``absent``, where nothing.

    ``compared`` has the prior sets of the answer's model and intervals, ``before`` the fit before
    data of each of them that has one. ``flat`` is the answer under a flat prior of the mean,
    ``left_out`` the answer without each study. ``classical`` is what frequentist methods say of the
    rows that printed a number, with the moderators of the answer's model. ``ensembles`` are those
    of the config, one for every prior set and reading of intervals.
    """

    outcome: Outcome
    before: Mapping[str, Fit]
    compared: Compared | None
    sensitivity: Sensitivity | None
    checked: Checked | None
    flat: Fit | None
    left_out: tuple[LeftOut, ...]
    absent: Mapping[str, str]
    classical: Answers | None = None
    ensembles: tuple[ensemble.Found, ...] = ()

    @property
    def plan(self) -> Plan:
        """The plan of the run."""
        return self.outcome.plan

    @property
    def answer(self) -> Fit:
        """The fit of the first cell: the first model with the first prior set."""
        return self.outcome.fits[0]


def find(outcome: Outcome, announce: Announce, warn: Callable[[str], None]) -> Findings:
    """Everything that a report says beyond the run. Writes to the store and to ``report.json``."""
    plan, cell = outcome.plan, outcome.plan.cells[0]
    absent: dict[str, str] = {}
    earlier = kept.read_kept(plan.folder)
    entries: dict[str, kept.Entry] = {}
    compared = surface = checked = None
    if reason := _not_compared(plan):
        absent["which-prior"] = reason
    else:
        entries["compared"] = _compared(plan, earlier, announce, warn)
        compared = _compared_from(entries["compared"].content)
    if reason := _no_surface(plan, cell):
        absent["sensitivity"] = reason
    else:
        asked = question(plan, cell, Asked(points=POINTS[way(cell.problem, settings_of(plan))]))
        entries["surface"] = _surface(plan, asked, earlier, announce, warn)
        surface = of_surface(plan, cell, _surface_from(asked, entries["surface"].content))
    try:
        checked = ppc.check(plan, ppc.question(_own_checks(plan), cell, 0), announce, warn)
    except InputError as error:
        absent["checks"] = error.message
    before = {}
    for one in _peers(plan):
        if reason := no_prior_posterior(one.problem):
            absent[f"implied by {one.prior_set}"] = reason
        else:
            before[one.prior_set] = fit_before_data(one.problem, settings_of(plan))
    ensembles = _ensembles(plan, earlier, entries, absent, announce, warn)
    kept.write_kept(plan.folder, entries)
    return Findings(
        outcome,
        before,
        compared,
        surface,
        checked,
        _flat(plan, cell, absent),
        _left_out(outcome, absent, announce, warn),
        absent,
        classical_of(plan, absent),
        ensembles,
    )


def classical_of(plan: Plan, absent: dict[str, str]) -> Answers | None:
    """Classical answers, without regressions where the moderators cannot be encoded for them."""
    model, prob = plan.cells[0].problem.model, plan.analysis.interval.prob
    mods = None if is_intercept_only(model.mods) else model.mods
    reference = {
        name: level for name, level in model.reference.items() if name in columns_of(model.mods)
    }
    for asked in dict.fromkeys((mods, None)):
        try:
            return classical_answers(plan.evidence, mods=asked, reference=reference, prob=prob)
        except InputError as error:
            absent["classical"] = error.message
    return None


def _ensembles(
    plan: Plan,
    earlier: Mapping[str, kept.Entry],
    entries: dict[str, kept.Entry],
    absent: dict[str, str],
    announce: Announce,
    warn: Callable[[str], None],
) -> tuple[ensemble.Found, ...]:
    """The ensembles of a config that has some: asked for by name, and so whatever they take.

    Averages take longer than the fits in the store: they are kept.
    """
    if plan.analysis.ensemble is None:
        return ()
    try:
        asked = ensemble.question(plan)
    except InputError as error:
        absent["ensemble"] = error.message
        return ()
    prob = plan.analysis.interval.prob
    weighed = ensemble.weigh(plan, asked, announce, warn)
    key = kept.key_of(
        [
            [
                *(one.prior_set, one.intervals, *keys_of(m.fit)),
                *(m.model, m.effect, m.heterogeneity, m.prior),
            ]
            for one in weighed
            for m in one.ensemble.members
        ],
        prob,
    )

    def make() -> object:
        announce("averaging", None)
        return [[asdict(e) for e in one.ensemble.estimates(prob)] for one in weighed]

    entries["ensembles"] = kept.entry(earlier, "ensembles", key, make)
    content = entries["ensembles"].content
    assert isinstance(content, list)
    return tuple(
        ensemble.found_of(one, [_estimate_from(e) for e in estimates], prob)
        for one, estimates in zip(weighed, content, strict=True)
    )


def _estimate_from(content: dict[str, Any]) -> Estimate:
    return Estimate(**{**content, "summary": Summary(**content["summary"])})


def _flat(plan: Plan, cell: Cell, absent: dict[str, str]) -> Fit | None:
    """The answer under a flat prior of the mean; None where there is no figure to draw with it."""
    if cell.engine != "exact":
        absent["triplot"] = "the answer is sampled"
    elif reason := no_triplot(cell.problem):
        absent["triplot"] = reason
    else:
        settings = replace(settings_of(plan), engine="exact", agreement=False)
        return fit_many([flat_mean(cell.problem)], settings)[0]
    return None


def _left_out(
    outcome: Outcome, absent: dict[str, str], announce: Announce, warn: Callable[[str], None]
) -> tuple[LeftOut, ...]:
    plan, fit = outcome.plan, outcome.fits[0]
    settings = settings_of(plan, warn=warn)
    if reason := no_left_out(fit.problem):
        absent["leave-one-out"] = reason
    elif way(fit.problem, settings) not in POINTS:
        absent["leave-one-out"] = f"{plan.cells[0].model} takes long to fit again and again"
    else:
        announce("leaving studies out", fit.problem)
        return left_out(fit, settings)
    return ()


def _peers(plan: Plan) -> list[Cell]:
    """The cells of the answer's model and intervals: one a prior set."""
    first = plan.cells[0]
    return [c for c in plan.cells if (c.model, c.intervals) == (first.model, first.intervals)]


def _own_checks(plan: Plan) -> Plan:
    """The plan without checks from files, which only ``metarho ppc`` runs."""
    named = tuple(check for check in plan.analysis.checks if check.file is None)
    return replace(plan, analysis=plan.analysis.model_copy(update={"checks": named}))


def _not_compared(plan: Plan) -> str | None:
    slow = {way(one.problem, settings_of(plan)) for one in _peers(plan)} - POINTS.keys()
    if slow:
        return f"{plan.cells[0].model} takes long to fit again and again; metarho compare does"
    return None


def _compared(
    plan: Plan, earlier: Mapping[str, kept.Entry], announce: Announce, warn: Callable[[str], None]
) -> kept.Entry:
    analysis, peers = plan.analysis, _peers(plan)
    key = kept.key_of(
        [[c.label, c.prior_set, key_of(c.problem, "exact", analysis.sampler)] for c in peers],
        analysis.reference_set,
        analysis.model_dump(mode="json", include={"thresholds", "interval", "sampler"}),
        plan.citations,
    )
    return kept.entry(
        earlier,
        "compared",
        key,
        lambda: asdict(compare(replace(plan, cells=tuple(peers)), announce, warn, families=False)),
    )


def _compared_from(content: object) -> Compared:
    assert isinstance(content, dict)
    return Compared(*(tuple(content[field.name]) for field in fields(Compared)))


def _no_surface(plan: Plan, cell: Cell) -> str | None:
    if way(cell.problem, settings_of(plan)) not in POINTS:
        return f"{cell.model} takes long to fit again and again; metarho sensitivity does"
    if not any(has_scale(cell.problem.prior(n)) for n in ("mu", *cell.problem.spreads[:1])):
        return "no prior here has a scale to vary"
    return None


def _surface(
    plan: Plan,
    asked: Question,
    earlier: Mapping[str, kept.Entry],
    announce: Announce,
    warn: Callable[[str], None],
) -> kept.Entry:
    problem = asked.cell.problem

    def make() -> object:
        announce("varying priors", problem)
        found = sensitivity(plan, asked, lambda event, problem: None, warn).found
        assert isinstance(found, Surface)
        return {
            "numbers": found.numbers.tolist(),
            "own": found.own.tolist(),
            "at": list(found.at),
            "statuses": list(found.statuses),
            "error": found.error,
        }

    key = kept.key_of(
        key_of(problem, "exact", plan.analysis.sampler),
        [[str(one.argument), one.values.tolist()] for one in asked.over],
        [str(quantity) for quantity in asked.quantities],
        plan.analysis.interval.model_dump(),
    )
    return kept.entry(earlier, "surface", key, make)


def _surface_from(asked: Question, content: object) -> Surface:
    assert isinstance(content, dict)
    return Surface(
        asked.over,
        asked.quantities,
        np.array(content["numbers"]),
        np.array(content["own"]),
        tuple(content["at"]),
        tuple(content["statuses"]),
        content["error"],
    )
