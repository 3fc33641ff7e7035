"""When studies came: a numeric column of the table, one value a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metarho.data.studies import Row
from metarho.data.tables import Table, is_blank, number
from metarho.errors import InputError, shown

type Array = NDArray[np.float64]


def arrivals(table: Table, rows: Sequence[Row], by: str) -> Array:
    """The value of column ``by`` at each of some rows of the table: (rows).

    Raises InputError for a column that the table does not have, a cell that is blank or no number,
    and a study whose rows differ: its rows are predicted together, so that none of them can be
    known when another one is still to come.
    """
    cells = table.column(by)
    values = np.array([_value(cells[row.index], by, row.place) for row in rows])
    first: dict[str, float] = {}
    for row, value in zip(rows, values.tolist(), strict=True):
        if first.setdefault(row.study, value) != value:
            raise InputError(
                f"{by} is {first[row.study]:.15g} and {value:.15g} in rows of {shown(row.study)}; "
                "the rows of a study come together: give them one value, in a column of its own "
                "where this one means something else",
                place=row.place,
            )
    return values


def _value(cell: str | float | bool | None, by: str, place: str) -> float:
    wanted = "studies are put in its order, so every row used needs a number there"
    if is_blank(cell):
        raise InputError(f"{by} is blank; {wanted}", place=place)
    try:
        found = number(cell)
    except ValueError:
        raise InputError(f"{by} is {shown(cell)}; {wanted}", place=place) from None
    assert found is not None
    return found
