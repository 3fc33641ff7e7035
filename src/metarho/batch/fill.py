"""The store filled with the fits that a batch wants, each read for its table; none made twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from metarho.batch.compute import Done, Task, read
from metarho.batch.runners import Runner
from metarho.batch.work import Work, blocks
from metarho.compare.rows import Row
from metarho.store.store import Store

# Stored fits that are read at once.
_TOGETHER = 256


@dataclass(frozen=True)
class Filled:
    """What became of the fits of a batch, by key. Those in neither were not reached."""

    answers: Mapping[str, Row]
    failures: Mapping[str, str]
    is_whole: bool


def fill(
    works: Sequence[Work],
    task: Task,
    store: Store,
    runner: Runner,
    known: Mapping[str, Row],
    heard: Callable[[Done, str], None],
    stopped: Callable[[], bool],
) -> Filled:
    """Compute what the store does not hold, and read what it does.

    ``known`` are answers of an earlier run. ``heard`` is told of each fit, and where it came from:
    ``table``, ``store`` or ``computed``. Raises FitError or OSError where the store cannot be
    written.
    """
    answers: dict[str, Row] = {}
    failures: dict[str, str] = {}

    def take(done: Done, source: str) -> None:
        if done.failure is not None:
            failures[done.key] = done.failure
        else:
            answers[done.key] = done.answer or {}
        heard(done, source)

    for work in works:
        if work.key in known:
            take(Done(work.key, 0.0, known[work.key]), "table")
    left = [work for work in works if work.key not in answers]
    held = store.holds([work.key for work in left])
    for done in _stored([work for work in left if work.key in held], task, store):
        take(done, "store")
        if stopped():
            break
    if not stopped():
        left = [w for w in left if w.key not in answers and w.key not in failures]
        for done in runner(blocks(left, task.settings), task, store, stopped):
            take(done, "computed")
    return Filled(answers, failures, len(answers) + len(failures) == len(works))


def _stored(works: Sequence[Work], task: Task, store: Store) -> Iterator[Done]:
    """Fits in the store, read; nothing of those that turn out to be damaged."""
    if task.asked is None:
        yield from (Done(work.key, 0.0) for work in works)
        return
    by_key = {work.key: work for work in works}
    results = store.read_many(list(by_key))
    while part := list(islice(results, _TOGETHER)):
        found = [(by_key[key], result) for key, result in part]
        for (work, _), row in zip(found, read(found, task), strict=True):
            answer, failure = (None, row) if isinstance(row, str) else (row, None)
            yield Done(work.key, 0.0, answer, failure)
