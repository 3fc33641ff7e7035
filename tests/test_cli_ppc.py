"""``metarho ppc`` as a user runs it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from metarho import cli

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: [use, drop]}
models: [random-effects, mine]
priors: {default: {}, flat: {mu: "Flat()"}}
"""
CUSTOM = 'custom: mine.py\npriors: {mu: "Normal(mu=0, sigma=0.5)"}\n'
QUICK = ("--intervals", "drop", "--simulations", "100")

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """``metarho ppc`` on a config in a folder of its own: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "which.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "models" / "custom").mkdir(parents=True)
    (tmp_path / "models" / "mine.yaml").write_text(CUSTOM, encoding="utf-8")
    (tmp_path / "models" / "custom" / "mine.py").write_text("", encoding="utf-8")

    def of(*options: str, command: str = "ppc") -> tuple[int, str, str]:
        output = () if command == "check" else ("--output", "out")
        monkeypatch.setattr("sys.argv", ["metarho", command, "which.yaml", *output, *options])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        told = capsys.readouterr()
        return int(stop.value.code or 0), told.out, told.err

    return of


def _rows(name: str) -> list[dict[str, str]]:
    with (Path("out") / "which" / name).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_statistics_and_studies_are_printed_and_left_as_tables_and_figures(run: Run) -> None:
    code, out, _ = run()
    assert code == 0
    assert "k = 28 effects of 19 studies" in out
    assert "note: p is not calibrated: rows that are intervals" in out
    assert [row["check"] for row in _rows("ppc.csv")][-1] == "words"
    studies = _rows("ppc-studies.csv")
    silent = [row for row in studies if row["reported"] == "not significant"]
    assert len(silent) == 11
    assert all(0 < float(row["probability_of_word"]) < 1 for row in silent)
    bits = [float(row["bits"]) for row in studies if row["bits"]]
    assert bits == sorted(bits, reverse=True)
    figures = {path.name for path in (Path("out") / "which" / "figures").iterdir()}
    assert figures == {
        f"{name}.{suffix}" for name in ("ppc", "ppc-studies") for suffix in ("svg", "png", "csv")
    }


def test_calibrated_p_stand_beside_the_plain_ones(run: Run) -> None:
    code, out, _ = run(*QUICK)
    assert code == 0
    assert "by 100 simulated data sets with 2,000 replicates each" in out
    (q, *_) = _rows("ppc.csv")
    assert 0 < float(q["p"]) < 1 and 0 < float(q["p_calibrated"]) < 1
    two_sided = 2 * min(float(q["p"]), 1 - float(q["p"]))
    assert float(q["p_two_sided"]) == pytest.approx(two_sided, rel=1e-9)


def test_json_and_csv_print_what_is_left(run: Run) -> None:
    Path("which.yaml").write_text(CONFIG + "report: none\n", encoding="utf-8")
    code, out, _ = run(*QUICK, "--json")
    found = json.loads(out)
    assert code == 0 and list(found) == ["checks", "studies", "remarks"]
    assert len(found["checks"]) == 8 and len(found["studies"]) == 10
    assert found["remarks"] == ["words: no row printed a word"]
    code, out, _ = run(*QUICK, "--csv")
    assert code == 0
    assert out == (Path("out") / "which" / "ppc.csv").read_text(encoding="utf-8")


def test_two_runs_leave_the_same_bytes(run: Run) -> None:
    left = []
    for _ in range(2):
        run(*QUICK)
        files = sorted((Path("out") / "which").rglob("*.*"))
        left.append([path.read_bytes() for path in files])
    assert left[0] == left[1]


def test_an_improper_prior_costs_the_calibrated_column_only(run: Run) -> None:
    code, out, _ = run("--prior-set", "flat", "--intervals", "drop", "--json")
    found = json.loads(out)
    assert code == 0
    assert all(row["p_calibrated"] is None and row["p"] is not None for row in found["checks"])
    assert any("needs a proper prior on mu" in remark for remark in found["remarks"])


def test_a_report_of_none_leaves_tables_only(run: Run) -> None:
    Path("which.yaml").write_text(CONFIG + "report: none\n", encoding="utf-8")
    assert run(*QUICK)[0] == 0
    assert not (Path("out") / "which" / "figures").exists()


def _file(source: str) -> None:
    Path("mine.py").write_text(source, encoding="utf-8")
    checks = "checks: [{file: mine.py, function: mine}]\n"
    Path("which.yaml").write_text(CONFIG + checks, encoding="utf-8")


REFUSED: dict[str, tuple[str | None, tuple[str, ...], str]] = {
    "two forms": (None, ("--json", "--csv"), "give one of them"),
    "no such model": (None, ("--model", "random"), "has no model 'random'"),
    "a custom model": (None, ("--model", "mine"), "model mine is built by mine.py"),
    "too few": (None, ("--simulations", "5"), "at least 100 data sets"),
    "a file that fails": ("1 / 0\n", (), "mine.py:1: ZeroDivisionError"),
    "a function that fails": (
        "def mine(printed, rows):\n    return printed.sun()\n", (), "mine.py:2: AttributeError",
    ),
    "a function for one set": (
        "def mine(printed, rows):\n    return [printed[0].mean()]\n", (), "array of shape (1,) for",
    ),
    "no function": ("", (), "defines no function mine(printed, rows)"),
}  # fmt: skip


@pytest.mark.parametrize("source, options, said", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_checked_is_refused_before_anything_is_written(
    run: Run, source: str | None, options: tuple[str, ...], said: str
) -> None:
    if source is not None:
        _file(source)
    code, out, told = run(*options)
    assert (code, out) == (2, "")
    assert said in told and "Traceback" not in told and told.count("\n") == 1
    assert not Path("out").exists()


def test_check_does_not_run_the_file_of_a_check(run: Run) -> None:
    _file("open('mark', 'w')\n")
    code, out, _ = run(command="check")
    assert code == 0
    assert "the Python file mine.py will be run by metarho ppc" in out
    assert not Path("mark").exists()


def test_a_function_of_the_wrong_axis_is_told_before_two_rows_are_fitted(run: Run) -> None:
    Path("two.csv").write_text("r,n\n.3,50\n.1,40\n", encoding="utf-8")
    Path("mine.py").write_text("def mine(y, rows):\n    return y.mean(axis=0)\n", encoding="utf-8")
    Path("which.yaml").write_text(
        "studies: {source: ./two.csv, columns: {ri: r, ni: n}}\n"
        "models: [random-effects]\n"
        "checks: [{file: mine.py, function: mine}]\n",
        encoding="utf-8",
    )
    code, out, err = run("--simulations", "0")
    assert (code, out) == (2, "")
    assert "an array of shape (2,) for 3 sets of rows" in err
    assert not Path("out").exists()


def test_a_function_that_fails_on_replicates_alone_is_a_failure_not_bad_input(run: Run) -> None:
    _file(
        "import numpy as np\n\ndef mine(printed, rows):\n"
        "    return np.full(len(printed), np.nan if len(printed) > 100 else 0.0)\n"
    )
    code, out, told = run("--simulations", "0")
    assert (code, out) == (1, "")
    assert "failed on replicates" in told and "mine returned what is not finite" in told
    assert not Path("out/which/ppc.csv").exists()
