"""What the exact engine costs, as ratios within one run.

    make benchmarks

- one problem's evidence and moments over the bare NumPy sums that it needs, and a whole Fit with
  its tree beside it;
- 10,000 priors over one fit; 1,000 priors where rows printed words, over one on its own panels;
- all leave-one-outs (densities, PIT and CRPS) over one fit;
- 100,000 studies over 100;
- peak memory of each (of Python's and NumPy's allocations).

Times are medians of several runs in one process.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from metarho.api import fit, load_model, load_studies
from metarho.data.studies import Studies
from metarho.engines import exact
from metarho.engines.exact.panels import FINE
from metarho.engines.exact.quadrature import solve as solve_alone
from metarho.engines.exact.shared import BREAKS
from metarho.engines.problem import Evidence, Problem, encode
from metarho.posterior.leave_out import leave_out
from metarho.spec.model import AppliedPrior
from metarho.spec.priors import Prior

DATA = Path(__file__).parent.parent / "tests" / "references" / "molloy2014.csv"
RUNS = 7
PRIORS = 100
NODES = (len(BREAKS) - 1) * (FINE.check + FINE.order)


def seconds(job: Callable[[], object], runs: int = RUNS) -> float:
    """Median wall seconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak(job: Callable[[], object]) -> float:
    """Megabytes allocated at the peak of a run."""
    tracemalloc.start()
    job()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def bare_sums(problem: Problem, nodes: int) -> None:
    """The sums that any method needs at as many nodes: Σw, Σwy, Σwy², Σ log w."""
    y, v = problem.evidence.y, problem.evidence.v
    tau = np.linspace(0, 1, nodes)
    w = 1 / (v + tau[:, None] ** 2)
    np.log(w).sum(axis=1)
    w.sum(axis=1)
    w @ y
    w @ y**2


def many_priors(problem: Problem) -> list[Problem]:
    """PRIORS × PRIORS priors of mu and tau."""
    rng = np.random.default_rng(20261122)
    locations, scales = rng.normal(0, 0.2, PRIORS), rng.uniform(0.05, 1, PRIORS)
    mus = [
        Prior("Normal", (("mu", float(m)), ("sigma", float(s))))
        for m, s in zip(locations, scales, strict=True)
    ]
    taus = [Prior("HalfNormal", (("sigma", float(s)),)) for s in rng.uniform(0.02, 1, PRIORS)]
    return [
        replace(
            problem,
            priors={"mu": AppliedPrior(mu, "benchmark"), "tau": AppliedPrior(tau, "benchmark")},
        )
        for mu in mus
        for tau in taus
    ]


def studies_of(problem: Problem, k: int) -> Problem:
    """The same model on k simulated studies."""
    rng = np.random.default_rng(1)
    v = 1 / rng.integers(20, 200, k)
    y = rng.normal(0.25, np.sqrt(v + 0.15**2))
    nothing = np.full(k, np.nan)
    row = problem.evidence.rows[0]
    evidence = Evidence((row,) * k, y, v, nothing, nothing, np.arange(k), tuple(map(str, range(k))))
    return replace(
        problem, evidence=evidence, design=replace(problem.design, matrix=np.ones((k, 1)))
    )


def main() -> None:
    """Measure and print."""
    studies: Studies = load_studies(DATA, columns={"ri": "ri", "ni": "ni"})
    model = load_model("random-effects")
    problem = encode(model, studies)
    quadrature = exact.integrate(problem)
    # Both rules of the shared panels are needed: one for the result, one for its error.
    nodes = NODES
    sums = seconds(lambda: bare_sums(problem, nodes), 50)
    one = seconds(lambda: exact.integrate(problem), 50)
    summaries = seconds(lambda: fit(model, studies).parameters)
    tree = seconds(lambda: fit(model, studies).tree)
    print(f"k = 16, random effects; {nodes} nodes, error {quadrature.quad_err:.0e}")
    print(f"{'':44}{'ms':>10}{'ratio':>9}{'peak MB':>9}")
    _line("bare sums at the nodes", sums, sums, peak(lambda: bare_sums(problem, nodes)))
    _line("evidence and moments / sums", one, sums, peak(lambda: exact.integrate(problem)))
    _line("Fit with summaries / sums", summaries, sums, 0.0)
    _line("Fit with its tree / sums", tree, sums, peak(lambda: fit(model, studies).tree))
    problems = many_priors(problem)

    def solve_all() -> int:
        return sum(1 for _ in exact.fit_many(problems))

    everyone = seconds(solve_all, 3)
    _line("10,000 priors / evidence and moments of one", everyone, one, peak(solve_all))
    _line("10,000 priors / one Fit with summaries", everyone, summaries, 0.0)
    words = encode(model, load_studies("internet-alliance", where='role == "main"'))
    some = many_priors(words)[::10]

    def solve_words() -> int:
        return sum(1 for _ in exact.fit_many(some))

    own = seconds(lambda: solve_alone(words))
    _line("1,000 priors on words / one on its own panels", seconds(solve_words, 1), own, 0.0)
    _leave_out("leave-one-outs / one, 16 numbers", problem)
    _leave_out("the same with 18 intervals among 28 rows", words)
    few, many = studies_of(problem, 100), studies_of(problem, 100_000)
    small = seconds(lambda: exact.integrate(few))
    large = seconds(lambda: exact.integrate(many), 3)
    _line("k = 100", small, small, peak(lambda: exact.integrate(few)))
    _line("k = 100,000 / k = 100", large, small, peak(lambda: exact.integrate(many)))


def _leave_out(what: str, problem: Problem) -> None:
    whole = exact.integrate(problem)
    alone = seconds(lambda: exact.integrate(problem))
    _line(what, seconds(lambda: leave_out(problem, whole), 3), alone, 0.0)


def _line(what: str, value: float, unit: float, megabytes: float) -> None:
    memory = f"{megabytes:9.1f}" if megabytes else f"{'':9}"
    print(f"{what:44}{1000 * value:10.3f}{value / unit:9.1f}{memory}")


if __name__ == "__main__":
    main()
