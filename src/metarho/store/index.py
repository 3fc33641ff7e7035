"""Which file of a store holds which fit: a cache in SQLite, kept up to date with the files.

The files alone count. An index that is gone, damaged or behind them is made again from them; where
it can be neither used nor made again (a read-only folder), one in memory does.
"""

from __future__ import annotations

import re
import sqlite3
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import batched
from pathlib import Path

from metarho.store.blocks import Place

# Raised when the tables below change; an index of another version is made again.
VERSION = 1

# Seconds that a process waits for another's entry, which takes milliseconds.
PATIENCE = 30.0

# Below the number of values that any SQLite takes in one statement (999).
CHUNK = 500

# Files whose fits are entered together: few enough that a killed process loses little work.
FILES_AT_ONCE = 200

# Where a block lies below the folder of fits; what an index names and this does not match is a lie.
BLOCK_PATH = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{62}\.nc")

TABLES = (
    "CREATE TABLE file (path TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE fit (key TEXT, path TEXT, engine TEXT, bytes INTEGER, "
    "PRIMARY KEY (key, path)) WITHOUT ROWID",
    "CREATE INDEX fit_by_path ON fit (path)",
    f"PRAGMA user_version = {VERSION}",
)

# What SQLite says where trying again, or making the index anew, does not help.
_UNUSABLE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}

type Stored = tuple[str, str, int, str]
"""Key, engine, bytes and path of a fit."""


