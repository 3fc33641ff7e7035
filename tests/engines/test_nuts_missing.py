"""Imputed moderators: the sampler against the exact engine on all completed tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from cases import alliance, model
from drawn_fits import CHAINS, LENGTH, drawn_fit
from metarho.data.studies import Studies
from metarho.data.tables import Cell
from metarho.engines import exact, nuts
from metarho.engines.nuts.draws import Draws
from metarho.engines.nuts.missing import drawn_rows
from metarho.engines.problem import Problem, encode
from metarho.fitting import choose
from metarho.posterior.exact import Exact
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.posterior.joint import hyperparameters_of_sample
from metarho.posterior.sampled import Sampled
from metarho.posterior.study_likelihood import no_study_likelihood, study_log_likelihood
from metarho.spec.analysis import Sampler
from metarho.spec.model import Model
from metarho.spec.priors import parse_prior

type Array = NDArray[np.float64]

# Of a t law's probability: a posterior is a smooth function of a year.
NODES = 24


def _spec(mods: str, **changes: object) -> Model:
    return model("three-level-moderators").model_copy(
        update={"mods": mods, "missing": "impute", "reference": {}, **changes}
    )


def _set(studies: Studies, name: str, study: str, cell: Cell) -> Studies:
    """The evidence with one study's moderator changed."""
    cells = zip(studies.table.column(name), studies.table.column("study"), strict=True)
    column = tuple(cell if of == study else old for old, of in cells)
    return replace(
        studies, table=replace(studies.table, columns={**studies.table.columns, name: column})
    )


@pytest.fixture(scope="module")
def numbers() -> Studies:
    """The rows that printed numbers, two studies' guidance and another's year blank."""
    studies = alliance("drop")
    names = list(dict.fromkeys(row.study for row in studies.used))
    for name, study in (("guidance", names[0]), ("guidance", names[3]), ("year", names[5])):
        studies = _set(studies, name, study, None)
    return studies


@pytest.fixture(scope="module")
def encoded(numbers: Studies) -> Problem:
    spec = _spec("~ guidance + center(year)", random="effect")
    priors = {**spec.priors, "tau": spec.priors["tau_study"]}
    return encode(spec.model_copy(update={"priors": priors}), numbers)


@pytest.fixture(scope="module")
def draws(encoded: Problem) -> Draws:
    (found,) = nuts.fit_many([(encoded, 5)], Sampler())
    return found


def _completed(encoded: Problem) -> Iterator[tuple[float, Problem]]:
    """Every table without blanks, with the log of its chance: all levels, and nodes of the year."""
    found = encoded.imputation
    assert found is not None
    (year,) = found.numbers.values()
    # The predictive law of one more value, as equal shares of its probability.
    law = stats.t(year.n - 1, year.mean, year.sd * np.sqrt(1 + 1 / year.n))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    values, shares = law.ppf(0.5 + 0.5 * nodes), 0.5 * weights
    counts = 1.0 + np.array(found.factors["guidance"].counts)
    first, second, third = found.blocks
    assert (first.factors, second.factors) == (("guidance",), ("guidance",))
    assert third.numbers == ("year",)
    for a in range(first.candidates):
        for b in range(second.candidates):
            # Two draws from one urn.
            chance = counts[a] / counts.sum() * (counts[b] + (a == b)) / (counts.sum() + 1)
            for x, share in zip(values, shares, strict=True):
                rows = first.rows_at(np.array(a), []) | second.rows_at(np.array(b), [])
                rows |= third.rows_at(np.array(0), [np.array(x)])
                matrix = encoded.design.matrix.copy()
                for row, design in rows.items():
                    matrix[int(row)] = design
                table = replace(encoded.design, matrix=matrix)
                problem = replace(encoded, design=table, imputation=None)
                yield float(np.log(chance * share)), problem


@pytest.fixture(scope="module")
def completed(encoded: Problem) -> tuple[Array, list[Exact]]:
    """Of every table, the log of its chance and evidence, and its posterior."""
    logs, answers = [], []
    for log_chance, problem in _completed(encoded):
        solved = exact.integrate(problem)
        logs.append(log_chance + solved.log_integral)
        answers.append(Exact(problem, solved))
    return np.array(logs), answers


# Slow: so many candidates compile for longest of all. test_nuts_density proves such a density.
@pytest.mark.slow
def test_the_sampler_averages_over_all_completed_tables(
    draws: Draws, completed: tuple[Array, list[Exact]]
) -> None:
    logs, answers = completed
    log_evidence = float(logsumexp(logs))
    weights = np.exp(logs - log_evidence)
    assert draws.log_evidence is not None and draws.log_evidence_mcse is not None
    assert draws.log_evidence == pytest.approx(log_evidence, abs=5 * draws.log_evidence_mcse)
    for name, values in draws.parameters.items():
        seen = [one.parameters[name].summary(0.95, "eti") for one in answers]
        means = np.array([one.mean for one in seen], dtype=float)
        squares = np.array([one.sd for one in seen], dtype=float) ** 2 + means**2
        mean = float(weights @ means)
        sd = float(np.sqrt(weights @ squares - mean**2))
        # 4000 draws that are worth at least 400: 4 standard errors are a fifth of an sd.
        assert values.mean() == pytest.approx(mean, abs=0.2 * sd), name
        assert values.std() == pytest.approx(sd, rel=0.15), name


