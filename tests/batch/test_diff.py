"""Runs compared: which cells meet, what sampled ones say, what was said in the inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diff_cases import CONFIG, GRID, STUDIES, run_of
from metarho.batch.diff import diff, diff_json, diff_rows
from metarho.batch.input_changes import InputChange, input_changes
from metarho.batch.run_folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_of(tmp_path_factory.mktemp("run"), "run")


def sampled(run: RunFolder, error: float, shift: float) -> RunFolder:
    """The run as if its cells had been sampled."""
    answers = tuple(
        replace(
            one,
            engine="nuts",
            numbers={**one.numbers, "median": (one.numbers["median"] or 0.0) + shift},
            errors={"median": error},
        )
        for one in run.answers
    )
    return replace(run, answers=answers)


def test_sampled_cells_are_listed_with_the_error_of_their_difference(run: RunFolder) -> None:
    found = diff(sampled(run, 0.003, 0.0), sampled(run, 0.004, 0.01))
    assert len(found.cells) == 2
    for one in found.cells:
        assert one.error("median") == pytest.approx(0.005, abs=1e-15)
        assert one.error("lower") is None
        assert one.attribution is None
        assert one.why_not.startswith("sampled")
    (row, _) = diff_rows(found)
    assert row["difference"] == pytest.approx(0.01, abs=1e-15)
    assert row["mcse"] == pytest.approx(0.005, abs=1e-15)


def test_exact_cells_have_no_error(run: RunFolder) -> None:
    found = diff(run, sampled(run, 0.004, 0.01))
    assert found.cells[0].error("median") == 0.004
    assert diff(run, run).cells == ()


def test_cells_that_changed_most_come_first(tmp_path: Path, run: RunFolder) -> None:
    new = run_of(tmp_path, "new", studies=STUDIES.replace("0.45,30", "0.25,30"))
    moved = [abs(one.differences["median"] or 0.0) for one in diff(run, new).cells]
    assert len(moved) == 2
    assert moved == sorted(moved, reverse=True)


def test_a_decision_that_one_run_only_names_has_the_others_setting(
    tmp_path: Path, run: RunFolder
) -> None:
    grid = GRID.replace("  where: {all: null, late: year > 2004}\n", "")
    found = diff(run, run_of(tmp_path, "new", grid))
    # Of ZCOR and COR, with rho_within 0 and .5, the plain run's cells are those of ZCOR with 0.
    assert found.unchanged == 2
    assert len(found.only_new) == 6
    assert found.only_old == ()
    assert {tuple(sorted(map(str, one))) for one in found.only_new} == {
        ("intervals", "measure", "model", "priors", "rho_within")
    }


def test_cells_that_meet_no_other_are_told(tmp_path: Path, run: RunFolder) -> None:
    found = diff(run, run_of(tmp_path, "new", CONFIG.replace("sceptical:", "doubtful:")))
    assert [one["priors"] for one in found.only_old] == ["sceptical"]
    assert [one["priors"] for one in found.only_new] == ["doubtful"]
    assert found.unchanged == 1
    assert diff_json(found)["only_old"] == [dict(found.only_old[0])]


def test_everything_that_was_said_otherwise_is_listed_once(tmp_path: Path, run: RunFolder) -> None:
    rows = STUDIES.replace("0.45,30", "0.25,30").replace("Dora,1,0.05,120,2012,online\n", "")
    config = CONFIG.replace("sigma=0.15", "sigma=0.3") + "interval: {prob: 0.9}\n"
    config = config.replace("studies.csv,", "studies.csv, rho_within: 0.4,") + "title: Words\n"
    new = run_of(tmp_path, "new", config, rows + "Fay,1,0.2,50,2020,clinic\n")
    new = replace(new, versions={**new.versions, "numpy": "0.0"})
    assert input_changes(run, new) == [
        InputChange("evidence", "Carl: 1: r", "0.45", "0.25"),
        InputChange("evidence", "Dora", "1 row", ""),
        InputChange("evidence", "Fay", "", "1 row"),
        InputChange("reading", "rho_within", "0.0", "0.4"),
        InputChange(
            "priors", "sceptical: mu", "Normal(mu=0, sigma=0.15)", "Normal(mu=0, sigma=0.3)"
        ),
        InputChange("analysis", "interval: prob", "0.95", "0.9"),
        InputChange("versions", "numpy", run.versions["numpy"], "0.0"),
    ]


def test_other_versions_alone_are_a_difference_without_changed_cells(run: RunFolder) -> None:
    found = diff(run, replace(run, versions={**run.versions, "numpy": "0.0"}))
    assert not found.is_none
    assert (len(found.cells), found.unchanged) == (0, 2)
