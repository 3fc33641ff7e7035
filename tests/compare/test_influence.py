"""Studies and assumptions in one ranking: one change at a time, the largest first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cases import alliance, problem
from metarho.compare.influence import changes
from metarho.compare.left_out import LeftOut
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import NOTHING, Summary

REFERENCE = ("random-effects", "default", "use")


def _fits() -> dict[tuple[str, str, str], Fit]:
    cells = {
        REFERENCE: problem(alliance()),
        ("random-effects", "sceptical", "use"): problem(alliance(), mu="Normal(mu=0, sigma=0.15)"),
        ("random-effects", "default", "drop"): problem(alliance("drop")),
        ("common-effect", "default", "use"): problem(alliance(), "common-effect"),
        # Two things changed: no assumption alone.
        ("common-effect", "sceptical", "use"): problem(
            alliance(), "common-effect", mu="Normal(mu=0, sigma=0.15)"
        ),
    }
    return dict(zip(cells, fit_many(list(cells.values()), Settings(engine="exact")), strict=True))


def test_every_change_is_alone_and_from_the_reference() -> None:
    fits = _fits()
    whole = fits[REFERENCE].pooled
    pooled = Summary(0.3, 0.03, 0.31, 0.25, 0.36)
    rows = (LeftOut("A", 2, pooled, NOTHING, NOTHING),
            LeftOut("B", 1, NOTHING, NOTHING, NOTHING, "improper"))  # fmt: skip
    found = changes(fits, REFERENCE, rows)
    named = {(change.kind, change.name): change for change in found}
    assert set(named) == {
        ("prior set", "sceptical"), ("intervals", "drop"), ("model", "common-effect"),
        ("study", "A"), ("study", "B"),
    }  # fmt: skip
    # The cell with two changes is none of them.
    assert len(found) == len(named)
    dropped = fits["random-effects", "default", "drop"].pooled
    assert whole.median is not None and dropped.median is not None and whole.lower is not None
    assert named["intervals", "drop"].median == pytest.approx(dropped.median - whole.median)
    assert named["study", "A"].lower == pytest.approx(0.25 - whole.lower)
    assert named["study", "B"].median is None


def test_the_largest_change_of_the_median_is_first_and_what_has_none_last() -> None:
    rows = (LeftOut("B", 1, NOTHING, NOTHING, NOTHING, "improper"),)
    found = changes(_fits(), REFERENCE, rows)
    sizes = [abs(change.median) for change in found[:-1] if change.median is not None]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == len(found) - 1
    assert found[-1].name == "B"


def test_a_reference_that_is_no_cell_is_an_error() -> None:
    fits = {REFERENCE: replace(_fits()[REFERENCE])}
    with pytest.raises(KeyError):
        changes(fits, ("other", "default", "use"), ())
