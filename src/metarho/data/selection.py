"""Which rows a filter keeps."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from metarho.data.tables import Cell, Table, is_blank, number, text
from metarho.errors import InputError, shown
from metarho.spec.filters import Both, Comparison, Either, Filter, Literal, Opposite

COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

# Text files write truth values as words.
_TRUTH = {"true": True, "false": False}


def keeps(condition: Filter, table: Table) -> list[bool]:
    """For each row whether the filter keeps it.

    A blank cell satisfies no comparison but ``!=`` and ``not in``. Raises InputError for a
    column that is not there and for text where a number is compared.
    """
    match condition:
        case Both(parts):
            return [all(row) for row in zip(*(keeps(part, table) for part in parts), strict=True)]
        case Either(parts):
            return [any(row) for row in zip(*(keeps(part, table) for part in parts), strict=True)]
        case Opposite(part):
            return [not kept for kept in keeps(part, table)]
        case Comparison(column, symbol, values):
            cells = table.column(column)
            return [
                _holds(cell, symbol, values, column, place)
                for cell, place in zip(cells, table.places, strict=True)
            ]


def _holds(cell: Cell, symbol: str, values: tuple[Literal, ...], column: str, place: str) -> bool:
    if symbol in ("in", "not in"):
        found = any(_compare(cell, "==", value, column, place) for value in values)
        return found if symbol == "in" else not found
    return _compare(cell, symbol, values[0], column, place)


def _compare(cell: Cell, symbol: str, value: Literal, column: str, place: str) -> bool:
    if is_blank(cell):
        return symbol == "!="
    if isinstance(value, str):
        return COMPARE[symbol](text(cell), value)
    if isinstance(value, bool):
        truth = cell if isinstance(cell, bool) else _TRUTH.get(text(cell).lower())
        if truth is None:
            raise InputError(
                f"the filter compares {column} with true or false, but it holds {shown(cell)} here",
                place=place,
            )
        return COMPARE[symbol](truth, value)
    try:
        return COMPARE[symbol](number(cell), value)
    except ValueError:
        raise InputError(
            f"the filter compares {column} with a number, but it holds {shown(cell)} here",
            place=place,
        ) from None
