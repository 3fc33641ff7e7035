"""A file of the store: a block of one or many packed results, as NetCDF.

Variables ``entries`` (JSON text: of each entry key, engine, start, stop and SHA-256) and
``content`` (the entries' bytes, one after another). Attributes: ``creation_library``,
``store_format``, and ``sha256`` of ``entries``. Two variables, fixed in size and unchunked: each
further one makes opening and writing a file slower by a fifth.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarho.errors import shown
from metarho.store.entries import Entry
from metarho.store.files import write_whole

if TYPE_CHECKING:
    import netCDF4

# Raised when a file means something else than before.
FORMAT = 1


class DamagedBlockError(Exception):
    """A file is no whole block of this format; the message says why, as "it" would."""


@dataclass(frozen=True)
class Place:
    """Where in its block an entry lies, from byte ``start`` to before ``stop``, and its SHA-256."""

    key: str
    engine: str
    start: int
    stop: int
    sha256: str


@dataclass(frozen=True)
class Block:
    """An open file: the name it should have, its places, and what reads one entry alone."""

    name: str
    places: tuple[Place, ...]
    read: Callable[[Place], Entry]


def name_of(keys: Iterable[str]) -> str:
    """The name of a block of these fits: SHA-256 of their sorted keys."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def write_block(path: Path, entries: Sequence[Entry]) -> list[Place]:
    """Write a block whole. Raises FitError or OSError where that fails, and leaves nothing."""
    places: list[Place] = []
    start = 0
    for entry in entries:
        stop = start + len(entry.content)
        places.append(Place(entry.key, entry.engine, start, stop, entry.sha256))
        start = stop
    content = _netcdf(entries, places)
    write_whole(path, lambda aside: _write(aside, content))
    return places


def _write(path: Path, content: memoryview) -> None:
    path.write_bytes(content)


def _netcdf(entries: Sequence[Entry], places: Sequence[Place]) -> memoryview:
    """The bytes of a file.

    Made in memory: where the disk is full, the library would say that access is denied, and keep
    the removed file open and its space taken.
    """
    import netCDF4
    import numpy as np

    text = json.dumps([asdict(place) for place in places]).encode()
    size = places[-1].stop
    # The name is none of a file; the memory grows where this is too little.
    file = netCDF4.Dataset("block", "w", format="NETCDF4", memory=size + len(text))
    file.creation_library = "metarho"
    file.store_format = FORMAT
    file.sha256 = hashlib.sha256(text).hexdigest()
    _bytes(file, "entries", len(text))[:] = np.frombuffer(text, "u1")
    content = _bytes(file, "content", size)
    for entry, place in zip(entries, places, strict=True):
        content[place.start : place.stop] = np.frombuffer(entry.content, "u1")
    return _to_its_end(file.close())


def _to_its_end(file: memoryview) -> memoryview:
    """A file without what lies behind its end: in memory the library grows it by 64 kB at a time.

    The end stands in the superblock (HDF5 File Format Specification, II.A, versions 2 and 3).
    """
    version, size_of_offsets = file[8], file[9]
    if version not in (2, 3) or size_of_offsets != 8:
        return file
    return file[: int.from_bytes(file[28:36], "little")]


def _bytes(file: netCDF4.Dataset, name: str, size: int) -> netCDF4.Variable[Any]:
    # Each along a dimension of its own name: any other is tied to its dimension through a heap
    # that has no checksum, and a flipped byte there can keep the library reading for ever.
    file.createDimension(name, size)
    return file.createVariable(name, "u1", (name,), contiguous=True, fill_value=False)


@contextmanager
def open_block(path: Path) -> Iterator[Block]:
    """Open a block.

    Raises DamagedBlockError, also when an entry that is read is not the one that was written, and
    OSError where the system does not let the file be read (FileNotFoundError: it is not there).
    """
    import netCDF4

    try:
        file = netCDF4.Dataset(path)
    except OSError as error:
        # The system's own errors are positive, those of netCDF (no such format) negative.
        if error.errno is None or error.errno > 0:
            raise
        raise DamagedBlockError(f"is damaged, or no NetCDF file ({_said(error)})") from None
    with file:
        file.set_auto_maskandscale(False)
        try:
            places, content = _places(file), file["content"]
            name = name_of(place.key for place in places)
        # A file of others may hold anything, and what it says may be wrong in any way.
        except (DamagedBlockError, MemoryError):
            raise
        except Exception as error:
            raise DamagedBlockError(f"is damaged ({_said(error)})") from None
        yield Block(name, places, lambda place: _entry(content, place))


def _places(file: netCDF4.Dataset) -> tuple[Place, ...]:
    attrs: dict[str, Any] = {name: file.getncattr(name) for name in file.ncattrs()}
    if attrs.get("creation_library") != "metarho" or "store_format" not in attrs:
        raise DamagedBlockError("is not a file of a store of metarho")
    written = int(attrs["store_format"])
    if written != FORMAT:
        age = "a newer" if written > FORMAT else "an older"
        raise DamagedBlockError(
            f"was written by {age} metarho (store format {written}; this one reads {FORMAT})"
        )
    table = file["entries"][:].tobytes()
    if hashlib.sha256(table).hexdigest() != attrs["sha256"]:
        raise DamagedBlockError("is damaged (its table of entries is not what was written)")
    size = len(file.dimensions["content"])
    return tuple(_place(one, size) for one in json.loads(table))


def _place(one: dict[str, Any], size: int) -> Place:
    place = Place(**one)
    texts = (place.key, place.engine, place.sha256)
    ends = (place.start, place.stop)
    if not all(isinstance(text, str) for text in texts) or not all(type(n) is int for n in ends):
        raise DamagedBlockError(f"is damaged (an entry is {shown(one)})")
    if not 0 <= place.start <= place.stop <= size:
        raise DamagedBlockError(f"is damaged (an entry lies at {ends} of {size} bytes)")
    return place


def _entry(contents: netCDF4.Variable[Any], place: Place) -> Entry:
    try:
        content = contents[place.start : place.stop].tobytes()
    except (RuntimeError, IndexError, OSError) as error:
        raise DamagedBlockError(f"is damaged ({_said(error)})") from None
    entry = Entry(place.key, place.engine, content)
    if entry.sha256 != place.sha256:
        raise DamagedBlockError(f"is damaged (fit {place.key} is not what was written)")
    return entry


def _said(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0] if text else type(error).__name__
