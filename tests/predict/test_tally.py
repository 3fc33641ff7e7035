"""How a forecaster did over all studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from cases import alliance, problem
from metarho.data.arrivals import arrivals
from metarho.fitting import Settings
from metarho.predict.cumulative import Study, cumulative
from metarho.predict.tally import better, coverage, skill, tally
from metarho.predict.words import ORDERED_WORDS


@pytest.fixture(scope="module")
def studies() -> tuple[Study, ...]:
    where = 'role == "main" and (year < 2015 or year == 2022)'
    encoded = problem(alliance(where=where))
    at = arrivals(alliance().table, encoded.evidence.rows, "year")
    return cumulative(encoded, at, (), Settings()).studies


def test_a_tally_is_what_its_studies_sum_to(studies: tuple[Study, ...]) -> None:
    found = tally(studies, "model", 0.95)
    rows = [one for study in studies for one in study.forecasts or ()]
    assert (found.studies, found.rows) == (len(studies), 12)
    assert found.numbers == sum(one.held is not None for one in rows) == 7
    assert found.held == sum(one.held is True for one in rows)
    assert found.elpd == pytest.approx(sum(study.log_score or math.nan for study in studies))
    # Four rows of one study count as one study, as do two of another.
    by_study = [
        np.mean([one.crps for one in study.forecasts or () if one.crps is not None])
        for study in studies
        if any(one.crps is not None for one in study.forecasts or ())
    ]
    assert len(by_study) == 4
    assert found.crps == pytest.approx(np.mean(by_study))
    flat = [one.crps for one in rows if one.crps is not None]
    assert abs(float(np.mean(flat)) - float(np.mean(by_study))) > 1e-3
    known = [one for one in rows if one.words is not None and one.word is not None]
    assert (found.words, len(rows) - found.words) == (len(known), 1)
    assert found.not_significant == sum(one.word == ORDERED_WORDS[1] for one in known)
    assert found.expected == pytest.approx(sum(one.words[1] for one in known if one.words))


def test_the_prior_alone_is_tallied_by_what_it_predicted(studies: tuple[Study, ...]) -> None:
    found = tally(studies, "prior", 0.95)
    assert found.elpd == pytest.approx(sum(study.log_score_prior or math.nan for study in studies))
    assert found.crps is not None and tally(studies, "model", 0.95).crps is not None
    assert 0 < better(studies) < len(studies)


def test_nothing_that_was_predicted_is_nothing_to_tally() -> None:
    study = Study("a", (0,), None, None, None, None)
    found = tally([study], "model", 0.95)
    assert (found.studies, found.rows, found.numbers, found.coverage) == (0, 0, 0, None)
    assert (found.crps, found.rps, found.elpd) == (None, None, None)
    assert better([study]) == 0


def test_the_interval_of_the_share_is_that_of_jeffreys() -> None:
    # Brown, Cai and DasGupta (2001): Beta(x + 1/2, n - x + 1/2).
    for held, numbers in ((3, 10), (9, 10)):
        law = stats.beta(held + 0.5, numbers - held + 0.5)
        assert coverage(held, numbers, 0.9) == pytest.approx(law.interval(0.9), abs=1e-12)
    low, high = coverage(10, 10, 0.95)
    assert high == 1.0
    mass = quad(lambda p: p**9.5 * (1 - p) ** -0.5, 0, low)[0]
    whole = quad(lambda p: p**9.5 * (1 - p) ** -0.5, 0, 1)[0]
    assert mass / whole == pytest.approx(0.025, abs=1e-7)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_the_share_has_the_share_in_it(seen: tuple[int, int]) -> None:
    held, numbers = seen
    low, high = coverage(held, numbers, 0.95)
    assert 0 <= low <= held / numbers <= high <= 1
    mirrored = coverage(numbers - held, numbers, 0.95)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_skill_is_what_part_of_a_score_is_gone() -> None:
    assert skill(0.1, 0.4) == pytest.approx(0.75)
    assert skill(0.4, 0.4) == 0
    assert (skill(None, 0.4), skill(0.1, None)) == (None, None)
