"""What two runs were made from, compared: a list of what was said before and is said now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from metarho.batch.inputs import Inputs, content_of, numbers_of
from metarho.batch.run_folder import RunFolder
from metarho.data.tables import Cell, text

# Words for readers, which no number depends on.
_WORDS_ONLY = ("title", "description", "references", "name", "why")


@dataclass(frozen=True)
class InputChange:
    """Something in the inputs, as it was and as it is; empty where it was or is not there."""

    group: str
    name: str
    old: str
    new: str


def input_changes(old: RunFolder, new: RunFolder) -> list[InputChange]:
    """Everything that differs: evidence by study, then what was said, then versions."""
    found = evidence_changes(old.inputs, new.inputs)
    found += _differences(_said(old.inputs), _said(new.inputs))
    versions = [{f"versions/{name}": v for name, v in run.versions.items()} for run in (old, new)]
    return found + _differences(*versions)


def evidence_changes(old: Inputs, new: Inputs) -> list[InputChange]:
    """Studies that were added or removed, and cells of rows that changed."""
    found = [
        InputChange("evidence", f"column {name}", *("there" if is_there else "" for is_there in at))
        for name in dict.fromkeys((*old.table.columns, *new.table.columns))
        if (at := (name in old.table.columns, name in new.table.columns)) != (True, True)
    ]
    before, after = _by_study(old), _by_study(new)
    numbers = numbers_of(old.roles) & numbers_of(new.roles)
    for study in dict.fromkeys((*before, *after)):
        rows, own = before.get(study, {}), after.get(study, {})
        if not rows or not own:
            counts = [_rows(len(one)) for one in (rows, own)]
            found.append(InputChange("evidence", study, *counts))
            continue
        for effect in dict.fromkeys((*rows, *own)):
            found += _row_changes(f"{study}: {effect}", rows.get(effect), own.get(effect), numbers)
    if old.covariances != new.covariances:
        counts = [f"{len(one.covariances)} pairs" for one in (old, new)]
        found.append(InputChange("evidence", "covariance", *counts))
    return found


def _rows(count: int) -> str:
    return "" if count == 0 else "1 row" if count == 1 else f"{count} rows"


def _row_changes(
    name: str,
    old: Mapping[str, Cell] | None,
    new: Mapping[str, Cell] | None,
    numbers: Collection[str],
) -> list[InputChange]:
    if old is None or new is None:
        return [InputChange("evidence", name, "a row" if old else "", "a row" if new else "")]
    return [
        InputChange("evidence", f"{name}: {column}", text(old[column]), text(new[column]))
        for column in old
        if column in new
        and content_of(old[column], is_number=column in numbers)
        != content_of(new[column], is_number=column in numbers)
    ]


def _by_study(inputs: Inputs) -> dict[str, dict[str, dict[str, Cell]]]:
    """Study -> effect -> column -> cell. Rows without a label are numbered within their study."""
    table, roles = inputs.table, inputs.roles
    found: dict[str, dict[str, dict[str, Cell]]] = {}
    for index in range(len(table)):
        row = {name: cells[index] for name, cells in table.columns.items()}
        study = text(row[roles["study"]]) if "study" in roles else f"row {index + 1}"
        rows = found.setdefault(study, {})
        label = text(row[roles["effect"]]) if "effect" in roles else str(len(rows) + 1)
        # The label of a row that a filter removes may stand there twice.
        while label in rows:
            label += " (again)"
        rows[label] = row
    return found


def _said(inputs: Inputs) -> dict[str, str]:
    """Everything that was said beside the evidence, each value under its path."""
    analysis = inputs.analysis.model_dump(mode="json")
    priors = analysis.pop("priors")
    studies = {"source": inputs.table.source, **analysis.pop("studies"), "columns": inputs.roles}
    models = {
        name: model.model_dump(mode="json", exclude_none=True)
        for name, model in inputs.models.items()
    }
    for said in (analysis, *models.values()):
        for word in _WORDS_ONLY:
            said.pop(word, None)
    sections = {"reading": studies, "models": models, "priors": priors, "analysis": analysis}
    return dict(_paths(sections, ""))


def _paths(value: object, path: str) -> list[tuple[str, str]]:
    """Leaves of nested mappings by their path; an empty mapping is one, so that it is seen."""
    if isinstance(value, Mapping) and value:
        return [
            leaf
            for name, one in value.items()
            for leaf in _paths(one, f"{path}/{name}" if path else str(name))
        ]
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [(path, ", ".join(map(_leaf, value)) or "none")]
    return [(path, _leaf(value))]


def _leaf(value: object) -> str:
    return "none" if value == {} or value is None else str(value)


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[InputChange]:
    found = []
    for path in dict.fromkeys((*old, *new)):
        if old.get(path) != new.get(path):
            group, _, name = path.partition("/")
            name = name.replace("/", ": ")
            found.append(InputChange(group, name, old.get(path, ""), new.get(path, "")))
    return found
