"""Small tables under keys, one JSON file each with its checksum, below a folder of the store."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metarho.store.files import files_below, put_aside, write_text
from metarho.store.store import Store

# Raised when what such a file holds changes its meaning.
FORMAT = 1

_FILE = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})\.json")

type Cell = float | str | None
type Columns = Mapping[str, Sequence[Cell]]


def _silent(message: str) -> None:
    """Say nothing."""


class _DamagedTableError(Exception):
    """A file does not hold what was written."""


@dataclass(frozen=True)
class Tables:
    """A folder of tables. Written aside and renamed; a damaged file is set aside, with a message.

    Any number of processes may read and write at once: a key has one content.
    """

    folder: Path
    warn: Callable[[str], None] = field(default=_silent)

    def read(self, key: str, names: Sequence[str], length: int) -> Columns | None:
        """A table with these columns, so long; None where it is not there or not whole."""
        return self._use(self._path(key), lambda content: _asked(content, key, names, length))

    def files(self) -> Iterator[str]:
        """All files below ``folder``, whatever they are."""
        return files_below(self.folder)

    def check(self, file: str) -> bool:
        """Read a file, and set it aside where it is damaged; whether it is whole."""
        path = self.folder / file
        return self._use(path, lambda content: _whole(content, path.stem)) is not None

    def _use(self, path: Path, use: Callable[[bytes], Columns]) -> Columns | None:
        """What ``use`` makes of a file; None where it is not there, or damaged, which is told."""
        try:
            return use(path.read_bytes())
        except FileNotFoundError:
            return None
        except _DamagedTableError as error:
            self._set_aside(path, str(error))
        except OSError as error:
            self._pass_over(path, f"cannot be read ({error.strerror})")
        return None

    def write(self, key: str, columns: Columns) -> None:
        """Write a table whole. Raises FitError or OSError where that fails."""
        content = {"format": FORMAT, "key": key, "sha256": _digest(columns), "columns": columns}
        write_text(self._path(key), json.dumps(content, allow_nan=False) + "\n")

    def _set_aside(self, path: Path, why: str) -> None:
        try:
            aside = put_aside(path)
        except OSError as error:
            self._pass_over(path, f"{why}, and cannot be set aside ({error.strerror})")
            return
        if aside is not None:
            self.warn(f"{path} {why}; set aside as {aside.name}, it counts as not there")

    def _pass_over(self, path: Path, why: str) -> None:
        self.warn(f"{path} {why}; it counts as not there")

    def _path(self, key: str) -> Path:
        # Folders of one 256th of all keep each of them short.
        return self.folder / key[:2] / f"{key}.json"


def tables_of(store: Store) -> Tables:
    """The tables of simulations: below the store's folder, beside its fits."""
    return Tables(store.folder / "simulations", store.warn)


def key_in(file: str) -> str | None:
    """The key of the table in a file, by its name; None where it is no table's."""
    found = _FILE.fullmatch(file)
    return found[1] if found else None


def _whole(content: bytes, key: str) -> Columns:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise _DamagedTableError("is not whole") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _DamagedTableError("is of another format")
    columns = found.get("columns")
    if found.get("key") != key or not isinstance(columns, dict):
        raise _DamagedTableError("is not the table of its name")
    if found.get("sha256") != _digest(columns):
        raise _DamagedTableError("does not hold what was written")
    return columns


def _asked(content: bytes, key: str, names: Sequence[str], length: int) -> Columns:
    columns = _whole(content, key)
    if list(columns) != list(names) or not all(
        isinstance(column, list)
        and len(column) == length
        and all(cell is None or isinstance(cell, str | float) for cell in column)
        for column in columns.values()
    ):
        raise _DamagedTableError("holds other columns than were asked for")
    return columns


def _digest(columns: Columns) -> str:
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()
