"""The comparison of priors as a terminal and a paper have it."""

from __future__ import annotations

import pytest

from command_line import CommandLine

CONFIG = """
title: Which prior | for 5% of it?
studies: {source: internet-alliance, where: role == "main", intervals: drop}
models: [common-effect]
priors: {default: {}, sceptical: {mu: "Normal(mu=0, sigma=0.15)"}}
report: none
"""


@pytest.fixture
def line(command: CommandLine) -> CommandLine:
    (command.folder / "small.yaml").write_text(CONFIG, encoding="utf-8")
    return command


def test_a_comparison_is_written_as_it_is_printed(line: CommandLine) -> None:
    code, printed, _ = line.run("compare", "small.yaml", "--output", "out")
    assert code == 0
    (default,) = [text.split() for text in printed.splitlines() if " default " in text]
    code, markdown, _ = line.run("compare", "small.yaml", "--output", "out", "--markdown")
    assert code == 0
    assert markdown.startswith("**Which prior \\| for 5% of it?**")
    (row,) = [text for text in markdown.splitlines() if "| default |" in text]
    cells = row.replace("\\", "").replace("−", "-").replace("|", " ").split()
    assert cells == default
    assert markdown.splitlines()[2].startswith("| model | prior | rho | 95% | new 95% | BF mu |")
    latex = line.run("compare", "small.yaml", "--output", "out", "--latex")[1]
    assert "\\caption{Which prior \\textbar{} for 5\\% of it?}" in latex
    assert "conflict tau & ESS & H mu & H tau & H new & status" in latex


def test_two_forms_are_refused(line: CommandLine) -> None:
    code, out, err = line.run("compare", "small.yaml", "--latex", "--json")
    assert (code, out) == (2, "")
    assert "--json and --latex are forms of one output" in err
