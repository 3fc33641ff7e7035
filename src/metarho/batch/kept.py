"""What a report says beyond the fits, kept in the run's folder and used again while it holds.

A comparison or a surface takes many times as long as the fits it is about. Each is one entry of
``report.json`` under a key of everything it depends on. The file is a cache: one that is not
there, damaged or of another key is computed anew and replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from metarho.store.files import write_text

KEPT = "report.json"
# Raised when what is kept, or how it is computed, changes its meaning.
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """Plain values (``content``), and the key of what they were computed from."""

    key: str
    content: object


def key_of(*parts: object) -> str:
    """A key of plain values, and of the version of metarho."""
    text = json.dumps([FORMAT, version("metarho"), *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def read_kept(folder: Path) -> dict[str, Entry]:
    """The entries by name; none where the file is not there or does not hold what was written."""
    try:
        found = json.loads((folder / KEPT).read_text(encoding="utf-8"))
        if found["sha256"] != _digest(found["entries"]):
            return {}
        return {name: Entry(one["key"], one["content"]) for name, one in found["entries"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def entry(earlier: Mapping[str, Entry], name: str, key: str, make: Callable[[], object]) -> Entry:
    """What an earlier run kept under the key, else made anew."""
    found = earlier.get(name)
    return found if found is not None and found.key == key else Entry(key, make())


def write_kept(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Write the entries whole, numbers that are none too: the file is read by this module only.

    Raises FitError or OSError where that fails.
    """
    content = {
        name: {"key": entry.key, "content": entry.content} for name, entry in entries.items()
    }
    text = json.dumps({"sha256": _digest(content), "entries": content})
    write_text(folder / KEPT, text + "\n")


def _digest(entries: object) -> str:
    # Python writes a number so that it reads the same one.
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
