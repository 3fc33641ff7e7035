"""A study that has just come is a row like any other."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from cases import alliance
from metarho.data.new_study import NAME, NewStudy, with_new_study
from metarho.data.studies import Studies
from metarho.errors import InputError


def test_a_number_is_audited_as_in_a_table() -> None:
    studies = alliance()
    grown = with_new_study(studies, NewStudy(ri=0.05, ni=210))
    assert grown.k_effects == studies.k_effects + 1
    assert grown.k_studies == studies.k_studies + 1
    (row,) = [row for row in grown.used if row.study == NAME]
    assert row.yi == math.atanh(0.05) and row.vi == 1 / 207
    assert grown.overlaps == studies.overlaps


def test_a_word_is_an_interval() -> None:
    grown = with_new_study(alliance(), NewStudy(ni=60, reported="not significant"))
    (row,) = [row for row in grown.used if row.study == NAME]
    # t(58) at .975 is 2.0017; r = t/√(t² + df).
    assert row.ri_high == pytest.approx(2.0017 / math.sqrt(2.0017**2 + 58), abs=1e-5)
    assert row.lower == -(row.upper or 0) and row.reported == "not significant"


def test_moderators_stand_in_the_table_and_others_are_blank() -> None:
    grown = with_new_study(alliance(), NewStudy(ri=0.1, ni=50, moderators={"rater": "client"}))
    assert grown.table.column("rater")[-1] == "client"
    assert grown.table.column("guidance")[-1] is None
    assert len(grown.table.places) == len(grown.table.column("rater"))


FAULTS: dict[str, tuple[NewStudy, str]] = {
    "few people": (NewStudy(ri=0.1, ni=3), r"ni \(ni\) is 3; at least 4 people"),
    "no correlation": (NewStudy(ri=1.0, ni=50), "a correlation lies between -1 and 1"),
    "no people": (NewStudy(ri=0.1), "ni blank"),
    "nothing": (NewStudy(), "ri and ni blank"),
    "a word without people": (NewStudy(reported="not significant"), "an interval row needs n"),
    "half a range": (NewStudy(ni=50, reported="range", ri_low=0.1), "both ends"),
    "an unknown column": (
        NewStudy(ri=0.1, ni=50, moderators={"guidence": "guided"}),
        "no column 'guidence'; .*did you mean 'guidance'",
    ),
}


@pytest.mark.parametrize("case", list(FAULTS))
def test_a_study_that_no_table_could_hold_is_refused(case: str) -> None:
    new, said = FAULTS[case]
    with pytest.raises(InputError, match=said):
        with_new_study(alliance(), new)


def test_a_name_that_is_there_is_refused() -> None:
    studies: Studies = alliance()
    taken = studies.used[0].study
    with pytest.raises(InputError, match="already; give the new one another name"):
        with_new_study(studies, NewStudy(ri=0.1, ni=50, study=taken))


def test_where_intervals_are_dropped_a_word_says_nothing() -> None:
    with pytest.raises(InputError, match="interval rows are dropped here"):
        with_new_study(alliance("drop"), NewStudy(ni=50, reported="not significant"))


def test_other_measures_take_their_own_numbers() -> None:
    studies = replace(alliance("drop"), measure="GEN")
    grown = with_new_study(studies, NewStudy(yi=0.2, sei=0.1))
    assert grown.rows[-1].yi == 0.2 and grown.rows[-1].vi == pytest.approx(0.01, rel=1e-15)
    cor = with_new_study(replace(studies, measure="COR"), NewStudy(ri=0.2, ni=101))
    assert cor.rows[-1].vi == pytest.approx(0.96**2 / 100, rel=1e-14)
