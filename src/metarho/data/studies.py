"""Studies: every row of a table audited, and the rows that count as effects.

A row is one effect: an exact value (yi, vi) or an interval. Every row of the source stays in
the audit, in or out, with the reason.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from metarho.data import effect_sizes
from metarho.data.covariance import Covariances, checked_covariances, read_covariances
from metarho.data.selection import keeps
from metarho.data.shipped import shipped_columns, shipped_table
from metarho.data.tables import Cell, Table, is_blank, number, read_table, text
from metarho.errors import InputError, did_you_mean, shown
from metarho.representations import Shown
from metarho.spec.analysis import Columns, Intervals, Measure
from metarho.spec.document import without_control
from metarho.spec.filters import parse_filter

if TYPE_CHECKING:
    from rich.console import RenderableType

# As many rows as show what a table holds; all of them are in ``used``.
FIRST_ROWS = 10

# Why a row is out that says that r lies in an interval, and whose evidence was not to be used.
DROPPED = "interval rows are dropped"

SCALE: Mapping[str, str] = {"ZCOR": "z", "COR": "r", "GEN": "yi"}


@dataclass(frozen=True)
class Row:
    """One row of the source with what became of it. yi, vi, lower, upper on the model's scale.

    rxx and ryy are reliabilities in the population, ux the sd of x in the sample over that there.
    Words are about two-sided tests at ``alpha``. An interval may sum up several ``tests``, of which
    ``word_means`` that all, or that any, lie in it; their errors correlate by ``rho_tests``.
    ``statistic`` is what the number or word is about.
    """

    place: str
    index: int
    study: str
    sample: str
    effect: str
    reported: str
    included: bool
    reason: str
    ri: float | None = None
    ni: float | None = None
    ri_low: float | None = None
    ri_high: float | None = None
    yi: float | None = None
    vi: float | None = None
    lower: float | None = None
    upper: float | None = None
    rxx: float | None = None
    ryy: float | None = None
    ux: float | None = None
    alpha: float = effect_sizes.ALPHA
    tests: int = 1
    word_means: str = "all"
    rho_tests: float = 0.5
    statistic: str = ""

    @property
    def is_interval(self) -> bool:
        """Whether the evidence of the row is an interval, not a number."""
        return self.lower is not None

    @property
    def is_zero_order(self) -> bool:
        """Whether it is about a correlation, nothing partialled out, or does not say."""
        return self.statistic in ("", "correlation")


@dataclass(frozen=True)
class Studies:
    """The evidence: audited rows, the table they come from, and how they were read."""

    table: Table
    measure: Measure
    intervals: Intervals
    rows: tuple[Row, ...]
    rho_within: float = 0.0
    covariances: Covariances = ()
    """Pairs of rows whose sampling errors covary, where the covariance is known."""
    overlaps: tuple[str, ...] = ()
    """Names of what the evidence holds (set, file, DOI): a prior made from it uses it twice."""

    @property
    def scale(self) -> str:
        """The model's scale: z, r or yi."""
        return SCALE[self.measure]

    @cached_property
    def used(self) -> tuple[Row, ...]:
        """The rows that count, sorted by study and effect, so that file order cannot matter."""
        rows = [row for row in self.rows if row.included]
        return tuple(sorted(rows, key=lambda row: (row.study, row.effect)))

    @property
    def k_effects(self) -> int:
        """Number of rows used."""
        return len(self.used)

    @property
    def k_studies(self) -> int:
        """Number of studies they come from."""
        return len({row.study for row in self.used})

    def __repr__(self) -> str:
        """Where they come from, and how many there are."""
        return f"<Studies {self._title}>"

    def __rich__(self) -> RenderableType:
        """What a terminal shows of them: the first rows used."""
        return self._shown.rich()

    def _repr_html_(self) -> str:
        """What a notebook shows of them."""
        return self._shown.html()

    @property
    def _title(self) -> str:
        source = without_control(self.table.source)
        return (
            f"{source}: {self.k_effects} effects from {self.k_studies} studies "
            f"(measure {self.measure}; {len(self.rows)} rows read)"
        )

    @property
    def _shown(self) -> Shown:
        def plain(value: float | None) -> str:
            return "" if value is None else f"{value:.4g}"

        first = self.used[:FIRST_ROWS]
        rows = tuple(
            (r.study, r.effect, r.reported, *map(plain, (r.ri, r.ni, r.yi, r.vi, r.lower, r.upper)))
            for r in first
        )
        left = len(self.used) - len(first)
        more = (f"and {left} more",) if left else ()
        on = f"yi, vi, lower and upper are on the scale {self.scale}"
        columns = ("study", "effect", "reported", "ri", "ni", "yi", "vi", "lower", "upper")
        return Shown(self._title, columns, rows, (*more, on), names=3)

    def moderator(self, name: str) -> tuple[Cell, ...]:
        """A column of the source at the rows used."""
        cells = self.table.column(name)
        return tuple(cells[row.index] for row in self.used)

    def dropping_intervals(self) -> Studies:
        """The same evidence without its interval rows. Raises InputError if no row is left."""
        return replace(self, intervals="drop", rows=_drop_intervals(self.rows, self.table.source))

    def with_errors_correlated(self, rho_within: float) -> Studies:
        """The same evidence, sampling errors within a sample correlating otherwise.

        Raises InputError where it is no correlation, and where their covariance is known.
        """
        _check_errors(rho_within, known=bool(self.covariances))
        return replace(self, rho_within=rho_within)

    def dropping_blanks(self, names: Iterable[str]) -> Studies:
        """The same evidence without rows whose moderators are blank.

        Raises InputError if no row is left.
        """
        columns = {name: self.table.column(name) for name in names}
        blank = [
            [name for name, cells in columns.items() if is_blank(cells[row.index])]
            for row in self.rows
        ]
        rows = tuple(
            replace(row, included=False, reason=f"{' and '.join(names)} blank (missing: drop)")
            if row.included and names
            else row
            for row, names in zip(self.rows, blank, strict=True)
        )
        if not any(row.included for row in rows):
            raise InputError(
                f"no row is left when rows with a blank {' or '.join(columns)} are dropped",
                place=self.table.source,
            )
        return replace(self, rows=rows)


