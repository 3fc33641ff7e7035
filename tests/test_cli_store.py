"""``metarho store`` from the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from command_line import CommandLine
from metarho.store.store import Store
from simulation_cases import SMALL, write_simulation

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: drop}
models: [random-effects]
priors: {default: {}, narrow: {mu: "Normal(mu=0, sigma=0.2)"}}
report: none
"""


@pytest.fixture
def line(command: CommandLine) -> CommandLine:
    (command.folder / "models").mkdir()
    (command.folder / "small.yaml").write_text(CONFIG, encoding="utf-8")
    return command


@pytest.fixture
def ran(line: CommandLine) -> CommandLine:
    assert line.run("run", "./small.yaml")[0] == 0
    return line


def age(folder: Path, days: float) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - days * 86_400,) * 2)


def test_a_run_names_the_keys_of_its_fits(ran: CommandLine) -> None:
    record = json.loads((ran.folder / "outputs" / "small" / "run.json").read_text())
    store = Store(ran.folder / "outputs" / "store")
    assert record["keys"] == sorted(key for key, *_ in store.fits())
    assert len(record["keys"]) == 2


def test_ls_counts_by_engine(ran: CommandLine) -> None:
    code, out, err = ran.run("store", "ls")
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first == f"store: {ran.folder}/outputs/store"
    assert second == "exact: 2 fits in 1 file, 0.0 MB"
    _, out, _ = ran.run("store", "ls", "--csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert (row["engine"], row["fits"], row["files"]) == ("exact", "2", "1")
    content = json.loads(ran.run("store", "ls", "--json")[1])
    assert content["engines"][0]["bytes"] == int(row["bytes"])
    assert content["set_aside"] == []


def test_ls_keys_has_one_line_a_fit(ran: CommandLine) -> None:
    lines = ran.run("store", "ls", "--keys")[1].splitlines()
    rows = list(csv.DictReader(io.StringIO(ran.run("store", "ls", "--keys", "--csv")[1])))
    content = json.loads(ran.run("store", "ls", "--keys", "--json")[1])
    assert len(lines) == len(rows) == len(content) == 2
    for text, row, one in zip(lines, rows, content, strict=True):
        assert text.split(" ") == list(row.values()) == [str(value) for value in one.values()]
        assert list(one) == ["key", "engine", "bytes", "file"]
        assert (ran.folder / "outputs" / "store" / "fits" / one["file"]).is_file()


def test_ls_has_one_form(ran: CommandLine) -> None:
    code, out, err = ran.run("store", "ls", "--json", "--csv")
    assert (code, out) == (2, "") and "give one of them" in err


def test_verify_tells_what_is_damaged_and_exits_with_1(ran: CommandLine) -> None:
    assert ran.run("store", "verify") == (0, "whole: 2 fits in 1 file; damaged: 0 files\n", "")
    (path,) = (ran.folder / "outputs" / "store").rglob("*.nc")
    path.write_bytes(path.read_bytes()[:-9])
    code, out, err = ran.run("store", "verify")
    assert (code, out) == (1, "whole: 0 fits in 0 files; damaged: 1 file\n")
    assert err.startswith(f"metarho: {path} is damaged") and err.count("\n") == 1
    code, out, _ = ran.run("store", "ls")
    assert f"set aside: fits/{path.parent.name}/{path.name}.set-aside" in out
    assert json.loads(ran.run("store", "verify", "--json")[1]) == {
        "files": 0, "fits": 0, "simulations": 0, "damaged": []
    }  # fmt: skip
    # The next run computes them again.
    assert ran.run("run", "./small.yaml")[0] == 0
    assert ran.run("store", "verify")[0] == 0


def test_a_name_in_the_store_does_not_steer_the_terminal(ran: CommandLine) -> None:
    folder = ran.folder / "outputs" / "store" / "fits" / "ab"
    folder.mkdir(exist_ok=True)
    (folder / "\x1b[31m.nc").write_bytes(b"no")
    code, _, err = ran.run("store", "verify")
    assert code == 1 and "\x1b" not in err
    code, out, _ = ran.run("store", "ls")
    assert code == 0 and "\x1b" not in out and "?[31m.nc.set-aside" in out


def test_gc_keeps_what_runs_name_and_what_is_young(ran: CommandLine) -> None:
    fits = ran.folder / "outputs" / "store" / "fits"
    age(fits, 2)
    assert ran.run("store", "gc") == (0, "freed: 0 files, 0.0 MB\n", "")
    # One that goes on has only its journal.
    (ran.folder / "outputs" / "small" / "run.json").unlink()
    assert ran.run("store", "gc")[1] == "freed: 0 files, 0.0 MB\n"
    (ran.folder / "outputs" / "small" / "run.jsonl").unlink()
    age(fits, 0.5)
    assert ran.run("store", "gc")[1] == "freed: 0 files, 0.0 MB\n"
    age(fits, 2)
    said = "no run names its fits: 1 file\n"
    assert ran.run("store", "gc", "--dry-run")[1] == f"{said}would free: 1 file, 0.0 MB\n"
    assert len(list(fits.rglob("*.nc"))) == 1
    assert ran.run("store", "gc", "--days", "3")[1] == "freed: 0 files, 0.0 MB\n"
    assert ran.run("store", "gc")[1] == f"{said}freed: 1 file, 0.0 MB\n"
    assert list(fits.rglob("*.nc")) == []
    assert ran.run("store", "ls")[1].endswith("nothing is kept\n")


def test_gc_says_as_json_what_it_removed(ran: CommandLine) -> None:
    shutil.rmtree(ran.folder / "outputs" / "small")
    content = json.loads(ran.run("store", "gc", "--days", "0", "--json")[1])
    assert content["removed"] is True
    (file,) = content["files"]
    assert file["reason"] == "no run names its fits" and file["bytes"] > 1000


def test_what_is_kept_of_simulations_is_listed_verified_and_cleared(line: CommandLine) -> None:
    write_simulation(line.folder, SMALL.replace("replications: 60", "replications: 2"))
    assert line.run("run", "sim")[0] == 0
    folder = line.folder / "outputs" / "store" / "simulations"
    files = sorted(folder.rglob("*.json"))
    size = sum(path.stat().st_size for path in files)
    assert line.run("store", "ls")[1].splitlines()[1:] == ["simulations: 16 files, 0.0 MB"]
    (row,) = csv.DictReader(io.StringIO(line.run("store", "ls", "--csv")[1]))
    assert list(row.values()) == ["simulations", "", "16", str(size)]
    assert line.run("store", "gc", "--days", "0")[1] == "freed: 0 files, 0.0 MB\n"
    files[0].write_bytes(files[0].read_bytes()[:-9])
    code, out, err = line.run("store", "verify")
    whole = "whole: 0 fits in 0 files, 15 files of simulations; damaged: 1 file\n"
    assert (code, out) == (1, whole)
    assert err.startswith(f"metarho: {files[0]} is not whole; set aside")
    aside = f"set aside: simulations/{files[0].parent.name}/{files[0].name}.set-aside"
    assert line.run("store", "ls")[1].splitlines()[2:] == [aside]
    shutil.rmtree(line.folder / "outputs" / "sim")
    code, out, _ = line.run("store", "gc", "--days", "0")
    assert code == 0
    assert out.startswith("no run names its simulation: 15 files\nset aside: 1 file\nfreed: 16")
    assert not any(path.is_file() for path in folder.rglob("*"))


def test_gc_removes_nothing_where_a_record_cannot_be_read(ran: CommandLine) -> None:
    (ran.folder / "outputs" / "small" / "run.json").write_text("{", encoding="utf-8")
    code, out, err = ran.run("store", "gc", "--days", "0")
    assert (code, out) == (2, "")
    assert "small/run.json: is no record of a run" in err
    assert len(list((ran.folder / "outputs").rglob("store/fits/*/*.nc"))) == 1


@pytest.mark.parametrize("word", ["ls", "verify", "gc"])
def test_a_folder_that_is_not_there_is_refused_and_one_without_fits_is_not(
    word: str, line: CommandLine
) -> None:
    code, out, err = line.run("store", word)
    assert (code, out) == (2, "")
    assert "there is no folder" in err and "--output" in err
    (line.folder / "elsewhere").mkdir()
    assert line.run("store", word, "--output", "elsewhere")[0] == 0
    assert list((line.folder / "elsewhere").iterdir()) == []


def test_days_are_not_negative(ran: CommandLine) -> None:
    code, out, _ = ran.run("store", "gc", "--days", "-1")
    assert (code, out) == (2, "")
