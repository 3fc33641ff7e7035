"""Reading the rows of a grid."""

from __future__ import annotations

import math

from metarho.cells.table import (
    answered,
    answers,
    by_estimand,
    choice,
    not_answered,
    options,
    varied,
)
from metarho.compare.rows import Row, Value


def _cell(status: str = "ok", median: float | None = 0.1, **columns: Value) -> Row:
    return {"status": status, "median": median, **columns}


def test_choices_are_text_as_tables_write_them() -> None:
    rows = [_cell(rho=value) for value in (0.5, 0, 0.0, None, "0.5", 1 / 3)]
    assert [choice(row, "rho") for row in rows] == ["0.5", "0", "0", "none", "0.5", "0.3333333333"]
    assert options(rows, "rho") == ("0.5", "0", "none", "0.3333333333")


def test_only_decisions_with_several_values_vary() -> None:
    rows = [_cell(model="a", rho=0.5), _cell("refused", None, model="b", rho="0.5")]
    assert varied(rows, ["model", "rho"]) == ("model",)


def test_an_answer_is_a_finite_number_of_a_reportable_cell() -> None:
    rows = [
        _cell(median=0.1), _cell("warnings", 0.2), _cell(median=3),
        _cell("not reportable", 0.3), _cell("refused", None), _cell("failed", None),
        _cell("failed", None), _cell(median=None), _cell(median=math.nan), _cell(median=-math.inf),
    ]  # fmt: skip
    assert answered(rows) == rows[:3] and answers(rows, "median") == [0.1, 0.2, 3.0]
    assert answered(rows, "tau") == []
    assert not_answered(rows) == {
        "not reportable": 1, "refused": 1, "failed": 2, "no median": 3,
    }  # fmt: skip


def test_a_question_is_a_combination_of_what_the_estimand_names() -> None:
    rows = [_cell(where=w, measure="ZCOR", model=m) for w in ("all", "adults") for m in ("a", "b")]
    found = by_estimand(rows, ["where", "measure", "model"], ["measure", "where"])
    assert [str(one) for one in found] == ["where: all", "where: adults"]
    assert found[1].rows == rows[2:]
    (everything,) = by_estimand(rows, ["where", "measure", "model"], [])
    assert everything.choices == {} and everything.rows == rows
    assert by_estimand([], ["where"], ["where"]) == []
