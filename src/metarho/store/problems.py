"""A problem as text in a saved fit, so that the fit can be asked, and added to, without its config.

What is kept is what a problem is made of: the model, its priors in full, the rows used with their
moderators and groups, and the levels of factors. Of a custom model the name of its file is kept and
not what is in it: what a saved fit says is never run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, get_args

from metarho.data.studies import SCALE, Row, Studies
from metarho.data.tables import Table
from metarho.engines.problem import Problem, encode_known
from metarho.spec.analysis import Intervals
from metarho.spec.document import without_control
from metarho.spec.model import AppliedPrior, Model
from metarho.spec.priors import Prior, parse_prior
from metarho.spec.shrinkage import FAMILY_OF


def problem_text(problem: Problem) -> str:
    """The problem as JSON."""
    studies = studies_of(problem)
    designs = (problem.design, problem.scale_design)
    return json.dumps(
        {
            "model": problem.model.model_dump(mode="json", exclude={"custom": {"source"}}),
            "priors": _written(problem.priors),
            "reliabilities": _written(problem.reliabilities),
            "levels": [{n: list(v) for n, v in design.levels.items()} for design in designs],
            "rows": [asdict(row) for row in studies.rows],
            "columns": {name: list(cells) for name, cells in studies.table.columns.items()},
            "measure": studies.measure,
            "intervals": studies.intervals,
            "covariances": [list(one) for one in studies.covariances],
            "overlaps": list(studies.overlaps),
            "dropped": list(problem.dropped),
        }
    )


def problem_from(text: str) -> tuple[Problem, Studies]:
    """The problem in a text, and its rows. Raises ValueError, KeyError or TypeError for others."""
    content: Mapping[str, Any] = cleaned(json.loads(text))
    for key in ("overlaps", "dropped"):
        if not all(isinstance(one, str) for one in content[key]):
            raise ValueError(f"{key} are texts")
    if content["intervals"] not in get_args(Intervals.__value__) or content["measure"] not in SCALE:
        raise ValueError("intervals or measure are not known")
    rows = tuple(Row(**row) for row in content["rows"])
    columns = {name: tuple(cells) for name, cells in content["columns"].items()}
    studies = Studies(
        Table("the saved fit", columns, tuple(row.place for row in rows)),
        content["measure"],
        content["intervals"],
        rows,
        covariances=tuple((int(a), int(b), float(value)) for a, b, value in content["covariances"]),
        overlaps=tuple(content["overlaps"]),
    )
    mean, scale = (
        {name: tuple(levels) for name, levels in one.items()} for one in content["levels"]
    )
    problem = encode_known(
        _model(content["model"]),
        studies,
        _read(content["priors"]),
        (mean, scale),
        # Files of fits by quadrature may lack them, which have none.
        _read(content.get("reliabilities", [])),
    )
    return replace(problem, dropped=tuple(content["dropped"])), studies


def _written(priors: Mapping[str, AppliedPrior]) -> list[list[str]]:
    return [[name, str(applied.prior), applied.source] for name, applied in priors.items()]


def _read(priors: list[list[str]]) -> dict[str, AppliedPrior]:
    return {name: AppliedPrior(_prior(one), source) for name, one, source in priors}


def _prior(text: str) -> Prior:
    """A prior, or a slope's part of a joint one, which no user writes."""
    for unit in FAMILY_OF:
        if text.endswith(f" on {unit}"):
            return replace(parse_prior(text.removesuffix(f" on {unit}")), on=unit)
    return parse_prior(text)


def _model(content: dict[str, Any]) -> Model:
    """The model; a custom one without its code, which is not there to be run."""
    if content.get("custom") is not None:
        file = {"name": content["custom"]["name"], "path": "the saved fit", "source": ""}
        content = {**content, "custom": file}
    return Model.model_validate(content, strict=False)


def cleaned(value: Any) -> Any:
    """JSON without control characters, as texts of tables and configs are read."""
    if isinstance(value, str):
        return without_control(value)
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    if isinstance(value, dict):
        return {without_control(name): cleaned(one) for name, one in value.items()}
    return value


def studies_of(problem: Problem) -> Studies:
    """The rows of a problem as evidence: those used, numbered anew, with their moderators."""
    evidence = problem.evidence
    rows = tuple(replace(row, index=index) for index, row in enumerate(evidence.rows))
    covariances = [
        (int(group.rows[a]), int(group.rows[b]), float(group.covariance[a, b]))
        for group in evidence.correlated
        for a in range(len(group.rows))
        for b in range(a + 1, len(group.rows))
    ]
    columns = {**problem.design.cells, **problem.scale_design.cells, **_groups(problem)}
    return Studies(
        Table("the fit", columns, tuple(row.place for row in rows)),
        problem.measure,
        problem.intervals,
        rows,
        covariances=tuple(covariances),
        overlaps=problem.overlaps,
    )


def _groups(problem: Problem) -> dict[str, tuple[str, ...]]:
    """The columns that levels of a model are, but study, sample and effect, which rows have."""
    evidence = problem.evidence
    found = {
        "study": tuple(row.study for row in evidence.rows),
        "sample": tuple(f"{row.study} / {row.sample}" for row in evidence.rows),
    }
    paths = sorted(problem.model.paths.items(), key=lambda item: len(item[1]))
    for level, (*outer, _) in paths:
        if level in ("study", "sample", "effect"):
            continue
        # Evidence names nested groups within their outer ones.
        within = ["".join(f"{found[one][row]} / " for one in outer) for row in range(evidence.k)]
        found[level] = tuple(map(str.removeprefix, evidence.labels[level], within))
    return {name: cells for name, cells in found.items() if name not in ("study", "sample")}
