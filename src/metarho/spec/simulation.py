"""A simulation: truths × models × prior sets in place of evidence, from ``configs/*.yaml``.

simulate:
  mu: [0, 0.2]                      # mean of true effects, on Fisher's z
  tau: [0, 0.1, 0.3]                # their sd, on Fisher's z
  k: [5, 20]                        # studies that are seen
  ni: [30, [20, 40, 200], {from: internet-alliance}]      # people a study
  reporting: [all, words, drawer]   # what becomes of results that are not significant
  selection: [1, 0.2]               # chance to appear at all of what is not significantly positive
  replications: 1000
  seed: 1
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.analysis import Interval, Text, check_name
from metarho.spec.document import Document, Frozen, read_document
from metarho.spec.model import PriorSet

type Reporting = Literal["all", "words", "drawer"]

# tanh(2.65) is .99: beyond, people differ in nothing else, and no meta-analysis is about that.
LARGEST_MU = 2.65
# Nearer to 0 nothing shows a difference to it, and a multiple of it is no number.
SMALLEST_MU = 1e-6
MOST_STUDIES = 1000
# As many people as a table may say, and as few as Fisher's variance 1/(n - 3) needs.
MOST_PEOPLE, FEWEST_PEOPLE = 10_000_000, 4
# A study is done anew until its result appears: with this chance some thousand times at worst.
LEAST_SELECTION = 0.01

type Size = Annotated[int, Field(ge=FEWEST_PEOPLE, le=MOST_PEOPLE)]


class SizesOf(Frozen):
    """The sizes of a shipped data set's rows that have one."""

    source: Annotated[Text, Field(alias="from")]


type Sizes = Size | Annotated[tuple[Size, ...], Field(min_length=1, max_length=1000)] | SizesOf


class Simulate(Frozen):
    """The truths, every combination of the lists, and how many data sets are drawn of each.

    True effects are Normal(mu, tau²) on Fisher's z, one a study; r has its exact law under
    bivariate normality. ``k`` studies are seen: one whose result does not appear is done anew.
    ``selection`` is the chance that a result appears whose one-sided p is above .025, relative to
    the others. Of those that appear and are not significant (two-sided p above .05) ``reporting``
    prints r (all), prints "not significant" (words), or prints nothing (drawer).
    """

    mu: tuple[Annotated[float, Field(ge=-LARGEST_MU, le=LARGEST_MU)], ...]
    tau: tuple[Annotated[float, Field(ge=0, le=LARGEST_MU)], ...]
    k: tuple[Annotated[int, Field(ge=1, le=MOST_STUDIES)], ...]
    ni: tuple[Sizes, ...]
    reporting: tuple[Reporting, ...] = ("all",)
    selection: tuple[Annotated[float, Field(ge=LEAST_SELECTION, le=1)], ...] = (1.0,)
    # Two, for a standard error of anything.
    replications: Annotated[int, Field(ge=2, le=1_000_000)] = 1000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 20261126

    @field_validator("mu", "tau", "k", "ni", "reporting", "selection")
    @classmethod
    def _each_once(cls, value: Sequence[object]) -> Sequence[object]:
        if not value:
            raise ValueError("a list with at least one value is needed")
        if len(set(value)) != len(value):
            raise ValueError("a value is named twice")
        return value

    @field_validator("mu")
    @classmethod
    def _is_0_or_shows(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        for mu in value:
            if 0 < abs(mu) < SMALLEST_MU:
                raise ValueError(f"{mu!r} is nearer to 0 than {SMALLEST_MU:g}; write 0")
        return value


class Simulation(Frozen):
    """What is simulated, and the models and prior sets that are judged by it."""

    name: str
    title: str = ""
    description: str = ""
    simulate: Simulate
    models: Annotated[tuple[Text, ...], Field(min_length=1)]
    priors: Annotated[dict[Text, PriorSet], Field(min_length=1)] = Field(default={"default": {}})
    interval: Interval = Interval()
    defaults: Literal["2026.1"] = "2026.1"

    @field_validator("models")
    @classmethod
    def _models_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a model is named twice")
        return value

    @model_validator(mode="after")
    def _intervals_are_equal_tailed(self) -> Simulation:
        if self.interval.kind != "eti":
            raise ValueError(
                f"interval kind {self.interval.kind} would cover otherwise on z than on r; a "
                "simulation has kind: eti"
            )
        return self


# What an analysis says of its evidence and its output, and a simulation has no use for.
_NOT_HERE = {
    "studies": "the data are simulated: a config has studies: or simulate:, not both",
    "grid": "the decisions of a simulation are the lists of simulate:",
    "ensemble": "a simulation fits every model for itself",
    "engine": "simulated data are fitted by the exact engine",
    "sampler": "simulated data are fitted by the exact engine",
    "agreement": "simulated data are fitted by the exact engine",
    "reference": "prior sets are compared with the truth",
    "new_studies": "a new study of each truth is part of the table",
    "checks": "simulated data are not checked",
    "thresholds": "a simulation has no posterior of its own to read probabilities from",
    "report": "a simulation leaves a table",
    "scripts": "a simulation leaves a table",
}


def is_simulation(path: Path) -> bool:
    """Whether a config simulates its data. Raises InputError where it cannot be read."""
    return "simulate" in read_document(path).data


def read_simulation(path: Path) -> tuple[Simulation, Document]:
    """Read a simulation, and the document it came from (for the places of later errors).

    Raises InputError with file, line, value and what is allowed.
    """
    document = read_document(path)
    check_name(document)
    for key, why in _NOT_HERE.items():
        if key in document.data:
            raise InputError(
                f"{key} has no place beside simulate: {why}", place=document.place((key,))
            )
    _check_sizes(document)
    return document.validate(Simulation, name=path.stem), document


def _check_sizes(document: Document) -> None:
    """Raise InputError for a value of ``ni`` that is of no kind: of a union one line is said."""
    simulate = document.data["simulate"]
    values = simulate.get("ni") if isinstance(simulate, dict) else None
    for index, value in enumerate(values if isinstance(values, list) else ()):
        place = document.place(("simulate", "ni", index))
        if isinstance(value, dict):
            unknown = [key for key in value if key != "from"]
            if unknown or not isinstance(value.get("from"), str):
                said = did_you_mean(unknown[0], ["from"]) if unknown else "from names a shipped set"
                raise InputError(f"simulate.ni: {shown(value)}: {said}", place=place)
            continue
        sizes = value if isinstance(value, list) else [value]
        for size in sizes or [None]:
            whole = isinstance(size, int) and not isinstance(size, bool)
            if not (whole and FEWEST_PEOPLE <= size <= MOST_PEOPLE):
                raise InputError(
                    f"simulate.ni: {shown(value)}: people a study are a whole number from "
                    f"{FEWEST_PEOPLE} to {MOST_PEOPLE:,}, a list of them, or {{from: a shipped "
                    "set}",
                    place=place,
                )
