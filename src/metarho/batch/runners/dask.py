"""The runner on Dask: a task is a block, whose results come back, and the store is written here.

Dask begins a block again whose worker has died, and gives up after some deaths, those included
where the block only waited. Then its fits are tried one by one, and at last with nothing beside.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from metarho.batch.compute import Done, Task, Unit, keep
from metarho.batch.runners.dask_cluster import ANSWER_SECONDS, LOCAL, connected, said
from metarho.batch.runners.dask_task import differing, environment, packed, serve
from metarho.batch.runners.processes import died
from metarho.batch.work import Block
from metarho.errors import FitError
from metarho.store.store import Store

if TYPE_CHECKING:
    from distributed import Client, Future

# Blocks under way: one that is computed and one that waits, so that no worker does; a few where
# there are no workers yet, by which a cluster that grows with its work sees that it has some.
_A_THREAD = 2
_FEWEST = 4
# Seconds between looks at what is done, and at who computes.
_PATIENCE = 0.02
_LOOK = 2.0
# Seconds in which one of the workers on this machine has started again, even a slow one.
_RESTART = 120.0


def on_dask(
    address: str,
    workers: int,
    blocks: Iterable[Block | Unit],
    task: Task,
    store: Store,
    stopped: Callable[[], bool],
) -> Iterator[Done]:
    """Compute blocks on the scheduler at an address, or on a local cluster of so many workers.

    Raises FitError where the scheduler cannot be reached or is gone, where its workers are not set
    up as this process, and where the store cannot be written.
    """
    waiting = iter(blocks)
    first = next(waiting, None)
    # With nothing to do nobody has to be there.
    if first is None or stopped():
        return
    with connected(address, workers) as client:
        scheduler = _Scheduler(client, address, store.warn)
        yield from _run(scheduler, chain([first], waiting), task, store, stopped)


def _run(
    scheduler: _Scheduler,
    waiting: Iterator[Block | Unit],
    task: Task,
    store: Store,
    stopped: Callable[[], bool],
) -> Iterator[Done]:
    wanted = environment()
    again, suspects = deque[Block | Unit](), deque[Block | Unit]()
    flying: dict[Future[Any], Block | Unit] = {}
    alone: Block | Unit | None = None
    is_told = False
    while True:
        if not stopped():
            room = scheduler.room()
            while len(flying) < room:
                block = again.popleft() if again else next(waiting, None)
                if block is None and suspects and not flying:
                    block = alone = suspects.popleft()
                if block is None:
                    break
                flying[scheduler.submit(packed(block, task), wanted)] = block
        elif not is_told:
            for future in scheduler.cancel_waiting(flying):
                del flying[future]
            is_told = True
        if not flying:
            return
        landed = [future for future in flying if scheduler.has_ended(future)]
        for future in landed:
            found = scheduler.result(future)
            if found is None:
                # Its worker died when it was done: it is computed again.
                continue
            block = flying.pop(future)
            if isinstance(found, list):
                yield from _kept(found, block, store)
            elif len(block.works) > 1:
                again.extend(block.of([work.key]) for work in block.works)
            elif block is alone:
                yield Done(block.works[0].key, 0.0, failure=died(found))
            else:
                suspects.append(block)
        if not landed:
            time.sleep(_PATIENCE)


def _kept(found: list[Done], block: Block | Unit, store: Store) -> Iterator[Done]:
    """Write the results of a block: exact ones together, sampled ones each; then tell of them."""
    if not isinstance(block, Block):
        for done in found:
            block.keep(done, store)
            yield replace(done, result=None)
        return
    together = len(found) if block.engine == "exact" else 1
    for start in range(0, len(found), together or 1):
        part = found[start : start + together]
        keep(store, {done.key: done.result for done in part if done.result is not None})
        yield from (replace(done, result=None) for done in part)


@dataclass
class _Scheduler:
    """What is asked of a scheduler, each within a bounded time; FitError where it is gone."""

    client: Client
    address: str
    warn: Callable[[str], None]
    _workers: dict[str, int] = field(default_factory=dict, init=False)
    _looked: float | None = field(default=None, init=False)
    _alone_since: float | None = field(default=None, init=False)

    def room(self) -> int:
        """How many blocks may be under way. Looks who is there, and whether they are fit for it."""
        now = time.monotonic()
        if self._looked is None or now - self._looked > _LOOK:
            if self._looked is None:
                found = self._ask("versions", packages=["metarho"])
                self._check_versions("the scheduler", found, ["metarho"])
            workers = self._ask("ncores")
            self._check_workers(sorted(set(workers) - set(self._workers)))
            self._workers, self._looked = workers, now
            self._miss_workers(now)
        return max(_FEWEST, _A_THREAD * sum(self._workers.values()))

    def _miss_workers(self, now: float) -> None:
        """Say once that there are none; those of a local cluster have to come back."""
        if self._workers:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
            if self.address != LOCAL:
                self.warn(f"no worker is at {self.address}: waiting for one")
        elif self.address == LOCAL and now - self._alone_since > _RESTART:
            raise FitError("the workers of this run do not start; use --workers without --dask")

    def _check_workers(self, addresses: list[str]) -> None:
        # By Dask's own means: a worker without metarho dies of what names it.
        if not addresses:
            return
        names = [name for name in environment() if name.isidentifier() and name != "Python"]
        message = {"op": "versions", "packages": names}
        found = self._ask("broadcast", msg=message, workers=addresses, on_error="ignore")
        for address in addresses:
            self._check_versions(f"the worker {address}", found.get(address), names)

    def _check_versions(self, who: str, found: Any, names: list[str]) -> None:
        # None of one that has left meanwhile.
        if found is None:
            return
        there = {name: found["packages"].get(name) or "none" for name in names}
        fault = differing(there, {name: environment()[name] for name in names})
        if fault:
            raise FitError(f"{who} of {self.address} cannot compute: {fault}")

    def submit(self, sent: bytes, wanted: dict[str, str]) -> Future[Any]:
        """Hand a block over."""
        with self._being_there():
            return self.client.submit(serve, sent, wanted, pure=False)

    def has_ended(self, future: Future[Any]) -> bool:
        """Whether a block is done, or has failed."""
        self._check()
        return bool(future.done())

    def result(self, future: Future[Any]) -> list[Done] | int | None:
        """What came of a block that has ended; None where it went lost and is computed again.

        A number says how many workers died of it. Raises FitError where it could not be computed.
        """
        from distributed.scheduler import KilledWorker

        with self._being_there():
            try:
                found: list[Done] = future.result(timeout=ANSWER_SECONDS)
                return found
            except KilledWorker as error:
                return int(error.allowed_failures) + 1
            except FitError as error:
                raise FitError(f"a worker of {self.address} cannot compute: {error}") from error
            except CancelledError as error:
                raise self._gone() from error
            except TimeoutError:
                return None
            except OSError:
                raise
            except Exception as error:  # whatever kind unpacking has
                raise FitError(
                    f"a worker of {self.address}, or its scheduler, cannot take what it is sent "
                    f"({said(error)}); both need what is installed here: metarho "
                    f"{environment()['metarho']} and its packages"
                ) from error
            finally:
                # Nor is it kept there when it is here.
                if future.done():
                    future.release()

    def cancel_waiting(self, futures: Iterable[Future[Any]]) -> list[Future[Any]]:
        """Call back the blocks that nobody has begun; returns them."""
        futures = [future for future in futures if not self.has_ended(future)]
        if not futures:
            return []
        running = self._ask("call_stack", keys=[f.key for f in futures])
        begun = {key for stacks in running.values() for key in stacks or {}}
        waiting = [future for future in futures if future.key not in begun]
        with self._being_there():
            self.client.cancel(waiting)
        return waiting

    def _ask(self, operation: str, **arguments: Any) -> Any:
        """What the scheduler answers; the client's own methods would wait for it without end."""
        with self._being_there():
            function = getattr(self.client.scheduler, operation)
            return self.client.sync(function, callback_timeout=ANSWER_SECONDS, **arguments)

    def _check(self) -> None:
        if self.client.status != "running":
            raise self._gone()

    @contextmanager
    def _being_there(self) -> Iterator[None]:
        self._check()
        try:
            yield
        except OSError as error:  # of which a lost connection is one, and a time that is up
            raise self._gone() from error

    def _gone(self) -> FitError:
        where = "of this run" if self.address == LOCAL else f"at {self.address}"
        return FitError(
            f"the scheduler {where} is gone; what was done is kept; run the same command again"
        )
