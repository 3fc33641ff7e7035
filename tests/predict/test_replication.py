"""A study that has come: against closed forms, predictive laws and fits of all rows at once."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from cases import JOINT, alliance, model, molloy, problem
from metarho.data.new_study import NewStudy
from metarho.data.studies import Studies, load_studies
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.predict.new_studies import observed
from metarho.predict.replication import Replication, replication, sceptical_p, with_study
from metarho.spec.analysis import Profile
from metarho.spec.priors import parse_prior

# name -> evidence, model, formula, priors.
CASES: dict[str, tuple[str, str, str | None, dict[str, str]]] = {
    "one level": ("molloy", "random-effects", None, {}),
    "words": ("alliance", "random-effects", None, {}),
    "a flat mean": ("molloy", "random-effects", None, {"mu": "Flat()"}),
    "a t prior": ("molloy", "random-effects", None, {"mu": "StudentT(nu=4, mu=0.2, sigma=0.5)"}),
    "nothing varies": ("molloy", "common-effect", None, {}),
    "two levels": ("drop", "three-level", None, {}),
    "moderators": ("drop", "random-effects", "~ guidance + center(year)", {}),
    "the exact law": ("drop", "exact-r", None, {}),
}
NEW = NewStudy(
    ri=0.05, ni=210, moderators={"guidance": "unguided", "year": "2025"}, study="Zimmer 2025"
)


def evidence(name: str) -> Studies:
    return molloy() if name == "molloy" else alliance("use" if name == "alliance" else "drop")


@cache
def _asked(case: str) -> Replication:
    return asked(case)


def asked(case: str, new: NewStudy = NEW, settings: Settings | None = None) -> Replication:
    name, which, mods, priors = CASES[case]
    studies = evidence(name)
    if name == "molloy":
        new = replace(new, moderators={})
    own = problem(studies, which, mods, **priors)
    return replication(own, studies, new, (0.0, 0.1), settings or Settings())


def numbers(fit: Fit) -> list[float]:
    found = [fit.result.log_integral if hasattr(fit.result, "log_integral") else math.nan]
    for summary in (*fit.parameters.values(), *fit.derived.values(), fit.new_study["theta"]):
        found += [x for x in (summary.mean, summary.sd, summary.lower) if x is not None]
    return found


def tabled(folder: Path, studies: Studies, rows: list[dict[str, str]]) -> Studies:
    """The same evidence read from a table that has further rows, before the others."""
    table = studies.table
    path = folder / "more.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(table.columns), restval="")
        writer.writeheader()
        writer.writerows(rows)
        for index in range(len(table)):
            cells = {name: column[index] for name, column in table.columns.items()}
            writer.writerow({name: "" if c is None else str(c) for name, c in cells.items()})
    if "guidance" in table.columns:
        columns = {"ri": "r", "ni": "n", "study": "study", "effect": "effect"}
        columns |= {"reported": "reported", "ri_low": "r_low", "ri_high": "r_high"}
        return load_studies(path, columns=columns, where='role == "main"')
    return load_studies(path, columns={"ri": "ri", "ni": "ni"})


@pytest.mark.parametrize("case", ["moderators", "words"])
def test_an_update_is_the_fit_of_a_table_with_one_row_more(case: str, tmp_path: Path) -> None:
    name, which, mods, priors = CASES[case]
    row = {"study": "Zimmer 2025", "effect": "1", "r": "0.05", "n": "210", "reported": "exact"}
    row |= {"guidance": "unguided", "year": "2025", "role": "main"}
    studies = tabled(tmp_path, evidence(name), [row])
    if name == "drop":
        studies = studies.dropping_intervals()
    (whole,) = fit_many([problem(studies, which, mods, **priors)], Settings())
    # The same sums in the same order.
    assert numbers(_asked(case).after) == pytest.approx(numbers(whole), abs=1e-12)


def test_the_order_in_which_studies_come_does_not_matter() -> None:
    studies = alliance("drop")
    own = problem(studies, mods="~ center(year)")
    first, second = NEW, replace(NEW, ri=0.4, ni=30, study="Adler 2026")

    def after(one: NewStudy, other: NewStudy) -> Fit:
        from metarho.data.new_study import with_new_study

        grown = replication(own, studies, one, (), Settings()).after.problem
        return replication(grown, with_new_study(studies, one), other, (), Settings()).after

    assert numbers(after(first, second)) == numbers(after(second, first))


@pytest.mark.parametrize("case", list(CASES))
def test_the_density_of_a_study_is_that_of_its_predictive_law(case: str) -> None:
    found = _asked(case)
    profile = {"label": "x", "ni": 210} | {
        name: str(value)
        for name, value in NEW.moderators.items()
        if name in found.before.problem.moderators
    }
    law = observed(found.before, Profile.model_validate(profile))
    assert law is not None and found.log_density is not None and found.row.yi is not None
    if "center" in (CASES[case][2] or ""):
        # Centred anew the evidences are of other priors; the densities of cells are not.
        step = 1e-5
        ends = np.array([found.row.yi - step, found.row.yi + step])
        slope = np.diff(law.cdf(ends))[0] / (2 * step)
        assert found.log_density == pytest.approx(math.log(slope), abs=1e-7)
        return
    before, after = found.before.result, found.after.result
    assert isinstance(before, Quadrature) and isinstance(after, Quadrature)
    # A difference of two log evidences, each to 1e-9 and better.
    assert found.log_density == pytest.approx(after.log_integral - before.log_integral, abs=1e-8)


@pytest.mark.parametrize("word", ["not significant", "significant positive"])
def test_the_probability_of_a_word_is_its_density(word: str) -> None:
    found = asked("words", NewStudy(ni=60, reported=word))
    expected = found.expected
    assert expected is not None and expected.probability is not None
    assert found.log_density == pytest.approx(math.log(expected.probability), abs=1e-8)
    assert expected.probability == pytest.approx(expected.words[word], abs=1e-14)
    assert sum(expected.words.values()) == pytest.approx(1, abs=1e-12)
    assert expected.surprise == pytest.approx(-math.log2(expected.probability), rel=1e-12)
    assert found.sceptical_p is None and "printed no number" in found.reasons["sceptical_p"]


def test_same_or_another_population_has_a_closed_form_where_nothing_varies() -> None:
    found = _asked("nothing varies")
    prior = found.before.problem.prior("mu").values
    y, v = found.before.problem.evidence.y, found.before.problem.evidence.v
    precision = 1 / prior["sigma"] ** 2 + (1 / v).sum()
    mean = (prior["mu"] / prior["sigma"] ** 2 + (y / v).sum()) / precision
    new, own = math.atanh(0.05), 1 / 207
    after = stats.norm.logpdf(new, mean, math.sqrt(1 / precision + own))
    before = stats.norm.logpdf(new, prior["mu"], math.hypot(prior["sigma"], math.sqrt(own)))
    assert found.log_density == pytest.approx(after, abs=1e-10)
    assert found.log_bf_same == pytest.approx(after - before, abs=1e-10)


def test_without_a_proper_prior_there_is_no_other_population() -> None:
    found = _asked("a flat mean")
    assert found.log_bf_same is None and "improper prior of mu" in found.reasons["log_bf_same"]
    assert found.log_density is not None


@pytest.mark.parametrize("ri", [-0.6, 0.05, 0.3, 0.7])
def test_the_interval_holds_what_lies_between_its_tails(ri: float) -> None:
    found = asked("one level", NewStudy(ri=ri, ni=40))
    expected = found.expected
    assert expected is not None and expected.pit is not None and expected.tail is not None
    assert expected.held == (0.025 <= expected.pit <= 0.975)
    assert expected.tail == pytest.approx(2 * min(expected.pit, 1 - expected.pit), rel=1e-12)
    assert expected.surprise == pytest.approx(-math.log2(expected.tail), rel=1e-12)


def test_what_moved_is_what_the_two_fits_say() -> None:
    found = _asked("one level")
    moved = {one.quantity: one for one in found.moved}
    assert moved["rho_median"].before == found.before.derived["rho_median"]
    assert moved["tau"].after == found.after.parameters["tau"]
    shifts = {one.quantity: one for one in found.shifts}
    mean = found.after.posterior.rho(found.after.posterior.mean_of(np.ones(1)))
    assert shifts["P(rho_median > 0.1)"].after == pytest.approx(
        1 - float(mean.cdf(np.array([0.1]))[0]), abs=1e-14
    )
    assert "log BF of mu = 0" in shifts


@given(st.floats(0.01, 8), st.floats(-8, 8).filter(lambda z: abs(z) > 0.01), st.floats(0.01, 100))
def test_the_sceptical_p_solves_its_equation(first: float, second: float, ratio: float) -> None:
    p = sceptical_p(first, second, ratio)

    # The prior that makes the original just not convincing at level z has a variance of
    # σ_o²/(z_o²/z² − 1); the replication is as surprising under it: z_r = z √(1 + variance/σ_r²).
    def gap(z: float) -> float:
        return z * math.sqrt(1 + ratio / (first**2 / z**2 - 1)) - abs(second)

    z = optimize.brentq(gap, 1e-9 * first, first * (1 - 1e-14), xtol=1e-14)
    expected = stats.norm.sf(z) if second > 0 else stats.norm.cdf(z)
    assert p == pytest.approx(expected, abs=1e-8)
    if second > 0:
        # A replication convinces no more than either study alone.
        assert p >= max(stats.norm.sf(first), stats.norm.sf(second)) - 1e-12
    assert p == pytest.approx(sceptical_p(-first, -second, ratio), abs=1e-15)


def test_the_original_of_the_sceptical_p_is_the_mean_under_a_flat_prior() -> None:
    found = _asked("nothing varies")
    y, v = found.before.problem.evidence.y, found.before.problem.evidence.v
    variance = 1 / (1 / v).sum()
    mean = variance * (y / v).sum()
    expected = sceptical_p(
        mean / math.sqrt(variance), math.atanh(0.05) * math.sqrt(207), variance * 207
    )
    assert found.sceptical_p == pytest.approx(expected, abs=1e-10)


def moderated() -> tuple[Problem, Studies]:
    studies = alliance("drop")
    return problem(studies, "random-effects", "~ guidance"), studies


FAULTS = {
    "a moderator left open": ({}, r"needs guidance \(guided, unguided"),
    "an unknown level": ({"guidance": "guidd"}, "guidance has no level 'guidd'.*guided"),
}


@pytest.mark.parametrize("case", list(FAULTS))
def test_moderators_of_the_model_are_asked_for(case: str) -> None:
    moderators, said = FAULTS[case]
    own, studies = moderated()
    with pytest.raises(InputError, match=said):
        replication(own, studies, NewStudy(ri=0.1, ni=50, moderators=moderators), (), Settings())


def test_levels_that_dropped_rows_alone_had_stay() -> None:
    everyone = alliance()
    own = encode(model("random-effects", "~ guidance"), alliance("drop"), all_rows=everyone)
    new = NewStudy(ri=0.1, ni=50, moderators={"guidance": "guided"})
    found = replication(own, alliance("drop"), new, (), Settings())
    assert found.after.problem.design.levels == own.design.levels
    assert found.after.problem.coefficients == own.coefficients


@pytest.mark.slow
def test_a_sampled_update_is_the_exact_one() -> None:
    sampled = asked("words", settings=Settings(engine="nuts"))
    exact = asked("words")
    for name in ("mu", "tau"):
        draws = sampled.after.tree["posterior"][name].to_numpy()
        # The spread of the chains' means, at least that of so many independent draws.
        error = max(draws.mean(axis=1).std(ddof=1) / 2, draws.std() / math.sqrt(4000))
        assert draws.mean() == pytest.approx(exact.after.parameters[name].mean, abs=4 * error)
    errors = [fit.log_evidence_mcse or 0.0 for fit in (sampled.before, sampled.after)]
    assert sampled.log_density == pytest.approx(exact.log_density, abs=4 * math.hypot(*errors))


def test_a_new_study_without_a_moderator_is_refused_where_blanks_are_dropped() -> None:
    studies = alliance("drop")
    dropping = model("random-effects", mods="~ guidance").model_copy(update={"missing": "drop"})
    own = encode(dropping, studies, {"beta": parse_prior("Normal(mu=0, sigma=0.25)")})
    with pytest.raises(InputError, match=r"needs guidance \(.*guided.*\) of the new study"):
        replication(own, studies, replace(NEW, moderators={}), (0.0,), Settings())


def test_slopes_of_r2d2_go_by_the_sds_of_all_rows_once_a_study_has_come() -> None:
    whole = alliance("drop")
    last = whole.used[-1]
    others = replace(whole, rows=tuple(row for row in whole.used if row.study != last.study))
    alone = replace(whole, rows=(*others.rows, replace(last, effect="1")))
    year = str(whole.moderator("year")[-1])
    new = NewStudy(ri=last.ri, ni=last.ni, study=last.study, moderators={"year": year})
    beta = parse_prior(JOINT["R2D2"])
    before, scratch = (
        encode(model("random-effects", "~ year"), rows, {"beta": beta}) for rows in (others, alone)
    )
    grown = with_study(before, others, new)
    assert before.priors != scratch.priors
    assert grown.priors == scratch.priors


def test_a_moderator_that_is_called_as_a_size_is_refused() -> None:
    studies = alliance("drop")
    numbers = studies.table.columns["n"]
    table = replace(studies.table, columns={**studies.table.columns, "ni": numbers})
    studies = replace(studies, table=table)
    own = problem(studies, "random-effects", "~ ni", beta="Normal(mu=0, sigma=0.25)")
    new = replace(NEW, moderators={"ni": "210"})
    with pytest.raises(InputError, match="a moderator called ni"):
        replication(own, studies, new, (0.0,), Settings())


def test_under_selection_a_study_is_judged_as_one_that_was_selected() -> None:
    studies = molloy()
    own = problem(studies, "selection")
    found = replication(own, studies, replace(NEW, moderators={}), (), Settings())
    assert found.expected is None and "results are selected" in found.reasons["expected"]
    before, after = found.before.result, found.after.result
    assert isinstance(before, Quadrature) and isinstance(after, Quadrature)
    assert found.log_density == pytest.approx(after.log_integral - before.log_integral, abs=1e-9)
    assert found.log_bf_same is not None
