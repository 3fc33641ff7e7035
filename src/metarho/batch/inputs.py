"""What a run was made from, as a file of its folder: the data may have changed since.

The table of the evidence is kept as it was read, cell by cell, so that any reading of it can be
made again; models and priors are kept in full.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metarho.data.covariance import Covariances
from metarho.data.studies import NUMBERS, Studies, roles_of
from metarho.data.tables import Cell, Table, is_blank, number, text
from metarho.errors import InputError
from metarho.spec.analysis import Analysis, Columns
from metarho.spec.model import Model
from metarho.store.problems import cleaned

INPUTS = "inputs.json"
# Raised when the file means something else than before.
FORMAT = 1


@dataclass(frozen=True)
class Inputs:
    """What a run was made from. ``roles`` are the columns of the table by what they hold."""

    analysis: Analysis
    models: Mapping[str, Model]
    table: Table
    roles: Mapping[str, str]
    covariances: Covariances


def numbers_of(roles: Mapping[str, str]) -> set[str]:
    """The columns whose role is to hold numbers."""
    return {column for role, column in roles.items() if role in NUMBERS}


def content_of(cell: Cell, *, is_number: bool) -> str | float | None:
    """What a cell says, the same from every kind of file: Excel has a number where CSV has text."""
    if is_blank(cell):
        return None
    try:
        return number(cell) if is_number else text(cell)
    except ValueError:
        # In a row that the filter removes.
        return text(cell)


def inputs_text(analysis: Analysis, models: Mapping[str, Model], studies: Studies) -> str:
    """Everything that a run is made from, as JSON."""
    table = studies.table
    content = {
        "format": FORMAT,
        "analysis": analysis.model_dump(mode="json"),
        "models": {name: model.model_dump(mode="json") for name, model in models.items()},
        "source": studies.overlaps[0],
        "roles": roles_of(analysis.studies.source, analysis.studies.columns),
        "columns": {name: [_kept(cell) for cell in cells] for name, cells in table.columns.items()},
        "places": [place.rsplit("/", 1)[-1] for place in table.places],
        "covariances": [list(one) for one in studies.covariances],
    }
    return json.dumps(content, allow_nan=False) + "\n"


def _kept(cell: Cell) -> Cell:
    """The cell; an infinite number, which JSON does not have and no role takes, as text."""
    return str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell


def inputs_from(text: str) -> Inputs:
    """What ``inputs_text`` wrote, through the checks that configs and models are read with.

    Raises InputError for another format, and ValueError, KeyError or TypeError (pydantic's among
    them) for what is no such text.
    """
    content: Mapping[str, Any] = cleaned(json.loads(text))
    if content["format"] != FORMAT:
        raise InputError(
            f"was written by another metarho (format {content['format']!r}; this one reads "
            f"{FORMAT}); run the config again"
        )
    models = {name: _model(said, name) for name, said in content["models"].items()}
    analysis = Analysis.model_validate_json(json.dumps(content["analysis"]))
    if {*analysis.models} != {*models}:
        raise ValueError("the models are not those of the analysis")
    roles = Columns.model_validate_json(json.dumps(content["roles"])).mapped
    places = tuple(str(place) for place in content["places"])
    columns = {name: _column(cells, len(places)) for name, cells in content["columns"].items()}
    table = Table(str(content["source"]), columns, places)
    for column in roles.values():
        table.column(column)
    pairs = tuple((int(a), int(b), float(value)) for a, b, value in content["covariances"])
    return Inputs(analysis, models, table, roles, pairs)


def _model(said: Mapping[str, Any], name: str) -> Model:
    content = {**said, "name": name}
    if content.get("custom") is not None:
        # Where its file lay is not kept. Nothing here runs it.
        content["custom"] = {**content["custom"], "path": content["custom"]["name"]}
    return Model.model_validate_json(json.dumps(content))


def _column(cells: Any, length: int) -> tuple[Cell, ...]:
    if not isinstance(cells, list) or len(cells) != length:
        raise ValueError("the columns have unequal lengths")
    return tuple(_cell(cell) for cell in cells)


def _cell(cell: Any) -> Cell:
    if isinstance(cell, int) and not isinstance(cell, bool):
        # Tables hold no whole numbers; a file that was edited may.
        return float(cell)
    if cell is None or isinstance(cell, str | float | bool):
        return cell
    raise ValueError("a cell is no text or number")
