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
    files = names(kind, *starts)
    if name not in files:
        raise InputError(
            f"there is no {kind.removesuffix('s')} {name!r}; {did_you_mean(name, files)}"
        )
    return files[name]


def names(kind: str, *starts: Path) -> dict[str, Path]:
    """Every name of a kind, sorted, and its file: a workspace's own hides what is shipped."""
    own = workspace(*starts)
    folders = [shipped_folder(kind), *([own / kind] if own else [])]
    files = {path.stem: path for folder in folders for path in folder.glob("*.yaml")}
    return {name: files[name] for name in sorted(files) if files[name].is_file()}


def is_shipped(path: Path, kind: str) -> bool:
    """Whether a file is one of those that come with the package."""
    return path.resolve().parent == shipped_folder(kind).resolve()
