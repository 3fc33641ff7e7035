"""What a store holds, whether it is whole, and what may go."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from metarho.engines.exact.panels import Axis
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.errors import InputError
from metarho.store.store import Store
from metarho.store.upkeep import (
    Holding,
    Removable,
    holdings,
    named_by_runs,
    removable,
    remove,
    set_aside,
    verify,
)

NOW = 1_000_000_000.0
DAY = 86_400.0


def key(number: int) -> str:
    return f"{number:064x}"


def exact(number: int = 1) -> Quadrature:
    axes = {"tau": Axis.atoms(0.1 * number), "mu": Axis.atoms(0.2)}
    return Quadrature(axes, np.ones((1, 1)), None, None, -1.0, True, 0.0)


def draws() -> Draws:
    return Draws({"mu": np.zeros((2, 3))}, {}, {}, 0.9, False)


def age(path: Path, days: float) -> None:
    os.utime(path, (NOW - days * DAY,) * 2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three files: two exact fits, one sampled, and one of both kinds; all ten days old."""
    made = Store(tmp_path / "store")
    made.write({key(1): exact(1), key(2): exact(2)})
    made.write({key(3): draws()})
    made.write({key(4): exact(4), key(5): draws()})
    for path in made.fits_folder.rglob("*.nc"):
        age(path, 10)
    return made


def file_of(store: Store, number: int) -> str:
    (file,) = {file for name, _, _, file in store.fits() if name == key(number)}
    return file


def test_holdings_count_fits_files_and_bytes_by_engine(store: Store) -> None:
    size = {name: count for name, _, count, _ in store.fits()}
    assert holdings(store) == (
        Holding("exact", 3, 2, size[key(1)] + size[key(2)] + size[key(4)]),
        Holding("nuts", 2, 2, size[key(3)] + size[key(5)]),
    )
    # What was packed: at least the six numbers of the draws.
    assert all(count > 6 * 8 for count in size.values())


def test_a_store_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert (holdings(store), set_aside(store), verify(store).files) == ((), (), 0)
    assert list(removable(store, set(), NOW)) == []


def test_verifying_reads_everything_and_sets_aside_what_is_damaged(store: Store) -> None:
    assert (verify(store).files, verify(store).fits, verify(store).damaged) == (3, 5, ())
    file = file_of(store, 3)
    path = store.fits_folder / file
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    found = verify(store)
    assert (found.files, found.fits) == (2, 4)
    (message,) = found.damaged
    assert message.startswith(f"{path} is damaged")
    assert set_aside(store) == (f"fits/{file}.set-aside",)
    assert store.holds([key(3)]) == set()
    assert verify(store).damaged == ()


def test_verifying_a_file_that_the_index_does_not_know_counts_it_once(store: Store) -> None:
    path = store.fits_folder / "ab" / "foreign.nc"
    path.parent.mkdir(exist_ok=True)
    path.write_text("hello", encoding="utf-8")
    found = verify(Store(store.folder))
    assert (found.files, found.fits, len(found.damaged)) == (3, 5, 1)


def test_what_no_run_names_may_go_and_the_rest_stays(store: Store) -> None:
    before = NOW - DAY
    assert {one.file for one in removable(store, set(), before)} == {
        f"fits/{file}" for file in store.blocks()
    }
    # One fit that is named keeps its whole file.
    gone = list(removable(store, {key(2), key(5)}, before))
    file = file_of(store, 3)
    size = (store.fits_folder / file).stat().st_size
    assert gone == [Removable(f"fits/{file}", "no run names its fits", size)]
    remove(store, gone[0].file)
    assert store.holds([key(n) for n in range(6)]) == {key(n) for n in (1, 2, 4, 5)}
    assert list(removable(store, {key(2), key(5)}, before)) == []


