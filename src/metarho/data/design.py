"""Moderators as a design matrix, and what encoding learned, so that new studies are encoded alike.

Factors are treatment-coded; the reference is the model's or the first level in sorted order.
Nothing is centred unless the formula says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metarho.data.studies import Studies
from metarho.data.tables import Cell, is_blank, is_numeric, number, text
from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.formulas import columns_of, is_intercept_only

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Design:
    """The encoded moderators of k rows.

    ``matrix`` is k × p, the intercept first; ``names`` its columns; ``terms`` the formula's
    term behind each column. ``levels`` (reference first) and ``cells`` (the raw moderators of
    the rows used) are all that encoding learned, as plain values; ``learned`` are the cells it
    learned from where these are others. Rows with a blank cell, which
    imputation fills (``missing.py``), stand at the average of the others.
    """

    formula: str
    names: tuple[str, ...]
    terms: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    cells: Mapping[str, tuple[Cell, ...]]
    matrix: NDArray[np.float64]
    learned: Mapping[str, tuple[Cell, ...]] | None = None

    @property
    def coefficients(self) -> dict[str, str]:
        """Slope column -> its term."""
        return dict(zip(self.names[1:], self.terms[1:], strict=True))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which rows have all their moderators."""
        return _complete(self.cells, len(self.matrix))

    @property
    def column_sds(self) -> dict[str, float]:
        """Slope column -> its sd (by k) over rows with all moderators; 0 where all are alike."""
        known = self.matrix[self.known]
        sds = np.where(np.ptp(known, axis=0) > 0, known.std(axis=0), 0.0)
        return dict(zip(self.names[1:], sds[1:].tolist(), strict=True))

    @property
    def average(self) -> NDArray[np.float64]:
        """The average row x̄ over the evidence (shape p)."""
        return np.asarray(self.matrix[self.known].mean(axis=0))

    def encode(self, profile: Mapping[str, str | float]) -> NDArray[np.float64]:
        """The row of a new study (shape p).

        Moderators that the profile does not name stand at their average over the evidence:
        the named ones are set in every row, and the encoded rows averaged.

        Raises InputError for an unknown level, listing the levels there are.
        """
        named = {name: value for name, value in profile.items() if name in self.cells}
        if not named:
            return self.average
        known = self.known.tolist()
        cells = {name: tuple(compress(column, known)) for name, column in self.cells.items()}
        count = sum(known)
        for name, value in named.items():
            if name in self.levels and text(value) not in self.levels[name]:
                raise InputError(
                    f"{name} has no level {shown(value)}; "
                    + did_you_mean(text(value), self.levels[name])
                )
            if name not in self.levels and not is_numeric([value]):
                raise InputError(f"{name} must be a number, not {shown(value)}")
            cells[name] = (value,) * count
        row = np.asarray(self.rows_of(cells).mean(axis=0))
        if not np.isfinite(row).all():
            at = ", ".join(f"{name} {value}" for name, value in named.items())
            raise InputError(f"{self.formula} has no finite value at {at}")
        return row

    def described(self, profile: Mapping[str, str | float]) -> str:
        """Where a profile stands, moderator by moderator; empty without moderators."""
        return "; ".join(
            f"{name} {text(profile[name])}" if name in profile else f"{name} at its average"
            for name in self.cells
        )

    def beyond(self, profile: Mapping[str, str | float]) -> tuple[str, ...]:
        """Numeric moderators that a profile sets outside of the evidence's range, in words."""
        found = []
        for name, value in profile.items():
            if name not in self.cells or name in self.levels:
                continue
            values = [x for cell in self.cells[name] if (x := number(cell)) is not None]
            asked = number(value)
            if asked is not None and not min(values) <= asked <= max(values):
                found.append(
                    f"{name} {asked:g} lies beyond the evidence ({min(values):g} to "
                    f"{max(values):g}): an extrapolation along the model's line"
                )
        return tuple(found)

    def rows_of(self, cells: Mapping[str, tuple[Cell, ...]]) -> NDArray[np.float64]:
        """Rows of the design at any moderators, encoded as the evidence is: (rows, p)."""
        spec = _matrix(self.formula, _frame(self._learned, self.levels)).model_spec
        try:
            with np.errstate(all="ignore"):
                encoded = spec.get_model_matrix(
                    _frame(cells, self.levels), context={}, na_action="ignore"
                )
        except Exception as error:  # splines beyond their knots, and what else formulaic raises
            said = str(error).splitlines()[0]
            raise InputError(f"{self.formula} cannot be encoded there: {said}") from None
        return np.asarray(encoded, dtype=float)

    @property
    def _learned(self) -> Mapping[str, tuple[Cell, ...]]:
        """The cells that centres, scales and knots are of: those of rows without blanks."""
        if self.learned is not None:
            return self.learned
        known = self.known.tolist()
        return {name: tuple(compress(column, known)) for name, column in self.cells.items()}

    def only(self, rows: NDArray[np.bool_]) -> Design:
        """The design of some rows; what encoding learned stays."""
        cells = {
            name: tuple(compress(column, rows.tolist())) for name, column in self.cells.items()
        }
        return replace(self, cells=cells, matrix=self.matrix[rows], learned=self._learned)

    def with_row(self, row: NDArray[np.float64]) -> Design:
        """The design with one more row (p) at its end, which ``encode`` made.

        Its cells are blank: averages, centres and knots stay what the evidence made them.
        """
        cells: dict[str, tuple[Cell, ...]] = {
            name: (*column, None) for name, column in self.cells.items()
        }
        return replace(self, cells=cells, matrix=np.vstack([self.matrix, row]))

    def prior_only(self) -> tuple[str, ...]:
        """Slopes that no row informs: a factor level without rows."""
        silent = ~np.any(self.matrix[self.known] != 0, axis=0)
        return tuple(name for name, is_silent in zip(self.names, silent, strict=True) if is_silent)

    def empty_references(self) -> dict[str, str]:
        """Factors whose reference level has no rows, with that level."""
        return {
            name: levels[0]
            for name, levels in self.levels.items()
            if levels[0] not in {text(cell) for cell in self.cells[name]}
        }

    def far_from_zero(self) -> tuple[str, ...]:
        """Numeric moderators used as they are whose zero lies far outside their data.

        Far: further from the data's range than the range is wide. Then ``mu``, the mean where
        the moderator is 0, speaks of studies that nobody ran.
        """
        far = []
        for name in dict.fromkeys(self.terms[1:]):
            cells = self.cells.get(name.strip("`"))
            if cells is None or name.strip("`") in self.levels:
                continue
            values = np.array([number(cell) for cell in cells if not is_blank(cell)], dtype=float)
            low, high = values.min(), values.max()
            if low - (high - low) > 0 or high + (high - low) < 0:
                far.append(name)
        return tuple(far)


