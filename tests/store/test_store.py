"""The store: what goes in comes out bit for bit, and nothing that is damaged comes out at all."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pickle
import random
import resource
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

import metarho
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.errors import FitError
from metarho.store import blocks
from metarho.store.entries import Entry, Result, pack
from metarho.store.index import Index
from metarho.store.store import Store

MOLLOY = Path(__file__).parents[1] / "references" / "molloy2014.csv"


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def quadrature(model: str = "random-effects", **priors: str) -> Quadrature:
    if model == "three-level":
        where = 'role == "main"'
        studies = metarho.load_studies("internet-alliance", where=where).dropping_intervals()
    else:
        studies = metarho.load_studies(MOLLOY, columns={"ri": "ri", "ni": "ni"})
    fit = metarho.fit(metarho.load_model(model), studies, priors=priors)
    assert isinstance(fit.result, Quadrature)
    return fit.result


def by_hand(full: bool = True) -> Draws:
    rng = np.random.default_rng(1)
    shape = (2, 7)

    def normal(*more: int) -> np.ndarray:
        return rng.normal(size=(*shape, *more))

    parameters = {"mu": normal(), "beta[a b]": normal(), "tau": np.exp(normal())}
    statistics: dict[str, Any] = {
        "diverging": normal() > 1,
        "n_steps": rng.integers(1, 9, shape),
        "lp": normal(),
    }
    if not full:
        return Draws(parameters, {}, statistics, 0.9, False)
    odd = normal()
    odd[0, :4] = [np.nan, -0.0, np.inf, 5e-324]
    return Draws(
        {**parameters, "odd": odd},
        {"study": normal(3), "effect": normal(0)},
        statistics,
        0.99,
        True,
        -12.3,
        0.1 + 0.2,
        {"4": normal(2)},
        {"theta": normal(5), "y": normal(5)},
        normal(),
    )


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {
        "conjugate": quadrature(),
        "not conjugate": quadrature(mu="StudentT(nu=3, mu=0, sigma=0.4)"),
        "improper": quadrature(mu="Flat()"),
        "two levels": quadrature("three-level"),
        "closed form": quadrature("common-effect"),
        "sampled": by_hand(),
        "sampled, little": by_hand(full=False),
    }


def bits(result: Result) -> bytes:
    """Everything that a result holds, every array bit for bit."""
    return pack("", result).content


def assert_same(found: Result | None, expected: Result) -> None:
    """Written without the store's own packing: field by field."""
    assert type(found) is type(expected)
    for name, value in vars(expected).items():
        if name in type(expected).__dataclass_fields__:
            _same(getattr(found, name), value)


def _same(found: object, expected: object) -> None:
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
        assert found.flags.writeable and found.flags.aligned
    elif isinstance(expected, dict):
        assert isinstance(found, dict) and list(found) == list(expected)
        for name, value in expected.items():
            _same(found[name], value)
    elif hasattr(expected, "breaks"):
        for name in ("kind", "centre", "scale", "breaks", "order", "nodes", "weights"):
            _same(getattr(found, name), getattr(expected, name))
    else:
        assert found == expected


CASES = [
    "conjugate",
    "not conjugate",
    "improper",
    "two levels",
    "closed form",
    "sampled",
    "sampled, little",
]


@pytest.mark.parametrize("case", CASES)
def test_a_result_comes_back_bit_for_bit(
    case: str, results: dict[str, Result], tmp_path: Path
) -> None:
    Store(tmp_path).write({key(1): results[case]})
    assert_same(Store(tmp_path).read(key(1)), results[case])


def test_the_cases_are_of_the_kinds_that_they_say(results: dict[str, Result]) -> None:
    shapes = {n: r.mass.ndim for n, r in results.items() if isinstance(r, Quadrature)}
    assert shapes == {
        "conjugate": 1, "not conjugate": 2, "improper": 1, "two levels": 2, "closed form": 0
    }  # fmt: skip
    improper, other = results["improper"], results["not conjugate"]
    assert isinstance(improper, Quadrature) and improper.log_evidence is None
    assert isinstance(other, Quadrature) and other.mean is None