def load_studies(
    source: str | Path,
    *,
    measure: Measure = "ZCOR",
    columns: Columns | Mapping[str, str] | None = None,
    where: str | None = None,
    intervals: Intervals = "use",
    rho_within: float = 0.0,
    covariance: str | Path | None = None,
    overlaps: Iterable[str] = (),
    alpha: float = effect_sizes.ALPHA,
    rho_tests: float = 0.5,
) -> Studies:
    """Read and audit a table.

    ``source`` is the name of a shipped data set or a path (.csv, .tsv, .parquet, .xlsx).
    ``columns`` maps roles to the file's columns; a shipped set brings its own mapping. Unmapped
    ``study``: every row is its own study; unmapped ``effect``: its own effect. ``rho_within``, from
    0 to below 1, is the correlation of the sampling errors of effects from one sample; in its place
    ``covariance`` may name a table that holds their covariance matrix, a row and a column for each
    row of the source, on the model's scale. ``overlaps`` names publications (DOIs) or data sets
    whose studies the evidence holds: a cited prior made from one of them is remarked on.
    ``alpha`` is the two-sided level that words on
    significance are about where the column alpha names none; ``rho_tests``, between 0 and 1, the
    correlation of the errors of several tests that one word sums up.

    Raises InputError with file, row, value and what is allowed.

    >>> studies = load_studies("internet-alliance", where='role == "main"')
    >>> studies.k_effects, studies.k_studies
    (28, 19)
    >>> studies.used[0].study, studies.used[0].is_interval
    ('Anderson 2012', False)
    """
    if measure not in SCALE:
        raise InputError(f"no measure {measure!r}; {did_you_mean(str(measure), SCALE)}")
    if intervals not in ("use", "drop"):
        raise InputError(f"intervals is 'use' or 'drop', not {intervals!r}")
    _check_errors(rho_within, known=covariance is not None)
    for name, value in (("alpha", alpha), ("rho_tests", rho_tests)):
        if not 0 < value < 1:
            raise InputError(f"{name} is a number between 0 and 1, not {value!r}")
    table, own = _table(source)
    rows = audited(table, _roles(columns, own), measure, where, intervals, (alpha, rho_tests))
    covariances: Covariances = ()
    if covariance is not None:
        matrix = read_covariances(Path(covariance), len(table))
        v = [row.vi if row.included else None for row in rows]
        covariances = checked_covariances(matrix, v, [row.study for row in rows], str(covariance))
    name = str(source) if _is_shipped(source) else Path(source).name
    held = tuple(dict.fromkeys([name, *overlaps]))
    return Studies(table, measure, intervals, rows, rho_within, covariances, held)


