"""The reference written from the code names everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from reference_pages import MARK, PARTS, allowed, filled, literal

import metarho
from metarho import cli
from metarho.spec.analysis import Analysis, Sampler, StudiesSpec
from metarho.spec.descriptions import DESCRIPTIONS, PARAMETERS
from metarho.spec.model import Model
from metarho.spec.priors import FAMILIES
from pages import PAGES


def test_every_command_and_option_is_in_the_reference() -> None:
    said = PARTS["commands"]()
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        assert f"# metarho {name}\n" in said
        for parameter in getattr(command, "params", ()):
            assert all(option in said for option in parameter.opts if option.startswith("--"))


@pytest.mark.parametrize(
    ("part", "kinds"),
    [("config-keys", (Analysis, StudiesSpec, Sampler)), ("model-keys", (Model,))],
)
def test_every_key_is_in_the_reference(part: str, kinds: tuple[type[Analysis], ...]) -> None:
    said = PARTS[part]()
    for kind in kinds:
        assert all(f"{name}`" in said for name in kind.model_fields if name != "name")


def test_every_key_stands_beside_its_description_and_nothing_else_is_a_key() -> None:
    said = "\n".join(PARTS[part]() for part in ("config-keys", "model-keys", "simulation-keys"))
    rows = re.findall(r"^\| `(?:[\w: ]+: )?(\w+)` \|.* \| ([^|]*) \|$", said, re.MULTILINE)
    described = {(key, literal(what)) for of in DESCRIPTIONS.values() for key, what in of.items()}
    assert set(rows) == described


def test_every_parameter_stands_beside_its_description() -> None:
    rows = PARTS["parameters"]().splitlines()[2:]
    assert rows == [f"| `{n}` | {literal(what)} | `{p}` |" for n, (what, p) in PARAMETERS.items()]


def test_every_family_and_public_name_is_in_the_reference() -> None:
    assert all(f"| `{name}(" in PARTS["prior-families"]() for name in FAMILIES)
    assert all(f":: metarho.{name}\n" in PARTS["public-names"]() for name in metarho.__all__)


def test_every_part_stands_on_a_page_and_every_mark_names_a_part() -> None:
    marks = [mark for page in PAGES for mark in MARK.findall(page.read_text("utf-8"))]
    assert sorted(marks) == sorted(PARTS)
    with pytest.raises(KeyError, match="nothing"):
        filled("<!-- from the code: nothing -->")


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (Path(__file__).parents[2] / "docs" / "index.md").read_text("utf-8").splitlines()
    names = {page.stem for page in PAGES} - {"README", "index"}
    assert names <= set(index)


def test_limits_are_said_in_words_and_markup_in_help_is_text() -> None:
    assert allowed(StudiesSpec.model_fields["intervals"].annotation) == "a list of: `use`, `drop`"
    models = allowed(Analysis.model_fields["models"].annotation)
    assert models == "a list of: a text (not empty)"
    assert literal("a <b> | ``x_y``") == r"a \<b\> \| `x_y`"
