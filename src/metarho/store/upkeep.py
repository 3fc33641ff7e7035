"""What a store holds, whether it is whole, and what may go."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from metarho.errors import InputError
from metarho.store.store import SET_ASIDE, Store, is_block

# Nothing younger is removed: a batch that runs has not yet written which fits it uses, and few
# run for longer than a day.
DAYS = 1.0

# What ``write_whole`` fills; still there when its process was killed.
LEFT_OVER = re.compile(r"\.[0-9a-f]{32}\.nc")


@dataclass(frozen=True)
class Holding:
    """Fits of one engine: how many, in how many files, and their bytes in them."""

    engine: str
    fits: int
    files: int
    bytes: int


@dataclass(frozen=True)
class Removable:
    """A file that may go (below the folder of fits), why, and its bytes."""

    file: str
    reason: str
    bytes: int


@dataclass(frozen=True)
class Verified:
    """What was read whole, and one message a file that was not."""

    files: int
    fits: int
    damaged: tuple[str, ...]


def holdings(store: Store) -> tuple[Holding, ...]:
    """What the store holds, by engine."""
    found: dict[str, Holding] = {}
    last: dict[str, str] = {}
    # In the order of files, so that none need be remembered but the last.
    for _, engine, size, file in store.fits():
        so_far = found.get(engine, Holding(engine, 0, 0, 0))
        is_new = last.get(engine) != file
        last[engine] = file
        found[engine] = Holding(engine, so_far.fits + 1, so_far.files + is_new, so_far.bytes + size)
    return tuple(found[engine] for engine in sorted(found))


def set_aside(store: Store) -> tuple[str, ...]:
    """Files that were set aside, in order."""
    return tuple(sorted(file for file in store.files() if file.endswith(SET_ASIDE)))


def verify(store: Store) -> Verified:
    """Read everything; what is damaged is set aside, and the index made to say what is there."""
    damaged: list[str] = []

    def warn(message: str) -> None:
        damaged.append(message)
        store.warn(message)

    own = replace(store, warn=warn)
    counts = [own.check(file) for file in sorted(own.blocks())]
    return Verified(sum(count > 0 for count in counts), sum(counts), tuple(damaged))


def named_by_runs(output: Path) -> set[str]:
    """The keys that the records of runs in an output folder name.

    Raises InputError for a record that cannot be read: its fits would be taken for nobody's.
    """
    keys: set[str] = set()
    for path in sorted(output.glob("*/run.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            keys.update(map(str, content.get("keys", ())))
        except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise InputError(
                f"is no record of a run ({error}); run its config again, or remove the file: until "
                "then nobody knows which fits it uses",
                place=str(path),
            ) from None
    return keys


def removable(store: Store, named: Collection[str], before: float) -> Iterator[Removable]:
    """What may go: set-aside files, left-over ones, and those of whose fits none is ``named``.

    Only files that were last changed ``before`` (seconds since 1970).
    """
    runs = frozenset(named)
    used = {file for key, _, _, file in store.fits() if key in runs}
    for file in sorted(store.files()):
        if file in used or (reason := _reason(file)) is None:
            continue
        path = store.fits_folder / file
        try:
            status = path.stat()
            # The index may be wrong; only the file says whose fits it holds.
            young = status.st_mtime >= before
            if young or (is_block(file) and store.keys_in(file) & runs):
                continue
        except FileNotFoundError:
            continue
        if path.exists():
            yield Removable(file, reason, status.st_size)


def _reason(file: str) -> str | None:
    if file.endswith(SET_ASIDE):
        return "set aside"
    if is_block(file):
        return "no run names its fits"
    return "left over" if LEFT_OVER.fullmatch(file.rpartition("/")[2]) else None
