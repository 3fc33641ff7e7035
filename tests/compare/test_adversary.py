"""The study that would flip a claim: against closed forms, and read anew from a file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from cases import alliance, eight_schools, molloy, problem, written
from metarho.compare.adversary import SIZES, adversary
from metarho.compare.tipping import refitted
from metarho.engines import exact
from metarho.engines.problem import problem_with
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.spec.claims import parse_claim

SETTINGS = Settings()


def test_in_a_common_effect_the_r_is_that_of_the_normal_posterior() -> None:
    one = problem(molloy(), "common-effect")
    claim = parse_claim("P(rho > 0.05) >= 0.9")
    y, w = one.evidence.y, 1 / one.evidence.v

    def gap(z: float, n: int) -> float:
        precision = w.sum() + (n - 3) + 1 / 0.25
        mean = (w @ y + (n - 3) * z) / precision
        return float(norm.sf(math.atanh(0.05), mean, precision**-0.5)) - 0.9

    for flip in adversary(one, claim, (100, 1000, 50_000), SETTINGS):
        root = brentq(gap, -8, 2, args=(flip.ni,), xtol=1e-14)
        assert flip.below == pytest.approx(math.tanh(root), abs=1e-8)
        assert flip.above is None
        assert flip.values[0] == pytest.approx(0.9, abs=1e-6)


def test_a_study_too_small_to_flip_the_claim_is_said_to_be_none() -> None:
    one = problem(molloy(), "common-effect")
    # Four people weigh 1: not even r near -1 does it.
    (flip,) = adversary(one, parse_claim("P(rho > 0) >= 0.9"), (4,), SETTINGS)
    assert flip.sides == (None, None) and flip.values == (None, None)


def test_with_heterogeneity_a_study_flips_a_claim_from_above_too() -> None:
    one = problem(alliance("drop"))
    claim = parse_claim("new_lower > 0")
    (flip,) = adversary(one, claim, (500,), SETTINGS)
    assert flip.below is not None and flip.above is not None
    assert -1 < flip.below < flip.expected < flip.above < 1
    for r in (flip.below, flip.above):
        assert refitted(problem_with(one, r, 500), claim, SETTINGS) == pytest.approx(0, abs=1e-6)
    # Between the two the claim stands.
    for r in np.linspace(flip.below + 1e-4, flip.above - 1e-4, 7).tolist():
        assert refitted(problem_with(one, r, 500), claim, SETTINGS) > 0


@pytest.mark.parametrize("model", ["random-effects", "three-level"])
def test_a_further_study_is_what_reading_it_from_the_file_makes_of_it(
    model: str, tmp_path: Path
) -> None:
    rows: list[dict[str, object]] = [
        {"study": study, "effect": effect, "ri": r, "ni": n}
        for study, effect, r, n in (
            ("a", "1", 0.3, 60), ("a", "2", 0.1, 60), ("b", "1", 0.2, 45), ("c", "1", 0.45, 110),
        )
    ]  # fmt: skip
    one = problem(written(tmp_path, rows, "ZCOR"), model)
    grown = problem_with(one, -0.15, 80)
    rows.append({"study": "z", "effect": "1", "ri": -0.15, "ni": 80})
    read = problem(written(tmp_path, rows, "ZCOR"), model)
    for name in ("y", "v", "study"):
        np.testing.assert_array_equal(getattr(grown.evidence, name), getattr(read.evidence, name))
    np.testing.assert_array_equal(grown.design.matrix, read.design.matrix)
    found, expected = exact.integrate(grown), exact.integrate(read)
    assert found.log_evidence == pytest.approx(expected.log_evidence, abs=1e-12)


def test_when_even_what_is_expected_flips_a_claim_both_sides_are_that() -> None:
    one = problem(molloy(), "common-effect")
    (fit,) = fit_many([one], SETTINGS)
    # Narrower by precision alone.
    lower = fit.pooled.lower
    assert lower is not None
    claim = parse_claim(f"lower < {lower + 0.01:.6f}")
    (flip,) = adversary(one, claim, (100_000,), SETTINGS)
    assert flip.below == flip.above == flip.expected


def test_what_is_no_study_of_r_and_n_is_refused() -> None:
    claim = parse_claim("lower > 0")
    with pytest.raises(InputError, match="year too"):
        adversary(problem(molloy(), mods="~ year"), claim, SIZES, SETTINGS)
    schools = problem(eight_schools(), mu="Normal(mu=0, sigma=10)", tau="HalfNormal(sigma=10)")
    with pytest.raises(InputError, match="measure GEN has neither"):
        adversary(schools, claim, SIZES, SETTINGS)
    for size in (3, 0, -5, 10**9):
        with pytest.raises(InputError, match="4 to 10,000,000 people"):
            adversary(problem(molloy()), claim, (size,), SETTINGS)


def test_the_evidence_stays_as_it_is() -> None:
    one = problem(molloy())
    problem_with(one, 0.2, 50)
    with (Path(__file__).parent.parent / "references" / "molloy2014.csv").open() as stream:
        assert one.evidence.k == len(list(csv.DictReader(stream)))


def test_a_further_study_at_moderators_is_one_more_row_of_the_design() -> None:
    one = problem(alliance("drop"), mods="~ guidance")
    grown = problem_with(one, 0.1, 80, {"guidance": "unguided"})
    np.testing.assert_array_equal(
        grown.design.matrix[-1], one.design.encode({"guidance": "unguided"})
    )
    np.testing.assert_array_equal(grown.design.average, one.design.average)
    # At the average where nothing is named.
    np.testing.assert_allclose(problem_with(one, 0.1, 80).design.matrix[-1], one.design.average)
    with pytest.raises(InputError, match=r"guidance has no level 'guidd'.*did you mean 'guided'"):
        problem_with(one, 0.1, 80, {"guidance": "guidd"})
