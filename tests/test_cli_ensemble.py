"""``metarho ensemble`` as a user runs it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import metarho
from command_line import CommandLine, rows_in
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting.verdict import Verdict

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: drop}
models: [random-effects, pet, peese]
priors: {default: {}, narrow: {mu: "Normal(mu=0, sigma=0.1)"}}
ensemble: {weights: {random-effects: 2, pet: 1, peese: 1}}
"""

# Milliseconds a fit, and no bias.
LEAN = CONFIG.replace(", pet, peese]", "]").replace(", pet: 1, peese: 1", "")


@pytest.fixture
def line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    (tmp_path / "mine.yaml").write_text(CONFIG, encoding="utf-8")
    return CommandLine(monkeypatch, tmp_path, capsys)


def test_prior_sets_stand_side_by_side_and_tables_are_left(line: CommandLine) -> None:
    code, out, _ = line.run("ensemble", "mine.yaml", "--output", "out")
    assert code == 0
    assert "k = 10 effects of 7 studies; 12 members a prior set" in out
    heads = [text.split() for text in out.splitlines() if text.startswith("component ")]
    assert heads == [["component", "of", "before", "default", "BF", "narrow", "BF"]]
    assert "narrow: the most probable members" in out and "… and 2 more, together" in out
    assert "rho is exactly 0 with probability" in out
    folder = line.folder / "out" / "mine"
    figures = {path.name for path in (folder / "figures").glob("*.svg")}
    assert figures == {
        f"{kind}--{name}--drop.svg"
        for kind in ("z-curve", "funnel", "spike-and-slab")
        for name in ("default", "narrow")
    }
    components = rows_in(folder / "ensemble-components.csv")
    assert [row["component"] for row in components] == [
        *("effect", "heterogeneity", "bias", "PET", "PEESE")
    ] * 2
    members = rows_in(folder / "ensemble-members.csv")
    assert len(members) == 24 and {row["status"] for row in members} == {"ok"}
    assert {row["quantity"] for row in rows_in(folder / "ensemble-estimates.csv")} == {
        *("rho", "tau", "pet", "peese", "rho_new")
    }


