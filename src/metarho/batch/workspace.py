"""A new workspace: the folders and files with which an analysis of one's own begins."""

from __future__ import annotations

from pathlib import Path

from metarho.errors import InputError
from metarho.spec.schema import KINDS, file_name, schema_text
from metarho.store.files import write_text

_TEMPLATE = Path(__file__).resolve().parent.parent / "template"

# Where the first line of each template has its schema.
SCHEMAS = ".schemas"


def make_workspace(folder: Path) -> list[Path]:
    """Write ``configs``, ``models`` and ``data`` that run as they are, and the schemas of both.

    Returns the files. What is in the folder stays. Raises InputError, and writes nothing, where a
    file of the same name is there.
    """
    sources = sorted(path for path in _TEMPLATE.rglob("*") if path.is_file())
    # A dot would hide it here, and keep it out of packages.
    names = [
        Path(".gitignore") if path.name == "gitignore" else path.relative_to(_TEMPLATE)
        for path in sources
    ]
    schemas = [Path(SCHEMAS) / file_name(kind) for kind in KINDS]
    for name in (*names, *schemas):
        for taken in (folder / name, *(folder / parent for parent in name.parents)):
            if taken.is_file() or (taken == folder / name and taken.exists()):
                raise InputError(
                    "is there already, and nothing is overwritten; name another folder, or move it",
                    place=str(taken),
                )
    for source, name in zip(sources, names, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / name, source.read_text(encoding="utf-8"))
    return [*(folder / name for name in names), *write_schemas(folder / SCHEMAS)]


def write_schemas(folder: Path) -> list[Path]:
    """Write the schema of each kind of file, over what is there; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / file_name(kind) for kind in KINDS]
    for kind, path in zip(KINDS, paths, strict=True):
        write_text(path, schema_text(kind))
    return paths
