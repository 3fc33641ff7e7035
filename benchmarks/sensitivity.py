"""What a surface over two priors costs, beside as many separate fits.

    make benchmarks

A surface of 60 × 60 prior pairs and six quantities for k = 50 studies, computed together; and a
fit of its own, as ``metarho.fit`` makes it, with the same quantities, measured at some hundred of
the same pairs and scaled to 3,600. Both in seconds on the clock and of the processor, for other
work on the machine lengthens the former. Every fit that is measured is compared with its cell.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from metarho.api import load_model, load_studies
from metarho.compare.quantities import quantities_of
from metarho.compare.surface import spread_out, surface, varied
from metarho.engines.problem import Evidence, Problem, encode
from metarho.fitting import Settings, fit_many
from metarho.spec.claims import parse_quantities
from metarho.spec.prior_arguments import parse_argument

DATA = Path(__file__).parent.parent / "tests" / "references" / "molloy2014.csv"
COLUMNS = {"ri": "ri", "ni": "ni"}
STUDIES, SIDE, RUNS, SEPARATE = 50, 60, 5, 120
QUANTITIES = parse_quantities(["rho_mean,lower,upper,P(rho > 0.1),new_lower,bf_mu"])


def seconds(job: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median seconds on the clock and of the processor."""
    clock, processor = [], []
    for _ in range(runs):
        begun, worked = time.perf_counter(), time.process_time()
        job()
        clock.append(time.perf_counter() - begun)
        processor.append(time.process_time() - worked)
    return statistics.median(clock), statistics.median(processor)


def simulated() -> Problem:
    """Random effects of STUDIES studies with 20 to 200 people."""
    problem = encode(load_model("random-effects"), load_studies(DATA, columns=COLUMNS))
    rng = np.random.default_rng(1)
    v = 1 / rng.integers(20, 200, STUDIES)
    y = rng.normal(0.25, np.sqrt(v + 0.15**2))
    nothing, names = np.full(STUDIES, np.nan), tuple(map(str, range(STUDIES)))
    rows = (problem.evidence.rows[0],) * STUDIES
    evidence = Evidence(rows, y, v, nothing, nothing, np.arange(STUDIES), names)
    design = replace(problem.design, matrix=np.ones((STUDIES, 1)))
    return replace(problem, evidence=evidence, design=design)


def main() -> None:
    """Measure and print."""
    settings = Settings()
    problem = simulated()
    arguments = [parse_argument("mu.sigma"), parse_argument("tau.sigma")]
    over = [spread_out(problem, argument, None, None, SIDE) for argument in arguments]
    found = surface(problem, over, QUANTITIES, settings)
    together = seconds(lambda: surface(problem, over, QUANTITIES, settings), RUNS)

    rng = np.random.default_rng(20261122)
    cells = rng.choice(SIDE * SIDE, SEPARATE, replace=False)
    apart, alone = [], []
    for cell in cells.tolist():
        place = divmod(cell, SIDE)
        values = {o.argument: float(o.values[i]) for o, i in zip(over, place, strict=True)}
        one = varied(problem, values)
        numbers: list[float] = []

        def separately(one: Problem = one, numbers: list[float] = numbers) -> None:
            (fit,) = fit_many([one], settings)
            numbers[:] = quantities_of(fit, QUANTITIES, settings)

        alone.append(seconds(separately, 1))
        expected = np.array(numbers)
        apart.append(np.abs(found.numbers[place] - expected) / np.maximum(1, np.abs(expected)))
    one_by_one = [SIDE * SIDE * statistics.mean(times) for times in zip(*alone, strict=True)]

    print(f"{SIDE} × {SIDE} prior pairs, {len(QUANTITIES)} quantities, k = {STUDIES}")
    print(f"{'':46}{'clock, s':>10}{'processor, s':>14}")
    print(f"{'together':46}{together[0]:10.2f}{together[1]:14.2f}")
    print(
        f"{f'separate fits ({SEPARATE} measured, scaled)':46}{one_by_one[0]:10.1f}"
        f"{one_by_one[1]:14.1f}"
    )
    ratios = [separate / whole for separate, whole in zip(one_by_one, together, strict=True)]
    print(f"{'ratio':46}{ratios[0]:10.0f}{ratios[1]:14.0f}")
    print(f"largest difference from a separate fit: {np.max(apart):.0e}")


if __name__ == "__main__":
    main()
