"""An analysis: studies × models × prior sets × new studies, as one frozen value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.checks import Check
from metarho.spec.document import Document, Frozen, read_document
from metarho.spec.ensemble import EnsembleSpec
from metarho.spec.filters import parse_filter
from metarho.spec.grid import Grid
from metarho.spec.model import PriorSet
from metarho.spec.why import Why

type Measure = Literal["ZCOR", "COR", "GEN"]
type Engine = Literal["auto", "exact", "nuts"]
type Intervals = Literal["use", "drop"]
type ScriptTarget = Literal["metafor", "bayesmeta", "brms", "pymc"]

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Columns(Frozen):
    """Role -> the file's own column. Only what is mapped here has a role; nothing is guessed."""

    ri: Text | None = None
    ni: Text | None = None
    study: Text | None = None
    sample: Text | None = None
    effect: Text | None = None
    reported: Text | None = None
    alpha: Text | None = None
    tests: Text | None = None
    word_means: Text | None = None
    statistic: Text | None = None
    ri_low: Text | None = None
    ri_high: Text | None = None
    yi: Text | None = None
    vi: Text | None = None
    sei: Text | None = None
    yi_low: Text | None = None
    yi_high: Text | None = None
    rxx: Text | None = None
    ryy: Text | None = None
    ux: Text | None = None

    @property
    def mapped(self) -> dict[str, str]:
        """The roles that are mapped."""
        return {role: column for role, column in self.model_dump().items() if column is not None}


