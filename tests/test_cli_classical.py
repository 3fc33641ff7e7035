"""``metarho classical`` as a user runs it."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from cases import REFERENCES
from classical_cases import METAFOR, NESTED, near
from command_line import CommandLine

CONFIG = """\
studies:
  source: internet-alliance
  where: role == "main"
  intervals: [use, drop]
models: [random-effects]
interval: {prob: 0.9}
"""
MOLLOY = str(REFERENCES / "molloy2014.csv")


@pytest.fixture
def metarho(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    (tmp_path / "mine.yaml").write_text(CONFIG, encoding="utf-8")
    return CommandLine(monkeypatch, tmp_path, capsys)


def test_a_config_gives_one_table_then_heterogeneity_then_small_studies(
    metarho: CommandLine,
) -> None:
    code, out, err = metarho.run("classical", "mine.yaml")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    parts = (
        "Classical answers: 10 effects from 7 studies",
        "90% CI of r",
        "DerSimonian–Laird z 0.288 0.280",
        "18 of 28 rows printed no number and cannot enter",
        "Q(9) = 10.93, p = .281.",
        "Three-level REML: tau between studies",
        "Do small studies differ?",
        "slope 3.125, t(8) = 5.35 < .001",
    )
    places = [text.find(part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    # Nothing is computed twice, or left behind.
    assert [path.name for path in metarho.folder.iterdir()] == ["mine.yaml"]


def test_a_table_as_csv_has_metafors_numbers_on_z_and_on_r(metarho: CommandLine) -> None:
    code, out, _ = metarho.run("classical", MOLLOY, "--columns", "ri=ri,ni=ni", "--csv")
    assert code == 0
    rows = {row["code"]: row for row in csv.DictReader(io.StringIO(out))}
    for method in ("EE", "DL", "HE", "HS", "SJ", "ML", "REML", "EB", "PM"):
        truth = METAFOR["molloy2014_ZCOR"]["overall"][f"{method}_z"]
        assert float(rows[method]["estimate"]) == near(truth["coef"]["intrcpt"])
        assert float(rows[method]["r_ci_lb"]) == near(math.tanh(truth["ci_lb"]))
    assert rows["3L-REML"]["reason"].startswith("every study has one effect")
    assert rows["3L-REML"]["estimate"] == ""


def test_json_has_every_table_and_influence_where_it_is_asked_for(metarho: CommandLine) -> None:
    options = ("--columns", "ri=ri,ni=ni", "--test", "knha", "--mods", "~ quality", "--json")
    code, out, _ = metarho.run("classical", MOLLOY, *options, "--influence")
    assert code == 0
    found = json.loads(out)
    assert list(found) == [
        *("estimates", "heterogeneity", "small_studies", "regressions", "notes", "influence")
    ]
    truth = METAFOR["molloy2014_ZCOR"]
    quantities = {row["quantity"]: row for row in found["heterogeneity"]}
    profile = truth["tau2_ci"]["QP_REML"]
    for name in ("tau2", "tau", "I2", "H2"):
        ends = [quantities[name]["ci_lb"], quantities[name]["ci_ub"]]
        # Percent of I² has two digits more before the point.
        assert ends == near(profile[name], 1e-4 if name == "I2" else 1e-6)
    slopes = [row["estimate"] for row in found["regressions"]]
    assert slopes == near(list(truth["metareg"]["quality_REML_knha"]["coef"].values()))
    order = [
        int(row["effect"].split(":")[0].removeprefix("row ")) - 1 for row in found["influence"]
    ]
    cooks = [row["cook.d"] for row in found["influence"]]
    # Distances are in units of the covariance, which Knapp and Hartung rescale.
    factor = truth["overall"]["REML_z"]["vb"][0][0] / truth["overall"]["REML_knha"]["vb"][0][0]
    wanted = [factor * truth["influence_REML"]["cook.d"][place] for place in order]
    assert cooks == near(wanted)


def test_correlated_errors_of_a_table_reach_three_levels(metarho: CommandLine) -> None:
    grades = str(REFERENCES / "crede2010.csv")
    columns = ("--columns", "ri=ri,ni=ni,study=studyid", "--where", 'criterion == "grade"')
    code, out, _ = metarho.run("classical", grades, *columns, "--rho-within", "0.8", "--csv")
    assert code == 0
    rows = {row["code"]: row for row in csv.DictReader(io.StringIO(out))}
    truth = NESTED["fits"]["CHE_rho0.8"]
    assert rows["3L-REML"]["I2"] == ""
    assert float(rows["3L-REML"]["estimate"]) == near(truth["coef"]["intrcpt"])
    assert float(rows["3L-CR2"]["ci_lb"]) == near(truth["robust_CR2"]["ci_lb"])


def test_each_level_has_its_own_variance_interval_share_and_test(metarho: CommandLine) -> None:
    grades = str(REFERENCES / "crede2010.csv")
    columns = ("--columns", "ri=ri,ni=ni,study=studyid", "--where", 'criterion == "grade"')
    code, out, _ = metarho.run("classical", grades, *columns, "--json")
    assert code == 0
    rows = {row["quantity"]: row for row in json.loads(out)["heterogeneity"]}
    truth = NESTED["fits"]["three_level_REML_z"]
    tests = (NESTED["LRT_cluster"]["drop_cluster"], NESTED["LRT_cluster"]["drop_es"])
    shares = truth["I2"]["by_level"]
    for level, place, share, test in zip(("study", "effect"), "12", shares, tests, strict=True):
        sigma2, lower, upper = truth["sigma2_profile_ci"][place]["sigma2"]
        row = rows[f"tau2_{level}"]
        assert row["value"] == near(sigma2)
        # metafor's root finder stops early.
        assert [row["ci_lb"], row["ci_ub"]] == near([lower, upper], 2e-5)
        assert row["pval"] == near(test["p"])
        assert rows[f"I2_{level}"]["value"] == near(share, 1e-5)


def test_a_shipped_set_is_read_where_an_option_of_tables_is_given(metarho: CommandLine) -> None:
    code, out, _ = metarho.run("classical", "internet-alliance", "--where", "year > 2015", "--csv")
    assert code == 0
    assert out.startswith("code,name,test")


def test_what_cannot_be_asked_is_refused_before_anything_is_printed(metarho: CommandLine) -> None:
    for options, said in (
        (("nowhere",), "nowhere"),
        (("mine.yaml", "--json", "--csv"), "two forms"),
        (("mine.yaml", "--prob", "95"), "between 0 and 1"),
        (("mine.yaml", "--mods", "~ nothing"), "nothing"),
        ((MOLLOY, "--columns", "ri=ri"), "measure ZCOR needs the column of ni"),
        (("mine.yaml", "--where", "year > 3000"), "mine.yaml"),
        (("mine.yaml", "--rho-within", "1"), "from 0 to below 1, not 1.0"),
        (("mine.yaml", "--rho-within", "nan"), "from 0 to below 1, not nan"),
    ):
        code, out, err = metarho.run("classical", *options)
        assert (code, out) == (2, "")
        assert said in err


def test_how_errors_correlate_is_asked_of_a_config_too(metarho: CommandLine) -> None:
    def found(*options: str) -> dict[str, dict[str, str]]:
        code, out, _ = metarho.run("classical", "mine.yaml", "--csv", *options)
        assert code == 0
        return {row["code"]: row for row in csv.DictReader(io.StringIO(out))}

    plain, related = found(), found("--rho-within", "0.6")
    # The config's rows and confidence; only three levels know how errors correlate.
    assert related["REML"] == plain["REML"]
    assert related["3L-REML"]["estimate"] != plain["3L-REML"]["estimate"]
    # A config that says so itself; words have no place beside correlated errors in its models.
    same = CONFIG.replace("[use, drop]", "drop\n  rho_within: 0.6")
    (metarho.folder / "same.yaml").write_text(same, encoding="utf-8")
    _, out, _ = metarho.run("classical", "same.yaml", "--csv")
    assert {row["code"]: row for row in csv.DictReader(io.StringIO(out))} == related
    # A name that is a config's and a shipped set's is a config's here.
    _, out, _ = metarho.run("classical", "internet-alliance", "--rho-within", "0.6")
    assert "Classical answers: 10 effects from 7 studies" in out


def test_influence_of_too_few_effects_is_said_beside_the_rest(metarho: CommandLine) -> None:
    (metarho.folder / "two.csv").write_text("r,n\n.1,50\n.2,60\n", encoding="utf-8")
    words = ("classical", "two.csv", "--columns", "ri=r,ni=n", "--influence")
    said = "2 effects without one of them do not determine the fit"
    code, out, _ = metarho.run(*words)
    assert code == 0
    assert f"no influence of each effect: {said}" in out
    assert "DerSimonian–Laird" in out
    code, out, _ = metarho.run(*words, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["influence"] == []
    assert said in found["notes"][-1]
    # The table of effects is all that CSV would hold.
    code, out, err = metarho.run(*words, "--csv")
    assert (code, out) == (2, "")
    assert said in err


def test_numbers_beyond_computing_are_refused_with_their_row(metarho: CommandLine) -> None:
    general = ("--measure", "GEN", "--columns", "yi=y,vi=v")
    for lines, place in (
        ("y,v\n.1,1\n1e200,1\n.2,1\n", "big.csv:3: the effect is 1e+200"),
        ("y,v\n.1,1\n.2,1\n.3,1e-300\n", "big.csv:4: the effect is 0.3 with sampling variance"),
        ("y,v\n.1,1e300\n.2,1\n.3,1\n", "big.csv:2: the effect is 0.1 with sampling variance"),
    ):
        (metarho.folder / "big.csv").write_text(lines, encoding="utf-8")
        code, out, err = metarho.run("classical", "big.csv", *general, "--influence")
        assert (code, out) == (2, "")
        assert place in err
    (metarho.folder / "big.csv").write_text("y,v,a\n.1,1,1\n.2,1,2e300\n.5,1,3\n.3,1,4\n")
    code, out, err = metarho.run("classical", "big.csv", *general, "--mods", "~ a")
    assert (code, out) == (2, "")
    assert "big.csv: a moderator of ~ a is 2e+300" in err


def test_names_from_a_table_are_text(metarho: CommandLine) -> None:
    lines = "study,r,n\n[red]A[/red],.1,50\n[bold]B,.2,60\n\u202eC\x07,.3,70\n"
    (metarho.folder / "odd.csv").write_text(lines, encoding="utf-8")
    columns = ("--columns", "ri=r,ni=n,study=study")
    code, out, _ = metarho.run("classical", "odd.csv", *columns, "--influence")
    assert code == 0
    assert "[red]A[/red]: 1" in out
    assert "\x07" not in out
