"""Results under their keys, in blocks below ``<output>/store/fits``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from metarho.store.blocks import (
    Block,
    DamagedBlockError,
    Place,
    name_of,
    open_block,
    write_block,
)
from metarho.store.entries import Result, pack, unpack
from metarho.store.files import files_below, put_aside
from metarho.store.index import Index, Stored


def _silent(message: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Store:
    """A folder of results. Exact ones hold quadrature, sampled ones draws of hyperparameters.

    A file that is damaged, foreign or of another format is never used: it is set aside with one
    message to ``warn``, and its fits are not there. Any number of processes may read and write at
    once, each through a Store of its own (which can be pickled).
    """

    folder: Path
    warn: Callable[[str], None] = field(default=_silent)

    def __getstate__(self) -> dict[str, object]:
        # Not the index: what one process knows of the files is not another's.
        return {"folder": self.folder, "warn": self.warn}

    @property
    def fits_folder(self) -> Path:
        """Where the blocks lie."""
        return self.folder / "fits"

    def read(self, key: str) -> Result | None:
        """A result, or None when it is not there."""
        return next((result for _, result in self.read_many([key])), None)

    def read_many(self, keys: Iterable[str]) -> Iterator[tuple[str, Result]]:
        """Those of the results that are there and whole, each once, file by file.

        In memory are the wanted ones of one file at a time.
        """
        wanted = set(keys)
        if not self.fits_folder.is_dir():
            return
        # A second time where the index was wrong, and has been made again.
        for _ in range(2):
            wrong = False
            for path, held in self._index.files_of(sorted(wanted)).items():
                asked = wanted & set(held)
                found = self._results(path, asked)
                if found is None:
                    continue
                wrong = wrong or len(found) < len(asked)
                for key, result in found.items():
                    wanted.discard(key)
                    yield key, result
            if not wrong:
                return
            self._index.rebuild()

    def holds(self, keys: Iterable[str]) -> set[str]:
        """Which of the keys are there, by the index; whether they are whole, reading shows."""
        if not self.fits_folder.is_dir():
            return set()
        return {key for held in self._index.files_of(set(keys)).values() for key in held}

    def write(self, results: Mapping[str, Result]) -> None:
        """Write results whole, as one block. Raises FitError or OSError where that fails."""
        if not results:
            return
        path = _path_of(name_of(results))
        entries = [pack(key, results[key]) for key in sorted(results)]
        self._index.add(path, write_block(self.fits_folder / path, entries))

    def fits(self) -> Iterator[Stored]:
        """Key, engine, bytes and file of all fits, by file; files are below ``fits_folder``."""
        return self._index.fits() if self.fits_folder.is_dir() else iter(())

    def files(self) -> Iterator[str]:
        """All files below ``fits_folder``, whatever they are."""
        return files_below(self.fits_folder)

    def blocks(self) -> set[str]:
        """The files that are blocks by their names."""
        return {file for file in self.files() if is_block(file)}

    def check(self, file: str) -> int:
        """Read all of a block, and tell the index what it holds. How many fits are whole."""
        places = self._use(file, _checked)
        if places is None:
            self._index.drop(file)
            return 0
        self._index.add(file, places)
        return len(places)

    def keys_in(self, file: str) -> set[str]:
        """Keys of the fits of a block, by the file itself; none where it cannot be used."""
        return {place.key for place in self._look(file) or ()}

    def remove(self, file: str) -> None:
        """Remove a file, which may be gone already."""
        (self.fits_folder / file).unlink(missing_ok=True)
        if is_block(file):
            self._index.drop(file)

    @cached_property
    def _index(self) -> Index:
        return Index(self.folder / "index.sqlite", self.blocks, self._look)

    def _look(self, file: str) -> tuple[Place, ...] | None:
        return self._use(file, lambda block: block.places)

    def _results(self, file: str, keys: Collection[str]) -> dict[str, Result] | None:
        """Those of the results that a block holds; None where it cannot be used."""

        def read(block: Block) -> dict[str, Result]:
            places = (place for place in block.places if place.key in keys)
            return {place.key: _result(block, place) for place in places}

        found = self._use(file, read)
        if found is None:
            self._index.drop(file)
        return found

    def _use[T](self, file: str, use: Callable[[Block], T]) -> T | None:
        """What ``use`` makes of a block; None where it cannot be used, which is told."""
        try:
            with open_block(self.fits_folder / file) as block:
                if file != _path_of(block.name):
                    raise DamagedBlockError("has a name that is not that of its fits")
                return use(block)
        except FileNotFoundError:
            # Set aside or removed by another process, which has said so.
            return None
        except DamagedBlockError as error:
            self._set_aside(file, str(error))
        except OSError as error:
            self._pass_over(file, f"cannot be read ({error.strerror})")
        return None

    def _set_aside(self, file: str, why: str) -> None:
        path = self.fits_folder / file
        try:
            aside = put_aside(path)
        except OSError as error:
            self._pass_over(file, f"{why}, and cannot be set aside ({error.strerror})")
            return
        if aside is not None:
            self.warn(f"{path} {why}; set aside as {aside.name}, its fits count as not there")

    def _pass_over(self, file: str, why: str) -> None:
        self._index.pass_over(file)
        self.warn(f"{self.fits_folder / file} {why}; its fits count as not there")


def is_block(file: str) -> bool:
    """Whether a file is a block by its name: not set aside, and not still being written."""
    name = file.rpartition("/")[2]
    return name.endswith(".nc") and not name.startswith(".")


def _path_of(name: str) -> str:
    """Where a block of a name lies, in one of 256 folders, each short enough to be listed."""
    return f"{name[:2]}/{name}.nc"


def _checked(block: Block) -> tuple[Place, ...]:
    for place in block.places:
        _result(block, place)
    return block.places


def _result(block: Block, place: Place) -> Result:
    entry = block.read(place)
    try:
        return unpack(entry)
    except MemoryError:
        raise
    # It is what was written, but by whom? It may say anything.
    except Exception as error:
        raise DamagedBlockError(f"holds no result under {place.key} ({error!r})") from None