def _check_errors(rho_within: float, *, known: bool) -> None:
    if not 0 <= rho_within < 1:
        raise InputError(f"rho_within is a number from 0 to below 1, not {rho_within!r}")
    if known and rho_within:
        raise InputError("covariance and rho_within both say how errors covary; give one of them")


def roles_of(source: str, columns: Columns | None) -> dict[str, str]:
    """Role -> column of a source: as a config maps them, or as a shipped set brings them."""
    own = shipped_columns(source) if _is_shipped(source) else None
    return _roles(columns, own)


def audited(
    table: Table,
    roles: Mapping[str, str],
    measure: Measure,
    where: str | None,
    intervals: Intervals,
    defaults: tuple[float, float],
) -> tuple[Row, ...]:
    """Every row of a table, in or out: columns have ``roles``, ``defaults`` are alpha, rho_tests.

    Raises InputError with place, value and what is allowed, and when no row is left.
    """
    _check_roles(roles, measure, table)
    kept = keeps(parse_filter(where), table) if where is not None else [True] * len(table)
    numbers = _numbers_in_study(table, roles)
    rows = tuple(
        read_row(table, index, roles, numbers[index], measure, intervals, defaults)
        if keep
        else _filtered(table, index, roles, numbers[index])
        for index, keep in enumerate(kept)
    )
    _check_unique(rows)
    if intervals == "drop":
        rows = _drop_intervals(rows, table.source)
    if not any(row.included for row in rows):
        why = "; ".join(sorted({row.reason for row in rows}))
        raise InputError(f"no row is left: {why}", place=table.source)
    return rows


def _table(source: str | Path) -> tuple[Table, Columns | None]:
    if not _is_shipped(source):
        return read_table(Path(source)), None
    return shipped_table(str(source)), shipped_columns(str(source))


def _is_shipped(source: str | Path) -> bool:
    """Whether a source is the name of a shipped set, not a path."""
    return not (isinstance(source, Path) or "/" in source or Path(source).suffix)


def _roles(columns: Columns | Mapping[str, str] | None, own: Columns | None) -> dict[str, str]:
    if isinstance(columns, Columns):
        return columns.mapped
    if columns is not None:
        for role in columns:
            if role not in Columns.model_fields:
                raise InputError(
                    f"columns: no role {role!r}; {did_you_mean(role, Columns.model_fields)}"
                )
        return dict(columns)
    return own.mapped if own else {}


def _check_roles(roles: Mapping[str, str], measure: Measure, table: Table) -> None:
    for column in roles.values():
        table.column(column)
    needed = ["yi"] if measure == "GEN" else ["ri", "ni"]
    for role in needed:
        if role not in roles:
            raise InputError(
                f"measure {measure} needs the column of {role}: map it under columns "
                f"({role}: NAME); the table has {', '.join(table.columns)}",
                place=table.source,
            )
    if measure == "GEN" and ("vi" in roles) == ("sei" in roles):
        raise InputError(
            "measure GEN needs the column of vi or of sei, one of the two", place=table.source
        )


def _labels(
    table: Table, index: int, roles: Mapping[str, str], number_in_study: str
) -> tuple[str, str, str]:
    """Study, sample and effect of a row."""

    def label(role: str, default: str) -> str:
        if role not in roles:
            return default
        cell = table.column(roles[role])[index]
        if is_blank(cell):
            raise InputError(f"{roles[role]} ({role}) is blank", place=table.places[index])
        return text(cell)

    study = label("study", f"row {index + 1}")
    return study, label("sample", study), label("effect", number_in_study)


def _numbers_in_study(table: Table, roles: Mapping[str, str]) -> list[str]:
    """Labels of effects that have none: each row's number among the rows of its study."""
    if "study" not in roles:
        return ["1"] * len(table)
    counts: Counter[str] = Counter()
    numbers = []
    for cell in table.column(roles["study"]):
        counts[text(cell)] += 1
        numbers.append(str(counts[text(cell)]))
    return numbers


def _filtered(table: Table, index: int, roles: Mapping[str, str], number_in_study: str) -> Row:
    def label(role: str, default: str) -> str:
        return text(table.column(roles[role])[index]) if role in roles else default

    study = label("study", f"row {index + 1}")
    return Row(
        table.places[index],
        index,
        study,
        study,
        label("effect", number_in_study),
        "",
        False,
        "removed by the filter",
    )


