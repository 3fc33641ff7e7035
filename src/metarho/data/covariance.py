"""A known covariance of sampling errors: read from a square table and checked against the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metarho.data.tables import Table, number, read_table
from metarho.errors import InputError, shown

type Array = NDArray[np.float64]
type Covariances = tuple[tuple[int, int, float], ...]
"""First row, second row (places in the table), covariance: pairs that are not 0, each once."""

# Rounding in a file of six digits and more; a matrix in another order differs by far more.
_ROUNDING = 1e-5


def read_covariances(path: Path, k: int) -> Array:
    """The covariance matrix (k, k) of the sampling errors of a table's k rows, in its order.

    The file has a line of names, which do not matter, and k lines of k numbers.

    Raises InputError for another size, a cell that is no number and a matrix that is not symmetric.
    """
    table = read_table(path)
    if (len(table), len(table.columns)) != (k, k):
        raise InputError(
            f"has {len(table)} rows and {len(table.columns)} columns below its line of names; one "
            f"of each is needed for each of the {k} rows of the evidence, in their order and "
            "without row names (in R: write.csv(V, row.names = FALSE))",
            place=str(path),
        )
    matrix = np.array([_numbers(table, name) for name in table.columns]).T
    sd = np.sqrt(np.abs(np.diag(matrix)))
    apart = np.abs(matrix - matrix.T) > _ROUNDING * np.outer(sd, sd)
    if apart.any():
        first, second = np.argwhere(apart)[0]
        raise InputError(
            f"is not symmetric: row {first + 1}, column {second + 1} is {matrix[first, second]:g}, "
            f"the other way round it is {matrix[second, first]:g}",
            place=str(path),
        )
    return np.asarray(0.5 * (matrix + matrix.T))


def checked_covariances(
    matrix: Array, v: Sequence[float | None], studies: Sequence[str], place: str
) -> Covariances:
    """The pairs of a matrix that are not 0, of rows that have a sampling variance.

    ``v`` are the sampling variances (None of rows that are out), ``studies`` their studies.

    Raises InputError when the diagonal is not ``v``, errors of two studies covary, or the matrix
    is not positive definite.
    """
    kept = [index for index, variance in enumerate(v) if variance is not None]
    for index in kept:
        variance = v[index]
        if not math.isclose(matrix[index, index], variance or 0.0, rel_tol=_ROUNDING):
            raise InputError(
                f"row {index + 1} of the diagonal is {matrix[index, index]:.9g}, and the sampling "
                f"variance of row {index + 1} of the evidence (study {shown(studies[index])}) is "
                f"{variance:.9g}; both are on the model's scale and in the order of the evidence",
                place=place,
            )
    found = []
    for first, second in zip(*np.nonzero(np.triu(matrix, 1)), strict=True):
        a, b = int(first), int(second)
        if v[a] is None or v[b] is None:
            continue
        if studies[a] != studies[b]:
            if abs(matrix[a, b]) <= _ROUNDING * math.sqrt(matrix[a, a] * matrix[b, b]):
                continue
            raise InputError(
                f"row {a + 1}, column {b + 1} is {matrix[a, b]:g}, of two studies "
                f"({shown(studies[a])}, {shown(studies[b])}); sampling errors of different studies "
                "are independent here: 0",
                place=place,
            )
        found.append((a, b, float(matrix[a, b])))
    for study in dict.fromkeys(studies[a] for a, _, _ in found):
        rows = [index for index in kept if studies[index] == study]
        smallest = float(np.linalg.eigvalsh(matrix[np.ix_(rows, rows)])[0])
        if smallest <= _ROUNDING * min(matrix[row, row] for row in rows):
            raise InputError(
                f"the rows of study {shown(study)} have no positive definite covariance (smallest "
                f"eigenvalue {smallest:g})",
                place=place,
            )
    return tuple(found)


def _numbers(table: Table, name: str) -> list[float]:
    cells = []
    for place, cell in zip(table.places, table.column(name), strict=True):
        try:
            value = number(cell)
        except ValueError as error:
            raise InputError(f"{name} is {shown(str(cell))}: {error}", place=place) from None
        if value is None:
            raise InputError(f"{name} is blank: a number is needed (0 for none)", place=place)
        cells.append(value)
    return cells
