"""A block computed, here or in any other process: each fit made, kept and read."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from metarho.batch.answers import Asked, answers
from metarho.batch.work import Block, Work
from metarho.compare.rows import Row
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.errors import FitError
from metarho.fitting import Settings, finished, solve_group
from metarho.store.store import Store

type Result = Quadrature | Draws

# Seconds until it is looked again whether an import is over that the time limit may not cut short.
_IMPORTING = 0.05


@dataclass(frozen=True)
class Task:
    """What is done with every fit of a batch. ``asked``: None where no table of cells is made.

    ``limit`` is in seconds a fit, None for no limit.
    """

    settings: Settings
    asked: Asked | None
    limit: float | None = None


@dataclass(frozen=True)
class Done:
    """What became of one fit: kept in the store with its answers, or failed, and why.

    ``result`` is None where it is in the store already, or failed; of a unit that is no block of
    fits it is what that keeps.
    """

    key: str
    seconds: float
    answer: Row | None = None
    failure: str | None = None
    result: Any = None

    @property
    def status(self) -> str:
        """For people who watch: failed, the verdict where it is known, else ok."""
        return "failed" if self.failure else str((self.answer or {}).get("status", "ok"))


class OutOfTime(BaseException):
    """The time of a fit is up."""


class Keyed(Protocol):
    """What has a key."""

    @property
    def key(self) -> str:
        """The key of what is kept of it."""


class Unit(Protocol):
    """What one process computes in one go that is not a block of fits: it knows itself how."""

    @property
    def works(self) -> Sequence[Keyed]:
        """What is told of by its key when it is done."""

    @property
    def engine(self) -> str:
        """The engine of all."""

    def of(self, keys: Collection[str]) -> Unit:
        """What is tried again of some, after a process died."""

    def compute(
        self, task: Task, store: Store | None, stopped: Callable[[], bool]
    ) -> Iterator[Done]:
        """Compute all, and keep it in the store; without one what is to be kept is handed on."""

    def keep(self, done: Done, store: Store) -> None:
        """Keep what was handed on."""


def compute(
    block: Block | Unit, task: Task, store: Store | None, stopped: Callable[[], bool]
) -> Iterator[Done]:
    """Compute a block of fits, or whatever else knows itself how it is computed."""
    if isinstance(block, Block):
        return _compute_fits(block, task, store, stopped)
    return block.compute(task, store, stopped)


def _compute_fits(
    block: Block, task: Task, store: Store | None, stopped: Callable[[], bool]
) -> Iterator[Done]:
    """Fit the works of a block, in order, each kept in the store and read.

    Without a store the results are handed on. A fit that fails is told, and the others go on.
    Between fits ``stopped`` is asked, and nothing further is begun when it says so. Raises FitError
    when the store cannot be written.
    """
    left = list(block.works)
    # After a failure in what a group shares, each is tried on its own.
    alone = False
    while left and not stopped():
        group = left[:1] if alone else left
        together = block.engine == "exact"
        kept: list[tuple[Work, Result, float]] = []
        count, failure = 0, None
        stream = solve_group(block.engine, [(w.key, w.problem) for w in group], task.settings)
        while count < len(group) and not (count and stopped()):
            start = time.perf_counter()
            try:
                with time_limit(task.limit):
                    _, result = next(stream)
            except (Exception, OutOfTime) as error:  # told, with the others unharmed
                failure = said(error, task.limit)
                break
            kept.append((group[count], result, time.perf_counter() - start))
            count += 1
            if not together:
                # Seconds of work each: kept and told one by one.
                yield from _keep(kept, task, store)
                kept = []
        if kept:
            yield from _keep(kept, task, store)
        left = left[count:]
        if failure is None:
            continue
        if together and len(group) > 1:
            alone = True
            continue
        yield Done(left.pop(0).key, time.perf_counter() - start, failure=failure)


def _keep(
    found: list[tuple[Work, Result, float]], task: Task, store: Store | None
) -> Iterator[Done]:
    if store is not None:
        keep(store, {work.key: result for work, result, _ in found})
    rows = read([(work, result) for work, result, _ in found], task)
    for (work, result, seconds), row in zip(found, rows, strict=True):
        yield Done(
            work.key,
            seconds,
            row if isinstance(row, dict) else None,
            row if isinstance(row, str) else None,
            result if store is None else None,
        )


def keep(store: Store, results: Mapping[str, Result]) -> None:
    """Write results. Raises FitError, which says what to do, when the store cannot be written."""
    with writing(store):
        store.write(results)


@contextmanager
def writing(store: Store) -> Iterator[None]:
    """Raise FitError, which says what to do, where the store cannot be written."""
    try:
        yield
    except OSError as error:
        raise FitError(
            f"cannot write the store {store.folder}: {error.strerror or error}; what was done is "
            "kept: when it can be written, the same command goes on from there"
        ) from error


def read(found: list[tuple[Work, Result]], task: Task) -> list[Row | str | None]:
    """The answers of results; a text where one cannot be read says why."""
    if task.asked is None:
        return [None] * len(found)
    fits = [finished(work.problem, work.engine, work.reason, r, task.settings) for work, r in found]
    try:
        return list(answers(fits, task.asked, task.settings))
    except Exception as error:
        if len(found) == 1:
            return [said(error, None)]
        return [row for one in found for row in read([one], task)]


def said(error: BaseException, limit: float | None) -> str:
    """Why something failed, in one line."""
    if isinstance(error, OutOfTime):
        return f"took longer than the limit of {limit:g} s"
    said = str(error).splitlines()[0] if str(error) else ""
    # What the package says of a fit is a sentence; of others the kind of error is part of it.
    own = type(error).__module__.startswith("metarho")
    return said if own and said else f"{type(error).__name__}: {said}"


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise when the time is up. By the process's alarm, which only a main thread has."""
    if seconds is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a time limit needs the main thread of a process")

    def up(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            # A module of which half is there would fail every later fit of this process.
            signal.setitimer(signal.ITIMER_REAL, _IMPORTING)
        else:
            raise OutOfTime

    before = signal.signal(signal.SIGALRM, up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False
