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

    Raises InputError where no row is left, a moderator cannot be encoded, or the moderators are
    collinear.
    """
    exact, blanks = _numbers_only(studies), 0
    formula = mods or "~ 1"
    if not is_intercept_only(formula):
        complete = exact.dropping_blanks(sorted(columns_of(formula)))
        exact, blanks = complete, exact.k_effects - complete.k_effects
    design = encode_studies(formula, reference or {}, exact, exact)
    rank = np.linalg.matrix_rank(design.matrix)
    if rank < design.matrix.shape[1]:
        raise InputError(
            f"the moderators {formula} are collinear in the {exact.k_effects} rows with a number: "
            f"{design.matrix.shape[1]} coefficients, {rank} of them determined"
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


def _numbers_only(studies: Studies) -> Studies:
    return studies.dropping_intervals() if any(r.is_interval for r in studies.used) else studies
