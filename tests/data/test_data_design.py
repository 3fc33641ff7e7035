"""The design: levels, reference, average row, profiles, and what no row informs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases import alliance
from metarho.data.design import Design, encode_studies
from metarho.data.studies import Studies, load_studies
from metarho.errors import InputError

# Sorted by id: guided 1, 2, 4; blended 3 (an interval); unguided 5. Years and n are numbers.
CONTENT = """\
id,form,r,n,guidance,wave,year,mean age,note
e1,exact,.1,40,guided,2,2011,30,
e2,exact,.2,50,guided,10,2012,40,a
e3,not significant,,60,blended,2,2013,50,b
e4,exact,.4,70,guided,1,2014,60,c
e5,exact,.5,80,unguided,10,2015,20,d
"""
COLUMNS = {"effect": "id", "study": "id", "ri": "r", "ni": "n", "reported": "form"}


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    """Five effects, one of them an interval."""
    path = tmp_path / "t.csv"
    path.write_text(CONTENT, encoding="utf-8")
    return load_studies(path, columns=COLUMNS)


def encode(studies: Studies, formula: str, **reference: str) -> Design:
    return encode_studies(formula, reference, studies, studies)


def with_column(studies: Studies, name: str, cells: str) -> Studies:
    """The studies with one more column, its cells given with spaces between."""
    columns = {**studies.table.columns, name: tuple(cells.split())}
    return replace(studies, table=replace(studies.table, columns=columns))


def refusal(studies: Studies, formula: str, **reference: str) -> str:
    with pytest.raises(InputError) as caught:
        encode(studies, formula, **reference)
    return str(caught.value).replace(f"{studies.table.source}", "")


def test_without_moderators_the_design_is_a_column_of_ones(studies: Studies) -> None:
    design = encode(studies, "~ 1")
    assert design.matrix.tolist() == [[1.0]] * 5
    assert (design.names, design.coefficients) == (("Intercept",), {})
    assert design.encode({"guidance": "anything"}).tolist() == [1.0]


def test_a_factor_is_coded_against_its_first_level(studies: Studies) -> None:
    design = encode(studies, "~ guidance")
    assert design.levels == {"guidance": ("blended", "guided", "unguided")}
    assert design.names == ("Intercept", "guidance[T.guided]", "guidance[T.unguided]")
    assert design.matrix[:, 1].tolist() == [1, 1, 0, 1, 0]
    assert design.matrix[:, 2].tolist() == [0, 0, 0, 0, 1]


def test_the_reference_of_the_model_comes_first(studies: Studies) -> None:
    design = encode(studies, "~ guidance", guidance="guided")
    assert design.levels == {"guidance": ("guided", "blended", "unguided")}
    assert design.names[1:] == ("guidance[T.blended]", "guidance[T.unguided]")
    assert design.matrix[:, 1].tolist() == [0, 0, 1, 0, 0]


def test_every_column_knows_its_term(studies: Studies) -> None:
    design = encode(studies, "~ guidance + center(year)")
    assert design.coefficients == {
        "guidance[T.guided]": "guidance",
        "guidance[T.unguided]": "guidance",
        "center(year)": "center(year)",
    }


def test_levels_of_numbers_stand_in_the_order_of_numbers(studies: Studies) -> None:
    assert encode(studies, "~ C(wave)").levels == {"wave": ("1", "2", "10")}


def test_one_text_among_numbers_makes_a_factor(studies: Studies) -> None:
    design = encode_studies("~ mixed", {}, *(with_column(studies, "mixed", "1 2 x 2 1"),) * 2)
    assert design.levels == {"mixed": ("1", "2", "x")}


def test_numbers_are_factors_only_inside_c(studies: Studies) -> None:
    design = encode(studies, "~ wave")
    assert design.levels == {}
    assert design.matrix[:, 1].tolist() == [2, 10, 2, 1, 10]


def test_nothing_is_centred_unless_the_formula_says_so(studies: Studies) -> None:
    assert encode(studies, "~ year").matrix[:, 1].tolist() == [2011, 2012, 2013, 2014, 2015]
    assert encode(studies, "~ center(year)").matrix[:, 1].tolist() == [-2, -1, 0, 1, 2]


def test_a_column_with_an_odd_name_stands_in_backticks(studies: Studies) -> None:
    design = encode(studies, "~ `mean age`")
    assert design.matrix[:, 1].tolist() == [30, 40, 50, 60, 20]
    assert design.encode({"mean age": 25}).tolist() == [1, 25]


def test_the_average_row_is_the_mean_over_the_evidence(studies: Studies) -> None:
    design = encode(studies, "~ guidance + year", guidance="guided")
    assert design.average == pytest.approx([1, 0.2, 0.2, 2013])
    assert design.encode({}) == pytest.approx(design.average)


def test_a_full_profile_is_encoded_as_the_rows_were(studies: Studies) -> None:
    design = encode(studies, "~ guidance + center(year)", guidance="guided")
    assert design.encode({"guidance": "unguided", "year": 2015}) == pytest.approx(design.matrix[4])
    assert design.encode({"guidance": "guided", "year": 2020}) == pytest.approx([1, 0, 0, 7])


def test_what_a_profile_does_not_name_stands_at_its_average(studies: Studies) -> None:
    design = encode(studies, "~ guidance + year", guidance="guided")
    assert design.encode({"year": 2000}) == pytest.approx([1, 0.2, 0.2, 2000])
    assert design.encode({"guidance": "blended"}) == pytest.approx([1, 1, 0, 2013])


def test_a_row_at_the_end_leaves_averages_and_centres_as_they_were(studies: Studies) -> None:
    design = encode(studies, "~ guidance + center(year)", guidance="guided")
    profile: dict[str, str | float] = {"guidance": "unguided", "year": 2030}
    grown = design.with_row(design.encode(profile))
    assert grown.matrix[-1] == pytest.approx([1, 0, 1, 17])
    assert grown.known.tolist() == [True] * 5 + [False]
    assert grown.average == pytest.approx(design.average)
    assert grown.encode(profile) == pytest.approx(design.encode(profile))


def test_an_interaction_is_averaged_over_the_rows_and_not_over_its_factors(
    studies: Studies,
) -> None:
    design = encode(studies, "~ guidance * year", guidance="guided")
    named = dict(zip(design.names, design.encode({"year": 2000}), strict=True))
    assert named["guidance[T.unguided]:year"] == pytest.approx(400)
    averaged = dict(zip(design.names, design.average, strict=True))
    assert averaged["guidance[T.unguided]:year"] == pytest.approx(403)


def test_a_transformed_moderator_is_averaged_after_its_transformation(studies: Studies) -> None:
    design = encode(studies, "~ log(n) + guidance")
    logs = np.log([40, 50, 60, 70, 80])
    assert design.encode({"guidance": "guided"})[:2] == pytest.approx([1, logs.mean()])


@pytest.mark.parametrize("formula", ["~ poly(n, degree=2)", "~ bs(n, df=4)", "~ scale(n)"])
def test_what_a_transformation_learned_is_kept_for_a_profile(
    studies: Studies, formula: str
) -> None:
    design = encode(studies, formula)
    for index, n in enumerate([40, 50, 60, 70, 80]):
        assert design.encode({"n": n}) == pytest.approx(design.matrix[index], abs=1e-12)


def test_a_name_that_the_formula_lacks_has_no_use(studies: Studies) -> None:
    design = encode(studies, "~ year")
    assert design.encode({"guidance": "guided"}) == pytest.approx(design.average)


def test_an_unknown_level_lists_the_levels(studies: Studies) -> None:
    design = encode(studies, "~ guidance", guidance="guided")
    with pytest.raises(InputError) as caught:
        design.encode({"guidance": "guidde"})
    assert str(caught.value) == (
        "guidance has no level 'guidde'; allowed: blended, guided, unguided; did you mean 'guided'?"
    )


def test_a_text_for_a_number_is_refused_in_a_profile(studies: Studies) -> None:
    with pytest.raises(InputError, match="year must be a number, not 'late'"):
        encode(studies, "~ year").encode({"year": "late"})


def test_a_level_keeps_its_column_after_its_rows_are_dropped(studies: Studies) -> None:
    dropped = studies.dropping_intervals()
    design = encode_studies("~ guidance", {"guidance": "guided"}, dropped, studies)
    assert design.names[1:] == ("guidance[T.blended]", "guidance[T.unguided]")
    assert design.matrix.shape == (4, 3)
    assert design.prior_only() == ("guidance[T.blended]",)
    assert design.encode({"guidance": "blended"}).tolist() == [1, 1, 0]


def test_a_reference_without_rows_is_still_the_reference(studies: Studies) -> None:
    dropped = studies.dropping_intervals()
    design = encode_studies("~ guidance", {}, dropped, studies)
    assert design.levels["guidance"][0] == "blended"
    assert design.prior_only() == ()
    assert design.empty_references() == {"guidance": "blended"}


def test_with_all_rows_nothing_is_prior_only(studies: Studies) -> None:
    design = encode(studies, "~ guidance + year")
    assert (design.prior_only(), design.empty_references()) == ((), {})


@pytest.mark.parametrize(
    ("formula", "far"),
    [
        ("~ year", ("year",)),
        ("~ center(year)", ()),
        ("~ wave", ()),
        ("~ n", ()),
        ("~ C(year)", ()),
        ("~ guidance + year + `mean age`", ("year",)),
        ("~ guidance * year", ("year",)),
    ],
)
def test_a_moderator_whose_zero_nobody_ran_is_found(
    studies: Studies, formula: str, far: tuple[str, ...]
) -> None:
    assert encode(studies, formula).far_from_zero() == far


def test_a_blank_moderator_names_its_rows(studies: Studies) -> None:
    assert refusal(studies, "~ note") == (
        "the moderator note is blank in :2; fill it in, leave these rows out with where, or say in "
        "the model: missing: drop, or missing: impute"
    )


def test_a_blank_in_a_row_that_is_out_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(CONTENT, encoding="utf-8")
    kept = load_studies(path, columns=COLUMNS, where="id != 'e1'")
    assert encode(kept, "~ note").levels == {"note": ("a", "b", "c", "d")}


FAULTS = {
    "a missing column": ("~ gudance", {}, ": has no column 'gudance'; allowed: form, guidance"),
    "an unknown reference": (
        "~ guidance",
        {"guidance": "gided"},
        "reference: guidance has no level 'gided'; allowed: blended, guided, unguided; did you",
    ),
    "a reference for a number": (
        "~ year",
        {"year": "2011"},
        "reference: year is a number here, it has no levels",
    ),
    "a logarithm below 0": (
        "~ log(year - 2013)",
        {},
        "the formula '~ log(year - 2013)' gives no finite value in :2, :3, :4",
    ),
    "a logarithm of texts": ("~ log(guidance)", {}, "the formula '~ log(guidance)' cannot be"),
    "a spline without room": ("~ bs(year, df=1)", {}, "the formula '~ bs(year, df=1)' cannot be"),
    "an unknown option": ("~ center(n, foo=1)", {}, "the formula '~ center(n, foo=1)' cannot be"),
    "nothing but an intercept": ("~ 1 + 1", {}, "formula '~ 1 + 1': it has no moderators"),
}


@pytest.mark.parametrize("formula, reference, said", FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_encoded_is_refused(
    studies: Studies, formula: str, reference: dict[str, str], said: str
) -> None:
    message = refusal(studies, formula, **reference)
    assert message.startswith(said)
    assert "\n" not in message


def test_the_order_of_rows_in_the_file_does_not_change_the_design(tmp_path: Path) -> None:
    header, *lines = CONTENT.splitlines(keepends=True)
    designs = []
    for index, order in enumerate((lines, lines[::-1])):
        path = tmp_path / f"{index}.csv"
        path.write_text(header + "".join(order), encoding="utf-8")
        designs.append(encode(load_studies(path, columns=COLUMNS), "~ guidance + center(year)"))
    assert np.array_equal(designs[0].matrix, designs[1].matrix)
    assert designs[0].levels == designs[1].levels


def test_a_profile_outside_a_formula_s_domain_is_refused() -> None:
    studies = load_studies("internet-alliance", where='role == "main"')
    design = encode_studies("~ log(year)", {}, studies, studies)
    for year in (-5, 0):
        with pytest.raises(InputError, match="log"):
            design.encode({"year": year})


def test_a_reference_that_is_no_moderator_is_refused() -> None:
    studies = load_studies("internet-alliance", where='role == "main"')
    with pytest.raises(InputError, match="did you mean 'guidance'"):
        encode_studies("~ guidance", {"guidence": "guided"}, studies, studies)


def test_rows_left_out_do_not_move_what_was_learned() -> None:
    studies = alliance("drop")
    whole = encode_studies("~ center(year) + guidance", {}, studies, studies)
    rows = np.arange(len(whole.matrix)) < 6
    some = whole.only(rows)
    profile: dict[str, str | float] = {"year": 2020, "guidance": "guided"}
    assert some.encode(profile) == pytest.approx(whole.encode(profile), abs=1e-12)
    # Twice is no more than once.
    assert some.only(rows[:6]).encode(profile) == pytest.approx(whole.encode(profile), abs=1e-12)
