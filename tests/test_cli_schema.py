"""``metarho schema``."""

from __future__ import annotations

import json

import pytest

from command_line import CommandLine
from metarho.spec.schema import KINDS, Kind, schema_text


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_printed(command: CommandLine, kind: Kind) -> None:
    code, out, _ = command.run("schema", kind)
    assert (code, out) == (0, schema_text(kind))


def test_all_schemas_are_written_and_written_over(command: CommandLine) -> None:
    for _ in range(2):
        code, out, _ = command.run("schema", "--write", "new/.schemas")
        assert code == 0 and "new/.schemas/model.schema.json" in out
        files = {path.name: path for path in (command.folder / "new" / ".schemas").iterdir()}
        assert set(files) == {f"{kind}.schema.json" for kind in KINDS}
        assert json.loads(files["config.schema.json"].read_text("utf-8"))["title"]
        files["config.schema.json"].write_text("old", encoding="utf-8")


@pytest.mark.parametrize("words", [[], ["model", "--write", "x"]])
def test_one_of_a_kind_and_a_folder_is_asked_for(command: CommandLine, words: list[str]) -> None:
    code, out, err = command.run("schema", *words)
    assert (code, out) == (2, "")
    assert "model, config or simulation; or --write DIR" in err
    assert list(command.folder.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_named(command: CommandLine) -> None:
    (command.folder / "taken").write_text("mine", encoding="utf-8")
    code, _, err = command.run("schema", "--write", "taken")
    assert code == 2 and "--write taken is a file" in err
