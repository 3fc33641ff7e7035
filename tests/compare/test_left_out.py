"""Each study left out, refitted: one quantity throughout, and reasons where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cases import alliance, molloy, problem, written
from metarho.compare.left_out import by_median, left_out, no_left_out
from metarho.engines.problem import problem_without
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact

EXACT = Settings(engine="exact")


def test_a_row_is_the_fit_without_its_study() -> None:
    some = 'role == "main" and study < "I"'
    whole, rest = fit_many(
        [problem(alliance(where=where)) for where in (some, f'{some} and study != "Heim 2018"')],
        EXACT,
    )
    (row,) = (row for row in left_out(whole, EXACT) if row.study == "Heim 2018")
    assert row.rows == 2
    assert row.pooled.median == pytest.approx(rest.pooled.median, abs=1e-9)
    assert row.pooled.lower == pytest.approx(rest.pooled.lower, abs=1e-9)
    tau = rest.parameters["tau"]
    assert row.tau.median == pytest.approx(tau.median, abs=1e-9)
    assert row.reason is None


def test_the_pooled_quantity_stays_that_of_the_whole_evidence(tmp_path: Path) -> None:
    rows = [
        {"ri": 0.1 + 0.05 * x, "ni": 60, "study": f"s{x}", "effect": "a", "x": x} for x in range(6)
    ]
    studies = written(tmp_path, rows, "ZCOR")
    (fit,) = fit_many([problem(studies, mods="~ x")], EXACT)
    last = left_out(fit, EXACT)[-1]
    (rest,) = fit_many([problem_without(fit.problem, fit.problem.evidence.study == 5)], EXACT)
    assert isinstance(rest.posterior, Exact)
    # At x = 2.5, the whole's average, not at the average 2 of those that are left.
    at = rest.posterior.rho(rest.posterior.mean_of(fit.posterior.head)).summary(0.95, "eti")
    assert last.pooled == at
    assert rest.pooled.median != pytest.approx(at.median, abs=1e-3)


def test_the_interval_is_that_of_the_fit() -> None:
    (fit,) = fit_many([problem(molloy())], EXACT)
    narrow = replace(fit, interval=fit.interval.model_copy(update={"prob": 0.5}))
    first, second = (left_out(one, EXACT)[0].pooled for one in (fit, narrow))
    assert first.lower is not None and second.lower is not None
    assert first.lower < second.lower


def test_a_study_without_which_nothing_is_determined_says_so(tmp_path: Path) -> None:
    rows = [{"yi": y, "vi": 0.1, "study": f"s{y}", "effect": "a"} for y in (0.1, 0.2, 0.4)]
    (fit,) = fit_many([problem(written(tmp_path, rows), mu="Flat()", tau="Flat()")], EXACT)
    found = left_out(fit, EXACT)
    assert all(row.pooled.median is None for row in found)
    assert all("the posterior is improper" in str(row.reason) for row in found)
    assert by_median(found) == list(found)


def test_what_cannot_be_left_out_is_said_before(tmp_path: Path) -> None:
    one = written(tmp_path, [{"yi": 0.1, "vi": 0.1, "study": "s", "effect": "a"}])
    assert "nothing is left" in str(no_left_out(problem(one)))
    mixture = str(no_left_out(problem(molloy(), "mixture")))
    assert mixture.startswith("studies are left out by exact fits only") and "engine" in mixture
    assert no_left_out(problem(molloy())) is None


def test_rows_go_by_their_medians_largest_first() -> None:
    (fit,) = fit_many([problem(molloy())], EXACT)
    medians = [row.pooled.median or 0.0 for row in by_median(left_out(fit, EXACT))]
    assert medians == sorted(medians, reverse=True)
