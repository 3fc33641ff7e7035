"""Which rows a filter keeps: blanks, texts, numbers, truth values."""

from __future__ import annotations

import pytest

from metarho.data.selection import keeps
from metarho.data.tables import Table
from metarho.errors import InputError
from metarho.spec.filters import parse_filter

# Cells as a text file (all text) and as a binary one gives them.
TABLE = Table(
    "t.csv",
    {
        "id": ("a", "b", "c", "d"),
        "role": ("main", "side", "", "main"),
        "year": ("2009", "2010.0", "NA", " 2011 "),
        "n": (20.0, 30.0, None, 40.0),
        "mixed": ("1", "x", "", "2"),
        "flag": ("TRUE", "false", "", "True"),
        "switch": (True, False, None, True),
        "my year": ("2009", "2010", "2011", "2012"),
    },
    ("t.csv:2", "t.csv:3", "t.csv:4", "t.csv:5"),
)

KEPT = {
    "role == 'main'": "ad",
    "role != 'main'": "bc",
    "role == ''": "",
    "role in ['main', 'side']": "abd",
    "role not in ['main']": "bc",
    "role in []": "",
    "role not in []": "abcd",
    "year == 2010": "b",
    "year == '2010.0'": "b",
    "year == '2010'": "",
    "year == '2011'": "d",
    "year != 2010": "acd",
    "year > 2009": "bd",
    "year >= 2009": "abd",
    "year < 2011": "ab",
    "year <= 2011": "abd",
    "not year > 2009": "ac",
    "2009 < year <= 2011": "bd",
    "2009 < year < 2011": "b",
    "year in [2009, 2011]": "ad",
    "n > 20": "bd",
    "n == '30'": "b",
    "n == -20": "",
    "flag == True": "ad",
    "flag != True": "bc",
    "flag == False": "b",
    "flag == 'TRUE'": "a",
    "switch == True": "ad",
    "switch != True": "bc",
    "switch == False": "b",
    "switch in [False]": "b",
    "role == 'main' and year > 2010": "d",
    "role == 'side' or year > 2010": "bd",
    "role == 'side' or role == 'main' and year > 2010": "bd",
    "(role == 'side' or role == 'main') and year > 2010": "d",
    "not (role == 'main' or n > 20)": "c",
    "role > 'main'": "b",
    "`my year` >= 2011": "cd",
}


@pytest.mark.parametrize("condition", KEPT)
def test_a_filter_keeps_the_rows_it_says(condition: str) -> None:
    kept = keeps(parse_filter(condition), TABLE)
    assert "".join(name for name, keep in zip("abcd", kept, strict=True) if keep) == KEPT[condition]


REFUSED = {
    "mixed > 1": "t.csv:3: the filter compares mixed with a number, but it holds 'x' here",
    "mixed in [1]": "t.csv:3: the filter compares mixed with a number, but it holds 'x' here",
    "switch > 0": "t.csv:2: the filter compares switch with a number, but it holds True here",
    "role == True": "t.csv:2: the filter compares role with true or false, but it holds 'main'",
    "role < True": "t.csv:2: the filter compares role with true or false, but it holds 'main'",
    "n == True": "t.csv:2: the filter compares n with true or false, but it holds 20.0 here",
    "yeer == 1": "t.csv: has no column 'yeer'; allowed: flag, id, mixed, my year",
}


@pytest.mark.parametrize("condition", REFUSED)
def test_what_cannot_be_compared_is_refused_with_its_place(condition: str) -> None:
    with pytest.raises(InputError) as caught:
        keeps(parse_filter(condition), TABLE)
    assert str(caught.value).startswith(REFUSED[condition])


def test_a_misspelt_column_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'year'"):
        keeps(parse_filter("yeer == 1"), TABLE)
