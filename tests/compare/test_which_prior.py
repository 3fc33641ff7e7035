"""The table that answers "which prior?": each column against a computation of its own."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from cases import alliance, molloy, problem
from drawn_fits import drawn_fit
from metarho import cli
from metarho.compare.conflict import conflict
from metarho.compare.power_scaling import in_words, power_scaling
from metarho.compare.rows import Row
from metarho.compare.which_prior import COLUMNS, Candidate, remarks, which_prior
from metarho.engines.problem import problem_without
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.report.comparison import _factor
from metarho.report.figures.which_prior import which_prior as figure

SETS: dict[str, dict[str, str]] = {
    "default": {},
    "sceptical": {"mu": "Normal(mu=0, sigma=0.05)"},
    "heavy": {"mu": "Cauchy(alpha=0, beta=0.354)", "tau": "InverseGamma(alpha=1, beta=0.075)"},
    "improper": {"mu": "Flat()", "tau": "Jeffreys()"},
}
CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: drop}
models: [random-effects]
priors:
  wide: {}
  sceptical: {mu: "Normal(mu=0, sigma=0.15)"}
reference: REFERENCE
"""


def _table(candidates: Sequence[Candidate], settings: Settings | None = None) -> list[Row]:
    return which_prior(candidates, "default", (0.1,), settings or Settings(), lambda _: None)


@pytest.fixture(scope="module")
def candidates() -> list[Candidate]:
    fits = fit_many([problem(molloy(), **priors) for priors in SETS.values()], Settings())
    return [
        Candidate("random-effects", name, "use", fit) for name, fit in zip(SETS, fits, strict=True)
    ]


@pytest.fixture(scope="module")
def rows(candidates: list[Candidate]) -> list[Row]:
    return _table(candidates)


def _refit(name: str) -> Fit:
    """A fit of its own, without companions."""
    (fit,) = fit_many([problem(molloy(), **SETS[name])], Settings())
    return fit


def test_columns_are_the_promised_ones_in_order(rows: list[Row]) -> None:
    assert all(tuple(row)[: len(COLUMNS)] == COLUMNS for row in rows)


@pytest.mark.parametrize("index", range(len(SETS)))
def test_estimates_and_evidence_are_those_of_a_fit_of_its_own(rows: list[Row], index: int) -> None:
    row, fit = rows[index], _refit(list(SETS)[index])
    expected = {
        "rho_mean": fit.derived["rho_mean"].mean,
        "rho_median": fit.derived["rho_median"].median,
        "lower": fit.derived["rho_median"].lower,
        "upper": fit.derived["rho_median"].upper,
        "new_lower": fit.new_study["rho"].lower,
        "new_upper": fit.new_study["rho"].upper,
        "log_evidence": fit.log_evidence,
        "P(rho > 0.1)": 1
        - float(fit.posterior.mean_of(fit.posterior.head).cdf(np.array(math.atanh(0.1)))),
    }
    for name, value in expected.items():
        if value is None:
            assert row[name] is None
        else:
            assert row[name] == pytest.approx(value, abs=1e-8), name


@pytest.mark.parametrize("name", ["default", "heavy"])
def test_bayes_factors_are_ratios_of_evidence(rows: list[Row], name: str) -> None:
    row = next(row for row in rows if row["prior"] == name)
    whole = _refit(name).log_evidence
    for column, null in (
        ("bf_mu", {"mu": "DiracDelta(c=0)"}),
        ("bf_tau", {"tau": "DiracDelta(c=0)"}),
    ):
        (without,) = fit_many([problem(molloy(), **{**SETS[name], **null})], Settings())
        assert whole is not None and without.log_evidence is not None
        assert row[column] == pytest.approx(math.exp(whole - without.log_evidence), rel=1e-8)


def test_scores_are_those_of_brute_force(rows: list[Row]) -> None:
    for row in rows:
        fit = _refit(str(row["prior"]))
        rest = fit_many(
            [problem_without(fit.problem, np.arange(16) == out) for out in range(16)], Settings()
        )
        total = 0.0
        for out, other in enumerate(rest):
            # p(y | others) is the density of a new observation under the posterior of the others.
            y, v = fit.problem.evidence.y[out], float(fit.problem.evidence.v[out])
            new = other.posterior.theta_new(other.posterior.head, v)
            total += math.log(float(new.density(np.array(y))))
        if row["prior"] == "improper":
            # Jeffreys' prior is a function of the rows: that of the rest is another one.
            continue
        assert row["elpd"] == pytest.approx(total, abs=1e-7)


