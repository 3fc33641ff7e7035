"""The check table of the shipped evidence, and properties that need no reference."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import CASES, Case, alliance, molloy, problem, written
from metarho.engines import exact
from metarho.engines.exact.intervals import log_interval
from metarho.errors import InputError
from metarho.posterior.exact import Exact

# Independent brute-force integration, printed with the evidence: every digit is asked for.
TABLE = [
    ('role == "main"', "use", 28, "0.240351 0.033219 0.070877 -11.993261", ".23514 .17507 .29898"),
    ('role == "main"', "drop", 10, "0.291273 0.049576 0.072249 2.072961", ".28111 .19791 .37765"),
    (
        'role == "main" and statistic == "correlation"',
        "use",
        10,
        "0.262691 0.052675 0.074309 -2.243773",
        ".25603 .15984 .35371",
    ),
]


@pytest.mark.parametrize(("where", "intervals", "k", "numbers", "correlations"), TABLE)
def test_the_shipped_evidence_gives_the_check_table_to_all_digits(
    where: str, intervals: str, k: int, numbers: str, correlations: str
) -> None:
    encoded = problem(alliance(intervals, where))
    quadrature = exact.integrate(encoded)
    posterior = Exact(encoded, quadrature)
    mu = posterior.parameters["mu"].summary(0.95, "eti")
    tau = posterior.parameters["tau"].summary(0.95, "eti")
    rho = posterior.derived(0.95, "eti")["rho_median"]
    assert encoded.evidence.k == k
    seen = " ".join(f"{x:.6f}" for x in (mu.mean, mu.sd, tau.mean, quadrature.log_evidence) if x)
    assert seen == numbers
    printed = " ".join(f"{x:.5f}"[1:] for x in (rho.median, rho.lower, rho.upper) if x)
    assert printed == correlations


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_stated_error_is_small_and_true(case: Case) -> None:
    encoded = case.problem()
    quadrature = exact.integrate(encoded)
    # The contract for three hard dimensions; far more is met with fewer.
    three = len(exact.hard_dimensions(encoded)) > 2
    assert quadrature.quad_err < (1e-6 if three else 1e-9)
    assert quadrature.mass.sum() == pytest.approx(1, abs=1e-13)


@given(st.floats(-40, 40), st.floats(1e-8, 30))
@settings(max_examples=200, deadline=None)
def test_interval_probabilities_are_symmetric_and_increase_with_the_interval(
    lower: float, width: float
) -> None:
    inside = log_interval(np.array([lower]), np.array([lower + width]))[0]
    mirrored = log_interval(np.array([-lower - width]), np.array([-lower]))[0]
    wider = log_interval(np.array([lower]), np.array([lower + 1.1 * width]))[0]
    assert inside == pytest.approx(mirrored, rel=1e-12, abs=1e-12)
    assert -math.inf < inside <= wider <= 1e-15


@given(st.floats(-3, 3), st.floats(0.2, 5))
@settings(max_examples=25, deadline=None)
def test_shift_and_scale_carry_through(shift: float, scale: float) -> None:
    base = problem(molloy(), mu="Normal(mu=0, sigma=0.5)", tau="HalfNormal(sigma=0.25)")
    moved = problem(
        molloy(),
        mu=f"Normal(mu={shift!r}, sigma={0.5 * scale!r})",
        tau=f"HalfNormal(sigma={0.25 * scale!r})",
    )
    evidence = replace(
        base.evidence, y=base.evidence.y * scale + shift, v=base.evidence.v * scale**2
    )
    one = Exact(base, exact.integrate(base)).parameters["mu"].summary(0.95, "eti")
    other_problem = replace(moved, evidence=evidence)
    other = (
        Exact(other_problem, exact.integrate(other_problem)).parameters["mu"].summary(0.95, "eti")
    )
    assert other.mean == pytest.approx((one.mean or 0) * scale + shift, abs=1e-9)
    assert other.upper == pytest.approx((one.upper or 0) * scale + shift, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "priors"),
    [
        ("student-t", {"nu": "DiracDelta(c=4)"}),
        ("selection", {"omega": "DiracDelta(c=0.3)"}),
        ("random-effects", {"mu": "StudentT(nu=4, mu=0, sigma=0.3)", "tau": "DiracDelta(c=0.1)"}),
        ("three-level", {"tau_effect": "DiracDelta(c=0.1)"}),
    ],
)
def test_parameters_that_are_held_add_no_error(name: str, priors: dict[str, str]) -> None:
    # The sd of a point is 0 but for rounding, which no error may be measured in.
    assert exact.integrate(problem(molloy(), name, **priors)).quad_err < 1e-9


def test_a_flat_heterogeneity_without_enough_rows_is_refused(tmp_path: Path) -> None:
    rows = [{"yi": 0.1, "vi": 0.01}, {"yi": 0.3, "vi": 0.02}]
    with pytest.raises(InputError, match="improper"):
        problem(written(tmp_path, rows), mu="Flat()", tau="Flat()")


def test_moments_that_do_not_exist_are_none(tmp_path: Path) -> None:
    rows = [{"yi": 0.1, "vi": 0.01}]
    encoded = problem(written(tmp_path, rows), tau="HalfCauchy(beta=0.1)")
    tau = Exact(encoded, exact.integrate(encoded)).parameters["tau"].summary(0.95, "eti")
    # Likelihood and prior fall like tau**-3: the mean exists, the sd does not.
    assert tau.mean is not None
    assert tau.sd is None
    assert tau.median is not None


def test_the_average_correlation_of_new_studies_is_the_mean_of_rho_mean() -> None:
    encoded = problem(alliance())
    posterior = Exact(encoded, exact.integrate(encoded))
    new = posterior.rho(posterior.theta_new(posterior.head)).summary(0.95, "eti")
    mean = posterior.derived(0.95, "eti")["rho_mean"]
    assert mean.mean == pytest.approx(new.mean, abs=1e-10)


REFUSED = [
    ({"effects": "mixture"}, "effects: mixture"),
    ({"random": "study/effect + rater"}, "random: study/effect + rater"),
    ({"scale": "~ year"}, "scale: ~ year"),
    ({"custom": "mine.py"}, "custom model mine.py"),
]


@pytest.mark.parametrize(("change", "named"), REFUSED)
def test_what_the_engine_cannot_do_is_refused_by_name(change: dict[str, str], named: str) -> None:
    base = problem(alliance())
    refusal = exact.covers(replace(base, model=base.model.model_copy(update=change)))
    assert refusal is not None
    assert named in refusal
    assert "nuts" in refusal
