"""One table of cases for both engines: evidence, model, priors."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import Problem, encode
from metarho.spec.lookup import shipped_folder
from metarho.spec.model import Model, read_model
from metarho.spec.priors import parse_prior

REFERENCES = Path(__file__).parent / "references"


def model(name: str, mods: str | None = None) -> Model:
    """A shipped model."""
    return read_model(shipped_folder("models") / f"{name}.yaml", mods=mods)


def alliance(intervals: str = "use", where: str = 'role == "main"') -> Studies:
    """The shipped evidence."""
    studies = load_studies("internet-alliance", where=where)
    return studies.dropping_intervals() if intervals == "drop" else studies


def molloy() -> Studies:
    """16 correlations."""
    return load_studies(REFERENCES / "molloy2014.csv", columns={"ri": "ri", "ni": "ni"})


def written(
    folder: Path,
    rows: Sequence[Mapping[str, object]],
    measure: str = "GEN",
) -> Studies:
    """Studies from rows written to a CSV file; GEN rows have yi, vi, yi_low, yi_high, reported."""
    path = folder / "rows.csv"
    columns = list(
        dict.fromkeys([*(["yi"] if measure == "GEN" else []), *(c for r in rows for c in r)])
    )
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return load_studies(
        path,
        measure="GEN" if measure == "GEN" else "ZCOR",
        columns={column: column for column in columns if column != "x"},
    )


def problem(
    studies: Studies, name: str = "random-effects", mods: str | None = None, **priors: str
) -> Problem:
    """A model with priors on studies."""
    parsed = {parameter: parse_prior(text) for parameter, text in priors.items()}
    return encode(model(name, mods), studies, parsed)


def reference(name: str) -> dict[str, Any]:
    """A pinned reference."""
    loaded: dict[str, Any] = json.loads((REFERENCES / f"{name}.json").read_text("utf-8"))
    return loaded


@dataclass(frozen=True)
class Case:
    """A named problem on the shipped evidence."""

    name: str
    intervals: str = "use"
    where: str = 'role == "main"'
    model: str = "random-effects"
    mods: str | None = None
    priors: tuple[tuple[str, str], ...] = ()

    def problem(self) -> Problem:
        return problem(
            alliance(self.intervals, self.where), self.model, self.mods, **dict(self.priors)
        )


CASES = (
    Case("random effects, intervals used"),
    Case("random effects, intervals dropped", "drop"),
    Case("common effect, intervals used", model="common-effect"),
    Case("common effect, intervals dropped", "drop", model="common-effect"),
    Case(
        "heavy tails",
        priors=(("mu", "StudentT(nu=3, mu=0.1, sigma=0.2)"), ("tau", "HalfCauchy(beta=0.2)")),
    ),
    Case(
        "uniform mean, inverse gamma heterogeneity",
        "drop",
        priors=(
            ("mu", "Uniform(lower=-0.5, upper=0.3)"),
            ("tau", "InverseGamma(alpha=1, beta=0.075)"),
        ),
    ),
    Case(
        "half-t, flat mean",
        "drop",
        priors=(("mu", "Flat()"), ("tau", "HalfStudentT(nu=4, sigma=0.3)")),
    ),
    Case(
        "moderators",
        "drop",
        mods="~ guidance + center(year)",
        priors=(("tau", "LogNormal(mu=-2, sigma=0.6)"),),
    ),
)
"""Problems that both engines cover."""
