"""``metarho script``, and ``scripts:`` in a config, as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from command_line import CommandLine

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: [use, drop]}
models: [random-effects]
priors:
  default: {}
  "<b>`wide`": {mu: "Cauchy(alpha=0, beta=0.3)"}
report: none
scripts: [metafor, bayesmeta, brms, pymc]
"""


@pytest.fixture
def here(command: CommandLine) -> CommandLine:
    (command.folder / "mine.yaml").write_text(CONFIG, encoding="utf-8")
    return command


def test_a_script_is_printed_and_nothing_else(here: CommandLine) -> None:
    words = ("script", "mine.yaml", "--to", "pymc", "--intervals", "drop", "--output", "out")
    code, out, _ = here.run(*words)
    assert code == 0
    assert out.startswith("# A check of one result of a meta-analysis")
    assert "# model: random-effects   prior set: default   intervals: drop" in out
    assert out.count("\nwith pm.Model() as model:\n") == 1
    compile(out, "check.py", "exec")


def test_what_a_program_cannot_say_is_bad_input_and_nothing_is_fitted(here: CommandLine) -> None:
    code, out, err = here.run("script", "mine.yaml", "--to", "metafor", "--output", "out")
    assert (code, out) == (2, "")
    assert "interval rows (use intervals: drop); --to brms or pymc can" in err
    assert not (here.folder / "out").exists()


def test_a_saved_fit_has_a_script_too(here: CommandLine) -> None:
    saved = "fit.nc"
    here.run("fit", "internet-alliance", "--intervals", "drop", "--save", saved)
    code, out, _ = here.run("script", saved, "--to", "bayesmeta")
    assert code == 0
    assert "fit <- bayesmeta(" in out
    code, _, err = here.run("script", saved, "--to", "bayesmeta", "--model", "random-effects")
    assert code == 2
    assert "a saved fit is one fit" in err


def test_a_run_writes_scripts_records_them_and_says_what_it_could_not(here: CommandLine) -> None:
    code, _, _ = here.run("run", "mine.yaml", "--output", "out")
    assert code == 0
    folder = here.folder / "out" / "mine"
    files = {path.name for path in (folder / "scripts").iterdir()}
    # Metafor and bayesmeta have no intervals, and bayesmeta has no Cauchy prior.
    assert len(files) == 1 + 4 + 3 + 2 * 2
    page = (folder / "scripts" / "README.md").read_text(encoding="utf-8")
    assert "- metafor: none. No metafor script has interval rows" in page
    assert "<b>" not in page
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert {f"scripts/{name}" for name in files} <= {*record["files"]}
    before = {name: (folder / "scripts" / name).read_bytes() for name in files}
    here.run("run", "mine.yaml", "--output", "out")
    assert before == {name: (folder / "scripts" / name).read_bytes() for name in files}


def test_scripts_that_are_no_longer_asked_for_go(here: CommandLine) -> None:
    config, text = here.folder / "mine.yaml", CONFIG.replace("[use, drop]", "drop")
    config.write_text(text, encoding="utf-8")
    here.run("run", "mine.yaml", "--output", "out")
    fewer = text.replace("[metafor, bayesmeta, brms, pymc]", "[brms]")
    config.write_text(fewer, encoding="utf-8")
    here.run("run", "mine.yaml", "--output", "out")
    left = {path.name for path in (here.folder / "out" / "mine" / "scripts").iterdir()}
    assert len(left) == 1 + 2
    assert all("brms" in name or name == "README.md" for name in left)


@pytest.mark.slow
def test_a_pymc_script_runs_without_metarho_and_agrees(here: CommandLine) -> None:
    words = ("script", "mine.yaml", "--to", "pymc", "--output", "out")
    _, out, _ = here.run(*words)
    path = here.folder / "check.py"
    path.write_text(out, encoding="utf-8")
    # Any import of metarho ends it.
    (here.folder / "metarho.py").write_text("raise SystemExit(7)\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(here.folder)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all agrees\n")
    assert "DIFFERS" not in done.stdout


@pytest.mark.slow
def test_a_pymc_script_that_holds_wrong_numbers_says_so(here: CommandLine) -> None:
    words = ("script", "mine.yaml", "--to", "pymc", "--intervals", "drop", "--output", "out")
    _, out, _ = here.run(*words)
    wrong = out.replace('{"mean": 0.', '{"mean": 0.1', 1)
    assert wrong != out
    path = here.folder / "check.py"
    path.write_text(wrong, encoding="utf-8")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.count("DIFFERS") == 1
