"""A cell's inputs, and mixtures of those of two runs: some changes made, the others not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from metarho.batch.inputs import Inputs, content_of, numbers_of
from metarho.compare.rows import Value
from metarho.data.covariance import Covariances
from metarho.data.reporting import zero_order
from metarho.data.selection import keeps
from metarho.data.studies import Studies, audited
from metarho.data.tables import Cell, Table, text
from metarho.engines.problem import Problem, encoding
from metarho.errors import InputError
from metarho.spec.analysis import Interval, Intervals, Measure
from metarho.spec.filters import comparisons, parse_filter
from metarho.spec.model import PARTS, Model
from metarho.spec.priors import Prior

type Group = str
type Change = tuple[Group, str]
"""One thing that two runs say differently: a group (see ``GROUPS``), and a name in it."""

GROUPS = ("table", "evidence", "reading", "model", "priors", "interval")
# The change of the evidence where its studies cannot be told apart.
WHOLE_TABLE: Change = ("table", "the whole table")


@dataclass(frozen=True)
class Reading:
    """How a table becomes evidence: as ``StudiesSpec`` and the decisions of a grid say."""

    where: str | None
    measure: Measure
    statistic: str
    intervals: Intervals
    rho_within: float
    alpha: float
    rho_tests: float
    levels_of_all: bool
    """Whether levels of factors come from rows with intervals too, where those are dropped."""


@dataclass(frozen=True)
class CellInputs:
    """Everything that the answers of a cell depend on."""

    table: Table
    roles: Mapping[str, str]
    covariances: Covariances
    reading: Reading
    model: Model
    priors: Mapping[str, Prior]
    """The prior set, laid over the model's own."""
    interval: Interval

    @property
    def columns(self) -> set[str]:
        """The columns of the table that matter: with a role, in the filter, or in the model."""
        levels = {*self.model.levels} - {"study", "effect", "sample"}
        where = self.reading.where
        filtered = (
            {one.column for one in comparisons(parse_filter(where))} if where is not None else set()
        )
        return {*self.roles.values(), *self.model.columns, *levels, *filtered}


def cell_inputs(inputs: Inputs, decisions: Mapping[str, Value]) -> CellInputs:
    """What a run makes one of its cells from. Raises KeyError for decisions that it has not."""
    analysis = inputs.analysis
    spec, grid = analysis.studies, analysis.grid
    rules = [spec.where]
    if grid is not None and "where" in decisions:
        rules.append(grid.where[str(decisions["where"])])
    said = [f"({rule})" for rule in rules if rule is not None]
    measures: Mapping[str, Measure] = {"ZCOR": "ZCOR", "COR": "COR", "GEN": "GEN"}
    reading = Reading(
        " and ".join(said) or None,
        measures[str(decisions.get("measure", spec.measure))],
        str(decisions.get("statistic", "all")),
        "use" if decisions["intervals"] == "use" else "drop",
        float(decisions.get("rho_within", spec.rho_within) or 0.0),
        spec.alpha,
        spec.rho_tests,
        "use" in spec.intervals,
    )
    model = inputs.models[str(decisions["model"])]
    parts = {name: decisions[name] for name in ("likelihood", "measurement") if name in decisions}
    return CellInputs(
        inputs.table,
        inputs.roles,
        inputs.covariances,
        reading,
        model.model_copy(update=parts),
        analysis.priors[str(decisions["priors"])],
        analysis.interval,
    )


def changes(old: CellInputs, new: CellInputs) -> tuple[Change, ...]:
    """Everything that may move a cell's answers, in the order of ``GROUPS``."""
    found = _changes_of_evidence(old, new)
    found += [
        ("reading", name)
        for name in Reading.__dataclass_fields__
        if getattr(old.reading, name) != getattr(new.reading, name)
    ]
    found += [("model", p) for p in PARTS if getattr(old.model, p) != getattr(new.model, p)]
    names = dict.fromkeys((*old.model.priors, *old.priors, *new.model.priors, *new.priors))
    found += [("priors", name) for name in names if _said(old, name) != _said(new, name)]
    if old.interval != new.interval:
        found.append(("interval", "interval"))
    return tuple(found)


def _said(cell: CellInputs, name: str) -> tuple[str | None, str | None]:
    """What the model and what the prior set says of a parameter; the set, where it does."""
    own, laid_over = cell.model.priors.get(name), cell.priors.get(name)
    if laid_over is not None:
        return None, str(laid_over)
    return None if own is None else str(own), None


def _changes_of_evidence(old: CellInputs, new: CellInputs) -> list[Change]:
    """The studies whose rows differ where it matters; the whole table where none can be told."""
    if old.roles != new.roles or "study" not in old.roles:
        same = old.roles == new.roles and _contents(old) == _contents(new)
        return [] if same else [WHOLE_TABLE]
    columns = sorted(old.columns | new.columns)
    # Numbers that stand for labels of effects count rows that a filter removes, too.
    same_filter = old.reading.where == new.reading.where and "effect" in old.roles
    where = old.reading.where if same_filter else None
    before, after = (_by_study(cell, columns, where) for cell in (old, new))
    return [
        ("evidence", name)
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    ]


type Contents = tuple[str | float | None, ...]


