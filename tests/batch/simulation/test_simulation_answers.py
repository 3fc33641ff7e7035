"""Answers of simulations against plain grids and textbooks; what fails, is damaged or refused."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from metarho.batch.compute import Done, Task
from metarho.batch.fill import Filled
from metarho.batch.runners import Runner
from metarho.batch.runners.in_process import in_process
from metarho.batch.runners.processes import processes
from metarho.batch.simulation import readings
from metarho.batch.simulation.chunk import Chunk, kept
from metarho.batch.simulation.fill import fill_chunks, todo
from metarho.batch.simulation.plan import SimulationPlan, plan_simulation
from metarho.batch.simulation.results import rows_of
from metarho.batch.simulation.truth import Truth, draw, studies_of
from metarho.compare.rows import Row
from metarho.engines.problem import encoding
from metarho.errors import InputError
from metarho.fitting import Settings
from metarho.spec.lookup import find
from metarho.spec.model import read_model
from metarho.spec.priors import parse_prior
from metarho.store.store import Store
from metarho.store.tables import tables_of
from simulation_cases import SMALL, write_simulation

TASK = Task(Settings(engine="exact"), None)
two = partial(processes, 2)


def never() -> bool:
    return False


def filled(plan: SimulationPlan, runner: Runner = in_process) -> tuple[Filled, list[str]]:
    """The chunks of a plan made, and where each came from."""
    sources: list[str] = []

    def heard(done: Done, source: str) -> None:
        sources.append(source)

    return fill_chunks(
        plan.chunks, TASK, Store(plan.output / "store"), runner, heard, never
    ), sources


def table(plan: SimulationPlan, runner: Runner = in_process) -> list[Row]:
    return rows_of(plan, filled(plan, runner)[0])


def chunk(plan: SimulationPlan, index: int = 0) -> Chunk:
    return plan.chunks[index]


def test_every_runner_leaves_the_same_files_and_a_second_run_makes_none(tmp_path: Path) -> None:
    config = write_simulation(tmp_path)
    here, there = plan_simulation(config, tmp_path / "1"), plan_simulation(config, tmp_path / "2")
    assert table(here) == table(there, two)
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "store").rglob("*.json")}
        for name in ("1", "2")
    ]
    assert len(files[0]) == len(here.chunks) == 32
    assert files[0] == files[1]
    again, sources = filled(here)
    assert set(sources) == {"store"} and again.is_whole


def test_more_replications_extend_the_same_series(tmp_path: Path) -> None:
    few = plan_simulation(write_simulation(tmp_path), tmp_path / "out")
    filled(few)
    text = SMALL.replace("replications: 60", "replications: 110")
    many = plan_simulation(write_simulation(tmp_path, text, "more"), tmp_path / "out")
    left = todo(many.chunks, Store(many.output / "store"))
    # Of each method the first 50 are there; the 10 of the last chunk are made in it again.
    assert len(many.chunks) == 48 and len(left) == 32
    filled(many)
    tables = tables_of(Store(many.output / "store"))
    for method, longer in zip(few.methods, many.methods, strict=True):
        last, same = kept(method.chunks[1], tables), kept(longer.chunks[1], tables)
        assert last is not None and same is not None
        for name, column in last.items():
            assert list(column) == list(same[name])[:10]


def test_a_data_set_does_not_depend_on_its_companions(tmp_path: Path) -> None:
    plan = plan_simulation(write_simulation(tmp_path), tmp_path / "out")
    whole = chunk(plan)
    everything = whole._columns(TASK)
    for start in (0, 17):
        alone = Chunk("", whole.truth, 1, start, start + 1, whole.model, whole.priors, 0.95)
        found = alone._columns(TASK)
        assert {n: c[0] for n, c in found.items()} == {n: c[start] for n, c in everything.items()}


def test_methods_are_compared_on_the_same_data_sets(tmp_path: Path) -> None:
    plan = plan_simulation(write_simulation(tmp_path), tmp_path / "out")
    by_truth: dict[Truth, set[bytes]] = {}
    for method in plan.methods:
        first = method.chunks[0]
        z = draw(first.truth, first.truth.generator(first.seed, 3))
        by_truth.setdefault(method.truth, set()).add(z.tobytes())
    assert len(by_truth) == 4
    assert all(len(found) == 1 for found in by_truth.values())


@pytest.mark.parametrize(
    "change",
    [
        ("mu: [0, 0.2]", "mu: [0.1, 0.3]"),
        ("tau: [0.1]", "tau: [0.2]"),
        ("k: [4]", "k: [5]"),
        ("ni: [40]", "ni: [41]"),
        ("[all, drawer]", "[words]"),
        ("replications: 60", "selection: [0.5]\n  replications: 60"),
        ("seed: 1", "seed: 2"),
        ("seed: 1", "seed: 1\ninterval: {prob: 0.9}"),
        ("default: {}", 'default: {mu: "Normal(mu=0, sigma=1)"}'),
    ],
)
def test_what_the_numbers_depend_on_is_in_their_key(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    text = SMALL.replace('  sceptical: {mu: "Normal(mu=0, sigma=0.15)"}\n', "")
    one = plan_simulation(write_simulation(tmp_path, text), tmp_path / "out")
    other = plan_simulation(
        write_simulation(tmp_path, text.replace(*change), "other"), tmp_path / "out"
    )
    keys, others = ({found.key for found in plan.chunks} for plan in (one, other))
    assert len(keys) == 16 and not keys & others


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulationPlan, list[Row]]:
    """A plan whose chunks are made, and its table."""
    folder = tmp_path_factory.mktemp("done")
    plan = plan_simulation(write_simulation(folder), folder / "out")
    return plan, table(plan)


@pytest.mark.parametrize("damage", ["cut", "number", "foreign", "no JSON", "columns"])
def test_a_damaged_chunk_is_set_aside_and_made_again(
    tmp_path: Path, done: tuple[SimulationPlan, list[Row]], damage: str
) -> None:
    made, before = done
    plan = replace(made, output=tmp_path)
    shutil.copytree(made.output / "store", tmp_path / "store")
    said: list[str] = []
    store = Store(plan.output / "store", said.append)
    key = chunk(plan).key
    path = store.folder / "simulations" / key[:2] / f"{key}.json"
    whole = path.read_bytes()
    content = json.loads(whole)
    match damage:
        case "cut":
            path.write_bytes(whole[:-100])
        case "number":
            content["columns"]["mu_median"][0] += 1e-9
            path.write_text(json.dumps(content), encoding="utf-8")
        case "foreign":
            content["key"] = chunk(plan, 1).key
            path.write_text(json.dumps(content), encoding="utf-8")
        case "no JSON":
            path.write_bytes(b"\xff[[")
        case "columns":
            tables_of(store).write(key, {"status": ["ok"]})
    assert [one.key for one in todo(plan.chunks, store)] == [key]
    assert len(said) == 1 and "set aside" in said[0]
    assert table(plan) == before
    assert path.read_bytes() == whole


def test_data_sets_that_fail_are_counted_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_simulation(write_simulation(tmp_path), tmp_path / "out")
    solve, calls = readings.solve, []

    def failing(problem: object) -> object:
        calls.append(problem)
        if len(calls) == 3:
            raise ArithmeticError("no luck")
        return solve(problem)  # type: ignore[arg-type]

    monkeypatch.setattr("metarho.batch.simulation.chunk.solve", failing)
    rows = table(plan)
    first = rows[0]
    assert (first["status"], first["replications"], first["failed"]) == ("failed", 59, 1)
    assert first["reason"] == "ArithmeticError: no luck"
    assert {row["status"] for row in rows[4:]} == {"ok"}
    monkeypatch.undo()
    assert filled(plan)[1].count("computed") == 1
    assert {row["status"] for row in table(plan)} == {"ok"}


def test_what_was_not_reached_is_not_counted(tmp_path: Path) -> None:
    plan = plan_simulation(write_simulation(tmp_path), tmp_path / "out")
    rows = rows_of(plan, Filled({}, {chunk(plan).key: "its process died 3 times"}, False))
    first, last = rows[0], rows[-1]
    assert (first["status"], first["failed"], first["not_run"]) == ("failed", 50, 10)
    assert (last["status"], last["not_run"], last["replications"]) == ("not run", 60, 0)
    known = {*plan.methods[0].decisions} | {
        "quantity", "scale", "truth", "status", "reason", "replications", "failed",
        "not_reportable", "not_run",
    }  # fmt: skip
    assert {last[name] for name in last.keys() - known} == {None}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("models: [random-effects, common-effect]", "models: [three-level-moderators]"), "mods"),
        (("models: [random-effects, common-effect]", "models: [true-score]"), "true-score"),
        (("models: [random-effects, common-effect]", "models: [mixture]"), "mixture"),
        (("seed: 1", "seed: 1\nstudies: {source: internet-alliance}"), "not both"),
        (("seed: 1", "seed: 1\ngrid: {measure: [ZCOR]}"), "lists of simulate"),
        (("seed: 1", "seed: 1\ninterval: {kind: hdi}"), "eti"),
        (("mu: [0, 0.2]", "mu: [0, 1e-9]"), "write 0"),
        (("ni: [40]", "ni: [3]"), "whole number from 4"),
        (("ni: [40]", "ni: [{from: nowhere}]"), "no shipped data set 'nowhere'"),
        (("ni: [40]", "ni: [{fro: molloy2014}]"), "from"),
        (("k: [4]", "k: [4, 4]"), "named twice"),
        (("k: [4]", "k: []"), "at least one"),
        (("replications: 60", "replications: 1"), "replications"),
        (("reporting: [all, drawer]", "reporting: [bin]"), "reporting"),
        (("reporting: [all, drawer]", "selection: [0]"), "selection"),
        (("sceptical: {mu", "sceptical: {nu"), "nu"),
        (("sceptical: {mu", "sceptical: {muu"), "muu"),
    ],
)
def test_what_has_no_meaning_is_refused_with_its_line(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    config = write_simulation(tmp_path, SMALL.replace(*change))
    with pytest.raises(InputError) as error:
        plan_simulation(config, tmp_path / "out")
    assert said in str(error.value)
    assert f"{config.name}:" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_what_would_take_weeks_is_refused_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 16 combinations of 60 data sets, of which 50 are a chunk.
    config = write_simulation(tmp_path)
    monkeypatch.setattr("metarho.batch.simulation.plan.MOST_CHUNKS", 32)
    assert len(plan_simulation(config).chunks) == 32
    monkeypatch.setattr("metarho.batch.simulation.plan.MOST_CHUNKS", 31)
    with pytest.raises(InputError, match=r"sim.yaml:\d+: 16 combinations .* fewer replications"):
        plan_simulation(config)


def test_a_truth_for_which_a_model_has_no_meaning_is_a_refused_row(tmp_path: Path) -> None:
    # A prior of mu in units of tau has a closed form, or none: words have no place beside it.
    text = SMALL.replace("[random-effects, common-effect]", "[random-effects]")
    text = text.replace("Normal(mu=0, sigma=0.15)", "Normal(mu=0, sigma=2) on mu/tau")
    text = text.replace("[all, drawer]", "[words, all]").replace(
        "replications: 60", "replications: 2"
    )
    plan = plan_simulation(write_simulation(tmp_path, text), tmp_path / "out")
    refused = [method for method in plan.methods if method.reason]
    assert len(refused) == 2 and len(plan.methods) == 8
    assert {method.decisions["reporting"] for method in refused} == {"words"}
    rows = rows_of(plan, Filled({}, {}, False))
    assert [row["status"] for row in rows].count("refused") == 2


def brute_force(y: np.ndarray, v: float, prob: float) -> tuple[float, float, float, float]:
    """Median and interval of mu, and log BF10, on a plain grid of tau and mu by trapezoids.

    mu ~ Normal(0, 0.5), tau ~ HalfNormal(0.25): the model's own, written anew.
    """
    mu = np.linspace(-2, 2, 2001)
    tau = np.linspace(0, 2, 1001)
    total = v + tau**2
    log_likelihood = -0.5 * len(y) * np.log(2 * math.pi * total)[:, None] - 0.5 * (
        ((y**2).sum() - 2 * mu[None, :] * y.sum() + len(y) * mu[None, :] ** 2) / total[:, None]
    )
    prior_tau = stats.halfnorm.pdf(tau, scale=0.25)
    joint = np.exp(log_likelihood) * prior_tau[:, None]
    of_mu = integrate.trapezoid(joint, tau, axis=0) * stats.norm.pdf(mu, 0, 0.5)
    cdf = integrate.cumulative_trapezoid(of_mu, mu, initial=0)
    evidence = cdf[-1]
    without = integrate.trapezoid(joint[:, 1000], tau)
    tail = (1 - prob) / 2
    lower, median, upper = np.interp([tail, 0.5, 1 - tail], cdf / evidence, mu)
    return median, lower, upper, math.log(evidence / without)


def test_answers_and_coverage_are_those_of_a_plain_grid(tmp_path: Path) -> None:
    text = SMALL.replace("tau: [0.1]", "tau: [0.25]").replace("mu: [0, 0.2]", "mu: [0.2]")
    text = text.replace("reporting: [all, drawer]", "reporting: [all]")
    text = text.replace("[random-effects, common-effect]", "[random-effects]")
    text = text.replace("replications: 60", "replications: 300")
    plan = plan_simulation(write_simulation(tmp_path, text), tmp_path / "out")
    row = next(row for row in table(plan) if row["quantity"] == "mu")
    truth = plan.methods[0].truth
    found = []
    for replicate in range(300):
        z = draw(truth, truth.generator(1, replicate))
        found.append(brute_force(z, 1 / 37, 0.95))
    median, lower, upper, log_bf = np.array(found).T
    # The grid's steps are 2e-3, its trapezoids good to 1e-5.
    assert row["coverage"] == ((lower <= 0.2) & (upper >= 0.2)).mean()
    assert row["excludes_0"] == ((lower > 0) | (upper < 0)).mean()
    assert row["bias"] == pytest.approx(median.mean() - 0.2, abs=2e-5)
    assert row["rmse"] == pytest.approx(math.sqrt(((median - 0.2) ** 2).mean()), abs=2e-5)
    assert row["width"] == pytest.approx((upper - lower).mean(), abs=5e-5)
    assert row["log_bf_mean"] == pytest.approx(log_bf.mean(), abs=1e-4)
    # Near 95%: the priors are close to the truth. Five binomial standard errors.
    assert abs(float(row["coverage"] or 0) - 0.95) < 5 * math.sqrt(0.95 * 0.05 / 300)


def test_a_standard_deviation_in_place_of_a_variance_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug planted in the data that models see: intervals that should cover 95% cover fewer."""
    text = SMALL.replace("mu: [0, 0.2]", "mu: [0.2]").replace("[all, drawer]", "[all]")
    text = text.replace("tau: [0.1]", "tau: [0]").replace("replications: 60", "replications: 200")
    text = text.replace("[random-effects, common-effect]", "[common-effect]")
    plan = plan_simulation(write_simulation(tmp_path, text), tmp_path / "right")
    right = next(row for row in table(plan) if row["quantity"] == "mu")
    assert abs(float(right["coverage"] or 0) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 200)
    monkeypatch.setattr(
        "metarho.batch.simulation.truth.zcor", lambda r, n: (math.atanh(r), (n - 3) ** -0.5)
    )
    plan = plan_simulation(write_simulation(tmp_path, text), tmp_path / "wrong")
    wrong = next(row for row in table(plan) if row["quantity"] == "mu")
    # With sds for variances intervals are 2.5 times as wide: all of them cover.
    assert wrong["coverage"] == 1.0
    assert float(wrong["width"] or 0) > 1.5 * float(right["width"] or 0)


