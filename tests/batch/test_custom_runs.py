"""Analyses with custom models: when their files run, what is kept, what a report says."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from cases import molloy
from custom_cases import BARE, PRIORS, custom, write_custom
from metarho import cli
from metarho.batch.describe import describe
from metarho.batch.plan import plan
from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import encode
from metarho.errors import FitError, InputError
from metarho.report.publish import publish
from metarho.spec.analysis import Sampler
from metarho.store.keys import key_of

MOLLOY = (Path(__file__).parent.parent / "references" / "molloy2014.csv").resolve()
CONFIG = """\
studies: {{source: {source}, columns: {{ri: ri, ni: ni}}}}
models: [{models}]
{more}
new_studies: [{{label: a trial, ni: 80}}]
sampler: {{chains: 2, draws: 400, tune: 300}}
"""


def write_config(folder: Path, models: str = "mine", more: str = "") -> Path:
    (folder / "configs").mkdir(exist_ok=True)
    path = folder / "configs" / "c.yaml"
    path.write_text(CONFIG.format(source=MOLLOY, models=models, more=more), "utf-8")
    return path


def marking(folder: Path, source: str = BARE) -> str:
    """A file that leaves a line behind whenever it runs."""
    opened = f"with open({str(folder / 'marker')!r}, 'a') as stream:"
    return f"{opened}\n    stream.write('ran\\n')\n{source}"


def times_run(folder: Path) -> int:
    marker = folder / "marker"
    return len(marker.read_text().splitlines()) if marker.exists() else 0


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose analysis was checked and run."""
    folder = tmp_path_factory.mktemp("custom")
    write_custom(folder, marking(folder))
    planned = plan(write_config(folder), folder / "out")
    describe(planned)
    assert times_run(folder) == 0
    publish(planned)
    return folder


def test_check_says_which_file_will_run_and_does_not_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_custom(tmp_path, marking(tmp_path))
    monkeypatch.setattr("sys.argv", ["metarho", "check", str(write_config(tmp_path))])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    file = tmp_path / "models" / "custom" / "mine.py"
    said = capsys.readouterr().out
    assert "custom model mine.py" in said
    assert f"the Python file {file} will be run when fitting starts" in said
    assert times_run(tmp_path) == 0


def test_a_file_that_is_not_there_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_custom(tmp_path, None)
    config = str(write_config(tmp_path))
    monkeypatch.setattr("sys.argv", ["metarho", "run", config, "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    printed = capsys.readouterr()
    assert (stop.value.code, printed.out) == (2, "")
    assert "mine.yaml:1: custom: there is no file" in printed.err
    assert not (tmp_path / "out").exists()


def test_the_exact_engine_refuses_a_file_by_name(tmp_path: Path) -> None:
    write_custom(tmp_path, marking(tmp_path))
    with pytest.raises(
        InputError, match=r"engine exact: .* cannot integrate custom model mine\.py"
    ):
        plan(write_config(tmp_path, more="engine: exact"))
    assert times_run(tmp_path) == 0


def test_a_prior_set_with_a_name_that_no_model_has_is_named_with_its_line(tmp_path: Path) -> None:
    write_custom(tmp_path, BARE)
    config = write_config(tmp_path, more="priors: {default: {phi: HalfNormal(sigma=1)}}")
    with pytest.raises(InputError, match=r"c\.yaml:3: no model .* a parameter 'phi'; allowed: mu"):
        plan(config)


def test_a_run_runs_the_file_once_and_a_second_run_not_at_all(ran: Path) -> None:
    assert times_run(ran) == 1
    publish(plan(ran / "configs" / "c.yaml", ran / "out"))
    assert times_run(ran) == 1


def test_tables_leave_blank_what_the_file_does_not_tell(ran: Path) -> None:
    with (ran / "out" / "c" / "summary.csv").open() as stream:
        rows = {row["quantity"]: row for row in csv.DictReader(stream)}
    assert set(rows) >= {"mu", "tau", "rho_median", "log_evidence", "P(rho_median > 0.1)"}
    assert rows["mu"]["median"] and rows["rho_median"]["median"] and rows["log_evidence"]["mean"]
    assert (rows["mu"]["scale"], rows["tau"]["scale"]) == ("z", "z")
    assert {rows[name]["median"] for name in ("theta_new", "rho_new", "I2", "H2")} == {""}
    with (ran / "out" / "c" / "predictions.csv").open() as stream:
        assert [row["quantity"] for row in csv.DictReader(stream)] == ["mean"]


def test_the_report_says_what_there_is_not(ran: Path) -> None:
    page = (ran / "out" / "c" / "report.html").read_text("utf-8")
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert "Of a new study's true correlation the model says nothing." in words
    assert "custom model mine.py" in words
    assert "mine.py is Python code" in words
    assert "new study not available" in page
    assert "true effect, by the model" not in page


def test_the_text_of_the_file_is_kept_with_the_results(ran: Path) -> None:
    resolved = (ran / "out" / "c" / "config.resolved.yaml").read_text("utf-8")
    assert "name: mine.py" in resolved
    assert "pm.Potential" in resolved


def test_a_file_that_fails_ends_its_own_fit_after_the_others_are_kept(tmp_path: Path) -> None:
    write_custom(tmp_path, "def build(studies, priors):\n    return 1 / 0\n", name="broken")
    write_custom(tmp_path, "import sys\nsys.exit(0)\n", name="leaving")
    planned = plan(
        write_config(tmp_path, "broken, leaving, random-effects, common-effect"), tmp_path / "out"
    )
    with pytest.raises(FitError) as caught:
        publish(planned)
    said = str(caught.value).splitlines()
    assert [line.split("custom/")[1] for line in said] == [
        "broken.py:2: ZeroDivisionError: division by zero",
        "leaving.py:2: SystemExit: 0",
    ]
    assert len(list((tmp_path / "out" / "store").rglob("*.nc"))) == 2
    assert not (tmp_path / "out" / "c").exists()


def test_a_failed_file_is_exit_code_1_and_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_custom(tmp_path, "raise KeyError('no \\x1b[31m such')\n")
    config = str(write_config(tmp_path))
    monkeypatch.setattr("sys.argv", ["metarho", "run", config, "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert "mine.py:1: KeyError: 'no" in capsys.readouterr().err


def key(folder: Path, source: str = BARE, studies: Studies | None = None) -> str:
    problem = encode(custom(folder, source, PRIORS), studies or molloy())
    return key_of(problem, "nuts", Sampler())


def test_the_key_of_a_fit_holds_the_text_of_the_file_and_not_its_place(tmp_path: Path) -> None:
    first = key(tmp_path)
    assert key(tmp_path / "elsewhere") == first
    assert key(tmp_path, BARE + "# edited\n") != first


def test_the_key_of_a_fit_holds_every_column_that_the_file_may_read(tmp_path: Path) -> None:
    header, *rows = MOLLOY.read_text("utf-8").splitlines()
    columns = {"ri": "ri", "ni": "ni", "study": "authors", "effect": "ni"}
    keys = []
    for name, lines in (
        ("as it is", rows),
        ("in another order", rows[::-1]),
        ("with a changed year", [rows[0].replace("2009", "2010", 1), *rows[1:]]),
    ):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join([header, *lines]), "utf-8")
        studies = load_studies(path, columns=columns)
        keys.append(key(tmp_path, BARE, studies))
    assert keys[0] == keys[1] != keys[2]
