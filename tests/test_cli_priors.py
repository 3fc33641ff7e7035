"""``metarho priors``: what it prints, for readers and for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from metarho import cli
from metarho.predict.elicitation import elicit, mean_between
from metarho.report.priors import FORMULAS, WIDTH
from metarho.spec.analysis import read_analysis
from metarho.spec.catalogue import catalogue
from metarho.spec.priors import FAMILIES

type Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run ``metarho priors`` in an empty folder: exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["metarho", "priors", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return call


def test_the_list_has_every_entry_at_the_width_of_a_terminal(command: Command) -> None:
    code, out, _ = command("list")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines() if line[:3].strip()} >= {
        "package", "bayesmeta", "weakly", "empirical", "publication", "alliance",
    }  # fmt: skip
    named = [
        line.split()[0] for line in out.splitlines() if line.startswith("  ") and line[2:3] != " "
    ]
    assert named == list(catalogue())
    assert max(map(len, out.splitlines())) <= WIDTH


def test_the_list_can_be_of_one_parameter(command: Command) -> None:
    _, out, _ = command("list", "--parameter", "beta", "--json")
    assert [one["slug"] for one in json.loads(out)] == [
        "robma4-beta-z", "robma3-beta-z", "alliance-task-minus-bond",
    ]  # fmt: skip


def test_a_derivation_is_shown(command: Command) -> None:
    _, out, _ = command("show", "alliance-f2f-2018")
    assert "derived     Fluckiger 2018 (face-to-face): r = 0.278 [0.256, 0.299]" in out
    assert "mean = atanh(0.278) = 0.2855" in out
    assert "sd = (atanh(0.299) − atanh(0.256))/3.92 = 0.0119" in out
    assert "observed r, n = 300                    0.278       [-0.263, 0.686]" in out


def test_a_prior_of_heterogeneity_says_how_far_true_correlations_spread(command: Command) -> None:
    _, out, _ = command("show", "alliance-tau")
    assert "-0.000" not in out  # medians are 0 but for rounding
    _, out, _ = command("show", "alliance-tau", "--mu", "alliance-f2f-2018", "--around", "0.3")
    assert "mu          Normal(mu=0.2855, sigma=0.0119)" in out
    assert "Around a mean correlation of 0.3, 95% of true correlations lie between" in out


@pytest.mark.parametrize("name", catalogue())
def test_every_entry_can_be_shown_without_what_it_implies(name: str) -> None:
    from metarho.report.priors import entry_lines

    one = catalogue()[name]
    lines = entry_lines(one)
    assert max(map(len, lines)) <= WIDTH
    assert one.about.split()[0] in lines[1]
    assert any(line.startswith("source      ") for line in lines)


def test_an_improper_prior_says_that_it_implies_nothing(command: Command) -> None:
    code, out, _ = command("show", "bayesmeta-jeffreys")
    assert code == 0
    assert "It is improper: before data it gives no correlation a probability." in out


def test_a_prior_made_of_standard_errors_says_of_which(command: Command) -> None:
    _, out, _ = command("show", "bayesmeta-dumouchel")
    assert "here those of n = 100" in out


def test_what_a_prior_implies_is_there_for_programs(command: Command) -> None:
    _, out, _ = command("show", "robma4-mu-z", "--json")
    found = json.loads(out)
    assert (found["on"], found["prior"]) == ("mu", "Normal(mu=0, sigma=0.5)")
    assert found["implied"]["rho"]["upper"] == pytest.approx(0.753, abs=5e-4)
    assert set(found["implied"]["observed_r"]) == {"30", "100", "300"}
    assert found["around"] is None
    _, out, _ = command("show", "alliance-tau", "--json")
    assert json.loads(out)["around"]["rho"]["median"] == pytest.approx(0.2)
    _, out, _ = command("show", "robma4-share", "--json")
    assert json.loads(out)["implied"] is None


def test_every_family_has_a_density_in_words() -> None:
    assert set(FORMULAS) == set(FAMILIES)


REFUSED = {
    "around, of a mean": (["show", "bosco-mu-z", "--around", "0.1"], "for a prior of tau; not 0.1"),
    "no such prior": (["show", "robma4-mu"], "did you mean 'robma4-mu-z'?"),
    "no such parameter": (["list", "--parameter", "mue"], "did you mean 'mu'?"),
    "itself beside itself": (
        ["show", "robma4-mu-z", "--mu", "bosco-mu-z"],
        "--mu: robma4-mu-z is a prior of mu; beside",
    ),
    "beside what is alone": (["show", "robma4-share", "--mu", "bosco-mu-z"], "--mu: robma4-share"),
    "beside something else": (["show", "robma4-mu-z", "--tau", "bosco-mu-z"], "not of tau"),
    "around no correlation": (
        ["show", "alliance-tau", "--around", "1"],
        "for a prior of tau; not 1 for alliance-tau",
    ),
    "beside an improper one": (
        ["show", "alliance-tau", "--mu", "Flat()"],
        "mu: Flat() is improper",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(command: Command, case: str) -> None:
    arguments, said = REFUSED[case]
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert said in err


ELICIT = ("elicit", "--between", ".10", ".45")


def test_elicited_priors_are_a_prior_set_that_a_config_reads(
    command: Command, tmp_path: Path
) -> None:
    code, out, _ = command(*ELICIT, "--prob", "0.9", "--save", "mine.yaml", "--name", "expert")
    assert code == 0
    block = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    assert block in out
    config = tmp_path / "config.yaml"
    config.write_text(
        "studies: {source: internet-alliance}\nmodels: [random-effects]\n" + block,
        encoding="utf-8",
    )
    priors = read_analysis(config)[0].priors["expert"]
    assert priors == elicit(0.1, 0.45, 0.9).priors
    assert "probability of the statement, by the exact engine: 0.900000" in out
    assert max(map(len, out.splitlines())) <= WIDTH


def test_what_was_elicited_is_there_for_programs(command: Command) -> None:
    _, out, _ = command(*ELICIT, "--mean-between", ".2", ".35", "--json")
    found = json.loads(out)
    assert found["probability"] == pytest.approx(0.9, abs=1e-6)
    assert found["priors"]["mu"] == str(mean_between(0.2, 0.35, 0.9))
    assert found["implied"]["rho"]["median"] == pytest.approx(0.277, abs=1e-3)


@pytest.mark.parametrize(
    "about_the_mean",
    [("--mean-between", ".2", ".35"), ("--mu", "Normal(mu=0.28, sigma=0.03)")],
    ids=["between", "prior"],
)
def test_where_something_is_said_of_the_mean_no_share_is_printed(
    command: Command, about_the_mean: tuple[str, ...]
) -> None:
    code, out, err = command(*ELICIT, *about_the_mean)
    assert (code, err) == (0, "")
    assert "90% of studies have a true correlation between 0.1 and 0.45." in out
    assert "Nothing was said of the mean" not in out
    assert "probability of the statement, by the exact engine: 0.900000" in out


ELICIT_REFUSED = {
    "two splits": (["--share", ".2", "--mu", "bosco-mu-z"], "give one of them"),
    "a name that is a number in YAML": (["--name", "123"], "YAML reads '123' as something else"),
    "a name that is nothing in YAML": (["--name", "null"], "YAML reads 'null' as something else"),
    "no room": (["--mean-between", "0", ".5"], "leaves no room"),
    "no folder": (["--save", "nowhere/mine.yaml"], "there is no folder nowhere"),
    "a file that is there": (["--save", "there.yaml"], "there.yaml is there already"),
}


@pytest.mark.parametrize("case", ELICIT_REFUSED)
def test_a_statement_that_cannot_be_used_leaves_nothing(
    command: Command, tmp_path: Path, case: str
) -> None:
    (tmp_path / "there.yaml").write_text("mine\n", encoding="utf-8")
    arguments, said = ELICIT_REFUSED[case]
    code, out, err = command(*ELICIT, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["there.yaml"]
    assert (tmp_path / "there.yaml").read_text(encoding="utf-8") == "mine\n"


PAGE = Path(__file__).parents[1] / "docs" / "priors.md"


def test_the_page_prints_what_the_commands_print(command: Command) -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = [block.partition("\n```")[0] for block in re.split(r"```[^\n]*\n", page)]
    (shown,) = [block for block in blocks if block.startswith("alliance-tele-2024:")]
    _, out, _ = command("show", "alliance-tele-2024")
    printed = out.splitlines()
    wanted = [line for line in shown.splitlines() if line not in ("...", "…")]
    assert len(wanted) > 10
    assert [line for line in wanted if line not in printed] == []
    # What is left out before and after is a line of its own.
    (elicited,) = [b.strip("…\n") for b in blocks if b.startswith("…\npriors:\n  elicited:")]
    _, out, _ = command(*ELICIT, "--prob", ".9")
    assert elicited in out
