"""What a report keeps of a run: used while it is whole and of the same key, else made again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from metarho.batch.kept import KEPT, Entry, entry, key_of, read_kept, write_kept


def test_what_is_kept_is_read_back_with_numbers_that_are_none(tmp_path: Path) -> None:
    entries = {"a": Entry("k", {"numbers": [0.1, math.inf], "text": "ü"}), "b": Entry("l", None)}
    write_kept(tmp_path, entries)
    assert read_kept(tmp_path) == entries


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("0.25", "0.35"),
        lambda text: "[]",
        lambda text: '{"sha256": "x"}',
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_file_counts_as_not_there(tmp_path: Path, damage: object) -> None:
    write_kept(tmp_path, {"a": Entry("k", [0.25])})
    assert callable(damage)
    text = (tmp_path / KEPT).read_text(encoding="utf-8")
    (tmp_path / KEPT).write_text(damage(text), encoding="utf-8")
    assert read_kept(tmp_path) == {}


def test_an_entry_of_another_key_is_made_again() -> None:
    made = []

    def make() -> object:
        made.append(1)
        return "new"

    earlier = {"a": Entry("k", "old")}
    assert entry(earlier, "a", "k", make).content == "old" and not made
    assert entry(earlier, "a", "other", make) == Entry("other", "new")
    assert entry({}, "a", "k", make).content == "new"


def test_a_key_hangs_on_everything_it_is_made_of() -> None:
    assert key_of("a", {"x": 1, "y": 2}) == key_of("a", {"y": 2, "x": 1})
    assert len({key_of("a", 1.0), key_of("a", 2.0), key_of("b", 1.0), key_of(["a"], 1.0)}) == 4
    assert json.dumps(key_of("a")) and len(key_of("a")) == 64
