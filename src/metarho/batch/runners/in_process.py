"""The runner without further processes: one block after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from metarho.batch.compute import Done, Task, Unit, compute
from metarho.batch.work import Block
from metarho.store.store import Store


def in_process(
    blocks: Iterable[Block | Unit], task: Task, store: Store, stopped: Callable[[], bool]
) -> Iterator[Done]:
    """Compute blocks here, in order."""
    for block in blocks:
        if stopped():
            return
        yield from compute(block, task, store, stopped)
