"""What the reporting hides: every row of the table is a fit of its own, and says what it is."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import metarho
from cases import alliance, model
from metarho.batch.plan import Plan, plan
from metarho.batch.reporting import DELTA, OMEGA, Reported, check, readings, reporting
from metarho.cli import app
from metarho.data.reporting import as_tests, at_alpha
from metarho.engines.problem import Reporting, encode
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.report.publish import publish_reporting

# The mean's lower end reaches it on the way to omega = 0.01.
THRESHOLD = 0.12
EVIDENCE = "studies: {source: internet-alliance, where: 'role == \"main\"'"


def _plan(folder: Path, text: str) -> Plan:
    config = folder / "config.yaml"
    config.write_text(text, encoding="utf-8")
    return plan(config, folder / "out")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Reported]:
    folder = tmp_path_factory.mktemp("reporting")
    made = _plan(folder, f"{EVIDENCE}}}\nmodels: [common-effect]\n")
    return made, publish_reporting(made, ["common-effect"], ["default"], THRESHOLD)


def test_each_reading_is_a_fit_of_its_evidence(found: tuple[Plan, Reported]) -> None:
    rows = {(row["assumption"], row["setting"]): row for row in found[1].rows}
    truth = {
        ("as printed", "intervals used"): alliance(),
        ("intervals", "dropped"): alliance("drop"),
        ("alpha", "0.01"): at_alpha(alliance(), 0.01),
        ("tests", "3"): as_tests(alliance(), 3),
    }
    for name, studies in truth.items():
        fit = metarho.fit(model("common-effect"), studies)
        pooled = fit.derived["rho_median"]
        seen = rows[name]
        assert [seen["median"], seen["lower"], seen["upper"]] == [
            pooled.median, pooled.lower, pooled.upper,
        ]  # fmt: skip
        assert seen["rho_mean"] == fit.derived["rho_mean"].mean
    # The words' own level, and one test each, are what was printed.
    for same in (("alpha", "0.05"), ("tests", "1")):
        assert rows[same]["median"] == rows["as printed", "intervals used"]["median"]
    assert rows["statistic", "zero-order correlations only"]["k_effects"] == 10


def test_the_table_and_its_picture_are_written(found: tuple[Plan, Reported]) -> None:
    made, reported = found
    with (made.folder / "reporting.csv").open(encoding="utf-8") as lines:
        assert [row["setting"] for row in csv.DictReader(lines)] == [
            row["setting"] for row in reported.rows
        ]
    assert (made.folder / "figures" / "reporting.png").stat().st_size > 10_000
    picture = (made.folder / "figures" / "reporting.svg").read_text(encoding="utf-8")
    assert "zero-order correlations only" in picture


def test_tipping_points_refitted_sit_on_the_threshold(found: tuple[Plan, Reported]) -> None:
    made, reported = found
    (omega,) = [tip for tip in reported.tipping if tip["parameter"] == "omega"]
    assert isinstance(omega["at"], float) and 0.01 < omega["at"] < 1
    studies = made.studies["use"]
    problem = encode(model("common-effect"), studies)
    problem = replace(problem, reporting=Reporting(omega=omega["at"]))
    (fit,) = fit_many([problem], Settings())
    assert fit.pooled.lower == pytest.approx(THRESHOLD, abs=1e-6)
    assert f"reaches {THRESHOLD:g} at omega = " in str(omega["sentence"])
    deltas = [tip for tip in reported.tipping if tip["parameter"] == "delta"]
    # Both ways: one of them never gets there.
    assert [tip["towards"] for tip in deltas] == [-4.0, 4.0]
    for tip in deltas:
        assert (tip["at"] is None) == ("stays above" in str(tip["sentence"]))
    assert deltas[0]["at"] is None


def test_of_several_crossings_the_first_on_the_way_is_given(
    found: tuple[Plan, Reported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(*asked: object) -> list[tuple[float, float, bool]]:
        return [(math.log(0.05), 0.1, True), (math.log(0.4), 0.1, False)]

    monkeypatch.setattr("metarho.batch.reporting.crossings", two)
    made, _ = found
    again = reporting(
        made, ["common-effect"], ["default"], 0.1, lambda event, problem: None, lambda message: None
    )
    tip = next(row for row in again.tipping if row["parameter"] == "omega")
    assert tip["at"] == pytest.approx(0.4)
    assert "it crosses 2 times" in str(tip["sentence"])


def test_informative_reporting_is_a_fit_of_its_law(found: tuple[Plan, Reported]) -> None:
    made, reported = found
    rows = {(row["assumption"], row["setting"]): row for row in reported.rows}
    laws = {
        (OMEGA, "omega = 0.2"): Reporting(omega=0.2),
        (DELTA, "delta = -2"): Reporting(delta=-2.0),
    }
    problem = encode(model("common-effect"), made.studies["use"])
    for name, law in laws.items():
        (fit,) = fit_many([replace(problem, reporting=law)], Settings())
        assert rows[name]["median"] == fit.pooled.median
    # Without not significant words there is no number that was not printed.
    assert {reading.assumption for reading in readings(alliance("drop"))[0]} >= {OMEGA}
    assert DELTA not in {reading.assumption for reading in readings(alliance("drop"))[0]}


def test_what_informative_reporting_does_not_go_with_is_a_remark(tmp_path: Path) -> None:
    roles = "ri: r, ni: n, study: study, effect: effect, reported: reported, tests: tests"
    text = f"{EVIDENCE}, columns: {{{roles}, ri_low: r_low, ri_high: r_high}}}}\n"
    made = _plan(tmp_path, text + "models: [common-effect]\nreport: none\n")
    found = publish_reporting(made, ["common-effect"], ["default"])
    reason = "informative reporting does not go with words that sum up several tests"
    assert sum(reason in one for one in found.remarks) == 1
    assert not found.tipping
    assert OMEGA not in {row["assumption"] for row in found.rows}


def test_evidence_without_words_has_nothing_to_vary() -> None:
    numbers = alliance("drop")
    read, remarks = readings(replace(numbers, rows=numbers.used))
    assert [reading.assumption for reading in read] == [
        "as printed", "statistic", *[OMEGA] * 6,
    ]  # fmt: skip
    assert any("no interval rows" in remark for remark in remarks)
    assert any("no row printed a word" in remark for remark in remarks)


def test_a_reading_that_leaves_no_row_is_a_remark() -> None:
    words = replace(alliance(), rows=tuple(row for row in alliance().used if row.is_interval))
    read, remarks = readings(words)
    assert "intervals" not in {reading.assumption for reading in read}
    assert any("no row is left when interval rows are dropped" in remark for remark in remarks)


def test_a_config_that_drops_intervals_and_unknown_names_are_refused(tmp_path: Path) -> None:
    drops = _plan(tmp_path, f"{EVIDENCE}, intervals: drop}}\nmodels: [common-effect]\n")
    with pytest.raises(InputError, match="the config drops them"):
        check(drops, ["common-effect"], ["default"], 0.0)
    uses = _plan(tmp_path, f"{EVIDENCE}}}\nmodels: [common-effect]\n")
    for models, priors in ((["comon-effect"], ["default"]), (["common-effect"], ["defualt"])):
        with pytest.raises(InputError, match=r"the analysis has no .*did you mean"):
            check(uses, models, priors, 0.0)


@pytest.mark.parametrize("threshold", [math.nan, math.inf, 1.0, -5.0])
def test_a_threshold_that_no_interval_could_reach_is_refused(
    tmp_path: Path, threshold: float
) -> None:
    config = _plan(tmp_path, f"{EVIDENCE}}}\nmodels: [common-effect]\n")
    with pytest.raises(InputError, match="--threshold is a correlation between -1 and 1"):
        check(config, ["common-effect"], ["default"], threshold)


def test_what_rests_on_the_threshold_is_not_said_to_be_below_it(tmp_path: Path) -> None:
    config = _plan(
        tmp_path,
        f"{EVIDENCE}}}\nmodels: [common-effect]\npriors:\n  none: {{mu: DiracDelta(c=0)}}\n",
    )
    found = publish_reporting(config, ["common-effect"], ["none"], 0.0)
    assert found.tipping
    for tip in found.tipping:
        assert "stays at or below 0 all the way" in str(tip["sentence"])


def test_the_command_prints_a_table_json_or_csv(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"{EVIDENCE}}}\nmodels: [common-effect]\nreport: none\n", encoding="utf-8")
    arguments = ["reporting", str(config), "--output", str(tmp_path / "out")]
    run = CliRunner().invoke(app, [*arguments, "--json"])
    rows = json.loads(run.stdout)
    assert {"model", "prior", "assumption", "setting", "lower", "status"} < set(rows[0])
    table = CliRunner().invoke(app, arguments).stdout
    assert "zero-order correlations only" in table
    assert CliRunner().invoke(app, [*arguments, "--csv"]).stdout.startswith("model,prior,")
    both = CliRunner().invoke(app, [*arguments, "--csv", "--json"])
    assert isinstance(both.exception, InputError)
    assert not (tmp_path / "out" / "config" / "figures").exists()
