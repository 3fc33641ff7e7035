"""The surprise of each row, against closed forms and refits without it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cases import alliance, molloy, problem
from metarho.checks.studies import no_surprises, surprises
from metarho.data.effect_sizes import critical_r
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem, problem_without
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit


def _fit(one: Problem) -> Fit:
    (fit,) = fit_many([one], Settings())
    return fit


def test_without_heterogeneity_the_pit_is_that_of_a_normal_posterior() -> None:
    one = problem(molloy(), "common-effect")
    y, v = one.evidence.y, one.evidence.v
    found = surprises(_fit(one))
    assert len(found) == 16
    for each in found:
        out = one.evidence.rows.index(each.row)
        w = np.delete(1 / v, out)
        variance = 1 / (w.sum() + 0.5**-2)
        mean = variance * (w @ np.delete(y, out))
        pit = stats.norm.cdf(y[out], mean, math.sqrt(variance + v[out]))
        assert each.pit == pytest.approx(pit, abs=1e-8)
        assert each.tail == pytest.approx(2 * min(pit, 1 - pit), abs=1e-8)
        assert each.bits == pytest.approx(-math.log2(2 * min(pit, 1 - pit)), abs=1e-6)
        assert each.probability is None


def test_the_most_surprising_come_first_and_a_range_last() -> None:
    found = surprises(_fit(problem(alliance())))
    bits = [one.bits for one in found if one.bits is not None]
    assert len(found) == 28 and len(bits) == 27
    assert bits == sorted(bits, reverse=True)
    assert found[-1].row.reported == "range" and found[-1].bits is None
    assert found[0].printed("z") == "r = 0.540"
    assert found[-1].printed("z") == "range"


@pytest.mark.parametrize("name", ["random-effects", "common-effect"])
def test_every_word_has_the_probability_that_a_fit_without_it_gives_it(name: str) -> None:
    one = problem(alliance(), name)
    found = [each for each in surprises(_fit(one)) if each.probability is not None]
    assert sum(each.row.reported == "not significant" for each in found) == 11
    for each in found[::3]:
        out = one.evidence.rows.index(each.row)
        rest = _fit(problem_without(one, np.arange(one.evidence.k) == out))
        law = rest.posterior.theta_new(rest.posterior.head, float(one.evidence.v[out]))
        limit = math.atanh(critical_r(each.row.ni or 0))
        ends = {"not significant": (-limit, limit), "significant positive": (limit, 20.0)}
        low, high = law.cdf(np.array(ends[each.row.reported]))
        # Curves are refined to 1e-8 of a density.
        assert each.probability == pytest.approx(high - low, abs=1e-6)
        assert each.bits == pytest.approx(-math.log2(high - low), abs=1e-5)


def test_a_number_is_predicted_without_its_study_s_other_rows() -> None:
    one = problem(alliance("drop"), "three-level")
    found = surprises(_fit(one))
    several = [each for each in found if each.row.study == "Problem-solving trial 2022"]
    assert len(several) == 4
    for each in several:
        study = np.array([row.study == each.row.study for row in one.evidence.rows])
        out = one.evidence.rows.index(each.row)
        rest = _fit(problem_without(one, study))
        law = rest.posterior.theta_new(rest.posterior.head, float(one.evidence.v[out]))
        assert each.pit == pytest.approx(float(law.cdf(one.evidence.y[out : out + 1])[0]), abs=1e-6)


def test_under_the_exact_law_of_r_numbers_have_no_pit_and_no_surprise() -> None:
    few = alliance(where='role == "main" and guidance == "unguided"')
    found = surprises(_fit(problem(few, "exact-r")))
    assert all((one.bits is None) == (one.probability is None) for one in found)
    assert [one.row.reported for one in found[:2]] == ["not significant"] * 2
    assert found[-1].row.reported == "exact" and found[-1].bits is None


def test_rows_of_a_sampled_fit_are_not_predicted_by_the_others() -> None:
    fit = _fit(problem(molloy(), "common-effect"))
    draws = Draws({"mu": np.zeros((2, 50))}, {}, {}, 0.8, False)
    sampled = replace(fit, engine="nuts", result=draws)
    assert surprises(sampled) == ()
    assert "the model is sampled" in str(no_surprises(sampled))


def test_numbers_alone_under_a_law_without_pit_are_not_left_out_for_nothing() -> None:
    fit = _fit(problem(alliance("drop"), "selection"))
    assert surprises(fit) == ()
    assert "numbers have no PIT under this model" in str(no_surprises(fit))
    assert "leave_out" not in vars(fit)
