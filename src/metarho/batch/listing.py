"""What there is to name: the models and configs of a workspace, and those that are shipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from metarho.batch.describe import model_in_words
from metarho.data.studies import Studies, audited
from metarho.data.tables import Cell, Table
from metarho.engines import exact, nuts
from metarho.engines.problem import encode
from metarho.errors import InputError
from metarho.spec.analysis import read_analysis
from metarho.spec.lookup import is_shipped, names
from metarho.spec.model import RELIABILITIES, Model, read_model
from metarho.spec.simulation import is_simulation, read_simulation

type Origin = Literal["workspace", "shipped"]
type Kind = Literal["analysis", "grid", "simulation"]

# Rows to try a model on: enough for splines and polynomials of its moderators.
_ROWS = 12


@dataclass(frozen=True)
class ListedModel:
    """A model that can be named. ``engines`` are those that can answer it on complete numbers."""

    name: str
    origin: Origin
    path: Path
    title: str = ""
    words: str = ""
    engines: tuple[str, ...] = ()
    broken: str | None = None
    """Why the file cannot be read; None where it can."""


@dataclass(frozen=True)
class ListedConfig:
    """A config that can be named, and the models that it names."""

    name: str
    origin: Origin
    path: Path
    kind: Kind | None = None
    title: str = ""
    models: tuple[str, ...] = ()
    broken: str | None = None
    """Why the file cannot be read; None where it can."""


def listed_models(start: Path) -> list[ListedModel]:
    """Every model that can be named in a folder, by name; a file that is broken says why."""
    return [listed_model(name, path) for name, path in names("models", start).items()]


def listed_model(name: str, path: Path) -> ListedModel:
    """A model as it is listed."""
    origin = _origin(path, "models")
    try:
        model = read_model(path)
    except InputError as error:
        return ListedModel(name, origin, path, broken=str(error))
    engines = tuple(engine for engine, refusal in refusals(model).items() if refusal is None)
    return ListedModel(name, origin, path, model.title, model_in_words(model), engines)


def listed_configs(start: Path) -> list[ListedConfig]:
    """Every config that can be named in a folder, by name; a file that is broken says why."""
    return [_config(name, path) for name, path in names("configs", start).items()]


def _config(name: str, path: Path) -> ListedConfig:
    origin = _origin(path, "configs")
    try:
        if is_simulation(path):
            simulation, _ = read_simulation(path)
            title, models = simulation.title, simulation.models
            return ListedConfig(name, origin, path, "simulation", title, models)
        analysis, _ = read_analysis(path)
    except InputError as error:
        return ListedConfig(name, origin, path, broken=str(error))
    kind: Kind = "analysis" if analysis.grid is None else "grid"
    return ListedConfig(name, origin, path, kind, analysis.title, analysis.models)


def _origin(path: Path, kind: str) -> Origin:
    return "shipped" if is_shipped(path, kind) else "workspace"


def refusals(model: Model) -> Mapping[str, str | None]:
    """Why each engine cannot answer a model in principle; None where it can.

    That is on rows that all print a number, with no moderator blank and errors that do not
    correlate; what an analysis adds, ``metarho check`` says.
    """
    try:
        problem = encode(model, _plain_studies(model))
    except InputError as error:
        return dict.fromkeys((exact.NAME, nuts.NAME), str(error))
    return {exact.NAME: exact.covers(problem), nuts.NAME: nuts.covers(problem)}


def _plain_studies(model: Model) -> Studies:
    """Made-up evidence that has the columns which a model names: two effects a study."""
    number = range(_ROWS)
    columns: dict[str, tuple[Cell, ...]] = {
        "ri": tuple(0.1 + 0.02 * i for i in number),
        "ni": tuple(40.0 + i for i in number),
        "study": tuple(f"study {i // 2}" for i in number),
    }
    if model.measurement == "true-score":
        columns |= dict.fromkeys(RELIABILITIES, (0.8,) * _ROWS)
    roles = {role: role for role in columns}
    for level in model.levels:
        columns.setdefault(level, tuple(f"{level} {i % 3}" for i in number))
    for name in model.columns:
        reference = model.reference.get(name)
        numbers = tuple(1.0 + (i * 5) % _ROWS for i in number)
        levels = tuple(reference if i % 3 else f"not {reference}" for i in number)
        columns[name] = numbers if reference is None else levels
    table = Table("made-up rows", columns, tuple(f"row {i + 1}" for i in number))
    rows = audited(table, roles, "ZCOR", None, "use", (0.05, 0.5))
    return Studies(table, "ZCOR", "use", rows)
