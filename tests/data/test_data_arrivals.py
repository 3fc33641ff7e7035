"""When studies came, read from a column."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cases import alliance
from metarho.data.arrivals import arrivals
from metarho.data.studies import Studies
from metarho.errors import InputError


def _with(cells: dict[int, str]) -> Studies:
    """The shipped evidence with some cells of year changed, by the place of the row used."""
    found = alliance()
    year = list(found.table.column("year"))
    for place, cell in cells.items():
        year[found.used[place].index] = cell
    table = replace(found.table, columns={**found.table.columns, "year": tuple(year)})
    return replace(found, table=table)


def test_every_row_has_the_year_of_its_study() -> None:
    studies = alliance()
    found = arrivals(studies.table, studies.used, "year")
    by_study = dict(zip((row.study for row in studies.used), found.tolist(), strict=True))
    assert by_study["Heim 2018"] == 2018 and by_study["Knaevelsrud 2006"] == 2006
    assert all(str(int(value)) in study for study, value in by_study.items())


def test_rows_that_are_not_used_may_hold_anything() -> None:
    studies = alliance()
    out = next(row for row in studies.rows if not row.included)
    year = list(studies.table.column("year"))
    year[out.index] = "in press"
    table = replace(studies.table, columns={**studies.table.columns, "year": tuple(year)})
    assert len(arrivals(table, studies.used, "year")) == 28


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("", "year is blank; studies are put in its order"),
        ("NA", "year is blank"),
        ("in press", "year is 'in press'; studies are put in its order"),
        ("inf", "year is 'inf'"),
    ],
)
def test_a_cell_that_is_no_number_is_refused_with_its_place(cell: str, told: str) -> None:
    studies = _with({3: cell})
    with pytest.raises(InputError) as error:
        arrivals(studies.table, studies.used, "year")
    assert told in str(error.value)
    assert str(error.value).startswith(studies.used[3].place)


def test_a_study_whose_rows_differ_is_refused_by_name() -> None:
    studies = alliance()
    place = next(i for i, row in enumerate(studies.used) if row.effect == "HE18-2")
    studies = _with({place: "2019"})
    with pytest.raises(InputError, match="year is 2018 and 2019 in rows of 'Heim 2018'"):
        arrivals(studies.table, studies.used, "year")


def test_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    studies = alliance()
    with pytest.raises(InputError, match=r"has no column 'yaer'.*did you mean 'year'"):
        arrivals(studies.table, studies.used, "yaer")
