"""Files that are whole or not there: written aside, then renamed; and the YAML that we write."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ruamel.yaml import YAML

from metarho.errors import FitError

# What is added to the name of a file that cannot be used.
SET_ASIDE = ".set-aside"


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a file aside and rename it to ``path``; on failure leave nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        try:
            write(aside)
        except RuntimeError as error:
            # What netCDF says of a full disk.
            raise FitError(f"cannot write {path}: {error}") from error
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole."""
    write_whole(path, lambda aside: _write(aside, text))


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes whole."""

    def fill(aside: Path) -> None:
        aside.write_bytes(content)

    write_whole(path, fill)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def put_aside(path: Path) -> Path | None:
    """Rename a file that cannot be used, and return where it is now.

    None where another process has done so, and said so. Raises OSError where it cannot be done.
    """
    aside = path.with_name(path.name + SET_ASIDE)
    try:
        path.replace(aside)
    except FileNotFoundError:
        return None
    return aside


def files_below(folder: Path) -> Iterator[str]:
    """The files in the folders of a folder, as ``folder/name``; none where it is not there."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as folders:
        for one in folders:
            if one.is_dir():
                with os.scandir(one.path) as files:
                    yield from (f"{one.name}/{file.name}" for file in files)


def yaml_text(content: Mapping[str, object]) -> str:
    """Plain values as YAML, one key a line."""
    stream = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.width = 100
    writer.dump(content, stream)
    return stream.getvalue()
