"""A run read back from its folder: what it was made from, and what it said."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarho.batch.cell_table import MANIFEST, PARQUET
from metarho.batch.inputs import INPUTS, Inputs, inputs_from
from metarho.batch.plain_answers import ANSWERS, Answer, answer, answers_from
from metarho.errors import InputError
from metarho.spec.grid import DECISIONS
from metarho.store.problems import cleaned

# What of a grid's cells has no answer.
_WITHOUT = ("refused", "failed", "not run")


@dataclass(frozen=True)
class RunFolder:
    """A run as its folder tells it. ``versions`` are of Python and the packages."""

    folder: Path
    versions: Mapping[str, str]
    inputs: Inputs
    answers: tuple[Answer, ...]


def read_run(folder: Path) -> RunFolder:
    """Read a run's folder. Nothing but the folder is read, and nothing in it is run.

    Raises InputError for a folder that is none of a run, of an earlier metarho, or with files that
    are missing, lie elsewhere, or are not as the run left them.
    """
    manifest = _manifest(folder)
    if "chunks" in manifest:
        raise InputError(
            "is the folder of a simulation, which has truths in place of evidence; name the "
            "folders of two runs on evidence",
            place=str(folder),
        )
    try:
        digests = {str(name): str(value) for name, value in manifest["sha256"].items()}
        versions = {"python": str(manifest["python"])}
        versions |= {str(name): str(value) for name, value in manifest["packages"].items()}
        cells = manifest.get("cells")
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            f"does not say what the run was made from: an earlier metarho wrote {MANIFEST}, or it "
            "was changed; run the config again",
            place=str(folder),
        ) from None
    inputs = _read(folder, INPUTS, digests, inputs_from)
    if isinstance(cells, dict):
        digests[PARQUET] = str(cells.get("sha256"))
        found = _cells(folder, digests, cells.get("decisions"))
    else:
        found = _read(folder, ANSWERS, digests, answers_from)
    for one in found:
        _check_decisions(one, inputs, folder)
    return RunFolder(folder, versions, inputs, found)


def _manifest(folder: Path) -> Mapping[str, Any]:
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"is no folder of a run: it has no {MANIFEST}; name a folder that metarho run made, or "
            "the config of one",
            place=str(folder),
        )
    try:
        content = cleaned(json.loads(_bytes(folder, MANIFEST).decode()))
    # Deep nesting is a RecursionError, and wrong bytes are a ValueError.
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not readable: {error}", place=str(folder / MANIFEST)) from None
    if not isinstance(content, dict):
        raise InputError("is not the record of a run", place=str(folder / MANIFEST))
    return content


def _bytes(folder: Path, name: str) -> bytes:
    """A file of the folder. Raises InputError where it is not there, or is a link out of it."""
    path = folder / name
    if not path.is_file():
        raise InputError("is missing; run the config again", place=str(path))
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError("is a link out of the run's folder, and is not followed", place=str(path))
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=str(path)) from None


def _intact(folder: Path, name: str, digests: Mapping[str, str]) -> bytes:
    content = _bytes(folder, name)
    if hashlib.sha256(content).hexdigest() != digests.get(name):
        raise InputError(
            "is not as the run left it (its hash is not that in run.json); run the config again",
            place=str(folder / name),
        )
    return content


def _read[T](folder: Path, name: str, digests: Mapping[str, str], read: Callable[[str], T]) -> T:
    content = _intact(folder, name, digests)
    try:
        return read(content.decode())
    except InputError as error:
        raise error.at(str(folder / name)) from None
    # Hash and file may both be of others, who may write anything.
    except Exception as error:
        raise _unreadable(folder / name, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"is not what a run writes: {said}", place=str(path))


def _cells(folder: Path, digests: Mapping[str, str], named: object) -> tuple[Answer, ...]:
    content = _intact(folder, PARQUET, digests)
    # Loaded here: plain runs have no Parquet.
    import pyarrow.parquet as pq

    try:
        if not isinstance(named, list) or not {*named} <= {*DECISIONS}:
            raise ValueError("its decisions are not known")
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
        return tuple(
            answer({n: row[n] for n in named}, row["engine"], row["status"], row, {})
            for row in cleaned(rows)
            if row["status"] not in _WITHOUT
        )
    except Exception as error:  # as above
        raise _unreadable(folder / PARQUET, error) from None


def _check_decisions(one: Answer, inputs: Inputs, folder: Path) -> None:
    """A cell speaks of what the inputs have. Raises InputError otherwise."""
    analysis = inputs.analysis
    allowed: dict[str, tuple[object, ...]] = {
        "model": analysis.models,
        "priors": tuple(analysis.priors),
        "intervals": analysis.studies.intervals,
        **(analysis.grid.own if analysis.grid else {}),
    }
    for name in ("model", "priors", "intervals"):
        if name not in one.decisions:
            raise InputError(f"has a cell without {name}", place=str(folder))
    for name, value in one.decisions.items():
        if value not in allowed.get(name, ()):
            raise InputError(
                f"has a cell with {name} {value!r}, which its inputs do not name; run the config "
                "again",
                place=str(folder),
            )