@pytest.mark.slow
def test_drawn_levels_have_their_posterior_chances(
    encoded: Problem, draws: Draws, completed: tuple[Array, list[Exact]]
) -> None:
    found = encoded.imputation
    assert found is not None
    by_level = completed[0].reshape(found.blocks[0].candidates, -1)
    chances = np.exp(logsumexp(by_level, axis=1) - logsumexp(by_level))
    rows = draws.imputed[str(found.blocks[0].rows[0])]
    for level in range(1, len(chances)):
        seen = (rows == found.blocks[0].constant[level, 0]).all(axis=-1).mean()
        # Draws of a level are nearly independent: 5 standard errors of 2000 of them.
        error = np.sqrt(chances[level] * (1 - chances[level]) / 2000)
        assert seen == pytest.approx(chances[level], abs=5 * error)


def test_the_likelihood_of_a_study_is_averaged_over_its_candidates(numbers: Studies) -> None:
    problem = encode(_spec("~ guidance"), numbers)
    found = problem.imputation
    assert found is not None
    rng = np.random.default_rng(3)
    given = Hyperparameters(
        rng.normal(0.1, 0.2, (7, len(problem.coefficients))),
        {"study": rng.uniform(0, 0.1, 7), "effect": rng.uniform(0, 0.1, 7)},
    )
    seen = study_log_likelihood(problem, given)
    block = found.blocks[0]
    counts = 1.0 + np.array(found.factors["guidance"].counts)
    study = problem.evidence.study[block.rows[0]]
    rows = np.flatnonzero(problem.evidence.study == study)
    for draw in range(7):
        tau2 = given.tau2["study"][draw], given.tau2["effect"][draw]
        covariance = tau2[0] + np.diag(problem.evidence.v[rows] + tau2[1])
        total = 0.0
        for level, count in enumerate(counts):
            mean = block.constant[level] @ given.coefficients[draw]
            law = stats.multivariate_normal(mean, covariance)
            total += count / counts.sum() * law.pdf(problem.evidence.y[rows])
        assert seen[draw, study] == pytest.approx(float(np.log(total)), abs=1e-10)


@pytest.fixture(scope="module")
def candidates(encoded: Problem) -> dict[str, Array]:
    """What a sampler might leave of the candidates: later levels more often, years at random."""
    found, rng = encoded.imputation, np.random.default_rng(4)
    assert found is not None
    posterior: dict[str, Array] = {}
    for number, block in enumerate(found.blocks):
        odds = np.arange(1.0, block.candidates + 1)
        posterior[f"candidates_{number}"] = np.broadcast_to(odds, (CHAINS, LENGTH, len(odds)))
        for place in range(len(block.numbers)):
            posterior[f"unknown_{number}_{place}"] = rng.normal(2010, 5, (CHAINS, LENGTH))
    return posterior


def test_rows_are_drawn_by_the_chances_and_values_of_their_candidates(
    encoded: Problem, candidates: dict[str, Array]
) -> None:
    found = encoded.imputation
    assert found is not None
    rows = drawn_rows(found, candidates, np.random.default_rng(1))
    for block in found.blocks[:2]:
        chances = np.arange(1.0, block.candidates + 1) / np.arange(1, block.candidates + 1).sum()
        for level, chance in enumerate(chances):
            seen = (rows[str(block.rows[0])] == block.constant[level, 0]).all(axis=-1).mean()
            # Five standard errors.
            error = np.sqrt(chance * (1 - chance) / (CHAINS * LENGTH))
            assert seen == pytest.approx(chance, abs=5 * error)
    year = found.blocks[2].rows[0]
    column = encoded.coefficients.index("beta[center(year)]")
    drawn, value = rows[str(year)][..., column], candidates["unknown_2_0"]
    # Centred at the mean of the years that are known.
    assert np.ptp(value - drawn) == pytest.approx(0, abs=1e-9)
    assert 2000 < (value - drawn).mean() < 2025


def test_a_fit_says_what_it_imputed_and_returns_from_its_draws(
    encoded: Problem, candidates: dict[str, Array]
) -> None:
    found, draws = encoded.imputation, drawn_fit(encoded).result
    assert found is not None and isinstance(draws, Draws)
    rows = drawn_rows(found, candidates, np.random.default_rng(1))
    draws = replace(draws, imputed=rows)
    assert choose(encoded, "auto")[0] == "nuts"
    assert "unknown year is not computed" in (no_study_likelihood(encoded) or "")
    given = hyperparameters_of_sample(Sampled(encoded, draws))
    assert {int(row) for row in given.imputed} == {*np.flatnonzero(~encoded.design.known).tolist()}


@pytest.mark.parametrize(
    "part",
    [
        {"likelihood": "exact-r", "random": "effect"},
        {"effects": "student-t", "random": "effect"},
    ],
)
def test_parts_that_do_not_go_with_imputation_are_refused_by_name(
    part: dict[str, object], numbers: Studies
) -> None:
    spec = _spec("~ guidance")
    base = model("student-t")
    priors = {**spec.priors, "tau": base.priors["tau"], "nu": base.priors["nu"]}
    problem = encode(spec.model_copy(update={**part, "priors": priors}), numbers)
    assert "does not join missing: impute" in (nuts.covers(problem) or "")


def test_two_prior_sets_share_one_compiled_model(numbers: Studies) -> None:
    spec = _spec("~ guidance + center(year)")
    sceptical = {"mu": parse_prior("Normal(mu=0, sigma=0.1)")}
    one, two = encode(spec, numbers), encode(spec, numbers, sceptical)
    assert nuts.structure(one) == nuts.structure(two)
    assert nuts.structure(one) != nuts.structure(encode(_spec("~ guidance"), numbers))
