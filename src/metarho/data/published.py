"""How a prior of mu follows from a published meta-analysis of correlations."""

from __future__ import annotations

import math
from dataclasses import dataclass

from metarho.data.shipped import shipped_table
from metarho.data.tables import Cell, number, text
from metarho.errors import InputError
from metarho.spec.catalogue import Derivation

TABLE = "published-meta-analyses"
# A 95% interval of a normal law is 2·1.96 standard errors long.
SES_IN_INTERVAL = 3.92


@dataclass(frozen=True)
class Published:
    """A pooled correlation with its 95% confidence interval, as printed."""

    r: float
    ci_low: float
    ci_high: float
    doi: str

    @property
    def mean(self) -> float:
        """The mean on Fisher's z: atanh(r)."""
        return math.atanh(self.r)

    @property
    def sd(self) -> float:
        """The standard error on Fisher's z that the interval implies."""
        return (math.atanh(self.ci_high) - math.atanh(self.ci_low)) / SES_IN_INTERVAL


def published(row: Derivation) -> Published:
    """The row of the shipped table that a prior was derived from.

    Raises InputError when there is none, or it printed no interval.
    """
    table = shipped_table(TABLE)
    wanted = {"source": row.source, "setting": row.setting, "subscale": row.subscale}
    for index in range(len(table)):
        if all(text(table.column(name)[index]) == value for name, value in wanted.items()):
            cells = {name: cells[index] for name, cells in table.columns.items()}
            r, low, high = (_printed(cells, name, row) for name in ("r", "ci_low", "ci_high"))
            return Published(r, low, high, text(cells["doi"]))
    raise InputError(f"{TABLE} has no row {', '.join(wanted.values())}")


def _printed(cells: dict[str, Cell], name: str, row: Derivation) -> float:
    value = number(cells[name])
    if value is None:
        raise InputError(f"{TABLE}: {row.source} printed no {name}")
    return value
