"""``metarho run`` of a grid: what it prints and leaves, interrupted, killed, and run again."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import metarho
from command_line import CommandLine, rows_in
from custom_cases import BARE, write_custom
from grid_cases import SMALL, processes_of, write_grid
from metarho.cli.run import interruptible
from metarho.errors import InputError

COMMAND = [sys.executable, "-c", "from metarho.cli import main; main()"]
TABLES = (
    "cells.csv", "cells.parquet", "config.resolved.yaml", "audit.csv", "run.json",
    "variance.csv", "averages.csv", "figures/specification-curve.svg",
)  # fmt: skip


@pytest.fixture
def command(command: CommandLine) -> CommandLine:
    write_grid(command.folder)
    return command


def lines_in(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def hashes(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in TABLES}


def test_a_run_leaves_one_row_a_cell_and_a_line_a_cell(command: CommandLine) -> None:
    code, out, _ = command.run("run", "small")
    folder = command.folder / "outputs" / "small"
    assert code == 0
    assert "36 of 36 cells can be reported." in out
    rows = rows_in(folder / "cells.csv")
    assert len(rows) == 36
    assert list(rows[0])[:6] == ["where", "measure", "intervals", "rho_within", "model", "priors"]
    assert all(float(row["lower"]) < float(row["median"]) < float(row["upper"]) for row in rows)
    lines = lines_in(folder / "run.jsonl")
    assert sorted(str(line["key"]) for line in lines) == sorted(row["key"] for row in rows)
    assert {line["source"] for line in lines} == {"computed"}
    one = next(line for line in lines if line["key"] == rows[-1]["key"])
    assert {"where", "measure", "rho_within", "model", "priors", "status", "seconds"} <= set(one)


def test_a_second_run_computes_nothing_and_leaves_the_same_bytes(command: CommandLine) -> None:
    command.run("run", "small")
    folder = command.folder / "outputs" / "small"
    first = hashes(folder)
    command.run("run", "small")
    assert hashes(folder) == first
    assert {line["source"] for line in lines_in(folder / "run.jsonl")} == {"table"}
    # Without its table as it was left, the answers are read from the store.
    for spoil in (b"", b"no table"):
        (folder / "cells.parquet").write_bytes(spoil)
        command.run("run", "small")
        assert hashes(folder) == first
        assert {line["source"] for line in lines_in(folder / "run.jsonl")} == {"store"}


def test_a_picture_that_is_not_there_or_was_changed_is_drawn_whatever_the_record_says(
    command: CommandLine,
) -> None:
    text = SMALL[: SMALL.index("grid:")] + "grid: {}\n"
    write_grid(command.folder, text + "report: none\n")
    assert command.run("run", "small")[0] == 0
    folder = command.folder / "outputs" / "small"
    assert not (folder / "figures").exists()
    write_grid(command.folder, text)
    command.run("run", "small")
    first = hashes(folder)
    (folder / "figures/specification-curve.svg").write_text("no picture", encoding="utf-8")
    record = json.loads((folder / "run.json").read_text("utf-8"))
    changes: list[dict[str, object]] = [
        {"files": None},
        {"files": [{}], "cells": {**record["cells"], "decisions": None}},
    ]
    for changed in changes:
        (folder / "run.json").write_text(json.dumps({**record, **changed}), encoding="utf-8")
        assert command.run("run", "small")[0] == 0
        assert hashes(folder) == first


def test_a_changed_study_makes_the_fits_that_use_it_and_no_others(command: CommandLine) -> None:
    text = "study,r,n,kind\n" + "".join(
        f"s{i},{0.1 + i / 20:.2f},{30 + i},{'old' if i < 4 else 'new'}\n" for i in range(8)
    )
    table = command.folder / "configs" / "mine.csv"
    table.write_text(text, encoding="utf-8")
    grid = SMALL.replace(
        "internet-alliance, intervals: drop",
        "./mine.csv, columns: {ri: r, ni: n, study: study}",
    )
    grid = grid[: grid.index("grid:")] + "grid: {where: {old: 'kind == \"old\"', all: null}}\n"
    write_grid(command.folder, grid, "mine")
    assert command.run("run", "mine")[0] == 0
    table.write_text(text.replace("s6,0.40", "s6,0.42"), encoding="utf-8")
    assert command.run("run", "mine")[0] == 0
    lines = lines_in(command.folder / "outputs" / "mine" / "run.jsonl")
    assert {(line["where"], line["source"]) for line in lines} == {
        ("old", "table"),
        ("all", "computed"),
    }


def test_weights_are_checked_before_anything_runs(command: CommandLine) -> None:
    weights = "  weights: {priors: {default: 1, sceptic: 1}}\n"
    write_grid(command.folder, SMALL + weights)
    code, out, err = command.run("run", "small")
    assert (code, out) == (2, "")
    assert "small.yaml:11: weights of priors: no value 'sceptic'" in err
    write_grid(
        command.folder, SMALL + weights.replace("sceptic:", "sceptical:").replace(": 1,", ": 3,")
    )
    code, out, _ = command.run("run", "small")
    assert code == 0
    assert "priors: default 75%, sceptical 25%" in out


def test_other_thresholds_or_intervals_are_read_anew_from_the_same_fits(
    command: CommandLine,
) -> None:
    command.run("run", "small")
    write_grid(command.folder, SMALL + "thresholds: {rho: [0.25]}\ninterval: {prob: 0.8}\n")
    command.run("run", "small")
    folder = command.folder / "outputs" / "small"
    assert {line["source"] for line in lines_in(folder / "run.jsonl")} == {"store"}
    assert "P(rho > 0.25)" in rows_in(folder / "cells.csv")[0]


def test_thresholds_on_r_say_nothing_of_effects_that_are_no_correlations(
    command: CommandLine,
) -> None:
    (command.folder / "configs" / "mine.csv").write_text("y,v\n0.2,0.03\n0.4,0.02\n", "utf-8")
    source = "studies: {source: ./mine.csv, measure: GEN, columns: {yi: y, vi: v}}\n"
    grid = "grid: {where: {all: null, large: 'y > 0.3'}, estimand: []}\n"
    write_grid(command.folder, f"{source}models: [common-effect]\n{grid}report: none\n", "gen")
    code, out, _ = command.run("run", "gen")
    assert code == 0
    assert "Averages are pooled over where:" in out
    (row,) = rows_in(command.folder / "outputs" / "gen" / "averages.csv")
    assert row["excludes_0"] == "1"
    assert not [name for name in row if name.startswith("above")]


def test_several_configs_share_their_fits(command: CommandLine) -> None:
    write_grid(command.folder, name="twin")
    code, _, _ = command.run("run", "small", "twin")
    assert code == 0
    outputs = command.folder / "outputs"
    assert rows_in(outputs / "small" / "cells.csv") == rows_in(outputs / "twin" / "cells.csv")
    for name in ("small", "twin"):
        assert len(lines_in(outputs / name / "run.jsonl")) == 36


def test_a_config_with_a_grid_and_one_without_run_together(command: CommandLine) -> None:
    plain = SMALL[: SMALL.index("grid:")] + "report: none\n"
    write_grid(command.folder, plain, "plain")
    code, out, _ = command.run("run", "plain", "small", "--workers", "2")
    assert code == 0, out
    outputs = command.folder / "outputs"
    assert (outputs / "plain" / "summary.csv").is_file()
    lines = lines_in(outputs / "plain" / "run.jsonl")
    assert {(line["model"], line["priors"]) for line in lines} == {
        (model, priors)
        for model in ("random-effects", "common-effect")
        for priors in ("default", "sceptical")
    }


def test_a_dry_run_says_what_there_is_and_writes_nothing(command: CommandLine) -> None:
    code, out, _ = command.run("run", "small", "--dry-run")
    assert code == 0
    assert "where *: main, guided, all" in out
    assert "  rho_within: 0.0, 0.4" in out
    assert "36 cells of a product of 48, 12 left out: 36 different fits" in out
    assert "0 of 36 fits are there; 36 are to be made" in out
    assert not (command.folder / "outputs").exists()
    command.run("run", "small")
    _, out, _ = command.run("run", "small", "--dry-run")
    assert "36 of 36 fits are there; 0 are to be made" in out


def test_check_prints_the_plan_of_a_grid(command: CommandLine) -> None:
    code, out, _ = command.run("check", "small")
    assert code == 0
    assert "decisions (* changes what is estimated; the others how):" in out


def test_a_bad_grid_is_exit_2_with_nothing_written(command: CommandLine) -> None:
    write_grid(command.folder, SMALL.replace("measure: [ZCOR", "measure: [ZOCR"))
    code, out, err = command.run("run", "small")
    assert (code, out) == (2, "")
    assert "small.yaml:8" in err
    assert not (command.folder / "outputs").exists()


@pytest.mark.slow
def test_a_fit_that_fails_is_a_row_with_its_reason_and_exit_1(command: CommandLine) -> None:
    wrong = "    raise RuntimeError('not today')\n    with pm.Model"
    write_custom(command.folder, BARE.replace("    with pm.Model", wrong))
    text = SMALL.replace("[random-effects, common-effect]", "[mine, common-effect]")
    text = text[: text.index("  rho_within")]
    write_grid(command.folder, text)
    code, out, _ = command.run("run", "small")
    assert code == 1
    assert "12 of 24 cells can be reported (12 failed)." in out
    rows = rows_in(command.folder / "outputs" / "small" / "cells.csv")
    failed = [row for row in rows if row["status"] == "failed"]
    assert {row["model"] for row in failed} == {"mine"}
    assert all("not today" in row["reason"] for row in failed)
    assert all(row["median"] for row in rows if row["model"] == "common-effect")
    code, out, _ = command.run("run", "small", "--fail-fast", "--output", "other")
    assert code == 1
    assert "not run" in out


# Rows that are words: some tenths of a second each.
SETS = "".join(f'  p{n}: {{mu: "Normal(mu=0, sigma={0.1 + n / 50:.2f})"}}\n' for n in range(16))
LONG = f"""\
studies: {{source: internet-alliance, where: 'role == "main"'}}
models: [random-effects]
priors:
{SETS}
grid: {{statistic: [all, zero-order]}}
"""


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([*COMMAND, *words], cwd=folder, stdout=pipe, stderr=pipe)


def finish(folder: Path, *words: str) -> int:
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, capture_output=True, check=False
    ).returncode


def test_an_interrupt_finishes_what_runs_and_the_next_run_goes_on(tmp_path: Path) -> None:
    write_grid(tmp_path, LONG)
    folder = tmp_path / "outputs" / "small"
    process = start(tmp_path, "run", "small")
    deadline = time.monotonic() + 60
    while not (folder / "run.jsonl").exists() or not (folder / "run.jsonl").stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"stopping when the running fits are done" in err
    assert b"the same command goes on from there" in out
    rows = rows_in(folder / "cells.csv")
    states = {row["status"] for row in rows}
    assert states == {"ok", "not run"}
    assert finish(tmp_path, "run", "small") == 0
    kept = sum(row["status"] == "ok" for row in rows)
    sources = [line["source"] for line in lines_in(folder / "run.jsonl")]
    assert len(sources) - sources.count("computed") >= kept


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_what_a_cluster_sends_ask_to_stop_and_the_second_time_do(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with interruptible() as asked:
        os.kill(os.getpid(), number)
        assert asked.wait(5)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            time.sleep(5)
    assert signal.getsignal(number) is before
    assert "stopping when the running fits are done" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_fifty_times_it_ends_with_the_bytes_of_an_undisturbed_run(tmp_path: Path) -> None:
    write_grid(tmp_path)
    assert finish(tmp_path, "run", "small", "--output", "calm") == 0
    calm, rng, kills = hashes(tmp_path / "calm" / "small"), random.Random(1), 0
    while kills < 50:
        to = ("--output", f"wild{kills}")
        for _ in range(3):
            process = start(tmp_path, "run", "small", *to, "--workers", rng.choice("12"))
            time.sleep(rng.uniform(0.5, 5))
            if process.poll() is None:
                below = processes_of(process.pid)
                victim = rng.choice(below) if below and rng.random() < 0.5 else process.pid
                os.kill(victim, signal.SIGKILL)
                kills += 1
            process.communicate(timeout=120)
        assert finish(tmp_path, "run", "small", *to) == 0
        assert hashes(tmp_path / to[1] / "small") == calm
        assert finish(tmp_path, "store", "verify", *to) == 0


@pytest.mark.slow
def test_two_runs_at_once_on_one_store_end_alike(tmp_path: Path) -> None:
    write_grid(tmp_path)
    write_grid(tmp_path, name="twin")
    racing = [start(tmp_path, "run", name, "--workers", "2") for name in ("small", "twin")]
    for process in racing:
        process.communicate(timeout=120)
        assert process.returncode == 0
    small, twin = (tmp_path / "outputs" / name / "cells.csv" for name in ("small", "twin"))
    assert small.read_bytes() == twin.read_bytes()
    assert finish(tmp_path, "store", "verify") == 0


def test_from_python_a_grid_gives_its_cells(tmp_path: Path) -> None:
    result = metarho.run(write_grid(tmp_path), output=tmp_path / "out")
    assert result.fits == {}
    assert len(result.cells) == 36
    assert (result.folder / "cells.csv").is_file()
    with pytest.raises(InputError, match="wher"):
        metarho.run(write_grid(tmp_path, SMALL.replace("where:", "wher:")))
