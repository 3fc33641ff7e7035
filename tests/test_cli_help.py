"""Help: sections in an order, an example for each command, and the nearest for a wrong word."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from command_line import CommandLine
from metarho.cli import SECTIONS, app
from metarho.cli.examples import EXAMPLES

# The cheap ones are run as they stand, in a new workspace.
RUN = (
    "metarho models list",
    "metarho models show three-level",
    "metarho configs list",
    "metarho check internet-alliance",
    """metarho fit internet-alliance --where 'role == "main"'""",
    "metarho run alliance-decisions --dry-run",
    "metarho priors list --parameter tau",
    "metarho priors show robma4-tau-z --around 0.2",
    "metarho priors elicit --between .10 .45 --prob .9",
    "metarho schema --write .schemas",
)


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command below a group, by its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(leaves(get_command(app)))


def test_every_command_has_examples_and_no_other_has() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    assert all(1 <= len(lines) <= 3 for lines in EXAMPLES.values())


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name, lines in EXAMPLES.items() for line in lines]
)
def test_every_example_is_of_its_command_and_parses(name: str, line: str) -> None:
    # A shell goes on behind a backslash at the end of a line.
    words = shlex.split(line.replace("\\\n", " "))
    path = name.split()
    assert words[: len(path) + 1] == ["metarho", *path]
    # Raises for an option, a choice or a number that the command does not take.
    COMMANDS[name].make_context(name, words[len(path) + 1 :])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_the_examples_as_they_are_typed(command: CommandLine, name: str) -> None:
    code, out, _ = command.run(*name.split(), "--help")
    assert code == 0
    shown = out.partition("  Examples:\n")[2]
    assert shown.replace("\n    ", "\n").strip() == "\n".join(EXAMPLES[name])
    assert max(map(len, shown.splitlines())) <= 92


@pytest.mark.parametrize("line", RUN)
def test_cheap_examples_run(command: CommandLine, line: str) -> None:
    assert line in {line for lines in EXAMPLES.values() for line in lines}
    assert command.run("init", ".")[0] == 0
    code, out, err = command.run(*shlex.split(line)[1:])
    assert (code, err) == (0, "")
    assert out


def test_the_first_help_lists_every_command_under_its_section_in_whole_sentences(
    command: CommandLine,
) -> None:
    code, out, _ = command.run("--help")
    assert code == 0
    assert re.findall(r"^(\S.*):$", out, re.MULTILINE) == ["Options", *SECTIONS]
    listed = re.findall(r"^  ([a-z]+)  ", out, re.MULTILINE)
    assert set(listed) == set(get_command(app).commands)  # type: ignore[attr-defined]
    assert "..." not in out.partition("Options:")[2]


@pytest.mark.parametrize("group", ["models", "configs", "priors", "store"])
def test_the_help_of_a_group_lists_its_commands_in_whole_sentences(
    command: CommandLine, group: str
) -> None:
    code, out, _ = command.run(group, "--help")
    assert code == 0
    commands = out.partition("\nCommands:\n")[2]
    assert re.findall(r"^  ([a-z]+)  ", commands, re.MULTILINE)
    assert "..." not in commands


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fti"], "Did you mean 'fit'?"),
        (["modles", "list"], "Did you mean 'models'?"),
        (["priors", "lst"], "Did you mean 'list'?"),
        (["run", "x", "--wokers", "2"], "--workers"),
        (["fit", "x", "--engine", "exat"], "exact"),
        (["schema", "modle"], "model"),
    ],
)
def test_a_wrong_word_says_the_nearest_right_one(
    command: CommandLine, words: list[str], said: str
) -> None:
    code, out, err = command.run(*words)
    assert (code, out) == (2, "")
    assert said in err


def test_the_version_is_said(command: CommandLine) -> None:
    code, out, _ = command.run("--version")
    assert code == 0
    assert re.fullmatch(r"metarho \d+\.\d+\.\d+\S*\n", out)
