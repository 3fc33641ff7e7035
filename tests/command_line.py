"""The command line in a folder of its own."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from metarho import cli


class CommandLine:
    """Runs ``metarho`` in ``folder``: exit code, standard output and standard error."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(folder)
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.folder = folder

    def run(self, *words: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr("sys.argv", ["metarho", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        told = self._capsys.readouterr()
        return int(stop.value.code or 0), told.out, told.err


def rows_in(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
