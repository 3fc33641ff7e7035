"""Schedulers and workers of Dask in processes of their own, and who listens where."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"


@contextmanager
def scheduler(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler: its address and process."""
    file = folder / "scheduler.json"
    # A scheduler that was killed has left it.
    file.unlink(missing_ok=True)
    words = ["scheduler", "--host", LOOPBACK, "--port", "0", "--no-dashboard"]
    # Port 0 of the server for HTTP too, so that two at once do not want the same.
    words += ["--dashboard-address", f"{LOOPBACK}:0", "--scheduler-file", str(file)]
    with _process(words) as process:
        until(file.exists)
        yield json.loads(file.read_text(encoding="utf-8"))["address"], process


@contextmanager
def worker(address: str, threads: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with no nanny, which dies for good."""
    words = ["worker", address, "--nthreads", str(threads), "--no-nanny", "--no-dashboard"]
    with _process([*words, "--host", LOOPBACK]) as process:
        yield process


@contextmanager
def _process(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(true: object, seconds: float = 60.0) -> None:
    """Wait until a function says so."""
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def family(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        parents[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def listening(pids: set[int]) -> list[tuple[str, int]]:
    """Where processes listen on TCP: host and port, IPv6 as it stands in the kernel's table."""
    inodes = set()
    for pid in pids:
        try:
            for link in Path(f"/proc/{pid}/fd").iterdir():
                inodes.add(str(link.readlink()))
        except OSError:
            continue  # it has ended meanwhile
    found = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            host, _, port = words[1].partition(":")
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                if len(host) == 8:
                    host = socket.inet_ntoa(bytes.fromhex(host)[::-1])
                found.append((host, int(port, 16)))
    return found
