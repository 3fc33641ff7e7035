"""Python files that users name: found and read as text, never run here.

``custom: mine.py`` in a model names a file in the folder ``custom`` beside the model's own. What it
defines, and who runs it, is in ``engines/nuts/custom.py``.
"""

from __future__ import annotations

import ast
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from metarho.errors import InputError, shown
from metarho.spec.document import LARGEST_BYTES, Frozen

_FILE = re.compile(r"[\w-]+\.py", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)

# What results call something else, or a dimension of theirs.
RESERVED = (
    *("y", "theta", "theta_new", "chain", "draw", "effect", "design_column"),
    *("rho_median", "rho_mean", "rho_new", "I2", "H2", "log_evidence"),
)


class CustomFile(Frozen):
    """A Python file that builds a model, as it was when the model was read."""

    name: str
    # Where it lies is no part of what a model says.
    path: Path = Field(exclude=True)
    source: str

    def __str__(self) -> str:
        return self.name


def read_custom(name: object, models: Path) -> CustomFile:
    """The file of a name below ``custom`` in the folder of models.

    Raises InputError when the name is no file's name, when there is no such file, when a link
    leads out of the folder, when it is no UTF-8 text of at most 1 MB, and when it imports a module
    of the folder: a fit is known by the text of one file, and would not notice the other's change.
    """
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise InputError(
            f"custom names a file below models/custom, for instance mine.py, not {shown(name)}"
        )
    folder = models.resolve() / "custom"
    custom = read_python("custom", name, folder)
    for line, module in _imports(custom.source):
        if _is_beside(module, folder):
            raise InputError(
                f"imports {shown(module)} from {folder}, and stored fits would not notice when "
                f"that changes; put its code into {name}, or rename what lies there if another "
                "module is meant",
                place=f"{custom.path}:{line}",
            )
    return custom


def _imports(source: str) -> Iterator[tuple[int, str]]:
    """The modules that a text imports, with their lines; a relative one begins with a dot.

    None of a text that is no Python: it fails when it is run, with its line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                start = "." * level + (f"{module}." if module else "")
                yield from ((node.lineno, start + alias.name) for alias in names)


def _is_beside(module: str, folder: Path) -> bool:
    """Whether an import would load what lies in a folder, if anything does.

    A module may be named from the folder, from the one above (``custom.``) or from the workspace
    (``models.custom.``), whichever is on Python's path when the file runs.
    """
    there = {one.stem for one in folder.iterdir() if one.suffix == ".py" or one.is_dir()}
    starts = ("", f"{folder.name}.", f"{folder.parent.name}.{folder.name}.")
    named = {module.removeprefix(start).partition(".")[0] for start in starts}
    return module.startswith(".") or not named.isdisjoint(there)


def read_python(key: str, name: str, folder: Path) -> CustomFile:
    """The Python file of a name in a folder (absolute), as text. ``key`` names it in a document.

    Raises InputError when there is no such file, when a link leads out of the folder, and when it
    is no UTF-8 text of at most 1 MB.
    """
    path = folder / name
    if not path.is_file():
        raise InputError(f"{key}: there is no file {path}")
    if not path.resolve().is_relative_to(folder):
        raise InputError(f"{key}: {path} is a link to {path.resolve()}, outside {folder}")
    raw = path.read_bytes()
    if len(raw) > LARGEST_BYTES:
        raise InputError(f"{key}: {path} has {len(raw)} bytes; {LARGEST_BYTES} are allowed")
    try:
        return CustomFile(name=name, path=path, source=raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{key}: {path} is not UTF-8 (byte {error.start})") from None


def where_raised(path: Path, error: BaseException) -> str:
    """The line of a user's file that an error came from, as ``file:line``; else the file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"{path}:{lines[-1]}" if lines else str(path)


def own_parameter_name(name: str) -> str:
    """A name that a parameter of a custom model may have. Raises ValueError (pydantic's)."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{shown(name)} is no name of a parameter: letters, digits and _ make one")
    if name in RESERVED:
        raise ValueError(f"{name} means something else in results; give the parameter another name")
    return name
