"""Bad input, end to end: exit code 2, one clear message, nothing on standard output or on disk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metarho.cli import main

METARHO = Path(sys.executable).parent / "metarho"

MODEL = """\
title: Mine
random: effect
priors:
  mu: Normal(mu=0, sigma=0.5)
  tau: HalfNormal(sigma=0.25)
"""
DATA = "study,id,r,n,x\nA,1,0.3,40,1\nB,1,0.2,50,2\nC,1,0.1,60,3\n"
CONFIG = """\
studies:
  source: data.csv
  columns: {ri: r, ni: n, study: study, effect: id}
models: [mine.yaml]
priors:
  default: {}
"""
BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in ("ab", "bc", "cd"))
COLUMNS = "ri=r,ni=n,study=study,effect=id"

type Spoiled = tuple[str, Callable[[str], str | bytes], list[str]]
type Argument = tuple[list[str], list[str]]
type Answer = tuple[int | str | None, str, str]
type Command = Callable[..., Answer]


def instead(old: str, new: str) -> Callable[[str], str]:
    """The text with one part of it replaced; the part must be there."""

    def replaced(text: str) -> str:
        assert text.count(old) == 1
        return text.replace(old, new)

    return replaced


def added(line: str) -> Callable[[str], str]:
    """The text with a line at its end."""
    return lambda text: text + line


def always(content: str | bytes) -> Callable[[str], str | bytes]:
    """Another content altogether."""
    return lambda text: content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config, its model and its data, side by side: a run of it would succeed."""
    for name, text in (("mine.yaml", MODEL), ("data.csv", DATA), ("run.yaml", CONFIG)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def spoiled(path: Path, spoil: Callable[[str], str | bytes]) -> None:
    content = spoil(path.read_text(encoding="utf-8"))
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def command(folder: Path, *arguments: str) -> Answer:
    """What the command answers, in a process of its own."""
    done = subprocess.run(
        [METARHO, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """What the command answers, in this process."""

    def answer(folder: Path, *arguments: str) -> Answer:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["metarho", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capfd.readouterr()

    return answer


def refused(folder: Path, answer: Command, *arguments: str) -> str:
    """The message of a command that exits with 2 and leaves no trace."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, out, message = answer(folder, *arguments)
    assert (code, out) == (2, ""), message
    assert "Traceback" not in message
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert message.startswith("metarho: ")
    assert message.count("\n") == 1
    return message.rstrip("\n")


# What is spoiled, how, and what the message says.
SPOILED: dict[str, Spoiled] = {
    "an unknown key in a config": (
        "run.yaml",
        added("enigne: exact\n"),
        ["run.yaml:7", "unknown key 'enigne'", "did you mean 'engine'?"],
    ),
    "a misspelt prior in a config": (
        "run.yaml",
        instead("default: {}", "default: {mu: 'Norml(mu=0, sigma=1)'}"),
        ["run.yaml:6", "no family 'Norml'", "did you mean 'Normal'?"],
    ),
    "a misspelt argument in a model": (
        "mine.yaml",
        instead("HalfNormal(sigma", "HalfNormal(sgima"),
        ["mine.yaml:5", "no argument 'sgima'", "did you mean 'sigma'?"],
    ),
    "a negative scale in a model": (
        "mine.yaml",
        instead("sigma=0.25", "sigma=-0.25"),
        ["mine.yaml:5", "sigma must be greater than 0, not -0.25"],
    ),
    "a parameter that no model has": (
        "run.yaml",
        instead("default: {}", "default: {tau_study: HalfNormal(sigma=1)}"),
        ["run.yaml:6", "no model of this analysis has a parameter 'tau_study'", "allowed: mu, tau"],
    ),
    "a model that is not there": (
        "run.yaml",
        instead("[mine.yaml]", "[random-efects]"),
        ["run.yaml:4", "there is no model 'random-efects'", "did you mean 'random-effects'?"],
    ),
    "a YAML tag": (
        "mine.yaml",
        added("scale: !!python/object/apply:os.system ['touch mark']\n"),
        ["mine.yaml:6", "python/object/apply:os.system", "not allowed"],
    ),
    "an alias bomb": ("run.yaml", always(BOMB), ["run.yaml:1", "anchors", "not allowed"]),
    "a cyclic alias": ("run.yaml", always("&a [*a]\n"), ["run.yaml:1", "anchors"]),
    "5000 opening brackets": (
        "mine.yaml",
        always("mods: " + "[" * 5000),
        ["mine.yaml:1", "nested deeper than 30 levels"],
    ),
    "a formula that calls Python": (
        "mine.yaml",
        added("mods: \"~ {__import__('os').system('touch mark') + n}\"\n"),
        ["mine.yaml:6", "formula", "the character '{' has no place in one"],
    ),
    "a filter that calls Python": (
        "run.yaml",
        instead("source:", "where: \"__import__('os').system('touch mark') == 0\"\n  source:"),
        ["run.yaml:2", "filter", "a filter compares columns with values"],
    ),
    "a correlation of 1": (
        "data.csv",
        instead("0.2", "1.0"),
        ["data.csv:3", "r (ri) is 1.0", "between -1 and 1"],
    ),
    "three people": (
        "data.csv",
        instead("50", "3"),
        ["data.csv:3", "n (ni) is 3", "at least 4"],
    ),
    "a text in a number column": (
        "data.csv",
        instead("0.2", "n.s."),
        ["data.csv:3", "r is 'n.s.'", "a number is needed"],
    ),
    "a doubled effect": (
        "data.csv",
        instead("B,1", "A,1"),
        ["data.csv:3", "the effect '1' of study 'A'", "data.csv:2"],
    ),
    "a missing column": (
        "data.csv",
        instead("study,id,r,n", "study,id,r,N"),
        ["data.csv", "has no column 'n'", "allowed: N, id, r, study, x"],
    ),
    "an empty data file": ("data.csv", always(""), ["data.csv", "is empty"]),
    "a header only": ("data.csv", always("study,id,r,n,x\n"), ["data.csv", "a header but no rows"]),
    "data that are not UTF-8": (
        "data.csv",
        always(b"study,id,r,n,x\ncaf\xe9,1,0.3,40,1\n"),
        ["data.csv", "not UTF-8 (byte 18)"],
    ),
}


# A process takes seconds to start: these have one each; make test-slow gives one to all.
OF_ITS_OWN = ("an unknown key in a config", "5000 opening brackets", "a formula that calls Python")


@pytest.mark.parametrize(
    "name, spoil, said",
    [
        pytest.param(*one, id=what, marks=[] if what in OF_ITS_OWN else pytest.mark.slow)
        for what, one in SPOILED.items()
    ],
)
def test_a_run_with_a_spoiled_file_stops_before_it_writes(
    folder: Path, name: str, spoil: Callable[[str], str | bytes], said: list[str]
) -> None:
    spoiled(folder / name, spoil)
    message = refused(folder, command, "run", "run.yaml", "--output", "out")
    assert [part for part in said if part not in message] == []


# Spoiled files that stop at the same places; in this process, which is faster.
SPOILED_MORE: dict[str, Spoiled] = {
    "a data file that is not there": (
        "run.yaml",
        instead("data.csv", "absent.csv"),
        ["absent.csv", "cannot be read"],
    ),
    "an endless number": (
        "run.yaml",
        added(f"sampler: {{seed: 0x{'f' * 4000}}}\n"),
        ["run.yaml:7", "more than 64 bits"],
    ),
    "an empty config": ("run.yaml", always(""), ["run.yaml", "is empty"]),
    "errors that correlate at 1": (
        "run.yaml",
        instead("source:", "rho_within: 1\n  source:"),
        ["run.yaml:2", "rho_within", "less than 1", "1"],
    ),
    "a filter on a placeholder": (
        "run.yaml",
        instead("source:", "where: quoted_column_0 == 1\n  source:"),
        ["data.csv", "has no column 'quoted_column_0'"],
    ),
    "a filter that compares texts with truth": (
        "run.yaml",
        instead("source:", "where: study < True\n  source:"),
        ["data.csv:2", "true or false", "'A'"],
    ),
    "a moderator that is not there": (
        "mine.yaml",
        added("mods: ~ y\n"),
        ["data.csv", "has no column 'y'", "allowed: id, n, r, study, x"],
    ),
    "a config that is not UTF-8": (
        "run.yaml",
        always(b"title: caf\xe9\n"),
        ["run.yaml", "not UTF-8"],
    ),
}


IN_THIS_PROCESS = SPOILED | SPOILED_MORE


@pytest.mark.parametrize("name, spoil, said", IN_THIS_PROCESS.values(), ids=IN_THIS_PROCESS)
def test_a_spoiled_file_gives_one_message_with_the_place(
    folder: Path,
    here: Command,
    name: str,
    spoil: Callable[[str], str | bytes],
    said: list[str],
) -> None:
    spoiled(folder / name, spoil)
    message = refused(folder, here, "run", "run.yaml", "--output", "out")
    assert [part for part in said if part not in message] == []


# Arguments of ``metarho fit``, and what the message says.
FIT: dict[str, Argument] = {
    "a prior name the model lacks": (
        ["--prior", "tau_study=HalfNormal(sigma=1)"],
        ["'random-effects' has no parameter 'tau_study'", "allowed: mu, tau"],
    ),
    "a folder that is not there": (["--save", "absent/fit.nc"], ["--save", "no folder absent"]),
}

FIT_MORE: dict[str, Argument] = {
    "a misspelt prior": (
        ["--prior", "mu=Norml(mu=0, sigma=1)"],
        ["no family 'Norml'", "did you mean 'Normal'?"],
    ),
    "a misspelt argument": (
        ["--prior", "mu=Normal(mu=0, sgima=1)"],
        ["no argument 'sgima'", "did you mean 'sigma'?"],
    ),
    "a negative scale": (
        ["--prior", "tau=HalfNormal(sigma=-1)"],
        ["'HalfNormal(sigma=-1)'", "sigma must be greater than 0"],
    ),
    "a prior without a name": (["--prior", "Flat()"], ["--prior: 'Flat()' is not parameter=prior"]),
    "a model that is not there": (
        ["--model", "random-efects"],
        ["there is no model 'random-efects'", "did you mean 'random-effects'?"],
    ),
    "a formula that calls Python": (
        ["--mods", "~ {__import__('os').system('touch mark') + n}"],
        ["formula", "the character '{' has no place in one"],
    ),
    "a filter that calls Python": (
        ["--where", "__import__('os').system('touch mark') == 0"],
        ["filter", "a filter compares columns with values"],
    ),
    "errors that correlate at more than 1": (
        ["--rho-within", "1.5"],
        ["rho_within", "below 1", "1.5"],
    ),
    "a role that there is not": (["--columns", "rj=r"], ["no role 'rj'", "allowed: alpha"]),
    "columns that are not pairs": (["--columns", "r"], ["--columns: 'r' is not role=column"]),
    "a file that is no NetCDF": (["--save", "fit.csv"], ["--save", "ends in .nc", "'fit.csv'"]),
}


@pytest.mark.parametrize(
    "arguments, said",
    [
        pytest.param(*one, id=what, marks=[] if what == next(iter(FIT)) else pytest.mark.slow)
        for what, one in FIT.items()
    ],
)
def test_a_fit_with_a_bad_argument_stops_before_it_writes(
    folder: Path, arguments: list[str], said: list[str]
) -> None:
    message = refused(folder, command, "fit", "data.csv", "--columns", COLUMNS, *arguments)
    assert [part for part in said if part not in message] == []


@pytest.mark.parametrize("arguments, said", (FIT | FIT_MORE).values(), ids=FIT | FIT_MORE)
def test_a_bad_argument_gives_one_message_with_the_value(
    folder: Path, here: Command, arguments: list[str], said: list[str]
) -> None:
    message = refused(folder, here, "fit", "data.csv", "--columns", COLUMNS, *arguments)
    assert [part for part in said if part not in message] == []


LINES = {
    "no data": (["fit"], "Missing argument"),
    "no command of ours": (["fitt", "data.csv"], "No such command 'fitt'"),
    "no option of ours": (["fit", "data.csv", "--modle", "x"], "No such option: --modle"),
    "a misspelt engine": (["fit", "data.csv", "--engine", "exakt"], "'exakt' is not one of"),
    "a seed below 0": (["fit", "data.csv", "--seed", "-1"], "'--seed'"),
    "a seed beyond 64 bits": (["fit", "data.csv", "--seed", "9" * 30], "'--seed'"),
    "a seed in words": (["fit", "data.csv", "--seed", "luck"], "'--seed'"),
}


@pytest.mark.parametrize("arguments, said", LINES.values(), ids=LINES)
def test_a_wrong_command_line_is_refused_with_what_is_wrong(
    folder: Path, here: Command, arguments: list[str], said: str
) -> None:
    code, out, message = here(folder, *arguments)
    assert (code, out) == (2, "")
    assert said in message
    assert "Traceback" not in message


def test_a_check_finds_what_a_run_would(folder: Path, here: Command) -> None:
    spoiled(folder / "run.yaml", added("enigne: exact\n"))
    assert "run.yaml:7: unknown key 'enigne'" in refused(folder, here, "check", "run.yaml")


def test_one_bad_config_stops_the_good_ones_before_it(folder: Path) -> None:
    (folder / "bad.yaml").write_text(CONFIG + "enigne: exact\n", encoding="utf-8")
    message = refused(folder, command, "run", "run.yaml", "bad.yaml", "--output", "out")
    assert "bad.yaml:7" in message


def test_two_configs_of_one_name_are_refused(folder: Path, here: Command) -> None:
    message = refused(folder, here, "run", "run.yaml", "./run.yaml", "--output", "out")
    assert "would both write to" in message


def test_without_a_spoiled_file_the_config_is_good(folder: Path) -> None:
    code, out, message = command(folder, "check", "run.yaml")
    assert (code, message) == (0, "")
    assert "3 effects from 3 studies" in out
