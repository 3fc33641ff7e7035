"""``metarho run`` of a simulation: what it prints and leaves, killed and run again."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import metarho
from command_line import CommandLine, rows_in
from metarho import api
from simulation_cases import SMALL, write_simulation

COMMAND = [sys.executable, "-c", "from metarho.cli import main; main()"]
TABLES = ("simulation.csv", "simulation.parquet", "config.resolved.yaml", "run.json")


@pytest.fixture
def command(command: CommandLine) -> CommandLine:
    write_simulation(command.folder)
    return command


def hashes(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in TABLES}


def test_a_run_leaves_a_row_a_truth_method_and_quantity(command: CommandLine) -> None:
    code, out, _ = command.run("run", "sim")
    folder = command.folder / "outputs" / "sim"
    assert code == 0
    assert "Monte Carlo" in out
    rows = rows_in(folder / "simulation.csv")
    # Of random effects four quantities, of a common effect all but tau.
    assert len(rows) == 4 * 2 * (4 + 3)
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["replications"] for row in rows} == {"60"}
    # Blank, where there is no case: never nan.
    assert not any("nan" in value.lower() for row in rows for value in row.values())
    new = next(row for row in rows if row["quantity"] == "rho_new")
    assert new["bias"] == new["truth"] == "" and 0 < float(new["coverage"]) < 1
    lines = (folder / "run.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["replications"] for line in lines} == {"1-50", "51-60"}
    first = hashes(folder)
    code, _, _ = command.run("run", "sim")
    assert code == 0 and hashes(folder) == first
    lines = (folder / "run.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["source"] for line in lines} == {"store"}


def test_check_and_dry_run_say_what_there_is_to_do_and_write_nothing(command: CommandLine) -> None:
    code, out, _ = command.run("check", "sim")
    assert code == 0 and "4 truths, of each 60 data sets" in out
    code, out, _ = command.run("run", "sim", "--dry-run")
    assert code == 0 and "0 of 32 chunks are there; 32 are to be made: about" in out
    assert not (command.folder / "outputs").exists()


def test_a_time_limit_fails_data_sets_and_not_the_run(command: CommandLine) -> None:
    code, out, _ = command.run("run", "sim", "--time-limit", "0.001")
    assert code == 1
    assert "took longer than the limit of 0.001 s" in out


@pytest.mark.slow
def test_a_killed_run_goes_on_and_leaves_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    text = SMALL.replace("replications: 60", "replications: 150")
    write_simulation(tmp_path, text)
    source = str(Path(metarho.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "OPENBLAS_NUM_THREADS": "1"}

    def words(output: str) -> list[str]:
        return [*COMMAND, "run", "sim", "--output", output, "--workers", "2"]

    running = subprocess.Popen(
        words("killed"), cwd=tmp_path, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    chunks = tmp_path / "killed" / "store" / "simulations"
    deadline = time.monotonic() + 120
    # Without what is still being written aside.
    while len(list(chunks.rglob("[!.]*.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    made = {path.name for path in chunks.rglob("[!.]*.json")}
    assert 5 <= len(made) < 48
    subprocess.run(words("killed"), cwd=tmp_path, env=environment, check=True, capture_output=True)
    sources = [
        json.loads(line)["source"]
        for line in (tmp_path / "killed" / "sim" / "run.jsonl").read_text("utf-8").splitlines()
    ]
    assert sources.count("store") == len(made)
    result = api.run(tmp_path / "configs" / "sim.yaml", output=tmp_path / "whole")
    assert hashes(tmp_path / "killed" / "sim") == hashes(tmp_path / "whole" / "sim")
    assert len(result.cells) == 56 and not result.fits
