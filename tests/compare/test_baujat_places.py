"""Baujat's plot: metafor's numbers, and the formula with several rows a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases import alliance, molloy, problem, reference, written
from metarho.compare.baujat import no_baujat, places
from metarho.compare.left_out import left_out
from metarho.fitting import Settings, fit_many

EXACT = Settings(engine="exact")


def test_with_flat_priors_and_known_heterogeneity_the_numbers_are_metafor_s() -> None:
    theirs = reference("metafor_baujat_weights")["baujat"]
    (fit,) = fit_many([problem(molloy(), mu="Flat()", tau="DiracDelta(c=0.09)")], EXACT)
    ours = {place.study: place for place in places(fit, left_out(fit, EXACT))}
    # Unmapped, a row is a study named by its place; the evidence sorts them as text.
    in_file = [ours[row.study] for row in molloy().rows]
    # 15 digits are pinned; medians are found by bisection to 1e-12 of their scale.
    assert [p.residual for p in in_file] == pytest.approx(theirs["x"], abs=1e-8)
    assert [p.influence for p in in_file] == pytest.approx(theirs["y"], abs=1e-8)


def test_rows_of_a_study_count_together(tmp_path: Path) -> None:
    rows = [
        {"yi": y, "vi": v, "study": s, "effect": f"{i}"}
        for i, (s, y, v) in enumerate(
            [("a", 0.5, 0.02), ("a", 0.1, 0.03), ("b", 0.2, 0.01), ("c", 0.3, 0.02)]
        )
    ]
    studies = written(tmp_path, rows, rho_within=0.4)
    priors = {"tau_study": "DiracDelta(c=0.2)", "tau_effect": "DiracDelta(c=0.1)"}
    (fit,) = fit_many([problem(studies, "three-level", mu="Flat()", **priors)], EXACT)
    first = places(fit, left_out(fit, EXACT))[0]
    mean = fit.parameters["mu"].median or 0.0
    covariance = np.array([[0.02, 0.0], [0.0, 0.03]]) + 0.01 * np.eye(2) + 0.04
    covariance[0, 1] += 0.4 * (0.02 * 0.03) ** 0.5
    covariance[1, 0] = covariance[0, 1]
    away = np.array([0.5, 0.1]) - mean
    assert first.rows == 2
    assert first.residual == pytest.approx(away @ np.linalg.inv(covariance) @ away, abs=1e-10)


def test_studies_that_printed_no_number_have_an_influence_only() -> None:
    (fit,) = fit_many(
        [problem(alliance(where='role == "main" and study > "He" and study < "L"'))], EXACT
    )
    found = {place.study: place for place in places(fit, left_out(fit, EXACT))}
    silent = found["Kooistra 2020"]
    assert (silent.rows, silent.residual) == (0, None)
    assert silent.influence is not None and silent.influence > 0
    # Two rows, of which one printed a number.
    assert found["Heim 2018"].rows == 1


def test_where_residuals_have_no_meaning_it_is_said() -> None:
    assert "student-t" in str(no_baujat(problem(molloy(), "student-t")))
    assert "selected" in str(no_baujat(problem(molloy(), "selection")))
    words = alliance(where='role == "main" and reported != "exact"')
    assert no_baujat(problem(words)) == "no row printed a number"
    assert no_baujat(problem(molloy())) is None
