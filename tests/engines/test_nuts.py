"""The sampled engine against the exact one, brute force and a pinned reference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from cases import CASES, Case, alliance, attendance, problem, reference, written
from drawn_fits import drawn_fit
from grammar_cases import LEVELS, Part, samples, step
from metarho.data.studies import load_studies
from metarho.engines import exact, nuts
from metarho.engines.nuts.draws import Draws
from metarho.engines.nuts.layout import lay_out
from metarho.engines.problem import Problem
from metarho.errors import FitError
from metarho.fitting import Settings, fit_many
from metarho.posterior.sampled import Sampled, monte_carlo_errors
from metarho.spec.analysis import Sampler

type Array = NDArray[np.float64]

# The contract: 4 MCSE. Several numbers are compared, and the seeds are fixed.
MCSE = 4.0


# Compiling and sampling takes seconds a case: intervals, heavy-tailed effects and two levels are
# sampled here, moderators below; make test-slow has the rest, of which the densities are proved in
# test_nuts_density and test_nuts_priors.
FAST = {"random effects, intervals used", "Student-t effects", "total and share"}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[] if case.name in FAST else pytest.mark.slow)
        for case in CASES
    ],
)
def test_sampled_posteriors_equal_exact_ones(case: Case) -> None:
    settings = Settings(engine="exact", agreement=True, sampler=Sampler(seed=1))
    (fit,) = fit_many([case.problem()], settings)
    assert fit.agreement is not None
    assert fit.agreement.holds, (fit.agreement.largest, fit.agreement.threshold)
    assert fit.status == "ok"


def test_a_nested_posterior_with_interval_rows_equals_brute_force() -> None:
    encoded = problem(alliance(), "three-level")
    draws = _sample(encoded)
    mean, sd = _brute_force(encoded)
    for index, name in enumerate(("mu", "tau_study", "tau_effect")):
        _assert_within(draws, name, mean[index], sd[index])


def test_nested_moderators_equal_the_textbook_marginal_likelihood() -> None:
    encoded = problem(alliance("drop"), "three-level", "~ guidance")
    draws = _sample(encoded)
    mean, sd = _textbook(encoded)
    for index, name in enumerate(encoded.coefficients):
        _assert_within(draws, name, mean[index], sd[index])


def test_the_three_level_posterior_of_crede2010_is_that_of_brms() -> None:
    half_normal = "HalfNormal(sigma=0.5)"
    encoded = problem(
        attendance(),
        "three-level",
        mu="Normal(mu=0, sigma=1)",
        tau_study=half_normal,
        tau_effect=half_normal,
    )
    draws = _sample(encoded)
    names = {
        "mu": "b_Intercept",
        "tau_study": "sd_studyid__Intercept",
        "tau_effect": "sd_es__Intercept",
    }
    summary = reference("brms_crede2010grade_ZCOR_3level")["summary"]
    for name, theirs in names.items():
        ours = monte_carlo_errors(draws.parameters[name], 0.95)["mean"]
        error = np.hypot(ours, summary[theirs]["mcse_mean"])
        assert abs(draws.parameters[name].mean() - summary[theirs]["mean"]) < MCSE * error


def test_total_heterogeneity_is_split_by_its_share() -> None:
    encoded = problem(alliance("drop"), "three-level", tau="HalfNormal(sigma=0.15)")
    assert list(encoded.priors) == ["mu", "tau", "share"]
    drawn = drawn_fit(encoded).result
    assert isinstance(drawn, Draws)
    sampled = Sampled(encoded, drawn)
    parts = sampled.all_parameters
    total = parts["tau_study"] ** 2 + parts["tau_effect"] ** 2
    assert np.allclose(total, parts["tau"] ** 2)
    assert np.allclose(parts["tau_study"] ** 2 / total, parts["share"])


@pytest.fixture(scope="module")
def together() -> list[Draws]:
    """One problem after another of its structure, twice with one seed and then with another."""
    alone, other = (
        problem(alliance("drop")),
        problem(alliance("use"), mu="Normal(mu=0, sigma=0.15)"),
    )
    seeded = [(other, 5), (alone, 7), (alone, 7), (alone, 8)]
    return list(nuts.fit_many(seeded, Sampler(draws=200)))


def test_one_seed_gives_one_set_of_draws(together: list[Draws]) -> None:
    _, first, second, other = (draws.parameters["mu"] for draws in together)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_problem_s_draws_do_not_depend_on_its_companions(together: list[Draws]) -> None:
    (single,) = nuts.fit_many([(problem(alliance("drop")), 7)], Sampler(draws=200))
    assert np.array_equal(together[1].parameters["tau"], single.parameters["tau"])


JOINS: dict[str, dict[str, object]] = {
    "effects: student-t with step selection": {
        "effects": "student-t",
        "selection": step(0.025),
    },
    "likelihood: exact-r with effects: mixture": {"likelihood": "exact-r", "effects": "mixture"},
    "likelihood: exact-r with selection": {"likelihood": "exact-r", "selection": "pet"},
}


@pytest.mark.parametrize("named", JOINS)
def test_what_the_engine_cannot_do_is_refused_by_name(named: str) -> None:
    base = problem(alliance())
    refusal = nuts.covers(replace(base, model=base.model.model_copy(update=JOINS[named])))
    assert refusal is not None
    assert named in refusal


@pytest.mark.parametrize("changes", [{"effects": "student-t"}, {"effects": "mixture"}])
def test_laws_of_effects_need_effects(changes: dict[str, str]) -> None:
    base = problem(alliance(), "three-level")
    beyond = base.model.model_copy(update={**changes, "random": "study"})
    refusal = nuts.covers(replace(base, model=beyond))
    assert refusal is not None
    assert f"effects: {changes['effects']} needs effects that vary" in refusal


def test_a_flat_mean_that_one_row_does_not_bound_is_refused_by_both_engines(tmp_path: Path) -> None:
    one = written(tmp_path, [{"yi": 0.2, "vi": 0.01}])
    encoded = problem(one, "student-t", mu="Flat()")
    refusals = [exact.covers(encoded), nuts.covers(encoded)]
    assert all("nothing bounds mu" in str(refusal) for refusal in refusals)


def _crossed(folder: Path, first: str, second: str, words: str) -> Problem:
    """Six rows with their groups on two crossed levels, 1 where a row is in words."""
    rows: list[dict[str, object]] = [
        {"study": f"s{i}", "a": a, "b": b, "ni": 50 + i, "ri": "" if w == "1" else 0.1 + 0.05 * i}
        | {"reported": "not significant" if w == "1" else "exact"}
        for i, (a, b, w) in enumerate(zip(first, second, words, strict=True))
    ]
    path = folder / f"{first}{second}.csv"
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines), "utf-8")
    columns = {"study": "study", "ri": "ri", "ni": "ni", "reported": "reported"}
    levels = {"tau_a": "HalfNormal(sigma=0.2)", "tau_b": "HalfNormal(sigma=0.5)", **LEVELS}
    crossed = Part(
        lambda: load_studies(path, columns=columns), {"random": "a + b + effect"}, levels
    )
    return crossed.problem()


def test_models_that_integrate_another_level_out_are_compiled_apart(tmp_path: Path) -> None:
    one = _crossed(tmp_path, "001111", "001122", "101000")
    other = _crossed(tmp_path, "000111", "010101", "100010")
    kept = [{name: len(kept.groups) for name, kept in lay_out(p).items()} for p in (one, other)]
    assert kept[0] == kept[1]
    assert nuts.structure(one) != nuts.structure(other)


def test_intervals_tied_to_correlated_errors_are_refused_by_both_engines(tmp_path: Path) -> None:
    printed: dict[str, object] = {"study": "a", "sample": 1, "ni": 50, "reported": "exact"}
    rows = [
        {**printed, "effect": 1, "ri": 0.3},
        {**printed, "effect": 2, "ri": 0.5},
        {**printed, "effect": 3, "sample": 2, "reported": "not significant"},
    ]
    tied = problem(written(tmp_path, rows, "ZCOR", 0.7), "three-level")
    assert "no interval rows" in str(nuts.covers(tied))
    assert "no interval rows" in str(exact.covers(tied))
    assert nuts.covers(problem(written(tmp_path, rows, "ZCOR", 0.7))) is None


def test_correlated_errors_are_refused_where_turning_rows_would_break_the_model() -> None:
    base = Part(samples).problem()
    student = replace(base, model=base.model.model_copy(update={"effects": "student-t"}))
    assert "only with normal rows" in str(nuts.covers(student))
    crossed = Part(samples, {"random": "ni/effect"}, {**LEVELS, "tau_ni": "HalfNormal(sigma=1)"})
    assert "only within one group of every level" in str(nuts.covers(crossed.problem()))


def _sample(encoded: Problem) -> Draws:
    (found,) = nuts.fit_many([(encoded, 20261122)], Sampler())
    return found


def _assert_within(draws: Draws, name: str, mean: float, sd: float) -> None:
    errors = monte_carlo_errors(draws.parameters[name], 0.95)
    values = draws.parameters[name]
    assert abs(values.mean() - mean) < MCSE * errors["mean"], name
    assert abs(values.std() - sd) < MCSE * errors["sd"], name


def _grid(low: float, high: float, count: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


def _half_normal(x: Array, sigma: float) -> Array:
    return np.exp(-0.5 * (x / sigma) ** 2)


def _brute_force(encoded: Problem) -> tuple[list[float], list[float]]:
    """Means and sds of mu, tau_study, tau_effect on a tensor grid, u by Gauss–Hermite."""
    mu, w_mu = _grid(-0.1, 0.6, 40)
    study, w_study = _grid(0, 0.7, 32)
    effect, w_effect = _grid(0, 0.6, 32)
    u, w_u = np.polynomial.hermite_e.hermegauss(24)
    w_u = w_u / w_u.sum()
    m, s, e = np.meshgrid(mu, study, effect, indexing="ij")
    log_p = np.zeros(m.shape)
    evidence = encoded.evidence
    for index in range(len(evidence.study_names)):
        inner = np.ones((*m.shape, len(u)))
        centre = m[..., None] + s[..., None] * u
        for row in np.flatnonzero(evidence.study == index):
            sd = np.sqrt(evidence.v[row] + e**2)[..., None]
            if evidence.is_interval[row]:
                inner *= ndtr((evidence.upper[row] - centre) / sd) - ndtr(
                    (evidence.lower[row] - centre) / sd
                )
            else:
                inner *= np.exp(-0.5 * ((evidence.y[row] - centre) / sd) ** 2) / sd
        log_p += np.log(inner @ w_u)
    prior = np.exp(-0.5 * (m / 0.5) ** 2) * _half_normal(s, 0.25) * _half_normal(e, 0.15)
    weights = w_mu[:, None, None] * w_study[:, None] * w_effect
    mass = np.exp(log_p - log_p.max()) * prior * weights
    mass /= mass.sum()
    means = [float((mass * x).sum()) for x in (m, s, e)]
    sds = [
        float(np.sqrt((mass * (x - mean) ** 2).sum()))
        for x, mean in zip((m, s, e), means, strict=True)
    ]
    return means, sds


def _textbook(encoded: Problem) -> tuple[Array, Array]:
    """Means and sds of the coefficients: N(Xβ, V) with V written out, on a grid of both sds."""
    study, w_study = _grid(0, 1.2, 50)
    effect, w_effect = _grid(0, 0.9, 50)
    evidence, x = encoded.evidence, encoded.design.matrix
    same = (evidence.study[:, None] == evidence.study).astype(float)
    prior_precision = np.diag([1 / 0.5**2, *[1 / 0.25**2] * (x.shape[1] - 1)])
    logs, means, seconds = [], [], []
    for a in study:
        for b in effect:
            v = np.diag(evidence.v + b**2) + a**2 * same
            inverse = np.linalg.inv(v)
            precision = x.T @ inverse @ x + prior_precision
            covariance = np.linalg.inv(precision)
            mean = covariance @ x.T @ inverse @ evidence.y
            quadratic = evidence.y @ inverse @ evidence.y - mean @ precision @ mean
            logs.append(
                -0.5 * (quadratic + np.linalg.slogdet(v)[1] + np.linalg.slogdet(precision)[1])
                - 0.5 * (a / 0.25) ** 2
                - 0.5 * (b / 0.15) ** 2
            )
            means.append(mean)
            seconds.append(np.diag(covariance) + mean**2)
    log_p = np.array(logs)
    mass = np.exp(log_p - log_p.max()) * np.outer(w_study, w_effect).ravel()
    mass /= mass.sum()
    mean = mass @ np.array(means)
    return mean, np.sqrt(mass @ np.array(seconds) - mean**2)


def test_a_sampler_that_fails_is_a_failed_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise RuntimeError("no start was found")

    compiled = SimpleNamespace(shared_var_keys={}, with_data=lambda **numbers: None)
    monkeypatch.setattr("nutpie.compile_pymc_model", lambda model: compiled)
    monkeypatch.setattr("nutpie.sample", broken)
    with pytest.raises(FitError, match="random-effects failed: no start was found"):
        _sample(problem(alliance("drop")))
