"""``metarho init``: a workspace whose configs run as they are, and nothing overwritten."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from command_line import CommandLine
from metarho.batch.plan import plan
from metarho.batch.workspace import make_workspace
from metarho.errors import InputError

FILES = {
    ".gitignore",
    ".schemas/config.schema.json",
    ".schemas/model.schema.json",
    ".schemas/simulation.schema.json",
    "configs/alliance.yaml",
    "configs/own-studies.yaml",
    "data/studies.csv",
    "models/my-model.yaml",
}


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_workspace_is_made_and_the_next_commands_are_named(command: CommandLine) -> None:
    code, out, _ = command.run("init", "new")
    assert code == 0
    assert files(command.folder / "new") == FILES
    assert "cd new" in out and "metarho run own-studies" in out


@pytest.mark.parametrize(("config", "rows"), [("alliance", {10, 28}), ("own-studies", {6, 8})])
def test_its_configs_plan_and_every_cell_is_exact(
    tmp_path: Path, config: str, rows: set[int]
) -> None:
    make_workspace(tmp_path)
    made = plan(tmp_path / "configs" / f"{config}.yaml")
    assert {cell.problem.evidence.k for cell in made.cells} == rows
    assert {cell.engine for cell in made.cells} == {"exact"}


def test_a_workspace_may_be_made_where_other_files_are(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("r,n\n", encoding="utf-8")
    make_workspace(tmp_path)
    assert files(tmp_path) == FILES | {"data/mine.csv"}


def test_each_file_names_a_schema_that_is_there_and_accepts_it(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    for path in [*tmp_path.glob("configs/*.yaml"), *tmp_path.glob("models/*.yaml")]:
        text = path.read_text(encoding="utf-8")
        named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
        assert named is not None
        schema = json.loads((path.parent / named[1]).read_text(encoding="utf-8"))
        assert schema["$id"] == f"urn:metarho:{path.parent.name.removesuffix('s')}"
        assert Draft202012Validator(schema).is_valid(YAML(typ="safe", pure=True).load(text))


@pytest.mark.parametrize(
    "taken", ["data/studies.csv", "models", ".gitignore", ".schemas/model.schema.json"]
)
def test_what_is_there_is_not_overwritten_and_nothing_is_written(
    tmp_path: Path, taken: str
) -> None:
    path = tmp_path / taken
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=rf"{taken}: is there already, and nothing is overwritten"):
        make_workspace(tmp_path)
    assert files(tmp_path) == {taken}
    assert path.read_text("utf-8") == "mine"


def test_a_file_in_place_of_the_folder_is_named(command: CommandLine) -> None:
    (command.folder / "taken").write_text("mine", encoding="utf-8")
    code, out, err = command.run("init", "taken")
    assert (code, out) == (2, "")
    assert "taken: is there already" in err
