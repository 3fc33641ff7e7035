"""A known covariance of sampling errors: where it is read, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases import problem
from metarho.data.studies import Studies, load_studies
from metarho.errors import InputError

DATA = "study,yi,vi\na,0.1,0.04\na,0.2,0.09\nb,0.3,0.01\na,0.5,0.16\n,,\n"
MATRIX = """\
V1,V2,V3,V4
0.04,0.03,0,0.01
0.03,0.09,0,0
0,0,0.01,0
0.01,0,0,0.16
"""


def _studies(folder: Path, matrix: str = MATRIX, where: str | None = None) -> Studies:
    (folder / "data.csv").write_text(DATA.replace(",,\n", ""), encoding="utf-8")
    (folder / "v.csv").write_text(matrix, encoding="utf-8")
    columns = {name: name for name in ("study", "yi", "vi")}
    return load_studies(
        folder / "data.csv",
        measure="GEN",
        columns=columns,
        where=where,
        covariance=folder / "v.csv",
    )


def test_rows_of_a_study_have_the_covariance_of_the_file(tmp_path: Path) -> None:
    evidence = problem(_studies(tmp_path)).evidence
    (group,) = evidence.correlated
    assert group.rows.tolist() == [0, 1, 2]
    expected = [[0.04, 0.03, 0.01], [0.03, 0.09, 0], [0.01, 0, 0.16]]
    np.testing.assert_allclose(group.covariance, expected, rtol=1e-15)


def test_rows_that_are_out_leave_the_others_their_covariance(tmp_path: Path) -> None:
    evidence = problem(_studies(tmp_path, where="yi != 0.1")).evidence
    assert evidence.correlated == ()
    evidence = problem(_studies(tmp_path, where="yi != 0.2")).evidence
    (group,) = evidence.correlated
    np.testing.assert_allclose(group.covariance, [[0.04, 0.01], [0.01, 0.16]], rtol=1e-15)


REFUSED = {
    "a row too few": ("0.01,0,0,0.16\n", "", ["v.csv", "3 rows and 4 columns", "of the 4 rows"]),
    "row names": ("V1,V2", "x,V1,V2", ["v.csv"]),
    "a text": ("0.03,0.09", "much,0.09", ["v.csv:3", "V1 is 'much'", "a number is needed"]),
    "a blank": ("0.03,0.09", ",0.09", ["v.csv:3", "V1 is blank"]),
    "two halves that differ": ("0.03,0.09", "0.02,0.09", ["not symmetric", "0.03", "0.02"]),
    "another diagonal": ("0.03,0.09", "0.03,0.08", ["row 2 of the diagonal is 0.08", "0.09"]),
    "two studies": (
        "0.01,0\n0.01,0,0,0.16",
        "0.01,0.01\n0.01,0,0.01,0.16",
        ["row 3, column 4 is 0.01", "'b', 'a'", "independent here: 0"],
    ),
    "no covariance at all": (
        "0.04,0.03,0,0.01\n0.03",
        "0.04,0.07,0,0.01\n0.07",
        ["study 'a'", "no positive definite covariance"],
    ),
}


@pytest.mark.parametrize(("old", "new", "said"), REFUSED.values(), ids=REFUSED)
def test_a_matrix_that_cannot_be_is_refused_with_its_place(
    old: str, new: str, said: list[str], tmp_path: Path
) -> None:
    assert old in MATRIX
    with pytest.raises(InputError) as caught:
        _studies(tmp_path, MATRIX.replace(old, new))
    assert [part for part in said if part not in str(caught.value)] == []


def test_one_correlation_and_a_matrix_are_not_given_together(tmp_path: Path) -> None:
    _studies(tmp_path)
    with pytest.raises(InputError, match="give one of them"):
        load_studies(
            tmp_path / "data.csv", measure="GEN", rho_within=0.5, covariance=tmp_path / "v.csv"
        )