def encode_studies(
    formula: str,
    reference: Mapping[str, str],
    studies: Studies,
    all_rows: Studies,
    *,
    blanks: bool = False,
) -> Design:
    """Encode the moderators of ``studies``; levels come from ``all_rows`` (before any drop).

    Blank moderators are refused unless ``blanks`` are allowed, which are then to be imputed.

    Raises InputError for a missing column, a blank moderator (naming the rows), a reference
    that is no level, and values that are not finite after a transformation.
    """
    levels = levels_of(formula, reference, all_rows, blanks=blanks)
    return encode_at_levels(formula, levels, studies)


def levels_of(
    formula: str, reference: Mapping[str, str], studies: Studies, *, blanks: bool = False
) -> dict[str, tuple[str, ...]]:
    """The levels of a formula's factors in the evidence, reference first.

    Raises InputError for a missing column, a blank moderator unless ``blanks`` are allowed, and a
    reference that is no level.
    """
    if is_intercept_only(formula):
        return {}
    names = sorted(columns_of(formula))
    levels: dict[str, tuple[str, ...]] = {}
    for name in names:
        cells = studies.moderator(name)
        if not blanks:
            _check_blank(name, cells, studies)
        if not is_numeric(cells) or _inside_c(name, formula):
            levels[name] = _ordered_levels(name, cells, reference.get(name))
    for name in reference:
        if name not in names:
            raise InputError(
                f"reference: {name!r} is no moderator of {formula}; {did_you_mean(name, names)}"
            )
        if name not in levels:
            raise InputError(f"reference: {name} is a number here, it has no levels")
    return levels