class Index:
    """The index of one store in one process.

    ``files`` lists the paths of blocks that are there; ``look`` gives the places in one of them,
    None where it is no block. Every question opens the file anew: no connection is shared between
    threads, or with a process that was forked.
    """

    def __init__(
        self,
        path: Path,
        files: Callable[[], set[str]],
        look: Callable[[str], Sequence[Place] | None],
    ) -> None:
        self._path, self._files, self._look = path, files, look
        # Whether this process has compared the index with the files.
        self._current = False
        self._memory: sqlite3.Connection | None = None
        # Files that are no blocks and stay where they are: told of once in a process.
        self._passed_over: set[str] = set()

    def files_of(self, keys: Iterable[str]) -> dict[str, list[str]]:
        """Path -> which of the keys are in that file. A key may be in several."""
        wanted = list(keys)

        def question(index: sqlite3.Connection) -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for chunk in batched(wanted, CHUNK):
                marks = ",".join("?" * len(chunk))
                rows = index.execute(f"SELECT path, key FROM fit WHERE key IN ({marks})", chunk)
                for path, key in rows:
                    found.setdefault(_checked(path), []).append(str(key))
            return found

        found = self._ask(question)
        if self._memory is not None and len({k for ks in found.values() for k in ks}) < len(wanted):
            # Nobody enters in this index what other processes write.
            self._compare(self._memory)
            found = question(self._memory)
        return found

    def add(self, path: str, places: Iterable[Place]) -> None:
        """Enter what a file holds, in place of what was known of it."""
        entered = [(path, list(places))]
        self._ask(lambda index: _enter(index, entered))

    def drop(self, path: str) -> None:
        """Forget a file."""
        self._ask(lambda index: _forget(index, [path]))

    def pass_over(self, path: str) -> None:
        """Do not look at a file again in this process."""
        self._passed_over.add(path)

    def rebuild(self) -> None:
        """Make the index again from the files: it was wrong about them."""
        self._discard()
        self._current = False
        # One that cannot be removed would be wrong again.
        self._memory = self._in_memory() if self._path.exists() else None

    def fits(self) -> Iterator[Stored]:
        """All fits, by path and key."""
        after = ("", "")
        while chunk := self._ask(partial(_page, after=after)):
            yield from chunk
            key, _, _, path = chunk[-1]
            after = (path, key)

    def _ask[T](self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the index: a damaged one is made again, one that cannot be used replaced."""
        if self._memory is None:
            for _ in range(2):
                try:
                    with closing(self._connected()) as index:
                        return question(index)
                except sqlite3.DatabaseError as error:
                    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
                    # The low byte is the kind, the high ones say more of it.
                    if code & 0xFF in _UNUSABLE:
                        break
                    self._discard()
            self._memory = self._in_memory()
        return question(self._memory)

    def _in_memory(self) -> sqlite3.Connection:
        index = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        # The only connection that stays open: as long as this index is used.
        weakref.finalize(self, index.close)
        _make(index)
        self._compare(index)
        return index

    def _connected(self) -> sqlite3.Connection:
        index = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
        try:
            # A cache need not outlive a power cut: it would be found out and made again.
            index.execute("PRAGMA synchronous = OFF")
            if _version(index) != VERSION:
                _make(index)
                self._current = False
            if not self._current:
                self._compare(index)
                self._current = True
        except BaseException:
            index.close()
            raise
        return index

    def _compare(self, index: sqlite3.Connection) -> None:
        """Enter files that are not known, forget those that are gone."""
        # In this order: what another process enters meanwhile is in neither set, and stays.
        known = {str(path) for (path,) in index.execute("SELECT path FROM file")}
        there = self._files()
        gone = known - there
        if gone:
            _forget(index, gone)
        for chunk in batched(sorted(there - known - self._passed_over), FILES_AT_ONCE):
            seen = [(path, places) for path in chunk if (places := self._look(path)) is not None]
            _enter(index, seen)

    def _discard(self) -> None:
        # Where they cannot be removed, what comes next says that the index cannot be used.
        for suffix in ("-journal", ""):
            with suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _version(index: sqlite3.Connection) -> int:
    (version,) = index.execute("PRAGMA user_version").fetchone()
    return int(version)


def _make(index: sqlite3.Connection) -> None:
    with _transaction(index):
        # Another process may have made them while this one waited.
        if _version(index) != VERSION:
            for (name,) in index.execute("SELECT name FROM sqlite_master").fetchall():
                raise sqlite3.DatabaseError(f"a table {name!r} of something else")
            for statement in TABLES:
                index.execute(statement)


def _enter(index: sqlite3.Connection, files: Sequence[tuple[str, Sequence[Place]]]) -> None:
    if not files:
        return
    with _transaction(index):
        _delete(index, [path for path, _ in files])
        index.executemany("INSERT INTO file VALUES (?)", [(path,) for path, _ in files])
        index.executemany(
            "INSERT INTO fit VALUES (?, ?, ?, ?)",
            [
                (place.key, path, place.engine, place.stop - place.start)
                for path, places in files
                for place in places
            ],
        )


def _forget(index: sqlite3.Connection, paths: Collection[str]) -> None:
    with _transaction(index):
        _delete(index, paths)


def _delete(index: sqlite3.Connection, paths: Collection[str]) -> None:
    for table in ("fit", "file"):
        index.executemany(f"DELETE FROM {table} WHERE path = ?", [(path,) for path in paths])


def _page(index: sqlite3.Connection, after: tuple[str, str]) -> list[Stored]:
    # By pages: a reader that is slow does not keep others from writing.
    rows = index.execute(
        "SELECT key, engine, bytes, path FROM fit WHERE (path, key) > (?, ?) "
        "ORDER BY path, key LIMIT ?",
        (*after, CHUNK),
    )
    return [(str(key), str(engine), int(size), _checked(path)) for key, engine, size, path in rows]


def _checked(path: object) -> str:
    if not isinstance(path, str) or not BLOCK_PATH.fullmatch(path):
        raise sqlite3.DatabaseError(f"{path!r} is no path of a block")
    return path


@contextmanager
def _transaction(index: sqlite3.Connection) -> Iterator[None]:
    # Immediate: one that begins by reading could not wait for another's.
    index.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # Where the disk is full SQLite has rolled back itself.
        if index.in_transaction:
            index.execute("ROLLBACK")
        raise
    index.execute("COMMIT")