def test_many_results_share_a_file_and_are_read_in_any_company(
    results: dict[str, Result], tmp_path: Path
) -> None:
    block = {key(number): result for number, result in enumerate(results.values())}
    store = Store(tmp_path)
    store.write(block)
    (file,) = store.blocks()
    store.write({key(100): results["conjugate"]})
    assert len(store.blocks()) == 2
    found = dict(store.read_many([*block, key(100), key(101)]))
    assert set(found) == {*block, key(100)}
    assert all(bits(found[name]) == bits(result) for name, result in block.items())
    assert store.holds([key(1), key(100), key(101)]) == {key(1), key(100)}
    assert store.read(key(101)) is None
    assert file == f"{blocks.name_of(block)[:2]}/{blocks.name_of(block)}.nc"


def test_a_block_that_is_written_again_is_the_same_file(
    results: dict[str, Result], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    block = {key(n): results["conjugate"] for n in range(3)}
    for order in (sorted(block), sorted(block, reverse=True)):
        store.write({name: block[name] for name in order})
    assert len(store.blocks()) == 1
    assert len(list(store.fits())) == 3


def test_one_fit_of_a_block_is_read_without_the_content_of_the_others(
    results: dict[str, Result], tmp_path: Path
) -> None:
    heard: list[str] = []
    store = Store(tmp_path, heard.append)
    store.write({key(n): results[CASES[n]] for n in range(3)})
    (file,) = store.blocks()
    first, *_, last = sorted(key(n) for n in range(3))
    _flip(store.fits_folder / file, _content_at(store.fits_folder / file, last))
    assert store.read(first) is not None and heard == []
    assert store.read(last) is None
    # Now the whole file is out: its other fits could be damaged where nobody looked.
    assert len(heard) == 1 and store.holds([first]) == set()


def test_nothing_to_write_writes_nothing(tmp_path: Path) -> None:
    Store(tmp_path / "store").write({})
    assert not (tmp_path / "store").exists()


def test_looking_into_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.read(key(1)) is None and store.holds([key(1)]) == set()
    assert list(store.fits()) == [] and store.blocks() == set()
    assert not (tmp_path / "store").exists()


def test_what_is_no_number_is_not_written(tmp_path: Path) -> None:
    names = np.array([["a", "b"]], dtype=object)
    draws = Draws({"mu": np.zeros((1, 2))}, {}, {"names": names}, 0.9, False)
    with pytest.raises(TypeError, match="statistic_names holds object"):
        Store(tmp_path).write({key(1): draws})
    assert list(tmp_path.rglob("*.nc")) == []


def test_a_store_can_be_sent_to_another_process(results: dict[str, Result], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write({key(1): results["conjugate"]})
    again = pickle.loads(pickle.dumps(store))
    assert again == store and again.read(key(1)) is not None


def test_a_file_of_the_store_opens_elsewhere(results: dict[str, Result], tmp_path: Path) -> None:
    Store(tmp_path).write({key(1): results["conjugate"], key(2): results["sampled"]})
    (path,) = tmp_path.rglob("*.nc")
    with xr.open_dataset(path, engine="netcdf4") as dataset:
        assert dataset.attrs["creation_library"] == "metarho"
        entries = json.loads(dataset["entries"].to_numpy().tobytes())
        content = dataset["content"].to_numpy().tobytes()
    assert {one["key"]: one["engine"] for one in entries} == {key(1): "exact", key(2): "nuts"}
    (line, *_) = content[entries[0]["start"] : entries[0]["stop"]].split(b"\n", 1)
    assert "variables" in json.loads(line)


# Damage: (name, what is done to the only file, what is said).


def _content_at(path: Path, wanted: str) -> int:
    """Where in the file the content of a fit begins."""
    with blocks.open_block(path) as block:
        (place,) = [one for one in block.places if one.key == wanted]
        content = block.read(place).content
    return path.read_bytes().index(content)


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def _flipped_array(path: Path) -> None:
    start = _content_at(path, key(1))
    _flip(path, path.read_bytes().index(b"\n", start) + 100)


def _flipped_header(path: Path) -> None:
    _flip(path, _content_at(path, key(1)) + 20)


def _flipped_table(path: Path) -> None:
    _flip(path, path.read_bytes().index(b'"start": ') + len('"start": '))


def _cut(length: float) -> Callable[[Path], None]:
    def cut(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * length)])

    return cut


