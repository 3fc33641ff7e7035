"""Posterior predictive p-values, against laws that are known in closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cases import alliance, molloy, problem
from metarho.checks.discrepancies import Discrepancy, Rows, named
from metarho.checks.p_values import Array, exceeds, p_values, two_sided
from metarho.checks.replicates import printed_of, rows_of
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.errors import FitError
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit


def _fit(one: Problem) -> Fit:
    (fit,) = fit_many([one], Settings())
    return fit


def _named(fit: Fit, *names: str) -> list[Discrepancy]:
    rows = rows_of(fit.problem)
    return [named(name, name, np.ones(len(rows.v), dtype=bool), rows) for name in names]


def _mean(printed: Array, rows: Rows) -> Array:
    return np.asarray(printed @ (1 / rows.v) / (1 / rows.v).sum())


def test_without_heterogeneity_q_is_chi_squared() -> None:
    fit = _fit(problem(molloy(), "common-effect"))
    (q,) = p_values(fit, _named(fit, "q"))
    expected = stats.chi2.sf(q.observed, fit.problem.evidence.k - 1)
    assert q.mcse is not None
    # Four errors: an honest share fails once in sixteen thousand.
    assert abs(q.p - expected) < 4 * q.mcse
    assert q.mcse == pytest.approx(math.sqrt(q.p * (1 - q.p) / 4000), rel=1e-9)


def test_a_mean_is_replicated_around_the_posterior_with_both_variances() -> None:
    fit = _fit(problem(molloy(), "common-effect", mu="Normal(mu=0, sigma=0.05)"))
    one = Discrepancy("mean", _mean, np.ones(16, dtype=bool))
    (found,) = p_values(fit, [one])
    se2 = 1 / (1 / fit.problem.evidence.v).sum()
    shrunk = 0.05**2 / (0.05**2 + se2)
    law = stats.norm(shrunk * found.observed, math.sqrt(shrunk * se2 + se2))
    assert found.mcse is not None
    assert abs(found.p - law.sf(found.observed)) < 4 * found.mcse


def test_words_and_numbers_of_the_shipped_evidence_are_checked() -> None:
    fit = _fit(problem(alliance()))
    words, shares = p_values(fit, _named(fit, "words", "significant"))
    assert (words.observed, words.rows, shares.rows) == (11, 17, 10)
    assert shares.observed == pytest.approx(0.8)
    # Numbers were printed of what was significant, more often than of such studies at all.
    assert shares.p < 0.05 < words.p < 0.5


@given(
    replicated=st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    observed=st.integers(-3, 3),
)
def test_ties_count_half_so_that_both_directions_add_up_to_one(
    replicated: list[int], observed: int
) -> None:
    values = np.array(replicated, dtype=float)
    up = exceeds(values, float(observed)).mean()
    down = exceeds(-values, -float(observed)).mean()
    assert up + down == pytest.approx(1)
    assert 0 <= two_sided(float(up)) <= 1
    assert two_sided(float(up)) == pytest.approx(two_sided(float(down)))


def test_the_same_fit_has_the_same_p() -> None:
    first, second = (
        p_values(fit, _named(fit, "q", "skew")) for fit in [_fit(problem(molloy()))] * 2
    )
    assert [one.p for one in first] == [one.p for one in second]


def test_what_all_replicates_exceed_has_no_error() -> None:
    fit = _fit(problem(molloy(), "common-effect"))
    constant = Discrepancy("none", lambda printed, rows: np.zeros(len(printed)), np.ones(16, bool))
    (found,) = p_values(fit, [constant])
    assert (found.p, found.mcse) == (0.5, None)


def test_draws_that_hang_together_have_a_larger_error() -> None:
    exactly = _fit(problem(molloy(), "common-effect"))
    rng = np.random.default_rng(0)
    walk = 0.3 * rng.standard_normal((4, 20)).repeat(50, axis=1)
    draws = Draws({"mu": walk}, {}, {}, 0.8, False)
    sampled = replace(exactly, engine="nuts", result=draws)
    one = Discrepancy("mean", _mean, np.ones(16, dtype=bool))
    (found,) = p_values(sampled, [one])
    assert found.mcse is not None
    assert found.mcse > 3 * math.sqrt(found.p * (1 - found.p) / 4000)


def test_a_statistic_that_is_no_number_fails_by_name() -> None:
    fit = _fit(problem(molloy(), "common-effect"))
    broken = Discrepancy(
        "odd", lambda printed, rows: np.full(len(printed), np.nan), np.ones(16, bool)
    )
    with pytest.raises(FitError, match="odd is not a number"):
        p_values(fit, [broken])


def test_a_p_value_is_of_what_was_printed() -> None:
    fit = _fit(problem(alliance()))
    (found,) = p_values(fit, _named(fit, "range"))
    numbers = printed_of(fit.problem)[0][~rows_of(fit.problem).is_word]
    assert found.observed == pytest.approx(float(np.ptp(numbers)))
