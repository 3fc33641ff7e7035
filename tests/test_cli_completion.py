"""What a shell offers when the tab key is pressed, through the protocol that its script speaks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import metarho
from metarho.cli import completion
from metarho.spec.analysis import Columns
from metarho.spec.catalogue import catalogue
from metarho.spec.lookup import names

# As the console script, whose name the protocol goes by; what completing loads goes to a file.
SCRIPT = """
import sys
sys.argv = ["metarho"]
from metarho.cli import main
try:
    main()
finally:
    open(sys.path[0] + "/loaded.txt", "w").write(" ".join(sys.modules))
"""

CONFIG = """\
studies: {source: internet-alliance}
models: [common-effect, random-effects]
priors: {mine: {}, "other one": {}}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a config, a model, a table and a saved fit."""
    for folder in ("models", "configs", "scripts", "outputs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "configs" / "small.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "models" / "my-model.yaml").write_text("priors: {}\n", encoding="utf-8")
    (tmp_path / "mydata.csv").touch()
    (tmp_path / "fit.nc").touch()
    (tmp_path / "scripts" / "metarho").write_text(SCRIPT, encoding="utf-8")
    return tmp_path


def press_tab(folder: Path, *words: str) -> list[str]:
    """What bash is offered for the last word, in a process of its own."""
    source = Path(metarho.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, folder / "scripts" / "metarho"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(source),
            "_METARHO_COMPLETE": "complete_bash",
            "COMP_WORDS": "\n".join(["metarho", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["run", "sma"], ["small"]),
        (["run", "small", "internet-"], ["internet-alliance"]),
        (["models", "show", "my"], ["my-model"]),
        (["predict", "fi"], ["fit.nc"]),
        (["diff", "ou"], ["outputs/"]),
        (["fit", "my"], ["mydata.csv"]),
        (["fit", "mydata.csv", "--columns", "ri=r,n"], ["ri=r,ni="]),
        (["fit", "mydata.csv", "--model", "my"], ["my-model"]),
        (["fit", "mydata.csv", "--prior", "mu=robma4"], ["mu=robma4-mu-z"]),
        (["fit", "mydata.csv", "--engine", ""], ["auto", "exact", "nuts"]),
        (["ppc", "small", "--model", ""], ["common-effect", "random-effects"]),
        (["ppc", "small", "--prior-set", "m"], ["mine"]),
        (["reporting", "small", "--prior", ""], ["mine", "other one"]),
        (["priors", "show", "robma4-tau"], ["robma4-tau-z"]),
        (["classical", "my"], ["mydata.csv"]),
        (["com"], ["compare"]),
    ],
)
def test_the_tab_key_offers_what_can_stand_there(
    workspace: Path, words: list[str], offered: list[str]
) -> None:
    assert press_tab(workspace, *words) == offered


def test_names_are_offered_without_loading_anything_numerical_or_any_file(
    workspace: Path,
) -> None:
    assert press_tab(workspace, "run", "") == [*names("configs", workspace)]
    loaded = set((workspace / "scripts" / "loaded.txt").read_text().split())
    assert "metarho.cli.completion" in loaded
    assert loaded & {"numpy", "scipy", "pandas", "ruamel.yaml"} == set()


@pytest.mark.parametrize("text", ["models: [", "models: 3\npriors: text\n", ""])
def test_a_broken_config_offers_nothing_and_says_nothing(workspace: Path, text: str) -> None:
    (workspace / "configs" / "small.yaml").write_text(text, encoding="utf-8")
    assert press_tab(workspace, "ppc", "small", "--model", "") == [""]
    assert press_tab(workspace, "ppc", "nowhere", "--model", "") == [""]


def test_a_folder_that_is_gone_offers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    for offer in (completion.configs, completion.models, completion.sources, completion.runs):
        assert offer("") == []


def test_roles_are_offered_once_each() -> None:
    assert tuple(Columns.model_fields) == completion.ROLES
    offered = completion.columns("ri=r,ni=n,")
    assert "ri=r,ni=n,study=" in offered
    assert not any(re.search(r",(ri|ni)=$", one) for one in offered)


def test_names_of_priors_are_those_of_the_catalogue() -> None:
    assert completion.prior_names("") == [*catalogue()]
    assert set(completion.prior_parameters("")) == {one.parameter for one in catalogue().values()}
    pairs = [f"{one.parameter}={one.slug}" for one in catalogue().values()]
    assert completion.cited_priors("") == pairs


@pytest.mark.parametrize(
    ("shell", "words"),
    [("bash", "complete -o default"), ("zsh", "#compdef"), ("fish", "complete ")],
)
def test_each_shell_has_a_script_that_asks_metarho(workspace: Path, shell: str, words: str) -> None:
    done = subprocess.run(
        [sys.executable, workspace / "scripts" / "metarho"],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(metarho.__file__).parent.parent),
            "_METARHO_COMPLETE": f"source_{shell}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert words in done.stdout and "metarho" in done.stdout