def _foreign(path: Path) -> None:
    xr.Dataset({"mass": ("x", [1.0])}).to_netcdf(path, engine="netcdf4")


def _other_format(change: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with blocks.open_block(path) as block:
            entries = [block.read(place) for place in block.places]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(blocks, "FORMAT", blocks.FORMAT + change)
            blocks.write_block(path, entries)

    return write


def _no_table(path: Path) -> None:
    with netCDF4.Dataset(path, "w") as file:
        file.creation_library, file.store_format = "metarho", blocks.FORMAT


def _another_result(path: Path) -> None:
    """Whole, but what it says makes no sense: as if written by a faulty program."""
    entry = Entry(key(1), "exact", b'{"variables": [], "attrs": {}}\n')
    blocks.write_block(path, [entry])


def _objects(path: Path) -> None:
    """A header that asks for objects, which would have to be unpickled."""
    header = {"variables": [{"name": "mass", "dtype": "|O", "shape": [1], "dims": ["x"]}]}
    content = json.dumps(header).encode() + b"\n" + pickle.dumps(1)
    blocks.write_block(path, [Entry(key(1), "exact", content)])


def _huge(path: Path) -> None:
    """A header that asks for more memory than there is."""
    header = {"variables": [{"name": "mass", "dtype": "<f8", "shape": [10**15], "dims": ["x"]}]}
    content = json.dumps(header).encode() + b"\n"
    blocks.write_block(path, [Entry(key(1), "exact", content)])


def _table(one: object) -> Callable[[Path], None]:
    """A table of entries that says what no table says, with the right checksum."""

    def write(path: Path) -> None:
        text = json.dumps([one]).encode()
        path.unlink()
        with netCDF4.Dataset(path, "w") as file:
            file.creation_library, file.store_format = "metarho", blocks.FORMAT
            file.sha256 = hashlib.sha256(text).hexdigest()
            for name, content in (("entries", text), ("content", b"abc")):
                file.createDimension(name, len(content))
                file.createVariable(name, "u1", (name,))[:] = np.frombuffer(content, "u1")

    return write


ENTRY = {"key": key(1), "engine": "exact", "start": 0, "stop": 3, "sha256": "ab" * 32}

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte of its numbers": (_flipped_array, f"is damaged (fit {key(1)} is not what was"),
    "a byte of its header": (_flipped_header, f"is damaged (fit {key(1)} is not what was"),
    "a byte of its table": (_flipped_table, "is damaged (its table of entries is not what"),
    "cut by a byte": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged"),
    "cut by a tenth": (_cut(0.9), "is damaged"),
    "cut by half": (_cut(0.5), "is damaged"),
    "cut to a hundredth": (_cut(0.01), "is damaged"),
    "empty": (_cut(0), "is damaged"),
    "zeros": (lambda path: path.write_bytes(bytes(9000)), "is damaged"),
    "text": (lambda path: path.write_bytes(b"hello\n" * 100), "is damaged, or no NetCDF file"),
    "of another program": (_foreign, "is not a file of a store of metarho"),
    "newer": (
        _other_format(+1), "was written by a newer metarho (store format 2; this one reads 1)"
    ),
    "older": (
        _other_format(-1), "was written by an older metarho (store format 0; this one reads 1)"
    ),
    "without a table": (_no_table, "is damaged"),
    "of another content": (_table(ENTRY), f"is damaged (fit {key(1)} is not what was written)"),
    "that is no table": (_table("hello"), "is damaged"),
    "of keys that are lists": (_table({**ENTRY, "key": [1]}), "is damaged (an entry is {"),
    "of keys that are no text": (_table({**ENTRY, "key": "\ud800"}), "is damaged ('utf-8'"),
    "of places that are texts": (_table({**ENTRY, "start": "0"}), "is damaged (an entry is {"),
    "of places outside": (_table({**ENTRY, "stop": 4}), "is damaged (an entry lies at (0, 4) of 3"),
    "of endless places": (_table({**ENTRY, "stop": 10**30}), "is damaged (an entry lies at (0, 1"),
    "of no result": (_another_result, f"holds no result under {key(1)}"),
    "of objects": (_objects, f"holds no result under {key(1)} (ValueError('mass is of type obj"),
    "of endless arrays": (_huge, f"holds no result under {key(1)} (TypeError('buffer is too sma"),
}  # fmt: skip


@pytest.mark.parametrize("known", [True, False], ids=["indexed", "not indexed"])
@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_file_is_set_aside_with_one_message(
    case: str, known: bool, results: dict[str, Result], tmp_path: Path
) -> None:
    damage, said = DAMAGES[case]
    Store(tmp_path).write({key(1): results["conjugate"]})
    (path,) = tmp_path.rglob("*.nc")
    damage(path)
    if not known:
        (tmp_path / "index.sqlite").unlink()
    heard: list[str] = []
    store = Store(tmp_path, heard.append)
    assert store.read(key(1)) is None
    assert dict(store.read_many([key(1)])) == {} and store.holds([key(1)]) == set()
    (message,) = heard
    assert message.startswith(f"{path} {said}")
    assert f"set aside as {path.name}.set-aside" in message
    assert [one.name for one in path.parent.iterdir()] == [f"{path.name}.set-aside"]
    # And it is made again.
    store.write({key(1): results["conjugate"]})
    assert_same(store.read(key(1)), results["conjugate"])


def test_a_file_under_another_name_is_set_aside(results: dict[str, Result], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write({key(1): results["conjugate"]})
    store.write({key(2): results["sampled"]})
    first, second = (store.fits_folder / next(iter(store.blocks() - {o})) for o in store.blocks())
    first.write_bytes(second.read_bytes())
    odd = store.fits_folder / "zz" / "copy of a fit.nc"
    odd.parent.mkdir()
    shutil.copy(second, odd)
    heard: list[str] = []
    again = Store(tmp_path, heard.append)
    assert len(dict(again.read_many([key(1), key(2)]))) == 1
    assert len(heard) == 2
    assert all("has a name that is not that of its fits" in message for message in heard)


def test_a_file_that_vanishes_is_not_there_and_nothing_is_said(
    results: dict[str, Result], tmp_path: Path
) -> None:
    heard: list[str] = []
    store = Store(tmp_path, heard.append)
    store.write({key(1): results["conjugate"]})
    (path,) = tmp_path.rglob("*.nc")
    path.unlink()
    assert store.holds([key(1)]) == {key(1)}
    assert store.read(key(1)) is None and store.holds([key(1)]) == set() and heard == []


def test_a_fit_in_two_files_survives_the_loss_of_one(
    results: dict[str, Result], tmp_path: Path
) -> None:
    heard: list[str] = []
    store = Store(tmp_path, heard.append)
    for company in ([key(1), key(2)], [key(1), key(3)], [key(1)]):
        store.write(dict.fromkeys(company, results["conjugate"]))
    for left in (2, 1, 0):
        for file in sorted(store.blocks())[: len(store.blocks()) - left]:
            (store.fits_folder / file).write_bytes(b"no")
        assert (store.read(key(1)) is not None) == (left > 0)
    assert len(heard) == 3


# The index.


def _lying(statement: str) -> Callable[[Path], None]:
    def lie(path: Path) -> None:
        with closing(sqlite3.connect(path)) as index, index:
            index.execute(statement)

    return lie


def _of_something_else(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as index, index:
        index.execute("CREATE TABLE fit (something TEXT)")


INDICES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"garbage" * 1000),
    "garbage behind a good beginning": lambda path: path.write_bytes(
        path.read_bytes()[:200] + b"\xa5" * 8000
    ),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "of something else": _of_something_else,
    "of another version": _lying("PRAGMA user_version = 7"),
    "without a table": _lying("DROP TABLE fit"),
    "knows no files": _lying("DELETE FROM file"),
    "confuses files": _lying(
        "UPDATE fit SET path = (SELECT max(path) FROM file WHERE path <> fit.path)"
    ),
    "confuses keys": _lying("UPDATE fit SET key = 'x' || key"),
    "names files outside": _lying("UPDATE fit SET path = '../../outside.nc'"),
    "names numbers": _lying("UPDATE fit SET path = 3"),
    "names a missing file": _lying(f"UPDATE fit SET path = '{'ab' * 33}'"),
}


@pytest.mark.parametrize("case", INDICES)
def test_a_wrong_index_never_gives_a_wrong_result(
    case: str, results: dict[str, Result], tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    (tmp_path / "outside.nc").write_text("precious", encoding="utf-8")
    stored = {key(1): results["conjugate"], key(2): results["sampled"]}
    for name, result in stored.items():
        Store(folder).write({name: result})
    INDICES[case](folder / "index.sqlite")
    heard: list[str] = []
    found = dict(Store(folder, heard.append).read_many(stored))
    # Where the index only lacks fits they are not there, and would be computed again.
    assert all(bits(result) == bits(stored[name]) for name, result in found.items())
    assert len(found) == (0 if case == "confuses keys" else 2)
    assert heard == [] and len(list(folder.rglob("*.nc"))) == 2
    # A wrong one is right again when everything has been read.
    store = Store(folder, heard.append)
    assert sum(store.check(file) for file in store.blocks()) == 2
    assert store.holds(stored) == set(stored)
    assert (tmp_path / "outside.nc").read_text(encoding="utf-8") == "precious"
    # And not only in memory.
    with closing(sqlite3.connect(folder / "index.sqlite")) as index:
        assert index.execute("SELECT count(*) FROM fit").fetchone() == (2,)


def test_an_index_behind_the_files_catches_up(results: dict[str, Result], tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write({key(1): results["conjugate"]})
    # As if its process had been killed between the renaming and the entry.
    entry = pack(key(2), results["sampled"])
    name = blocks.name_of([key(2)])
    blocks.write_block(store.fits_folder / name[:2] / f"{name}.nc", [entry])
    assert Store(tmp_path).holds([key(1), key(2)]) == {key(1), key(2)}


def test_an_index_ahead_of_the_files_forgets(results: dict[str, Result], tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in (1, 2):
        store.write({key(number): results["conjugate"]})
    for path in tmp_path.rglob("*.nc"):
        if _holds(path, key(1)):
            path.unlink()
    assert Store(tmp_path).holds([key(1), key(2)]) == {key(2)}


def test_an_index_is_read_once_and_hears_what_other_processes_write(
    results: dict[str, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []
    compare = Index._compare

    def counting(self: Index, index: sqlite3.Connection) -> None:
        compared.append(1)
        compare(self, index)

    mine, others = Store(tmp_path), Store(tmp_path)
    others.write({key(1): results["conjugate"]})
    monkeypatch.setattr(Index, "_compare", counting)
    assert mine.holds([key(1)]) == {key(1)}
    others.write({key(2): results["conjugate"]})
    assert mine.holds([key(2)]) == {key(2)} and mine.read(key(2)) is not None
    assert len(compared) == 1


def test_a_store_whose_index_cannot_be_made_is_read_and_written(
    results: dict[str, Result], tmp_path: Path
) -> None:
    (tmp_path / "index.sqlite").mkdir()
    store = Store(tmp_path)
    store.write({key(1): results["conjugate"]})
    assert store.read(key(1)) is not None
    Store(tmp_path).write({key(2): results["conjugate"]})
    assert store.holds([key(1), key(2)]) == {key(1), key(2)}


def test_a_locked_index_does_not_stop_anything(
    results: dict[str, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metarho.store.index.PATIENCE", 0.05)
    store = Store(tmp_path)
    store.write({key(1): results["conjugate"]})
    with closing(sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.write({key(2): results["conjugate"]})
        assert len(dict(store.read_many([key(1), key(2)]))) == 2
        assert len(dict(Store(tmp_path).read_many([key(1), key(2)]))) == 2
    assert Store(tmp_path).holds([key(2)]) == {key(2)}


# Several processes.


def _work(folder: Path, number: int, wrong: multiprocessing.SimpleQueue[str]) -> None:
    """Write and read keys that other processes write and read too, in another order."""
    heard: list[str] = []
    store = Store(folder, heard.append)
    rng = random.Random(number)
    for _ in range(15):
        first = rng.randrange(20)
        company = range(first, first + rng.randrange(1, 4))
        store.write({key(n): _numbered(n) for n in company})
        for name, result in store.read_many(key(n) for n in range(24)):
            (there,) = [n for n in range(24) if key(n) == name]
            if bits(result) != bits(_numbered(there)):
                wrong.put(f"{there} is not what was written")
    for message in heard:
        wrong.put(message)
    wrong.put("done")


def _numbered(number: int) -> Draws:
    return Draws({"mu": np.full((1, 50 + number), float(number))}, {}, {}, 0.9, False)


def test_processes_write_and_read_the_same_keys_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    said: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    workers = [context.Process(target=_work, args=(tmp_path, n, said)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    heard = []
    while not said.empty():
        heard.append(said.get())
    assert heard == ["done", "done"]
    store = Store(tmp_path, heard.append)
    files = store.blocks()
    assert sum(store.check(file) for file in files) == len(list(store.fits()))
    assert len(heard) == 2


def _write_for_ever(folder: Path) -> None:
    store = Store(folder)
    number = 0
    while True:
        block = {key(n): _numbered(n % 50) for n in range(number, number + 20)}
        store.write(block)
        number += 20


def test_a_killed_writer_leaves_a_store_that_is_whole(tmp_path: Path) -> None:
    rng = random.Random(1)
    heard: list[str] = []
    for _ in range(20):
        # Forked, to be at work at once.
        worker = os.fork()
        if worker == 0:
            _write_for_ever(tmp_path)
        time.sleep(rng.uniform(0.02, 0.12))
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        store = Store(tmp_path, heard.append)
        fits = sum(store.check(file) for file in store.blocks())
        assert fits == len(list(store.fits())) and heard == []
    assert fits > 0 and fits % 20 == 0
    left_over = [path for path in tmp_path.rglob(".*.nc") if path.is_file()]
    assert all(len(path.name) == len(".") + 32 + len(".nc") for path in left_over)


# Folders that cannot be written, and full disks.


@pytest.fixture
def read_only() -> Iterator[Callable[[Callable[[Path], object]], Path]]:
    """Makes a folder, lets it be filled, and takes away the right to write, also from root."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0

    def make(fill: Callable[[Path], object]) -> Path:
        fill(folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        if root:
            # Rights do not bind root: become a user (by custom this one is nobody).
            os.seteuid(65534)
        return folder

    yield make
    if root:
        os.seteuid(0)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


def _index_in(state: str, index: Path) -> None:
    """Leaves an index in a state: as it is, or wrong, or none."""
    if state != "right":
        INDICES[state](index)


@pytest.mark.parametrize("state", ["right", "deleted", "garbage", "knows no files", "cut"])
def test_a_store_that_cannot_be_written_is_read(
    state: str,
    results: dict[str, Result],
    read_only: Callable[[Callable[[Path], object]], Path],
) -> None:
    stored = {key(1): results["conjugate"], key(2): results["sampled"]}

    def fill(folder: Path) -> None:
        for name, result in stored.items():
            Store(folder).write({name: result})
        _index_in(state, folder / "index.sqlite")

    heard: list[str] = []
    folder = read_only(fill)
    store = Store(folder, heard.append)
    assert store.holds([*stored, key(3)]) == set(stored)
    assert {n: bits(r) for n, r in store.read_many(stored)} == {
        n: bits(r) for n, r in stored.items()
    }
    assert store.read(key(3)) is None and heard == []
    with pytest.raises(PermissionError):
        store.write({key(3): results["conjugate"]})
    assert list(folder.rglob(".*")) == [] and len(list(folder.rglob("*.nc"))) == 2


def test_a_wrong_index_that_cannot_be_written_is_done_without(
    results: dict[str, Result], read_only: Callable[[Callable[[Path], object]], Path]
) -> None:
    def fill(folder: Path) -> None:
        for number in (1, 2):
            Store(folder).write({key(number): results["conjugate"]})
        INDICES["confuses files"](folder / "index.sqlite")

    store = Store(read_only(fill))
    assert len(dict(store.read_many([key(1), key(2)]))) == 2


def test_a_damaged_file_that_cannot_be_set_aside_is_passed_over_with_one_message(
    results: dict[str, Result], read_only: Callable[[Callable[[Path], object]], Path]
) -> None:
    def fill(folder: Path) -> None:
        for number in (1, 2):
            Store(folder).write({key(number): results["conjugate"]})
        _flipped_array(next(path for path in folder.rglob("*.nc") if _holds(path, key(1))))

    heard: list[str] = []
    store = Store(read_only(fill), heard.append)
    for _ in range(3):
        assert store.read(key(1)) is None and store.read(key(2)) is not None
    (message,) = heard
    assert "is damaged" in message and "cannot be set aside (Permission denied)" in message
    # Another process is told too, once.
    other = Store(store.folder, heard.append)
    assert set(dict(other.read_many([key(1), key(2), key(3)]))) == {key(2)}
    assert other.read(key(1)) is None
    assert len(heard) == 2


def _holds(path: Path, wanted: str) -> bool:
    with blocks.open_block(path) as block:
        return wanted in {place.key for place in block.places}


def test_a_file_that_may_not_be_read_is_passed_over(
    results: dict[str, Result], read_only: Callable[[Callable[[Path], object]], Path]
) -> None:
    heard: list[str] = []
    folder = read_only(lambda folder: Store(folder).write({key(1): results["conjugate"]}))
    if os.getuid() == 0:
        os.seteuid(0)
    (path,) = folder.rglob("*.nc")
    path.chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)
    store = Store(folder, heard.append)
    assert store.read(key(1)) is None and store.read(key(1)) is None
    (message,) = heard
    assert message.startswith(f"{path} cannot be read (Permission denied)")


@pytest.mark.parametrize("limit", [100, 5_000, 12_000])
def test_a_full_disk_is_an_error_and_leaves_nothing_half_written(
    limit: int, results: dict[str, Result], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    store.write({key(1): results["closed form"]})
    before = sorted(tmp_path.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files may not grow beyond the limit: to those who write the same as no space left.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises((FitError, OSError), match=r"cannot write|File too large"):
            store.write({key(2): results["two levels"], key(3): results["conjugate"]})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path for path in sorted(tmp_path.rglob("*")) if path.is_file()] == [
        path for path in before if path.is_file()
    ]
    assert Store(tmp_path).holds([key(1), key(2)]) == {key(1)}
    store.write({key(2): results["two levels"]})
    assert store.read(key(2)) is not None
