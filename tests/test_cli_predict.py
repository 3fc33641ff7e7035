"""``metarho predict`` and ``metarho update`` as a user runs them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from command_line import CommandLine, rows_in

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: [drop, use]}
models: [random-effects, guided.yaml]
priors:
  default: {}
  sceptical $x$ & <b>: {mu: "Normal(mu=0, sigma=0.15)"}
  flat: {mu: "Flat()"}
new_studies:
  - {label: guided $a$, ni: 80, guidance: guided}
  - {label: unguided, ni: 40, guidance: unguided}
"""
GUIDED = """\
title: Guidance and year
random: effect
mods: ~ guidance + center(year)
priors:
  mu: Normal(mu=0, sigma=0.5)
  beta: Normal(mu=0, sigma=0.25)
  tau: HalfNormal(sigma=0.25)
"""


class Run(CommandLine):
    """Commands in a folder of its own, on a config and on saved fits."""

    @property
    def out(self) -> Path:
        return self.folder / "out" / "which"

    def __call__(self, *words: str) -> tuple[int, str, str]:
        return self.run(*words)

    def of_config(self, command: str, *options: str) -> tuple[int, str, str]:
        return self.run(command, "which.yaml", "--output", "out", *options)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "which.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "models").mkdir()
    (tmp_path / "guided.yaml").write_text(GUIDED, encoding="utf-8")
    (tmp_path / "models" / "guided.yaml").write_text(GUIDED, encoding="utf-8")
    return Run(monkeypatch, tmp_path, capsys)


ONE = ("--model", "random-effects", "--prior-set", "default", "--intervals", "drop")
MODERATED = ("--model", "guided.yaml", "--prior-set", "default", "--intervals", "drop")


def test_every_cell_answers_for_every_new_study_of_the_config(run: Run) -> None:
    code, out, _ = run.of_config("predict", "--intervals", "drop", "--json")
    assert code == 0
    found = json.loads(out)
    # Two models, three prior sets, two new studies.
    assert len(found) == 12
    for answer in found:
        for quantity in ("mean", "true", "observed"):
            assert answer[quantity]["lower"] < answer[quantity]["median"]
            assert set(answer[quantity]["probabilities"]) == {"P(> 0)", "P(> 0.1)", "P(> 0.3)"}
        words = answer["observed"]["words"]
        assert sum(words.values()) == pytest.approx(1, abs=1e-9)
        assert answer["observed"]["P(p < .05)"] == pytest.approx(1 - words["not significant"])
    rows = rows_in(run.out / "predict.csv")
    assert len(rows) == 36 and {row["quantity"] for row in rows} == {"mean", "true", "observed"}
    assert all((row["law"] == "") == (row["quantity"] != "observed") for row in rows)
    together = rows_in(run.out / "predict-together.csv")
    first = [a["true"]["probabilities"]["P(> 0.1)"] for a in found[:2]]
    apart = {r["event"]: float(r["if_independent"]) for r in together[:6]}
    # Shares of 10,000 draws beside integrals.
    assert apart["all: true > 0.1"] == pytest.approx(first[0] * first[1], abs=0.02)
    none = (1 - first[0]) * (1 - first[1])
    assert apart["at least one: true > 0.1"] == pytest.approx(1 - none, abs=0.005)
    assert {row["event"] for row in together} >= {"all: true > 0", "at least one: significant"}
    for suffix in ("svg", "png", "csv"):
        assert (run.out / "figures" / f"predict.{suffix}").is_file()
    svg = (run.out / "figures" / "predict.svg").read_text(encoding="utf-8")
    assert "guided $a$" in svg


def test_a_profile_stands_where_it_says_and_at_averages(run: Run) -> None:
    code, out, _ = run.of_config("predict", *MODERATED, "--ni", "60", "--set", "guidance=guided")
    assert code == 0
    assert "guidance guided, n = 60 (guidance guided; year at its average)" in out
    assert "lies beyond the evidence" not in out
    code, out, _ = run.of_config(
        "predict", *MODERATED, "--ni", "60", "--set", "year=2050", "--set", "rater=client"
    )
    assert code == 0
    assert "year 2050 lies beyond the evidence (20" in out
    assert "rater has no use in guided" in out


def test_the_exact_law_stands_beside_the_model_s_own(run: Run) -> None:
    _, out, _ = run.of_config("predict", *ONE, "--ni", "12", "--law", "exact")
    assert "observed, exact law" in out and "observed, own law" in out and "difference" in out
    _, out, _ = run.of_config("predict", *ONE, "--ni", "12", "--law", "exact", "--json")
    (found,) = json.loads(out)
    assert found["observed"]["law"] == "exact"
    assert found["observed"]["mean"] != found["observed_by_own_law"]["mean"]


