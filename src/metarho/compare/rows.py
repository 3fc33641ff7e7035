"""Rows of tables of results: column -> value, None where there is nothing."""

from __future__ import annotations

from collections.abc import Mapping

type Value = str | float | int | None
type Row = Mapping[str, Value]
