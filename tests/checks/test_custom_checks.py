"""Statistics from a file: run when they are asked for, and blamed by file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from metarho.checks.custom import function_of
from metarho.checks.discrepancies import Rows
from metarho.errors import InputError
from metarho.spec.checks import read_check_file

ROWS = Rows(np.full(3, 0.01), np.full(3, 50.0), np.full(3, 0.3), np.array([False, False, True]))
PRINTED = np.array([[0.1, 0.2, 0.0], [0.3, -0.2, 1.0]])


def _of(folder: Path, source: str, name: str = "mine") -> NDArray[np.float64]:
    (folder / "my_checks.py").write_text(source, encoding="utf-8")
    return function_of(read_check_file("my_checks.py", folder), name)(PRINTED, ROWS)


def test_a_function_gets_what_is_printed_and_what_is_known_of_rows(tmp_path: Path) -> None:
    source = """\
import numpy as np

HALF = 0.5


def mine(printed, rows):
    assert rows.kinds == ("exact", "exact", "word")
    return HALF * printed[:, ~rows.is_word].sum(axis=1) + rows.n[0] + (printed[:, 2] == 1)
"""
    assert _of(tmp_path, source) == pytest.approx([50.15, 51.05])


def test_what_a_function_does_to_its_rows_stays_with_it(tmp_path: Path) -> None:
    before = PRINTED.copy()
    _of(tmp_path, "def mine(printed, rows):\n    printed[:] = 0\n    return printed[:, 0]\n")
    assert (before == PRINTED).all()


FAULTS = {
    "no such function": ("def other(printed, rows): ...\n", "defines no function mine("),
    "an error in the file": ("x = 1\ny = x / 0\n", ":2: ZeroDivisionError: division by zero"),
    "an error in the function": (
        "def mine(printed, rows):\n    return rows.weight\n",
        ":2: AttributeError: 'Rows' object has no attribute 'weight'",
    ),
    "no Python": ("def mine(:\n", ":1: SyntaxError: invalid syntax"),
    "one that leaves": ("raise SystemExit(3)\n", ":1: SystemExit: 3"),
    "another shape": (
        "def mine(printed, rows):\n    return printed\n",
        "returned an array of shape (2, 3) for 2 sets of rows",
    ),
    "one number": ("def mine(printed, rows):\n    return 1.0\n", "array of shape ()"),
    "no number": (
        "def mine(printed, rows):\n    return printed[:, 0] * float('nan')\n",
        "returned what is not finite",
    ),
    "complex numbers": (
        "def mine(printed, rows):\n    return printed[:, 0] * 1j\n",
        "mine returned complex numbers",
    ),
    "one that stops all": (
        "def mine(printed, rows):\n    raise GeneratorExit('now')\n",
        ":2: GeneratorExit: now",
    ),
    "words": ("def mine(printed, rows):\n    return ['a', 'b']\n", "ValueError"),
}  # fmt: skip


@pytest.mark.parametrize("source, said", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_file_is_named_with_file_and_line(
    tmp_path: Path, source: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        _of(tmp_path, source)
    assert str(caught.value).startswith(str(tmp_path / "my_checks.py"))
    assert said in str(caught.value)


def test_what_a_file_prints_is_not_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (
        "print('once')\ndef mine(printed, rows):\n    print('twice')\n    return printed[:, 0]\n"
    )
    _of(tmp_path, source)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "once\ntwice\n")
