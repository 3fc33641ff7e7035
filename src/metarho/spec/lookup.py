"""Where a named model or config is: the workspace first, then what the package ships."""

from __future__ import annotations

from pathlib import Path

from metarho.errors import InputError, did_you_mean

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_folder(kind: str) -> Path:
    """The ``models`` or ``configs`` that come with the package.

    The wheel carries them inside; a source checkout or editable install has the repository's.
    """
    inside = _PACKAGE / "shipped" / kind
    return inside if inside.is_dir() else _PACKAGE.parent.parent / kind


def workspace(*starts: Path) -> Path | None:
    """The nearest folder at or above each start, in turn, that holds ``models/``."""
    for start in starts:
        for folder in (start, *start.parents):
            if (folder / "models").is_dir():
                return folder
    return None


def find(name: str, kind: str, *starts: Path) -> Path:
    """The file of a model or config.

    A name with ``/`` or a suffix is a path, relative to the first start; any other name is
    looked up in the workspace's folder, then in the shipped one.

    Raises InputError that lists the names there are.
    """
    if "/" in name or Path(name).suffix:
        path = starts[0] / name
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        return path
    own = workspace(*starts)
    folders = [folder for folder in (own and own / kind, shipped_folder(kind)) if folder]
    for folder in folders:
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    names = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    raise InputError(f"there is no {kind.removesuffix('s')} {name!r}; {did_you_mean(name, names)}")
