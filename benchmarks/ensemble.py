"""What the publication-bias ensemble costs: 36 members by integration, beside one exact fit.

    make benchmarks

RoBMA's ensemble on 16 printed correlations (molloy2014), on 160 and on 1,000 simulated ones: log
evidence and posterior of every member, as ratios to one random-effects fit of the same rows. Then
variants of its priors of mu and tau, which share what selection does to the rows, and the peak of
what NumPy holds. In seconds of the processor, which other work lengthens less than a clock's.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np

from metarho.api import load_model, load_studies
from metarho.data.studies import Studies
from metarho.engines import exact
from metarho.engines.exact import weight_panels
from metarho.engines.problem import Problem, encode
from metarho.spec.model import Model
from metarho.spec.priors import Prior, parse_prior

DATA = Path(__file__).parent.parent / "tests" / "references" / "molloy2014.csv"
MODELS = (
    *("random-effects", "pet", "peese", "selection-two-sided-05", "selection-two-sided-05-10"),
    *("selection-one-sided-05", "selection-one-sided-025-05", "selection-one-sided-05-50"),
    "selection-one-sided-025-05-50",
)
NONE = parse_prior("DiracDelta(c=0)")
VARIANTS = 200


@cache
def models() -> list[Model]:
    """Read once: reading is not what is measured."""
    return [load_model(name) for name in MODELS]


def members(studies: Studies, priors: dict[str, Prior]) -> Iterator[Problem]:
    """Every model with and without an effect and heterogeneity, those of a model together."""
    for model, effect, varies in product(models(), (True, False), (True, False)):
        held = {} if effect else {"mu": NONE}
        held |= {} if varies else {"tau": NONE}
        yield encode(model, studies, priors | held)


def fitted(studies: Studies, priors: dict[str, Prior]) -> list[float]:
    """The log evidence of every member; what was known of their selection is forgotten."""
    weight_panels.forget()
    return [exact.integrate(problem).log_integral for problem in members(studies, priors)]


def simulated(k: int) -> Studies:
    """As many printed correlations, of 20 to 500 people each."""
    rng = np.random.default_rng(k)
    n = np.round(np.exp(rng.uniform(np.log(20), np.log(500), k)))
    z = rng.normal(0.15, np.sqrt(0.1**2 + 1 / (n - 3)))
    base = load_studies(DATA, columns={"ri": "ri", "ni": "ni"})
    row = base.rows[0]
    rows = tuple(
        replace(
            row, index=i, study=f"s{i}", sample=f"s{i}", ri=float(np.tanh(y)), ni=float(m),
            yi=float(y), vi=float(1 / (m - 3)),
        )
        for i, (y, m) in enumerate(zip(z, n, strict=True))
    )  # fmt: skip
    return replace(base, rows=rows)


def seconds(job: Callable[[], object]) -> float:
    """Seconds of the processor."""
    begun = time.process_time()
    job()
    return time.process_time() - begun


def peak(job: Callable[[], object]) -> float:
    """The most megabytes that Python and NumPy held."""
    tracemalloc.start()
    job()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def variants(count: int) -> Sequence[dict[str, Prior]]:
    """Priors of mu and tau of different scales."""
    scales = np.geomspace(0.1, 1.0, count)
    return [
        {
            "mu": parse_prior(f"Normal(mu=0, sigma={scale:.6g})"),
            "tau": parse_prior(f"HalfNormal(sigma={scale / 2:.6g})"),
        }
        for scale in scales.tolist()
    ]


def main() -> None:
    """Print the table."""
    molloy = load_studies(DATA, columns={"ri": "ri", "ni": "ni"})
    plain = load_model("random-effects")
    models()
    print("rows | one fit, s | 36 members, s | over one fit | peak, MB")
    for studies in (molloy, simulated(160), simulated(1000)):
        problem = encode(plain, studies)
        exact.integrate(problem)
        one = min(seconds(partial(exact.integrate, problem)) for _ in range(5))
        all_of_them = seconds(partial(fitted, studies, {}))
        held = peak(partial(fitted, studies, {}))
        print(
            f"{len(studies.rows):5} | {one:10.4f} | {all_of_them:13.2f} | "
            f"{all_of_them / one:12.0f} | {held:8.0f}"
        )
    first = seconds(partial(fitted, molloy, {}))

    def more() -> None:
        for priors in variants(VARIANTS):
            for problem in members(molloy, priors):
                exact.integrate(problem)

    each = seconds(more) / VARIANTS
    print(f"another of {VARIANTS} priors: {each:.2f} s, {each / first:.2f} of the first")


if __name__ == "__main__":
    main()
