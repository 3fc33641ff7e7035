"""Small tables under keys, one JSON file each with its checksum, below a folder of the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metarho.store.files import write_text
from metarho.store.store import SET_ASIDE

# Raised when what such a file holds changes its meaning.
FORMAT = 1

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
        path = self._path(key)
        try:
            return _checked(path.read_bytes(), key, names, length)
        except FileNotFoundError:
            return None
        except _DamagedTableError as error:
            aside = path.with_name(path.name + SET_ASIDE)
            try:
                path.replace(aside)
            except FileNotFoundError:
                # Set aside by another process, which has said so.
                return None
            self.warn(f"{path} {error}; set aside as {aside.name}, it counts as not there")
        except OSError as error:
            self.warn(f"{path} cannot be read ({error.strerror}); it counts as not there")
        return None

    def write(self, key: str, columns: Columns) -> None:
        """Write a table whole. Raises FitError or OSError where that fails."""
        content = {"format": FORMAT, "key": key, "sha256": _digest(columns), "columns": columns}
        write_text(self._path(key), json.dumps(content, allow_nan=False) + "\n")

    def _path(self, key: str) -> Path:
        # Folders of one 256th of all keep each of them short.
        return self.folder / key[:2] / f"{key}.json"


def _checked(content: bytes, key: str, names: Sequence[str], length: int) -> Columns:
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
