"""Blank moderators: what is one unknown value, what rows could be, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cases import model, written
from metarho.data.missing import Imputation, draw_rows
from metarho.data.studies import Studies
from metarho.data.tables import Cell
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError
from metarho.fitting.notes import notes_on
from metarho.spec.priors import parse_prior

STUDIES = ["a", "a", "b", "b", "c", "d"]


def _studies(folder: Path, **columns: list[Cell]) -> Studies:
    """Six effects of four studies, with moderators."""
    rows = [
        {"study": s, "effect": str(i), "yi": 0.1 * i, "vi": 0.02} for i, s in enumerate(STUDIES)
    ]
    studies = written(folder, rows)
    table = {**studies.table.columns, **{name: tuple(cells) for name, cells in columns.items()}}
    return replace(studies, table=replace(studies.table, columns=table))


def _problem(studies: Studies, mods: str, missing: str = "impute") -> Problem:
    spec = model("random-effects")
    priors = {**spec.priors, "beta": parse_prior("Normal(mu=0, sigma=1)")}
    return encode(
        spec.model_copy(update={"mods": mods, "missing": missing, "priors": priors}), studies
    )


def _unknown(studies: Studies, mods: str) -> Imputation:
    found = _problem(studies, mods).imputation
    assert found is not None
    return found


def _refusal(studies: Studies, mods: str, missing: str = "impute") -> str:
    with pytest.raises(InputError) as caught:
        _problem(studies, mods, missing)
    return str(caught.value)


def test_without_blanks_nothing_is_unknown(tmp_path: Path) -> None:
    studies = _studies(tmp_path, x=[1, 2, 3, 4, 5, 6])
    assert _problem(studies, "~ x").imputation is None


def test_a_moderator_that_never_differs_within_a_study_is_unknown_once(tmp_path: Path) -> None:
    studies = _studies(tmp_path, x=["u", "u", None, None, "w", "u"])
    found = _unknown(studies, "~ x")
    assert [block.rows.tolist() for block in found.blocks] == [[2, 3]]
    # Of studies, not of rows.
    assert found.factors["x"].counts == (2, 1)


def test_one_that_differs_within_a_study_is_unknown_row_by_row(tmp_path: Path) -> None:
    studies = _studies(tmp_path, x=["u", "w", None, None, "w", "u"])
    found = _unknown(studies, "~ x")
    assert [block.rows.tolist() for block in found.blocks] == [[2], [3]]
    assert found.factors["x"].counts == (2, 2)


def test_a_study_that_is_blank_in_part_says_that_it_belongs_to_rows(tmp_path: Path) -> None:
    studies = _studies(tmp_path, x=["u", None, "w", "w", "w", "u"])
    assert [block.rows.tolist() for block in _unknown(studies, "~ x").blocks] == [[1]]


def test_candidates_are_the_design_at_every_combination(tmp_path: Path) -> None:
    studies = _studies(tmp_path, x=["u", "w", None, "u", "w", "u"], z=[1.0, 2, None, 4, 5, 6])
    (block,) = _unknown(studies, "~ x * center(z)").blocks
    assert (block.factors, block.numbers, block.levels.tolist()) == (("x",), ("z",), [[0], [1]])
    mean = np.mean([1.0, 2, 4, 5, 6])
    at = block.rows_at(np.array([0, 1]), [np.array([7.0, 7.0])])["2"]
    away = 7.0 - mean
    assert at == pytest.approx(np.array([[1, 0, away, 0], [1, 1, away, away]]))


def test_rows_with_blanks_stand_at_the_average_of_the_others(tmp_path: Path) -> None:
    studies = _studies(tmp_path, x=["u", "w", None, "u", "w", "u"], z=[1.0, 2, 3, 4, 5, 6])
    design = _problem(studies, "~ x + z").design
    known = [0, 1, 3, 4, 5]
    assert design.matrix[2] == pytest.approx(design.matrix[known].mean(axis=0))
    assert design.average == pytest.approx(design.matrix[known].mean(axis=0))
    assert design.encode({"x": "w"}) == pytest.approx([1.0, 1.0, np.mean([1, 2, 4, 5, 6])])


def test_draws_follow_what_is_known(tmp_path: Path) -> None:
    studies = _studies(tmp_path, x=["u", "w", None, "u", "u", "u"], z=[1.0, None, 3, 4, 5, 7])
    found = _unknown(studies, "~ x + z")
    drawn = draw_rows(found, 20_000, np.random.default_rng(1))
    # Rows 1 and 2 are of different studies, but z differs within one: both are row by row.
    share = drawn["2"][:, 1].mean()
    # 4 of u, 1 of w, and one more of each: a sixth and a third, within 4 standard errors.
    assert share == pytest.approx(2 / 7, abs=4 * np.sqrt(2 / 7 * 5 / 7 / 20_000))
    known = np.array([1.0, 3, 4, 5, 7])
    law = stats.t(4, known.mean(), known.std(ddof=1) * np.sqrt(1 + 1 / 5))
    assert stats.kstest(drawn["1"][:, 2], law.cdf).pvalue > 1e-3


def test_some_rows_keep_what_is_unknown_of_them(tmp_path: Path) -> None:
    studies = _studies(tmp_path, x=["u", "u", None, None, None, "w"])
    found = _unknown(studies, "~ x")
    rest = found.only(np.array([True, False, False, True, True, True]))
    assert rest is not None
    assert [block.rows.tolist() for block in rest.blocks] == [[1], [2]]
    assert found.only(np.array([True, True, False, False, False, True])) is None


def test_dropped_rows_are_named(tmp_path: Path) -> None:
    studies = _studies(tmp_path, x=[1, 2, None, 4, 5, 6])
    found = _problem(studies, "~ x", "drop")
    assert (found.evidence.k, found.dropped) == (5, ("b: 2",))
    assert any("left out for a blank moderator (missing: drop): b: 2" in n for n in notes_on(found))


@pytest.mark.parametrize(
    ("columns", "mods", "missing", "said"),
    [
        ({"x": [1, 2, None, 4, 5, 6]}, "~ x", "refuse", "missing: drop, or missing: impute"),
        ({"x": [1, 2, None, 4, 5, 6]}, "~ log(x)", "impute", "x in straight lines"),
        ({"x": [1, 2, None, 4, 5, 6]}, "~ x + I(x**2)", "impute", "formula"),
        (
            {"x": [1, 2, None, 4, 5, 6], "z": [1, 2, None, 3, 5, 9]},
            "~ x:z",
            "impute",
            "x and z in straight lines",
        ),
        ({"x": [1, 1, None, 1, 1, 1]}, "~ x", "impute", "two different values of x"),
        ({"x": [None] * 6}, "~ x", "impute", "no row has all the moderators"),
        ({"x": [None] * 6}, "~ x", "drop", "no row is left when rows with a blank x are dropped"),
        (
            {"x": ["u", "u", None, None, "w", "u"], "z": ["u", "w", None, None, "w", "u"]},
            "~ x + z",
            "impute",
            "cannot tie unknown values",
        ),
    ],
)
def test_what_cannot_be_imputed_is_refused(
    columns: dict[str, list[Cell]], mods: str, missing: str, said: str, tmp_path: Path
) -> None:
    assert said in _refusal(_studies(tmp_path, **columns), mods, missing)


def test_candidates_may_be_too_many(tmp_path: Path) -> None:
    rows = [{"yi": 0.1, "vi": 0.1, "x": f"level {row}"} for row in range(65)]
    studies = written(tmp_path, [*rows, {"yi": 0.1, "vi": 0.1, "x": ""}])
    assert "65 combinations of x" in _refusal(studies, "~ x")
