"""Studies: every row audited, every fault named with its place."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metarho.data.effect_sizes import critical_r
from metarho.data.studies import Row, Studies, load_studies
from metarho.errors import InputError
from metarho.spec.analysis import Intervals, Measure

EXACT = {"ri": "r", "ni": "n", "study": "study", "effect": "id"}
FORMS = {"ri": "r", "ni": "n", "reported": "form", "ri_low": "low", "ri_high": "high"}
GEN = {"yi": "y", "vi": "v", "reported": "form", "yi_low": "low", "yi_high": "high"}
FORMS_HEADER = "form,r,low,high,n"
GEN_HEADER = "form,y,v,low,high"


def load(
    folder: Path,
    content: str,
    columns: Mapping[str, str] | None = None,
    measure: Measure = "ZCOR",
    where: str | None = None,
    intervals: Intervals = "use",
) -> Studies:
    path = folder / "t.csv"
    path.write_text(content, encoding="utf-8")
    return load_studies(
        path, measure=measure, columns=columns or EXACT, where=where, intervals=intervals
    )


def only(folder: Path, row: str) -> Row:
    """The one row of a table with all forms of evidence."""
    return load(folder, f"{FORMS_HEADER}\n{row}\n", FORMS).rows[0]


def refusal(
    folder: Path,
    content: str,
    columns: Mapping[str, str] | None = None,
    measure: Measure = "ZCOR",
    where: str | None = None,
    intervals: Intervals = "use",
) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, content, columns, measure, where, intervals)
    return str(caught.value).replace(str(folder / "t.csv"), "")


FAULTS = {
    "a text for r": ("A,1,x,20", ":3: r is 'x'; a number is needed"),
    "a text for n": ("A,1,.3,many", ":3: n is 'many'; a number is needed"),
    "a decimal comma": ('A,1,"0,3",20', ":3: r is '0,3'; a number is needed"),
    "an infinite r": ("A,1,inf,20", ":3: r is 'inf'; a number is needed"),
    "an r beyond range": ("A,1,1e999,20", ":3: r is '1e999'; a finite number is needed"),
    "an r of 1": ("A,1,1,20", ":3: r (ri) is 1.0; a correlation lies between -1 and 1"),
    "an r of -1": ("A,1,-1.00,20", ":3: r (ri) is -1.0; a correlation lies between -1 and 1"),
    "an r of 30": ("A,1,30,20", ":3: r (ri) is 30.0; a correlation lies between -1 and 1"),
    "an n of 3": ("A,1,.3,3", ":3: n (ni) is 3; at least 4 people are needed"),
    "an n just below 4": ("A,1,.3,3.99", ":3: n (ni) is 3.99; at least 4 people are needed"),
    "a negative n": ("A,1,.3,-20", ":3: n (ni) is -20; at least 4 people are needed"),
    "a bad n without an r": ("A,1,NA,2", ":3: n (ni) is 2; at least 4 people are needed"),
    "a blank study": (",1,.3,20", ":3: study (study) is blank"),
    "a blank effect": ("A,NA,.3,20", ":3: id (effect) is blank"),
    "a doubled effect": ("Z,9,.3,20", ":3: the effect '9' of study 'Z' stands at :2 too"),
    "a doubled effect with spaces": ("Z , 9,.3,20", ":3: the effect '9' of study 'Z' stands at :2"),
    "a doubled effect without an r": ("Z,9,,20", ":3: the effect '9' of study 'Z' stands at :2"),
}


@pytest.mark.parametrize("row, said", FAULTS.values(), ids=FAULTS)
def test_a_fault_in_a_row_is_named_with_file_line_and_value(
    tmp_path: Path, row: str, said: str
) -> None:
    assert refusal(tmp_path, f"study,id,r,n\nZ,9,.1,30\n{row}\n").startswith(said)


def test_one_label_in_two_studies_is_two_effects(tmp_path: Path) -> None:
    studies = load(tmp_path, "study,id,r,n\nA,1,.3,20\nB,1,.3,20\nA,01,.3,20\n")
    assert (studies.k_effects, studies.k_studies) == (3, 2)


def test_four_people_are_enough(tmp_path: Path) -> None:
    assert load(tmp_path, "study,id,r,n\nA,1,.3,4\n").used[0].vi == 1.0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("A,1,,20", "r blank"),
        ("A,1,NA,20", "r blank"),
        ("A,1,.3, ", "n blank"),
        ("A,1,NA,NA", "r and n blank"),
    ],
)
def test_a_blank_number_puts_a_row_out_with_its_reason(
    tmp_path: Path, row: str, reason: str
) -> None:
    studies = load(tmp_path, f"study,id,r,n\n{row}\nB,2,.3,20\n")
    assert (studies.rows[0].included, studies.rows[0].reason) == (False, reason)
    assert [row.study for row in studies.used] == ["B"]


def test_the_audit_keeps_every_row_in_file_order_with_a_reason(tmp_path: Path) -> None:
    content = "study,id,r,n\nC,1,.3,20\nB,1,,20\nA,1,.2,30\nD,1,x,2\n"
    studies = load(tmp_path, content, where="study != 'D'")
    audit = [(row.study, row.included, row.reason) for row in studies.rows]
    assert audit == [
        ("C", True, "a number"),
        ("B", False, "r blank"),
        ("A", True, "a number"),
        ("D", False, "removed by the filter"),
    ]
    assert [row.place.rpartition(":")[2] for row in studies.rows] == ["2", "3", "4", "5"]


def test_a_filtered_row_is_not_checked_beyond_being_readable(tmp_path: Path) -> None:
    content = "study,id,r,n\nA,1,.3,20\nA,1,7,1\n,,x,y\n"
    assert load(tmp_path, content, where="r == '.3'").k_effects == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_in_the_file_does_not_change_what_is_used(
    tmp_path: Path, seed: int
) -> None:
    lines = [
        f"{study},{effect},.{effect}{k},2{k}" for k, study in enumerate("CAB") for effect in "213"
    ]
    shuffled = random.Random(seed).sample(lines, len(lines))
    assert shuffled != lines
    first = load(tmp_path, "\n".join(["study,id,r,n", *lines]))
    second = load(tmp_path, "\n".join(["study,id,r,n", *shuffled]))
    values = [(row.study, row.effect, row.yi, row.vi) for row in second.used]
    assert values == [(row.study, row.effect, row.yi, row.vi) for row in first.used]
    assert [value[:2] for value in values] == [(s, e) for s in "ABC" for e in "123"]
    assert second.moderator("r") == first.moderator("r")


def test_a_moderator_is_read_at_the_rows_used(tmp_path: Path) -> None:
    content = "study,id,r,n,x\nB,1,.3,20,b\nA,1,,20,a\nA,2,.2,30,c\n"
    assert load(tmp_path, content).moderator("x") == ("c", "b")


def test_without_labels_every_row_is_its_own_study(tmp_path: Path) -> None:
    studies = load(tmp_path, "r,n\n.3,20\n.3,20\n", {"ri": "r", "ni": "n"})
    assert [(row.study, row.sample, row.effect) for row in studies.rows] == [
        ("row 1", "row 1", "1"),
        ("row 2", "row 2", "1"),
    ]


def test_without_labels_effects_are_numbered_within_their_study(tmp_path: Path) -> None:
    content = "study,r,n\nB,.3,20\nA,.3,20\n B,.4,20\nB,.5,20\n"
    columns = {"ri": "r", "ni": "n", "study": "study"}
    labels = [(row.study, row.effect) for row in load(tmp_path, content, columns).rows]
    assert labels == [("B", "1"), ("A", "1"), ("B", "2"), ("B", "3")]
    kept = load(tmp_path, content, columns, where="r != .3")
    assert [(row.study, row.effect) for row in kept.rows] == labels


def test_the_sample_is_the_study_unless_it_is_mapped(tmp_path: Path) -> None:
    content = "study,id,arm,r,n\nA,1,x,.3,20\n"
    assert load(tmp_path, content).rows[0].sample == "A"
    assert load(tmp_path, content, {**EXACT, "sample": "arm"}).rows[0].sample == "x"


COLUMNS_FAULTS: dict[str, tuple[Measure, dict[str, str], str]] = {
    "a column that is not there": (
        "ZCOR",
        {"ri": "rr", "ni": "n"},
        ": has no column 'rr'; allowed: id, n, r, s, study, v, y; did you mean 'r'?",
    ),
    "a role that is not mapped": ("COR", {"ri": "r"}, ": measure COR needs the column of ni"),
    "a misspelt role": ("ZCOR", {"reportd": "r"}, "columns: no role 'reportd'; allowed: alpha"),
    "GEN without yi": ("GEN", {"vi": "v"}, ": measure GEN needs the column of yi"),
    "GEN without a spread": ("GEN", {"yi": "y"}, ": measure GEN needs the column of vi or of sei"),
    "GEN with two spreads": (
        "GEN",
        {"yi": "y", "vi": "v", "sei": "s"},
        ": measure GEN needs the column of vi or of sei, one of the two",
    ),
}


@pytest.mark.parametrize("measure, columns, said", COLUMNS_FAULTS.values(), ids=COLUMNS_FAULTS)
def test_a_fault_in_the_columns_is_named(
    tmp_path: Path, measure: Measure, columns: dict[str, str], said: str
) -> None:
    content = "study,id,r,n,y,v,s\nA,1,.3,20,1,1,1\n"
    assert refusal(tmp_path, content, columns, measure).startswith(said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"measure": "SMD"}, "no measure 'SMD'; allowed: COR, GEN, ZCOR"),
        ({"intervals": "both"}, "intervals is 'use' or 'drop', not 'both'"),
    ],
)
def test_a_word_that_is_no_option_is_refused_from_python_too(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_studies("internet-alliance", **options)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("content", "where", "why"),
    [
        ("A,1,,20", None, "no row is left: r blank"),
        ("A,1,.3,20", "study == 'B'", "no row is left: removed by the filter"),
        ("A,1,,20\nB,1,.3,20", "study == 'A'", "no row is left: r blank; removed by the filter"),
    ],
)
def test_evidence_without_a_row_is_refused_with_the_reasons(
    tmp_path: Path, content: str, where: str | None, why: str
) -> None:
    assert refusal(tmp_path, f"study,id,r,n\n{content}\n", where=where) == f": {why}"


def test_a_word_becomes_its_interval_on_z(tmp_path: Path) -> None:
    limit = math.atanh(critical_r(40))
    expected = {
        "not significant": (-limit, limit),
        "significant positive": (limit, math.inf),
        "significant negative": (-math.inf, -limit),
    }
    for word, ends in expected.items():
        row = only(tmp_path, f"{word},,,,40")
        assert (row.lower, row.upper) == ends
        assert (row.is_interval, row.yi, row.vi) == (True, None, 1 / 37)
        assert row.included and row.reason == "an interval"


def test_a_range_becomes_its_interval_on_z(tmp_path: Path) -> None:
    row = only(tmp_path, "range,,-.1,.3,40")
    assert (row.lower, row.upper) == (math.atanh(-0.1), math.atanh(0.3))
    assert (row.ri_low, row.ri_high, row.reason) == (-0.1, 0.3, "an interval")


def test_an_exact_row_is_a_number_whatever_its_ends_say(tmp_path: Path) -> None:
    row = only(tmp_path, "exact,.2,.1,.3,40")
    assert (row.is_interval, row.yi, row.reason) == (False, math.atanh(0.2), "a number")


FORM_FAULTS = {
    "an unknown word": ("ns,,,,40", "form (reported) is 'ns'; allowed: exact, not significant"),
    "a blank word": (",.3,,,40", "form (reported) is ''; allowed: exact"),
    "a word without n": ("not significant,,,,", "an interval row needs n, but n is blank"),
    "a range without n": ("range,,.1,.3,NA", "an interval row needs n, but n is blank"),
    "a word with n of 3": ("not significant,,,,3", "n (ni) is 3; at least 4 people"),
    "a range without an end": ("range,,.1,,40", "a range needs both ends, but high is blank"),
    "a range without a start": ("range,,,.1,40", "a range needs both ends, but low is blank"),
    "a range turned round": ("range,,.3,.1,40", "the range from 0.3 to 0.1 is empty; the lower"),
    "a range of one point": ("range,,.1,.1,40", "the range from 0.1 to 0.1 is empty"),
    "a range beyond 1": ("range,,.1,1,40", "high (ri_high) is 1.0; a correlation lies between"),
    "a range of words": ("range,,low,.3,40", "low is 'low'; a number is needed"),
}


@pytest.mark.parametrize("row, said", FORM_FAULTS.values(), ids=FORM_FAULTS)
def test_a_fault_in_an_interval_row_is_named_with_its_line(
    tmp_path: Path, row: str, said: str
) -> None:
    content = f"{FORMS_HEADER}\nexact,.3,,,40\n{row}\n"
    assert refusal(tmp_path, content, FORMS).startswith(f":3: {said}")


def test_a_misspelt_word_gets_the_nearest_one(tmp_path: Path) -> None:
    content = f"{FORMS_HEADER}\nsignificant postive,,,,40\n"
    assert "did you mean 'significant positive'?" in refusal(tmp_path, content, FORMS)


def test_a_range_without_columns_for_its_ends_says_which(tmp_path: Path) -> None:
    columns = {"ri": "r", "ni": "n", "reported": "form"}
    message = refusal(tmp_path, f"{FORMS_HEADER}\nrange,,.1,.3,40\n", columns)
    assert message == ":2: a range needs the columns of ri_low and ri_high"


@pytest.mark.parametrize("form", ["not significant", "significant positive", "range"])
def test_cor_refuses_interval_rows_by_name_unless_they_are_dropped(
    tmp_path: Path, form: str
) -> None:
    content = f"{FORMS_HEADER}\nexact,.3,,,40\n{form},,.1,.2,40\n"
    message = refusal(tmp_path, content, FORMS, "COR")
    assert message.startswith(f":3: '{form}' is interval evidence; measure COR cannot use it")
    assert "ZCOR" in message and "exact-r" in message and "intervals: drop" in message
    studies = load(tmp_path, content, FORMS, "COR", intervals="drop")
    assert [row.reason for row in studies.rows] == ["a number", "interval rows are dropped"]


def test_dropping_intervals_keeps_the_audit_and_the_numbers(tmp_path: Path) -> None:
    content = f"{FORMS_HEADER}\nexact,.3,,,40\nnot significant,,,,40\nexact,,,,40\n"
    used = load(tmp_path, content, FORMS)
    dropped = used.dropping_intervals()
    assert dropped.rows == load(tmp_path, content, FORMS, intervals="drop").rows
    reasons = [row.reason for row in dropped.rows]
    assert reasons == ["a number", "interval rows are dropped", "r blank"]
    assert (used.k_effects, dropped.k_effects, dropped.intervals) == (2, 1, "drop")


def test_dropping_intervals_may_not_leave_nothing(tmp_path: Path) -> None:
    content = f"{FORMS_HEADER}\nnot significant,,,,40\n"
    message = refusal(tmp_path, content, FORMS, intervals="drop")
    assert message == ": no row is left when interval rows are dropped"


@pytest.mark.parametrize(("role", "spread"), [("vi", "0.25"), ("sei", "0.5")])
def test_general_effects_take_a_variance_or_a_standard_error(
    tmp_path: Path, role: str, spread: str
) -> None:
    studies = load(tmp_path, f"y,s\n1.5,{spread}\n", {"yi": "y", role: "s"}, "GEN")
    assert (studies.rows[0].yi, studies.rows[0].vi, studies.scale) == (1.5, 0.25, "yi")


@pytest.mark.parametrize("measure, scale", [("ZCOR", "z"), ("COR", "r")])
def test_the_scale_is_the_measure_s(tmp_path: Path, measure: Measure, scale: str) -> None:
    assert load(tmp_path, "study,id,r,n\nA,1,.3,20\n", measure=measure).scale == scale


@pytest.mark.parametrize(("role", "spread"), [("vi", "0"), ("vi", "-1"), ("sei", "0")])
def test_a_spread_that_is_not_positive_is_refused(tmp_path: Path, role: str, spread: str) -> None:
    message = refusal(tmp_path, f"y,s\n1,{spread}\n", {"yi": "y", role: "s"}, "GEN")
    assert message == f":2: s ({role}) is {float(spread)!r}; it must be greater than 0"


@pytest.mark.parametrize("spread", ["1e-200", "1e200"])
def test_a_standard_error_whose_square_is_lost_is_refused(tmp_path: Path, spread: str) -> None:
    message = refusal(tmp_path, f"y,s\n1,{spread}\n", {"yi": "y", "sei": "s"}, "GEN")
    assert message.startswith(f":2: s (sei) is {float(spread)!r}; its square must be")


def test_general_effects_may_be_ranges(tmp_path: Path) -> None:
    row = load(tmp_path, f"{GEN_HEADER}\nrange,,.25,-2,3\n", GEN, "GEN").rows[0]
    assert (row.lower, row.upper, row.vi, row.yi) == (-2.0, 3.0, 0.25, None)


GEN_FAULTS = {
    "a word": ("not significant,,.25,,", "'not significant': words on significance need r and n"),
    "a range without a spread": ("range,,,1,2", "an interval row needs vi, but v is blank"),
    "a range without an end": ("range,,.25,1,", "a range needs both ends, but high is blank"),
    "a range turned round": ("range,,.25,2,1", "the range from 2.0 to 1.0 is empty"),
}


@pytest.mark.parametrize("row, said", GEN_FAULTS.values(), ids=GEN_FAULTS)
def test_a_fault_in_a_general_interval_row_is_named(tmp_path: Path, row: str, said: str) -> None:
    message = refusal(tmp_path, f"{GEN_HEADER}\n{row}\n", GEN, "GEN")
    assert message.startswith(f":2: {said}")


def test_a_blank_general_effect_is_out_with_its_reason(tmp_path: Path) -> None:
    studies = load(tmp_path, f"{GEN_HEADER}\nexact,1,.25,,\nexact,,,,\n", GEN, "GEN")
    assert studies.rows[1].reason == "y and v blank"


@pytest.mark.parametrize("rho", [-0.1, 1.0, float("nan")])
def test_a_correlation_of_errors_outside_0_to_1_is_refused(rho: float) -> None:
    with pytest.raises(InputError, match="rho_within is a number from 0 to below 1"):
        load_studies("internet-alliance", rho_within=rho)


REPORT = {**FORMS, "alpha": "a", "tests": "m", "word_means": "w", "statistic": "s"}
REPORT_HEADER = "form,r,low,high,n,a,m,w,s"


def test_errors_may_be_taken_to_correlate_otherwise(tmp_path: Path) -> None:
    studies = load_studies("internet-alliance", where='role == "main"')
    assert studies.with_errors_correlated(0.6) == load_studies(
        "internet-alliance", where='role == "main"', rho_within=0.6
    )
    with pytest.raises(InputError, match="from 0 to below 1, not 1"):
        studies.with_errors_correlated(1.0)
    known = replace(studies, covariances=((0, 1, 0.001),))
    with pytest.raises(InputError, match="give one of them"):
        known.with_errors_correlated(0.5)


def test_words_are_about_tests_at_their_own_level(tmp_path: Path) -> None:
    content = f"{REPORT_HEADER}\nnot significant,,,,50,0.01,,,\nnot significant,,,,50,,,,\n"
    path = tmp_path / "t.csv"
    path.write_text(content, encoding="utf-8")
    own, default = load_studies(path, columns=REPORT, alpha=0.1).rows
    assert own.ri_high == critical_r(50, 0.01)
    assert default.ri_high == critical_r(50, 0.1)
    # t with 48 df, from printed tables.
    assert critical_r(50, 0.1) == pytest.approx(1.6772 / math.sqrt(1.6772**2 + 48), abs=1e-5)
    assert critical_r(50, 0.01) == pytest.approx(2.6822 / math.sqrt(2.6822**2 + 48), abs=1e-5)


def test_a_word_sums_up_several_tests_all_or_any_of_them(tmp_path: Path) -> None:
    forms = ["not significant", "significant positive", "significant negative"]
    lines = [f"{form},,,,50,,3,," for form in forms]
    lines += ["not significant,,,,50,,2,any,regression", "exact,.2,,,50,,,,correlation"]
    rows = load(tmp_path, "\n".join([REPORT_HEADER, *lines]), REPORT).rows
    assert [row.word_means for row in rows] == ["all", "any", "any", "any", "all"]
    assert [row.tests for row in rows] == [3, 3, 3, 2, 1]
    assert [row.is_zero_order for row in rows] == [True, True, True, False, True]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("not significant,,,,50,1.5,,,", "a (alpha) is 1.5; it lies between 0 and 1"),
        ("not significant,,,,50,,0,,", "m (tests) is 0.0; it is a whole number from 1 to 1000"),
        ("not significant,,,,50,,2.5,,", "m (tests) is 2.5"),
        ("not significant,,,,50,,2,both,", "w (word_means) is 'both'; allowed: all, any"),
        ("exact,.1,,,50,,,,beta", "s (statistic) is 'beta'; allowed: correlation"),
    ],
)
def test_a_fault_in_what_a_word_says_is_named(tmp_path: Path, row: str, named: str) -> None:
    assert named in refusal(tmp_path, f"{REPORT_HEADER}\n{row}\n", REPORT)


def test_levels_and_correlations_of_tests_lie_between_0_and_1() -> None:
    with pytest.raises(InputError, match="alpha is a number between 0 and 1, not 1"):
        load_studies("internet-alliance", alpha=1)
    with pytest.raises(InputError, match="rho_tests is a number between 0 and 1, not 1"):
        load_studies("internet-alliance", rho_tests=1)
