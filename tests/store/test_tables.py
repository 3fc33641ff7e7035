"""Tables under keys: what is damaged is never used."""

from __future__ import annotations

from pathlib import Path

from metarho.store.tables import Tables

KEY = "ab" * 32


def test_a_damaged_table_that_cannot_be_set_aside_is_not_there_and_stops_nothing(
    tmp_path: Path,
) -> None:
    heard: list[str] = []
    tables = Tables(tmp_path, heard.append)
    tables.write(KEY, {"x": [1.0]})
    assert tables.read(KEY, ["x"], 1) == {"x": [1.0]}
    path = tmp_path / "ab" / f"{KEY}.json"
    path.write_text("{}", encoding="utf-8")
    # In the way, as a folder that may not be written is.
    path.with_name(f"{path.name}.set-aside").mkdir()
    assert tables.read(KEY, ["x"], 1) is None
    (message,) = heard
    assert message.startswith(f"{path} is of another format, and cannot be set aside (")
