"""The numbers of a table of cells: those of the fit, and the same whatever is read beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases import alliance, molloy, problem
from metarho.batch.answers import Asked, answers
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.spec.analysis import Interval
from metarho.spec.claims import parse_quantities

ASKED = Asked((0.0, 0.1, 0.3))
SETTINGS = Settings()


def problems() -> list[Problem]:
    """Of every way to read a posterior: together, with two levels, on panels, closed, on r."""
    main, six = alliance("drop", 'role == "main"'), molloy()
    rng = np.random.default_rng(7)
    found = []
    for studies in (main, six):
        for _ in range(6):
            mu = f"Normal(mu={rng.normal(0, 0.2):.3f}, sigma={rng.uniform(0.05, 1):.3f})"
            tau = f"HalfNormal(sigma={rng.uniform(0.02, 1):.3f})"
            found.append(problem(studies, "random-effects", mu=mu, tau=tau))
    found.append(problem(six, "random-effects", tau="HalfCauchy(beta=0.3)"))
    found.append(problem(six, "random-effects", mu="StudentT(nu=3, mu=0, sigma=0.3)"))
    found.append(problem(six, "random-effects", mu="DiracDelta(c=0.1)"))
    found.append(problem(six, "random-effects", mu="Flat()", tau="Flat()"))
    found += [
        problem(main, "three-level"),
        problem(main, "three-level", tau_study="HalfNormal(sigma=1)"),
    ]
    found += [problem(main, "random-effects", "~ guidance"), problem(main, "common-effect")]
    found.append(problem(alliance("use", 'role == "main"'), "random-effects"))
    return found


@pytest.fixture(scope="module")
def fits() -> list[Fit]:
    return fit_many(problems(), SETTINGS)


def test_answers_are_the_numbers_of_the_fit(fits: list[Fit]) -> None:
    # As far as either finds a quantile: by Newton's method to 1e-12 of the mass.
    for fit, row in zip(fits, answers(fits, ASKED, SETTINGS), strict=True):
        for start, summary in (("", fit.pooled), ("new_", fit.pooled_new)):
            for name in ("median", "lower", "upper"):
                assert row[f"{start}{name}"] == pytest.approx(getattr(summary, name), abs=1e-9)
        tau = fit.posterior.tau.summary(0.95, "eti").median
        assert row["tau"] == pytest.approx(tau, abs=1e-9)
        mean = fit.posterior.rho(fit.posterior.mean_of(fit.posterior.head))
        above = 1 - float(mean.cdf(np.array(0.1)))
        assert row["P(rho > 0.1)"] == pytest.approx(above, abs=1e-9)
        assert row["log_evidence"] == fit.log_evidence
        assert (row["status"], row["engine"], row["reason"]) == ("ok", "exact", None)
        assert row["k_effects"] == fit.problem.evidence.k


def test_answers_do_not_depend_on_what_is_read_beside_them(fits: list[Fit]) -> None:
    together = answers(fits, ASKED, SETTINGS)
    assert [answers([fit], ASKED, SETTINGS)[0] for fit in fits] == together
    backwards = answers(fits[::-1], ASKED, SETTINGS)[::-1]
    assert backwards == together
    assert answers(fits[::3], ASKED, SETTINGS) == together[::3]


def test_fits_do_not_depend_on_what_is_fitted_beside_them(fits: list[Fit]) -> None:
    alone = [fit_many([one], SETTINGS)[0] for one in problems()]
    assert answers(alone, ASKED, SETTINGS) == answers(fits, ASKED, SETTINGS)


def test_shortest_intervals_and_further_quantities_are_those_of_the_fit(fits: list[Fit]) -> None:
    settings = replace(SETTINGS, interval=Interval(prob=0.8, kind="hdi"))
    asked = replace(ASKED, quantities=parse_quantities(["rho_mean", "bf_mu"]))
    some = [replace(fits[0], interval=settings.interval)]
    for fit, row in zip(some, answers(some, asked, settings), strict=True):
        assert row["lower"] == pytest.approx(fit.pooled.lower, abs=1e-9)
        assert row["upper"] == pytest.approx(fit.pooled.upper, abs=1e-9)
        assert row["rho_mean"] == pytest.approx(fit.derived["rho_mean"].mean, abs=1e-12)
        assert float(str(row["bf_mu"])) > 1


def test_what_does_not_exist_is_blank(fits: list[Fit]) -> None:
    improper = answers([fits[15]], ASKED, SETTINGS)[0]
    assert improper["log_evidence"] is None
    closed = answers([fits[-2]], ASKED, SETTINGS)[0]
    assert closed["tau"] == 0
    assert closed["new_lower"] == closed["lower"]
