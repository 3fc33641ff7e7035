"""Mixtures of two runs: their ends are the runs themselves, and what lies between."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from diff_cases import CONFIG, GRID, STUDIES, run_of
from metarho.batch.input_changes import evidence_changes
from metarho.batch.mixtures import WHOLE_TABLE, Pair, cell_inputs, problem_of
from metarho.batch.run_folder import RunFolder
from metarho.errors import InputError
from metarho.spec.analysis import Sampler
from metarho.store.keys import key_of

SHIPPED = """\
studies: {source: internet-alliance, intervals: [use, drop]}
models: [random-effects]
report: none
"""

READINGS = """\
studies: {source: internet-alliance, where: role == "main", intervals: [use, drop]}
models: [random-effects, common-effect]
grid:
  where: {all: null, guided: guidance == "guided"}
  measure: [ZCOR, COR]
  statistic: [all, zero-order, printed]
"""

NONE: frozenset[tuple[str, str]] = frozenset()


def pair_of(old: RunFolder, new: RunFolder, **decisions: str | float) -> Pair:
    at = {"intervals": "use", "model": "random-effects", "priors": "sceptical", **decisions}
    return Pair(cell_inputs(old.inputs, at), cell_inputs(new.inputs, at))


@pytest.mark.parametrize(
    "config", [CONFIG, SHIPPED, GRID, READINGS], ids=["plain", "shipped", "grid", "readings"]
)
def test_the_problems_of_a_run_are_made_again_from_its_folder(tmp_path: Path, config: str) -> None:
    run = run_of(tmp_path, "run", config)
    keys = {
        key_of(problem_of(cell_inputs(run.inputs, one.decisions)), "exact", Sampler())
        for one in run.answers
    }
    record = json.loads((run.folder / "run.json").read_text("utf-8"))
    assert sorted(keys) == record["keys"]
    assert len(keys) > 1


def test_a_study_changes_where_one_of_its_cells_that_matter_does(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old")
    text = STUDIES.replace("0.45,30", "0.25,30").replace("2005,online", "2006,online")
    new = run_of(tmp_path, "new", studies=text)
    # The year of Berta's rows has no part in this cell.
    assert pair_of(old, new).changes == (("evidence", "Carl"),)


def test_a_study_may_be_called_as_anything_is(tmp_path: Path) -> None:
    name = WHOLE_TABLE[1]
    old = run_of(tmp_path, "old", studies=STUDIES.replace("Carl", name))
    text = STUDIES.replace("Carl", name).replace("0.45,30", "0.25,30").replace("0.05,", "0.15,")
    pair = pair_of(old, run_of(tmp_path, "new", studies=text))
    rows = pair.problem(frozenset({("evidence", name)})).evidence
    found = {row.study: row.ri for row in rows.rows if row.study in (name, "Dora")}
    assert found == {name: 0.25, "Dora": 0.05}


def test_a_table_saved_as_another_kind_of_file_is_the_same(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old")
    # What Excel makes of a CSV: numbers, and none of the zeros at their ends.
    columns = {
        name: tuple(cell if name in ("study", "setting") else float(str(cell)) for cell in cells)
        for name, cells in old.inputs.table.columns.items()
    }
    table = replace(old.inputs.table, columns=columns)
    new = replace(old, inputs=replace(old.inputs, table=table))
    assert "0.20" in old.inputs.table.columns["r"]
    assert pair_of(old, new).changes == ()
    assert evidence_changes(old.inputs, new.inputs) == []


def test_rows_that_the_filter_removes_and_the_order_of_rows_are_no_change(tmp_path: Path) -> None:
    config = CONFIG.replace("effect: effect}", "effect: effect}, where: year > 2004")
    head, *rows = STUDIES.splitlines(keepends=True)
    old = run_of(tmp_path, "old", config)
    new = run_of(
        tmp_path, "new", config, "".join([head, *reversed(rows)]).replace("0.32,40", "0.3,50")
    )
    assert pair_of(old, new).changes == ()


def test_a_mixture_has_the_rows_and_priors_that_are_switched(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old")
    text = STUDIES.replace("0.45,30", "0.25,30").replace("Dora,1,0.05,120,2012,online\n", "")
    new = run_of(tmp_path, "new", CONFIG.replace("sigma=0.15", "sigma=0.3"), text)
    pair = pair_of(old, new)
    assert pair.changes == (("evidence", "Carl"), ("evidence", "Dora"), ("priors", "mu"))
    mixed = pair.problem(frozenset({("evidence", "Carl"), ("priors", "mu")}))
    found = {f"{row.study}: {row.effect}": row.ri for row in mixed.evidence.rows}
    assert found["Carl: 1"] == 0.25
    assert found["Dora: 1"] == 0.05
    assert str(mixed.prior("mu")) == "Normal(mu=0, sigma=0.3)"
    assert "Dora: 1" not in pair.problem(frozenset({("evidence", "Dora")})).evidence.effect_names


def test_a_prior_that_one_run_only_says_is_there_where_it_is_needed(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "random-effects.yaml").write_text(
        'selection: pet\npriors: {mu: "Normal(mu=0, sigma=0.5)", '
        'pet: "Normal(mu=0, sigma=0.2)", tau: "HalfNormal(sigma=0.25)"}\n',
        encoding="utf-8",
    )
    pair = pair_of(old, run_of(tmp_path, "new"))
    assert ("model", "selection") in pair.changes
    assert ("priors", "pet") in pair.changes
    with_pet = pair.problem(frozenset({("model", "selection")}))
    assert str(with_pet.prior("pet")) == "Normal(mu=0, sigma=0.2)"
    # A prior without its parameter changes nothing.
    alone = pair.problem(frozenset({("priors", "pet")}))
    assert list(alone.priors) == list(pair.problem(NONE).priors)


def test_studies_without_a_column_of_names_change_together(tmp_path: Path) -> None:
    config = CONFIG.replace(", study: study, effect: effect", "")
    old = run_of(tmp_path, "old", config)
    new = run_of(tmp_path, "new", config, STUDIES.replace("0.45,30", "0.25,30"))
    assert pair_of(old, new).changes == (WHOLE_TABLE,)


def test_a_mixture_without_any_row_is_refused(tmp_path: Path) -> None:
    old = run_of(tmp_path, "old", studies="study,effect,r,n\nAdam,1,0.3,40\n")
    new = run_of(tmp_path, "new", studies="study,effect,r,n\nZoe,1,0.2,50\n")
    pair = pair_of(old, new)
    assert len(pair.changes) == 2
    with pytest.raises(InputError, match="no row is left"):
        pair.problem(frozenset({("evidence", "Adam")}))
