"""What moves the answer more: a study, or an assumption? Each changed alone, on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from metarho.compare.left_out import LeftOut
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary

type CellName = tuple[str, str, str]
"""Model, prior set, intervals."""

type Kind = Literal["study", "model", "prior set", "intervals"]


@dataclass(frozen=True)
class Change:
    """The pooled answer when one thing is changed, and what its median and lower end gain.

    On the readers' scale (r; GEN: yi). None where one of the two does not exist.
    """

    kind: Kind
    name: str
    pooled: Summary
    median: float | None
    lower: float | None


def changes(
    fits: Mapping[CellName, Fit], reference: CellName, left_out: Sequence[LeftOut]
) -> tuple[Change, ...]:
    """All changes from the reference cell, the largest of the median first.

    Of the cells those count that differ from the reference in one choice; ``left_out`` are the
    studies of the reference, each left out. Changes without a median come last. Raises KeyError
    where the reference is no cell.
    """
    whole = fits[reference].pooled
    found = [
        _change(kind, cell[place], fit.pooled, whole)
        for cell, fit in fits.items()
        if (one := _only_difference(cell, reference)) is not None
        for place, kind in [one]
    ]
    found += [_change("study", row.study, row.pooled, whole) for row in left_out]
    return tuple(sorted(found, key=lambda c: -1.0 if c.median is None else abs(c.median),
                        reverse=True))  # fmt: skip


def _only_difference(cell: CellName, reference: CellName) -> tuple[int, Kind] | None:
    """Where a cell differs from the reference, if that is in one place."""
    kinds: tuple[Kind, ...] = ("model", "prior set", "intervals")
    places = [index for index in range(3) if cell[index] != reference[index]]
    return (places[0], kinds[places[0]]) if len(places) == 1 else None


def _change(kind: Kind, name: str, pooled: Summary, whole: Summary) -> Change:
    return Change(
        kind, name, pooled, _gain(pooled.median, whole.median), _gain(pooled.lower, whole.lower)
    )


def _gain(new: float | None, old: float | None) -> float | None:
    return None if new is None or old is None else new - old