def _contents(cell: CellInputs) -> dict[str, Contents]:
    """What every column of the table says."""
    numbers = numbers_of(cell.roles)
    return {
        name: tuple(content_of(one, is_number=name in numbers) for one in cells)
        for name, cells in cell.table.columns.items()
    }


def _by_study(
    cell: CellInputs, columns: Sequence[str], where: str | None
) -> dict[str, list[Contents]]:
    """The rows of each study that a filter keeps, in these columns, in an order of their own."""
    table = cell.table
    kept = keeps(parse_filter(where), table) if where is not None else [True] * len(table)
    contents = _contents(cell)
    found: dict[str, list[Contents]] = {}
    for index, study in enumerate(table.column(cell.roles["study"])):
        if kept[index]:
            row = tuple(contents[n][index] if n in contents else None for n in columns)
            found.setdefault(text(study), []).append(row)
    if "effect" not in cell.roles:
        return found
    return {study: sorted(rows, key=repr) for study, rows in found.items()}


@dataclass(frozen=True)
class Pair:
    """The inputs of one cell in two runs, and what differs between them."""

    old: CellInputs
    new: CellInputs

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """Everything that may move the cell's answers."""
        return changes(self.old, self.new)

    def with_changes(self, made: frozenset[Change]) -> CellInputs:
        """The inputs with these changes made, and no other."""
        if not made:
            return self.old
        if made == frozenset(self.changes):
            return self.new
        old, new = self.old, self.new
        table, roles = self._evidence(made)
        read = {name: getattr(new.reading, name) for group, name in made if group == "reading"}
        parts = {name: getattr(new.model, name) for group, name in made if group == "model"}
        own, laid_over = dict(old.model.priors), dict(old.priors)
        for name in (name for group, name in made if group == "priors"):
            for priors, said in ((own, new.model.priors), (laid_over, new.priors)):
                priors.pop(name, None)
                if name in said:
                    priors[name] = said[name]
        interval = new.interval if ("interval", "interval") in made else old.interval
        return CellInputs(
            table,
            roles,
            (),
            replace(old.reading, **read),
            old.model.model_copy(update={**parts, "priors": own}),
            laid_over,
            interval,
        )

    def problem(self, made: frozenset[Change]) -> Problem:
        """The problem with these changes made. A prior that one run only says is there if needed.

        Raises InputError where there is none.
        """
        cell = self.with_changes(made)
        try:
            return problem_of(cell)
        except InputError as first:
            own = {**self._said_once, **cell.model.priors}
            model = cell.model.model_copy(update={"priors": own})
            try:
                return problem_of(replace(cell, model=model))
            except InputError:
                raise first from None

    @property
    def _said_once(self) -> dict[str, Prior]:
        """The priors of parameters that only one of the two runs speaks of."""
        sides = [{**cell.model.priors, **cell.priors} for cell in (self.old, self.new)]
        names = {*sides[0]} ^ {*sides[1]}
        return {name: prior for side in sides for name, prior in side.items() if name in names}

    def _evidence(self, made: frozenset[Change]) -> tuple[Table, Mapping[str, str]]:
        """The table in which the studies that are named have their new rows, others the old."""
        if WHOLE_TABLE in made:
            return self.new.table, self.new.roles
        studies = {name for group, name in made if group == "evidence"}
        if not studies:
            return self.old.table, self.old.roles
        every = {name for group, name in self.changes if group == "evidence"}
        if studies == every:
            return self.new.table, self.new.roles
        tables = (self.old.table, self.new.table)
        names = dict.fromkeys((*tables[0].columns, *tables[1].columns))
        columns: dict[str, list[Cell]] = {name: [] for name in names}
        places: list[str] = []
        for table, is_new in zip(tables, (False, True), strict=True):
            for index, study in enumerate(table.column(self.old.roles["study"])):
                if (text(study) in studies) == is_new:
                    places.append(table.places[index])
                    for name, cells in columns.items():
                        cells.append(table.columns[name][index] if name in table.columns else None)
        found = {name: tuple(cells) for name, cells in columns.items()}
        return Table(tables[1].source, found, tuple(places)), self.old.roles


def problem_of(cell: CellInputs) -> Problem:
    """The problem of a cell, read and encoded as a run does. Raises InputError where it cannot."""
    studies = _studies(cell, cell.reading.intervals)
    all_rows: Studies | None = None
    if cell.reading.levels_of_all:
        try:
            all_rows = _studies(cell, "use")
        except InputError:
            # As in a run: what words say has no place in a measure that cannot use them.
            all_rows = None
    return encoding(cell.model, studies, all_rows=all_rows).under(cell.priors)


def _studies(cell: CellInputs, intervals: Intervals) -> Studies:
    reading = cell.reading
    if reading.statistic == "printed":
        # What is left out need not have a meaning in the measure.
        intervals = "drop"
    rows = audited(
        cell.table,
        cell.roles,
        reading.measure,
        reading.where,
        intervals,
        (reading.alpha, reading.rho_tests),
    )
    studies = Studies(
        cell.table, reading.measure, intervals, rows, reading.rho_within, cell.covariances
    )
    return zero_order(studies) if reading.statistic == "zero-order" else studies
