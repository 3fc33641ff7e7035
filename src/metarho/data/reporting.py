"""The same evidence under another reading of what it printed in place of correlations."""

from __future__ import annotations

from dataclasses import replace

from metarho.data import effect_sizes
from metarho.data.studies import Row, Studies
from metarho.errors import InputError


def is_word(row: Row) -> bool:
    """Whether a row that counts printed a word on significance."""
    return row.included and row.is_interval and row.reported in effect_sizes.WORDS


def at_alpha(studies: Studies, alpha: float) -> Studies:
    """Every test of the evidence at this two-sided level, whatever its own."""

    def moved(row: Row) -> Row:
        row = replace(row, alpha=alpha)
        if not is_word(row):
            return row
        assert row.ni is not None
        low, high = effect_sizes.word_interval(row.reported, row.ni, alpha)
        lower, upper = effect_sizes.to_z(low), effect_sizes.to_z(high)
        return replace(row, ri_low=low, ri_high=high, lower=lower, upper=upper)

    return replace(studies, rows=tuple(moved(row) for row in studies.rows))


def as_tests(studies: Studies, tests: int) -> Studies:
    """Every word as if it summed up so many tests."""
    rows = tuple(replace(row, tests=tests) if is_word(row) else row for row in studies.rows)
    return replace(studies, rows=rows)


def zero_order(studies: Studies) -> Studies:
    """The rows about zero-order correlations. Raises InputError if no row is left."""
    rows = tuple(
        row
        if row.is_zero_order or not row.included
        else replace(row, included=False, reason=f"statistic: {row.statistic}")
        for row in studies.rows
    )
    if not any(row.included for row in rows):
        raise InputError(
            "no row is left of zero-order correlations (statistic: correlation)",
            place=studies.table.source,
        )
    return replace(studies, rows=rows)
