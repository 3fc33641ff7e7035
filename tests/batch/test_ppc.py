"""Checks of a cell of a plan: which statistics of which rows, and what is left out, said."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarho.batch.plan import Plan, cell_of, plan
from metarho.batch.ppc import Checked, Question, check, question
from metarho.errors import InputError
from metarho.spec.checks import STATISTICS

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: [use, drop]}
models: [random-effects, exact-r]
"""


def _plan(folder: Path, checks: str = "") -> Plan:
    path = folder / "mine.yaml"
    path.write_text(CONFIG + checks, encoding="utf-8")
    return plan(path, folder / "out")


def _question(folder: Path, checks: str = "", intervals: str = "use") -> Question:
    made = _plan(folder, checks)
    return question(made, cell_of(made, None, None, intervals))


def _check(made: Plan, asked: Question) -> Checked:
    return check(made, asked, lambda event, problem: None, lambda message: None)


def test_by_default_all_named_statistics_that_exist_are_checked(tmp_path: Path) -> None:
    used, dropped = (_question(tmp_path, intervals=name) for name in ("use", "drop"))
    assert [one.name for one in used.discrepancies] == list(STATISTICS)
    assert [one.name for one in dropped.discrepancies] == list(STATISTICS)[:-1]
    assert "words: no row printed a word" in dropped.remarks
    assert "left out of replicates: rows that printed a range (1)" in used.remarks
    assert any("p is not calibrated: rows that are intervals" in one for one in used.remarks)
    assert (used.sets, dropped.sets) == (0, 1000)


def test_a_statistic_by_a_column_is_one_a_level(tmp_path: Path) -> None:
    asked = _question(tmp_path, "checks: [{statistic: spread, by: guidance}, q]\n")
    assert [one.name for one in asked.discrepancies] == [
        "spread[guidance=guided]", "spread[guidance=unguided]", "q",
    ]  # fmt: skip
    assert "spread[guidance=blended]: too few rows print a number (0, 2 are needed)" in (
        asked.remarks
    )
    assert [int(one.kept.sum()) for one in asked.discrepancies] == [6, 4, 10]


def test_levels_are_those_of_the_rows_used(tmp_path: Path) -> None:
    made = _plan(tmp_path, "checks: [{statistic: range, by: guidance}]\n")
    asked = question(made, cell_of(made, None, None, "drop"))
    rows = _check(made, asked).rows
    numbers = [row for row in made.studies["drop"].used if not row.is_interval]
    table = made.studies["drop"].table.column("guidance")
    for row, level in zip(rows, ("guided", "unguided"), strict=True):
        own = [one.yi for one in numbers if table[one.index] == level and one.yi is not None]
        assert row["observed"] == pytest.approx(max(own) - min(own))


def test_rows_without_a_level_are_in_none(tmp_path: Path) -> None:
    asked = _question(tmp_path, "checks: [{statistic: words, by: timing}, words]\n")
    *by_level, everyone = (int(one.kept.sum()) for one in asked.discrepancies)
    # Two words have no timing.
    assert (sum(by_level), everyone) == (15, 17)


def test_what_stands_for_nothing_is_no_level(tmp_path: Path) -> None:
    table = "r,n,kind\n0.1,40,a\n0.2,50,a\n0.3,60,NA\n0.4,70,NA\n"
    (tmp_path / "data.csv").write_text(table, encoding="utf-8")
    path = tmp_path / "own.yaml"
    path.write_text(
        "studies: {source: data.csv, columns: {ri: r, ni: n}}\nmodels: [random-effects]\n"
        "checks: [{statistic: spread, by: kind}]\n",
        encoding="utf-8",
    )
    made = plan(path, tmp_path / "out")
    asked = question(made, cell_of(made, None, None, None))
    assert [one.name for one in asked.discrepancies] == ["spread[kind=a]"]


def test_a_column_that_was_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'effect' has 27 levels; up to 20"):
        _question(tmp_path, "checks: [{statistic: q, by: effect}]\n")


def test_a_check_without_any_row_to_look_at_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is nothing to check: words: no row printed a word"):
        _question(tmp_path, "checks: [words]\n", "drop")


def test_too_few_simulations_are_refused_and_none_is_allowed(tmp_path: Path) -> None:
    made = _plan(tmp_path)
    cell = cell_of(made, None, None, "drop")
    with pytest.raises(InputError, match="--simulations 99: calibration takes at least 100"):
        question(made, cell, 99)
    assert question(made, cell, 0).sets == 0
    assert not any("calibrated" in one for one in question(made, cell, 0).remarks)


def test_a_custom_statistic_is_checked_and_calibrated_beside_the_named_ones(
    tmp_path: Path,
) -> None:
    source = "def lowest(printed, rows):\n    return printed.min(axis=1)\n"
    (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    made = _plan(
        tmp_path,
        "checks: [q, {file: mine.py, function: lowest}, "
        "{file: mine.py, function: lowest, by: rater}]\n",
    )
    asked = question(made, cell_of(made, None, None, "drop"), 100)
    found = _check(made, asked)
    assert [row["check"] for row in found.rows] == ["q", "lowest", "lowest[rater=client]"]
    assert [row["rows"] for row in found.rows] == [10, 10, 10]
    lowest = found.rows[1]
    evidence = asked.cell.problem.evidence
    assert lowest["observed"] == pytest.approx(float(evidence.y.min()))
    assert isinstance(lowest["p_calibrated"], float) and 0 < lowest["p_calibrated"] < 1


def test_a_model_that_is_not_conjugate_keeps_its_plain_p(tmp_path: Path) -> None:
    made = _plan(tmp_path)
    asked = question(made, cell_of(made, "exact-r", None, "drop"))
    found = _check(made, asked)
    assert all(row["p_calibrated"] is None for row in found.rows)
    assert all(isinstance(row["p"], float) for row in found.rows)
    assert any("posteriors in closed form" in one for one in found.remarks)


def test_numbers_do_not_depend_on_what_else_is_checked(tmp_path: Path) -> None:
    found = []
    for checks in ("checks: [skew]\n", "checks: [q, skew]\n"):
        made = _plan(tmp_path, checks)
        found.append(_check(made, question(made, cell_of(made, None, None, "drop"), 200)).rows[-1])
    assert found[0] == found[1]