def test_nothing_young_goes(store: Store) -> None:
    file = file_of(store, 3)
    age(store.fits_folder / file, 0.9)
    found = {one.file for one in removable(store, {key(2), key(5)}, NOW - DAY)}
    assert found == set()
    age(store.fits_folder / file, 1.1)
    assert {one.file for one in removable(store, {key(2), key(5)}, NOW - DAY)} == {f"fits/{file}"}


@pytest.mark.parametrize("place", ["fits", "simulations"])
def test_what_is_set_aside_or_left_over_goes_and_what_is_foreign_stays(
    place: str, store: Store
) -> None:
    named = {key(n) for n in range(6)}
    folder = store.folder / place / "ab"
    folder.mkdir(exist_ok=True, parents=True)
    reasons = {
        f"{'c' * 64}.nc.set-aside": "set aside",
        f".{'0a' * 16}.nc": "left over",
        f".{'0a' * 16}.txt": None,
        f".{'0b' * 16}.json": "left over",
        ".hidden.nc": None,
        "notes.json": None,
        "notes.txt": None,
    }
    for name in reasons:
        (folder / name).write_bytes(b"12345")
        age(folder / name, 2)
    expected = {Removable(f"{place}/ab/{n}", reason, 5) for n, reason in reasons.items() if reason}
    assert set(removable(store, named, NOW - DAY)) == expected
    # A writer may still be filling it.
    for name in (f".{'0a' * 16}.nc", f".{'0b' * 16}.json"):
        age(folder / name, 0.5)
    assert {one.reason for one in removable(store, named, NOW - DAY)} == {"set aside"}


def test_a_wrong_index_does_not_let_named_fits_go(store: Store) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(store.folder / "index.sqlite")) as index, index:
        index.execute("UPDATE fit SET key = 'x' || key")
    named = {key(n) for n in (1, 3, 4)}
    assert list(removable(store, named, NOW - DAY)) == []


def test_a_file_that_is_damaged_is_set_aside_and_not_counted_twice(store: Store) -> None:
    (store.fits_folder / file_of(store, 3)).write_bytes(b"no")
    age(store.fits_folder / file_of(store, 3), 5)
    named = {key(n) for n in (1, 4)}
    assert list(removable(store, named, NOW - DAY)) == []
    assert [one.reason for one in removable(store, named, NOW - DAY)] == ["set aside"]


def _run(output: Path, name: str, content: str) -> None:
    (output / name).mkdir()
    (output / name / "run.json").write_text(content, encoding="utf-8")


def test_runs_name_the_keys_of_their_records(tmp_path: Path) -> None:
    _run(tmp_path, "a", json.dumps({"keys": ["k1", "k2"]}))
    _run(tmp_path, "b", json.dumps({"keys": ["k2", "k3"]}))
    _run(tmp_path, "before keys were recorded", json.dumps({"cells": []}))
    _run(tmp_path, "of a simulation", json.dumps({"chunks": ["k4"]}))
    # Of a run that goes on, or was killed when it wrote.
    lines = '{"key": "k5"}\n{"key": "k6"}\n{"key": "k'
    (tmp_path / "a" / "run.jsonl").write_text(lines, encoding="utf-8")
    assert named_by_runs(tmp_path) == {f"k{number}" for number in range(1, 7)}


@pytest.mark.parametrize("content", ["{", "[]", '{"keys": 3}', "[" * 100_000, "\udcff"])
def test_a_record_that_cannot_be_read_stops_the_removal(content: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "run.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="is no record of a run") as caught:
        named_by_runs(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


def _peak(store: Store) -> int:
    tracemalloc.start()
    holdings(store)
    verify(store)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.slow
def test_listing_and_verifying_needs_little_more_memory_for_many_fits(tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 10_000):
        store = Store(tmp_path / str(count))
        for number in range(count):
            store.write({key(number): exact()})
        peaks.append(_peak(Store(store.folder)))
    # What grows are names of files, of some 200 bytes each, in a few sets of them.
    assert peaks[1] - peaks[0] < 9_000 * 1_500