def test_a_run_with_a_member_that_is_not_reportable_says_so_and_exits_with_three(
    line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(problem: Problem, *others: Any) -> Verdict:
        bad = problem.prior("mu").is_point
        return Verdict("not reportable", ("because of a test",)) if bad else Verdict("ok", ())

    monkeypatch.setattr("metarho.fitting.judge", judged)
    (line.folder / "mine.yaml").write_text(LEAN, encoding="utf-8")
    code, out, _ = line.run("run", "mine.yaml", "--output", "out")
    assert code == 3 and "the ensemble: 4 of 8 fits of its members are not reportable" in out
    rows = rows_in(line.folder / "out" / "mine" / "ensemble-members.csv")
    assert [row["status"] for row in rows if row["effect"] == "no"] == ["not reportable"] * 4


def test_programs_get_the_same_rows(line: CommandLine) -> None:
    code, out, _ = line.run("ensemble", "mine.yaml", "--output", "out", "--json")
    assert code == 0
    found = json.loads(out)
    assert set(found) == {"components", "estimates", "members", "ranges", "sentences"}
    assert found["ranges"] == []
    assert found["components"][0]["component"] == "effect"
    said = {one["priors"]: one["said"] for one in found["sentences"]}
    assert set(said) == {"default", "narrow"}
    code, out, _ = line.run("ensemble", "mine.yaml", "--output", "out", "--csv")
    assert code == 0
    assert out == (line.folder / "out" / "mine" / "ensemble-components.csv").read_text("utf-8")


def test_python_has_the_same_and_shows_itself(line: CommandLine) -> None:
    (line.folder / "<b>.yaml").write_text(
        CONFIG.replace("[random-effects, pet, peese]", "[random-effects]").partition("ensemble:")[0]
        + "ensemble: {heterogeneity: 1}\n",
        encoding="utf-8",
    )
    found = metarho.ensemble(line.folder / "<b>.yaml", output=line.folder / "out")
    assert repr(found) == f"<Ensembles {line.folder / 'out' / '<b>'}: 2 ensembles>"
    assert list(found.ensembles) == [("default", "drop"), ("narrow", "drop")]
    one = found.ensembles["narrow", "drop"]
    rows = rows_in(found.folder / "ensemble-components.csv")
    assert [row["priors"] for row in rows] == ["default", "narrow"]
    # A table has ten digits.
    wanted = pytest.approx(float(rows[1]["inclusion_bf"]), rel=1e-9)
    assert one.components[0]["inclusion_bf"] == wanted
    html = found._repr_html_()
    assert "&lt;b&gt;" in html and "<b>" not in html
    assert f"{one.averages[0].summary.median:.3f}" in html and one.sentences[0] in html
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.folder = Path()  # type: ignore[misc]
    with pytest.raises(InputError, match="has no ensemble"):
        metarho.ensemble("internet-alliance", output=line.folder / "none")
    assert not (line.folder / "none").exists()


def test_ranges_say_what_readers_with_other_priors_of_mu_would_have_found(
    line: CommandLine,
) -> None:
    (line.folder / "mine.yaml").write_text(f"{LEAN}report: none\n", encoding="utf-8")
    code, out, _ = line.run("ensemble", "mine.yaml", "--output", "out", "--ranges")
    assert code == 0 and "as the prior of mu is made ten times narrower to ten times wider" in out
    assert out.splitlines()[-1].endswith("ensemble-members.csv, ensemble-ranges.csv")
    folder = line.folder / "out" / "mine"
    ranges = {
        (row["priors"], row["component"]): row for row in rows_in(folder / "ensemble-ranges.csv")
    }
    assert len(ranges) == 2 * 2
    components = rows_in(folder / "ensemble-components.csv")
    for row in components:
        if (row["priors"], row["component"]) in ranges:
            own = ranges[row["priors"], row["component"]]
            assert float(own["inclusion_bf"]) == pytest.approx(float(row["inclusion_bf"]), rel=1e-9)
            lowest, highest = (float(own[f"inclusion_bf_{end}"]) for end in ("lowest", "highest"))
            assert lowest <= float(own["inclusion_bf"]) <= highest
    # What the ends are is what the ensemble says under those priors.
    own = ranges["default", "effect"]
    ends = sorted((float(own[f"at_{end}"]), end) for end in ("lowest", "highest"))
    (start, first), (end, last) = ends
    code, out, _ = line.run(
        "sensitivity", "mine.yaml", "--output", "out", "--ensemble", "--over", "mu.width",
        "--from", str(start), "--to", str(end), "--points", "2", "--json",
    )  # fmt: skip
    rows = json.loads(out)
    assert code == 0 and [row["model"] for row in rows] == ["ensemble"] * 2
    for row, name in zip(rows, (first, last), strict=True):
        assert row["bf_effect"] == pytest.approx(float(own[f"inclusion_bf_{name}"]), rel=1e-7)


def test_ranges_as_csv_are_the_ranges(line: CommandLine) -> None:
    (line.folder / "mine.yaml").write_text(f"{LEAN}report: none\n", encoding="utf-8")
    code, out, _ = line.run("ensemble", "mine.yaml", "--output", "out", "--ranges", "--csv")
    table = line.folder / "out" / "mine" / "ensemble-ranges.csv"
    assert code == 0 and out.splitlines() == table.read_text("utf-8").splitlines()


def test_ranges_of_members_that_are_all_alike_are_refused(line: CommandLine) -> None:
    alike = LEAN.replace("2}}", "2}, effect: 1, heterogeneity: 1}")
    (line.folder / "mine.yaml").write_text(alike, encoding="utf-8")
    code, out, err = line.run("ensemble", "mine.yaml", "--output", "out", "--ranges")
    assert code == 2 and out == "" and "all members have the same components" in err
    assert not (line.folder / "out").exists()


def test_an_ensemble_has_a_curve_and_a_tipping_point(line: CommandLine) -> None:
    (line.folder / "mine.yaml").write_text(f"{LEAN}interval: {{kind: hdi}}\n", encoding="utf-8")
    code, out, _ = line.run(
        "sensitivity", "mine.yaml", "--output", "out", "--ensemble", "--points", "3"
    )
    text = " ".join(out.split())
    assert code == 0 and "ensemble, intervals: drop, k = 10 effects of 7 studies" in text
    # Averages over members have no shortest intervals.
    assert "95% equal-tailed intervals" in text
    assert "mu.sigma from 0.05 to 5; 3 fits" in text and "prior sets on it: default, narrow" in text
    svg = (line.folder / "out" / "mine" / "figures" / "sensitivity.svg").read_text("utf-8")
    assert "Inclusion Bayes factor of an effect" in svg
    code, out, _ = line.run(
        "tipping", "mine.yaml", "--output", "out", "--ensemble", "--claim", "bf_effect > 1000",
        "--points", "5",
    )  # fmt: skip
    text = " ".join(out.split())
    assert code == 0 and "With mu ~ Normal(mu=0, sigma=…), bf_effect > 1000 " in text
    rows = rows_in(line.folder / "out" / "mine" / "tipping.csv")
    assert float(rows[-1]["bf_effect"]) == pytest.approx(1000, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("sensitivity", "--ensemble", "--model", "pet"), "leave --model out"),
        (("sensitivity", "--ensemble", "--match", "median"), "leave --ensemble out"),
        (("sensitivity", "--ensemble", "--quantity", "bf_mu"), "asked of one model"),
        (("sensitivity", "--quantity", "bf_effect"), "asked of an ensemble"),
        (("sensitivity", "--ensemble", "--over", "mu.sgima"), "did you mean 'sigma'"),
        (("sensitivity", "--ensemble", "--over", "omega[p > 0.1]"), "vary the weight in one model"),
        (("tipping", "--ensemble", "--claim", "bf_effect > 1", "--sizes", "50"), "for one model"),
        (("tipping", "--claim", "bf_effect > 1"), "asked of an ensemble"),
    ],
)
def test_what_cannot_be_asked_of_an_ensemble_is_refused(
    line: CommandLine, options: tuple[str, ...], told: str
) -> None:
    command, *rest = options
    code, out, err = line.run(command, "mine.yaml", "--output", "out", *rest)
    assert (code, out) == (2, "") and told in " ".join(err.split())
    assert not (line.folder / "out").exists()