def encode_at_levels(
    formula: str, levels: Mapping[str, tuple[str, ...]], studies: Studies
) -> Design:
    """Encode the moderators of studies, the levels of factors known.

    Raises InputError for a missing column, and values that are not finite after a transformation.
    """
    if is_intercept_only(formula):
        return Design(formula, ("Intercept",), ("1",), {}, {}, np.ones((studies.k_effects, 1)))
    cells = {name: studies.moderator(name) for name in sorted(columns_of(formula))}
    known = _complete(cells, studies.k_effects)
    if not known.any():
        raise InputError(f"no row has all the moderators of {formula}: nothing to impute from")
    learned = {name: tuple(compress(column, known.tolist())) for name, column in cells.items()}
    matrix = _matrix(formula, _frame(learned, levels))
    values = np.zeros((len(known), np.shape(matrix)[1]))
    values[known] = matrix
    values[~known] = values[known].mean(axis=0)
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        rows = ", ".join(row.place for row, is_bad in zip(studies.used, bad, strict=True) if is_bad)
        raise InputError(f"the formula {formula!r} gives no finite value in {rows}")
    spec = matrix.model_spec
    terms = [""] * values.shape[1]
    for term, indices in spec.term_indices.items():
        for index in indices:
            terms[index] = str(term)
    return Design(formula, tuple(spec.column_names), tuple(terms), levels, cells, values)


def _ordered_levels(name: str, cells: tuple[Cell, ...], reference: str | None) -> tuple[str, ...]:
    found = sorted({text(cell) for cell in cells if not is_blank(cell)}, key=_natural)
    if reference is None:
        return tuple(found)
    if reference not in found:
        raise InputError(
            f"reference: {name} has no level {reference!r}; {did_you_mean(reference, found)}"
        )
    return (reference, *(level for level in found if level != reference))


def _natural(level: str) -> tuple[int, float, str]:
    """Numbers in their order, before texts in theirs."""
    try:
        return (0, float(level), level)
    except ValueError:
        return (1, 0.0, level)


def _inside_c(name: str, formula: str) -> bool:
    return re.search(rf"\bC\(\s*`?{re.escape(name)}`?\s*[,)]", formula) is not None


def _check_blank(name: str, cells: tuple[Cell, ...], studies: Studies) -> None:
    blank = [row.place for row, cell in zip(studies.used, cells, strict=True) if is_blank(cell)]
    if blank:
        raise InputError(
            f"the moderator {name} is blank in {', '.join(blank)}; fill it in, leave these rows "
            "out with where, or say in the model: missing: drop, or missing: impute"
        )


def _complete(cells: Mapping[str, tuple[Cell, ...]], count: int) -> NDArray[np.bool_]:
    """Which of ``count`` rows have no blank cell."""
    found = np.ones(count, dtype=bool)
    for column in cells.values():
        found &= [not is_blank(cell) for cell in column]
    return found


def _frame(
    cells: Mapping[str, tuple[Cell, ...]], levels: Mapping[str, tuple[str, ...]]
) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            name: pd.Categorical([text(cell) for cell in column], categories=list(levels[name]))
            if name in levels
            else [number(cell) for cell in column]
            for name, column in cells.items()
        }
    )


def _matrix(formula: str, frame: pd.DataFrame) -> Any:
    """Formulaic's model matrix, with no names but the columns and formulaic's own transforms."""
    import formulaic

    try:
        with np.errstate(all="ignore"):
            return formulaic.Formula(formula).get_model_matrix(
                frame, context={}, na_action="ignore"
            )
    except (formulaic.errors.FormulaicError, ValueError, TypeError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"the formula {formula!r} cannot be encoded: {said}") from None
