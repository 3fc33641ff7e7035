"""The unit of work of a simulation: some data sets of one truth, fitted by one model and prior set.

Every data set has a generator of its own, so that chunks can be computed anywhere in any order.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version

from metarho.batch.compute import Done, OutOfTime, Task, said, time_limit, writing
from metarho.batch.simulation.readings import NUMBERS, Numbers, Solved, read, solve
from metarho.batch.simulation.truth import Truth, draw, studies_of
from metarho.engines.problem import encoding
from metarho.spec.model import Model, PriorSet
from metarho.store.store import Store
from metarho.store.tables import Columns, Tables, tables_of

# Raised when what is drawn or read changes its meaning, or how it is computed.
FORMAT = 1

COLUMNS = ("status", "reason", *NUMBERS, "log_bf")
"""What is kept of each data set. ``status`` is ok, not reportable or failed; of failed ones the
numbers are None."""


@dataclass(frozen=True)
class Chunk:
    """Data sets ``start`` to ``stop`` (not in it) of a truth, for one model and prior set.

    ``key`` is that of the table which is kept. ``prob`` is the probability of the intervals.
    """

    key: str
    truth: Truth
    seed: int
    start: int
    stop: int
    model: Model
    priors: PriorSet
    prob: float

    @property
    def works(self) -> tuple[Chunk]:
        """What is told under a key when it is done: all of it at once."""
        return (self,)

    @property
    def engine(self) -> str:
        """Simulated data are fitted by the exact engine."""
        return "exact"

    def of(self, keys: Collection[str]) -> Chunk:
        """What is tried again after a process died: all of it."""
        return self

    def compute(
        self, task: Task, store: Store | None, stopped: Callable[[], bool]
    ) -> Iterator[Done]:
        """Draw, fit and read every data set, and keep the table.

        A data set that fails is kept as such; the next run tries again. Raises FitError where the
        store cannot be written.
        """
        start = time.perf_counter()
        columns = self._columns(task)
        answer = {"status": "ok" if is_whole(columns) else "failed"}
        done = Done(self.key, time.perf_counter() - start, answer, result=columns)
        if store is not None:
            self.keep(done, store)
            done = replace(done, result=None)
        yield done

    def keep(self, done: Done, store: Store) -> None:
        """Write the table. Raises FitError where it cannot be written."""
        with writing(store):
            tables_of(store).write(self.key, done.result)

    def _columns(self, task: Task) -> Columns:
        found: list[Solved | str] = []
        for replicate in range(self.start, self.stop):
            try:
                with time_limit(task.limit):
                    found.append(self._solved(replicate))
            except (Exception, OutOfTime) as error:  # told, with the others unharmed
                found.append(said(error, task.limit))
        solved = [one for one in found if isinstance(one, Solved)]
        numbers = iter(read(solved, self.prob))
        rows = [_row(one, next(numbers) if isinstance(one, Solved) else {}) for one in found]
        return {name: [row[name] for row in rows] for name in COLUMNS}

    def _solved(self, replicate: int) -> Solved:
        z = draw(self.truth, self.truth.generator(self.seed, replicate))
        return solve(encoding(self.model, studies_of(self.truth, z)).under(self.priors))

    @cached_property
    def length(self) -> int:
        """Data sets in it."""
        return self.stop - self.start


def _row(one: Solved | str, numbers: Numbers) -> Mapping[str, float | str | None]:
    if isinstance(one, str):
        return {**dict.fromkeys(COLUMNS), "status": "failed", "reason": one}
    values = [*numbers.values(), *([] if one.log_bf is None else [one.log_bf])]
    if not all(value is not None and math.isfinite(value) for value in values):
        reason = "a quantile or a Bayes factor is no finite number"
        return {**dict.fromkeys(COLUMNS), "status": "not reportable", "reason": reason}
    return {"status": one.status, "reason": one.reason, **numbers, "log_bf": one.log_bf}


def key_of_chunk(truth: Truth, seed: int, start: int, stop: int, prob: float, method: str) -> str:
    """SHA-256 of all that the numbers of a chunk depend on.

    ``method`` is the key of the model and prior set on a data set of as many people, which has the
    resolved model and priors in it, and the versions of what computes.
    """
    content = [FORMAT, version("metarho"), asdict(truth), seed, start, stop, prob, method]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def kept(chunk: Chunk, tables: Tables) -> Columns | None:
    """What is kept of a chunk; None where nothing is."""
    return tables.read(chunk.key, COLUMNS, chunk.length)


def is_whole(columns: Columns) -> bool:
    """Whether no data set has failed."""
    return "failed" not in columns["status"]
