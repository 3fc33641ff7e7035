"""What all tests share: a command line, and hypothesis's examples under ``make test-slow``."""

from pathlib import Path

import pytest
from hypothesis import settings

from command_line import CommandLine

# Twice the default. Hostile cases draw as many times their own number (``hostile.hostile``).
settings.register_profile("thorough", max_examples=200)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """``metarho`` in an empty folder."""
    return CommandLine(monkeypatch, tmp_path, capsys)
