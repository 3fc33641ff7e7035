"""Checks as a config writes them: forms, faults with their lines, files that stay put."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarho.batch.describe import describe
from metarho.batch.plan import plan
from metarho.errors import InputError
from metarho.spec.analysis import Analysis, read_analysis
from metarho.spec.checks import DEFAULT, STATISTICS, Check

BARE = "studies: {source: internet-alliance}\nmodels: [random-effects]\n"


def _written(folder: Path, checks: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(f"{BARE}checks:\n{checks}", encoding="utf-8")
    return path


def _read(folder: Path, checks: str) -> Analysis:
    return read_analysis(_written(folder, checks))[0]


def _refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        plan(path)
    return str(caught.value)


def test_a_check_is_a_name_a_statistic_by_level_or_a_function(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        "  - q\n  - {statistic: spread, by: guidance}\n"
        "  - {file: my_checks.py, function: kurtosis}\n",
    )
    assert found.checks == (
        Check(statistic="q"),
        Check(statistic="spread", by="guidance"),
        Check(file="my_checks.py", function="kurtosis"),
    )
    assert [check.name for check in found.checks] == ["q", "spread", "kurtosis"]


def test_by_default_all_named_statistics_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "bare.yaml"
    path.write_text(BARE, encoding="utf-8")
    assert read_analysis(path)[0].checks == ()
    assert [check.name for check in DEFAULT] == list(STATISTICS)


FAULTS = {
    "no statistic": ("  - skew\n  - sprea\n", ":5: checks.1: no statistic 'sprea'; allowed: "),
    "an unknown key": ("  - {statistic: q, bye: x}\n", ":4: unknown key 'bye'; allowed: by, file"),
    "both": ("  - {statistic: q, file: a.py}\n", ":4: checks.0: a check has a statistic, or"),
    "neither": ("  - {by: guidance}\n", ":4: checks.0: a check has a statistic, or"),
    "no function": ("  - {file: a.py}\n", ":4: checks.0: a check from a file names the file and"),
    "no file": ("  - {function: a}\n", ":4: checks.0: a check from a file names the file and"),
    "a way out": ("  - {file: ../a.py, function: a}\n", ":4: checks.0: file is a Python file in"),
    "an absolute path": ("  - {file: /a.py, function: a}\n", ":4: checks.0: file is a Python file"),
    "no Python": ("  - {file: a.txt, function: a}\n", ":4: checks.0: file is a Python file in the"),
    "no name": ("  - {file: a.py, function: a.b}\n", ":4: checks.0: function is the name of a"),
    "a name that is taken": ("  - {file: a.py, function: q}\n", ":4: checks.0: q is a named stat"),
    "a number": ("  - 3\n", ":4: checks.0: 3 "),
    "twice": ("  - q\n  - q\n", ":3: checks: a check is named twice"),
    "no column": (
        "  - {statistic: q, by: guidence}\n",
        ":4: check q: the evidence has no column 'guidence'; allowed: ",
    ),
    "a file that is not there": (
        "  - {file: a.py, function: a}\n", ":4: checks: there is no file ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("checks, said", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_its_line(tmp_path: Path, checks: str, said: str) -> None:
    path = _written(tmp_path, checks)
    assert _refusal(path).startswith(f"{path}{said}")


def test_a_near_name_is_proposed(tmp_path: Path) -> None:
    assert "did you mean 'guidance'?" in _refusal(
        _written(tmp_path, "  - {statistic: q, by: guidence}\n")
    )


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text("def a(printed, rows): ...\n", encoding="utf-8")
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "a.py").symlink_to(tmp_path / "elsewhere.py")
    assert "is a link to" in _refusal(_written(folder, "  - {file: a.py, function: a}\n"))


def test_planning_names_a_file_and_does_not_run_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    mark = tmp_path / "mark"
    source = f"open({str(mark)!r}, 'w')\n"
    (tmp_path / "deep" / "a.py").write_text(source, encoding="utf-8")
    made = plan(_written(tmp_path, "  - {file: deep/a.py, function: a}\n"))
    said = "check a: the Python file deep/a.py will be run by metarho ppc"
    assert said in describe(made)
    assert not mark.exists()
