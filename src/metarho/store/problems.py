"""A problem as text in a saved fit, so that the fit can be asked, and added to, without its config.

What is kept is what a problem is made of: the model, its priors in full, the rows used with their
moderators, and the levels of factors. Exact fits only: there a study has no levels but its own.
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
from metarho.spec.priors import parse_prior


def problem_text(problem: Problem) -> str:
    """The problem as JSON."""
    studies = studies_of(problem)
    designs = (problem.design, problem.scale_design)
    return json.dumps(
        {
            "model": problem.model.model_dump(mode="json"),
            "priors": [[n, str(a.prior), a.source] for n, a in problem.priors.items()],
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
    priors = {n: AppliedPrior(parse_prior(one), source) for n, one, source in content["priors"]}
    mean, scale = (
        {name: tuple(levels) for name, levels in one.items()} for one in content["levels"]
    )
    model = Model.model_validate(content["model"], strict=False)
    problem = encode_known(model, studies, priors, (mean, scale))
    return replace(problem, dropped=tuple(content["dropped"])), studies


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
    columns = {**problem.design.cells, **problem.scale_design.cells}
    return Studies(
        Table("the fit", columns, tuple(row.place for row in rows)),
        problem.measure,
        problem.intervals,
        rows,
        covariances=tuple(covariances),
        overlaps=problem.overlaps,
    )