class StudiesSpec(Frozen):
    """Where the evidence is and how it is read."""

    source: Text
    measure: Measure = "ZCOR"
    columns: Columns | None = None
    where: str | None = None
    intervals: tuple[Intervals, ...] = ("use",)
    # 0: nothing is known of how estimates from the same people correlate. Said in every report.
    rho_within: Annotated[float, Field(ge=0, lt=1)] = 0.0
    covariance: Text | None = None
    # What the evidence holds, by DOI or name: a cited prior made from it uses it twice.
    overlaps: tuple[Text, ...] = ()
    # The convention of the primary literature; rows that name another have the column alpha.
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    # Nothing is known of it but that tests of one sample have people in common: halfway.
    rho_tests: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @field_validator("intervals", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        if isinstance(value, str):
            return (value,)
        return tuple(value) if isinstance(value, list) else value

    @field_validator("intervals")
    @classmethod
    def _each_once(cls, value: tuple[Intervals, ...]) -> tuple[Intervals, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("intervals is use, drop, or a list that names each at most once")
        return value

    @field_validator("where")
    @classmethod
    def _filter_is_allowed(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_filter(value)
            except InputError as error:
                raise ValueError(error.message) from None
        return value


class Profile(Frozen):
    """A new study we ask about: its ``ni`` (for GEN its ``sei``) and its moderators.

    For models of true scores also the reliabilities ``rxx`` and ``ryy`` of what it will measure,
    and ``ux`` where its range is restricted.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    label: Text
    ni: Annotated[float, Field(ge=4)] | None = None
    sei: Annotated[float, Field(gt=0)] | None = None
    rxx: Annotated[float, Field(gt=0, le=1)] | None = None
    ryy: Annotated[float, Field(gt=0, le=1)] | None = None
    ux: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _moderators_are_plain(self) -> Profile:
        for name, value in self.moderators.items():
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise ValueError(f"{name}: {shown(value)} must be a text or a number")
        return self

    @property
    def moderators(self) -> dict[str, str | float]:
        """Column -> value, as the file writes them."""
        return dict(self.model_extra or {})


class Sampler(Frozen):
    """How the sampled engine runs."""

    # Four chains are what R-hat's and ESS's thresholds were studied with (Vehtari et al. 2021).
    chains: Annotated[int, Field(ge=2, le=64)] = 4
    draws: Annotated[int, Field(ge=100, le=1_000_000)] = 1000
    tune: Annotated[int, Field(ge=100, le=1_000_000)] = 1000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 20261122


class Interval(Frozen):
    """Probability and kind of every printed interval."""

    prob: Annotated[float, Field(gt=0, lt=1)] = 0.95
    kind: Literal["eti", "hdi"] = "eti"


class Thresholds(Frozen):
    """Values that posterior probabilities are printed for, on the r scale."""

    rho: tuple[Annotated[float, Field(gt=-1, lt=1)], ...] = (0.0, 0.1, 0.3)


class Analysis(Frozen):
    """What we run. Read from ``configs/*.yaml``."""

    name: str
    title: str = ""
    description: str = ""
    studies: StudiesSpec
    models: Annotated[tuple[Text, ...], Field(min_length=1)]
    priors: Annotated[dict[Text, PriorSet], Field(min_length=1)] = Field(default={"default": {}})
    reference: Text | None = None
    why: Why = Why()
    new_studies: tuple[Profile, ...] = ()
    # None: all named statistics.
    checks: tuple[Check, ...] = ()
    # None: the models with the prior sets, intervals used or not, and a report of each.
    grid: Grid | None = None
    # None: models are candidates, each for itself.
    ensemble: EnsembleSpec | None = None
    engine: Engine = "auto"
    agreement: bool = False
    sampler: Sampler = Sampler()
    thresholds: Thresholds = Thresholds()
    interval: Interval = Interval()
    report: Literal["html", "none"] = "html"
    # Scripts that check each result elsewhere: for those who ask.
    scripts: tuple[ScriptTarget, ...] = ()
    defaults: Literal["2026.1"] = "2026.1"

    @field_validator("models")
    @classmethod
    def _models_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a model is named twice")
        return value

    @model_validator(mode="after")
    def _reference_is_a_prior_set(self) -> Analysis:
        if self.reference is not None and self.reference not in self.priors:
            raise ValueError(
                f"reference {shown(self.reference)} is no prior set; "
                + did_you_mean(self.reference, self.priors)
            )
        return self

    @model_validator(mode="after")
    def _weights_are_of_models(self) -> Analysis:
        if self.ensemble is not None:
            self.ensemble.of_models(self.models)
        return self

    @model_validator(mode="after")
    def _reasons_are_of_prior_sets(self) -> Analysis:
        for name in self.why.priors:
            if name not in self.priors:
                raise ValueError(
                    f"why: there is no prior set {shown(name)}; " + did_you_mean(name, self.priors)
                )
        return self

    @property
    def reference_set(self) -> str:
        """The prior set that others are compared with: ``reference``, ``default``, or the first."""
        named = self.reference or "default"
        return named if named in self.priors else next(iter(self.priors))

    @field_validator("new_studies")
    @classmethod
    def _labels_once(cls, value: tuple[Profile, ...]) -> tuple[Profile, ...]:
        labels = [profile.label for profile in value]
        if len(set(labels)) != len(labels):
            raise ValueError("two new studies have one label")
        return value

    @field_validator("scripts")
    @classmethod
    def _scripts_once(cls, value: tuple[ScriptTarget, ...]) -> tuple[ScriptTarget, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a script is asked for twice")
        return value

    @model_validator(mode="after")
    def _scripts_are_of_cells(self) -> Analysis:
        if self.scripts and self.grid is not None:
            raise ValueError(
                "scripts are of the results of a run without grid; leave scripts out, and ask for "
                "one with metarho script"
            )
        return self

    @field_validator("checks")
    @classmethod
    def _checks_once(cls, value: tuple[Check, ...]) -> tuple[Check, ...]:
        names = [(check.name, check.by) for check in value]
        if len(set(names)) != len(names):
            raise ValueError("a check is named twice")
        return value


def read_analysis(path: Path) -> tuple[Analysis, Document]:
    """Read an analysis, and the document it came from (for the places of later errors).

    Raises InputError with file, line, value and what is allowed.
    """
    document = read_document(path)
    check_name(document)
    if "simulate" in document.data:
        raise InputError(
            "simulates its data, which only metarho run and metarho check do; a config with "
            "evidence has studies: in place of simulate:",
            place=document.place(("simulate",)),
        )
    return document.validate(Analysis, name=path.stem), document


def check_name(document: Document) -> None:
    """Raise InputError where a config's name, its file's, cannot name the folder of its results."""
    path = document.path
    if "name" in document.data:
        raise InputError(
            "unknown key 'name'; an analysis is named by its file",
            place=document.place(("name",)),
        )
    if path.stem.startswith("."):
        raise InputError(
            "a config's name names the folder of its results; it may not start with a dot",
            place=str(path),
        )
    if path.stem == "store":
        raise InputError(
            "a config may not be called store: its results would lie in the store", place=str(path)
        )
