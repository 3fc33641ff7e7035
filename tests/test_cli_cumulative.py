"""``metarho cumulative`` as a user runs it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cases import alliance, problem
from command_line import CommandLine, rows_in
from metarho.engines import exact

CONFIG = """\
studies:
  source: internet-alliance
  where: role == "main" and (year < 2014 or year == 2022)
  intervals: [use, drop]
models: [random-effects, common-effect, mixture, selection]
priors:
  wide: {}
  sceptical $x$ & <b>: {mu: "Normal(mu=0, sigma=0.15)"}
  flat: {mu: "Flat()"}
  shrinkage: {mu: "Flat()", tau: "UniformShrinkage()"}
reference: wide
"""
WHERE = 'role == "main" and (year < 2014 or year == 2022)'


class Run(CommandLine):
    """``metarho cumulative`` in a folder of its own."""

    @property
    def out(self) -> Path:
        return self.folder / "out" / "order"

    def __call__(self, *options: str) -> tuple[int, str, str]:
        return self.run("cumulative", "order.yaml", "--output", "out", *options)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "order.yaml").write_text(CONFIG, encoding="utf-8")
    return Run(monkeypatch, tmp_path, capsys)


def test_a_record_is_printed_and_left_as_tables_and_a_figure(run: Run) -> None:
    code, out, _ = run("--by", "year", "--prior-set", "sceptical $x$ & <b>")
    assert code == 0
    text = " ".join(out.split())
    assert "k = 11 effects of 7 studies, in order of year; sceptical $x$ & <b>: mu ~" in text
    assert "numbers lay within their 95% prediction intervals" in text
    years, record, summary = (
        rows_in(run.out / name) for name in ("cumulative.csv", "record.csv", "record-summary.csv")
    )
    assert [row["at"] for row in years] == ["", "2006", "2011", "2012", "2013", "2022"]
    assert [row["at"] for row in record] == sorted(row["at"] for row in record)
    encoded = problem(alliance(where=WHERE), mu="Normal(mu=0, sigma=0.15)")
    evidence = exact.integrate(encoded).log_evidence
    # A table has ten digits.
    scores = [float(row["log_score"]) for row in years[1:]]
    assert math.fsum(scores) == pytest.approx(evidence, abs=1e-8)
    assert float(years[-1]["log_evidence"]) == pytest.approx(evidence, abs=1e-8)
    assert float(summary[0]["elpd_by_years"]) == pytest.approx(evidence, abs=1e-8)
    by_study = {row["study"]: float(row["log_score_study"]) for row in record}
    assert float(summary[0]["elpd"]) == pytest.approx(math.fsum(by_study.values()), abs=1e-7)
    for row in record:
        if row["reported"] == "exact":
            inside = float(row["lower"]) <= float(row["printed"]) <= float(row["upper"])
            assert row["held"] == ("yes" if inside else "no")
            assert row["p_printed"] == ""
        else:
            assert row["held"] == "" and 0 < float(row["p_printed"]) < 1
            chance = math.exp(float(row["log_score"]))
            assert float(row["p_printed"]) == pytest.approx(chance, rel=1e-8)
        if row["reported"] == "not significant":
            assert row["p_printed"] == row["p_not_significant"]
        assert 0 < float(row["pit"]) < 1
    assert {path.name for path in (run.out / "figures").iterdir()} == {
        "cumulative.svg", "cumulative.png", "cumulative.csv",
    }  # fmt: skip
    svg = (run.out / "figures" / "cumulative.svg").read_text(encoding="utf-8")
    assert "Predicted before its year, and what came" in svg
    assert "Preschl 2011 · PR11-2" in svg


def test_json_and_csv_print_the_rows_that_are_left(run: Run) -> None:
    options = ("--by", "year", "--intervals", "drop")
    code, out, _ = run(*options, "--json")
    found = json.loads(out)
    assert code == 0 and set(found) == {"summary", "years", "record"}
    assert [row["forecaster"] for row in found["summary"]] == ["model", "prior"]
    assert found["summary"][0]["numbers"] == 6 and found["years"][0]["at"] is None
    code, out, _ = run(*options, "--csv")
    assert code == 0
    assert out == (run.out / "record.csv").read_text(encoding="utf-8")


def test_two_runs_leave_the_same_bytes_with_the_store_and_without(run: Run) -> None:
    left = []
    for _ in range(2):
        run("--by", "year", "--model", "common-effect")
        left.append([path.read_bytes() for path in sorted(run.out.rglob("*.*"))])
    assert left[0] == left[1]


def test_what_no_proper_posterior_predicted_is_said(run: Run) -> None:
    code, out, _ = run("--by", "year", "--prior-set", "flat", "--intervals", "drop")
    assert code == 0
    assert "note: not predicted: before the first study there is only the prior" in out
    rows = rows_in(run.out / "record.csv")
    assert rows[0]["median"] == "" and "mu ~ Flat() is improper" in rows[0]["reason"]
    assert rows[-1]["median"] != "" and rows[-1]["crps_prior"] == ""
    assert rows_in(run.out / "cumulative.csv")[0]["status"] == "no proper posterior"
    assert rows_in(run.out / "record-summary.csv")[1]["elpd"] == ""


def test_the_order_may_be_any_column_of_numbers(run: Run) -> None:
    table = "study,r,people,wave\na,0.3,40,2\nb,0.1,60,1.5\nc,0.2,50,2\n"
    Path("own.csv").write_text(table, encoding="utf-8")
    config = """\
studies: {source: ./own.csv, columns: {ri: r, ni: people, study: study}}
models: [random-effects]
report: none
"""
    Path("order.yaml").write_text(config, encoding="utf-8")
    code, out, _ = run("--by", "wave")
    assert code == 0 and "in order of wave" in out
    assert [(row["at"], row["study"]) for row in rows_in(run.out / "record.csv")] == [
        ("1.5", "b"), ("2", "a"), ("2", "c"),
    ]  # fmt: skip
    assert not (run.out / "figures").exists()


def test_help_is_text_and_writes_nothing(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0 and "Usage: " in out and "--by" in out
    assert not run.out.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "--by"),
        (("--by", "yaer"), "did you mean 'year'"),
        (("--by", "guidance"), "guidance is 'guided'; studies are put in its order"),
        (("--by", "r"), "r is blank"),
        (("--by", "n"), "n is 125 and 98 in rows of 'Problem-solving trial 2022'"),
        (("--by", "year", "--model", "mixture"), "model mixture is sampled here"),
        (("--by", "year", "--model", "selection", "--intervals", "drop"), "without selection"),
        (("--by", "year", "--prior-set", "shrinkage"), "made from the standard errors"),
        (("--by", "year", "--model", "random-efects"), "did you mean 'random-effects'"),
        (("--by", "year", "--json", "--csv"), "give one of them"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_is_left(
    run: Run, options: tuple[str, ...], told: str
) -> None:
    code, out, err = run(*options)
    assert (code, out) == (2, "")
    assert "starting" not in err
    assert told in " ".join(err.split())
    assert not run.out.exists() and not run.out.parent.exists()
