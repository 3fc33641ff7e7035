"""What the command line costs, as ratios to a bare interpreter start in the same run.

    make benchmarks

Prints medians of seven runs: ``metarho --help``, and an exact ``metarho fit`` on 16 studies, both
with process start, over ``python -c pass`` and over ``python -c "import numpy"``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 7
DATA = Path(__file__).parent.parent / "tests" / "references" / "molloy2014.csv"
METARHO = str(Path(sys.executable).parent / "metarho")

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import numpy": [sys.executable, "-c", "import numpy"],
    "metarho --help": [METARHO, "--help"],
    "metarho fit, exact, k = 16": [
        METARHO, "fit", str(DATA), "--columns", "ri=ri,ni=ni", "--engine", "exact",
    ],
}  # fmt: skip


def seconds(command: list[str]) -> float:
    """Wall seconds of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Time the commands in turn, so that a slow minute slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for run in range(RUNS + 1):
        for name, command in COMMANDS.items():
            wall = seconds(command)
            if run > 0:
                times[name].append(wall)
    bare = statistics.median(times["python -c pass"])
    print(f"{'command':30} {'median s':>9} {'ratio to a bare start':>22}")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:30} {median:9.3f} {median / bare:22.1f}")


if __name__ == "__main__":
    main()
