"""A declared grid, as it is read: what is refused, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarho.errors import InputError
from metarho.spec.analysis import read_analysis
from metarho.spec.grid import DECISIONS, ESTIMAND, Grid

HEAD = """\
studies: {source: internet-alliance}
models: [random-effects]
grid:
"""


def read(folder: Path, grid: str) -> Grid:
    path = folder / "one.yaml"
    path.write_text(HEAD + grid, encoding="utf-8")
    found = read_analysis(path)[0].grid
    assert found is not None
    return found


def test_decisions_keep_the_order_of_the_tables_whatever_the_order_of_the_file(
    tmp_path: Path,
) -> None:
    text = "  likelihood: [normal, exact-r]\n  rho_within: [0, 0.4]\n  where: {all: null}\n"
    found = read(tmp_path, text)
    assert found.own == {
        "where": ("all",),
        "rho_within": (0.0, 0.4),
        "likelihood": ("normal", "exact-r"),
    }
    assert [name for name in DECISIONS if name in found.own] == list(found.own)


def test_what_is_pooled_and_measured_is_another_question_unless_the_config_says_so(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, "  measure: [ZCOR]\n").estimand == ESTIMAND
    assert read(tmp_path, "  measure: [ZCOR]\n  estimand: []\n").estimand == ()


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("  wher: {all: null}\n", ":4: unknown key 'wher'"),
        ("  where: {odd: 'r >'}\n", "where 'odd': filter"),
        ("  where: {'': null}\n", "'' String should have at least 1 character"),
        ("  where: {odd: '__import__(\"os\")'}\n", "is not a comparison"),
        ("  measure: [ZCOR, GEN]\n", "'ZCOR' or 'COR'"),
        ("  measure: [ZCOR, ZCOR]\n", "a value is named twice"),
        ("  rho_within: [0, 1]\n", "less than 1"),
        ("  rho_within: [-0.1]\n", "greater than or equal to 0"),
        ("  statistic: [odd]\n", "'all', 'zero-order' or 'printed'"),
        ("  unless: ['measure = \"COR\"']\n", "it does not parse"),
        ("  cells: [{modle: random-effects}]\n", "did you mean 'model'"),
        ("  estimand: [wher]\n", "did you mean 'where'"),
        ("  sample: {cells: 0}\n", "greater than or equal to 1"),
        ("  sample: {cells: 5, seed: -1}\n", "greater than or equal to 0"),
        ("  quantities: [rho_maen]\n", "did you mean 'rho_mean'"),
        ("  quantities: [tau]\n", "tau is in every table of cells"),
    ],
)
def test_what_a_grid_cannot_be_is_refused_with_its_place(
    tmp_path: Path, grid: str, said: str
) -> None:
    with pytest.raises(InputError, match=r"one\.yaml:4") as error:
        read(tmp_path, grid)
    assert said in str(error.value)
