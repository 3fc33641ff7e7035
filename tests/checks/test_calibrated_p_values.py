"""Calibrated p-values: posteriors against the engine's, p against refits and closed forms, law."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from cases import alliance, eight_schools, molloy, problem, written
from metarho.checks.calibration import (
    MOST_ROWS,
    MOST_ROWS_NESTED,
    Nodes,
    calibrate,
    no_calibration,
    plain_p_values,
    rank,
)
from metarho.checks.discrepancies import NAMED, Discrepancy, Rows, named, no_statistic
from metarho.checks.p_values import exceeds
from metarho.checks.replicates import print_rows, rows_of
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.posterior.joint import independent_draws
from metarho.posterior.prior_draws import draw_priors
from metarho.posterior.prior_predictive import draw_prior_predictive
from simulation import draw_truth, simulate

type Array = NDArray[np.float64]

MODELS: dict[str, Problem] = {
    "random effects": problem(alliance("drop")),
    "common effect": problem(molloy(), "common-effect"),
    "three levels": problem(alliance("drop"), "three-level"),
    "total and share": problem(alliance("drop"), "three-level", tau="HalfNormal(sigma=0.2)"),
    "moderators": problem(alliance("drop"), mods="~ guidance + center(year)"),
    "a mixture": problem(
        molloy(), mu="NormalMixture(w=[1, 2], mu=[0, 0.3], sigma=[0.05, 0.4])",
        tau="InverseGamma(alpha=2, beta=0.2)",
    ),
    "in units of tau": problem(molloy(), mu="Normal(mu=0, sigma=1) on mu/tau"),
    "correlated errors": problem(replace(alliance("drop"), rho_within=0.6)),
    "a known mean": problem(molloy(), mu="DiracDelta(c=0.1)"),
    "other effects": problem(
        eight_schools(), mu="Normal(mu=0, sigma=20)", tau="HalfNormal(sigma=10)"
    ),
}  # fmt: skip


def _discrepancies(base: Problem, *names: str) -> list[Discrepancy]:
    rows = rows_of(base)
    everyone = np.ones(len(rows.v), dtype=bool)
    wanted = names or tuple(NAMED)
    found = [named(name, name, everyone, rows) for name in wanted]
    return [one for one in found if no_statistic(one.name, rows.only(one.kept)) is None]


def _expected(base: Problem, count: int, seed: int) -> Array:
    """Data sets of the prior predictive."""
    rng = np.random.default_rng(seed)
    return draw_prior_predictive(base, draw_priors(base, rng, count), rng)


def _with(base: Problem, y: Array) -> Problem:
    return replace(base, evidence=replace(base.evidence, y=y))


@pytest.mark.parametrize("name", MODELS)
def test_the_posterior_at_shared_nodes_is_the_engine_s(name: str) -> None:
    """Of the evidence and of data sets that lie elsewhere, all at the nodes of the prior."""
    base = MODELS[name]
    y = np.vstack([base.evidence.y, _expected(base, 3, seed=4)])
    nodes = Nodes.of(base)
    row = base.design.average
    for one, mass in zip(y, nodes.masses(y), strict=True):
        q = exact.integrate(_with(base, one))
        assert q.mean is not None and q.covariance is not None
        own = q.mean @ row
        mean = float(q.node_mass @ own)
        spread = np.einsum("i,nij,j->n", row, q.covariance, row)
        variance = float(q.node_mass @ (spread + (own - mean) ** 2))
        away = one - nodes.mean @ base.design.matrix.T
        at = nodes.mean + np.einsum("jpk,jk->jp", nodes.gain, away)
        root = nodes.root
        within = np.einsum("i,nij,nkj,k->n", row, root, root, row)
        found = float(mass @ (at @ row))
        # Nodes that hold a millionth of the prior are left out.
        assert found == pytest.approx(mean, abs=1e-5 * math.sqrt(variance) + 1e-12)
        assert float(mass @ (within + (at @ row - found) ** 2)) == pytest.approx(variance, rel=1e-4)
        tau2 = sum(base.level_variances(q.values).values(), np.zeros(1))
        total = sum(nodes.variances, np.zeros(1))
        expected = float((q.node_mass * tau2).sum())
        assert float((mass * total).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("name", ["random effects", "total and share", "moderators"])
def test_plain_p_of_simulated_data_are_those_of_refits(name: str) -> None:
    """Fitted one by one, with draws of their own: in Monte Carlo errors of both."""
    base = MODELS[name]
    asked = _discrepancies(base, "q", "range", "negative", "significant", "asymmetry")
    y, rows = _expected(base, 4, seed=9), rows_of(base)
    found = plain_p_values(base, asked, y, np.random.default_rng(1), replicates=8000)
    rng = np.random.default_rng(2)
    for one, plain in zip(y, found, strict=True):
        own = _with(base, one)
        values = independent_draws(own, exact.integrate(own), 8000, rng)
        beta = np.stack([values[n] for n in own.coefficients], axis=-1)
        given = Hyperparameters(beta, own.level_variances(values))
        printed = print_rows(own, given, rng)
        for place, each in enumerate(asked):
            p = exceeds(each.of(printed, rows), float(each.of(one[None], rows)[0])).mean()
            assert abs(p - plain[place]) < 4 * math.sqrt(2 * 0.25 / 8000), (name, each.name)


def test_a_mean_is_calibrated_as_its_closed_form_says() -> None:
    """Plain p is Φ of the mean, of which the prior predictive law is normal."""
    base = problem(molloy(), "common-effect", mu="Normal(mu=0, sigma=0.05)")
    w = 1 / base.evidence.v

    def mean(printed: Array, rows: Rows) -> Array:
        return np.asarray(printed @ w / w.sum())

    (found,) = calibrate(base, [Discrepancy("mean", mean, np.ones(16, dtype=bool))], 1, 4000)
    estimate, se2 = float(base.evidence.y @ w / w.sum()), 1 / w.sum()
    expected = stats.norm.sf(estimate, 0, math.hypot(0.05, math.sqrt(se2)))
    assert abs(found.p - expected) < 4 * found.mcse


def test_q_without_heterogeneity_is_calibrated_already() -> None:
    base = MODELS["common effect"]
    (q,) = calibrate(base, _discrepancies(base, "q"), 1)
    (observed,) = _discrepancies(base, "q")[0].of(base.evidence.y[None], rows_of(base))
    assert abs(q.p - stats.chi2.sf(observed, base.evidence.k - 1)) < 4 * q.mcse


def _simulated(base: Problem, count: int, seed: int) -> Array:
    """Data sets of the model, by the simulation that was written for tests."""
    rng = np.random.default_rng(seed)
    return np.array([simulate(base, draw_truth(base, rng), rng) for _ in range(count)])


def _ranks(base: Problem, asked: list[Discrepancy], count: int, seed: int) -> tuple[Array, Array]:
    """Plain and calibrated p-values of data sets of the model, by as many others: (count, F)."""
    y = np.vstack([_expected(base, count, seed), _simulated(base, count, seed + 1)])
    rng = np.random.default_rng(seed + 2)
    plain = plain_p_values(base, asked, y, rng, replicates=500)
    known, own = plain[:count], plain[count:]
    calibrated = [
        [rank(p, column, rng.uniform()) for p in of.tolist()]
        for column, of in zip(known.T, own.T, strict=True)
    ]
    return own, np.array(calibrated).T


def _distance(p: Array) -> float:
    return float(stats.kstest(p, "uniform").statistic)


# Two samples of n: beyond this of their distribution functions once in a hundred thousand.
def _largest(count: int) -> float:
    return math.sqrt(-0.5 * math.log(0.5e-5) * 2 / count)


def test_calibrated_p_are_uniform_and_plain_ones_are_not() -> None:
    base = MODELS["random effects"]
    asked = _discrepancies(base)
    plain, calibrated = _ranks(base, asked, 2000, seed=20)
    limit = _largest(2000)
    assert all(_distance(column) < limit for column in calibrated.T)
    for name in ("q", "spread", "negative", "significant"):
        column = plain[:, [one.name for one in asked].index(name)]
        assert _distance(column) > limit
        # Nearer to one half than a uniform number.
        assert column.std() < 0.9 / math.sqrt(12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random effects", "three levels", "moderators", "a mixture"])
def test_calibrated_p_are_uniform_in_a_long_simulation(name: str) -> None:
    base, count = MODELS[name], 4000
    asked = _discrepancies(base)
    plain, calibrated = _ranks(base, asked, count, seed=50)
    for one, raw, p in zip(asked, plain.T, calibrated.T, strict=True):
        logging.info(
            "%s, %s: KS plain %.3f, calibrated %.3f; share of p < .05 plain %.3f, calibrated %.3f",
            name, one.name, _distance(raw), _distance(p), (raw < 0.05).mean(), (p < 0.05).mean(),
        )  # fmt: skip
        assert _distance(p) < _largest(count), one.name


def test_a_rank_among_its_like_is_uniform_with_ties_too() -> None:
    rng = np.random.default_rng(3)
    ranks = []
    for _ in range(4000):
        # Ten that have one of three values.
        own, *others = rng.integers(0, 3, 11).tolist()
        ranks.append(rank(own, np.array(others, dtype=float), rng.uniform()))
    assert min(ranks) > 0 and max(ranks) < 1
    assert stats.kstest(ranks, "uniform").pvalue > 1e-4


def test_the_same_seed_has_the_same_p_and_another_one_differs_within_its_error() -> None:
    base = MODELS["random effects"]
    asked = _discrepancies(base, "q", "asymmetry")
    first, again, other = (calibrate(base, asked, seed) for seed in (1, 1, 2))
    assert [one.p for one in first] == [one.p for one in again]
    for one, two in zip(first, other, strict=True):
        assert one.p != two.p
        # Each has the error of its data sets, and of the randomness that they share.
        assert abs(one.p - two.p) < 4 * math.hypot(one.mcse, two.mcse)


@pytest.mark.slow
def test_the_error_of_a_calibrated_p_is_that_of_other_seeds() -> None:
    base = MODELS["random effects"]
    asked = _discrepancies(base, "q", "spread", "skew", "significant")
    found = [calibrate(base, asked, seed) for seed in range(20)]
    for place, one in enumerate(asked):
        spread = np.std([each[place].p for each in found], ddof=1)
        told = np.mean([each[place].mcse for each in found])
        logging.info("%s: sd over seeds %.4f, error told %.4f", one.name, spread, told)
        # A spread of 20 is known to a third of itself, twice over.
        assert 0.5 < told / spread < 2


def test_what_no_data_set_exceeds_has_an_error_too() -> None:
    base = MODELS["random effects"]

    def far(printed: Array, rows: Rows) -> Array:
        """Large for the evidence only."""
        return np.where((printed == base.evidence.y).all(axis=1), 9.0, printed[:, 0] / 99)

    (found,) = calibrate(base, [Discrepancy("far", far, np.ones(10, dtype=bool))], 1, 500)
    assert found.p < 0.01
    assert found.mcse > 0.001


REFUSED: dict[str, tuple[Problem, str]] = {
    "an improper prior": (problem(molloy(), mu="Flat()"), "a proper prior on mu"),
    "words": (problem(alliance()), "drop the intervals"),
    "the exact law of r": (problem(alliance("drop"), "exact-r"), "closed form"),
    "selection": (problem(alliance("drop"), "selection"), "closed form"),
    "a heavy tail": (
        problem(molloy(), mu="Cauchy(alpha=0, beta=0.3)"),
        "Cauchy(alpha=0, beta=0.3) of mu leaves no closed form",
    ),
    "a mixture of effects": (problem(alliance("drop"), "mixture"), "closed form"),
}


@pytest.mark.parametrize("base, said", REFUSED.values(), ids=REFUSED)
def test_what_costs_too_much_is_refused_by_name(base: Problem, said: str) -> None:
    assert said in str(no_calibration(base))


@pytest.mark.parametrize("name", MODELS)
def test_conjugate_models_are_calibrated(name: str) -> None:
    assert no_calibration(MODELS[name]) is None


@pytest.mark.parametrize(
    "name, random, most",
    [
        ("random-effects", "effect", MOST_ROWS),
        ("three-level", "study/effect", MOST_ROWS_NESTED),
    ],
)
def test_too_many_rows_are_refused(tmp_path: Path, name: str, random: str, most: int) -> None:
    rows = [{"yi": 0.01 * (number % 7), "vi": 0.02} for number in range(most + 1)]
    said = no_calibration(problem(written(tmp_path, rows), name))
    assert said == f"of {most + 1} rows; up to {most} are with random: {random}"
    assert no_calibration(problem(written(tmp_path, rows[1:]), name)) is None
