"""The figure of studies in order, and the sentences on them."""

from __future__ import annotations

import math
import re

import pytest

from metarho.compare.rows import Row
from metarho.report.cumulative import printed
from metarho.report.figures.cumulative import cumulative_figure

NAMES = ("median", "lower", "upper", "new_lower", "new_upper")


def _row(at: float, study: str, **changes: str | float | None) -> Row:
    return {
        "at": at, "study": study, "effect": "1", "reported": "exact", "printed": 0.2,
        "printed_low": None, "printed_high": None, "median": 0.1, "lower": -0.2, "upper": 0.4,
        "held": "yes", "p_printed": None, **changes,
    }  # fmt: skip


def _year(at: float | None, *numbers: float | None) -> Row:
    return {"at": at, **dict(zip(NAMES, numbers or (0.1, 0.0, 0.2, -0.3, 0.5), strict=True))}


def _words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", svg)


RECORD = [
    _row(2001.0, "a $x_1$ & <b>"),
    _row(2001.0, "outside", printed=0.9, held="no"),
    _row(2002.0, "word", reported="not significant", printed=None, held=None, printed_low=-0.3,
         printed_high=0.3, p_printed=0.625),
    _row(2003.5, "unlikely", reported="significant negative", printed=None, held=None,
         printed_low=-1.0, printed_high=-0.3, p_printed=1e-5),
    _row(2003.5, "unknown", median=None, lower=None, upper=None, held=None),
    _row(2003.5, "range", reported="range", printed=None, held=None, printed_low=-0.1,
         printed_high=0.25, p_printed=0.3),
]  # fmt: skip
YEARS = [_year(None, *(None,) * 5), _year(2001.0), _year(2002.0), _year(2003.5)]


def test_every_row_says_what_came_and_every_year_what_was_known() -> None:
    drawn = cumulative_figure(RECORD, YEARS, "wave", "z", 0.9, "said")
    words = _words(drawn.svg)
    for word in ("a $x_1$ &amp; &lt;b&gt;", "0.20", "0.90", "n.s.  P = 0.62", "prior", "improper",
                 "sig. −  P &lt; 0.01", "−0.10 to 0.25  P = 0.30", "2003.5",
                 "0.10 [0.00, 0.20]", "Known after each wave", "90% prediction interval",
                 "number, within", "number, outside", "number, not predicted"):  # fmt: skip
        assert word in words, word
    assert (drawn.name, drawn.alternative, drawn.data) == ("cumulative", "said", RECORD)


def test_the_legend_names_only_what_is_there() -> None:
    words = _words(cumulative_figure(RECORD[:1], YEARS[:2], "year", "z", 0.95, "").svg)
    assert "number, within" in words and "number, outside" not in words
    assert not any("range or word" in word for word in words)


def test_rows_of_one_study_keep_the_names_of_their_effects() -> None:
    long = "A study with a name that is much too long for a label"
    record = [_row(2001.0, long, effect="first"), _row(2001.0, long, effect="second")]
    words = _words(cumulative_figure(record, YEARS[:2], "year", "z", 0.95, "").svg)
    labels = [word for word in words if word.endswith(("· first", "· second"))]
    assert len(labels) == 2 and all("…" in label and len(label) <= 34 for label in labels)


@pytest.mark.parametrize("value", [1e-300, 1e3, -1e6, 0.0])
def test_numbers_on_any_scale_have_a_place(value: float) -> None:
    record = [_row(1.0, "a", printed=value, lower=value - 1, upper=value + 1, median=value)]
    years = [YEARS[0], _year(1.0, value, value - 1, value + 1, value - 2, value + 2)]
    svg = cumulative_figure(record, years, "order", "yi", 0.95, "").svg
    assert "observed yi" in svg and "nan" not in svg.lower().replace("financ", "")


def test_nothing_predicted_is_still_a_figure() -> None:
    record = [_row(1.0, "a", median=None, lower=None, upper=None, held=None, printed=None,
                   reported="not significant", printed_low=-0.3, printed_high=0.3)]  # fmt: skip
    years = [YEARS[0], _year(1.0, *(None,) * 5)]
    words = _words(cumulative_figure(record, years, "year", "z", 0.95, "").svg)
    assert words.count("improper") == 2 and "n.s." in words


def test_what_was_printed_is_its_number_its_range_or_its_word() -> None:
    found = [printed(row) for row in RECORD]
    assert found[:4] == ["0.20", "0.90", "not significant", "significant negative"]
    assert found[5] == "-0.10 to 0.25"
    assert math.isclose(float(found[0]), 0.2)
