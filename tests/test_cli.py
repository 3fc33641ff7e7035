"""The command line where all is well, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

from metarho import cli
from metarho.fitting.verdict import Verdict

DATA = str(Path(__file__).parent / "references" / "molloy2014.csv")
FIT = ["fit", DATA, "--columns", "ri=ri,ni=ni"]

type Main = Callable[..., int]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Main:
    """Run the command line in an empty folder; returns its exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["metarho", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0)

    return call


def test_json_is_one_object_with_the_promised_keys(
    main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(*FIT, "--engine", "exact", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) >= {
        "status", "engine", "reason", "notes", "k_effects", "k_studies", "measure", "scale",
        "interval", "parameters", "derived", "new_study", "quantities", "log_evidence", "quad_err",
        "agreement", "diagnostics",
    }  # fmt: skip
    assert found["interval"] == {"prob": 0.95, "kind": "eti"}
    assert set(found["parameters"]) == {"mu", "tau"}
    assert set(found["derived"]) == {"rho_median", "rho_mean", "I2", "H2"}
    assert set(found["new_study"]) == {"theta", "rho"}
    assert set(found["parameters"]["mu"]) == {"mean", "sd", "median", "lower", "upper"}
    assert found["agreement"] is None and found["diagnostics"] is None


def test_the_issue_s_command_line_works_with_all_its_options(
    main: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = main(
        *FIT, "--measure", "ZCOR", "--model", "random-effects", "--mods", "~ center(year)",
        "--prior", "mu=Normal(mu=0, sigma=1)", "--prior", "tau=HalfNormal(sigma=0.5)",
        "--prior", "beta[center(year)]=Normal(mu=0, sigma=0.1)", "--engine", "exact",
        "--intervals", "drop", "--where", 'design == "prospective" and year > 1996',
        "--seed", "1", "--save", "fit.nc",
    )  # fmt: skip
    assert code == 0
    out = capsys.readouterr().out
    assert "prior: beta[center(year)] ~ Normal(mu=0, sigma=0.1)" in out
    assert "beta[center(year)]" in out
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        assert list(tree["posterior"]["coef"].to_numpy()) == ["center(year)"]


def test_without_save_a_fit_writes_nothing(main: Main, tmp_path: Path) -> None:
    assert main(*FIT) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_level_sd_takes_the_prior_that_a_set_gives_to_tau(
    main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("check", "internet-alliance") == 0
    assert "tau ~ HalfNormal(sigma=0.15) *; share ~ Beta(alpha=1, beta=1) *" in (
        capsys.readouterr().out
    )


def test_checking_prints_the_plan_and_writes_nothing(
    main: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main("check", "internet-alliance") == 0
    out = capsys.readouterr().out
    assert "28 effects from 19 studies" in out
    assert "about the reference row: guidance guided, rater client" in out
    assert "18 fits" in out
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_reportable_is_printed_and_exits_with_three(
    main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Verdict("not reportable", ("because of a test",))
    monkeypatch.setattr("metarho.fitting.judge", lambda *arguments: bad)
    assert main(*FIT) == 3
    assert "because of a test" in capsys.readouterr().out


def test_an_interrupt_exits_with_130(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("metarho.api.fit_many", interrupted)
    assert main(*FIT) == 130


def test_an_output_that_cannot_be_written_exits_with_one(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(
        "studies: {source: internet-alliance}\nmodels: [common-effect]\n"
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "small").write_text("a file stands where the folder should be")
    assert main("run", "small.yaml", "--output", "out") == 1
    said = capsys.readouterr().err
    assert "out" in said and "Traceback" not in said


def test_a_run_prints_the_headline_table(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(
        'studies: {source: internet-alliance, where: role == "main", intervals: drop}\n'
        "models: [random-effects]\n"
    )
    assert main("run", "small.yaml", "--output", "out") == 0
    captured = capsys.readouterr()
    assert "0.281  [0.198, 0.378]" in captured.out
    assert str(tmp_path / "out") not in captured.err
    assert (tmp_path / "out" / "small" / "report.html").is_file()
