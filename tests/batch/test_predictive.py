"""Predictive priors from a config: which fit, how made robust, and the model file they are in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import metarho
from metarho import cli
from metarho.batch.plan import cell_of, plan
from metarho.batch.predictive import model_text, predictive_prior_of
from metarho.errors import InputError
from metarho.report.priors import WIDTH
from metarho.spec.model import read_model
from metarho.spec.priors import parse_prior

MOLLOY = Path(__file__).parents[1] / "references" / "molloy2014.csv"
CONFIG = """
studies:
  source: {source}
  measure: {measure}
  columns: {{ri: ri, ni: ni}}
  where: year < 2000
models: [{models}]
priors:
  default: {{}}
  sceptical: {{mu: alliance-sceptical}}
"""

type Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with one config."""
    (tmp_path / "models").mkdir()
    (tmp_path / "configs").mkdir()
    write(tmp_path)
    return tmp_path


def write(folder: Path, measure: str = "ZCOR", models: str = "random-effects") -> Path:
    path = folder / "configs" / "mine.yaml"
    text = CONFIG.format(source=MOLLOY, measure=measure, models=models)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]) -> Main:
    """Run the command line in the workspace."""
    monkeypatch.chdir(folder)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["metarho", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return call


def test_the_model_that_is_written_is_one_that_a_fit_reads(main: Main, folder: Path) -> None:
    code, out, _ = main("priors", "from", "mine", "--write", "models/next.yaml")
    assert code == 0
    model = read_model(folder / "models" / "next.yaml")
    assert (model.random, model.data_overlap) == ("none", ("molloy2014.csv",))
    lists = dict(model.priors["mu"].lists)
    assert (lists["w"][-1], lists["sigma"][-1]) == (0.1, 1.0)
    assert str(model.priors["mu"]) in out
    assert "1 of a normal with the information of one person" in out
    # All but the prior itself, which is to be copied, at the width of a terminal.
    assert max(len(line) for line in out.splitlines() if not line.startswith("    mu:")) <= WIDTH
    # Later studies of the same file: nothing says which, so that it is remarked on.
    columns = ["--columns", "ri=ri,ni=ni"]
    code, out, _ = main("fit", str(MOLLOY), *columns, "--model", "next", "--where", "year > 2010")
    assert code == 0
    assert (
        "note: mu: the priors of the model next were made from this evidence (molloy2014.csv), "
        "which is then used twice"
    ) in out


def test_another_prior_in_its_place_is_not_remarked_on(main: Main, folder: Path) -> None:
    assert main("priors", "from", "mine", "--write", "models/next.yaml")[0] == 0
    studies = metarho.load_studies(MOLLOY, columns={"ri": "ri", "ni": "ni"})
    model = metarho.load_model("next")
    fit = metarho.fit(model, studies, priors={"mu": "Normal(mu=0, sigma=1)"})
    assert not any("used twice" in note for note in fit.notes)


def test_what_was_made_is_there_for_programs(main: Main) -> None:
    _, out, _ = main(
        "priors", "from", "mine", "--prior-set", "sceptical", "--robust", "0", "--json"
    )
    found = json.loads(out)
    assert found["prior"] == found["mixture"]
    assert found["hellinger"] <= 0.01
    assert found["from"].startswith("random-effects (sceptical priors, ")
    assert parse_prior(found["prior"]).family == "NormalMixture"


def test_a_robust_prior_is_worth_less(folder: Path) -> None:
    made = plan(folder / "configs" / "mine.yaml", folder / "out")
    cell = cell_of(made, None, None, None)
    assert (cell.prior_set, cell.intervals) == ("default", "use")
    plain = predictive_prior_of(made, cell, 0.0, None)
    robust = predictive_prior_of(made, cell, 0.3, 0.1)
    assert plain.participants is not None and robust.participants is not None
    assert robust.participants < plain.participants
    assert dict(robust.prior.lists)["mu"][-1] == pytest.approx(0.100335, abs=1e-6)
    assert "robust" not in model_text(plain)


REFUSED = {
    "a fit of another kind of file": (["--write", "models/next.nc"], "ends in .yaml"),
    "a model that is there": (["--write", "configs/mine.yaml"], "is there already"),
    "no such prior set": (["--prior-set", "sceptic"], "did you mean 'sceptical'?"),
    "no such model": (["--model", "x"], "has no model 'x'"),
    "rows that were not dropped": (["--intervals", "drop"], "has no intervals 'drop'"),
    "nothing but vague": (["--robust", "1"], "a weight from 0 to below 1, not 1"),
    "no correlation": (["--robust-mean", "1"], "--robust-mean is a correlation"),
    "a mean of nothing": (["--robust", "0", "--robust-mean", "0"], "--robust above 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_made_is_refused_before_anything_is_computed(
    main: Main, folder: Path, case: str
) -> None:
    arguments, said = REFUSED[case]
    code, out, err = main("priors", "from", "mine", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert not (folder / "outputs").exists()


def test_of_several_models_the_first_is_taken_and_named(main: Main, folder: Path) -> None:
    write(folder, models="random-effects, common-effect")
    code, out, _ = main("priors", "from", "mine", "--json")
    assert code == 0
    assert json.loads(out)["from"].startswith("random-effects (")


def test_off_z_nobody_knows_what_one_participant_is_worth(folder: Path) -> None:
    made = plan(write(folder, measure="COR"), folder / "out")
    cell = cell_of(made, None, None, None)
    with pytest.raises(InputError, match=r"with r give --robust 0"):
        predictive_prior_of(made, cell, 0.1, None)
    found = predictive_prior_of(made, cell, 0.0, None)
    assert found.participants is None


def test_a_fit_that_would_be_sampled_is_refused_before_it_is(folder: Path) -> None:
    made = plan(write(folder, models="mixture"), folder / "out")
    cell = cell_of(made, None, None, None)
    with pytest.raises(InputError, match="mixture would be known by draws only"):
        predictive_prior_of(made, cell, 0.1, None)
    assert not (folder / "out").exists()


def test_a_saved_fit_gives_the_prior_that_its_config_gives(main: Main, folder: Path) -> None:
    where = ["--columns", "ri=ri,ni=ni", "--where", "year < 2000", "--save", "fit.nc"]
    assert main("fit", str(MOLLOY), *where)[0] == 0
    code, out, _ = main("priors", "from", "fit.nc", "--json")
    assert code == 0
    saved = json.loads(out)
    _, out, _ = main("priors", "from", "mine", "--json")
    planned = json.loads(out)
    assert saved.pop("from").startswith("random-effects (")
    assert planned.pop("from").startswith("random-effects (default priors, ")
    assert saved == planned
    code, _, err = main("priors", "from", "fit.nc", "--model", "random-effects")
    assert code == 2
    assert "a saved fit is one fit" in err
