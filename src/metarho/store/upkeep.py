"""What a store holds, whether it is whole, and what may go."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from metarho.errors import InputError
from metarho.store.files import SET_ASIDE
from metarho.store.store import Store, is_block
from metarho.store.tables import key_in, tables_of

# Nothing younger is removed: a batch that runs has not yet written which fits it uses, and few
# run for longer than a day.
DAYS = 1.0

# What ``write_whole`` fills; still there when its process was killed.
LEFT_OVER = re.compile(r"\.[0-9a-f]{32}\.(nc|json)")

_FITS, _SIMULATIONS = "fits/", "simulations/"


@dataclass(frozen=True)
class Holding:
    """Fits of one engine: how many, in how many files, and their bytes in them.

    With engine ``simulations`` the tables of those, whose ``fits`` (None) are not kept.
    """

    engine: str
    fits: int | None
    files: int
    bytes: int


@dataclass(frozen=True)
class Removable:
    """A file that may go (by its path below the store's folder), why, and its bytes."""

    file: str
    reason: str
    bytes: int


@dataclass(frozen=True)
class Verified:
    """What was read whole, and one message a file that was not.

    ``files`` are those of ``fits``; ``simulations`` are tables, a file each.
    """

    files: int
    fits: int
    simulations: int
    damaged: tuple[str, ...]


def holdings(store: Store) -> tuple[Holding, ...]:
    """What the store holds, by engine, and of simulations."""
    counts: dict[str, tuple[int, int, int]] = {}
    last: dict[str, str] = {}
    # In the order of files, so that none need be remembered but the last.
    for _, engine, size, file in store.fits():
        fits, files, total = counts.get(engine, (0, 0, 0))
        is_new = last.get(engine) != file
        last[engine] = file
        counts[engine] = fits + 1, files + is_new, total + size
    found = [Holding(engine, *counts[engine]) for engine in sorted(counts)]
    tables = tables_of(store)
    sizes = [_size(tables.folder / file) for file in tables.files() if key_in(file)]
    if sizes:
        found.append(Holding("simulations", None, len(sizes), sum(sizes)))
    return tuple(found)


def _size(path: Path) -> int:
    # Another process may have removed it since it was listed.
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _files(store: Store) -> Iterator[str]:
    """All files of fits and of simulations, by their paths below the store's folder."""
    yield from (f"{_FITS}{file}" for file in store.files())
    yield from (f"{_SIMULATIONS}{file}" for file in tables_of(store).files())


def set_aside(store: Store) -> tuple[str, ...]:
    """Files that were set aside, by their paths below the store's folder, in order."""
    return tuple(sorted(file for file in _files(store) if file.endswith(SET_ASIDE)))


def verify(store: Store) -> Verified:
    """Read everything; what is damaged is set aside, and the index made to say what is there."""
    damaged: list[str] = []

    def warn(message: str) -> None:
        damaged.append(message)
        store.warn(message)

    own = replace(store, warn=warn)
    counts = [own.check(file) for file in sorted(own.blocks())]
    tables = tables_of(own)
    whole = [tables.check(file) for file in sorted(tables.files()) if key_in(file)]
    return Verified(sum(count > 0 for count in counts), sum(counts), sum(whole), tuple(damaged))


def named_by_runs(output: Path) -> set[str]:
    """The keys that the records and journals of runs in an output folder name.

    A journal is that of a run that goes on, or was interrupted, too. Raises InputError for a
    record that cannot be read: its fits would be taken for nobody's.
    """
    keys: set[str] = set()
    for path in [*output.glob("*/run.json"), *output.glob("*/run.jsonl")]:
        try:
            text = path.read_text(encoding="utf-8")
            keys |= _journaled(text) if path.suffix == ".jsonl" else _recorded(text)
        except (
            OSError,
            ValueError,
            AttributeError,
            LookupError,
            TypeError,
            RecursionError,
        ) as error:
            raise InputError(
                f"is no record of a run ({error}); run its config again, or remove the file: until "
                "then nobody knows which fits it uses",
                place=str(path),
            ) from None
    return keys


def _recorded(text: str) -> set[str]:
    content = json.loads(text)
    return {str(key) for name in ("keys", "chunks") for key in content.get(name, ())}


def _journaled(text: str) -> set[str]:
    # What follows the last line was cut short, or is being written.
    *lines, _ = text.split("\n")
    return {str(json.loads(line)["key"]) for line in lines}


def removable(store: Store, named: Collection[str], before: float) -> Iterator[Removable]:
    """What may go: set-aside files, left-over ones, and those of which no key is ``named``.

    Only files that were last changed ``before`` (seconds since 1970).
    """
    runs = frozenset(named)
    used = {f"{_FITS}{file}" for key, _, _, file in store.fits() if key in runs}
    for file in sorted(_files(store)):
        if file in used or (reason := _reason(file)) is None:
            continue
        path = store.folder / file
        try:
            status = path.stat()
            if status.st_mtime >= before or _keys_in(store, file) & runs:
                continue
        except FileNotFoundError:
            continue
        if path.exists():
            yield Removable(file, reason, status.st_size)


def remove(store: Store, file: str) -> None:
    """Remove a file, by its path below the store's folder; it may be gone already."""
    if file.startswith(_FITS):
        store.remove(file.removeprefix(_FITS))
    else:
        (store.folder / file).unlink(missing_ok=True)


def _keys_in(store: Store, file: str) -> set[str]:
    """Keys of what a file holds. The index may be wrong; only the file says whose fits it holds."""
    if _is_fits(file):
        return store.keys_in(file.removeprefix(_FITS))
    key = key_in(file.removeprefix(_SIMULATIONS))
    return set() if key is None else {key}


def _reason(file: str) -> str | None:
    if file.endswith(SET_ASIDE):
        return "set aside"
    if _is_fits(file):
        return "no run names its fits"
    if key_in(file.removeprefix(_SIMULATIONS)):
        return "no run names its simulation"
    return "left over" if LEFT_OVER.fullmatch(file.rpartition("/")[2]) else None


def _is_fits(file: str) -> bool:
    return file.startswith(_FITS) and is_block(file)
