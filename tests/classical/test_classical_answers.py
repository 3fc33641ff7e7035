"""The table of estimators: what it holds, and what evidence that is odd makes of each row."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

import metarho
from classical_cases import grades, near
from metarho.classical import (
    Answers,
    NotEstimableError,
    classical_answers,
    effects_of,
    effects_of_arrays,
    influence,
    leave1out,
    pet_peese,
    ranktest,
    regtest,
    rma,
    rma_mv,
    robust,
    selmodel,
    tes,
    trimfill,
)
from metarho.classical.answers import MOST_CERTAIN
from metarho.classical.estimators import ESTIMATORS, estimates
from metarho.classical.fits import Fits
from metarho.classical.least_squares import LeastSquares
from metarho.classical.rank_test import kendall
from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import Correlated
from metarho.errors import InputError

ROWS = (
    *("EE", "DL", "HE", "HS", "SJ", "ML", "REML", "EB", "PM", "REML-KH", "3L-REML", "3L-CR2"),
    *("PET", "PEESE", "PET-PEESE", "PET-3L", "PEESE-3L", "TF-L0", "TF-R0", "3PSM"),
)
TWO_LEVEL = ROWS[:9]


def shipped() -> Studies:
    return load_studies("internet-alliance", where='role == "main"')


def table(tmp_path: Path, *rows: str, rho_within: float = 0.0) -> Studies:
    """Studies of lines ``study,ri,ni``."""
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["study,ri,ni", *rows]) + "\n", encoding="utf-8")
    roles = {"ri": "ri", "ni": "ni", "study": "study"}
    return load_studies(path, columns=roles, rho_within=rho_within)


def missing(answers: Answers) -> set[str]:
    """The rows without an answer; none of their numbers is there."""
    for row in answers.estimates:
        numbers = (row.estimate, row.se, row.ci_lb, row.ci_ub, row.tau, row.i2, row.pi_lb)
        if row.reason:
            assert numbers == (None,) * len(numbers)
        else:
            assert row.estimate is not None and math.isfinite(row.estimate)
    return {row.code for row in answers.estimates if row.reason}


def test_the_table_has_every_estimator_once() -> None:
    answers = classical_answers(shipped())
    assert tuple(row.code for row in answers.estimates) == ROWS
    assert tuple(one.code for one in ESTIMATORS) == ROWS
    assert missing(answers) == set()


def test_rows_without_a_number_are_counted_and_do_not_enter() -> None:
    studies = shipped()
    answers = classical_answers(studies)
    assert answers.effects.k == sum(row.ri is not None for row in studies.used) == 10
    assert answers.effects.intervals == 18
    assert "18 of 28 rows printed no number and cannot enter" in " ".join(answers.notes)
    dropped = classical_answers(studies.dropping_intervals())
    assert dropped.notes == answers.notes
    assert [row.estimate for row in dropped.estimates] == [
        row.estimate for row in answers.estimates
    ]


def test_evidence_of_words_alone_is_refused_in_a_sentence() -> None:
    words = load_studies("internet-alliance", where='reported == "not significant"')
    with pytest.raises(InputError, match="no row is left when interval rows are dropped"):
        classical_answers(words)


def test_rows_say_on_r_what_they_say_on_z_and_nothing_of_other_effects() -> None:
    row = classical_answers(shipped())["DL"]
    assert row.row["r_ci_lb"] == math.tanh(row.ci_lb or math.nan)
    assert row.scale == "z"
    on_r = classical_answers(load_studies("internet-alliance", measure="COR", intervals="drop"))
    assert on_r["DL"].row["r_estimate"] == on_r["DL"].estimate
    years = effects_of_arrays(np.array([3.0, 8.0, 28.0]), np.array([16.0, 10.0, 15.0]) ** 2)
    of_others = estimates(Fits(years, "z", 0.95))[0]
    assert of_others.estimate is not None and of_others.row["r_estimate"] is None


def test_knapp_and_hartung_stand_once_where_all_rows_have_them() -> None:
    plain = classical_answers(shipped())
    adjusted = classical_answers(shipped(), test="knha")
    assert "REML-KH" not in {row.code for row in adjusted.estimates}
    assert adjusted["REML"].ci_lb == plain["REML-KH"].ci_lb
    assert {adjusted[code].test for code in TWO_LEVEL} == {"Knapp–Hartung"}
    assert adjusted["3L-REML"].test == "t"


def test_an_ad_hoc_interval_is_the_wider_of_t_and_knapp_and_hartungs(tmp_path: Path) -> None:
    def width(studies: Studies, test: str) -> float:
        row = estimates(Fits(effects_of(studies), test, 0.95))[0]  # type: ignore[arg-type]
        assert row.code == "EE" and row.ci_ub is not None and row.ci_lb is not None
        return row.ci_ub - row.ci_lb

    # Nearly alike, and very different: Knapp and Hartung's factor is below 1, and above it.
    alike = table(tmp_path, "A,0.3,50", "B,0.31,60", "C,0.32,70")
    (tmp_path / "b").mkdir()
    apart = table(tmp_path / "b", "A,0.1,50", "B,0.6,60", "C,-0.2,70")
    for studies, wider, narrower in ((alike, "t", "knha"), (apart, "knha", "t")):
        assert width(studies, "adhoc") == width(studies, wider) > width(studies, narrower)
    # Effects without residuals have no narrower interval either.
    same = effects_of(table(tmp_path, "A,0.3,50", "B,0.3,60", "C,0.3,70"))
    rows = {row.code: row for row in estimates(Fits(same, "adhoc", 0.95))}
    assert (rows["REML"].reason, rows["REML"].test) == ("", "Knapp–Hartung, ad hoc")


def test_rileys_interval_needs_three_effects_and_leaves_all_else(tmp_path: Path) -> None:
    two = table(tmp_path, "A,0.3,50", "B,0.1,80")
    row = classical_answers(two, predtype="Riley")["REML"]
    assert (row.pi_lb, row.reason) == (None, "")
    assert row.estimate == classical_answers(two)["REML"].estimate
    plain, wide = classical_answers(shipped()), classical_answers(shipped(), predtype="Riley")
    for code in ("DL", "PM", "REML"):
        a, b = plain[code], wide[code]
        assert replace(a, pi_lb=None, pi_ub=None) == replace(b, pi_lb=None, pi_ub=None)
        assert a.pi_ub is not None and b.pi_ub is not None and a.estimate is not None
        # t with k − 2 = 8 degrees of freedom in place of the normal law.
        ratio = stats.t.ppf(0.975, 8) / stats.norm.ppf(0.975)
        assert b.pi_ub - a.estimate == near(ratio * (a.pi_ub - a.estimate), 1e-12)
    # Three levels keep the law of their own test.
    assert wide["3L-REML"] == plain["3L-REML"]


def test_what_is_no_test_or_probability_is_refused() -> None:
    with pytest.raises(InputError, match="'default' or 'Riley'"):
        classical_answers(shipped(), predtype="riley")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="did you mean 'knha'"):
        classical_answers(shipped(), test="knh")  # type: ignore[arg-type]
    for prob in (95, 0.0, 1.0, 1 - 1e-16, math.nan):
        with pytest.raises(InputError, match=r"between 0 and 1, at most 0\.999999999999, not"):
            classical_answers(shipped(), prob=prob)
    with pytest.raises(KeyError, match="did you mean 'REML'"):
        classical_answers(shipped())["RML"]


def test_pet_peese_takes_peese_where_pet_finds_an_effect_in_the_common_direction() -> None:
    v = np.linspace(0.005, 0.05, 12)
    noise = np.tile([0.01, -0.01], 6)
    for sign in (1.0, -1.0):
        there = pet_peese(effects_of_arrays(sign * (0.3 + noise), v))
        assert (there.chosen, there.estimate) == ("PEESE", there.peese)
        # All of it is asymmetry; beyond 0 the intercept has the other sign.
        bias = pet_peese(effects_of_arrays(sign * (3 * np.sqrt(v) - 0.1 + noise), v))
        assert (bias.chosen, bias.estimate) == ("PET", bias.pet)
        assert bias.pet_p > 0.99
        line = there.pet.coefficients
        one_sided = float(stats.t.sf(sign * line.statistic[0], 10))
        assert there.pet_p == near(one_sided, 1e-15)
    # Nothing much.
    weak = pet_peese(effects_of_arrays(0.02 + 10 * noise, v))
    assert 0.05 < weak.pet_p < 0.5
    assert weak.chosen == "PET"


def test_rows_of_the_table_are_the_fits_that_they_name() -> None:
    effects, answers = effects_of(shipped()), classical_answers(shipped())
    lines = pet_peese(effects)
    named = {
        "EE": rma(effects, method="EE").coefficients,
        "REML-KH": rma(effects, test="knha").coefficients,
        "3L-REML": rma_mv(effects).coefficients,
        "3L-CR2": robust(rma_mv(effects)),
        "PET": lines.pet.coefficients,
        "PEESE": lines.peese.coefficients,
        "PET-PEESE": lines.estimate.coefficients,
        "PET-3L": regtest(effects, form="mv").coefficients,
        "PEESE-3L": regtest(effects, form="mv", predictor="vi").coefficients,
        "TF-L0": trimfill(effects).fit.coefficients,
        "TF-R0": trimfill(effects, estimator="R0").fit.coefficients,
        "3PSM": selmodel(effects).coefficients,
    }
    for code, fit in named.items():
        row = answers[code]
        assert (row.estimate, row.ci_lb, row.pval) == (
            fit.estimate[0], fit.ci_lb[0], fit.pval[0]
        ), code  # fmt: skip


def test_one_effect_has_a_common_effect_and_reasons_for_the_rest(tmp_path: Path) -> None:
    answers = classical_answers(table(tmp_path, "A,0.3,50"))
    assert missing(answers) == set(ROWS) - {"EE"}
    assert answers.heterogeneity is None
    assert answers["EE"].estimate == near(math.atanh(0.3), 1e-12)
    assert answers["EE"].i2 is None
    assert answers["DL"].reason.startswith("1 effect for 1 coefficient")
    assert {one.pval for one in answers.small_studies} == {None}


def test_two_effects_have_two_levels_and_no_line(tmp_path: Path) -> None:
    answers = classical_answers(table(tmp_path, "A,0.3,50", "B,0.1,80"))
    assert missing(answers) == set(ROWS) - set(TWO_LEVEL) - {"REML-KH"}
    assert "every study has one effect" in answers["3L-REML"].reason
    assert "2 effects do not determine a slope" in answers["PET"].reason
    assert "2 effects are too few" in answers["TF-L0"].reason
    assert answers.heterogeneity is not None
    assert answers.heterogeneity.levels == ()


def test_effects_that_are_all_alike_have_no_heterogeneity_and_no_slope(tmp_path: Path) -> None:
    answers = classical_answers(table(tmp_path, *(f"{name},0.3,50" for name in "ABCDEF")))
    lines = {"PET", "PEESE", "PET-PEESE", "PET-3L", "PEESE-3L"}
    assert missing(answers) == {"3L-REML", "3L-CR2", "REML-KH", "3PSM"} | lines
    assert {answers[code].tau for code in TWO_LEVEL} == {None, 0.0}
    assert all(answers[code].estimate == near(math.atanh(0.3), 1e-12) for code in TWO_LEVEL)
    assert "the same sei" in answers["PET"].reason
    assert "no residuals" in answers["REML-KH"].reason
    different = classical_answers(table(tmp_path, *(f"{n},0.3,{50 + ord(n)}" for n in "ABCDEF")))
    assert "lie on a line of sei" in different["PET"].reason


def test_huge_studies_are_computed_to_their_own_digits(tmp_path: Path) -> None:
    rows = [f"{name},{r},{n}" for name, r, n in
            zip("ABCDE", (0.30001, 0.3, 0.29999, 0.30002, 0.3), (4e8, 5e8, 6e8, 3e8, 9e8),
                strict=True)]  # fmt: skip
    answers = classical_answers(table(tmp_path, *rows))
    effects = answers.effects
    w = 1 / effects.v
    mean = float((w * effects.y).sum() / w.sum())
    q = float((w * (effects.y - mean) ** 2).sum())
    tau2 = max(0.0, (q - 4) / (w.sum() - (w**2).sum() / w.sum()))
    assert answers["DL"].tau == near(math.sqrt(tau2), 0.0, 1e-6)
    assert answers["EE"].se == near(1 / math.sqrt(w.sum()), 0.0, 1e-12)
    assert answers["REML"].reason == ""


def test_very_different_sizes_leave_the_tau2_of_their_equation(tmp_path: Path) -> None:
    rows = ("A,0.9,12", "B,-0.5,15", "C,0.3,40000000", "D,0.1,20", "E,0.2,30000")
    effects = effects_of(table(tmp_path, *rows))
    tau2 = rma(effects, method="PM").tau2
    w = 1 / (effects.v + tau2)
    mean = (w * effects.y).sum() / w.sum()
    assert (w * (effects.y - mean) ** 2).sum() == near(effects.k - 1, 1e-9)


def test_several_rows_a_study_are_told_and_known_by_three_levels_alone(tmp_path: Path) -> None:
    lines = ("A,0.3,50", "A,0.35,50", "B,0.1,80", "C,0.5,40", "C,0.2,40")
    plain = classical_answers(table(tmp_path, *lines))
    related = classical_answers(table(tmp_path, *lines, rho_within=0.6))
    assert "as independent" in " ".join(plain.notes)
    assert "correlate" in " ".join(related.notes)
    assert related["REML"].estimate == plain["REML"].estimate
    assert related["3L-REML"].estimate != plain["3L-REML"].estimate
    assert related["3L-REML"].i2 is None


def test_one_study_with_several_effects_has_no_third_level(tmp_path: Path) -> None:
    answers = classical_answers(table(tmp_path, "A,0.3,50", "A,0.35,50", "A,0.1,50", "A,0.2,60"))
    assert "one study" in answers["3L-REML"].reason
    assert answers["REML"].reason == ""


def test_a_regression_stands_beside_the_table_not_in_it() -> None:
    plain = classical_answers(shipped())
    answers = classical_answers(shipped(), mods="~ guidance")
    assert answers.estimates == plain.estimates
    two, three, corrected = answers.regressions
    assert two.coefficients.names == ("intrcpt", "guidance[T.unguided]")
    assert corrected.coefficients.ddf is not None
    assert (corrected.coefficients.estimate == three.coefficients.estimate).all()


def test_collinear_moderators_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("ri,ni,a,b\n0.1,50,1,2\n0.2,60,2,4\n0.3,70,3,6\n0.4,60,5,10\n", "utf-8")
    studies = load_studies(path, columns={"ri": "ri", "ni": "ni"})
    with pytest.raises(InputError, match="collinear"):
        classical_answers(studies, mods="~ a + b")


def test_moderators_that_are_collinear_but_for_rounding_are_refused_as_collinear(
    tmp_path: Path,
) -> None:
    path = tmp_path / "table.csv"
    rows = ".1,50,1,2\n.2,60,2,4\n.3,70,3,6.0000001\n.4,60,5,10\n.35,65,7,14\n"
    path.write_text(f"ri,ni,a,b\n{rows}", "utf-8")
    studies = load_studies(path, columns={"ri": "ri", "ni": "ni"})
    with pytest.raises(InputError, match="3 coefficients, 2 of them determined"):
        classical_answers(studies, mods="~ a + b")
    # Units, and years that are not centred, are no collinearity.
    years = ".1,50,2001,1e-9\n.2,60,2005,3e-9\n.3,70,2011,1e-9\n.4,60,2020,7e-9\n.3,65,2003,2e-9\n"
    path.write_text(f"ri,ni,a,b\n{years}", "utf-8")
    studies = load_studies(path, columns={"ri": "ri", "ni": "ni"})
    fit = rma(effects_of(studies, "~ a + b"))
    in_other_units = rma(effects_of(studies, "~ center(a) + b"))
    assert fit.qm.statistic == near(in_other_units.qm.statistic, 0.0, 1e-6)


def test_a_formula_of_nothing_is_no_regression_on_nothing() -> None:
    with pytest.raises(InputError, match="formula ''"):
        classical_answers(shipped(), mods="")


def test_too_few_rows_for_a_regression_are_told_beside_the_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("ri,ni,a,b\n0.1,50,1,2\n0.2,60,2,5\n0.3,70,3,6\n", "utf-8")
    studies = load_studies(path, columns={"ri": "ri", "ni": "ni"})
    answers = classical_answers(studies, mods="~ a + b")
    assert answers.regressions == ()
    assert "no meta-regression: 3 effects for 3 coefficients" in " ".join(answers.notes)
    assert answers["REML"].reason == ""


def test_a_factor_with_one_level_among_the_numbers_is_told() -> None:
    answers = classical_answers(shipped(), mods="~ guidance + rater")
    assert "one level of rater" in " ".join(answers.notes)


def test_rows_with_a_blank_moderator_leave_the_regression_and_are_told(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("ri,ni,a\n0.1,50,1\n0.2,60,\n0.3,70,3\n0.4,60,5\n0.2,90,4\n", "utf-8")
    answers = classical_answers(load_studies(path, columns={"ri": "ri", "ni": "ni"}), mods="~ a")
    assert answers.effects.k == 5
    assert answers.regressions[0].qe_df == 2
    assert "1 row with a blank moderator is" in " ".join(answers.notes)


def test_small_tests_say_what_they_found() -> None:
    found = {one.name: one for one in classical_answers(shipped()).small_studies}
    assert found["Egger's test (least squares)"].found.startswith("slope 3.125, t(8)")
    assert found["Selection at one-sided .025"].pval == near(0.0553, 1e-4)


def test_answers_show_themselves_as_a_table() -> None:
    answers = classical_answers(shipped())
    assert repr(answers) == "<Classical answers: 10 effects from 7 studies>"
    assert "DerSimonian–Laird" in answers._repr_html_()
    assert metarho.classical_answers(shipped()).estimates == answers.estimates


# Properties that no reference holds.


@pytest.mark.parametrize("seed", range(6))
def test_kendalls_tau_and_its_p_are_scipys_with_and_without_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = (3, 5, 12, 33, 49, 60)[seed]
    a, b = rng.normal(size=k), rng.normal(size=k) + 0.5
    theirs = stats.kendalltau(a, b, method="exact" if k < 50 else "asymptotic")
    ours = kendall(a, b)
    assert (ours.tau, ours.pval) == near((theirs.statistic, theirs.pvalue), 1e-12)
    assert ours.exact == (k < 50)
    a, b = np.round(a), np.round(2 * b)
    theirs = stats.kendalltau(a, b, method="asymptotic")
    ours = kendall(a, b)
    assert (ours.tau, ours.pval) == near((theirs.statistic, theirs.pvalue), 1e-12)
    assert not ours.exact


def test_ranks_are_of_distances_from_the_common_effect_and_equal_effects_have_none() -> None:
    v = np.array([0.01, 0.02, 0.04, 0.05, 0.07])
    y = np.array([0.2, 0.1, 0.3, 0.5, 0.6])
    found = ranktest(effects_of_arrays(y, v))
    w = 1 / v
    far = (y - np.average(y, weights=w)) / np.sqrt(v - 1 / w.sum())
    assert found.pval == near(stats.kendalltau(far, v, method="exact").pvalue, 1e-12)
    for odd in (effects_of_arrays(np.full(5, 0.3), v), effects_of_arrays(y, np.full(5, 0.1))):
        with pytest.raises(NotEstimableError, match="there is no order"):
            ranktest(odd)
    with pytest.raises(NotEstimableError, match="2 effects have no order"):
        ranktest(effects_of_arrays(y[:2], v[:2]))


@pytest.mark.parametrize("alternative", ["two.sided", "greater", "less"])
def test_an_excess_is_that_of_every_way_to_be_significant(alternative: str) -> None:
    v = np.array([0.01, 0.02, 0.04, 0.05, 0.01, 0.02, 0.01])
    y = np.array([0.5, 0.1, 0.9, 0.2, 0.6, -0.4, -0.3])
    effects = effects_of_arrays(y, v)
    fit, found = rma(effects), tes(effects, alternative=alternative)  # type: ignore[arg-type]
    mean, tau = fit.coefficients.estimate[0], math.sqrt(fit.tau2)
    level = 0.025 if alternative == "two.sided" else 0.05
    power = []
    for one in v:
        cut = stats.norm.isf(level) * math.sqrt(one)

        def at(theta: float, one: float = one, cut: float = cut) -> float:
            above = special.ndtr((theta - cut) / math.sqrt(one))
            below = special.ndtr((-cut - theta) / math.sqrt(one))
            whole = {"greater": above, "less": below, "two.sided": above + below}[alternative]
            density = math.exp(-0.5 * ((theta - mean) / tau) ** 2) / (tau * math.sqrt(2 * math.pi))
            return float(whole * density)

        power.append(integrate.quad(at, mean - 12 * tau, mean + 12 * tau, limit=200)[0])
    assert found.expected == near(sum(power), 1e-8)
    assert found.observed == {"two.sided": 5, "greater": 3, "less": 2}[alternative]
    p = 0.0
    for outcome in product((0, 1), repeat=7):
        if sum(outcome) >= found.observed:
            p += math.prod(q if hit else 1 - q for hit, q in zip(outcome, power, strict=True))
    assert found.pval == near(p, 1e-8)


def test_effects_turned_round_have_their_answers_turned_round() -> None:
    effects = effects_of(shipped())
    turned = effects_of_arrays(-effects.y, effects.v)
    plain = effects_of_arrays(effects.y, effects.v)
    pairs = (
        (trimfill(plain).fit.coefficients, trimfill(turned).fit.coefficients),
        (selmodel(plain).coefficients, selmodel(turned).coefficients),
    )
    for mean, mirrored in pairs:
        # The search for selection's peak stops at 1e-8 of its log likelihood.
        assert mirrored.estimate[0] == near(-mean.estimate[0], 1e-6)
    assert (selmodel(plain).alternative, selmodel(turned).alternative) == ("greater", "less")


@pytest.mark.parametrize("unit", [1e-9, 1e6])
def test_selection_does_not_depend_on_the_units_of_effects(unit: float) -> None:
    y = 0.3 + 0.1 * np.arange(8) * (-1.0) ** np.arange(8)
    v = 0.01 * np.arange(1.0, 9.0)
    plain = selmodel(effects_of_arrays(y, v))
    found = selmodel(effects_of_arrays(unit * y, unit**2 * v))
    assert found.delta[1] == near(plain.delta[1], 0.0, 1e-5)
    assert found.coefficients.se[0] == near(unit * plain.coefficients.se[0], 0.0, 1e-5)
    assert found.se_tau2 is not None and plain.se_tau2 is not None
    assert found.se_tau2 == near(unit**2 * plain.se_tau2, 0.0, 1e-4)


@pytest.mark.parametrize("at", [0.0, 0.3])
def test_equal_effects_of_studies_that_differ_in_size_lack_none(at: float) -> None:
    v = 1 / np.array([47.0, 57, 67, 77, 87, 97])
    for estimator in ("L0", "R0", "Q0"):
        found = trimfill(effects_of_arrays(np.full(6, np.arctanh(at)), v), estimator=estimator)
        assert found.k0 == 0, estimator
    # Four at the centre and two above it: a run of two, of which R0 is one less.
    y = np.arctanh(np.array([0.3, 0.3, 0.3, 0.3, 0.5, 0.6]))
    assert trimfill(effects_of_arrays(y, v), estimator="R0", side="left").k0 == 1


def test_the_peak_of_selection_is_level_and_its_errors_are_those_of_a_written_out_likelihood() -> (
    None
):
    rng = np.random.default_rng(7)
    v = rng.uniform(0.01, 0.05, 40)
    y = rng.normal(0.2, np.sqrt(v + 0.02))
    found = selmodel(effects_of_arrays(y, v), alternative="greater")
    peak = np.array([found.coefficients.estimate[0], found.tau2, found.delta[1]])

    def ll(at: np.ndarray) -> float:
        mu, tau2, delta = at
        cut = np.sqrt(v) * stats.norm.isf(0.025)
        spread = np.sqrt(v + tau2)
        weight = np.where(y >= cut, 1.0, delta)
        tail = stats.norm.sf(cut, mu, spread)
        return float((np.log(weight) + stats.norm.logpdf(y, mu, spread)
                      - np.log(tail + delta * (1 - tail))).sum())  # fmt: skip

    assert ll(peak) == near(found.ll, 1e-9)
    step = 1e-4 * peak
    hessian = np.empty((3, 3))
    for i in range(3):
        assert (ll(peak + step * np.eye(3)[i]) - ll(peak - step * np.eye(3)[i])) / step[i] == near(
            0.0, 2e-3
        )
        for j in range(3):
            a, b = step * np.eye(3)[i], step * np.eye(3)[j]
            hessian[i, j] = (ll(peak + a + b) - ll(peak + a - b) - ll(peak - a + b)
                             + ll(peak - a - b)) / (4 * step[i] * step[j])  # fmt: skip
    errors = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    # Second differences of a log likelihood of some tens lose about half the digits.
    ours = [found.coefficients.se[0], found.se_tau2, found.se_delta[1]]
    assert ours == near(errors.tolist(), 0.0, 1e-4)


def test_robust_variances_of_one_effect_a_study_are_those_of_one_level() -> None:
    fit = rma(effects_of_arrays(grades().y, grades().v))
    w = fit.least_squares.w
    h = w / w.sum()
    e = fit.effects.y - fit.coefficients.estimate[0]
    # CR2 of independent rows is HC2: squared residuals over 1 − leverage.
    assert robust(fit).vb[0, 0] == near(float((h**2 * e**2 / (1 - h)).sum()), 0.0, 1e-10)


def test_a_likelihood_with_two_peaks_is_answered_by_the_higher() -> None:
    # A precise group near 0 and an imprecise one far off; searched on a fine grid besides.
    v = np.array([1e-4] * 4 + [0.3] * 4)
    y = np.array([-0.02, 0.0, 0.01, 0.02, 3.0, 3.1, 2.9, 3.2])
    from metarho.classical.heterogeneity import log_likelihood

    effects = effects_of_arrays(y, v)
    for method, restricted in (("ML", False), ("REML", True)):
        best = rma(effects, method=method).tau2  # type: ignore[arg-type]
        grid = [0.0, *np.geomspace(1e-6, 50, 4000).tolist()]
        top = max(log_likelihood(effects, tau2, restricted=restricted) for tau2 in grid)
        assert log_likelihood(effects, best, restricted=restricted) >= top


@pytest.mark.parametrize("seed", range(20))
def test_odd_evidence_gives_numbers_in_order_or_a_sentence_and_no_warning(seed: int) -> None:
    # Warnings are errors here. Variances over ten orders of magnitude, ties, equal effects,
    # one to thirty rows, few or many studies, correlated errors, units of a millionth or a million.
    rng = np.random.default_rng(seed)
    k = int(rng.choice([1, 2, 3, 4, 6, 12, 30]))
    even = rng.uniform(0.005, 0.1, k)
    v = np.exp(rng.uniform(-20, 2, k)) if seed % 3 == 0 else even
    spread = rng.choice([0.0, 0.2, 3.0])
    y = rng.choice([0.0, -0.5]) + spread * rng.normal(size=k) + np.sqrt(v) * rng.normal(size=k)
    y = np.full(k, 0.3) if seed % 7 == 0 else np.round(y, 1) if seed % 5 == 0 else y
    unit = float(rng.choice([1e-6, 1.0, 1e6]))
    study = np.sort(rng.integers(0, max(1, k // 2), k)).astype(np.intp)
    effects = replace(effects_of_arrays(unit * y, unit**2 * v), study=study)
    groups = [np.flatnonzero(study == one) for one in np.unique(study)]
    sd = unit * np.sqrt(v)
    correlated = tuple(
        Correlated(rows, (0.8 + 0.2 * np.eye(len(rows))) * np.outer(sd[rows], sd[rows]))
        for rows in groups
        if len(rows) > 1 and seed % 2
    )
    for test in ("z", "t", "knha"):
        fits = Fits(replace(effects, correlated=correlated), test, 0.95)
        for row in estimates(fits):
            if row.reason:
                assert row.estimate is None
                continue
            assert row.ci_lb is not None and row.ci_ub is not None and row.estimate is not None
            assert row.ci_lb <= row.estimate <= row.ci_ub, row
            if row.pi_lb is not None and row.test != "CR2":
                assert row.pi_lb <= row.ci_lb


def test_errors_of_tau2_keep_their_digits_where_one_study_is_all_the_weight() -> None:
    # P written out in fractions: its trace has no rounding.
    n = [10**9, 12, 15, 20]
    w = [Fraction(one - 3) for one in n]
    p = [[w[i] * (i == j) - w[i] * w[j] / sum(w) for j in range(4)] for i in range(4)]
    exact = float(sum(p[i][j] ** 2 for i in range(4) for j in range(4)))
    fit = LeastSquares(np.zeros(4), np.ones((4, 1)), np.array([float(one) for one in w]))
    # The largest leverage is 1 − 4e-8, of which a double has half the digits.
    assert fit.trace_of_two() == near(exact, 0.0, 1e-7)


def test_what_effects_do_not_determine_is_said() -> None:
    two = effects_of_arrays(np.array([0.1, 0.2]), np.array([0.01, 0.02]))
    with pytest.raises(NotEstimableError, match="without one of them"):
        leave1out(rma(two))
    # Without the third the other two are equal.
    third = effects_of_arrays(np.array([0.1, 0.1, 0.2]), np.array([0.01, 0.02, 0.02]))
    with pytest.raises(NotEstimableError, match="without 3: there are no residuals"):
        leave1out(rma(third, test="knha"))
    with pytest.raises(NotEstimableError, match="needs the number of people"):
        regtest(effects_of_arrays(np.arange(5.0), np.ones(5)), predictor="ni")
    with pytest.raises(NotEstimableError, match="every study has one effect"):
        rma_mv(two)
    with pytest.raises(NotEstimableError, match="no degrees of freedom"):
        rma(two.on(np.array([1.0, 3.0]), "x"), method="EE", test="t")
    with pytest.raises(NotEstimableError, match=r"0 in 0–0\.025"):
        selmodel(effects_of_arrays(np.zeros(6), np.ones(6)))


@pytest.mark.parametrize("prob", [1e-300, MOST_CERTAIN])
def test_intervals_of_any_confidence_are_finite_and_in_order(tmp_path: Path, prob: float) -> None:
    rows = ("A,0.3,50", "A,0.1,80", "B,0.2,60", "C,0.7,50", "C,0.4,90")
    for answers in (
        classical_answers(table(tmp_path, *rows), prob=prob, test="knha"),
        classical_answers(table(tmp_path, *rows[:2]), prob=prob, test="t"),
    ):
        found = answers.heterogeneity
        assert found is not None
        levels = [level.interval for level in found.levels]
        for interval in (found.interval, *levels):
            assert 0 <= interval.lower <= interval.upper < math.inf
        for row in answers.estimates:
            assert row.reason or row.ci_lb <= row.estimate <= row.ci_ub  # type: ignore[operator]


def test_one_effect_is_said_to_be_one() -> None:
    one = effects_of_arrays(np.array([0.3]), np.array([0.02]))
    for test in ("z", "t"):
        reasons = {row.reason for row in estimates(Fits(one, test, 0.95))}
        assert not any(
            "1 effects" in reason or "coefficient leave " in reason for reason in reasons
        )


def test_r2_of_a_common_effect_is_that_of_adjusted_least_squares_or_none() -> None:
    v, x = 0.01 * np.arange(1.0, 5.0), np.column_stack([np.ones(4), np.arange(4.0)])
    y = np.array([0.1, 0.2, 0.5, 0.4])
    # summary(lm(y ~ x, weights = 1/v))$adj.r.squared by R 4.2.2, as metafor 3.8.1 has it.
    assert rma(effects_of_arrays(y, v, x), method="EE").r2 == near(72.44206, 1e-4)
    # Equal effects have nothing to account for; as many coefficients as effects, nothing left.
    assert rma(effects_of_arrays(np.full(4, 0.3), v, x), method="EE").r2 is None
    assert rma(effects_of_arrays(np.zeros(4), v, x), method="EE").r2 is None
    assert rma(effects_of_arrays(y[:2], v[:2], x[:2]), method="EE").r2 is None


def test_a_p_at_a_cut_counts_as_the_smaller_in_either_direction() -> None:
    # As in metafor (p <= steps) and weightr; 0 is at p = .5 exactly.
    y = np.array([0.0, 0.0, 0.5, 0.6, 0.1, -0.1, 0.2, -0.3])
    v = np.full(8, 0.01)
    y[4] = stats.norm.ppf(0.975) * 0.1
    for sign, alternative in ((1, "greater"), (-1, "less")):
        effects = effects_of_arrays(sign * y, v)
        found = selmodel(effects, steps=(0.025, 0.5), alternative=alternative)  # type: ignore[arg-type]
        assert found.counts == (4, 2, 2)


def test_influence_is_the_same_when_what_is_left_out_is_at_hand() -> None:
    fit = rma(effects_of(shipped()))
    assert (influence(fit).rstudent == influence(fit, leave1out(fit)).rstudent).all()
