"""Tables from files: CSV, TSV, Parquet and Excel, every cell with the place it came from.

Cells of text files stay text until a role asks for a number, so that nothing is guessed.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarho.errors import InputError, did_you_mean, shown

type Cell = str | float | bool | None

# What stands for "no value" in a text file: nothing, or R's NA.
BLANK_WORDS = frozenset({"", "NA"})

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Table:
    """Columns by name, all of one length, and the place of each row (``file:line``)."""

    source: str
    columns: Mapping[str, tuple[Cell, ...]]
    places: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.places)

    def column(self, name: str) -> tuple[Cell, ...]:
        """A column by the file's own name. Raises InputError that lists the columns."""
        if name not in self.columns:
            raise InputError(
                f"has no column {name!r}; {did_you_mean(name, self.columns)}", place=self.source
            )
        return self.columns[name]


def is_blank(cell: Cell) -> bool:
    """Whether a cell holds no value."""
    return cell is None or (isinstance(cell, str) and cell.strip() in BLANK_WORDS)


def number(cell: Cell) -> float | None:
    """A cell as a finite number; None when it is blank. Raises ValueError for anything else."""
    if is_blank(cell):
        return None
    if isinstance(cell, bool):
        raise ValueError("a number is needed")
    if isinstance(cell, str):
        if not _NUMBER.fullmatch(cell.strip()):
            raise ValueError("a number is needed")
        cell = float(cell)
    assert cell is not None
    if not math.isfinite(cell):
        raise ValueError("a finite number is needed")
    return float(cell)


def text(cell: Cell) -> str:
    """A cell as text without control characters; whole numbers without a decimal point."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return _CONTROL.sub("", str(cell)).strip()


def is_numeric(cells: Sequence[Cell]) -> bool:
    """Whether every cell that is not blank is a number, and at least one is."""
    try:
        values = [number(cell) for cell in cells]
    except ValueError:
        return False
    return any(value is not None for value in values)


def read_table(path: Path) -> Table:
    """Read a table by its suffix: .csv, .tsv, .parquet, .xlsx.

    Raises InputError for a file that cannot be read, is empty, has no rows, no header, a
    doubled column or rows of unequal length.
    """
    match path.suffix.lower():
        case ".csv":
            return _read_text(path, ",")
        case ".tsv":
            return _read_text(path, "\t")
        case ".parquet" | ".xlsx":
            return _read_frame(path)
        case suffix:
            raise InputError(
                f"{suffix or 'no suffix'} is not a table; allowed: .csv .tsv .parquet .xlsx",
                place=str(path),
            )


def _read_text(path: Path, delimiter: str) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            header = next(reader, None)
            if header is None:
                raise InputError(
                    "is empty; a header and at least one row are needed", place=str(path)
                )
            names = _checked_header(header, path)
            rows: list[list[str]] = []
            places: list[str] = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                place = f"{path}:{reader.line_num}"
                if len(cells) != len(names):
                    raise InputError(
                        f"has {len(cells)} cells where the header has {len(names)}; "
                        "quote cells that hold the delimiter",
                        place=place,
                    )
                rows.append(cells)
                places.append(place)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=str(path)) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"is not UTF-8 (byte {error.start}); save it as UTF-8", place=str(path)
        ) from None
    except csv.Error as error:
        raise InputError(f"is not a readable table: {error}", place=str(path)) from None
    _check_rows(len(rows), path)
    return Table(str(path), dict(zip(names, zip(*rows, strict=True), strict=True)), tuple(places))


def _read_frame(path: Path) -> Table:
    # Loaded here: pandas costs as much as an exact fit, and text files do without it.
    import pandas as pd

    if not path.is_file():
        raise InputError("cannot be read: there is no such file", place=str(path))
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path, engine="pyarrow")
        else:
            frame = pd.read_excel(path, engine="openpyxl", keep_default_na=False, na_values=[""])
    except Exception as error:  # the readers raise their own kinds, a dozen of them
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"is not a readable table: {said}", place=str(path)) from None
    names = _checked_header([str(name) for name in frame.columns], path)
    _check_rows(len(frame), path)
    first = 2 if path.suffix.lower() == ".xlsx" else 1
    columns = {
        name: tuple(_plain(cell) for cell in frame.iloc[:, index].tolist())
        for index, name in enumerate(names)
    }
    return Table(
        str(path), columns, tuple(f"{path}: row {first + index}" for index in range(len(frame)))
    )


def _plain(cell: Any) -> Cell:
    if cell is None or isinstance(cell, bool | str):
        return cell
    if isinstance(cell, int | float):
        return None if isinstance(cell, float) and math.isnan(cell) else float(cell)
    return None if str(cell) in ("<NA>", "NaT") else str(cell)


def _checked_header(header: Sequence[str], path: Path) -> list[str]:
    names = [_CONTROL.sub("", name).strip() for name in header]
    if not any(names):
        raise InputError("is empty; a header and at least one row are needed", place=str(path))
    for name in names:
        if not name:
            raise InputError("a column has no name", place=f"{path}:1")
        if names.count(name) > 1:
            raise InputError(f"two columns are called {shown(name)}", place=f"{path}:1")
    return names


def _check_rows(count: int, path: Path) -> None:
    if count == 0:
        raise InputError("has a header but no rows", place=str(path))
