"""``metarho assurance`` as a user runs it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from command_line import CommandLine
from metarho.fitting.verdict import Verdict

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: [drop, use]}
models: [random-effects, common-effect, guided.yaml]
priors:
  wide $x$ & <b>: {}
  flat: {mu: "Flat()"}
"""
GUIDED = """\
likelihood: normal
mods: ~ guidance
random: effect
priors:
  mu: Normal(mu=0, sigma=0.5)
  beta: Normal(mu=0, sigma=0.25)
  tau: HalfNormal(sigma=0.25)
"""
SIZES = ("--ni", "60,180", "--futures", "200")


class Run(CommandLine):
    """``metarho assurance`` in a folder of its own."""

    @property
    def out(self) -> Path:
        return self.folder / "out" / "next"

    def __call__(self, *options: str) -> tuple[int, str, str]:
        return self.run("assurance", "next.yaml", "--output", "out", *options)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "next.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "guided.yaml").write_text(GUIDED, encoding="utf-8")
    return Run(monkeypatch, tmp_path, capsys)


def test_three_of_sixty_against_one_of_a_hundred_and_eighty(run: Run) -> None:
    code, out, _ = run("--width", "0.17", "--studies", "1,3", *SIZES)
    assert code == 0
    text = " ".join(out.split())
    assert "one further study n" in text and "3 further studies that share n people" in text
    assert "width < 0.17 does not hold today (the interval is 0.1797 wide)." in text
    assert "The rest is tau: how true effects differ between studies." in text
    with (run.out / "assurance.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    places = [(row["studies"], row["what"], row["ni"]) for row in rows]
    assert places[:3] == [("1", "size", "60"), ("1", "size", "180"), ("1", "limit", "")]
    assert [place[0] for place in places] == ["1"] * 4 + ["3"] * 4
    assert places[3][1] == places[7][1] == "fewest for 0.8"
    # No Monte Carlo error on one study's line.
    assert rows[1]["mcse"] == "" and float(rows[5]["mcse"]) > 0
    # As many people in three studies teach more about a mean that varies.
    assert float(rows[5]["expected_width"]) < float(rows[1]["expected_width"])
    assert rows[5]["ni_each"] == "60"
    assert float(rows[0]["expected_mean"]) == pytest.approx(float(rows[1]["expected_mean"]))
    assert {path.name for path in (run.out / "figures").iterdir()} == {
        "assurance.svg", "assurance.png", "assurance.csv",
    }  # fmt: skip


def test_a_claim_that_holds_already_may_be_unsettled(run: Run) -> None:
    code, out, _ = run("--claim", "P(rho > 0.2) >= 0.95", *SIZES)
    assert code == 0
    text = " ".join(out.split())
    assert "P(rho > 0.2) >= 0.95 holds today (P(rho > 0.2) is 0.9722)." in text
    assert "it holds with probability 0." in text


def test_json_and_csv_print_the_rows_that_are_left(run: Run) -> None:
    options = ("--claim", "bf_mu > 5000", "--claim", "lower > 0.2", "--width", "0.15", *SIZES)
    code, out, _ = run(*options, "--json")
    found = json.loads(out)
    assert code == 0 and len(found["sentences"]) == 4
    assert {row["goal"] for row in found["rows"]} == {"bf_mu > 5000", "lower > 0.2", "width < 0.15"}
    assert all(row["prior"] == "wide $x$ & <b>" for row in found["rows"])
    code, out, _ = run(*options, "--csv")
    assert code == 0
    assert out == (run.out / "assurance.csv").read_text(encoding="utf-8")
    assert len(list(csv.DictReader(io.StringIO(out)))) == len(found["rows"]) == 12


def test_two_runs_leave_the_same_bytes(run: Run) -> None:
    left = []
    for _ in range(2):
        run("--claim", "lower > 0.2", "--studies", "1,3", *SIZES)
        left.append([path.read_bytes() for path in sorted(run.out.rglob("*.*"))])
    assert left[0] == left[1]


def test_the_moderators_of_the_next_study_are_set_and_asked_about(run: Run) -> None:
    options = ("--model", "guided.yaml", "--width", "0.2", *SIZES, "--json")
    widths = {}
    for extra in (
        (),
        ("--set", "guidance=unguided"),
        ("--set", "guidance=unguided", "--at-profile"),
    ):
        code, out, _ = run(*options, *extra)
        assert code == 0
        row = json.loads(out)["rows"][1]
        widths[extra] = row["today"], row["expected_width"]
        assert row["profile"] == ("guidance=unguided" if extra else "")
        assert row["mean_at"] == ("profile" if "--at-profile" in extra else "average")
    average, unguided, at_profile = widths.values()
    # Today's mean at the average is the same whatever comes; that of the fewer is known less well.
    assert unguided[0] == average[0] < at_profile[0]
    assert average[1] != unguided[1]


def test_what_rests_on_a_posterior_that_is_not_reportable_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Verdict("not reportable", ())
    monkeypatch.setattr("metarho.predict.assurance.judge", lambda *arguments: bad)
    code, out, _ = run("--width", "0.15", *SIZES)
    assert code == 3 and "not reportable" in out
    with (run.out / "assurance.csv").open(encoding="utf-8") as stream:
        assert {row["status"] for row in csv.DictReader(stream)} == {"not reportable"}


def test_a_config_without_reports_has_no_figure(run: Run) -> None:
    Path("next.yaml").write_text(CONFIG + "report: none\n", encoding="utf-8")
    code, _, _ = run("--width", "0.15", *SIZES)
    assert code == 0
    assert [path.name for path in run.out.iterdir()] == ["assurance.csv"]


def test_sizes_are_spread_over_a_range_of_logarithms(run: Run) -> None:
    code, out, _ = run(
        "--width", "0.15", "--from", "40", "--to", "4000", "--futures", "200", "--json"
    )
    sizes = [row["ni"] for row in json.loads(out)["rows"] if row["what"] == "size"]
    assert code == 0 and len(sizes) == 40
    assert (sizes[0], sizes[-1]) == (40, 4000) and sizes == sorted(sizes)


WIDTH = ("--width", "0.15")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "say what tomorrow's posterior is to reach"),
        (("--claim", "lower == 0"), "is no claim"),
        (("--claim", "lowr > 0"), "did you mean 'lower'"),
        (("--claim", "tau > 0.1"), "is not computed"),
        (("--claim", "bf_mu > 3", "--prior-set", "flat"), "is improper"),
        (("--width", "0"), "above 0, not 0"),
        (("--width", "nan"), "above 0, not nan"),
        ((*WIDTH, "--ni", "3"), "a further study need"),
        ((*WIDTH, "--ni", "60,many"), "numbers of people apart by commas"),
        ((*WIDTH, "--ni", "60", "--from", "20"), "give one of them"),
        ((*WIDTH, "--ni", "11", "--studies", "3"), "at least 4 each, not 11"),
        ((*WIDTH, "--from", "3"), "4 to 10,000,000, not 3"),
        ((*WIDTH, "--from", "nan"), "not nan"),
        ((*WIDTH, "--from", "100", "--to", "50"), "is empty"),
        ((*WIDTH, "--studies", "0"), "numbers from 1 to 100"),
        ((*WIDTH, "--studies", "1,x"), "numbers from 1 to 100"),
        ((*WIDTH, "--probability", "1"), "between 0 and 1, not 1"),
        ((*WIDTH, "--futures", "10"), "from 200 to 100,000, not 10"),
        ((*WIDTH, "--set", "guidance=guided"), "random-effects has no moderator 'guidance'"),
        ((*WIDTH, "--model", "guided.yaml", "--set", "guidnce=guided"), "did you mean 'guidance'"),
        ((*WIDTH, "--model", "guided.yaml", "--set", "guidance=guidd"), "did you mean 'guided'"),
        ((*WIDTH, "--model", "guided.yaml", "--set", "guidance"), "write column=value"),
        ((*WIDTH, "--model", "guided.yaml", "--set", "guidance=guided", "--set",
          "guidance=unguided"), "names guidance twice"),
        (("--claim", "new_lower > 0", "--intervals", "use"), "no interval rows (--intervals drop)"),
        ((*WIDTH, "--model", "random-efects"), "did you mean 'random-effects'"),
        ((*WIDTH, "--json", "--csv"), "give one of them"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_and_nothing_is_left(
    run: Run, options: tuple[str, ...], told: str
) -> None:
    code, out, err = run(*options)
    assert (code, out) == (2, "")
    # Refused before anything begins.
    assert "starting" not in err
    assert told in " ".join(err.split())
    assert not run.out.exists()
