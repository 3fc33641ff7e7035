"""The evidence under other readings: only what the reading is about changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cases import alliance, molloy
from metarho.data.effect_sizes import to_z, word_interval
from metarho.data.reporting import as_tests, at_alpha, is_word, zero_order
from metarho.data.studies import load_studies
from metarho.errors import InputError


def test_another_alpha_is_what_reading_the_file_at_that_alpha_gives() -> None:
    read = load_studies("internet-alliance", where='role == "main"', alpha=0.01)
    moved = at_alpha(alliance(), 0.01)
    assert moved.used == read.used
    assert any(is_word(row) for row in moved.used)
    assert at_alpha(moved, 0.05).used == alliance().used


def test_ranges_and_numbers_keep_their_ends_and_tests() -> None:
    for studies in (at_alpha(alliance(), 0.2), as_tests(alliance(), 4)):
        for before, after in zip(alliance().used, studies.used, strict=True):
            if is_word(before):
                low, high = word_interval(before.reported, before.ni or 4, after.alpha)
                assert (after.lower, after.upper) == (to_z(low), to_z(high))
            else:
                assert after.tests == 1
                assert replace(after, alpha=before.alpha) == before
    assert {row.tests for row in as_tests(alliance(), 4).used if is_word(row)} == {4}


def test_only_zero_order_correlations_are_kept_with_the_reason_of_the_others() -> None:
    kept = zero_order(alliance())
    assert {row.statistic for row in kept.used} == {"correlation"}
    assert "statistic: regression" in {row.reason for row in kept.rows}
    # Rows that do not say stay.
    assert zero_order(molloy()).used == molloy().used
    nothing = tuple(replace(row, statistic="unclear") for row in molloy().rows)
    with pytest.raises(InputError, match="no row is left of zero-order"):
        zero_order(replace(molloy(), rows=nothing))
