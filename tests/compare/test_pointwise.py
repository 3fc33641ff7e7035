"""Scores by study add up to those of the table, and are those of the same study elsewhere."""

from __future__ import annotations

import pytest

from cases import alliance, molloy, problem
from metarho.compare.pointwise import COLUMNS, pointwise
from metarho.compare.scores import elpd
from metarho.compare.which_prior import Candidate
from metarho.fitting import Settings, fit_many

SETS = {"default": {}, "sceptical": {"mu": "Normal(mu=0, sigma=0.05)"}}


def test_differences_add_up_to_that_of_elpds_study_by_study() -> None:
    fits = fit_many([problem(molloy(), **one) for one in SETS.values()], Settings())
    candidates = [
        Candidate("random-effects", name, "use", fit) for name, fit in zip(SETS, fits, strict=True)
    ]
    rows = pointwise(candidates, "default")
    assert len(rows) == 32 and all(tuple(row) == COLUMNS for row in rows)
    own, other = (elpd(fit) for fit in fits)
    assert own is not None and other is not None
    sceptical = [row for row in rows if row["prior"] == "sceptical"]
    assert sum(float(str(row["elpd_diff"])) for row in sceptical) == pytest.approx(other - own)
    assert [row["study"] for row in sceptical] == list(fits[0].problem.evidence.study_names)
    assert all(row["elpd_diff"] == 0 for row in rows if row["prior"] == "default")
    one = fits[1].leave_out
    assert one is not None
    assert (
        sceptical[3]["crps"] == one.studies[3].crps and sceptical[3]["pit"] == one.studies[3].pit[0]
    )


def test_without_its_reference_a_candidate_has_scores_and_no_differences() -> None:
    fits = fit_many([problem(alliance("drop"))], Settings())
    rows = pointwise([Candidate("random-effects", "own", "drop", fits[0])], "default")
    assert all(row["elpd"] is not None and row["elpd_diff"] is None for row in rows)
