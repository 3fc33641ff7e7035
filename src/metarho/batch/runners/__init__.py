"""Where the blocks of a batch are computed: in this process, in several, or on a Dask cluster.

A runner is ``run(blocks, task, store, stopped)``, an iterator of ``Done``: one for each fit, as it
is there, each in the store by then. It asks ``stopped`` between fits, begins nothing further once
that says so, and ends when what it had begun is done. What is computed does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from metarho.batch.compute import Done, Task, Unit
from metarho.batch.work import Block
from metarho.store.store import Store

__all__ = ["Runner", "runner_of"]


class Runner(Protocol):
    """One way to compute blocks. Raises FitError where the store cannot be written."""

    def __call__(
        self, blocks: Iterable[Block | Unit], task: Task, store: Store, stopped: Callable[[], bool]
    ) -> Iterator[Done]:
        """Compute the blocks."""


def runner_of(workers: int, dask: str | None = None) -> Runner:
    """The runner of ``--workers`` and ``--dask``.

    ``workers``: so many processes; 1 is this process, 0 one for each processor. ``dask``: ``local``
    or the address of a scheduler, None without Dask.
    """
    from functools import partial
    from os import cpu_count

    from metarho.batch.runners.in_process import in_process
    from metarho.batch.runners.processes import processes

    if dask is not None:
        from metarho.batch.runners.dask import on_dask

        return partial(on_dask, dask, workers)
    return in_process if workers == 1 else partial(processes, workers or cpu_count() or 1)
