"""What the store costs: fits in blocks and alone, and listing and verifying many files.

    make benchmarks

First 2,048 exact fits (240 nodes each) in eight blocks: written, read back, asked for; and single
fits. Then stores of 1,000, 3,000 and 10,000 files of one fit each, each step in a process of its
own: seconds, and the most memory that the process held.
"""

from __future__ import annotations

import hashlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from metarho.api import load_model, load_studies
from metarho.engines import exact
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import encode
from metarho.store.store import Store
from metarho.store.upkeep import holdings, verify

DATA = Path(__file__).parent.parent / "tests" / "references" / "molloy2014.csv"
BLOCK, BLOCKS, RUNS = 256, 8, 20
SIZES = (1_000, 3_000, 10_000)


def key(number: int) -> str:
    """A key as good as any."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def seconds(job: Callable[[], object]) -> float:
    """Seconds on the clock."""
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def fitted() -> Quadrature:
    """Random effects of 16 studies."""
    studies = load_studies(DATA, columns={"ri": "ri", "ni": "ni"})
    (result,) = exact.fit_many([encode(load_model("random-effects"), studies)])
    return result


def blocks(folder: Path, result: Quadrature) -> None:
    """Time blocks, and fits alone."""
    store = Store(folder)
    store.write({key(-1): result})
    written = [
        seconds(lambda b=b: store.write({key(b * BLOCK + n): result for n in range(BLOCK)}))  # type: ignore[misc]
        for b in range(BLOCKS)
    ]
    keys = [key(n) for n in range(BLOCK * BLOCKS)]
    alone = [
        seconds(lambda n=n: store.write({key(-2 - n): result}))  # type: ignore[misc]
        for n in range(RUNS)
    ]
    rows = {
        f"write a block of {BLOCK}": statistics.median(written),
        f"read {len(keys)} fits of {BLOCKS} blocks": seconds(lambda: list(store.read_many(keys))),
        f"ask for {len(keys)} keys": seconds(lambda: store.holds(keys)),
        "read one fit of a block": seconds(lambda: store.read(keys[77])),
        "write a fit alone": statistics.median(alone),
        "read a fit alone": seconds(lambda: store.read(key(-2))),
    }
    for name, taken in rows.items():
        print(f"{name:35} {1e3 * taken:9.1f} ms")


def step(name: str, folder: Path, size: int) -> None:
    """One step with a store, in this process; prints its row."""
    store = Store(folder, print)

    def write() -> None:
        result = fitted()
        for number in range(size):
            store.write({key(number): result})

    jobs: dict[str, Callable[[], object]] = {
        "write": write,
        "ls": lambda: holdings(store),
        "ls without index": lambda: holdings(store),
        "verify": lambda: verify(store),
    }
    taken = seconds(jobs[name])
    # In kilobytes; on macOS in bytes.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"{name:20} {size:7} files {taken:8.2f} s {peak:8.0f} MB", flush=True)


def main() -> None:
    """Measure and print."""
    # This process stays small: Linux counts what a parent held to its children.
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [sys.executable, __file__, "blocks", str(Path(scratch) / "b"), "0"], check=True
        )
        for size in SIZES:
            folder = Path(scratch) / str(size)
            for name in ("write", "ls", "verify", "ls without index"):
                if name == "ls without index":
                    (folder / "index.sqlite").unlink()
                command = [sys.executable, __file__, name, str(folder), str(size)]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["blocks"]:
        blocks(Path(sys.argv[2]), fitted())
    elif len(sys.argv) > 1:
        step(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
