"""Look-up: a path, the workspace, then what the package ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarho.errors import InputError
from metarho.spec.lookup import find, shipped_folder, workspace


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A workspace with two models and a folder deep below it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.yaml").touch()
    (tmp_path / "models" / "random-effects.yaml").touch()
    (tmp_path / "configs" / "deep").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in no workspace."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.mark.parametrize("below", [".", "configs", "configs/deep", "models"])
def test_the_workspace_is_the_nearest_parent_that_holds_models(own: Path, below: str) -> None:
    assert workspace((own / below).resolve()) == own


def test_the_workspace_of_the_first_start_wins(own: Path, elsewhere: Path) -> None:
    (elsewhere / "models").mkdir()
    assert workspace(elsewhere, own) == elsewhere
    assert workspace(own, elsewhere) == own


def test_a_start_outside_any_workspace_is_passed_over(own: Path, elsewhere: Path) -> None:
    assert workspace(elsewhere, own) == own
    assert workspace(elsewhere) is None


def test_the_workspace_comes_before_what_is_shipped(own: Path) -> None:
    assert find("random-effects", "models", own) == own / "models" / "random-effects.yaml"


def test_what_the_workspace_lacks_is_shipped(own: Path) -> None:
    assert find("three-level", "models", own) == shipped_folder("models") / "three-level.yaml"


def test_without_a_workspace_the_shipped_one_is_found(elsewhere: Path) -> None:
    found = find("internet-alliance", "configs", elsewhere)
    assert found == shipped_folder("configs") / "internet-alliance.yaml"


@pytest.mark.parametrize("name", ["models/mine.yaml", "mine.yaml", "./mine.yaml"])
def test_a_name_with_a_slash_or_a_suffix_is_a_path_from_the_first_start(
    own: Path, elsewhere: Path, name: str
) -> None:
    start = own if name.startswith("models/") else own / "models"
    assert find(name, "models", start, elsewhere).samefile(own / "models" / "mine.yaml")


@pytest.mark.parametrize("name", ["deep/mine.yaml", "random-effects.yml", "models"])
def test_a_path_that_is_not_there_is_an_error_and_not_looked_up(own: Path, name: str) -> None:
    with pytest.raises(InputError, match="there is no"):
        find(name, "models", own)


def test_a_folder_is_no_model(own: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        find("configs/", "models", own)


def test_a_misspelt_name_lists_what_the_workspace_and_the_package_have(own: Path) -> None:
    with pytest.raises(InputError) as caught:
        find("three-lvel", "models", own)
    message = str(caught.value)
    assert message.startswith("there is no model 'three-lvel'; allowed: common-effect, ")
    assert ", mine, mixture, " in message
    assert message.endswith("did you mean 'three-level'?")
