"""A declared grid: the decisions an analysis could have taken otherwise, and which go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.claims import parse_quantity
from metarho.spec.document import Frozen
from metarho.spec.filters import parse_filter

type Statistic = Literal["all", "zero-order", "printed"]
type Choice = str | float

Text = Annotated[str, Field(min_length=1, max_length=200)]

DECISIONS = (
    "where", "measure", "statistic", "intervals", "rho_within",
    "model", "likelihood", "measurement", "priors",
)  # fmt: skip
"""Every decision, in the order of the tables: what is evidence first, then what is believed."""

# Which rows are pooled, on which scale their mean is taken, and whether of true or observed scores:
# these ask another question. How errors correlate, what words are worth, and what is believed
# answer the same one in another way.
ESTIMAND: tuple[str, ...] = ("where", "measure", "statistic", "measurement")

# What a table of cells always has.
ALWAYS = ("rho_median", "lower", "upper", "new_lower", "new_upper", "tau", "log_evidence")


class Sample(Frozen):
    """A random part of a product that is too large to be fitted whole."""

    cells: Annotated[int, Field(ge=1, le=100_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 20261126


class Grid(Frozen):
    """Decisions beside the config's models, prior sets and intervals.

    A decision that is not named has one value: the config's or the model's own. ``where`` has named
    inclusion rules, each a filter laid over that of ``studies`` (null: no further rule). ``unless``
    are filters over decisions: what they keep is left out. ``cells`` are combinations besides.
    """

    where: Mapping[Text, str | None] = Field(default_factory=dict)
    measure: tuple[Literal["ZCOR", "COR"], ...] = ()
    statistic: tuple[Statistic, ...] = ()
    rho_within: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = ()
    likelihood: tuple[Literal["normal", "exact-r"], ...] = ()
    measurement: tuple[Literal["observed", "true-score"], ...] = ()
    unless: tuple[str, ...] = ()
    cells: tuple[Mapping[str, Choice], ...] = ()
    sample: Sample | None = None
    estimand: tuple[str, ...] = ESTIMAND
    # Of the values of decisions in averages over cells, as tables write them; equal unless said.
    weights: Mapping[str, Mapping[str, Annotated[float, Field(ge=0)]]] = Field(default_factory=dict)
    # Beside those of every table; these take a refit or an integral a cell.
    quantities: tuple[str, ...] = ()

    @field_validator("where")
    @classmethod
    def _rules_are_filters(cls, value: Mapping[str, str | None]) -> Mapping[str, str | None]:
        for rule, text in value.items():
            if text is not None:
                _filter(text, f"where {shown(rule)}: ")
        return value

    @field_validator("measure", "statistic", "rho_within", "likelihood", "measurement")
    @classmethod
    def _each_once(cls, value: tuple[Choice, ...]) -> tuple[Choice, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a value is named twice")
        return value

    @field_validator("unless")
    @classmethod
    def _constraints_are_filters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            _filter(text, "")
        return value

    @field_validator("cells")
    @classmethod
    def _cells_name_decisions(
        cls, value: tuple[Mapping[str, Choice], ...]
    ) -> tuple[Mapping[str, Choice], ...]:
        for cell in value:
            for name in cell:
                _decision(name)
        return value

    @field_validator("estimand")
    @classmethod
    def _estimand_names_decisions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            _decision(name)
        return value

    @field_validator("weights")
    @classmethod
    def _weights_name_decisions(
        cls, value: Mapping[str, Mapping[str, float]]
    ) -> Mapping[str, Mapping[str, float]]:
        for name in value:
            _decision(name)
        return value

    @field_validator("quantities")
    @classmethod
    def _quantities_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                named = parse_quantity(text)
            except InputError as error:
                raise ValueError(error.message) from None
            if str(named) in ALWAYS:
                raise ValueError(f"{named} is in every table of cells; leave it out")
        return value

    @property
    def own(self) -> dict[str, tuple[Choice, ...]]:
        """The values of each decision that the grid names, in the order of ``DECISIONS``."""
        named: dict[str, tuple[Choice, ...]] = {
            "where": tuple(self.where),
            "measure": self.measure,
            "statistic": self.statistic,
            "rho_within": self.rho_within,
            "likelihood": self.likelihood,
            "measurement": self.measurement,
        }
        return {name: values for name, values in named.items() if values}


def _decision(name: str) -> None:
    if name not in DECISIONS:
        raise ValueError(f"no decision {shown(name)}; {did_you_mean(name, DECISIONS)}")


def _filter(text: str, before: str) -> None:
    try:
        parse_filter(text)
    except InputError as error:
        raise ValueError(f"{before}{error.message}") from None