def test_a_conflict_has_the_study_without_which_it_is_least(rows: list[Row]) -> None:
    (fit,) = fit_many([problem(molloy(), mu="Normal(mu=-0.1, sigma=0.02)")], Settings())
    (row,) = _table([Candidate("random-effects", "default", "use", fit)])
    assert isinstance(row["conflict_mu"], float) and row["conflict_mu"] < 0.05
    study = fit.problem.evidence.study
    without = [conflict(problem_without(fit.problem, study == out)).mu for out in range(16)]
    most = int(np.argmax(np.array(without, dtype=float)))
    assert row["conflict_mu_study"] == fit.problem.evidence.study_names[most]
    # Where nothing clashes nobody is named.
    assert row["conflict_tau_study"] is None
    assert all(other["conflict_mu_study"] is None for other in rows)


def test_distances_are_to_the_reference(rows: list[Row], candidates: list[Candidate]) -> None:
    assert [rows[0][f"hellinger_{name}"] for name in ("mu", "tau", "new")] == [0, 0, 0]
    first, second = (c.fit.posterior for c in candidates[:2])
    p, q = (each.mean_of(each.head).density for each in (first, second))

    def overlap(x: float) -> float:
        return math.sqrt(float(p(np.array(x)) * q(np.array(x))))

    found, _ = quad(overlap, -1, 1, points=[0.0, 0.1, 0.15, 0.2], epsabs=1e-12, limit=400)
    assert rows[1]["hellinger_mu"] == pytest.approx(math.sqrt(1 - found), abs=1e-8)
    assert rows[0]["elpd_diff"] is None
    assert isinstance(rows[1]["elpd_diff"], float) and isinstance(rows[1]["elpd"], float)
    assert rows[1]["elpd_diff"] == pytest.approx(rows[1]["elpd"] - float(str(rows[0]["elpd"])))


def test_flat_mu_and_jeffreys_tau_are_far_from_all_priors_but_their_own(rows: list[Row]) -> None:
    for row in rows:
        for name in ("mu", "tau", "new"):
            distance = row[f"hellinger_{name}_flat"]
            assert isinstance(distance, float)
            # Equal posteriors are apart by rounding, whose root this is.
            assert (distance < 1e-7) == (row["prior"] == "improper")


def test_probabilities_and_stacking_weights_are_shares(rows: list[Row]) -> None:
    for column in ("probability", "stacking"):
        found = [value for row in rows if isinstance(value := row[column], float)]
        assert math.fsum(found) == pytest.approx(1)
    assert rows[3]["probability"] is None and rows[3]["bf_mu"] is None


def test_a_sampled_fit_has_no_exact_columns_and_the_reader_is_told() -> None:
    candidate = Candidate("random-effects", "default", "use", drawn_fit(problem(molloy())))
    (row,) = _table([candidate], Settings(engine="nuts"))
    assert isinstance(row["rho_median"], float) and isinstance(row["log_evidence"], float)
    for name in ("elpd", "crps", "hellinger_mu", "ess_studies", "stacking"):
        assert row[name] is None
    assert any("sampled" in remark for remark in remarks([candidate]))


def test_gen_has_no_correlations(tmp_path: Path) -> None:
    from cases import written

    studies = written(tmp_path, [{"yi": 0.3, "vi": 0.1}, {"yi": -0.4, "vi": 0.2}])
    (fit,) = fit_many([problem(studies)], Settings())
    (row,) = _table([Candidate("random-effects", "default", "use", fit)])
    assert row["rho_mean"] is None and row["rho_median"] is None
    assert row["median"] == pytest.approx(fit.pooled.median)
    assert row["ess_participants"] is None


def test_a_prior_on_r_has_distances() -> None:
    uniform = {"mu": "Uniform(lower=-1, upper=1) on r"}
    plain, on_r = fit_many([problem(molloy(), **s) for s in ({}, uniform)], Settings())
    pair = [Candidate("m", "default", "use", plain), Candidate("m", "on r", "use", on_r)]
    _, row = _table(pair)
    for name in ("mu", "tau", "new"):
        assert isinstance(distance := row[f"hellinger_{name}"], float) and 0 < distance < 0.1


