"""What looking ahead costs, beside one fit and beside as many refits.

    make benchmarks

The posteriors after 2,000 possible findings of a further study at each of 40 sizes: 80,000 of them,
with median, interval, probability of a claim and Bayes factor of each. Beside it one fit with the
same quantities, as ``metarho.fit`` makes it, and refits of the evidence with one further study,
some of them measured and scaled. In seconds of the processor, which other work does not lengthen.
Every refit that is measured is compared with its future.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from metarho.api import load_model, load_studies
from metarho.compare.quantities import quantities_of
from metarho.engines.problem import Problem, encode, problem_with
from metarho.fitting import Settings, fit_many
from metarho.predict.assurance import Goal, outlook, prospect
from metarho.predict.futures import Further, grid, resolved, today, tomorrow
from metarho.spec.claims import parse_claim, parse_quantities
from metarho.spec.priors import parse_prior

DATA = Path(__file__).parent.parent / "tests" / "references" / "molloy2014.csv"
COLUMNS = {"ri": "ri", "ni": "ni"}
FUTURES, RUNS, REFITS = 2000, 3, 40
SIZES = np.geomspace(20, 2000, 40).round().tolist()
GOALS = (Goal(claim=parse_claim("P(rho > 0.1) >= 0.95")), Goal(width=0.12))
QUANTITIES = parse_quantities(["rho_median,lower,upper,P(rho > 0.1),bf_mu"])


def seconds(job: Callable[[], object], runs: int) -> float:
    """Median seconds of the processor."""
    times = []
    for _ in range(runs):
        begun = time.process_time()
        job()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def looked_ahead(problem: Problem, studies: int) -> Callable[[], object]:
    """All sizes for a number of studies, as ``metarho assurance`` computes them."""
    row, settings = problem.design.average, Settings()

    def job() -> None:
        seen = prospect(problem, row, row, GOALS, settings, FUTURES, studies)
        for size in SIZES:
            outlook(seen, Further(size, studies), GOALS)

    return job


def refitted(problem: Problem, z: float, ni: float) -> list[float]:
    """The quantities of a fit with one further study."""
    (fit,) = fit_many([problem_with(problem, math.tanh(z), ni)], Settings())
    return quantities_of(fit, QUANTITIES, Settings())


def main() -> None:
    """Measure and print."""
    studies = load_studies(DATA, columns=COLUMNS)
    model = load_model("random-effects")
    problem = encode(model, studies)
    settings = Settings()

    def one_fit() -> None:
        (fit,) = fit_many([problem], settings)
        quantities_of(fit, QUANTITIES, settings)

    one_fit()
    fit = seconds(one_fit, 25)
    ahead = {count: seconds(looked_ahead(problem, count), RUNS) for count in (1, 3)}
    on_panels = encode(model, studies, {"mu": parse_prior("StudentT(nu=4, mu=0, sigma=0.5)")})
    panels = seconds(looked_ahead(on_panels, 1), 1)

    rng = np.random.default_rng(20261122)
    row = problem.design.average
    now = today(problem, resolved(problem), row, row)
    alone, apart = [], 0.0
    for ni in rng.choice(SIZES, REFITS).tolist():
        further = Further(ni)
        futures = grid(now, further, FUTURES)
        # By their probability, as findings come.
        index = int(rng.choice(FUTURES, p=futures.weight / futures.weight.sum()))
        z, numbers = float(futures.mean[index]), list[float]()

        def refit(z: float = z, ni: float = ni, numbers: list[float] = numbers) -> None:
            numbers[:] = refitted(problem, z, ni)

        alone.append(seconds(refit, 1))
        means = tomorrow(now, further, futures).means
        found = [*(np.tanh(means.quantile(p)[index]) for p in (0.5, 0.025, 0.975)),
                 1 - means.cdf(np.array(math.atanh(0.1)))[index]]  # fmt: skip
        apart = max(apart, float(np.abs(np.array(found) - numbers[:4]).max()))
    separate = FUTURES * len(SIZES) * statistics.mean(alone)

    print(f"{FUTURES:,} futures × {len(SIZES)} sizes, k = {problem.evidence.k}")
    print(f"{'':52}{'processor, s':>14}{'fits':>10}")
    print(f"{'one fit with its quantities':52}{fit:14.4f}{1:10,.0f}")
    for count, taken in ahead.items():
        name = "one further study" if count == 1 else f"{count} further studies"
        print(f"{name:52}{taken:14.2f}{taken / fit:10,.0f}")
    print(f"{'one further study, the mean on panels':52}{panels:14.2f}{panels / fit:10,.0f}")
    name = f"refits ({REFITS} measured, scaled)"
    print(f"{name:52}{separate:14.0f}{separate / fit:10,.0f}")
    print(f"refits over looking ahead: {separate / ahead[1]:,.0f} times")
    print(f"largest difference from a refit: {apart:.0e}")


if __name__ == "__main__":
    main()
