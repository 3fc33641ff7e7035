"""The runner on Dask: the same tables, nothing open to others, and what becomes of deaths."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from distributed import Client

from command_line import CommandLine
from dask_processes import family, listening, scheduler, until, worker
from grid_cases import write_grid
from metarho.batch.compute import Done, Task
from metarho.batch.grid import plan_grid
from metarho.batch.runners import dask as dask_runner
from metarho.batch.runners import dask_cluster
from metarho.batch.runners.dask import on_dask
from metarho.batch.runners.dask_cluster import LOCAL, check_address, connected
from metarho.batch.runners.dask_task import _fault, environment
from metarho.batch.running import task_of, works_of
from metarho.batch.work import Block, Work
from metarho.errors import FitError, InputError
from metarho.store.store import Store

TABLES = ("cells.csv", "cells.parquet", "config.resolved.yaml")
KILLED = 9


class Lethal:
    """Kills the process that unpacks it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (KILLED,)


@pytest.fixture
def cli(command: CommandLine) -> CommandLine:
    write_grid(command.folder)
    return command


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler with one worker, which it knows of."""
    with scheduler(tmp_path) as (address, process), worker(address):
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        yield address, process


def never() -> bool:
    return False


def work_in(folder: Path) -> tuple[list[Work], Task, Store]:
    """What a small grid wants, and where it goes."""
    plan = plan_grid(write_grid(folder), folder / "outputs")
    return works_of(plan), task_of(plan, None), Store(folder / "outputs" / "store")


def one_by_one(works: list[Work]) -> list[Block]:
    return [Block((work,)) for work in works]


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES}


@pytest.mark.parametrize(
    "address",
    ["", "Local", "host:8786", "udp://host:1", "tcp://host", "tcp://host:x", "tcp://host:99999999",
     "tcp://me@host:1", "tcp://host:1/x", "http://host:8786", "inproc://1"],
)  # fmt: skip
def test_what_is_no_scheduler_is_refused_with_what_is_allowed(address: str) -> None:
    with pytest.raises(InputError, match=r"allowed: local, .* tcp://host:8786 or tls://"):
        check_address(address, 1, None)


@pytest.mark.parametrize("address", [LOCAL, "tcp://host:8786", "tcp://10.0.0.1:1", "tcp://[::1]:2"])
def test_a_scheduler_is_an_address(address: str) -> None:
    check_address(address, 1, None)


def test_tls_without_certificates_is_refused_with_where_dask_reads_them() -> None:
    with pytest.raises(InputError, match=r"distributed\.comm\.tls, ca-file"):
        check_address("tls://host:1", 1, None)


def test_a_worker_of_other_versions_is_found_before_it_is_sent_anything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: tuple[str, subprocess.Popen[bytes]]
) -> None:
    works, task, store = work_in(tmp_path)
    here = environment()
    monkeypatch.setattr(dask_runner, "environment", lambda: {**here, "scipy": "0.1"})
    said = f"the worker tcp://.* of {cluster[0]} cannot compute: it has scipy .*, not 0.1; install"
    with pytest.raises(FitError, match=said):
        list(on_dask(cluster[0], 1, one_by_one(works), task, store, never))


def test_workers_are_those_that_a_scheduler_has() -> None:
    check_address(LOCAL, 3, None)
    with pytest.raises(InputError, match="--workers 3: a scheduler computes with the workers"):
        check_address("tcp://host:1", 3, None)


def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'metarho\[dask\]'"):
        check_address(LOCAL, 1, None)


def test_a_time_limit_is_refused_with_nothing_written(cli: CommandLine) -> None:
    code, out, err = cli.run("run", "small", "--dask", "local", "--time-limit", "3")
    assert (code, out) == (2, "")
    assert "Dask cannot stop a task that runs" in err
    assert not (cli.folder / "outputs").exists()


def test_a_worker_that_is_set_up_otherwise_says_what_it_has() -> None:
    here = environment()
    assert _fault(here, here, threads=1) is None
    there = {**here, "metarho": "0.0.1", "format of the store": "1"}
    assert str(_fault(there, here, threads=1)).startswith("it has format of the store 1, not ")
    assert f"metarho 0.0.1, not {here['metarho']}" in str(_fault(there, here, threads=1))
    assert "--nthreads 1" in str(_fault(here, here, threads=4))


def test_tables_are_those_of_one_process_byte_for_byte(cli: CommandLine) -> None:
    code, *_ = cli.run("run", "small", "--output", "here")
    assert code == 0
    code, _, err = cli.run("run", "small", "--output", "there", "--dask", "local")
    assert code == 0
    assert "Traceback" not in err and "distributed" not in err
    assert tables(cli.folder / "there/small") == tables(cli.folder / "here/small")
    code, _, _ = cli.run("run", "small", "--output", "there", "--dask", "tcp://127.0.0.1:9")
    assert code == 0, "with nothing to do nobody has to be there"
    code, _, err = cli.run("store", "verify", "--output", "there")
    assert code == 0, err


def test_a_local_cluster_listens_on_the_loopback_only_and_shows_no_page() -> None:
    with connected(LOCAL, 2) as client:
        until(lambda: len(client.nthreads()) == 2)
        found = listening(family(os.getpid()))
        assert set(client.nthreads().values()) == {1}
        # The scheduler, two nannies, two workers, and servers of HTTP that serve nothing.
        assert len(found) >= 5
        assert {host for host, _ in found} == {"127.0.0.1"}
        (http,) = (server.port for server in client.cluster.scheduler.services.values())
        assert http != 8787
        for page in ("status", "workers", "info/main/workers.html", "health", "metrics", ""):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"http://127.0.0.1:{http}/{page}", timeout=5)
    assert listening(family(os.getpid())) == []


def test_a_scheduler_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.5)
    works, task, store = work_in(tmp_path)
    with pytest.raises(FitError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9 "):
        list(on_dask("tcp://127.0.0.1:9", 1, one_by_one(works), task, store, never))


def test_workers_that_do_not_start_end_the_run_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import distributed

    def fail(**options: object) -> None:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(distributed, "LocalCluster", fail)
    works, task, store = work_in(tmp_path)
    with pytest.raises(FitError, match=r"did not start \(RuntimeError: Nanny failed to start"):
        list(on_dask(LOCAL, 1, one_by_one(works), task, store, never))


def test_a_scheduler_that_is_killed_ends_the_run_and_what_was_done_is_kept(
    tmp_path: Path, cluster: tuple[str, subprocess.Popen[bytes]]
) -> None:
    address, process = cluster
    works, task, store = work_in(tmp_path)
    done = []
    with pytest.raises(FitError, match=f"the scheduler at {address} is gone; what was done is kep"):
        for one in on_dask(address, 1, one_by_one(works), task, store, never):
            done.append(one.key)
            if len(done) == 3:
                process.kill()
                started = time.monotonic()
    # At once on one machine: nothing answers at its port. Far below Dask's own half minute.
    assert time.monotonic() - started < 15
    assert len(done) < len(works)
    assert {key for key, _ in store.read_many(done)} == set(done)


def test_when_stopped_what_waits_is_called_back_and_what_runs_is_kept(
    tmp_path: Path, cluster: tuple[str, subprocess.Popen[bytes]]
) -> None:
    address, _ = cluster
    works, task, store = work_in(tmp_path)
    done: list[Done] = []
    for one in on_dask(address, 1, one_by_one(works), task, store, lambda: bool(done)):
        done.append(one)
    # Those under way when the first was told of: at most four.
    assert 1 <= len(done) <= 4
    assert all(one.failure is None and one.result is None and one.answer for one in done)
    assert {key for key, _ in store.read_many([w.key for w in works])} == {d.key for d in done}


def test_a_worker_of_several_threads_is_refused(tmp_path: Path) -> None:
    works, task, store = work_in(tmp_path)
    said = "a worker of tcp://.* cannot compute: it computes in 2 threads.*--nthreads 1"
    with (
        scheduler(tmp_path) as (address, _),
        worker(address, threads=2),
        pytest.raises(FitError, match=said),
    ):
        list(on_dask(address, 1, one_by_one(works), task, store, never))


def test_runs_without_dask_do_not_load_it(tmp_path: Path) -> None:
    script = (
        "import sys; from metarho.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        # (xarray loads dask itself where that is installed.)
        "assert not {'distributed', 'tornado'} & set(sys.modules)"
    )
    path = write_grid(tmp_path)
    words = ["run", str(path), "--output", str(tmp_path / "out")]
    subprocess.run([sys.executable, "-c", script, *words], check=True, capture_output=True)


@pytest.mark.slow
def test_what_kills_its_workers_has_failed_and_its_neighbours_are_computed(tmp_path: Path) -> None:
    works, task, store = work_in(tmp_path)
    lethal = Work("0" * 64, Lethal(), "exact", "a test")  # type: ignore[arg-type]
    blocks = [Block((works[0], lethal, works[1])), *one_by_one(works[2:8])]
    done = {one.key: one for one in on_dask(LOCAL, 2, blocks, task, store, never)}
    assert done.pop(lethal.key).failure == (
        "its process died 3 times (killed, out of memory, or crashed)"
    )
    assert set(done) == {work.key for work in works[:8]}
    assert all(one.failure is None for one in done.values())


@pytest.mark.slow
def test_workers_killed_at_random_change_no_table(tmp_path: Path) -> None:
    config = write_grid(tmp_path, LONGER)
    run(config, tmp_path / "here").check_returncode()
    chance = random.Random(20261126)
    for number in range(20):
        output = tmp_path / f"there{number}"
        done = run(config, output, "--dask", "local", meanwhile=killing(chance, output))
        assert done.returncode == 0, done.stderr
        assert tables(output / "small") == tables(tmp_path / "here/small")
        assert "Traceback" not in done.stderr
        verified(output)


@pytest.mark.slow
def test_a_scheduler_killed_at_random_is_gone_on_with(tmp_path: Path) -> None:
    config = write_grid(tmp_path, LONGER)
    run(config, tmp_path / "here").check_returncode()
    chance, codes = random.Random(20261127), []
    for number in range(10):
        output, folder = tmp_path / f"there{number}", tmp_path / f"cluster{number}"
        folder.mkdir()
        with scheduler(folder) as (address, process), worker(address):
            moment = chance.uniform(2, 14)
            threading.Timer(moment, process.kill).start()
            done = run(config, output, "--dask", address)
        codes.append(done.returncode)
        assert "Traceback" not in done.stderr
        if done.returncode:
            assert done.returncode == 1
            assert "metarho: the scheduler at" in done.stderr or "no scheduler" in done.stderr
        verified(output)
        with scheduler(folder) as (address, _), worker(address):
            done = run(config, output, "--dask", address)
        assert done.returncode == 0, done.stderr
        assert tables(output / "small") == tables(tmp_path / "here/small")
    assert 1 in codes, "no scheduler was killed in time"


@pytest.mark.slow
def test_sampled_cells_are_those_of_one_process_byte_for_byte(tmp_path: Path) -> None:
    config = write_grid(tmp_path, SAMPLED)
    run(config, tmp_path / "here").check_returncode()
    run(config, tmp_path / "there", "--dask", "local", "--workers", "2").check_returncode()
    assert tables(tmp_path / "there/small") == tables(tmp_path / "here/small")


@pytest.mark.slow
def test_an_interrupt_of_all_processes_of_a_terminal_keeps_what_runs(tmp_path: Path) -> None:
    config = write_grid(tmp_path, LONGER)
    run(config, tmp_path / "here").check_returncode()

    def interrupt(process: subprocess.Popen[str]) -> None:
        computing(tmp_path / "there")
        os.killpg(process.pid, signal.SIGINT)

    done = run(config, tmp_path / "there", "--dask", "local", meanwhile=interrupt)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "the same command goes on from there" in done.stderr + done.stdout
    run(config, tmp_path / "there", "--dask", "local").check_returncode()
    assert tables(tmp_path / "there/small") == tables(tmp_path / "here/small")


# Some seconds of exact fits, in blocks of which each takes a moment.
LONGER = """\
studies: {source: internet-alliance, intervals: drop}
models: [random-effects, three-level]
priors:
  default: {}
  sceptical: {mu: "Normal(mu=0, sigma=0.15)"}
  wide: {mu: "Normal(mu=0, sigma=1)"}
