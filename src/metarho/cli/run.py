"""``metarho run`` and ``metarho check``: analyses, from their configs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from metarho.cli.options import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_NOT_REPORTABLE,
    Configs,
    Output,
    config_path,
)

if TYPE_CHECKING:
    from metarho.batch.compute import Done
    from metarho.batch.fill import Filled
    from metarho.batch.running import AnyPlan


def run(
    configs: Configs,
    output: Output = None,
    workers: Annotated[
        int,
        typer.Option(
            help="Processes that compute; 0: one for each processor, 1: this one.", min=0, max=1024
        ),
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            help="Compute on Dask: local (--workers says how many) or a scheduler that you trust, "
            "tcp://host:8786."
        ),
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds that a fit may take.", min=0.001)
    ] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first fit that fails.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan; compute and write nothing.")
    ] = False,
) -> None:
    """Run analyses: fit every model with every prior set, write tables and a report.

    A config with a grid is fitted at every combination of its decisions. Fits that are in the
    store are not made again; an interrupted run goes on where it was. A config that simulates its
    data is answered by a table of how often its models are right.
    """
    from metarho.batch.running import Watch, fill_all, keys_of, plan_each

    if dask is not None:
        from metarho.batch.runners.dask_cluster import check_address

        check_address(dask, workers, time_limit)
    plans = plan_each([config_path(name) for name in configs], output)
    if dry_run:
        from metarho.batch.forecast import forecast

        for plan in plans:
            print("\n".join(forecast(plan, workers or os.cpu_count() or 1)))
        return
    # Only now, so that a bad config is refused at once.
    from metarho.batch.runners import runner_of
    from metarho.report.terminal import BatchProgress, say

    wanted = {key for plan in plans for key in keys_of(plan)}
    gave_up = Event()
    with interruptible() as interrupted, BatchProgress(len(wanted)) as progress:

        def heard(done: Done, source: str) -> None:
            progress.heard(done, source)
            if fail_fast and done.failure is not None:
                gave_up.set()

        watch = Watch(heard, progress.warn, lambda: interrupted.is_set() or gave_up.is_set())
        filled = fill_all(plans, runner_of(workers, dask), time_limit, watch)
    statuses = [status for pair in zip(plans, filled, strict=True) for status in _publish(*pair)]
    if interrupted.is_set() and not all(one.is_whole for one in filled):
        done = {key for one in filled for key in (*one.answers, *one.failures)}
        say(
            f"interrupted: {len(done)} of {len(wanted)} fits are done and kept; the same command "
            "goes on from there"
        )
        raise typer.Exit(EXIT_INTERRUPTED)
    for status, code in (("failed", EXIT_FAILED), ("not reportable", EXIT_NOT_REPORTABLE)):
        if status in statuses:
            raise typer.Exit(code)


def _publish(plan: AnyPlan, filled: Filled) -> list[str]:
    """Write what a plan found and say it; returns the statuses of its fits."""
    from metarho.batch.grid import GridPlan
    from metarho.batch.simulation.plan import SimulationPlan
    from metarho.report.terminal import Progress, headline, say

    if isinstance(plan, SimulationPlan):
        from metarho.batch.simulation.results import publish_simulation
        from metarho.report.simulation import simulation_in_words

        rows = publish_simulation(plan, filled)
        simulation_in_words(plan, rows)
        say(f"results: {plan.folder}")
        return [str(row["status"]) for row in rows]
    if isinstance(plan, GridPlan):
        from metarho.report.cells import print_grid
        from metarho.report.publish_grid import publish_grid

        published = publish_grid(plan, filled)
        print_grid(plan, published)
        say(f"results: {plan.folder}")
        return [str(row["status"]) for row in published.rows]
    if filled.failures or not filled.is_whole:
        for reason in dict.fromkeys(filled.failures.values()):
            say(f"{plan.config}: a fit failed: {reason}")
        say(f"{plan.config}: without results, for not all of its fits are there")
        return ["failed"] if filled.failures else []
    from metarho.report.publish import publish

    with Progress(plan) as progress:
        outcome = publish(plan, progress.announce, progress.warn)
    headline(plan, outcome.fits)
    members = [fit.status for fit in outcome.members]
    if unfit := members.count("not reportable"):
        say(
            f"the ensemble: {unfit} of {len(members)} fits of its members are not reportable; the "
            "page and ensemble-members.csv say which, and why"
        )
    for remark in plan.citations:
        say(f"note: {remark}")
    say(f"results: {plan.folder}")
    return [*(fit.status for fit in outcome.fits), *members]


@contextmanager
def interruptible() -> Iterator[Event]:
    """Ctrl-C, or the SIGTERM of a cluster, sets the event, and ends all the second time."""
    asked = Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        print("\nstopping when the running fits are done; again: at once", file=sys.stderr)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check(configs: Configs) -> None:
    """Validate configs and print the plan; compute and write nothing."""
    from metarho.batch.describe import describe, describe_grid
    from metarho.batch.grid import GridPlan
    from metarho.batch.running import plan_each
    from metarho.batch.simulation.describe import describe_simulation
    from metarho.batch.simulation.plan import SimulationPlan

    for plan in plan_each([config_path(name) for name in configs]):
        if isinstance(plan, SimulationPlan):
            lines = describe_simulation(plan)
        else:
            lines = describe_grid(plan) if isinstance(plan, GridPlan) else describe(plan)
        print("\n".join(lines))
