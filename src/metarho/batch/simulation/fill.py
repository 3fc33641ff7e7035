"""The chunks of simulations made, those that the store has already left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metarho.batch.compute import Done, Task
from metarho.batch.fill import Filled
from metarho.batch.runners import Runner
from metarho.batch.simulation.chunk import Chunk, is_whole, kept
from metarho.store.store import Store
from metarho.store.tables import tables_of


def fill_chunks(
    chunks: Sequence[Chunk],
    task: Task,
    store: Store,
    runner: Runner,
    heard: Callable[[Done, str], None],
    stopped: Callable[[], bool],
) -> Filled:
    """Compute the chunks that the store does not hold whole; their tables are read from there.

    ``heard`` is told of each, and where it came from. Raises FitError or OSError where the store
    cannot be written.
    """
    done_with: set[str] = set()
    failures: dict[str, str] = {}
    left = todo(chunks, store)
    held = {chunk.key for chunk in chunks} - {chunk.key for chunk in left}
    for key in sorted(held):
        done_with.add(key)
        heard(Done(key, 0.0), "store")
    if not stopped():
        for done in runner(left, task, store, stopped):
            if done.failure is not None:
                failures[done.key] = done.failure
            else:
                done_with.add(done.key)
            heard(done, "computed")
    is_all = len(done_with) + len(failures) == len(chunks)
    return Filled({key: {} for key in done_with}, failures, is_all)


def todo(chunks: Sequence[Chunk], store: Store) -> list[Chunk]:
    """The chunks of which nothing is kept, or a data set failed."""
    tables = tables_of(store)
    found = []
    for chunk in chunks:
        columns = kept(chunk, tables)
        if columns is None or not is_whole(columns):
            found.append(chunk)
    return found