NUMBERS = (
    *("ri", "ni", "ri_low", "ri_high", "yi", "vi", "sei", "yi_low", "yi_high"),
    *("rxx", "ryy", "ux", "alpha", "tests"),
)
"""Roles that hold numbers."""


def read_row(
    table: Table,
    index: int,
    roles: Mapping[str, str],
    number_in_study: str,
    measure: Measure,
    intervals: Intervals,
    defaults: tuple[float, float],
) -> Row:
    """A row of a table, audited: from what it printed to an effect size or an interval.

    ``defaults`` are alpha and rho_tests. Raises InputError with place, value and what is allowed.
    """
    place = table.places[index]
    study, sample, effect = _labels(table, index, roles, number_in_study)
    values = {role: _number(table, index, roles[role]) for role in NUMBERS if role in roles}
    reported = "exact"
    if "reported" in roles:
        reported = text(table.column(roles["reported"])[index])
        if reported not in effect_sizes.REPORTED:
            raise InputError(
                f"{roles['reported']} (reported) is {shown(reported)}; "
                + did_you_mean(reported, effect_sizes.REPORTED),
                place=place,
            )
    _check_artefacts(values, roles, place)
    row = Row(place, index, study, sample, effect, reported, True, "")
    row = replace(row, rxx=values.get("rxx"), ryy=values.get("ryy"), ux=values.get("ux"))
    row = _with_report(row, table, values, roles, defaults)
    if measure == "GEN":
        return _gen_row(row, values, roles)
    _check_correlations(values, roles, place)
    row = replace(row, ri=values.get("ri"), ni=values.get("ni"))
    if reported == "exact":
        blank = [roles[role] for role in ("ri", "ni") if values.get(role) is None]
        if blank:
            return replace(row, included=False, reason=f"{' and '.join(blank)} blank")
        assert row.ri is not None and row.ni is not None
        yi, vi = (effect_sizes.zcor if measure == "ZCOR" else effect_sizes.cor)(row.ri, row.ni)
        return replace(row, yi=yi, vi=vi, reason="a number")
    if measure == "COR":
        if intervals == "drop":
            return replace(row, included=False, reason=DROPPED)
        raise InputError(
            f"{shown(reported)} is interval evidence; measure COR cannot use it because its "
            "variance needs r: use measure ZCOR, likelihood exact-r, or intervals: drop",
            place=place,
        )
    if row.ni is None:
        raise InputError(f"an interval row needs n, but {roles['ni']} is blank", place=place)
    if reported == "range":
        low, high = _range(values, roles, "ri_low", "ri_high", place)
    else:
        low, high = effect_sizes.word_interval(reported, row.ni, row.alpha)
    _, vi = effect_sizes.zcor(0.0, row.ni)
    return replace(
        row,
        ri_low=low,
        ri_high=high,
        lower=effect_sizes.to_z(low),
        upper=effect_sizes.to_z(high),
        vi=vi,
        reason="an interval",
    )


def _check_artefacts(
    values: Mapping[str, float | None], roles: Mapping[str, str], place: str
) -> None:
    for role, most in (("rxx", 1.0), ("ryy", 1.0), ("ux", math.inf)):
        value = values.get(role)
        if value is not None and not 0 < value <= most:
            ends = "above 0" if role == "ux" else "above 0, up to 1"
            raise InputError(f"{roles[role]} ({role}) is {value!r}; it lies {ends}", place=place)


def _with_report(
    row: Row,
    table: Table,
    values: Mapping[str, float | None],
    roles: Mapping[str, str],
    defaults: tuple[float, float],
) -> Row:
    """The row with what is known of its tests: their level and number, and what its word means."""
    alpha, rho_tests = defaults
    if (own := values.get("alpha")) is not None:
        if not 0 < own < 1:
            raise InputError(
                f"{roles['alpha']} (alpha) is {own!r}; it lies between 0 and 1", place=row.place
            )
        alpha = own
    tests = values.get("tests")
    tests = 1 if tests is None else tests
    if not (1 <= tests <= effect_sizes.MOST_TESTS and tests == int(tests)):
        raise InputError(
            f"{roles['tests']} (tests) is {tests!r}; it is a whole number from 1 to "
            f"{effect_sizes.MOST_TESTS}",
            place=row.place,
        )
    means = _choice(row, table, roles, "word_means", effect_sizes.WORD_MEANS)
    return replace(
        row,
        alpha=alpha,
        tests=int(tests),
        word_means=means or effect_sizes.usual_meaning(row.reported),
        rho_tests=rho_tests,
        statistic=_choice(row, table, roles, "statistic", effect_sizes.STATISTICS),
    )


