"""What a Dask worker does for a batch: one block, if it is set up as whoever sent it."""

from __future__ import annotations

import pickle
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from metarho.batch.compute import Done, Task, Unit, compute
from metarho.batch.work import Block
from metarho.errors import FitError
from metarho.store.keys import COMPUTES, FORMAT


def packed(block: Block | Unit, task: Task) -> bytes:
    """A block as it is sent.

    As bytes: the scheduler unpacks what it is sent, and has no use for this; and a worker looks at
    its own versions before it unpacks anything.
    """
    return pickle.dumps((block, task))


def serve(sent: bytes, wanted: Mapping[str, str]) -> list[Done]:
    """Compute a packed block; ``wanted`` is the ``environment`` of whoever sent it.

    Raises FitError where this process has another one, or computes in several threads.
    """
    fault = _fault(environment(), wanted, _threads())
    if fault:
        raise FitError(fault)
    block, task = pickle.loads(sent)
    # Nobody can ask it to stop: who wants that waits for the block.
    return list(compute(block, task, None, lambda: False))


def environment() -> dict[str, str]:
    """The versions that decide what a result is, by name; the key of a fit holds most of them."""
    names = {"metarho", *(name for names in COMPUTES.values() for name in names)}
    found = {name: _version(name) for name in sorted(names)}
    python = ".".join(map(str, sys.version_info[:2]))
    return {"Python": python, "format of the store": str(FORMAT), **found}


def dask_setup(worker: object) -> None:
    """Ignore interrupts, in workers of this machine that a terminal sends them to as well.

    (Dask calls a function of this name when a worker starts that preloads this module.) An
    interrupt is the client's to hear, which lets the running fits finish.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _threads() -> int:
    """Threads of this worker that compute."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)


def differing(found: Mapping[str, str], wanted: Mapping[str, str]) -> str | None:
    """What of an environment is not as wanted; None where all is."""
    differ = [
        f"{name} {found.get(name, 'none')}, not {value}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
    if not differ:
        return None
    return f"it has {'; '.join(differ)}; install there what is installed here"


def _fault(found: Mapping[str, str], wanted: Mapping[str, str], threads: int) -> str | None:
    """Why a process may not compute; None where it may."""
    differ = differing(found, wanted)
    if differ:
        return differ
    if threads != 1:
        # Neither PyTensor's compiler nor Python's record of warnings is safe in threads.
        return (
            f"it computes in {threads} threads, and may in one: start it as "
            "dask worker --nthreads 1 --nworkers ..."
        )
    return None
