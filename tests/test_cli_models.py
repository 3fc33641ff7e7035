"""``metarho models`` and ``metarho configs``."""

from __future__ import annotations

import csv
import io
import json

import pytest

from command_line import CommandLine
from metarho.spec.model import PARTS


def test_models_are_listed_with_words_and_engines(command: CommandLine) -> None:
    code, out, _ = command.run("models", "list")
    assert code == 0
    assert out.startswith("shipped with metarho\n")
    assert "one true effect a row (engine: exact or nuts)" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_broken_model_is_listed_as_broken(command: CommandLine) -> None:
    (command.folder / "models").mkdir()
    (command.folder / "models" / "bad.yaml").write_text("likelihod: normal\n", encoding="utf-8")
    code, out, err = command.run("models", "list")
    assert (code, err) == (0, "")
    own, _, shipped = " ".join(out.split()).partition("shipped with metarho")
    assert "bad" in own and "broken" in own and "unknown key 'likelihod'" in own
    assert "random-effects" in shipped


@pytest.mark.parametrize("kind", ["models", "configs"])
def test_lists_for_programs_have_one_row_a_name(command: CommandLine, kind: str) -> None:
    _, out, _ = command.run(kind, "list", "--json")
    entries = json.loads(out)
    _, out, _ = command.run(kind, "list", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [one["name"] for one in entries] == [row["name"] for row in rows]
    assert {"name", "origin", "path", "title", "broken"} <= set(rows[0])


def test_configs_are_listed_with_kind_and_models(command: CommandLine) -> None:
    code, out, _ = command.run("configs", "list")
    assert code == 0
    assert "grid: common-effect, random-effects, three-level" in out


def test_a_model_is_shown_with_symbols_values_and_priors(command: CommandLine) -> None:
    code, out, _ = command.run("models", "show", "three-level")
    assert code == 0
    assert "three-level.yaml (shipped)" in out
    assert "theta[i] = mu + u_study[study of i] + u[i]" in out
    assert "  tau_study   HalfNormal(sigma=0.25)" in out
    assert all(f"  {part}" in out for part in PARTS)


def test_a_model_as_json_has_its_values_and_why_an_engine_refuses(command: CommandLine) -> None:
    _, out, _ = command.run("models", "show", "mixture", "--json")
    found = json.loads(out)
    assert found["model"]["effects"] == "mixture"
    assert found["model"]["priors"]["weight"] == "Beta(alpha=1, beta=9)"
    assert found["refusals"]["nuts"] is None and "mixture" in found["refusals"]["exact"]
    assert found["engines"] == ["nuts"]


def test_a_custom_model_is_shown_without_its_source_being_run(command: CommandLine) -> None:
    code, out, _ = command.run("models", "show", "multiplicative")
    assert code == 0
    assert "as the Python file multiplicative.py says" in out
    assert "LogNormal(mu=0, sigma=1)" in out


def test_a_model_that_is_not_there_is_an_error_with_the_nearest(command: CommandLine) -> None:
    code, out, err = command.run("models", "show", "three-levl")
    assert (code, out) == (2, "")
    assert "did you mean 'three-level'?" in err


def test_text_of_a_model_cannot_steer_the_terminal(command: CommandLine) -> None:
    (command.folder / "models").mkdir()
    text = 'title: "evil \\e[31m title"\npriors: {mu: "Normal(mu=0, sigma=1)"}\nrandom: none\n'
    (command.folder / "models" / "evil.yaml").write_text(text, encoding="utf-8")
    for words in (["models", "list"], ["models", "show", "evil"]):
        code, out, _ = command.run(*words)
        assert code == 0 and "evil" in out and "\x1b" not in out