def test_priors_alone_answer_before_any_data(run: Run) -> None:
    code, out, _ = run.of_config("predict", *ONE, "--ni", "80", "--prior-only", "--json")
    assert code == 0
    (found,) = json.loads(out)
    # mu ~ N(0, .5): the median correlation has quantiles tanh(±1.96 × .5).
    assert found["mean"]["upper"] == pytest.approx(math.tanh(0.9799819922700), abs=1e-9)
    assert found["before_data"]["share_below_0"] == pytest.approx(0.5, abs=1e-9)
    assert found["before_data"]["tau"]["median"] == pytest.approx(0.6744897502 * 0.25, abs=1e-6)
    code, out, err = run.of_config(
        "predict", "--prior-only", "--prior-set", "flat", "--ni", "80", "--json"
    )
    assert code == 2 and out == "" and "mu ~ Flat() is improper" in err


def test_joint_draws_are_written_where_asked(run: Run) -> None:
    code, _, _ = run.of_config("predict", *ONE, "--draws", "draws.csv", "--json")
    assert code == 0
    rows = rows_in(run.folder / "draws.csv")
    assert len(rows) == 2 * 10_000
    assert rows[0]["mean"] == rows[1]["mean"] and rows[0]["true"] != rows[1]["true"]


def test_a_saved_fit_answers_as_its_config_does(run: Run) -> None:
    run("fit", "internet-alliance", "--where", 'role == "main"', "--intervals", "drop", "--save",
        "fit.nc")  # fmt: skip
    code, out, _ = run("predict", "fit.nc", "--ni", "80", "--json")
    assert code == 0
    (saved,) = json.loads(out)
    _, out, _ = run.of_config("predict", *ONE, "--ni", "80", "--json")
    (own,) = json.loads(out)
    for quantity in ("mean", "true", "observed"):
        for number in ("mean", "sd", "median", "lower", "upper"):
            assert saved[quantity][number] == pytest.approx(own[quantity][number], rel=1e-12)


