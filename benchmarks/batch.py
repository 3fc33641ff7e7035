"""What a batch costs, as ratios within one run.

    make benchmarks

- 2,000 exact cells (a grid of rules, statistics, models and prior sets) over one exact
  ``metarho fit`` with its process start; with two processes; and run again, when nothing is left
  to compute;
- 200 sampled cells of 5 structures over 200 separate ``metarho fit --engine nuts`` (their time is
  that of a few), over the loop of PyMC fits with ArviZ summaries that one would write instead (the
  same), and run again.

Commands are timed whole, in folders of their own. Give ``exact`` or ``nuts`` to time one part.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METARHO = str(Path(sys.executable).parent / "metarho")
# Of the commands that are timed for what 200 of them would take.
SEPARATE = 3

RULES = {
    "main": 'role == "main"',
    "guided": 'guidance == "guided"',
    "not small": "n > 20",
    "recent": "year > 2012",
    "all": "n > 0",
}
EXACT_SETS = 100
NUTS_SETS = 40


def exact_grid() -> str:
    """2,000 cells: 5 rules × 2 statistics × 2 models × 100 prior sets."""
    sets = "".join(
        f'  set {n}: {{mu: "Normal(mu={n % 10 / 20:.2f}, sigma={0.1 + n // 10 / 10:.2f})"}}\n'
        for n in range(EXACT_SETS)
    )
    rules = "".join(f"    {name}: '{rule}'\n" for name, rule in RULES.items())
    return (
        "studies: {source: internet-alliance, intervals: drop}\n"
        "models: [random-effects, common-effect]\n"
        f"priors:\n{sets}grid:\n  where:\n{rules}  statistic: [all, zero-order]\n"
    )


def nuts_grid() -> str:
    """200 cells of 5 structures: each model with 40 prior sets."""
    sets = "".join(
        f'  set {n}: {{mu: "Normal(mu=0, sigma={0.2 + n / 40:.3f})"}}\n' for n in range(NUTS_SETS)
    )
    return (
        "studies: {source: internet-alliance, intervals: drop, where: 'role == \"main\"'}\n"
        "models: [random-effects, three-level, exact-r, student-t, mixture]\n"
        f"priors:\n{sets}engine: nuts\ngrid: {{}}\n"
    )


# A model of random effects, written as most would; one process, one prior set after another.
LOOP = """
import sys, numpy as np, pymc as pm, arviz as az
from metarho.data.studies import load_studies
studies = load_studies("internet-alliance", where='role == "main"', intervals="drop")
y, v = np.array([[row.yi, row.vi] for row in studies.used]).T
for n in range(int(sys.argv[1])):
    with pm.Model():
        mu = pm.Normal("mu", 0, 0.2 + n / 40)
        tau = pm.HalfNormal("tau", 0.25)
        e = pm.Normal("e", 0, 1, shape=len(y))
        pm.Normal("y", mu + tau * e, np.sqrt(v), observed=y)
        trace = pm.sample(random_seed=n, progressbar=False)
    az.summary(trace, var_names=["mu", "tau"])
"""


def seconds(*command: str) -> float:
    """Wall seconds of one run."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Time both parts, or the one that is named."""
    wanted = sys.argv[1:] or ["exact", "nuts"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "exact" in wanted:
            time_exact(folder)
        if "nuts" in wanted:
            time_nuts(folder)


def time_exact(folder: Path) -> None:
    """2,000 exact cells over a separate fit."""
    config = folder / "exact.yaml"
    config.write_text(exact_grid(), encoding="utf-8")
    separate = statistics.median(
        seconds(METARHO, "fit", "internet-alliance", "--intervals", "drop", "--engine", "exact")
        for _ in range(5)
    )
    here = seconds(METARHO, "run", str(config), "--output", str(folder / "here"))
    again = seconds(METARHO, "run", str(config), "--output", str(folder / "here"))
    two = seconds(METARHO, "run", str(config), "--output", str(folder / "two"), "--workers", "2")
    print(f"one exact fit with its process start: {separate:.2f} s")
    for what, taken in (("one process", here), ("two", two), ("run again", again)):
        print(f"2,000 exact cells, {what}: {taken:.2f} s, {taken / separate:.1f} such fits")


def time_nuts(folder: Path) -> None:
    """200 sampled cells over separate fits, and over a loop of PyMC."""
    config = folder / "nuts.yaml"
    config.write_text(nuts_grid(), encoding="utf-8")
    fit = (METARHO, "fit", "internet-alliance", "--intervals", "drop", "--engine", "nuts")
    where = ("--where", 'role == "main"')
    models = ("random-effects", "three-level", "exact-r", "student-t", "mixture")
    separate = statistics.mean(seconds(*fit, *where, "--model", model) for model in models)
    loop = seconds(sys.executable, "-c", LOOP, str(SEPARATE))
    loop_once = seconds(sys.executable, "-c", LOOP, "1")
    each = (loop - loop_once) / (SEPARATE - 1)
    batch = seconds(METARHO, "run", str(config), "--output", str(folder / "nuts"))
    again = seconds(METARHO, "run", str(config), "--output", str(folder / "nuts"))
    print(f"200 sampled cells: {batch:.0f} s; run again: {again:.2f} s")
    print(f"200 separate fits: {200 * separate:.0f} s, {200 * separate / batch:.1f} times as long")
    print(f"a loop of PyMC, ArviZ: {200 * each:.0f} s, {200 * each / batch:.1f} times as long")


if __name__ == "__main__":
    main()
