"""The effects that classical methods see: numbers with sampling variances, and moderators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from metarho.data.design import encode_studies
from metarho.data.studies import DROPPED, Studies
from metarho.engines.problem import Correlated, evidence_of
from metarho.errors import InputError
from metarho.spec.formulas import columns_of, is_intercept_only

type Array = NDArray[np.float64]


class NotEstimableError(InputError):
    """These effects do not determine what was asked; the sentence says why."""


@dataclass(frozen=True)
class Effects:
    """k effects on the model's scale: y, sampling variances v, design x (k × p) with its names.

    Rows of one ``study`` (numbered 0, 1, …) stand together. ``correlated`` are the groups of rows
    whose sampling errors are not independent. ``sizes`` are people, NaN where unknown.
    ``intervals`` and ``blanks`` count the rows that printed no number, or no moderator, and are
    therefore not here.
    """

    y: Array
    v: Array
    x: Array
    names: tuple[str, ...]
    study: NDArray[np.intp]
    labels: tuple[str, ...]
    sizes: Array
    scale: str = "yi"
    correlated: tuple[Correlated, ...] = ()
    intervals: int = 0
    blanks: int = 0
    one_level: tuple[str, ...] = ()
    """Factors of which the rows with a number have one level: they have no coefficient."""
    study_names: tuple[str, ...] = field(default=())

    @property
    def k(self) -> int:
        """Number of effects."""
        return len(self.y)

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return int(self.x.shape[1])

    @property
    def k_studies(self) -> int:
        """Number of studies."""
        return len(np.unique(self.study))

    def without_moderators(self) -> Effects:
        """The same effects around one mean."""
        return replace(self, x=np.ones((self.k, 1)), names=("intrcpt",))

    def on(self, predictor: Array, name: str) -> Effects:
        """The same effects with one more moderator (k)."""
        x = np.column_stack([self.x, predictor])
        return replace(self, x=x, names=(*self.names, name))

    def only(self, rows: NDArray[np.bool_]) -> Effects:
        """Some of the effects, their errors taken as independent: for two-level methods."""
        return replace(
            self,
            y=self.y[rows],
            v=self.v[rows],
            x=self.x[rows],
            study=self.study[rows],
            labels=tuple(label for label, kept in zip(self.labels, rows, strict=True) if kept),
            sizes=self.sizes[rows],
            correlated=(),
        )


def effects_of_arrays(y: Array, v: Array, x: Array | None = None) -> Effects:
    """Effects from arrays (k): each its own study, errors independent; x (k × p) or one mean."""
    k = len(y)
    design = np.ones((k, 1)) if x is None else x
    names = ("intrcpt", *(f"x{column}" for column in range(1, design.shape[1])))
    labels = tuple(str(row + 1) for row in range(k))
    unknown = np.full(k, np.nan)
    study = np.arange(k, dtype=np.intp)
    return Effects(y, v, design, names, study, labels, unknown, study_names=labels)


def effects_of(
    studies: Studies, mods: str | None = None, reference: Mapping[str, str] | None = None
) -> Effects:
    """The effects of studies that printed a number, with moderators as the model encodes them.

    Rows without a number cannot enter and are counted; so are rows with a blank moderator.

    Raises InputError where no row is left, a number is too large or too small to compute with, a
    moderator cannot be encoded, or the moderators are collinear.
    """
    exact, blanks = _numbers_only(studies), 0
    formula = "~ 1" if mods is None else mods
    if not is_intercept_only(formula):
        complete = exact.dropping_blanks(sorted(columns_of(formula)))
        exact, blanks = complete, exact.k_effects - complete.k_effects
    _check_sizes(exact)
    design = encode_studies(formula, reference or {}, exact, exact)
    largest = float(np.abs(design.matrix).max())
    if largest > _LARGEST_EFFECT:
        raise InputError(
            f"a moderator of {formula} is {largest:g}; classical methods compute with moderators "
            f"of size up to {_LARGEST_EFFECT:g}: give it in other units",
            place=studies.table.source,
        )
    rank = determined(design.matrix)
    if rank < design.matrix.shape[1]:
        raise InputError(
            f"the moderators {formula} are collinear in the {exact.k_effects} rows with a number: "
            f"{design.matrix.shape[1]} coefficients, {rank} of them determined; leave one out, or "
            "center what is far from 0",
            place=studies.table.source,
        )
    evidence = evidence_of(exact)
    return Effects(
        evidence.y,
        evidence.v,
        design.matrix,
        ("intrcpt", *design.names[1:]),
        evidence.study,
        evidence.effect_names,
        evidence.sizes,
        exact.scale,
        evidence.correlated,
        sum((r.included and r.is_interval) or r.reason == DROPPED for r in studies.rows),
        blanks,
        tuple(name for name, levels in design.levels.items() if len(levels) == 1),
        evidence.study_names,
    )


# Sums of squared variances times cubed weights stay finite numbers within these.
_LARGEST_EFFECT, _VARIANCES = 1e30, (1e-60, 1e60)


def _check_sizes(studies: Studies) -> None:
    low, high = _VARIANCES
    for row in studies.used:
        assert row.yi is not None and row.vi is not None
        if abs(row.yi) > _LARGEST_EFFECT or not low <= row.vi <= high:
            raise InputError(
                f"the effect is {row.yi:g} with sampling variance {row.vi:g}; classical methods "
                f"compute with effects of size up to {_LARGEST_EFFECT:g} and variances from "
                f"{low:g} to {high:g}: give them in other units, or leave the row out",
                place=row.place,
            )


# R's lm, by which metafor looks for moderators that say nothing new, has the same limit. What is
# left of a column beside the others has half the digits of a double there, and its variance none.
_COLLINEAR = 1e-7


def determined(x: Array) -> int:
    """How many coefficients a design (k × p) determines, whatever the units of its columns."""
    largest = np.abs(x).max(axis=0, initial=0.0)
    columns = x / np.where(largest > 0, largest, 1.0)
    size = np.sqrt((columns**2).sum(axis=0))
    return int(np.linalg.matrix_rank(columns / np.where(size > 0, size, 1.0), tol=_COLLINEAR))


def _numbers_only(studies: Studies) -> Studies:
    return studies.dropping_intervals() if any(r.is_interval for r in studies.used) else studies
