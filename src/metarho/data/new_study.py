"""A study that has just come, as one more row of the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from metarho.data.effect_sizes import ALPHA
from metarho.data.studies import Row, Studies, read_row
from metarho.data.tables import Cell, Table
from metarho.errors import InputError, did_you_mean

NAME = "new study"
_ROLES = ("ri", "ni", "reported", "ri_low", "ri_high", "yi", "sei")
# One word is one test: their correlation has no use.
RHO_TESTS = 0.5


@dataclass(frozen=True)
class NewStudy:
    """What a new study printed: a correlation or a word, of ``ni`` people (GEN: yi and sei).

    ``moderators`` are columns of the evidence with the new study's values.
    """

    ri: float | None = None
    ni: float | None = None
    reported: str = "exact"
    ri_low: float | None = None
    ri_high: float | None = None
    yi: float | None = None
    sei: float | None = None
    study: str = NAME
    moderators: Mapping[str, Cell] = field(default_factory=dict)


def with_new_study(studies: Studies, new: NewStudy) -> Studies:
    """The evidence with one more study, audited as rows of a table are.

    Raises InputError where the row would be refused, or left out, or its study is there already.
    """
    if any(row.study == new.study for row in studies.rows):
        raise InputError(
            f"the evidence has a study called {new.study!r} already; give the new one another "
            "name, or add its rows to the table"
        )
    table = studies.table
    for name in new.moderators:
        if name not in table.columns:
            raise InputError(
                f"the evidence has no column {name!r}; {did_you_mean(name, table.columns)}"
            )
    grown = Table(
        table.source,
        {name: (*cells, new.moderators.get(name)) for name, cells in table.columns.items()},
        (*table.places, new.study),
    )
    row = replace(_audited(studies, new), index=len(table), study=new.study, sample=new.study)
    return replace(studies, table=grown, rows=(*studies.rows, row))


def _audited(studies: Studies, new: NewStudy) -> Row:
    """The row as the audit of a table of one row has it."""
    alone = Table(new.study, {role: (getattr(new, role),) for role in _ROLES}, (new.study,))
    roles = {role: role for role in _ROLES}
    defaults = (ALPHA, RHO_TESTS)
    row = read_row(alone, 0, roles, "1", studies.measure, studies.intervals, defaults)
    if not row.included:
        raise InputError(f"the new study has no effect size: {row.reason}")
    if row.is_interval and studies.intervals == "drop":
        raise InputError("the new study printed no number, and interval rows are dropped here")
    return row
