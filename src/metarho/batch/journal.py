"""``run.jsonl``: a line a cell, written as it becomes known what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from metarho.batch.compute import Done
from metarho.compare.rows import Value

NAME = "run.jsonl"


class Journal:
    """The journal of one run, begun anew; ``cells`` are those of each key, by their decisions."""

    def __init__(self, folder: Path, cells: Mapping[str, Sequence[Mapping[str, Value]]]) -> None:
        self._cells = cells
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / NAME
        path.write_bytes(b"")
        # At its end, wherever that is: two runs of one config do not write over each other's lines.
        self._stream: IO[str] = path.open("a", encoding="utf-8", newline="\n")

    def write(self, done: Done, source: str) -> None:
        """A line for each cell of a fit, on disk when this returns."""
        lines = []
        for decisions in self._cells.get(done.key, ()):
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                **decisions,
                "key": done.key,
                "status": done.status,
                "source": source,
                "seconds": round(done.seconds, 4),
            }
            if done.failure is not None:
                line["reason"] = done.failure
            lines.append(json.dumps(line) + "\n")
        self._stream.write("".join(lines))
        self._stream.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
