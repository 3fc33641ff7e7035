"""``metarho diff``: what it prints, in every form, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from command_line import CommandLine
from diff_cases import CONFIG, GRID, STUDIES, run_of

CHANGED = STUDIES.replace("Dora,1,0.05,120,2012,online\n", "")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: old, new (a study fewer, a wider prior), and a grid on each of their data."""
    folder = tmp_path_factory.mktemp("runs")
    run_of(folder, "old")
    run_of(folder, "new", CONFIG.replace("sigma=0.15", "sigma=0.3"), CHANGED)
    run_of(folder, "grid", GRID)
    run_of(folder, "grid-new", GRID.replace("[ZCOR, COR]", "[ZCOR]"), CHANGED)
    return folder


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, runs: Path, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    return CommandLine(monkeypatch, runs, capsys)


def folder_of(name: str) -> str:
    return f"{name}/out/analysis"


def test_a_run_is_the_same_as_itself_in_one_sentence(command: CommandLine) -> None:
    code, out, err = command.run("diff", folder_of("old"), folder_of("old"))
    assert (code, err) == (0, "")
    assert "Nothing changed: inputs, versions and all 2 answers are the same." in out


def test_what_changed_and_what_moved_it_is_printed(command: CommandLine) -> None:
    code, out, _ = command.run("diff", folder_of("old"), folder_of("new"))
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "evidence Dora 1 row –" in lines
    assert "priors sceptical: mu Normal(mu=0, sigma=0.15) Normal(mu=0, sigma=0.3)" in lines
    assert "Cells: 2 changed, 0 unchanged" in lines
    for unit in ("prior of mu", "study Dora", "together"):
        assert any(line.startswith(unit) for line in lines)


def test_shares_in_json_sum_to_differences(command: CommandLine) -> None:
    _, out, _ = command.run("diff", folder_of("old"), folder_of("new"), "--json")
    said = json.loads(out)
    assert [one["name"] for one in said["inputs"]] == ["Dora", "sceptical: mu"]
    assert len(said["cells"]) == 2
    for cell in said["cells"]:
        for quantity, difference in cell["difference"].items():
            moved = math.fsum(share[quantity] for share in cell["attribution"].values())
            assert moved == pytest.approx(difference, abs=1e-13)


def test_rows_are_in_csv(command: CommandLine) -> None:
    _, out, _ = command.run("diff", folder_of("old"), folder_of("new"), "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["quantity"] for row in rows} >= {"median", "lower", "upper", "tau"}
    row = next(r for r in rows if r["quantity"] == "median" and r["priors"] == "sceptical")
    # CSV has ten digits, and an apostrophe before a minus.
    share, other = (
        float(row[name].lstrip("'")) for name in ("share: study Dora", "share: prior of mu")
    )
    assert share + other == pytest.approx(float(row["difference"].lstrip("'")), abs=1e-10)


def test_grids_are_compared_by_their_decisions(command: CommandLine) -> None:
    code, out, _ = command.run("diff", folder_of("grid"), folder_of("grid-new"), "--json")
    said = json.loads(out)
    assert code == 0
    assert len(said["cells"]) == 8
    assert {one["measure"] for one in said["only_old"]} == {"COR"}
    assert len(said["only_old"]) == 8
    assert said["only_new"] == []
    assert all(set(cell["attribution"]) == {"study Dora"} for cell in said["cells"])


def test_a_plain_run_meets_the_cells_of_a_grid_that_are_its_own(command: CommandLine) -> None:
    _, out, _ = command.run("diff", folder_of("old"), folder_of("grid"), "--json")
    said = json.loads(out)
    # A rule of a grid has a name, which a config without one does not know.
    assert said["unchanged"] == 0
    assert len(said["only_new"]) == 16


def test_so_many_cells_are_attributed_as_are_asked_for(command: CommandLine) -> None:
    _, out, _ = command.run("diff", folder_of("old"), folder_of("new"), "--attribute", "0")
    assert "What moved it" not in out
    assert "2 changed cells are not attributed: not among the cells asked for" in out


def test_a_config_stands_for_the_folder_of_its_results(command: CommandLine, runs: Path) -> None:
    code, out, _ = command.run(
        "diff", "old/analysis.yaml", folder_of("old"), "--output", str(runs / "old" / "out")
    )
    assert code == 0
    assert "Nothing changed" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("old", "new"), "is no folder of a run"),
        (("nowhere", "old"), "there is no config 'nowhere'"),
        (("nowhere/x", "old"), "there is no file"),
        ((folder_of("old"), folder_of("new"), "--json", "--csv"), "two forms of one output"),
    ],
)
def test_what_is_no_run_is_refused(
    command: CommandLine, words: tuple[str, ...], message: str
) -> None:
    code, out, err = command.run("diff", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_labels_that_look_like_markup_stay_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of(tmp_path, "old", studies=STUDIES.replace("Dora", "[red]Dora[/red]"))
    run_of(tmp_path, "new", studies=CHANGED)
    _, out, _ = CommandLine(monkeypatch, tmp_path, capsys).run(
        "diff", folder_of("old"), folder_of("new")
    )
    assert "study [red]Dora[/red]" in out
