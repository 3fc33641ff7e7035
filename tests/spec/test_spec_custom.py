"""Custom models as files: which file a model names, and that reading runs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom_cases import BARE, PRIORS, custom, write_custom
from metarho.errors import InputError
from metarho.spec.document import LARGEST_BYTES
from metarho.spec.lookup import shipped_folder
from metarho.spec.model import (
    PARTS,
    Model,
    names_reached,
    read_model,
    resolve_priors,
    with_mods,
)
from metarho.spec.priors import parse_prior


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_model(path)
    return str(caught.value)


def test_a_custom_model_holds_the_text_of_its_file(tmp_path: Path) -> None:
    model = custom(tmp_path, BARE)
    assert model.custom is not None
    assert (str(model.custom), model.custom.source) == ("mine.py", BARE)
    assert model.custom.path == tmp_path / "models" / "custom" / "mine.py"


def test_where_the_file_lies_is_no_part_of_what_is_written_down(tmp_path: Path) -> None:
    assert str(tmp_path) not in str(custom(tmp_path, BARE).model_dump(mode="json"))


def test_reading_a_model_does_not_run_its_file(tmp_path: Path) -> None:
    custom(tmp_path, f"open({str(tmp_path / 'marker')!r}, 'w')\nraise SystemExit(3)\n")
    assert not (tmp_path / "marker").exists()


def test_a_file_that_is_no_python_is_read_all_the_same(tmp_path: Path) -> None:
    assert custom(tmp_path, "def build(:\n").custom is not None


@pytest.mark.parametrize(
    "name",
    ["../mine.py", "deep/mine.py", "/etc/passwd", "mine.txt", "mine", ".py", "..", "'mine.py '",
     "'deep\\mine.py'", "3", "[mine.py]", "''", "'mine.py\\n.py'", "ｍine.py"],
)  # fmt: skip
def test_a_name_that_is_no_plain_file_name_is_refused(tmp_path: Path, name: str) -> None:
    path = write_custom(tmp_path, BARE)
    path.write_text(f"title: T\ncustom: {name}\n{PRIORS}", "utf-8")
    said = refusal(path)
    assert said.startswith(f"{path}:2: custom names a file below models/custom, for instance")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_custom(tmp_path, None)
    there = tmp_path / "models" / "custom" / "mine.py"
    assert refusal(path) == f"{path}:1: custom: there is no file {there}"
    there.mkdir()
    assert "there is no file" in refusal(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = write_custom(tmp_path, None)
    outside = tmp_path / "outside.py"
    outside.write_text(BARE, "utf-8")
    (tmp_path / "models" / "custom" / "mine.py").symlink_to(outside)
    assert f"is a link to {outside}, outside" in refusal(path)


def test_a_folder_that_is_a_link_elsewhere_is_refused(tmp_path: Path) -> None:
    path = write_custom(tmp_path, None)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text(BARE, "utf-8")
    (tmp_path / "models" / "custom").rmdir()
    (tmp_path / "models" / "custom").symlink_to(elsewhere)
    assert "is a link to" in refusal(path)


def test_a_link_within_the_folder_will_do(tmp_path: Path) -> None:
    path = write_custom(tmp_path, None)
    folder = tmp_path / "models" / "custom"
    (folder / "other.py").write_text(BARE, "utf-8")
    (folder / "mine.py").symlink_to("other.py")
    assert read_model(path).custom is not None


def test_a_workspace_may_itself_be_a_link(tmp_path: Path) -> None:
    write_custom(tmp_path / "real", BARE)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert read_model(tmp_path / "link" / "models" / "mine.yaml").custom is not None


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    path = write_custom(tmp_path, BARE)
    file = tmp_path / "models" / "custom" / "mine.py"
    file.write_bytes(b"\xff")
    assert "is not UTF-8 (byte 0)" in refusal(path)
    file.write_bytes(b"#" * (LARGEST_BYTES + 1))
    assert "1000000 are allowed" in refusal(path)


IMPORTS = {
    "a module": "import beside",
    "one of several": "import math, beside as b",
    "a name of a module": "from beside import build",
    "all names of a module": "from beside import *",
    "a package": "import numpy\nimport package.inner",
    "from the folder above": "from custom import beside",
    "from the workspace": "import models.custom.beside",
    "a relative module": "from .beside import build",
    "a relative name": "from . import beside",
    "after a doubtful escape": "x = '\\d'\nimport beside",
    "in a function": "def build(studies, priors):\n    import beside",
}


def _with_modules(folder: Path, source: str) -> Path:
    path = write_custom(folder, source)
    (path.parent / "custom" / "package").mkdir()
    for name in ("beside.py", "package/inner.py", "notes.txt"):
        (path.parent / "custom" / name).write_text("SCALE = 1.0\n", "utf-8")
    return path


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS)
def test_what_a_file_imports_from_beside_itself_is_refused(tmp_path: Path, text: str) -> None:
    path = _with_modules(tmp_path, f"{text}\n{BARE}")
    folder = path.parent / "custom"
    said = refusal(path)
    line = 1 + text.count("\n")
    assert said.startswith(f"{folder / 'mine.py'}:{line}: imports '")
    assert f" from {folder}, and stored fits would not notice when that changes; put its" in said


@pytest.mark.parametrize(
    "text", ["from numpy import custom", "import notes", "import beside_it", "import besid\\x"]
)
def test_other_imports_are_the_file_s_own_affair(tmp_path: Path, text: str) -> None:
    assert read_model(_with_modules(tmp_path, f"{text}\n{BARE}")).custom is not None


@pytest.mark.parametrize("text", ["(" * 5000, "-" * 200_000 + "1", "x = '\0'", r"x = '\d'"])
def test_a_text_that_cannot_be_parsed_or_hardly_is_read(tmp_path: Path, text: str) -> None:
    assert read_model(write_custom(tmp_path, text)).custom is not None


OTHERS = {
    "likelihood": "exact-r",
    "mods": "~ year",
    "scale": "~ year",
    "random": "study/effect",
    "effects": "mixture",
    "selection": "pet",
    "reference": "{guidance: guided}",
    "measurement": "true-score",
    "missing": "drop",
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_the_grammar_have_no_place_beside_a_file(tmp_path: Path, part: str) -> None:
    path = write_custom(tmp_path, BARE, f"{part}: {OTHERS[part]}\n{PRIORS}")
    assert f"{part} has no place beside custom: mine.py" in refusal(path)


def test_every_part_of_the_grammar_is_among_them() -> None:
    texts = {
        "name",
        "title",
        "description",
        "references",
        "data_overlap",
        "custom",
        "priors",
        "why",
    }
    assert {*PARTS} == {*Model.model_fields} - texts


def test_a_custom_model_has_no_moderators_to_replace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no mods; mine\.py says its mean"):
        with_mods(custom(tmp_path, BARE), "~ year")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("theta_new", "theta_new means something else in results"),
        ("y", "y means something else in results"),
        ("'beta[x]'", "is no name of a parameter"),
        ("a-b", "is no name of a parameter"),
        ("φ", "is no name of a parameter"),
        ("1st", "is no name of a parameter"),
    ],
)
def test_a_parameter_has_an_identifier_for_a_name(tmp_path: Path, name: str, said: str) -> None:
    path = write_custom(tmp_path, BARE, f"priors:\n  {name}: Flat()\n")
    message = refusal(path)
    assert said in message
    assert message.startswith(f"{path}:3: ")


def test_names_of_the_grammar_are_what_they_are_elsewhere(tmp_path: Path) -> None:
    path = write_custom(tmp_path, BARE, 'priors: {tau: "Normal(mu=0, sigma=1)"}\n')
    assert "tau: Normal(mu=0, sigma=1) has mass below 0" in refusal(path)


def test_a_model_of_the_grammar_has_its_parameters_only(tmp_path: Path) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text("priors: {phi: Flat()}\n", "utf-8")
    assert "no parameter 'phi'; allowed: alpha" in refusal(path)


def test_a_prior_set_speaks_to_the_parameters_that_the_file_has(tmp_path: Path) -> None:
    text = 'priors: {phi: "Gamma(alpha=1, beta=1)", mu: Flat(), tau2: HalfNormal(sigma=1)}\n'
    model = custom(tmp_path, BARE, text)
    assert names_reached(model, {}) == {"mu", "phi", "tau", "tau2"}
    given = {name: parse_prior("HalfNormal(sigma=2)") for name in ("phi", "tau", "omega")}
    applied = resolve_priors(model, {}, given)
    assert {name: f"{one.prior}, {one.source}" for name, one in applied.items()} == {
        "mu": "Flat(), model",
        "phi": "HalfNormal(sigma=2), prior set",
        "tau": "HalfNormal(sigma=2), prior set",
    }


def test_mu_is_a_parameter_of_every_model(tmp_path: Path) -> None:
    model = custom(tmp_path, BARE, 'priors: {phi: "Gamma(alpha=1, beta=1)"}\n')
    with pytest.raises(InputError, match="the model 'mine' has no prior for mu"):
        resolve_priors(model, {}, {})


@pytest.mark.parametrize(
    ("name", "prior"), [("tau", "Jeffreys()"), ("mu", "Normal(mu=0, sigma=1) on mu/tau")]
)
def test_priors_made_of_parts_that_are_not_known_are_refused(
    tmp_path: Path, name: str, prior: str
) -> None:
    model = custom(tmp_path, BARE)
    with pytest.raises(InputError, match="made of what a custom model"):
        resolve_priors(model, {}, {name: parse_prior(prior)})


def test_every_shipped_file_belongs_to_a_shipped_model() -> None:
    models = [read_model(path) for path in shipped_folder("models").glob("*.yaml")]
    named = {model.custom.name for model in models if model.custom is not None}
    assert {path.name for path in (shipped_folder("models") / "custom").iterdir()} - {
        "__pycache__"
    } == named
