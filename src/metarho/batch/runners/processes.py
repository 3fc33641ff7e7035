"""The runner with processes of its own, which may die: what they had begun is begun again.

Each process has a pipe to this one and shares nothing else, so that a killed one takes nothing with
it, and it is known what it was at. (A pool of ``concurrent.futures`` is broken as a whole by one
killed process, and does not say at which task.)
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from metarho.batch.compute import Done, Task, Unit, compute
from metarho.batch.work import Block
from metarho.errors import FitError
from metarho.store.store import Store

# A process may be killed for what others do (memory, a user); the third time it is its own doing.
MOST_DEATHS = 3
# Seconds until it is asked again whether to stop.
_PATIENCE = 0.2


@dataclass(frozen=True)
class _Ended:
    """A block has ended. ``broken`` says why the store cannot be written, None where it can."""

    broken: str | None = None


@dataclass
class _Worker:
    """A process, this end of its pipe, its block, and of that the keys not answered yet."""

    process: BaseProcess
    connection: Connection
    is_busy: bool = False
    block: Block | Unit | None = None
    left: list[str] = field(default_factory=list)


def processes(
    count: int,
    blocks: Iterable[Block | Unit],
    task: Task,
    store: Store,
    stopped: Callable[[], bool],
) -> Iterator[Done]:
    """Compute blocks in so many processes, or fewer where there are fewer blocks.

    A process that dies is replaced, and what it had not answered is tried again; a fit at which
    three have died has failed. Raises FitError where the store cannot be written.
    """
    waiting = iter(blocks)
    again = deque(islice(waiting, count))
    deaths: Counter[str] = Counter()
    workers = [_start(task, store.folder) for _ in again]
    is_told = False
    try:
        while True:
            if stopped():
                if not is_told:
                    _tell_to_stop(workers)
                is_told = True
            else:
                for place, worker in enumerate(workers):
                    if worker.is_busy:
                        continue
                    block = again.popleft() if again else next(waiting, None)
                    if block is not None and not _hand(worker, block):
                        # It died while it had nothing to do.
                        again.appendleft(block)
                        workers[place] = _replace(worker, task, store.folder)
            busy = [worker.connection for worker in workers if worker.is_busy]
            if not busy and (is_told or not again):
                return
            ready = wait(busy, _PATIENCE)
            for place, worker in enumerate(workers):
                if worker.connection not in ready:
                    continue
                message = _hear(worker)
                if message is None:
                    yield from _after_death(worker, again, deaths)
                    workers[place] = _replace(worker, task, store.folder)
                elif isinstance(message, Done):
                    worker.left = [key for key in worker.left if key != message.key]
                    yield message
                elif message.broken is not None:
                    raise FitError(message.broken)
                else:
                    worker.is_busy = False
    finally:
        for worker in workers:
            _end(worker)


def _start(task: Task, folder: Path) -> _Worker:
    # Not forked: threads of the linear algebra and of the sampler do not survive that.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, task, folder), daemon=True)
    # First, for it lets interrupts through again when it starts.
    resource_tracker.ensure_running()
    # A process has the mask it was started under: nothing interrupts it while it loads.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # With its other end in one process only, a pipe says when that process is gone.
    there.close()
    return _Worker(process, here)


def _end(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _replace(worker: _Worker, task: Task, folder: Path) -> _Worker:
    _end(worker)
    return _start(task, folder)


def _hand(worker: _Worker, block: Block | Unit) -> bool:
    """Give a process a block; False when the process is gone."""
    try:
        worker.connection.send(block)
    except OSError:
        return False
    worker.is_busy, worker.block = True, block
    worker.left = [work.key for work in block.works]
    return True


def _tell_to_stop(workers: Iterable[_Worker]) -> None:
    for worker in workers:
        # One that is gone is found so when it is listened to.
        with suppress(OSError):
            worker.connection.send(None)


def _hear(worker: _Worker) -> Done | _Ended | None:
    """What a process says; None when it is gone."""
    try:
        message: Any = worker.connection.recv()
    except (EOFError, OSError):
        return None
    assert isinstance(message, Done | _Ended)
    return message


def died(times: int) -> str:
    """Why a fit has failed at which processes die."""
    return f"its process died {times} times (killed, out of memory, or crashed)"


def _after_death(
    worker: _Worker, again: deque[Block | Unit], deaths: Counter[str]
) -> Iterator[Done]:
    """What a dead process has left undone is tried again; what killed three of them has failed."""
    block, left = worker.block, worker.left
    if block is None or not left:
        return
    if len(left) > 1 and block.engine == "exact":
        # Computed together: which of them it was shows when each is alone.
        again.extend(block.of([key]) for key in left)
        return
    first, *others = left
    deaths[first] += 1
    if deaths[first] >= MOST_DEATHS:
        yield Done(
            first,
            0.0,
            failure=died(MOST_DEATHS),
        )
        left = others
    if left:
        again.append(block.of(left))


def _serve(connection: Connection, task: Task, folder: Path) -> None:
    """What a process does: blocks, until nobody gives it any."""
    # An interrupt is the parent's to hear, which lets the running fits finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store = Store(folder)
    # While a block runs nothing is sent but the request to stop; or the parent is gone.
    stopped = connection.poll
    with suppress(EOFError, OSError):
        while True:
            block = connection.recv()
            if block is None:
                continue
            try:
                for done in compute(block, task, store, stopped):
                    connection.send(done)
                ended = _Ended()
            except FitError as error:
                ended = _Ended(str(error))
            connection.send(ended)
