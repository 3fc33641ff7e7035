"""The model in equations: each part of the grammar where it is, and nowhere else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cases import alliance, eight_schools, molloy, problem, reference_studies
from custom_cases import BARE, custom
from grammar_cases import PARTS, Part
from metarho.data.studies import load_studies
from metarho.engines.problem import encode
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


# Each line by what it stands for, as papers write it.
Z = r"y_i = \operatorname{atanh}(r_i), \qquad v_i = \frac{1}{n_i - 3}"
NUMBERS = r"y_i \mid \theta_i \;\sim\; \mathrm{N}\left(\theta_i,\, v_i\right)"
WORDS = (
    r"P(l_i < y_i < h_i \mid \theta_i) = \Phi\left(\frac{h_i - \theta_i}{\sqrt{v_i}}\right)"
    r" - \Phi\left(\frac{l_i - \theta_i}{\sqrt{v_i}}\right)"
)
COVARY = r"\operatorname{Cov}(y_i, y_j \mid \theta) = c_{ij}"
OWN = r"\theta_i = \mu + e_i"
NORMAL = r"e_i \;\sim\; \mathrm{N}\left(0,\, \tau^2\right)"
OF_STUDY = r"u_{\text{study}(i)} \;\sim\; \mathrm{N}\left(0,\, \tau_{\text{study}}^2\right)"
OF_EFFECT = r"e_i \;\sim\; \mathrm{N}\left(0,\, \tau_{\text{effect}}^2\right)"
PET, PEESE = r"\theta_i + \mathit{pet}\sqrt{v_i}", r"\theta_i + \mathit{peese}\,v_i"

LINES = {
    "random effects": [Z, NUMBERS, OWN, NORMAL],
    "random effects, words": [Z, NUMBERS, WORDS, OWN, NORMAL],
    "common effect, words": [Z, NUMBERS, WORDS, r"\theta_i = \mu"],
    "moderators, words": [Z, NUMBERS, WORDS, r"\theta_i = \mu + x_i^\top \beta + e_i", NORMAL],
    "study and effect, correlated errors": [
        Z, NUMBERS, COVARY, r"\theta_i = \mu + u_{\text{study}(i)} + e_i", OF_STUDY, OF_EFFECT,
    ],
    "crossed with raters": [
        Z, NUMBERS, WORDS,
        r"\theta_i = \mu + u_{\text{study}(i)} + e_i + u_{\text{rater}(i)}",
        OF_STUDY, OF_EFFECT,
        r"u_{\text{rater}(i)} \;\sim\; \mathrm{N}\left(0,\, \tau_{\text{rater}}^2\right)",
    ],
    "moderators of tau": [
        Z, NUMBERS, WORDS, OWN,
        r"e_i \;\sim\; \mathrm{N}\left(0,\, \tau_i^2\right)",
        r"\tau_i = \tau\,\exp\left(s_i^\top \alpha\right)",
    ],
    "Student-t effects, words": [
        Z, NUMBERS, WORDS, OWN, r"e_i \;\sim\; t_\nu\left(0,\, \tau\right)",
    ],
    "mixture, words": [
        Z, NUMBERS, WORDS, OWN,
        r"e_i \;\sim\; (1 - w)\,\mathrm{N}\left(0,\, \tau^2\right)"
        r" + w\,\mathrm{N}\left(0,\, \tau^2 + \tau_{\text{outlier}}^2\right)",
    ],
    "selection, three bands, words": [
        Z, NUMBERS, WORDS,
        r"p(y_i \mid \text{reported}) \propto p(y_i \mid \mu, \tau)\,\omega(p_i), "
        r"\qquad p_i = 1 - \Phi\left(\frac{y_i}{\sqrt{v_i}}\right)",
        OWN, NORMAL,
    ],
    # What is subtracted from the ends is the whole sum.
    "PET, words": [
        Z, NUMBERS.replace(r"(\theta_i,", f"({PET},"),
        WORDS.replace(r"_i - \theta_i}", rf"_i - \left({PET}\right)}}"),
        OWN, NORMAL,
    ],
    "PEESE, correlated errors": [
        Z, NUMBERS.replace(r"(\theta_i,", f"({PEESE},"), COVARY, OWN, NORMAL,
    ],
    "true scores, words": [
        Z,
        r"a_i = \tanh(\theta_i)\,\sqrt{r_{xx,i}\,r_{yy,i}}, \qquad "
        r"\eta_i = \operatorname{atanh}\frac{u_i a_i}{\sqrt{1 + (u_i^2 - 1)\,a_i^2}}",
        NUMBERS.replace(r"(\theta_i,", r"(\eta_i,"),
        WORDS.replace(r"_i - \theta_i}", r"_i - \eta_i}"),
        OWN, NORMAL,
    ],
    "exact law of r, words": [
        Z, r"r_i \mid \theta_i \;\sim\; f(r \mid \tanh \theta_i, n_i)",
        r"P(l_i < r_i < h_i \mid \theta_i) = \int_{l_i}^{h_i} f(r \mid \tanh \theta_i, n_i)\,dr",
        OWN, NORMAL,
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_the_equations_of_a_part_are_these(name: str) -> None:
    assert [one.latex for one in equations(PARTS[name].problem())] == LINES[name]


def test_only_effects_within_studies_have_heavy_tails() -> None:
    latex = [one.latex for one in equations(PARTS["Student-t effects, study"].problem())]
    assert OF_STUDY in latex
    assert r"e_i \;\sim\; t_\nu\left(0,\, \tau_{\text{effect}}\right)" in latex


def test_words_say_which_level_varies_and_nothing_of_levels_that_are_not_there() -> None:
    nested = [one.words for one in equations(problem(molloy(), "three-level"))]
    assert nested[-3:] == [
        "the true effect of a row: the mean, and what it has of its own",
        "how true effects vary by study",
        "how true effects vary",
    ]
    common = [one.words for one in equations(problem(molloy(), "common-effect"))]
    assert common[-1] == "the true effect of a row: the mean"


def test_a_level_s_name_is_set_as_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("y,v,lab_group\n.1,.1,x\n.2,.1,y\n.3,.1,y\n", encoding="utf-8")
    levels = {"tau_lab_group": "HalfNormal(sigma=0.2)", "tau_effect": "HalfNormal(sigma=0.2)"}
    columns = {"yi": "y", "vi": "v"}
    made = Part(
        lambda: load_studies(path, measure="GEN", columns=columns),
        {"random": "lab_group/effect"},
        levels,
    ).problem()
    latex = " ".join(one.latex for one in equations(made))
    assert r"u_{\text{lab\_group}(i)}" in latex and r"\tau_{\text{lab\_group}}^2" in latex
    assert "lab_g" not in latex


def test_the_steps_of_selection_are_said() -> None:
    words = [one.words for one in equations(PARTS["selection, three bands, words"].problem())]
    assert any(one.endswith("with steps at 0.025, 0.5") for one in words)


def test_rows_that_are_all_in_words_have_no_law_of_numbers() -> None:
    studies = alliance()
    words = tuple(row for row in studies.rows if row.reported not in ("exact", None))
    latex = [one.latex for one in equations(problem(replace(studies, rows=words)))]
    assert latex == [Z, WORDS, OWN, NORMAL]


@pytest.mark.parametrize(
    ("measure", "line"),
    [
        ("ZCOR", Z),
        ("COR", r"y_i = r_i, \qquad v_i = \frac{(1 - r_i^2)^2}{n_i - 1}"),
        ("GEN", r"y_i, \quad v_i"),
    ],
)
def test_an_effect_and_its_variance_are_those_of_the_measure(measure: str, line: str) -> None:
    rows = {
        "ZCOR": molloy(),
        "COR": reference_studies("molloy2014_COR"),
        "GEN": eight_schools(),
    }[measure]
    assert equations(problem(rows))[0].latex == line


def test_a_split_total_has_both_shares() -> None:
    made = problem(alliance("drop"), "three-level", tau="HalfNormal(sigma=0.3)")
    assert equations(made)[-1].latex == (
        r"\tau_{\text{study}}^2 = \mathit{share}\cdot\tau^2, \qquad "
        r"\tau_{\text{effect}}^2 = (1 - \mathit{share})\,\tau^2"
    )


def test_a_custom_model_has_no_equations(tmp_path: Path) -> None:
    assert equations(encode(custom(tmp_path, BARE), molloy())) == ()


@pytest.mark.parametrize("model", ["random-effects", *SIGNS])
def test_browsers_get_mathematics_that_is_well_formed(model: str) -> None:
    for one in equations(problem(molloy(), model)):
        assert one.words
        # Parsed as what a browser makes of it: our own text, nothing from outside.
        root = ElementTree.fromstring(str(mathml_of(one.latex)))
        text = "".join(root.itertext())
        assert not re.search(r"[\\{}]", text)
