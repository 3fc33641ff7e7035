"""``metarho show``: saved fits and cells of configs, in every form."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from command_line import CommandLine
from metarho.store.save import save_fit
from printed_cases import HOSTILE, case, of_rows

CONFIG = """
studies: {source: internet-alliance, where: role == "main", intervals: [use, drop]}
models: [random-effects, common-effect]
priors: {default: {}, sceptical: {mu: "Normal(mu=0, sigma=0.15)"}}
thresholds: {rho: [0.2]}
report: none
"""


@pytest.fixture
def line(command: CommandLine) -> CommandLine:
    save_fit(case("random effects"), command.folder / "fit.nc")
    (command.folder / "small.yaml").write_text(CONFIG, encoding="utf-8")
    return command


def test_a_saved_fit_prints_the_block_that_fit_printed(line: CommandLine) -> None:
    code, out, err = line.run("show", "fit.nc")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    headings = ["Heterogeneity", "Model results", "New study"]
    assert [text.strip() for text in lines if text.strip() in headings] == headings
    assert "Random effects (k = 16 effects, 15 studies; measure ZCOR)" in lines
    (mu,) = [text.split() for text in lines if text.startswith("  mu ")]
    assert mu == ["mu", "0.1490", "0.0349", "0.1480", "[", "0.0824,", "0.2207]", ">0.999", "z"]
    # One above the other: points of one column.
    numbers = [text for text in lines if text.startswith("  ") and "[" in text]
    assert len({text.index("[") for text in numbers}) == 1
    assert len({text.index("]") for text in numbers}) == 1


def test_every_form_says_the_same_numbers(line: CommandLine) -> None:
    fit = case("random effects")
    found = json.loads(line.run("show", "fit.nc", "--json")[1])
    assert found["parameters"]["mu"]["mean"] == fit.parameters["mu"].mean
    rows = {row["quantity"]: row for row in csv.DictReader(io.StringIO(csv_of(line)))}
    assert float(rows["mu"]["mean"]) == pytest.approx(found["parameters"]["mu"]["mean"], rel=1e-9)
    quantities = found["quantities"]
    assert list(quantities) == list(rows) and "tau2" in rows
    for name, row in rows.items():
        assert float(row["median"]) == pytest.approx(quantities[name]["median"], rel=1e-9)
        above = quantities[name]["above_zero"]
        assert (
            row["P(> 0)"] == "" if above is None else float(row["P(> 0)"]) == pytest.approx(above)
        )
    assert "ρ = .15 [.08, .22]" in line.run("show", "fit.nc", "--apa")[1]
    assert "ρ = .1469 [.0822, .2172]" in line.run("show", "fit.nc", "--apa", "--digits", "4")[1]
    assert r"| rho\_median | 0.148 | 0.034 | 0.147 |" in line.run("show", "fit.nc", "--markdown")[1]
    assert (
        r"rho\_median & 0.15 & 0.03 & 0.15"
        in (line.run("show", "fit.nc", "--latex", "--digits", "2")[1])
    )


def csv_of(line: CommandLine) -> str:
    return line.run("show", "fit.nc", "--csv")[1]


def test_a_cell_of_a_config_is_fitted_through_its_store(line: CommandLine) -> None:
    chosen = ("--model", "random-effects", "--prior-set", "sceptical", "--intervals", "drop")
    code, out, _ = line.run("show", "small.yaml", *chosen, "--output", "out")
    assert code == 0
    assert "k = 10 effects" in out and "prior: mu ~ Normal(mu=0, sigma=0.15)" in out
    assert (line.folder / "out" / "store").is_dir()
    text = line.run("show", "small.yaml", *chosen, "--output", "out", "--apa")[1]
    # The config's own threshold.
    assert "P(ρ > .20) = " in text and "P(ρ > 0)" not in text


def test_fits_that_a_run_leaves_can_be_shown(line: CommandLine) -> None:
    assert line.run("run", "small.yaml", "--output", "out")[0] == 0
    saved = sorted((line.folder / "out" / "small" / "fits").glob("*.nc"))
    assert len(saved) == 8
    for path in saved:
        assert line.run("show", str(path))[0] == 0


def test_a_sampled_fit_is_shown_and_what_is_not_reportable_exits_with_three(
    line: CommandLine,
) -> None:
    save_fit(case("failed"), line.folder / "failed.nc")
    code, out, _ = line.run("show", "failed.nc")
    assert code == 3 and "R-hat of mu is 1.2; run more draws" in out and "Selection" in out
    code, out, _ = line.run("show", "failed.nc", "--apa")
    assert code == 3 and out.startswith("These numbers are not to be reported")
    out = line.run("show", "failed.nc", "--markdown")[1]
    assert out.startswith("**Not reportable: ")


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "two forms": (("fit.nc", "--apa", "--csv"), "--apa and --csv are forms of one output"),
    "digits of a block": (("fit.nc", "--digits", "3"), "--digits is for --apa"),
    "options of configs": (("fit.nc", "--model", "x"), "a saved fit is one fit"),
    "no file": (("none.nc",), "none.nc: there is no such file"),
    "no fit": (("text.nc",), "text.nc: is not a saved fit"),
    "no config": (("nothing",), "nothing"),
    "no model": (("small.yaml", "--model", "random-effect"), "did you mean 'random-effects'?"),
    "no such digits": (("fit.nc", "--apa", "--digits", "0"), "'--digits'"),
}


@pytest.mark.parametrize("words, said", BAD.values(), ids=BAD)
def test_what_cannot_be_shown_is_refused(
    line: CommandLine, words: tuple[str, ...], said: str
) -> None:
    (line.folder / "text.nc").write_text("hello", encoding="utf-8")
    code, out, err = line.run("show", *words)
    assert (code, out) == (2, "")
    assert said in err and "Traceback" not in err


def test_names_are_text_in_every_form(line: CommandLine, tmp_path: Path) -> None:
    cells = HOSTILE.replace('"', "'")
    table = f'study,yi,vi,arm\na,0.3,0.02,"{cells}"\nb,0.1,0.03,!\nc,0.2,0.01,"{cells}"\n'
    (line.folder / "data.csv").write_text(table, encoding="utf-8")
    words = ("data.csv", "--measure", "GEN", "--columns", "yi=yi,vi=vi,study=study")
    code, out, err = line.run("fit", *words, "--mods", "~ arm", "--save", "hostile.nc")
    assert code == 0, err
    assert "[red]b[/red]" in out
    assert cells in line.run("show", "hostile.nc", "--apa")[1]
    markdown = line.run("show", "hostile.nc", "--markdown")[1]
    assert "<img" not in markdown and r"\| \$x\$" in markdown
    latex = line.run("show", "hostile.nc", "--latex")[1]
    assert "\\input{" not in latex and r"\textbackslash{}input\{a\}" in latex


def test_one_row_of_evidence_is_shown(line: CommandLine, tmp_path: Path) -> None:
    fit = of_rows(tmp_path, "study,ri,ni\na,0.3,50\n", "ZCOR")
    save_fit(fit, line.folder / "one.nc")
    code, out, _ = line.run("show", "one.nc")
    assert code == 0 and "k = 1 effect, 1 study" in out
    # Of one row no share of variance can be told.
    (i2,) = [text.split() for text in out.splitlines() if text.startswith("  I2")]
    assert i2 == ["I2", "–", "–", "–", "–", "percent"]
