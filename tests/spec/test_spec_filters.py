"""Filters: parsed into values, never evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarho.errors import InputError
from metarho.spec.filters import (
    LONGEST_FILTER,
    Both,
    Comparison,
    Either,
    Filter,
    Opposite,
    parse_filter,
)

YEAR = Comparison("year", ">", (2010.0,))
ROLE = Comparison("role", "==", ("main",))

READ: dict[str, Filter] = {
    "year > 2010": YEAR,
    "2010 < year": YEAR,
    "2010 >= year": Comparison("year", "<=", (2010.0,)),
    "role == 'main'": ROLE,
    '"main" == role': ROLE,
    "year != -3.5": Comparison("year", "!=", (-3.5,)),
    "flag == True": Comparison("flag", "==", (True,)),
    "year in [2010, 2011]": Comparison("year", "in", (2010.0, 2011.0)),
    "role not in ('a', 'b')": Comparison("role", "not in", ("a", "b")),
    "role in []": Comparison("role", "in", ()),
    "not year > 2010": Opposite(YEAR),
    "year > 2010 and role == 'main'": Both((YEAR, ROLE)),
    "year > 2010 or role == 'main'": Either((YEAR, ROLE)),
    "year > 2010 or role == 'main' and year > 2010": Either((YEAR, Both((ROLE, YEAR)))),
    "2010 < year <= 2020": Both((YEAR, Comparison("year", "<=", (2020.0,)))),
    "`my year` > 2010": Comparison("my year", ">", (2010.0,)),
    "`a.b` == 'x' and `c d` == 'y'": Both(
        (Comparison("a.b", "==", ("x",)), Comparison("c d", "==", ("y",)))
    ),
    "note == '`x`'": Comparison("note", "==", ("`x`",)),
    "note == 'it\\'s `x`'": Comparison("note", "==", ("it's `x`",)),
    "quoted_column_0 == 1": Comparison("quoted_column_0", "==", (1.0,)),
    "`a b` == 1 and quoted_column_0 == 2": Both(
        (Comparison("a b", "==", (1.0,)), Comparison("quoted_column_0", "==", (2.0,)))
    ),
}


@pytest.mark.parametrize("text", READ)
def test_a_filter_is_read_as_its_comparisons(text: str) -> None:
    assert parse_filter(text) == READ[text]


REFUSED = {
    "a call": ("f(role) == 'x'", "a column on one side"),
    "an import": ("__import__('os').system('true') == 0", "a column on one side"),
    "a call as a value": ("role == f('x')", "is not a text or a number"),
    "a call alone": ("f()", "is not a comparison"),
    "an attribute": ("role.upper == 'x'", "a column on one side"),
    "an attribute as a value": ("role == a.b", "is not a text or a number"),
    "a subscript": ("role[0] == 'x'", "a column on one side"),
    "a lambda": ("lambda: 1", "is not a comparison"),
    "a walrus": ("(a := 1) == 1", "a column on one side"),
    "an f-string": ("role == f'{x}'", "is not a text or a number"),
    "arithmetic": ("year + 1 == 2", "a column on one side"),
    "a column alone": ("role", "is not a comparison"),
    "a column within and": ("year > 1 and role", "'role' is not a comparison"),
    "a truth value alone": ("True", "is not a comparison"),
    "two columns": ("role == year", "'year' is not a text or a number"),
    "no column": ("1 == 1", "a column on one side"),
    "is": ("role is None", "use =="),
    "None": ("role == None", "is not a text or a number"),
    "in a text": ("role in 'main'", "write in with a list of values"),
    "a value in a column": ("1 in year", "a column on one side"),
    "a column in a list": ("role in [year]", "is not a text or a number"),
    "bytes": ("role == b'x'", "is not a text or a number"),
    "a complex number": ("year == 1j", "is not a text or a number"),
    "minus a text": ("role == -'x'", "a minus sign goes with a number"),
    "minus a truth value": ("flag == -True", "a minus sign goes with a number"),
    "half a comparison": ("year >", "it does not parse"),
    "one equals sign": ("year = 3", "it does not parse"),
    "an open backtick": ("`year > 3", "it does not parse"),
    "nothing": ("", "it does not parse"),
    "an endless number": (f"year == {'9' * 900}", "it does not parse"),
    "many brackets": ("(" * 900, "it does not parse"),
}


@pytest.mark.parametrize("text, why", REFUSED.values(), ids=REFUSED)
def test_anything_but_comparisons_with_literals_is_refused(text: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_filter(text)
    assert why in str(caught.value)
    assert 'for instance role == "main" and year > 2010' in str(caught.value)


def test_a_long_filter_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InputError, match=f"{LONGEST_FILTER} characters, not 5000"):
        parse_filter("(" * 5000)
    longest = f"role == '{'x' * (LONGEST_FILTER - len("role == ''"))}'"
    assert parse_filter(longest) == Comparison("role", "==", (longest[9:-1],))


def test_a_refused_filter_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(InputError):
        parse_filter(f"__import__('os').system('touch {mark}') == 0")
    assert not mark.exists()
