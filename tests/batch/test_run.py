"""Plans and runs: what is checked, what is written, what stays the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import xarray as xr

import metarho
from metarho.batch.describe import describe
from metarho.batch.plan import file_names, plan
from metarho.batch.run import execute
from metarho.batch.running import plan_each
from metarho.batch.tables import to_csv
from metarho.errors import InputError
from metarho.report.publish import publish
from metarho.spec.lookup import shipped_folder

# Dropped first: they are the report's answer, whose comparisons cost a third of those of intervals.
CONFIG = """\
title: A small analysis
studies:
  source: internet-alliance
  where: role == "main"
  intervals: [drop, use]
models: [random-effects]
priors:
  default: {}
  sceptical: {mu: "Normal(mu=0, sigma=0.15)", tau: "HalfNormal(sigma=0.1)"}
new_studies:
  - {label: a trial, ni: 80, guidance: guided}
sampler: {chains: 2, draws: 200, tune: 200}
"""

MINE = """\
title: Mine
random: effect
priors: {mu: "Normal(mu=0, sigma=0.5)", tau: "HalfNormal(sigma=0.2)"}
"""


def _config(folder: Path, text: str = CONFIG, name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    result = metarho.run(_config(folder), output=folder / "out")
    return result.folder


def test_a_run_leaves_report_tables_figures_and_fits(ran: Path) -> None:
    files = {str(path.relative_to(ran)) for path in ran.rglob("*") if path.is_file()}
    assert files >= {
        "report.html",
        "summary.csv",
        "predictions.csv",
        "audit.csv",
        "config.resolved.yaml",
        "run.json",
        "figures/forest-random-effects.svg",
        "figures/forest-random-effects.png",
        "figures/forest-random-effects.csv",
        "figures/priors-random-effects.svg",
        "figures/new-studies-random-effects.csv",
        "fits/random-effects--default--use.nc",
    }
    assert set(json.loads((ran / "run.json").read_text())["files"]) == files - {"run.json"}


def test_the_summary_holds_the_pooled_correlations(ran: Path) -> None:
    with (ran / "summary.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    median = {
        (row["priors"], row["intervals"]): float(row["median"])
        for row in rows
        if row["quantity"] == "rho_median"
    }
    assert median["default", "use"] == pytest.approx(0.23514, abs=5e-6)
    assert median["default", "drop"] == pytest.approx(0.28111, abs=5e-6)
    assert len(median) == 4
    # All that metarho show prints.
    first = [row for row in rows if (row["priors"], row["intervals"]) == ("default", "use")]
    names = [row["quantity"] for row in first if row["group"]]
    assert names == [
        "tau",
        "tau2",
        "I2",
        "H2",
        "mu",
        "rho_median",
        "rho_mean",
        "theta_new",
        "rho_new",
    ]
    found = {row["quantity"]: row for row in first}
    assert float(found["tau2"]["median"]) == pytest.approx(float(found["tau"]["median"]) ** 2)
    assert found["rho_median"]["P(> 0)"] == found["P(rho_median > 0)"]["mean"]


def test_every_row_of_the_source_is_in_the_audit(ran: Path) -> None:
    with (ran / "audit.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 34
    assert sum(row["used"] == "in" for row in rows) == 28
    assert {row["reason"] for row in rows if row["used"] == "out"} == {"removed by the filter"}


def test_saved_fits_open_as_data_trees(ran: Path) -> None:
    with xr.open_datatree(ran / "fits" / "random-effects--default--use.nc") as tree:
        assert tree["posterior"]["theta"].sizes == {"chain": 2, "draw": 200, "effect": 28}


def test_a_second_run_writes_the_same_bytes(ran: Path, tmp_path: Path) -> None:
    again = metarho.run(_config(tmp_path), output=tmp_path / "out").folder
    for name in ("summary.csv", "predictions.csv", "audit.csv", "config.resolved.yaml"):
        assert (again / name).read_bytes() == (ran / name).read_bytes()
    figure = "figures/forest-random-effects.svg"
    assert (again / figure).read_bytes() == (ran / figure).read_bytes()


def test_a_later_run_removes_what_it_no_longer_makes_and_nothing_else(tmp_path: Path) -> None:
    text = CONFIG.replace("[drop, use]", "drop")
    folder = metarho.run(_config(tmp_path, text), output=tmp_path / "out").folder
    (folder / "mine.txt").write_text("keep me")
    fewer = text.replace(
        '  sceptical: {mu: "Normal(mu=0, sigma=0.15)", tau: "HalfNormal(sigma=0.1)"}\n', ""
    )
    metarho.run(_config(tmp_path, fewer), output=tmp_path / "out")
    fits = {path.name for path in (folder / "fits").iterdir()}
    assert fits == {"random-effects--default--drop.nc"}
    assert (folder / "mine.txt").read_text() == "keep me"


def test_planning_writes_nothing(tmp_path: Path) -> None:
    before = plan(_config(tmp_path), tmp_path / "out")
    lines = "\n".join(describe(before))
    assert "10 printed numbers, 18 interval rows" in lines
    assert "mu ~ Normal(mu=0, sigma=0.15) *" in lines
    assert "guidance has no use in random-effects" in lines
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is a file; name a folder"):
        plan(_config(tmp_path), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_plan_says_which_priors_of_a_model_have_no_use(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    text = Path(shipped_folder("models") / "three-level-moderators.yaml").read_text()
    text = text.replace("priors:\n", 'priors:\n  beta[guidanze]: "Normal(mu=0, sigma=1)"\n', 1)
    (tmp_path / "models" / "mine.yaml").write_text(text)
    config = CONFIG.replace("models: [random-effects]", "models: [mine]")
    lines = "\n".join(describe(plan(_config(tmp_path, config), tmp_path / "out")))
    assert "model mine: its prior of beta[guidanze] has no use here" in lines


def test_executing_writes_only_to_the_store(tmp_path: Path) -> None:
    execute(plan(_config(tmp_path), tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["store"]


def test_a_workspace_s_own_model_comes_before_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "random-effects.yaml").write_text(MINE)
    found = plan(_config(tmp_path), tmp_path / "out")
    _, path = found.models["random-effects"]
    assert path == tmp_path / "models" / "random-effects.yaml"


def test_results_go_to_the_workspace_s_outputs_by_default(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "configs").mkdir()
    found = plan(_config(tmp_path / "configs"))
    assert found.folder == tmp_path / "outputs" / "small"


@pytest.mark.parametrize("inside", [".", "deep/below"])
@pytest.mark.parametrize("name", ["internet-alliance", "alliance-decisions"])
def test_results_of_a_shipped_config_go_to_the_current_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, inside: str
) -> None:
    shipped = shipped_folder("configs") / f"{name}.yaml"
    (tmp_path / "models").mkdir()
    (tmp_path / inside).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / inside)
    (found,) = plan_each([shipped], None)
    assert found.folder == tmp_path / "outputs" / name
    # Where there is no workspace, beside whoever runs it.
    (tmp_path / "models").rmdir()
    (found,) = plan_each([shipped], None)
    assert found.folder == (tmp_path / inside).resolve() / "outputs" / name


def test_a_workspace_s_own_config_of_a_shipped_name_keeps_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path.parent)
    found = plan(_config(tmp_path / "configs", name="internet-alliance.yaml"))
    assert found.folder == tmp_path / "outputs" / "internet-alliance"


def test_two_configs_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    configs = [_config(tmp_path / name) for name in ("a", "b")]
    with pytest.raises(InputError, match="would both write"):
        plan_each(configs, tmp_path / "out")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("sceptical: {mu:", "sceptical: {mo:", 9, "mo"),
        ("sceptical: {mu:", "sceptical: {beta:", 9, "no model of this analysis"),
        ("guidance: guided", "guidence: guided", 11, "did you mean 'guidance'"),
        ("[random-effects]", "[random-effect]", 6, "did you mean 'random-effects'"),
        ("internet-alliance", "internet-aliance", 3, "did you mean 'internet-alliance'"),
        ("internet-alliance", "nothing.csv", 3, "cannot be read"),
    ],
)
def test_errors_name_the_line_and_the_nearest_name(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    config = _config(tmp_path, CONFIG.replace(old, new))
    with pytest.raises(InputError, match=said) as caught:
        plan(config, tmp_path / "out")
    assert f"small.yaml:{line}" in str(caught.value) or "nothing.csv" in str(caught.value)


def test_an_unknown_level_of_a_new_study_lists_the_levels(tmp_path: Path) -> None:
    text = CONFIG.replace("[random-effects]", "[three-level-moderators]").replace(
        "guidance: guided", "guidance: halfway"
    )
    with pytest.raises(InputError, match="blended, guided, unguided"):
        plan(_config(tmp_path, text), tmp_path / "out")


def test_hostile_text_stays_text_in_report_and_tables(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    rows = ["study,r,n", f'"{evil}",.3,40', '"=cmd|x",.2,50', '"$\\frac{1}{0}$ & \x07",.1,60']
    (tmp_path / "data.csv").write_text("\n".join(rows), encoding="utf-8")
    text = (
        f'title: "{evil}"\nstudies:\n  source: data.csv\n'
        "  columns: {ri: r, ni: n, study: study}\nmodels: [random-effects]\n"
        f'priors: {{"{evil}": {{}}, "../up": {{mu: "Normal(mu=0, sigma=1)"}}}}\n'
    )
    folder = metarho.run(_config(tmp_path, text), output=tmp_path / "out").folder
    page = (folder / "report.html").read_text()
    # Our own script and its data are all there is.
    assert evil not in page and "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "\x07" not in page
    assert "'=cmd|x" in (folder / "summary.csv").read_text() + (folder / "audit.csv").read_text()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"small", "store"}


def test_file_names_are_plain_and_one_each() -> None:
    names = file_names(["a/b", "a b", "A-B", "../..", "ünïcode", ""])
    assert len({name.lower() for name in names}) == 6
    assert all("/" not in name and "." not in name for name in names)


def test_csv_prints_ten_digits_and_blanks_for_none() -> None:
    text = to_csv([{"a": 1 / 3, "b": None, "c": "-x"}, {"a": float("inf")}])
    assert text == "a,b,c\n0.3333333333,,'-x\nInf,,\n"


def test_gen_evidence_can_be_reported(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("name,y,v\na,1,.2\nb,2,.3\nc,1.5,.1\n")
    text = (
        "studies:\n  source: data.csv\n  measure: GEN\n"
        "  columns: {yi: y, vi: v, study: name}\nmodels: [random-effects]\n"
        'priors: {wide: {mu: "Normal(mu=0, sigma=10)"}}\n'
        "new_studies: [{label: new, sei: 0.4}]\nthresholds: {rho: []}\n"
    )
    outcome = publish(plan(_config(tmp_path, text), tmp_path / "out"))
    assert [p.quantity for p in outcome.predictions[0]] == ["mean", "true", "observed"]
    page = (tmp_path / "out" / "small" / "report.html").read_text()
    assert (
        "Pooled effect" in page
        and "P(μ &gt; 0)" in page
        and "ρ" not in page.partition("<script>")[0]
    )