# Slow: the whole row of a Student-t model takes many seconds.
@pytest.mark.slow
def test_a_student_t_model_has_all_distances_but_one() -> None:
    (heavy,) = fit_many([problem(molloy(), "student-t", nu="DiracDelta(c=4)")], Settings())
    (row,) = _table([Candidate("student-t", "default", "use", heavy)])
    assert row["hellinger_mu"] == 0 and row["hellinger_new"] is None


def test_different_evidence_and_the_best_of_many_are_remarked_on() -> None:
    fits = fit_many([problem(alliance(how)) for how in ("use", "drop", "drop")], Settings())
    named = [Candidate("random-effects", str(i), "use", fit) for i, fit in enumerate(fits)]
    said = " ".join(remarks(named))
    assert "interval rows out" in said and "best of many" in said


def test_power_scaling_flags_a_prior_that_the_data_contradict() -> None:
    sets = [{}, {"mu": "Normal(mu=0.6, sigma=0.05)"}, {"mu": "Flat()", "tau": "Flat()"}]
    calm, clash, flat = fit_many([problem(molloy(), **priors) for priors in sets], Settings())
    assert in_words(power_scaling(calm)) == "✓"
    assert "mu: potential prior-data conflict" in (in_words(power_scaling(clash)) or "")
    # Raised to any power a flat prior stays as it is.
    assert power_scaling(flat) == () and in_words(()) is None


def _run(monkeypatch: pytest.MonkeyPatch, folder: Path, reference: str, *options: str) -> int:
    monkeypatch.chdir(folder)
    path = folder / "which.yaml"
    path.write_text(CONFIG.replace("REFERENCE", reference), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["metarho", "compare", str(path), "--output", "out", *options])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_the_command_prints_json_csv_or_a_table_and_leaves_table_and_figure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, tmp_path, "sceptical", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["prior"] for row in found] == ["wide", "sceptical"]
    assert tuple(found[0])[: len(COLUMNS)] == COLUMNS
    assert found[1]["hellinger_mu"] == 0 and found[0]["hellinger_mu"] > 0
    assert _run(monkeypatch, tmp_path, "sceptical", "--csv") == 0
    printed = capsys.readouterr().out
    folder = tmp_path / "out" / "which"
    assert printed == (folder / "compare.csv").read_text(encoding="utf-8")
    assert len(list(csv.DictReader(io.StringIO(printed)))) == 2
    for name, count in (("compare-studies.csv", 2 * 7), ("average.csv", 3)):
        text = (folder / name).read_text(encoding="utf-8")
        assert len(list(csv.DictReader(io.StringIO(text)))) == count
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "which-prior.svg", "which-prior.png", "which-prior.csv",
    }  # fmt: skip
    assert _run(monkeypatch, tmp_path, "sceptical") == 0
    assert "Hellinger distance to the reference, sceptical" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_reference_that_is_no_prior_set_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, tmp_path, "scpetical") == 2
    told = capsys.readouterr()
    assert told.out == "" and "did you mean sceptical" in told.err.replace("'", "")
    assert not (tmp_path / "out").exists()


def test_two_forms_of_output_at_once_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _run(monkeypatch, tmp_path, "wide", "--json", "--csv") == 2


def test_a_single_prior_set_has_a_figure_without_scores_to_compare(rows: list[Row]) -> None:
    alone = figure([rows[0]], "default", "z", 0.95)
    assert len(alone.figure.axes) == 1
    several = figure(rows, "default", "z", 0.95)
    assert [axes.get_title(loc="left") for axes in several.figure.axes][1:] == [
        "elpd less that of default"
    ]


def test_more_than_a_computers_numbers_is_not_printed_as_none(rows: list[Row]) -> None:
    huge = {**rows[0], "bf_mu": None, "bf_mu_words": "the data are more than 1,000,000 times as …"}
    none = {**rows[0], "bf_mu": None, "bf_mu_words": "mu = 0 needs a proper prior on mu"}
    assert [_factor(row, "bf_mu") for row in (huge, none)] == [">1e304", "–"]
