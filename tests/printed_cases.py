"""Fits of all kinds, cheap to make, for what prints them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import metarho
from drawn_fits import drawn_fit
from metarho.engines.problem import encode
from metarho.posterior.fit import Fit

MOLLOY = Path(__file__).parent / "references" / "molloy2014.csv"

# Names that are markup, maths, paths and control codes somewhere.
HOSTILE = "<img src=x onerror=alert(1)> | $x$ \\input{a} [red]b[/red] `c`"


def molloy(model: str, mods: str | None = None, **priors: str) -> Fit:
    studies = metarho.load_studies(MOLLOY, columns={"ri": "ri", "ni": "ni", "study": "authors"})
    return metarho.fit(metarho.load_model(model, mods=mods), studies, priors=priors)


def alliance(model: str, **priors: str) -> Fit:
    studies = metarho.load_studies("internet-alliance", where='role == "main"')
    return metarho.fit(metarho.load_model(model), studies.dropping_intervals(), priors=priors)


def drawn(model: str, status: str = "ok", reasons: tuple[str, ...] = ()) -> Fit:
    studies = metarho.load_studies("internet-alliance", where='role == "main"')
    return drawn_fit(encode(metarho.load_model(model), studies), status, reasons)


def of_rows(folder: Path, text: str, measure: str = "GEN", **priors: str) -> Fit:
    """A random-effects fit of a table with the columns study, effect and numbers."""
    (folder / "data.csv").write_text(text, encoding="utf-8")
    columns = {name: name for name in text.splitlines()[0].split(",")}
    studies = metarho.load_studies(
        folder / "data.csv",
        measure=measure,  # type: ignore[arg-type]
        columns=columns,
    )
    return metarho.fit(metarho.load_model("random-effects"), studies, priors=priors)


@cache
def case(name: str) -> Fit:
    """One of the fits, made once."""
    return CASES[name]()


CASES: dict[str, Callable[[], Fit]] = {
    "random effects": lambda: molloy("random-effects"),
    "common effect": lambda: molloy("common-effect"),
    "improper": lambda: molloy("random-effects", mu="Flat()", tau="Flat()"),
    "moderators": lambda: molloy("random-effects", "~ design + center(meanage)"),
    "three levels": lambda: alliance("three-level"),
    "a total and its share": lambda: alliance("three-level", tau="HalfNormal(sigma=0.2)"),
    "selected": lambda: alliance("selection"),
    "Student-t": lambda: alliance("student-t", nu="DiracDelta(c=4)"),
    "imputed": lambda: drawn("three-level-moderators"),
    "mixture": lambda: drawn("mixture"),
    "pet": lambda: drawn("pet"),
    "peese": lambda: drawn("peese"),
    "true scores": lambda: drawn("true-score"),
    "custom": lambda: drawn("multiplicative"),
    "failed": lambda: drawn("pet", "not reportable", ("R-hat of mu is 1.2; run more draws",)),
}