def test_flat_priors_cover_too_often_where_five_studies_do_not_vary(tmp_path: Path) -> None:
    """As docs/calibration.md has it for 6 studies: .999 with tau = 0 under a flat prior of tau."""
    text = SMALL.replace("mu: [0, 0.2]", "mu: [0]").replace("[all, drawer]", "[all]")
    text = text.replace("tau: [0.1]", "tau: [0]").replace("k: [4]", "k: [5]")
    text = text.replace("[random-effects, common-effect]", "[random-effects]")
    text = text.replace("replications: 60", "replications: 200")
    text = text.partition("priors:")[0] + "priors:\n  flat: {mu: Flat(), tau: Flat()}\n"
    plan = plan_simulation(write_simulation(tmp_path, text), tmp_path / "out")
    row = next(row for row in table(plan) if row["quantity"] == "mu")
    # Of 200 intervals that cover 95%, so many do once in a hundred times.
    assert float(row["coverage"] or 0) >= 197 / 200
    # Under an improper prior there is no Bayes factor, and its columns are not there.
    assert "log_bf_mean" not in row


def test_a_common_effect_under_a_flat_prior_is_the_textbook_interval(tmp_path: Path) -> None:
    model = read_model(find("common-effect", "models", tmp_path, Path.cwd()))
    truth = Truth(0.3, 0.1, (20, 50, 90))
    z = draw(truth, truth.generator(5, 2))
    priors = {"mu": parse_prior("Flat()")}
    solved = readings.solve(encoding(model, studies_of(truth, z)).under(priors))
    (found,) = readings.read([solved], 0.9)
    weights = np.array(truth.sizes) - 3.0
    mean, half = (weights @ z) / weights.sum(), stats.norm.ppf(0.95) / math.sqrt(weights.sum())
    assert found["mu_median"] == pytest.approx(mean, abs=1e-12)
    assert found["mu_lower"] == pytest.approx(mean - half, abs=1e-11)
    assert found["new_upper"] == pytest.approx(mean + half, abs=1e-11)
    assert found["tau_upper"] == 0.0
    assert solved.log_bf is None


def test_readings_at_once_are_those_of_one_posterior(tmp_path: Path) -> None:
    truth = Truth(0.3, 0.1, (20, 50, 90, 30, 30))
    model = read_model(find("random-effects", "models", tmp_path, Path.cwd()))
    solved = [
        readings.solve(
            encoding(model, studies_of(truth, draw(truth, truth.generator(5, i)))).under()
        )
        for i in range(6)
    ]
    for one, found in zip(solved, readings.read(solved, 0.95), strict=True):
        alone = readings._alone(one, 0.95)
        for name, value in alone.items():
            assert found[name] == pytest.approx(value, abs=1e-9), name