def _choice(
    row: Row, table: Table, roles: Mapping[str, str], role: str, allowed: tuple[str, ...]
) -> str:
    """The word in a column of words, empty where it is blank or not mapped."""
    if role not in roles:
        return ""
    cell = table.column(roles[role])[row.index]
    if is_blank(cell):
        return ""
    if text(cell) not in allowed:
        raise InputError(
            f"{roles[role]} ({role}) is {shown(text(cell))}; " + did_you_mean(text(cell), allowed),
            place=row.place,
        )
    return text(cell)


def _gen_row(row: Row, values: Mapping[str, float | None], roles: Mapping[str, str]) -> Row:
    role = "vi" if "vi" in roles else "sei"
    spread = values.get(role)
    if spread is not None and spread <= 0:
        raise InputError(
            f"{roles[role]} ({role}) is {spread!r}; it must be greater than 0", place=row.place
        )
    vi = None if spread is None else spread if role == "vi" else spread * spread
    if vi is not None and not 0 < vi < math.inf:
        raise InputError(
            f"{roles[role]} ({role}) is {spread!r}; its square must be a positive finite number",
            place=row.place,
        )
    row = replace(row, ni=values.get("ni"))
    if row.reported == "exact":
        blank = [roles[r] for r in ("yi", role) if values.get(r) is None]
        if blank:
            return replace(row, included=False, reason=f"{' and '.join(blank)} blank")
        return replace(row, yi=values["yi"], vi=vi, reason="a number")
    if row.reported != "range":
        raise InputError(
            f"{shown(row.reported)}: words on significance need r and n; with measure GEN write "
            "a range with yi_low and yi_high",
            place=row.place,
        )
    if vi is None:
        raise InputError(
            f"an interval row needs {role}, but {roles[role]} is blank", place=row.place
        )
    low, high = _range(values, roles, "yi_low", "yi_high", row.place)
    return replace(row, lower=low, upper=high, vi=vi, reason="an interval")


def _number(table: Table, index: int, column: str) -> float | None:
    cell = table.column(column)[index]
    try:
        return number(cell)
    except ValueError as error:
        raise InputError(
            f"{column} is {shown(cell)}; {error} (leave it blank, or NA, if there is none)",
            place=table.places[index],
        ) from None


def _check_correlations(
    values: Mapping[str, float | None], roles: Mapping[str, str], place: str
) -> None:
    for role in ("ri", "ri_low", "ri_high"):
        value = values.get(role)
        if value is not None and abs(value) >= 1:
            raise InputError(
                f"{roles[role]} ({role}) is {value!r}; a correlation lies between -1 and 1",
                place=place,
            )
    ni = values.get("ni")
    if ni is not None and ni < 4:
        raise InputError(
            f"{roles['ni']} (ni) is {ni:g}; at least 4 people are needed, for the variance "
            "1/(n - 3) to exist",
            place=place,
        )


def _range(
    values: Mapping[str, float | None], roles: Mapping[str, str], low: str, high: str, place: str
) -> tuple[float, float]:
    for role in (low, high):
        if role not in roles:
            raise InputError(f"a range needs the columns of {low} and {high}", place=place)
    lower, upper = values[low], values[high]
    if lower is None or upper is None:
        raise InputError(
            f"a range needs both ends, but {roles[low if lower is None else high]} is blank",
            place=place,
        )
    if not lower < upper:
        raise InputError(
            f"the range from {lower!r} to {upper!r} is empty; the lower end comes first",
            place=place,
        )
    return lower, upper


def _check_unique(rows: tuple[Row, ...]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.reason == "removed by the filter":
            continue
        label = (row.study, row.effect)
        if label in seen:
            raise InputError(
                f"the effect {shown(row.effect)} of study {shown(row.study)} stands at "
                f"{seen[label]} too; an effect label is unique within its study",
                place=row.place,
            )
        seen[label] = row.place


def _drop_intervals(rows: tuple[Row, ...], source: str) -> tuple[Row, ...]:
    dropped = tuple(
        replace(row, included=False, reason=DROPPED) if row.included and row.is_interval else row
        for row in rows
    )
    if not any(row.included for row in dropped):
        raise InputError("no row is left when interval rows are dropped", place=source)
    return dropped
