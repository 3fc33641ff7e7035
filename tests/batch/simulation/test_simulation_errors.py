"""Measures of simulated answers: standard errors of all, what has no case, and their symmetry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metarho.batch.simulation.measures import (
    Measures,
    of_bayes_factors,
    of_new_study,
    of_parameter,
)


def test_where_there_is_no_case_there_is_no_number() -> None:
    nothing = np.empty(0)
    for found in (
        of_parameter(0.2, nothing, nothing, nothing, may_be_0=True),
        of_new_study(0.0, 0.1, nothing, nothing, nothing),
        of_bayes_factors(0.0, nothing),
    ):
        assert set(found.values()) == {None}
    wide = np.full(3, 1.0)
    found = of_parameter(0.2, 0 * wide, -wide, wide, may_be_0=True)
    assert found["excludes_0"] == 0 and found["type_s"] is None and found["type_m"] is None
    # Without a sign there is none to get wrong, and of 0 no multiple.
    found = of_parameter(0.0, wide, wide / 2, wide, may_be_0=True)
    assert found["excludes_0"] == 1 and found["type_s"] is None and found["type_m"] is None
    found = of_parameter(0.1, wide, wide / 2, wide, may_be_0=False)
    assert found["excludes_0"] is None


def _answers(rng: np.random.Generator, count: int) -> Measures:
    """A normal mean with a known standard error, its own law: everything in closed form."""
    median = rng.normal(0.2, 0.15, count)
    half = stats.norm.ppf(0.975) * 0.15 * rng.uniform(0.8, 1.2, count)
    return of_parameter(0.2, median, median - half, median + half, may_be_0=True) | (
        of_bayes_factors(0.2, rng.normal(0.5, 1.5, count))
    )


def test_standard_errors_are_those_of_repeated_runs() -> None:
    rng = np.random.default_rng(20261126)
    runs = [_answers(rng, 500) for _ in range(600)]
    names = [name for name in runs[0] if not name.endswith("_mcse")]
    assert len(names) == 12
    for name in names:
        values = np.array([run[name] for run in runs], dtype=float)
        said = np.array([run[f"{name}_mcse"] for run in runs], dtype=float)
        if name == "type_s":
            # A rare share: its errors are skew, and their root mean square is what must agree.
            assert 0 < values.mean() < 0.01
        # The sd of 600 runs has a relative standard error of 3%, heavier tails a little more.
        assert math.sqrt((said**2).mean()) == pytest.approx(values.std(ddof=1), rel=0.13), name


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-2, 2), st.floats(0, 2), st.floats(0, 2)), min_size=2, max_size=30
    ),
    st.floats(1e-3, 1),
)
def test_measures_turn_with_the_sign(
    answers: list[tuple[float, float, float]], truth: float
) -> None:
    median, below, above = (np.array(column) for column in zip(*answers, strict=True))
    lower, upper = median - below, median + above
    one = of_parameter(truth, median, lower, upper, may_be_0=True)
    other = of_parameter(-truth, -median, -upper, -lower, may_be_0=True)
    assert one["bias"] == pytest.approx(-float(other["bias"] or 0))
    for name in set(one) - {"bias"}:
        assert one[name] == (None if other[name] is None else pytest.approx(other[name])), name
    assert abs(float(one["bias"] or 0)) <= float(one["rmse"] or 0) + 1e-12
