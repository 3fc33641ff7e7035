"""A new workspace: the folders and files with which an analysis of one's own begins."""

from __future__ import annotations

from pathlib import Path

from metarho.errors import InputError
from metarho.store.files import write_text

_TEMPLATE = Path(__file__).resolve().parent.parent / "template"


def make_workspace(folder: Path) -> list[Path]:
    """Write ``configs``, ``models`` and ``data`` that run as they are; returns the files.

    What is in the folder stays. Raises InputError, and writes nothing, where a file of the same
    name is there.
    """
    sources = sorted(path for path in _TEMPLATE.rglob("*") if path.is_file())
    # A dot would hide it here, and keep it out of packages.
    names = [
        Path(".gitignore") if path.name == "gitignore" else path.relative_to(_TEMPLATE)
        for path in sources
    ]
    for name in names:
        for taken in (folder / name, *(folder / parent for parent in name.parents)):
            if taken.is_file() or (taken == folder / name and taken.exists()):
                raise InputError(
                    "is there already, and nothing is overwritten; name another folder, or move it",
                    place=str(taken),
                )
    for source, name in zip(sources, names, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / name, source.read_text(encoding="utf-8"))
    return [folder / name for name in names]
