"""From a config to its plan: every cell encoded and checked, nothing computed, nothing written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError, did_you_mean, shown
from metarho.fitting import choose
from metarho.fitting.citations import notes_on_citations
from metarho.spec.analysis import Analysis, Intervals, StudiesSpec, read_analysis
from metarho.spec.checks import read_check_file
from metarho.spec.document import Document
from metarho.spec.lookup import find, is_shipped, workspace
from metarho.spec.model import Model, PriorSet, read_model


@dataclass(frozen=True)
class Cell:
    """One fit of an analysis: a model with a prior set on the evidence, intervals used or not."""

    model: str
    prior_set: str
    intervals: str
    problem: Problem
    engine: str
    reason: str

    @property
    def label(self) -> str:
        """The model's name as tables for readers print it."""
        true_scores = self.problem.model.measurement == "true-score"
        return f"{self.model} (true scores)" if true_scores else self.model


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    config: Path
    analysis: Analysis
    studies: Mapping[str, Studies]
    """The evidence by ``use`` and ``drop``."""
    models: Mapping[str, tuple[Model, Path]]
    cells: tuple[Cell, ...]
    remarks: tuple[str, ...]
    output: Path
    """The folder that holds results by config, and the store."""

    @property
    def folder(self) -> Path:
        """Where the results of this config go."""
        return self.output / self.config.stem

    @property
    def citations(self) -> tuple[str, ...]:
        """Remarks on the cited priors, each once."""
        notes = (note for cell in self.cells for note in notes_on_citations(cell.problem))
        return tuple(dict.fromkeys(notes))

    @property
    def evidence(self) -> Studies:
        """The evidence as read, before interval rows are dropped."""
        return self.studies.get("use") or next(iter(self.studies.values()))


def plan(
    config: Path, output: Path | None = None, read: tuple[Analysis, Document] | None = None
) -> Plan:
    """Resolve and check everything that a config names; ``read`` is what it says, where known.

    Raises InputError with file, line, value and what is allowed.
    """
    check_output(output)
    analysis, document = read or read_analysis(config)
    here = config.resolve().parent
    studies = _studies(analysis, document, here)
    models = read_models(analysis, document, here)
    cells: list[Cell] = []
    reached: set[str] = set()
    for name, (model, _) in models.items():
        for intervals in analysis.studies.intervals:
            for prior_set in analysis.priors:
                try:
                    problem = encode(
                        model,
                        studies[intervals],
                        analysis.priors[prior_set],
                        all_rows=studies.get("use"),
                    )
                    engine, reason = choose(problem, analysis.engine)
                except InputError as error:
                    place = document.place(("priors", prior_set))
                    raise InputError(f"model {name}: {error}", place=place) from None
                cells.append(Cell(name, prior_set, intervals, problem, engine, reason))
                reached |= problem.names_reached
    check_reached(analysis, document, reached)
    _check_profiles(analysis, document, cells, studies)
    _check_checks(analysis, document, studies, here)
    root = output or default_output(config)
    return Plan(config, analysis, studies, models, tuple(cells), _remarks(analysis, cells), root)


def cell_of(plan: Plan, model: str | None, prior_set: str | None, intervals: str | None) -> Cell:
    """One cell of a plan: by default its first model, the reference set, intervals as first named.

    Raises InputError for a name that the plan does not have.
    """
    analysis = plan.analysis
    wanted = {
        "model": (model, analysis.models[0], analysis.models),
        "prior set": (prior_set, analysis.reference_set, tuple(analysis.priors)),
        "intervals": (intervals, analysis.studies.intervals[0], analysis.studies.intervals),
    }
    names = []
    for what, (given, default, allowed) in wanted.items():
        name = default if given is None else given
        if name not in allowed:
            raise InputError(
                f"{plan.config} has no {what} {shown(name)}; {did_you_mean(name, allowed)}"
            )
        names.append(name)
    return next(c for c in plan.cells if [c.model, c.prior_set, c.intervals] == names)


class _Chosen(Protocol):
    """What names models and prior sets."""

    @property
    def models(self) -> tuple[str, ...]: ...

    @property
    def priors(self) -> Mapping[str, PriorSet]: ...


class _Placed(Protocol):
    """What has a config and a folder for its results."""

    @property
    def config(self) -> Path: ...

    @property
    def folder(self) -> Path: ...


def check_folders(plans: Sequence[_Placed]) -> None:
    """Raise InputError when two plans would write to one folder."""
    folders: dict[Path, Path] = {}
    for item in plans:
        folder = item.folder.resolve()
        if folder in folders:
            raise InputError(
                f"{folders[folder]} and {item.config} would both write to {folder}; rename one"
            )
        folders[folder] = item.config


def check_output(output: Path | None) -> None:
    """Raise InputError where ``--output`` names a file."""
    if output is not None and output.exists() and not output.is_dir():
        raise InputError(f"--output {output} is a file; name a folder, which may be a new one")


def default_output(config: Path | None = None) -> Path:
    """The folder of results in the workspace of a config, else of the current folder.

    A shipped config is nobody's workspace: its results are the current folder's.
    """
    starts = [Path.cwd()]
    if config is not None and not is_shipped(config, "configs"):
        starts.insert(0, config.resolve().parent)
    return (workspace(*starts) or Path.cwd()) / "outputs"


