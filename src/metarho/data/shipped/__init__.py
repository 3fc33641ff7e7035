"""The data sets that come with metarho: a CSV, its column mapping and a page on each."""

from __future__ import annotations

from pathlib import Path

from metarho.data.tables import Table, read_table
from metarho.errors import InputError, did_you_mean
from metarho.spec.analysis import Columns

_FOLDER = Path(__file__).resolve().parent

# Role -> column of each shipped set that holds effects (its page explains the columns).
_COLUMNS: dict[str, Columns] = {
    "internet-alliance": Columns(
        ri="r",
        ni="n",
        study="study",
        sample="sample",
        effect="effect",
        reported="reported",
        ri_low="r_low",
        ri_high="r_high",
        statistic="statistic",
    ),
}


def shipped_table(name: str) -> Table:
    """A shipped data set. Raises InputError that lists their names."""
    path = _FOLDER / f"{name}.csv"
    names = {path.stem for path in _FOLDER.glob("*.csv")}
    if name not in names:
        raise InputError(
            f"there is no shipped data set {name!r}; {did_you_mean(name, names)} "
            "(a path has a / or a suffix)"
        )
    return read_table(path)


def shipped_columns(name: str) -> Columns | None:
    """The column mapping of a shipped set of effects; None for the other tables."""
    return _COLUMNS.get(name)
