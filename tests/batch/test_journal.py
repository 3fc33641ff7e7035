"""The journal of a run."""

from __future__ import annotations

import json
from pathlib import Path

from metarho.batch.compute import Done
from metarho.batch.journal import NAME, Journal


def test_two_runs_of_one_config_leave_whole_lines_and_begin_anew(tmp_path: Path) -> None:
    cells = {"k1": [{"model": "a"}], "k2": [{"model": "b"}, {"model": "c"}]}
    (tmp_path / NAME).write_text("of an earlier run", encoding="utf-8")
    with Journal(tmp_path, cells) as one:
        one.write(Done("k1", 1.0), "computed")
        with Journal(tmp_path, cells) as other:
            other.write(Done("k2", 1.0, failure="no"), "computed")
            one.write(Done("k2", 1.0), "store")
            other.write(Done("k1", 1.0), "store")
    lines = [json.loads(line) for line in (tmp_path / NAME).read_text("utf-8").splitlines()]
    found = [(line["key"], line["model"], line["status"]) for line in lines]
    failed, kept = ([("k2", "b", status), ("k2", "c", status)] for status in ("failed", "ok"))
    assert found == [*failed, *kept, ("k1", "a", "ok")]
