"""Plans run together: their fits made or found, and the journal of each written meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from metarho.batch.cell_table import asked_of, known_answers
from metarho.batch.compute import Done, Task
from metarho.batch.fill import Filled, fill
from metarho.batch.grid import GridPlan, plan_grid
from metarho.batch.journal import Journal
from metarho.batch.plan import Plan, check_folders, plan
from metarho.batch.run import settings_of
from metarho.batch.runners import Runner
from metarho.batch.simulation.fill import fill_chunks
from metarho.batch.simulation.plan import SimulationPlan, plan_simulation
from metarho.batch.work import Work
from metarho.compare.rows import Row, Value
from metarho.fitting import Settings, both_cover
from metarho.spec.analysis import read_analysis
from metarho.spec.simulation import is_simulation
from metarho.store.keys import key_of
from metarho.store.store import Store

type FitsPlan = Plan | GridPlan
type AnyPlan = FitsPlan | SimulationPlan


@dataclass(frozen=True)
class Watch:
    """Who is told what while plans run, and asked whether to stop."""

    heard: Callable[[Done, str], None]
    warn: Callable[[str], None]
    stopped: Callable[[], bool]


def plan_each(configs: Sequence[Path], output: Path | None = None) -> list[AnyPlan]:
    """The plans of configs, with a grid, a simulation or neither, checked before any is run.

    Raises InputError for anything wrong in them, and when two would write to one folder.
    """
    plans: list[AnyPlan] = []
    for config in configs:
        if is_simulation(config):
            plans.append(plan_simulation(config, output))
            continue
        read = read_analysis(config)
        has_grid = read[0].grid is not None
        plans.append((plan_grid if has_grid else plan)(config, output, read))
    check_folders(plans)
    return plans


def works_of(item: FitsPlan) -> list[Work]:
    """The fits that a plan wants, equal ones once; with agreement those of both engines."""
    if isinstance(item, GridPlan):
        return list(item.works)
    sampler = item.analysis.sampler
    found: dict[str, Work] = {}
    for cell in item.cells:
        engines = {cell.engine: cell.reason}
        if item.analysis.agreement and both_cover(cell.problem):
            engines |= {
                engine: "agreement" for engine in ("exact", "nuts") if engine not in engines
            }
        for engine, reason in engines.items():
            key = key_of(cell.problem, engine, sampler)
            found.setdefault(key, Work(key, cell.problem, engine, reason))
    return list(found.values())


def keys_of(item: AnyPlan) -> list[str]:
    """The keys of what a plan wants: of its fits, or of the chunks of its simulation."""
    wanted = item.chunks if isinstance(item, SimulationPlan) else works_of(item)
    return [one.key for one in wanted]


def task_of(item: AnyPlan, limit: float | None) -> Task:
    """What is done with each fit of a plan."""
    if isinstance(item, SimulationPlan):
        return Task(Settings(engine="exact", interval=item.simulation.interval), None, limit)
    settings = replace(settings_of(item), store=None)
    return Task(settings, asked_of(item) if isinstance(item, GridPlan) else None, limit)


def fill_all(
    plans: Sequence[AnyPlan], runner: Runner, limit: float | None, watch: Watch
) -> list[Filled]:
    """Make or find the fits of plans, those that are made alike in one go; one result a plan.

    Raises FitError or OSError where something cannot be written.
    """
    groups: dict[tuple[Path, bool, str], list[int]] = {}
    for index, item in enumerate(plans):
        kind = isinstance(item, SimulationPlan)
        alike = item.output.resolve(), kind, repr(task_of(item, limit))
        groups.setdefault(alike, []).append(index)
    found: dict[int, Filled] = {}
    for places in groups.values():
        members = [plans[place] for place in places]
        filled = _fill_alike(members, runner, limit, watch)
        found |= dict.fromkeys(places, filled)
    return [_of(item, found[index]) for index, item in enumerate(plans)]


def _of(item: AnyPlan, filled: Filled) -> Filled:
    """What became of the fits of one plan."""
    keys = keys_of(item)
    answers = {key: filled.answers[key] for key in keys if key in filled.answers}
    failures = {key: filled.failures[key] for key in keys if key in filled.failures}
    return Filled(answers, failures, len(answers) + len(failures) == len(keys))


def _fill_alike(
    plans: Sequence[AnyPlan], runner: Runner, limit: float | None, watch: Watch
) -> Filled:
    with ExitStack() as open_files:
        journals = [open_files.enter_context(Journal(p.folder, cells_by_key(p))) for p in plans]

        def heard(done: Done, source: str) -> None:
            for journal in journals:
                journal.write(done, source)
            watch.heard(done, source)

        task = task_of(plans[0], limit)
        store = Store(plans[0].output / "store", watch.warn)
        chunks = {c.key: c for p in plans if isinstance(p, SimulationPlan) for c in p.chunks}
        if chunks:
            # Plans of one kind are filled together.
            return fill_chunks(list(chunks.values()), task, store, runner, heard, watch.stopped)
        works: dict[str, Work] = {}
        known: dict[str, Row] = {}
        for item in plans:
            if not isinstance(item, SimulationPlan):
                works |= {work.key: work for work in works_of(item)}
            if isinstance(item, GridPlan):
                known |= known_answers(item)
        return fill(list(works.values()), task, store, runner, known, heard, watch.stopped)


def cells_by_key(item: AnyPlan) -> Mapping[str, list[Mapping[str, Value]]]:
    """The cells of a plan, as their decisions, by the keys of the fits that they want.

    Of a simulation its truths with a model and prior set, and which of their data sets.
    """
    found: dict[str, list[Mapping[str, Value]]] = {}
    if isinstance(item, SimulationPlan):
        for method in item.methods:
            for chunk in method.chunks:
                numbers = f"{chunk.start + 1}-{chunk.stop}"
                line = {**method.decisions, "replications": numbers}
                found.setdefault(chunk.key, []).append(line)
        return found
    if isinstance(item, GridPlan):
        for cell in item.cells:
            if cell.work is not None:
                found.setdefault(cell.work.key, []).append(cell.decisions)
        return found
    for one in item.cells:
        decisions = {"model": one.model, "priors": one.prior_set, "intervals": one.intervals}
        for engine in ("exact", "nuts"):
            key = key_of(one.problem, engine, item.analysis.sampler)
            found.setdefault(key, []).append({**decisions, "engine": engine})
    return found
