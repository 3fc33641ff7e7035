"""What the sampled engine costs, as ratios within one run.

    make benchmarks

- effective draws a second of this engine over those of the textbook's non-centred PyMC model, under
  PyMC's defaults and under PyMC's own NUTS: sampling alone (here with the evidence), and with
  compiling;
- ten prior sets on one structure over one;
- the command line with a cold and a warm cache, and its peak memory;
- resident memory over 1,000 fits of one compiled structure.

Effective draws are the least bulk ESS of mu and the sds. Times are medians of three runs.
"""

from __future__ import annotations

import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pymc as pm
from arviz_stats.base import array_stats

from metarho.api import load_model, load_studies
from metarho.engines import nuts
from metarho.engines.problem import Problem, encode
from metarho.spec.analysis import Sampler
from metarho.spec.priors import parse_prior

DATA = Path(__file__).parent.parent / "tests" / "references" / "molloy2014.csv"
METARHO = str(Path(sys.executable).parent / "metarho")
RUNS = 3
FITS = 1_000
SAMPLER = Sampler()


def two_levels() -> Problem:
    """16 correlations, random effects."""
    columns = {"ri": "ri", "ni": "ni"}
    return encode(load_model("random-effects"), load_studies(DATA, columns=columns))


def three_levels() -> Problem:
    """10 effects of the shipped evidence, nested in studies."""
    studies = load_studies("internet-alliance", where='role == "main"', intervals="drop")
    return encode(load_model("three-level"), studies)


def textbook(problem: Problem) -> pm.Model:
    """The non-centred model as textbooks write it: a variable for every true effect."""
    evidence = problem.evidence
    with pm.Model() as model:
        mean = pm.Normal("mu", 0, 0.5)
        if "tau" in problem.priors:
            tau = pm.HalfNormal("tau", 0.25)
        else:
            tau = pm.HalfNormal("tau_effect", 0.15)
            tau_study = pm.HalfNormal("tau_study", 0.25)
            of_study = pm.Normal("u", 0, 1, shape=len(evidence.study_names))
            mean = mean + tau_study * of_study[evidence.study]
        theta = mean + tau * pm.Normal("e", 0, 1, shape=evidence.k)
        pm.Normal("y", theta, np.sqrt(evidence.v), observed=evidence.y)
    return model


def least_ess(draws: dict[str, np.ndarray]) -> float:
    """The least bulk ESS of some parameters' draws."""
    return min(float(array_stats.ess(values, method="bulk")) for values in draws.values())


def ours(problem: Problem, seed: int) -> tuple[float, float, float]:
    """This engine: effective draws, seconds of sampling (evidence included), and of everything."""
    begun: dict[str, float] = {}

    def announce(stage: str) -> None:
        begun[stage] = time.perf_counter()

    (draws,) = nuts.fit_many([(problem, seed)], SAMPLER, announce)
    end = time.perf_counter()
    return least_ess(dict(draws.parameters)), end - begun["sampling"], end - begun["compiling"]


def theirs(problem: Problem, seed: int, **options: str) -> tuple[float, float, float]:
    """The textbook model under ``pm.sample``, four chains as here."""
    start = time.perf_counter()
    with textbook(problem):
        tree = pm.sample(chains=4, random_seed=seed, progressbar=False, quiet=True, **options)
    end = time.perf_counter()
    ess = least_ess({name: tree.posterior[name].to_numpy() for name in problem.priors})
    return ess, float(tree.posterior.attrs["sampling_time"]), end - start


def print_speed(name: str, problem: Problem) -> None:
    """Effective draws a second, compiling left out and put in, runs in turn."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(RUNS):
        for label, run in (
            ("this engine", ours(problem, seed)),
            ("textbook, defaults (nutpie)", theirs(problem, seed)),
            ("textbook, PyMC's own NUTS", theirs(problem, seed, nuts_sampler="pymc")),
        ):
            found.setdefault(label, []).append(run)
    print(
        f"{name:45} {'ESS':>6} {'ESS/s sampling':>15} {'ratio':>6} {'with compiling':>15} "
        f"{'ratio':>6}"
    )
    first = found["this engine"]
    for label, runs in found.items():
        rates = [
            statistics.median(ess / seconds[place] for ess, *seconds in runs) for place in (0, 1)
        ]
        ratios = [
            statistics.median(
                (ess / own[place]) / (other / taken[place])
                for (ess, *own), (other, *taken) in zip(first, runs, strict=True)
            )
            for place in (0, 1)
        ]
        ess = statistics.median(run[0] for run in runs)
        print(
            f"  {label:43} {ess:6.0f} {rates[0]:15.0f} {ratios[0]:6.1f} "
            f"{rates[1]:15.0f} {ratios[1]:6.1f}"
        )


def prior_sets(problem: Problem, count: int) -> Iterator[tuple[Problem, int]]:
    """The problem under priors of several widths."""
    studies = load_studies(DATA, columns={"ri": "ri", "ni": "ni"})
    model = load_model("random-effects")
    for index in range(count):
        sigma = 0.1 + 0.4 * index / max(count - 1, 1)
        prior = parse_prior(f"Normal(mu=0, sigma={sigma:.6f})")
        yield encode(model, studies, {"mu": prior}), index


def print_prior_sets(problem: Problem) -> None:
    """Ten prior sets over one, compiling included; the second structure is compiled anew."""
    times: dict[int, list[float]] = {1: [], 10: []}
    for _ in range(RUNS):
        for count, taken in times.items():
            start = time.perf_counter()
            list(nuts.fit_many(list(prior_sets(problem, count)), SAMPLER))
            taken.append(time.perf_counter() - start)
    one, ten = (statistics.median(taken) for taken in times.values())
    print(f"ten prior sets {ten:.1f} s over one {one:.1f} s: ratio {ten / one:.2f}")


def print_command_line() -> None:
    """One fit from the command line, its compiled sampler not yet there and there."""
    command = [METARHO, "fit", str(DATA), "--columns", "ri=ri,ni=ni", "--engine", "nuts"]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTENSOR_FLAGS": f"base_compiledir={folder}"}
        times = []
        for _ in range(4):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            times.append(time.perf_counter() - start)
    warm = statistics.median(times[1:])
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"metarho fit --engine nuts: cold {times[0]:.1f} s, warm {warm:.1f} s "
        f"(ratio {times[0] / warm:.1f}); peak memory {megabytes:.0f} MB"
    )


def resident() -> float:
    """Megabytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def print_memory(problem: Problem) -> None:
    """Resident memory over many fits of one structure."""
    short = Sampler(draws=200, tune=300)
    seen = {}
    for index, _ in enumerate(nuts.fit_many(list(prior_sets(problem, FITS)), short), start=1):
        if index in (100, FITS // 2, FITS):
            seen[index] = resident()
    said = ", ".join(f"{megabytes:.0f} MB after {fits}" for fits, megabytes in seen.items())
    print(f"{FITS} fits of one structure: {said}; ratio {seen[FITS] / seen[100]:.3f}")


def main() -> None:
    """Print all of it."""
    logging.getLogger("pymc").setLevel(logging.ERROR)
    print_command_line()
    for name, problem in (("two levels", two_levels()), ("three levels", three_levels())):
        print_speed(name, problem)
    print_prior_sets(two_levels())
    print_memory(two_levels())


if __name__ == "__main__":
    main()
