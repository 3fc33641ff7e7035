"""The model in equations: each part of the grammar where it is, and nowhere else."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from cases import alliance, molloy, problem
from metarho.report.environments import mathml_of
from metarho.report.equations import equations

# A part, and the LaTeX that only it brings.
SIGNS = {
    "student-t": r"t_\nu",
    "mixture": r"\tau_{\text{outlier}}",
    "selection": r"\omega(p_i)",
    "pet": r"\mathit{pet}\sqrt{v_i}",
    "peese": r"\mathit{peese}\,v_i",
    "exact-r": r"f(r \mid",
    "three-level": r"\tau_{\text{study}}",
}


@pytest.mark.parametrize("model", ["random-effects", "common-effect", *SIGNS])
def test_a_model_shows_its_own_part_and_no_other_s(model: str) -> None:
    latex = " ".join(one.latex for one in equations(problem(molloy(), model)))
    for other, sign in SIGNS.items():
        assert (sign in latex) == (other == model), other
    assert ("e_i" in latex) == (model != "common-effect")
    assert r"\Phi\left(\frac{h_i" not in latex


def test_rows_without_a_number_are_probabilities() -> None:
    latex = " ".join(one.latex for one in equations(problem(alliance())))
    assert r"P(l_i < y_i < h_i \mid \theta_i) = \Phi" in latex


def test_moderators_are_in_the_mean_and_the_total_is_split() -> None:
    rows = alliance("drop", "n > 0")
    made = problem(rows, "three-level", "~ guidance", tau="HalfNormal(sigma=0.3)")
    latex = " ".join(one.latex for one in equations(made))
    assert r"\theta_i = \mu + x_i^\top \beta + u_{\text{study}(i)} + e_i" in latex
    assert r"\mathit{share}\cdot\tau^2" in latex


@pytest.mark.parametrize("model", ["random-effects", *SIGNS])
def test_browsers_get_mathematics_that_is_well_formed(model: str) -> None:
    for one in equations(problem(molloy(), model)):
        assert one.words
        # Parsed as what a browser makes of it: our own text, nothing from outside.
        root = ElementTree.fromstring(str(mathml_of(one.latex)))
        text = "".join(root.itertext())
        assert not re.search(r"[\\{}]", text)