BAD = {
    "few people": (("--ni", "3"), "--ni 3: a new study has at least 4 people"),
    "not a setting": (("--ni", "50", "--set", "guidance"), "write column=value"),
    "an unknown column": (("--ni", "50", "--set", "guidanse=x"), "no column 'guidanse'"),
    "an unknown level": (
        (*MODERATED, "--ni", "50", "--set", "guidance=guidd"),
        "guidance has no level 'guidd'",
    ),
    "an unknown model": (("--model", "x", "--ni", "50"), "has no model 'x'"),
    "no number": ((*MODERATED, "--ni", "50", "--set", "year=soon"), "must be a number"),
    "draws of several fits": (("--draws", "d.csv"), "--draws are those of one fit"),
    "draws elsewhere": ((*ONE, "--draws", "d.nc"), "--draws writes CSV"),
    "endless people": (("--ni", "inf"), "--ni inf: a new study has at least 4 people"),
    "an endless error": ((*ONE, "--sei", "inf"), "--sei inf: a standard error is greater than 0"),
    "draws onto a folder": ((*ONE, "--ni", "50", "--draws", "folder.csv"), "is there already"),
    "a label alone": (("--label", "x"), "describe it by --ni"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_questions_are_refused_before_anything_is_written(run: Run, case: str) -> None:
    options, said = BAD[case]
    (run.folder / "folder.csv").mkdir()
    code, out, err = run.of_config("predict", *options)
    assert (code, out) == (2, "")
    assert said in err and "Traceback" not in err
    assert not (run.folder / "out").exists()


def test_an_update_tells_what_it_moved(run: Run) -> None:
    code, out, _ = run.of_config("update", *ONE, "--ri", "-.2", "--ni", "300")
    assert code == 0
    assert "OUTSIDE this 95% interval" in out and "times as likely from another one" in out
    code, out, _ = run.of_config("update", *ONE, "--ri", ".25", "--ni", "100", "--json")
    found = json.loads(out)
    assert found["expected"]["held"] is True and found["bf_same"] > 1
    moved = {row["quantity"]: row for row in found["moved"]}
    assert moved["rho_median"]["change"] == pytest.approx(
        moved["rho_median"]["after_median"] - moved["rho_median"]["before_median"]
    )
    code, out, _ = run.of_config(
        "update", "--intervals", "use", "--model", "random-effects", "--reported",
        "not significant", "--ni", "60", "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert found["expected"]["probability"] == pytest.approx(
        found["expected"]["words"]["not significant"], abs=1e-12
    )


def test_an_updated_fit_can_be_updated_again(run: Run) -> None:
    run("fit", "internet-alliance", "--where", 'role == "main"', "--intervals", "drop", "--save",
        "fit.nc")  # fmt: skip
    a = ("--ri", ".1", "--ni", "90", "--study", "Adler 2026")
    b = ("--ri", ".4", "--ni", "50", "--study", "Zimmer 2026")
    for name, first, second in (("ab", a, b), ("ba", b, a)):
        assert run("update", "fit.nc", *first, "--save", "one.nc")[0] == 0
        assert run("update", "one.nc", *second, "--save", f"{name}.nc")[0] == 0
    answers = [run("predict", f"{name}.nc", "--ni", "80", "--json")[1] for name in ("ab", "ba")]
    assert answers[0] == answers[1]


BAD_UPDATES = {
    "few people": (("--ri", ".1", "--ni", "3"), "at least 4 people"),
    "no correlation": (("--ri", "1.2", "--ni", "50"), "a correlation lies between -1 and 1"),
    "nothing printed": ((), "ri and ni blank"),
    "a moderator left open": (
        (*MODERATED, "--ri", ".1", "--ni", "50"),
        "needs guidance (blended, guided, unguided); year of the new study",
    ),
    "an unknown level": (
        (*MODERATED, "--ri", ".1", "--ni", "50", "--set", "guidance=x", "--set", "year=2020"),
        "guidance has no level 'x'",
    ),
    "a word where words are dropped": (
        (*ONE, "--reported", "not significant", "--ni", "50"),
        "interval rows are dropped here",
    ),
    "a number and a word": (
        ("--ri", ".8", "--reported", "not significant", "--ni", "50"),
        "--ri and --reported say one result in several ways",
    ),
    "a number and a range": (
        ("--ri", ".9", "--ri-low", ".1", "--ri-high", ".5", "--ni", "50"),
        "--ri and --ri-low/--ri-high say one result",
    ),
    "a fit onto a folder": (
        (*ONE, "--ri", ".1", "--ni", "50", "--save", "folder.nc"),
        "is a folder; name a file",
    ),
    "two outputs": (("--ri", ".1", "--ni", "50", "--json", "--csv"), "two forms of one output"),
}


@pytest.mark.parametrize("case", list(BAD_UPDATES))
def test_bad_updates_are_refused_before_anything_is_written(run: Run, case: str) -> None:
    options, said = BAD_UPDATES[case]
    (run.folder / "folder.nc").mkdir()
    code, out, err = run.of_config("update", *options)
    assert (code, out) == (2, "")
    assert said in err and "Traceback" not in err
    assert not (run.folder / "out").exists()


def test_names_of_options_do_not_steer_what_reads_them(run: Run) -> None:
    hostile = "a\x1b[31m\u202eb\nc"
    code, out, _ = run.of_config("predict", *ONE, "--ni", "50", "--label", hostile)
    assert code == 0 and "a[31mbc" in out
    figure = run.folder / "out" / "which" / "figures" / "predict.svg"
    assert "a[31mbc" in figure.read_text(encoding="utf-8")
    ElementTree.parse(figure)
    new = ("--ri", ".1", "--ni", "50", "--study", hostile)
    assert "a[31mbc" in run.of_config("update", *ONE, *new)[1]


def test_a_study_of_everybody_has_a_sceptical_p(run: Run) -> None:
    code, out, _ = run.of_config("update", *ONE, "--ri", ".3", "--ni", "1e300", "--json")
    assert code == 0 and 0 <= json.loads(out)["sceptical_p"] < 0.01


def test_files_that_are_no_fits_are_refused(run: Run) -> None:
    (run.folder / "text.nc").write_text("hello", encoding="utf-8")
    for command in (("predict", "text.nc", "--ni", "50"), ("update", "text.nc", "--ri", ".1")):
        code, out, err = run(*command)
        assert (code, out) == (2, "") and "is not a saved fit" in err
    code, _, err = run("predict", "missing.nc", "--ni", "50")
    assert code == 2 and "missing.nc" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ni", "inf"), "and a finite number"),
        (("--ni", "nan"), "at least 4 people"),
        (("--sei", "inf"), "greater than 0 and finite"),
        (("--ni", "50", "--set", "rxx=0.8"), "name it in new_studies: of a config"),
        (("--ni", "50", "--set", "ni=50"), "use --ni"),
    ],
)
def test_sizes_that_no_study_has_are_bad_input(
    run: Run, options: tuple[str, ...], said: str
) -> None:
    code, out, err = run.of_config("predict", *ONE, *options)
    assert (code, out) == (2, "")
    assert said in err
    assert not run.out.exists()


@pytest.mark.parametrize(
    ("measure", "size", "said"),
    [
        ("COR", ("--ni", "40"), "under measure COR its variance depends on the true correlation"),
        ("ZCOR", ("--sei", "0.1"), "it needs the study's ni (measure ZCOR)"),
    ],
)
def test_what_is_not_known_of_the_observed_is_said(
    run: Run, measure: str, size: tuple[str, str], said: str
) -> None:
    path = run.folder / "which.yaml"
    source = "source: internet-alliance,"
    text = CONFIG.replace(source, f"{source} measure: {measure},").replace("drop, use", "drop")
    path.write_text(text.replace(", guided.yaml", ""), encoding="utf-8")
    code, out, _ = run.of_config("predict", *ONE, *size, "--json")
    (answer,) = json.loads(out)
    assert (code, answer["observed"]) == (0, None)
    assert answer["remarks"][0].startswith(f"what it observes is left out: {said}")