def read_models(analysis: _Chosen, document: Document, here: Path) -> dict[str, tuple[Model, Path]]:
    """The models that an analysis names, and their files. Raises InputError with the place."""
    models = {}
    for index, name in enumerate(analysis.models):
        try:
            path = find(name, "models", here, Path.cwd())
        except InputError as error:
            raise error.at(document.place(("models", index))) from None
        models[name] = (read_model(path), path)
    return models


def _studies(analysis: Analysis, document: Document, here: Path) -> dict[str, Studies]:
    spec = analysis.studies
    use = "use" in spec.intervals
    try:
        first = read_studies(spec, here, "use" if use else "drop")
        found = {"use" if use else "drop": first}
        if use and "drop" in spec.intervals:
            found["drop"] = first.dropping_intervals()
        return found
    except InputError as error:
        raise error.at(document.place(("studies", "source"))) from None


def read_studies(spec: StudiesSpec, here: Path, intervals: Intervals) -> Studies:
    """The evidence that an analysis in a folder names. Raises InputError as ``load_studies``."""
    source: str | Path = spec.source
    if "/" in spec.source or Path(spec.source).suffix:
        source = here / spec.source
    return load_studies(
        source,
        measure=spec.measure,
        columns=spec.columns,
        where=spec.where,
        intervals=intervals,
        rho_within=spec.rho_within,
        covariance=here / spec.covariance if spec.covariance is not None else None,
        overlaps=spec.overlaps,
        alpha=spec.alpha,
        rho_tests=spec.rho_tests,
    )


def check_reached(analysis: _Chosen, document: Document, reached: set[str]) -> None:
    """Raise InputError for a name in a prior set that no model has.

    One that only some lack is a remark.
    """
    for name, priors in analysis.priors.items():
        for parameter in priors:
            if parameter not in reached:
                raise InputError(
                    f"no model of this analysis has a parameter {parameter!r}; "
                    + did_you_mean(parameter, reached),
                    place=document.place(("priors", name, parameter)),
                )


def _check_profiles(
    analysis: Analysis, document: Document, cells: list[Cell], studies: Mapping[str, Studies]
) -> None:
    table = next(iter(studies.values())).table
    for index, profile in enumerate(analysis.new_studies):
        for column in profile.moderators:
            if column not in table.columns:
                raise InputError(
                    f"new study {profile.label!r}: the evidence has no column {column!r}; "
                    + did_you_mean(column, table.columns),
                    place=document.place(("new_studies", index, column)),
                )
        for cell in cells:
            try:
                cell.problem.design.encode(profile.moderators)
                cell.problem.scale_design.encode(profile.moderators)
            except InputError as error:
                raise InputError(
                    f"new study {profile.label!r}: {error}",
                    place=document.place(("new_studies", index)),
                ) from None


def _check_checks(
    analysis: Analysis, document: Document, studies: Mapping[str, Studies], here: Path
) -> None:
    """Files of checks are there, and are not run; columns that they go by too."""
    columns = next(iter(studies.values())).table.columns
    for index, check in enumerate(analysis.checks):
        place = document.place(("checks", index))
        if check.by is not None and check.by not in columns:
            raise InputError(
                f"check {check.name}: the evidence has no column {check.by!r}; "
                + did_you_mean(check.by, columns),
                place=place,
            )
        if check.file is not None:
            try:
                read_check_file(check.file, here)
            except InputError as error:
                raise error.at(place) from None


def _remarks(analysis: Analysis, cells: list[Cell]) -> tuple[str, ...]:
    remarks = []
    if analysis.grid is not None:
        remarks.append("the grid is for metarho run and check; this is the analysis without it")
    for name in dict.fromkeys(cell.model for cell in cells):
        (reached, own), *_ = [
            (cell.problem.names_reached, cell.problem.model.priors)
            for cell in cells
            if cell.model == name
        ]
        unused = [parameter for parameter in own if "[" in parameter and parameter not in reached]
        if unused:
            remarks.append(f"model {name}: its prior of {', '.join(unused)} has no use here")
    for name, priors in analysis.priors.items():
        for parameter in priors:
            without = sorted(
                {cell.model for cell in cells if parameter not in cell.problem.names_reached}
            )
            if without:
                remarks.append(f"prior set {name}: {parameter} has no use in {', '.join(without)}")
    for profile in analysis.new_studies:
        models_without: dict[tuple[str, ...], list[str]] = {}
        for column in profile.moderators:
            models = sorted({c.model for c in cells if column not in c.problem.moderators})
            if models:
                models_without.setdefault(tuple(models), []).append(column)
        remarks += [
            f"new study {profile.label}: {', '.join(columns)} "
            f"{'has' if len(columns) == 1 else 'have'} no use in {', '.join(models)}"
            for models, columns in models_without.items()
        ]
    return tuple(remarks)


def file_names(labels: list[str]) -> list[str]:
    """File names for labels: plain characters, one each, in order."""
    taken: set[str] = set()
    names = []
    for label in labels:
        stem = re.sub(r"[^\w-]+", "-", label, flags=re.ASCII).strip("-")[:80] or "cell"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        names.append(name)
    return names