def test_a_curve_of_members_that_are_alike_is_refused_before_it_is_fitted(
    line: CommandLine,
) -> None:
    text = f"{LEAN.partition('ensemble:')[0]}ensemble: {{effect: 1, heterogeneity: 1}}\n"
    (line.folder / "mine.yaml").write_text(text, encoding="utf-8")
    code, out, err = line.run(
        "sensitivity", "mine.yaml", "--ensemble", "--over", "mu.sigma", "--output", "out"
    )
    assert (code, out) == (2, "") and "no inclusion Bayes factor" in " ".join(err.split())
    assert not (line.folder / "out").exists()


def test_bad_input_is_refused_before_anything_is_fitted(line: CommandLine) -> None:
    plain = CONFIG.partition("ensemble:")[0]
    for text, said in (
        (plain, "mine.yaml has no ensemble; add the key ensemble:"),
        (f"{plain}ensemble: {{weights: {{pte: 1}}}}\n", "no model 'pte'"),
        (f"{plain}ensemble: {{weights: {{pet: 0}}}}\n", "0 should be greater than 0"),
    ):
        (line.folder / "mine.yaml").write_text(text, encoding="utf-8")
        code, out, err = line.run("ensemble", "mine.yaml", "--output", "out")
        assert (code, out) == (2, "") and said in err
        assert not (line.folder / "out").exists()
    code, _, err = line.run("ensemble", "mine.yaml", "--json", "--csv")
    assert code == 2 and "two forms of one output" in err
