"""What calibrated p-values cost, beside a fit and replicates of each simulated data set.

    make benchmarks

1,000 data sets with 2,000 replicates each, together; and some of them one by one, scaled to as
many. Seconds of the processor, on the numbers of the shipped evidence.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from metarho.api import load_model, load_studies
from metarho.checks.calibration import REPLICATES, SETS, calibrate
from metarho.checks.discrepancies import NAMED, Discrepancy, named
from metarho.checks.p_values import exceeds
from metarho.checks.replicates import print_rows, rows_of
from metarho.engines import exact
from metarho.engines.problem import Problem, encode
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.posterior.joint import independent_draws
from metarho.posterior.prior_draws import draw_priors
from metarho.posterior.prior_predictive import draw_prior_predictive

SEPARATE = 20


def separately(base: Problem, asked: list[Discrepancy], rng: np.random.Generator) -> float:
    """Processor seconds a data set, fitted and replicated by itself."""
    rows = rows_of(base)
    sets = draw_prior_predictive(base, draw_priors(base, rng, SEPARATE), rng)
    begun = time.process_time()
    for y in sets:
        own = replace(base, evidence=replace(base.evidence, y=y))
        values = independent_draws(own, exact.integrate(own), REPLICATES, rng)
        coefficients = np.stack([values[name] for name in own.coefficients], axis=-1)
        given = Hyperparameters(coefficients, own.level_variances(values))
        printed = print_rows(own, given, rng)
        for one in asked:
            exceeds(one.of(printed, rows), float(one.of(y[None], rows)[0])).mean()
    return (time.process_time() - begun) / SEPARATE


def main() -> None:
    """Measure and print."""
    studies = load_studies("internet-alliance", where='role == "main"', intervals="drop")
    for name in ("random-effects", "three-level"):
        base = encode(load_model(name), studies)
        rows = rows_of(base)
        everyone = np.ones(base.evidence.k, dtype=bool)
        asked = [named(one, one, everyone, rows) for one in NAMED if one != "words"]
        begun = time.process_time()
        calibrate(base, asked, 1)
        together = time.process_time() - begun
        apart = SETS * separately(base, asked, np.random.default_rng(1))
        print(
            f"{name}: {SETS:,} data sets together {together:.2f} s, one by one {apart:.1f} s, "
            f"{apart / together:.0f} times as long"
        )


if __name__ == "__main__":
    main()
