"""Informative reporting: rows that do not appear, and results that print no number."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad
from scipy.special import beta, expit

from cases import alliance, model, molloy
from metarho.compare.conflict import conflict
from metarho.data.effect_sizes import critical_r
from metarho.engines import exact, nuts
from metarho.engines.exact.leave_out import studies_out
from metarho.engines.exact.reporting import log_likelihood_table_reported
from metarho.engines.problem import Evidence, Problem, Reporting, encode
from metarho.posterior.exact import Exact
from metarho.posterior.study_likelihood import no_study_likelihood
from metarho.spec.analysis import Sampler
from metarho.store.keys import key_of

type Array = NDArray[np.float64]


def _problem(reporting: Reporting | None, words: bool = True) -> Problem:
    problem = encode(model("random-effects"), alliance() if words else molloy())
    return replace(problem, reporting=reporting)


def _critical(evidence: Evidence, row: int) -> float:
    return math.atanh(critical_r(evidence.rows[row].ni or 4))


def _textbook(evidence: Evidence, law: Reporting, mu: float, tau: float) -> float:
    """Log p(all rows | mu, tau) by SciPy, from the definitions: a is integrated by quad."""
    total, numbers, words = 0.0, [], []
    nodes, weights = np.polynomial.legendre.leggauss(80)
    for row in range(evidence.k):
        c, sd = _critical(evidence, row), math.sqrt(evidence.v[row] + tau**2)
        y, normal = evidence.y[row], stats.norm(mu, sd)
        inside = normal.cdf(c) - normal.cdf(-c)
        total -= math.log(law.omega * inside + 1 - inside)
        if not evidence.is_interval[row]:
            total += float(normal.logpdf(y)) + (math.log(law.omega) if abs(y) < c else 0)
            numbers += [y / c] if abs(y) < c else []
            continue
        low, high = evidence.lower[row], evidence.upper[row]
        if evidence.rows[row].reported == "not significant":
            total += math.log(law.omega)
            words.append(c * weights * normal.pdf(c * nodes))
            continue
        both = max(0.0, normal.cdf(min(high, c)) - normal.cdf(max(low, -c)))
        total += math.log(normal.cdf(high) - normal.cdf(low) - (1 - law.omega) * both)

    def given(a: float) -> float:
        chance = math.exp(-abs(a)) / (1 + math.exp(-abs(a))) ** 2
        for x in numbers:
            chance *= expit(a + law.delta * x)
        word = expit(-(a + law.delta * nodes))
        for density in words:
            chance *= float(density @ word)
        return float(chance)

    scale = given(-1.0)
    found, _ = quad(lambda a: given(a) / scale, -40, 40, points=[-5, 0, 5], limit=400,
                    epsabs=0, epsrel=1e-11)  # fmt: skip
    return total + math.log(found * scale)


@pytest.mark.parametrize(
    "law", [Reporting(omega=0.2), Reporting(delta=3.0), Reporting(omega=0.05, delta=-4.0)]
)
def test_the_likelihood_is_that_of_its_definition(law: Reporting) -> None:
    evidence = _problem(None).evidence
    mu, tau = np.array([-0.1, 0.2, 0.6]), np.array([0.0, 0.1, 0.5])
    seen = log_likelihood_table_reported(evidence, law, mu, tau**2)
    if law.delta == 0:
        # What is left out there is the chance of these forms, the same for all mu and tau.
        n = evidence.is_not_significant
        words = int((n & evidence.is_interval).sum())
        seen = seen + math.log(beta(1 + n.sum() - words, 1 + words))
    for i, one_tau in enumerate(tau):
        for j, one_mu in enumerate(mu):
            truth = _textbook(evidence, law, float(one_mu), float(one_tau))
            assert seen[i, j] == pytest.approx(truth, abs=1e-8)


@pytest.mark.parametrize("words", [True, False])
def test_the_ends_of_both_paths_are_coarsening_at_random(words: bool) -> None:
    plain = exact.integrate(_problem(None, words))
    truth = Exact(_problem(None, words), plain).parameters["mu"].summary(0.95, "eti")
    for law in (Reporting(), Reporting(omega=1 - 1e-13), Reporting(delta=1e-13)):
        problem = _problem(law, words)
        found = exact.integrate(problem)
        seen = Exact(problem, found).parameters["mu"].summary(0.95, "eti")
        assert [seen.mean, seen.sd, seen.lower] == pytest.approx(
            [truth.mean, truth.sd, truth.lower], abs=1e-8
        )
        assert found.quad_err < 1e-8


def test_the_posterior_is_that_of_a_grid() -> None:
    problem = _problem(Reporting(omega=0.1, delta=2.0))
    found = exact.integrate(problem)
    mu, over_mu = np.polynomial.legendre.leggauss(300)
    tau, over_tau = np.polynomial.legendre.leggauss(80)
    mu, tau = 1.2 * mu + 0.2, 0.75 * (1 + tau)
    assert problem.reporting is not None
    table = log_likelihood_table_reported(problem.evidence, problem.reporting, mu, tau**2)
    log_prior = stats.norm.logpdf(mu, 0, 0.5) + stats.halfnorm.logpdf(tau, 0, 0.25)[:, None]
    mass = np.exp(table + log_prior - found.log_integral) * 0.9 * over_mu * over_tau[:, None]
    assert problem.prior("tau").values["sigma"] == 0.25
    assert mass.sum() == pytest.approx(1, abs=1e-8)
    seen = Exact(problem, found).parameters["mu"].summary(0.95, "eti")
    assert seen.mean == pytest.approx(float(mass.sum(axis=0) @ mu), abs=1e-8)


def test_hidden_results_make_the_answer_smaller_and_printed_small_ones_larger() -> None:
    def mean(law: Reporting) -> float:
        problem = _problem(law)
        found = Exact(problem, exact.integrate(problem)).parameters["mu"].summary(0.95, "eti")
        assert found.mean is not None
        return found.mean

    omegas = [mean(Reporting(omega=omega)) for omega in (1.0, 0.3, 0.1, 0.03)]
    assert np.all(np.diff(omegas) < 0)
    deltas = [mean(Reporting(delta=delta)) for delta in (-3.0, -1.0, 0.0, 1.0, 3.0)]
    assert np.all(np.diff(deltas) < 0)


def test_selected_results_are_recovered_with_the_omega_that_selected_them() -> None:
    rng = np.random.default_rng(11)
    base = molloy()
    rows = []
    for number in range(400):
        n = float(rng.integers(20, 120))
        while True:
            y = rng.normal(0.15, math.sqrt(0.1**2 + 1 / (n - 3)))
            if abs(y) >= math.atanh(critical_r(n)) or rng.uniform() < 0.2:
                break
        row = replace(base.used[0], study=f"s{number:03}", ni=n, yi=y, vi=1 / (n - 3))
        rows.append(row)
    problem = encode(model("random-effects"), replace(base, rows=tuple(rows)))
    told = replace(problem, reporting=Reporting(omega=0.2))
    seen = Exact(told, exact.integrate(told)).parameters["mu"].summary(0.95, "eti")
    naive = Exact(problem, exact.integrate(problem)).parameters["mu"].summary(0.95, "eti")
    assert seen.mean is not None and seen.sd is not None and naive.mean is not None
    assert abs(seen.mean - 0.15) < 3.5 * seen.sd
    assert naive.mean - 0.15 > 5 * seen.sd


def test_hidden_numbers_are_recovered_with_the_delta_that_hid_them() -> None:
    rng = np.random.default_rng(12)
    base, rows = molloy(), []
    for number in range(400):
        n = float(rng.choice([25, 50, 100]))
        y, c = rng.normal(0.1, math.sqrt(0.1**2 + 1 / (n - 3))), math.atanh(critical_r(n))
        row = replace(base.used[0], study=f"s{number:03}", ni=n, vi=1 / (n - 3))
        if abs(y) < c and rng.uniform() > expit(0.3 + 4 * y / c):
            rows.append(replace(row, reported="not significant", yi=None, lower=-c, upper=c))
        else:
            rows.append(replace(row, yi=y))
    problem = encode(model("random-effects"), replace(base, rows=tuple(rows)))

    def distance(law: Reporting | None) -> float:
        told = replace(problem, reporting=law)
        seen = Exact(told, exact.integrate(told)).parameters["mu"].summary(0.95, "eti")
        assert seen.mean is not None and seen.sd is not None
        return (seen.mean - 0.1) / seen.sd

    assert abs(distance(Reporting(delta=4.0))) < 3.5
    # Taken as said of the interval alone, words are too high; with the wrong sign, more so.
    assert 3.5 < distance(None) < distance(Reporting(delta=-4.0))


def test_a_law_of_reporting_is_part_of_the_key_and_none_is_not() -> None:
    sampler = Sampler()
    keys = {
        key_of(_problem(law), "exact", sampler)
        for law in (None, Reporting(omega=0.5), Reporting(omega=0.4), Reporting(delta=1.0))
    }
    assert len(keys) == 4


def test_the_level_of_tests_is_part_of_the_key_under_a_law_of_reporting_and_only_then() -> None:
    for law, count in ((None, 1), (Reporting(omega=0.5), 2)):
        problem = _problem(law)
        rows = tuple(replace(row, alpha=0.01) for row in problem.evidence.rows)
        stricter = replace(problem, evidence=replace(problem.evidence, rows=rows))
        keys = {key_of(one, "exact", Sampler()) for one in (problem, stricter)}
        assert len(keys) == count


def test_what_informative_reporting_does_not_go_with_is_refused_by_name() -> None:
    law = Reporting(omega=0.5)
    nested = replace(encode(model("three-level"), alliance()), reporting=law)
    assert "random: study/effect" in str(exact.covers(nested))
    moderated = replace(encode(model("three-level-moderators"), alliance()), reporting=law)
    assert exact.covers(moderated) is not None
    problem = _problem(law)
    assert "engine: exact" in str(nuts.covers(problem))
    assert exact.covers(problem) is None
    rows = tuple(replace(row, ni=None) for row in problem.evidence.rows)
    unsized = replace(problem, evidence=replace(problem.evidence, rows=rows))
    assert "needs n, for whether a result is significant" in str(exact.covers(unsized))
    clash = conflict(_problem(law, words=False))
    assert clash.mu is None and clash.tau is None
    assert "informative reporting" in str(no_study_likelihood(problem))
    out = next(iter(studies_out(problem, exact.integrate(problem))))
    assert out.log_density is None and "informative reporting" in str(out.reason)
