"""The plan of a grid: every combination of its decisions as a cell, checked, nothing computed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from metarho.batch.plan import (
    check_output,
    check_reached,
    default_output,
    read_models,
    read_studies,
)
from metarho.batch.work import Work
from metarho.cells.average import check_weights
from metarho.cells.table import as_text
from metarho.compare.rows import Row
from metarho.data.reporting import zero_order
from metarho.data.selection import COMPARE, keeps
from metarho.data.studies import Studies
from metarho.engines.problem import Encoding, encoding
from metarho.errors import InputError, did_you_mean, shown
from metarho.fitting import choose
from metarho.spec.analysis import Analysis, StudiesSpec, read_analysis
from metarho.spec.document import Document
from metarho.spec.filters import (
    Both,
    Comparison,
    Either,
    Filter,
    Opposite,
    comparisons,
    parse_filter,
)
from metarho.spec.grid import DECISIONS, Choice, Grid
from metarho.spec.model import Model
from metarho.store.keys import key_of

# More are no longer a table that a person reads, and take a gigabyte to plan.
MOST_CELLS = 100_000
# A larger product is not listed: combinations are drawn, so many times as many as are wanted, and
# no more than take half a minute.
LARGEST_LISTED = 1_000_000
TRIES = 1000
MOST_DRAWN = 5_000_000


@dataclass(frozen=True)
class GridCell:
    """One combination of decisions, and the fit it asks for; None where ``reason`` refuses it."""

    decisions: Mapping[str, Choice]
    work: Work | None
    reason: str


@dataclass(frozen=True)
class GridPlan:
    """What a run of a grid will do."""

    config: Path
    analysis: Analysis
    models: Mapping[str, tuple[Model, Path]]
    studies: Studies
    """The evidence of the first cell that has any: what the audit of rows is about."""
    values: Mapping[str, tuple[Choice, ...]]
    """The decisions and their values, in the order of the tables."""
    size: int
    """Combinations of all values, before constraints and samples."""
    cells: tuple[GridCell, ...]
    remarks: tuple[str, ...]
    output: Path

    @property
    def folder(self) -> Path:
        """Where the results of this config go."""
        return self.output / self.config.stem

    @property
    def grid(self) -> Grid:
        """The declared grid."""
        assert self.analysis.grid is not None
        return self.analysis.grid

    @cached_property
    def works(self) -> tuple[Work, ...]:
        """The fits that cells ask for, equal ones once."""
        found = {cell.work.key: cell.work for cell in self.cells if cell.work is not None}
        return tuple(found.values())

    @property
    def refusals(self) -> Counter[str]:
        """Why cells are refused, and how many for each reason."""
        return Counter(cell.reason for cell in self.cells if cell.work is None)

    @property
    def reference(self) -> Row:
        """The decisions of the analysis as it would be without a grid: the first of each."""
        first = {name: values[0] for name, values in self.values.items()}
        return {**first, "priors": self.analysis.reference_set}


def plan_grid(
    config: Path, output: Path | None = None, read: tuple[Analysis, Document] | None = None
) -> GridPlan:
    """Resolve and check a config with a grid; ``read`` is what it says, where known.

    Raises InputError with file, line, value and what is allowed: for whatever is wrong in the
    config, and when every cell is refused. A combination that has no evidence, no meaning or no
    engine is a cell that is refused.
    """
    check_output(output)
    analysis, document = read or read_analysis(config)
    grid, here = analysis.grid, config.resolve().parent
    if grid is None:
        raise InputError("has no grid", place=str(config))
    models = read_models(analysis, document, here)
    values = _values(analysis, grid)
    size = math.prod(len(options) for options in values.values())
    chosen = _chosen(grid, values, size, document)
    try:
        texts = {name: [as_text(option) for option in of] for name, of in values.items()}
        check_weights(texts, grid.estimand, grid.weights)
    except InputError as error:
        raise error.at(document.place(("grid", "weights"))) from None
    evidence = _Evidence(analysis.studies, grid, here)
    evidence.check(document)
    cells, reached = _cells(chosen, analysis, models, evidence)
    if all(cell.work is None for cell in cells):
        ((reason, count),) = Counter(cell.reason for cell in cells).most_common(1)
        raise InputError(
            f"none of the {len(cells)} cells can be fitted; {count} of them because: {reason}",
            place=document.place(("grid",)),
        )
    # What a model without any cell could be told is not known.
    if reached.keys() == models.keys():
        check_reached(analysis, document, set().union(*reached.values()))
    first = next(cell for cell in cells if cell.work is not None)
    studies = evidence.of(first.decisions)
    assert isinstance(studies, Studies)
    remarks = _remarks(analysis, len(cells), size)
    root = output or default_output(config)
    return GridPlan(config, analysis, models, studies, values, size, tuple(cells), remarks, root)


def _values(analysis: Analysis, grid: Grid) -> dict[str, tuple[Choice, ...]]:
    """Every decision of the tables with its values: the grid's own, and the config's lists."""
    named: dict[str, tuple[Choice, ...]] = {
        **grid.own,
        "intervals": analysis.studies.intervals,
        "model": analysis.models,
        "priors": tuple(analysis.priors),
    }
    return {name: named[name] for name in DECISIONS if name in named}


def _chosen(
    grid: Grid, values: Mapping[str, Sequence[Choice]], size: int, document: Document
) -> list[dict[str, Choice]]:
    """The combinations to fit: of the product what no constraint leaves out, and those besides."""
    constraints = _constraints(grid, values, document)
    if grid.sample is None:
        if size > MOST_CELLS:
            raise InputError(
                f"the product has {size:,} cells, more than {MOST_CELLS:,}; name fewer values, or "
                "a part of it, for instance sample: {cells: 2000, seed: 1}",
                place=document.place(("grid",)),
            )
        found = _allowed(_product(values), constraints)
    else:
        rng = np.random.default_rng(grid.sample.seed)
        found = _sampled(grid.sample.cells, rng, values, size, constraints)
    besides = [
        _besides(cell, values, document.place(("grid", "cells", index)))
        for index, cell in enumerate(grid.cells)
    ]
    everyone = {tuple(cell.values()): cell for cell in (*found, *besides)}
    if not everyone:
        drawn = " that was drawn; name fewer values" if size > LARGEST_LISTED else ""
        place = document.place(("grid", "unless"))
        raise InputError(f"unless leaves out every cell{drawn}", place=place)
    return list(everyone.values())


def _product(values: Mapping[str, Sequence[Choice]]) -> list[dict[str, Choice]]:
    """Every combination, the last decision moving fastest."""
    return [dict(zip(values, one, strict=True)) for one in product(*values.values())]


def _sampled(
    count: int,
    rng: np.random.Generator,
    values: Mapping[str, Sequence[Choice]],
    size: int,
    constraints: Sequence[Filter],
) -> list[dict[str, Choice]]:
    """So many different combinations that no constraint leaves out, each as likely as any other."""
    if size <= LARGEST_LISTED:
        every = _allowed(_product(values), constraints)
        if len(every) <= count:
            return every
        chosen = np.sort(rng.choice(len(every), count, replace=False))
        return [every[index] for index in chosen.tolist()]
    found: dict[tuple[int, ...], dict[str, Choice]] = {}
    for _ in range(min(TRIES, MOST_DRAWN // count)):
        drawn = zip(
            *(rng.integers(0, len(options), count).tolist() for options in values.values()),
            strict=True,
        )
        for places in drawn:
            items = zip(values.items(), places, strict=True)
            one = {name: options[place] for (name, options), place in items}
            if places not in found and _allowed([one], constraints):
                found[places] = one
            if len(found) == count:
                return [found[places] for places in sorted(found)]
    return [found[places] for places in sorted(found)]


def _constraints(
    grid: Grid, values: Mapping[str, Sequence[Choice]], document: Document
) -> list[Filter]:
    """The filters of ``unless``. Raises InputError where one speaks of what the grid has not."""
    found = []
    for index, text in enumerate(grid.unless):
        place = document.place(("grid", "unless", index))
        condition = parse_filter(text)
        for comparison in comparisons(condition):
            _check_comparison(comparison, values, place)
        found.append(condition)
    return found


def _check_comparison(
    comparison: Comparison, values: Mapping[str, Sequence[Choice]], place: str
) -> None:
    """Raise InputError for a decision, or a value of one, that the grid has not.

    Numbers are in an order, so that any may be a bound of theirs.
    """
    name = comparison.column
    if name not in values:
        raise InputError(
            f"unless: the grid has no decision {shown(name)}; {did_you_mean(name, values)}",
            place=place,
        )
    options = values[name]
    numbers = all(isinstance(option, float) for option in options)
    bounds = numbers and comparison.operator in ("<", "<=", ">", ">=")
    for value in comparison.values:
        # True is 1 where values are compared.
        is_number = isinstance(value, float)
        if (is_number and bounds) or (is_number == numbers and value in options):
            continue
        known = did_you_mean(str(value), map(as_text, options))
        raise InputError(f"unless: {name} has no value {shown(value)}; {known}", place=place)


def _allowed(
    combinations: Sequence[dict[str, Choice]], constraints: Sequence[Filter]
) -> list[dict[str, Choice]]:
    return [one for one in combinations if not any(_holds(each, one) for each in constraints)]


def _holds(condition: Filter, cell: Mapping[str, Choice]) -> bool:
    """Whether a filter over decisions keeps a combination. Unlike cells of data none is blank."""
    match condition:
        case Both(parts):
            return all(_holds(part, cell) for part in parts)
        case Either(parts):
            return any(_holds(part, cell) for part in parts)
        case Opposite(part):
            return not _holds(part, cell)
        case Comparison(name, "in", values):
            return cell[name] in values
        case Comparison(name, "not in", values):
            return cell[name] not in values
        case Comparison(name, symbol, values):
            return COMPARE[symbol](cell[name], values[0])


def _besides(
    cell: Mapping[str, Choice], values: Mapping[str, Sequence[Choice]], place: str
) -> dict[str, Choice]:
    """A combination that the config names: the first value of every decision that it does not."""
    for name, value in cell.items():
        if name not in values:
            raise InputError(
                f"cells: the grid has no decision {shown(name)}; {did_you_mean(name, values)}",
                place=place,
            )
        if value not in values[name]:
            raise InputError(
                f"cells: {name} has no value {shown(value)}; "
                + did_you_mean(str(value), map(str, values[name])),
                place=place,
            )
    return {name: cell.get(name, options[0]) for name, options in values.items()}


class _Evidence:
    """The evidence of combinations, each read once; a text where there is none says why."""

    def __init__(self, spec: StudiesSpec, grid: Grid, here: Path) -> None:
        self._spec, self._grid, self._here = spec, grid, here
        self._read: dict[tuple[Choice, ...], Studies | str] = {}

    def check(self, document: Document) -> None:
        """Raise InputError where the evidence has no row, a wrong one, or not the column of a rule.

        What the config says of it without the grid: a combination that counts fewer rows, or reads
        them otherwise, is a cell that may be refused.
        """
        measures = self._grid.measure or (self._spec.measure,)
        measure = "ZCOR" if "ZCOR" in measures else measures[0]
        # COR has no intervals, and covariances are on the scale of one measure.
        uses = measure != "COR" and "use" in self._spec.intervals
        changes = {"measure": measure, "covariance": None, "rho_within": 0.0}
        try:
            spec = self._spec.model_copy(update=changes)
            table = read_studies(spec, self._here, "use" if uses else "drop").table
        except InputError as error:
            raise error.at(document.place(("studies", "source"))) from None
        for rule, text in self._grid.where.items():
            if text is None:
                continue
            try:
                keeps(parse_filter(text), table)
            except InputError as error:
                place = document.place(("grid", "where", rule))
                raise InputError(f"where {shown(rule)}: {error}", place=place) from None

    def of(self, decisions: Mapping[str, Choice]) -> Studies | str:
        """The rows that a combination counts."""
        intervals = decisions["intervals"]
        place = self._place(decisions, intervals)
        if place not in self._read:
            self._read[place] = self._made(decisions, str(intervals))
        return self._read[place]

    def all_rows(self, decisions: Mapping[str, Choice]) -> Studies | None:
        """The same before interval rows are dropped, where the config uses them anywhere."""
        if "use" not in self._spec.intervals:
            return None
        found = self.of({**decisions, "intervals": "use"})
        return found if isinstance(found, Studies) else None

    def _place(self, decisions: Mapping[str, Choice], intervals: Choice) -> tuple[Choice, ...]:
        names = ("where", "measure", "statistic", "rho_within")
        return (intervals, *(decisions.get(name, "") for name in names))

    def _made(self, decisions: Mapping[str, Choice], intervals: str) -> Studies | str:
        spec = self._spec
        changes: dict[str, Choice | None] = {}
        if "where" in decisions:
            rules = [spec.where, self._grid.where[str(decisions["where"])]]
            texts = [f"({rule})" for rule in rules if rule is not None]
            changes["where"] = " and ".join(texts) or None
        changes |= {
            name: decisions[name] for name in ("measure", "rho_within") if name in decisions
        }
        statistic = decisions.get("statistic", "all")
        uses = intervals == "use" and statistic != "printed"
        try:
            found = read_studies(
                spec.model_copy(update=changes), self._here, "use" if uses else "drop"
            )
            return zero_order(found) if statistic == "zero-order" else found
        except InputError as error:
            return str(error)


def _cells(
    chosen: Sequence[Mapping[str, Choice]],
    analysis: Analysis,
    models: Mapping[str, tuple[Model, Path]],
    evidence: _Evidence,
) -> tuple[list[GridCell], dict[str, set[str]]]:
    """Every combination encoded, and by model the names under which prior sets reach it."""
    encoded: dict[tuple[Choice, ...], Encoding | str] = {}
    cells: list[GridCell] = []
    reached: dict[str, set[str]] = {}
    for decisions in chosen:
        what = tuple(value for name, value in decisions.items() if name != "priors")
        if what not in encoded:
            encoded[what] = _encoded(decisions, models, evidence)
        found = encoded[what]
        if isinstance(found, str):
            cells.append(GridCell(decisions, None, found))
            continue
        try:
            problem = found.under(analysis.priors[str(decisions["priors"])])
            reached.setdefault(str(decisions["model"]), set()).update(problem.names_reached)
            engine, reason = choose(problem, analysis.engine)
        except InputError as error:
            cells.append(GridCell(decisions, None, str(error)))
            continue
        key = key_of(problem, engine, analysis.sampler)
        cells.append(GridCell(decisions, Work(key, problem, engine, reason), reason))
    return cells, reached


def _encoded(
    decisions: Mapping[str, Choice],
    models: Mapping[str, tuple[Model, Path]],
    evidence: _Evidence,
) -> Encoding | str:
    studies = evidence.of(decisions)
    if isinstance(studies, str):
        return studies
    model, _ = models[str(decisions["model"])]
    parts = {name: decisions[name] for name in ("likelihood", "measurement") if name in decisions}
    changed = {name: value for name, value in parts.items() if getattr(model, name) != value}
    try:
        if changed:
            model = _with_parts(model, changed)
        return encoding(model, studies, all_rows=evidence.all_rows(decisions))
    except InputError as error:
        return str(error)


def _with_parts(model: Model, parts: Mapping[str, Choice]) -> Model:
    """The model with some of its parts said anew. Raises InputError where they have no place."""
    if model.custom is not None:
        said = " and ".join(f"{name}: {value}" for name, value in parts.items())
        raise InputError(f"custom model {model.custom} says its own parts, not {said}")
    return model.model_copy(update=parts)


def _remarks(analysis: Analysis, cells: int, size: int) -> tuple[str, ...]:
    """What a config with a grid says that has no use in one, and a sample that fell short."""
    unused = {
        "new_studies": bool(analysis.new_studies),
        "checks": bool(analysis.checks),
        "ensemble": analysis.ensemble is not None,
        "agreement": analysis.agreement,
    }
    remarks = [
        f"{name} has no use in a grid; run the config of a cell without it"
        for name, is_said in unused.items()
        if is_said
    ]
    sample = analysis.grid.sample if analysis.grid is not None else None
    if sample is not None and cells < sample.cells and size > LARGEST_LISTED:
        remarks.append(
            f"the sample has {cells:,} cells, not {sample.cells:,}: unless leaves out nearly all "
            "that were drawn; name fewer values"
        )
    return tuple(remarks)
