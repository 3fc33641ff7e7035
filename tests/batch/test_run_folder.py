"""Runs read back from their folders; folders that are none, that were changed, that are hostile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from diff_cases import CONFIG, GRID, STUDIES, edited, run_of
from metarho.batch.fill import Filled
from metarho.batch.inputs import INPUTS, inputs_from, inputs_text
from metarho.batch.plain_answers import ANSWERS
from metarho.batch.run_folder import read_run
from metarho.batch.simulation.plan import plan_simulation
from metarho.batch.simulation.results import publish_simulation
from metarho.data.studies import load_studies
from metarho.errors import InputError
from metarho.spec.analysis import Analysis, StudiesSpec
from metarho.store.problems import cleaned
from simulation_cases import write_simulation


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    run_of(folder, "plain")
    run_of(folder, "grid", GRID)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A run's folder to spoil."""
    copied = tmp_path / "copied"
    shutil.copytree(made / "plain" / "out" / "analysis", copied)
    return copied


@pytest.fixture
def grid(made: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "grid"
    shutil.copytree(made / "grid" / "out" / "analysis", copied)
    return copied


def test_a_folder_alone_says_what_the_run_was_made_from(folder: Path, grid: Path) -> None:
    run = read_run(folder)
    assert run.inputs.table.columns["r"] == ("0.32", "0.11", "0.20", "0.45", "0.05", "0.28")
    assert run.inputs.roles == {"ri": "r", "ni": "n", "study": "study", "effect": "effect"}
    assert str(run.inputs.analysis.priors["sceptical"]["mu"]) == "Normal(mu=0, sigma=0.15)"
    assert [one.decisions["priors"] for one in run.answers] == ["default", "sceptical"]
    assert len(read_run(grid).answers) == 16


def test_a_shipped_set_is_kept_with_its_own_columns(tmp_path: Path) -> None:
    studies = "studies: {source: internet-alliance, intervals: drop}"
    config = f"{studies}\nmodels: [random-effects]\nreport: none\n"
    run = run_of(tmp_path, "run", config)
    assert run.inputs.roles["reported"] == "reported"
    assert run.inputs.table.source == "internet-alliance"
    assert len(run.inputs.table) == 34


def test_cells_of_every_kind_are_read_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    import pandas as pd

    columns = {"r": [0.5, 0.2], "n": [40, 50], "open": [True, False], "who": ["=A1", None]}
    pd.DataFrame(columns).to_excel(path, index=False)
    studies = load_studies(path, columns={"ri": "r", "ni": "n"})
    spec = StudiesSpec(source=str(path), columns=None)
    analysis = Analysis(name="a", studies=spec, models=("m",))
    text = inputs_text(analysis, {}, studies).replace('"models": {}', '"models": {"m": {}}')
    # Roles are said by the config, which here has none.
    assert inputs_from(text).table.columns == studies.table.columns


@pytest.mark.parametrize("name", ["run.json", INPUTS, ANSWERS])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"{name}.*(run the config again|metarho run made)"):
        read_run(folder)


@pytest.mark.parametrize("name", ["run.json", INPUTS, ANSWERS])
def test_a_link_out_of_the_folder_is_not_followed(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(InputError, match=r"is a link out of the run's folder"):
        read_run(folder)


@pytest.mark.parametrize("name", [INPUTS, ANSWERS])
def test_a_file_that_was_edited_is_refused(folder: Path, name: str) -> None:
    text = (folder / name).read_text("utf-8")
    (folder / name).write_text(text.replace("0.1", "0.2"), encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name}: is not as the run left it"):
        read_run(folder)


def test_the_table_of_a_grid_that_was_edited_is_refused(grid: Path) -> None:
    (grid / "cells.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"cells\.parquet: is not as the run left it"):
        read_run(grid)


def with_value(path: tuple[str | int, ...], value: object) -> Callable[[str], str]:
    """An edit that puts a value at a place of JSON."""

    def edit(text: str) -> str:
        content = json.loads(text)
        place = content
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return json.dumps(content)

    return edit


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        (INPUTS, with_value(("format",), 99), r"another metarho \(format 99; this one reads 1\)"),
        (INPUTS, lambda text: "[]", "is not what a run writes"),
        (INPUTS, lambda text: "no JSON", "is not what a run writes"),
        (INPUTS, lambda text: "[" * 100_000, "is not what a run writes"),
        (INPUTS, with_value(("columns", "r"), ["0.1"]), "unequal lengths"),
        (INPUTS, with_value(("columns", "r", 0), ["0.1"]), "a cell is no text or number"),
        (INPUTS, with_value(("roles", "ri"), "nowhere"), "no column 'nowhere'"),
        (INPUTS, with_value(("roles", "role"), "r"), "is not what a run writes"),
        (INPUTS, with_value(("models",), {}), "models are not those of the analysis"),
        (
            INPUTS,
            with_value(("analysis", "priors", "sceptical", "mu"), "__import__('os')"),
            "is not what a run writes",
        ),
        (INPUTS, with_value(("analysis", "studies", "where"), "open('x')"), "is not what"),
        (ANSWERS, with_value((0, "decisions", "model"), "other"), "which its inputs do not name"),
        (ANSWERS, with_value((0, "decisions", "where"), "all"), "which its inputs do not name"),
        (ANSWERS, with_value((0, "decisions"), {}), "a cell without model"),
        (ANSWERS, with_value((0, "numbers", "median"), float("nan")), "not a finite number"),
        (ANSWERS, with_value((0, "numbers", "median"), "x"), "is not what a run writes"),
    ],
)
def test_a_forged_file_is_refused_by_its_content(
    folder: Path, name: str, edit: Callable[[str], str], message: str
) -> None:
    edited(folder, name, edit)
    with pytest.raises(InputError, match=message):
        read_run(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"sha256": 1}', '{"sha256": {}, "python": "3"}', "[" * 9999]
)
def test_a_record_of_something_else_is_refused(folder: Path, text: str) -> None:
    (folder / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        read_run(folder)


def test_a_run_of_an_earlier_metarho_says_so(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text("utf-8"))
    del record["sha256"]
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(InputError, match=r"an earlier metarho wrote run\.json"):
        read_run(folder)


def test_a_simulation_is_told_from_a_run_on_evidence(tmp_path: Path) -> None:
    plan = plan_simulation(write_simulation(tmp_path), tmp_path / "out")
    publish_simulation(plan, Filled({}, {}, is_whole=False))
    with pytest.raises(InputError, match="is the folder of a simulation"):
        read_run(plan.folder)


def test_texts_are_read_without_control_characters(folder: Path) -> None:
    edited(folder, INPUTS, with_value(("columns", "study", 0), "A\x1b[31mdam"))
    assert read_run(folder).inputs.table.columns["study"][0] == "A[31mdam"
    assert cleaned({"a\x07": ["\x1b"]}) == {"a": [""]}


def test_a_run_reads_the_same_after_its_data_have_changed(tmp_path: Path) -> None:
    run = run_of(tmp_path, "run")
    (tmp_path / "run" / "studies.csv").write_text("gone", encoding="utf-8")
    (tmp_path / "run" / "analysis.yaml").write_text(CONFIG + "# more\n", encoding="utf-8")
    assert read_run(run.folder) == run
    assert STUDIES.count("\n") == len(run.inputs.table) + 1
