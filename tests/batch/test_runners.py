"""Runners: the same whoever computes, and nothing lost when a process dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from cases import molloy, problem
from custom_cases import BARE, custom
from grid_cases import processes_of
from metarho.batch.answers import Asked
from metarho.batch.compute import Done, Task
from metarho.batch.runners import runner_of
from metarho.batch.runners.in_process import in_process
from metarho.batch.runners.processes import processes
from metarho.batch.work import Block, Work, blocks
from metarho.engines.problem import encode
from metarho.errors import FitError
from metarho.fitting import Settings
from metarho.spec.analysis import Sampler
from metarho.store.keys import key_of
from metarho.store.store import Store

SETTINGS = Settings(sampler=Sampler(chains=2, draws=100, tune=100))
TASK = Task(SETTINGS, Asked((0.0, 0.1)))
two = partial(processes, 2)


def never() -> bool:
    return False


def works(count: int = 12) -> list[Work]:
    """Exact fits of three structures."""
    found = []
    for index in range(count):
        sigma = f"Normal(mu=0, sigma={0.1 + index / 10})"
        for name in ("random-effects", "common-effect"):
            one = problem(molloy(), name, mu=sigma)
            found.append(Work(key_of(one, "exact", SETTINGS.sampler), one, "exact", "asked for"))
    return found


def single_blocks(count: int = 12) -> list[Block]:
    return [Block((work,)) for work in works(count)]


def by_key(found: list[Done]) -> dict[str, object]:
    return {done.key: (done.answer, done.failure, done.result) for done in found}


def test_every_runner_finds_the_same(tmp_path: Path) -> None:
    wanted = list(blocks(works(), SETTINGS))
    here = list(in_process(wanted, TASK, Store(tmp_path / "1"), never))
    there = list(two(wanted, TASK, Store(tmp_path / "2"), never))
    assert len(here) == len(works())
    assert by_key(here) == by_key(there)
    keys = [work.key for work in works()]
    assert Store(tmp_path / "1").holds(keys) == Store(tmp_path / "2").holds(keys) == set(keys)


def test_one_process_is_this_one() -> None:
    assert runner_of(1) is in_process


def test_a_killed_process_is_replaced_and_loses_nothing(tmp_path: Path) -> None:
    store, found = Store(tmp_path), []
    for done in two(single_blocks(), TASK, store, never):
        found.append(done)
        if len(found) in (3, 10):
            os.kill(processes_of(os.getpid())[0], signal.SIGKILL)
    assert all(done.failure is None for done in found)
    keys = {work.key for work in works()}
    assert {done.key for done in found} == keys
    assert store.holds(keys) == keys
    undisturbed = list(in_process(single_blocks(), TASK, Store(tmp_path / "2"), never))
    assert by_key(found) == by_key(undisturbed)


def test_processes_that_have_nothing_to_do_may_die_too(tmp_path: Path) -> None:
    def after_a_massacre() -> bool:
        for victim in processes_of(os.getpid()):
            if victim not in dead and len(dead) < 2:
                dead.add(victim)
                os.kill(victim, signal.SIGKILL)
        return False

    dead: set[int] = set()
    found = list(two(single_blocks(2), TASK, Store(tmp_path), after_a_massacre))
    assert len(dead) == 2
    assert {done.key for done in found} == {work.key for work in works(2)}


@pytest.mark.slow
def test_what_kills_its_process_three_times_has_failed_and_the_others_go_on(tmp_path: Path) -> None:
    deadly = BARE.replace(
        "    with pm.Model", "    import os; os.kill(os.getpid(), 9)\n    with pm.Model"
    )
    one = encode(custom(tmp_path, deadly), molloy())
    wrong = Work(key_of(one, "nuts", SETTINGS.sampler), one, "nuts", "asked for")
    found = list(two([Block((wrong,)), *single_blocks(3)], TASK, Store(tmp_path / "s"), never))
    failed = [done for done in found if done.failure is not None]
    assert [done.key for done in failed] == [wrong.key]
    assert str(failed[0].failure).startswith("its process died 3 times")
    assert len(found) == 7


@pytest.mark.parametrize("runner", [in_process, two], ids=["here", "two"])
def test_a_request_to_stop_lets_the_running_block_finish(
    tmp_path: Path, runner: Callable[..., object]
) -> None:
    found: list[Done] = []
    store = Store(tmp_path)
    for done in runner(single_blocks(), TASK, store, lambda: len(found) >= 4):  # type: ignore[attr-defined]
        found.append(done)
    assert 4 <= len(found) < 24
    assert store.holds(done.key for done in found) == {done.key for done in found}


@pytest.mark.parametrize("runner", [in_process, two], ids=["here", "two"])
def test_a_store_that_cannot_be_written_ends_the_run(
    tmp_path: Path, runner: Callable[..., object]
) -> None:
    (tmp_path / "fits").write_text("in the way", encoding="utf-8")
    with pytest.raises(FitError, match="cannot write the store"):
        list(runner(single_blocks(), TASK, Store(tmp_path), never))  # type: ignore[call-overload]


def test_no_process_is_idle_or_interrupted_or_left_behind(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def after_an_interrupt_of_all() -> bool:
        for process in processes_of(os.getpid()):
            os.kill(process, signal.SIGINT)
        return False

    stream = processes(9, single_blocks(1), TASK, Store(tmp_path), after_an_interrupt_of_all)
    next(stream)
    assert len(processes_of(os.getpid())) == 2
    # One that was interrupted while it loaded would have said where.
    assert capfd.readouterr().err == ""
    # What is not asked for any more is ended.
    del stream
    assert processes_of(os.getpid()) == []