grid:
  where: {main: 'role == "main"', guided: 'guidance == "guided"'}
  measure: [ZCOR, COR]
  statistic: [all, zero-order]
  rho_within: [0, 0.4]
"""

SAMPLED = """\
studies: {source: internet-alliance, intervals: drop, where: role == "main"}
models: [random-effects]
priors:
  default: {}
  sceptical: {mu: "Normal(mu=0, sigma=0.15)"}
engine: nuts
sampler: {chains: 4, draws: 1500, tune: 500}
grid:
  measure: [ZCOR, COR]
"""


def run(
    config: Path,
    output: Path,
    *words: str,
    meanwhile: Callable[[subprocess.Popen[str]], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """``metarho run`` in a process, and a group of processes, of its own."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from metarho.cli import main; main()"),
            *("run", str(config), "--output", str(output), *words),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        if meanwhile is not None:
            meanwhile(process)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def killing(chance: random.Random, output: Path) -> Callable[[subprocess.Popen[str]], None]:
    """Kills two workers, each at some moment of a run that has begun to compute."""

    def meanwhile(process: subprocess.Popen[str]) -> None:
        computing(output)
        for _ in range(2):
            time.sleep(chance.uniform(0, 3))
            workers = [pid for pid in sorted(family(process.pid)) if "spawn_main" in command(pid)]
            if workers:
                os.kill(chance.choice(workers), signal.SIGKILL)

    return meanwhile


def computing(output: Path) -> None:
    """Wait until a first fit has been told of."""
    journal = output / "small/run.jsonl"
    until(lambda: journal.exists() and journal.read_text(encoding="utf-8"))


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def verified(output: Path) -> None:
    """Nothing in a store is damaged."""
    if not (output / "store").is_dir():
        return
    script = "from metarho.cli import main; main()"
    words = [sys.executable, "-c", script, "store", "verify", "--output", str(output)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
