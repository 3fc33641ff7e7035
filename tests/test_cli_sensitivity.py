"""``metarho sensitivity`` and ``metarho tipping`` as a user runs them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cases import alliance, problem
from command_line import CommandLine, rows_in
from metarho.compare.quantities import quantities_of
from metarho.fitting import Settings, fit_many
from metarho.spec.claims import parse_quantities

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: [drop, use]}
models: [random-effects, common-effect, mixture]
priors:
  wide: {}
  sceptical $x$ & <b>: {mu: "Normal(mu=0, sigma=0.15)"}
  heavy: {tau: "HalfCauchy(beta=0.25)"}
  flat: {mu: "Flat()"}
reference: wide
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "which.yaml").write_text(CONFIG, encoding="utf-8")
    return Run(monkeypatch, tmp_path, capsys)


class Run(CommandLine):
    """A command on a config, in a folder of its own."""

    @property
    def out(self) -> Path:
        return self.folder / "out" / "which"

    def __call__(self, command: str, *options: str) -> tuple[int, str, str]:
        return self.run(command, "which.yaml", "--output", "out", *options)


def test_a_surface_is_printed_and_left_as_a_table_and_a_figure(run: Run) -> None:
    code, out, _ = run("sensitivity", "--points", "4", "--quantity", "lower,bf_mu")
    assert code == 0
    assert "mu.sigma from 0.05 to 5, tau.sigma from 0.025 to 2.5; 4 × 4 = 16 fits" in out
    assert "prior sets on it: wide, sceptical $x$ & <b>" in out
    assert "off it (another family, or other arguments): heavy, flat" in out
    rows = rows_in(run.out / "sensitivity.csv")
    assert len(rows) == 16
    row = rows[6]
    own = problem(
        alliance("drop"),
        mu=f"Normal(mu=0, sigma={row['mu.sigma']})",
        tau=f"HalfNormal(sigma={row['tau.sigma']})",
    )
    (fit,) = fit_many([own], Settings())
    lower, bf_mu = quantities_of(fit, parse_quantities(["lower,bf_mu"]), Settings())
    assert float(row["lower"]) == pytest.approx(lower, abs=1e-8)
    assert float(row["bf_mu"]) == pytest.approx(bf_mu, rel=1e-7)
    assert {path.name for path in (run.out / "figures").iterdir()} == {
        "sensitivity.svg", "sensitivity.png", "sensitivity.csv",
    }  # fmt: skip
    svg = (run.out / "figures" / "sensitivity.svg").read_text(encoding="utf-8")
    assert "sceptical $x$ &amp; &lt;b&gt;" in svg
    assert "sigma of mu's prior (Normal, Fisher's z)" in svg
    assert "Lower end of the mean's 95% interval" in svg


def test_json_and_csv_print_the_rows_that_are_left(run: Run) -> None:
    options = ("--over", "mu.sigma", "--points", "3", "--quantity", "P(rho > 0.1)")
    code, out, _ = run("sensitivity", *options, "--json")
    rows = json.loads(out)
    assert code == 0 and [row["prior"] for row in rows] == ["wide"] * 3
    assert [row["mu.sigma"] for row in rows] == pytest.approx([0.05, 0.5, 5])
    assert all(0 < row["P(rho > 0.1)"] < 1 for row in rows)
    code, out, _ = run("sensitivity", *options, "--csv")
    assert code == 0
    assert out == (run.out / "sensitivity.csv").read_text(encoding="utf-8")


def test_where_prior_sets_lie_the_numbers_are_those_of_compare(run: Run) -> None:
    wanted = ("rho_mean", "lower", "new_upper", "log_evidence", "bf_mu", "bf_tau")
    lean = CONFIG.replace(", common-effect, mixture", "").replace("[drop, use]", "drop")
    Path("which.yaml").write_text(lean, encoding="utf-8")
    _, out, _ = run("compare", "--json")
    compared = {row["prior"]: row for row in json.loads(out)}
    code, out, _ = run(
        "sensitivity", "--over", "mu.sigma", "--from", "0.15", "--to", "0.5", "--points", "2",
        "--quantity", ",".join(wanted), "--json",
    )  # fmt: skip
    assert code == 0
    for name, row in zip(("sceptical $x$ & <b>", "wide"), json.loads(out), strict=True):
        for column in wanted:
            assert row[column] == pytest.approx(compared[name][column], rel=1e-8), (name, column)


def test_two_runs_leave_the_same_bytes(run: Run) -> None:
    options = ("--points", "5", "--quantity", "lower")
    left = []
    for _ in range(2):
        run("sensitivity", *options)
        left.append([path.read_bytes() for path in sorted(run.out.rglob("*.*"))])
    assert left[0] == left[1]


def test_ranges_are_numbers_or_multiples_of_the_priors_own(run: Run) -> None:
    code, out, _ = run(
        "sensitivity", "--over", "mu.mu,tau.width", "--from", "-0.5,0.5x", "--to", "0.5,2x",
        "--points", "2", "--quantity", "lower", "--json",
    )  # fmt: skip
    assert code == 0
    places = [(row["mu.mu"], row["tau.width"]) for row in json.loads(out)]
    assert places == [(-0.5, 0.5), (-0.5, 2), (0.5, 0.5), (0.5, 2)]


def test_the_model_the_intervals_and_the_prior_set_are_chosen_by_name(run: Run) -> None:
    code, out, _ = run(
        "sensitivity", "--model", "common-effect", "--prior-set", "sceptical $x$ & <b>",
        "--intervals", "use", "--points", "2", "--quantity", "lower", "--json",
    )  # fmt: skip
    assert code == 0
    row = json.loads(out)[0]
    named = (row["model"], row["prior"], row["intervals"])
    assert named == ("common-effect", "sceptical $x$ & <b>", "use")
    # No heterogeneity: a curve over the scale of mu's prior.
    assert row["mu.sigma"] == pytest.approx(0.015) and "tau.sigma" not in row


def test_families_are_matched_and_printed_with_their_priors(run: Run) -> None:
    code, out, _ = run("sensitivity", "--match", "median", "--points", "3", "--quantity", "upper")
    assert code == 0
    assert "priors of tau with equal medians; the model's own has 0.1686" in out
    assert "HalfCauchy(beta=0.1686)" in out
    rows = rows_in(run.out / "sensitivity.csv")
    assert len(rows) == 3 * 8
    assert "prior median of tau" in (run.out / "figures" / "sensitivity.svg").read_text("utf-8")


def test_a_tipping_point_is_a_sentence_rows_and_a_figure(run: Run) -> None:
    code, out, _ = run("tipping", "--claim", "P(rho > 0.1) >= 0.95", "--points", "50")
    assert code == 0
    text = " ".join(out.split())
    assert (
        "P(rho > 0.1) >= 0.95 fails when mu.sigma < 0.07236 and holds above 0.07236; wide has "
        "mu.sigma = 0.5, where P(rho > 0.1) is 0.9997." in text
    )
    assert "Scanned at 50 values, 9.85% apart" in text
    assert "refitted at mu.sigma = 0.07235542" in text
    rows = rows_in(run.out / "tipping.csv")
    assert [row["what"] for row in rows] == ["prior, claim holds", "claim holds above"]
    assert float(rows[1]["P(rho > 0.1)"]) == pytest.approx(0.95, abs=1e-6)
    svg = (run.out / "figures" / "tipping.svg").read_text(encoding="utf-8")
    assert "the claim fails" in svg


def test_the_adversary_says_what_a_further_study_would_have_to_find(run: Run) -> None:
    code, out, _ = run(
        "tipping", "--claim", "new_lower > 0", "--points", "20", "--adversary", "--sizes", "50,500",
        "--json",
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)
    flips = [row for row in found["rows"] if row["ni"] is not None]
    assert [(row["ni"], row["what"].split()[2]) for row in flips] == [
        (50, "below"), (50, "above"), (500, "below"), (500, "above"),
    ]  # fmt: skip
    assert all(math.isclose(row["new_lower"], 0, abs_tol=1e-6) for row in flips)
    assert "new_lower > 0" in found["sentence"]
    svg = (run.out / "figures" / "tipping.svg").read_text(encoding="utf-8")
    assert "The study that would flip the claim" in svg
    code, out, _ = run("tipping", "--claim", "new_lower > 0", "--points", "20", "--sizes", "50")
    assert "where 0.281 is expected" in out and "-0.106" in out and "0.656" in out


def test_a_study_whose_mere_precision_flips_a_claim_is_said_to(run: Run) -> None:
    code, out, _ = run("tipping", "--claim", "lower > 0.2", "--points", "9", "--sizes", "2000")
    assert code == 0
    assert "lower > 0.2 would hold, where 0.281 is expected" in " ".join(out.split())
    assert "even a study that finds it does" in out


ABOVE = "omega[p > 0.025]"


def test_a_path_over_a_weight_is_a_table_from_no_selection_on_rows_and_a_figure(run: Run) -> None:
    code, out, _ = run(
        "sensitivity", "--model", "common-effect", "--over", ABOVE, "--points", "3"
    )  # fmt: skip
    assert code == 0
    said = "Results with one-sided p of r's t test > 0.025 reported omega times as often as all"
    assert f"{said} others, from 1 to 0.01; 3 fits" in " ".join(out.split())
    rows = rows_in(run.out / "sensitivity.csv")
    assert [float(row[ABOVE]) for row in rows] == pytest.approx([0.01, 0.1, 1])
    lines = [line.split() for line in out.splitlines()]
    table = lines[lines.index(["omega", "reported", "rho_median", "lower", "upper", "P(rho", ">",
                               "0)", "log_evidence"]) + 1 :]  # fmt: skip
    assert [line[0] for line in table[:3]] == ["1", "0.1", "0.01"]
    assert table[1][1:5] == ["10", "times", "less", "often"]
    assert float(table[1][5]) == pytest.approx(float(rows[1]["rho_median"]), abs=1e-4)
    (fit,) = fit_many([problem(alliance("drop"), "common-effect")], Settings())
    lower = quantities_of(fit, parse_quantities(["lower"]), Settings())[0]
    assert float(table[0][4]) == pytest.approx(lower, abs=1e-4)
    assert float(rows[2]["lower"]) == pytest.approx(lower, abs=1e-9)
    svg = (run.out / "figures" / "sensitivity.svg").read_text(encoding="utf-8")
    assert "Mean correlation, 95% interval" in svg and "Gain in log evidence" in svg
    assert "results with one-sided p of r's t test &gt; 0.025" in svg
    assert ">1/10<" in svg


def test_without_a_proper_prior_no_evidence_is_said_of_a_weight(run: Run) -> None:
    options = ("--model", "common-effect", "--prior-set", "flat", "--points", "3")
    code, out, _ = run("tipping", "--claim", "lower > 0.1", "--vary", ABOVE, *options)
    assert code == 0
    assert "than all others (omega = " in " ".join(out.split()) and "The rows are" not in out
    _, crossing = rows_in(run.out / "tipping.csv")
    assert crossing["log_evidence_ratio"] == ""
    code, out, _ = run("sensitivity", "--over", ABOVE, *options, "--csv")
    assert code == 0 and out.splitlines()[0].endswith("P(rho > 0),status")


def test_a_weight_goes_with_an_argument_of_a_prior(run: Run) -> None:
    code, out, _ = run(
        "sensitivity", "--model", "common-effect", "--over", f"{ABOVE},mu.sigma", "--points", "2",
        "--quantity", "lower", "--json",
    )  # fmt: skip
    assert code == 0
    places = [(row[ABOVE], row["mu.sigma"]) for row in json.loads(out)]
    assert places == [pytest.approx(one) for one in ((0.01, 0.05), (0.01, 5), (1, 0.05), (1, 5))]


def test_how_strong_selection_must_be_is_a_sentence_rows_and_a_figure(run: Run) -> None:
    options = ("--model", "common-effect", "--vary", ABOVE, "--points", "3", "--sizes", "50")
    code, out, _ = run("tipping", "--claim", "lower > 0.1", *options)
    assert code == 0
    text = " ".join(out.split())
    assert "Without selection lower > 0.1 holds: lower is 0." in text
    assert "It would fail if results with one-sided p of r's t test > 0.025 were reported" in text
    own, crossing, *further = rows_in(run.out / "tipping.csv")
    assert own["what"] == "no selection, claim holds" and own["reported"] == "as often"
    assert float(own["log_evidence_ratio"]) == 0
    weight = float(crossing["at"])
    assert crossing["reported"] == f"{1 / weight:.3g} times less often"
    assert f"reported {crossing['reported']} than all others (omega = {weight:.4g})" in text
    assert float(crossing["lower"]) == pytest.approx(0.1, abs=1e-9)
    assert float(crossing["log_evidence_ratio"]) != 0
    assert [row["ni"] for row in further] == ["50", "50"]
    svg = (run.out / "figures" / "tipping.svg").read_text(encoding="utf-8")
    assert "no selection" in svg and "relative chance of being reported, p &gt; 0.025" in svg


@pytest.mark.parametrize("command", ["sensitivity", "tipping"])
def test_help_is_text_and_writes_nothing(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0 and "Usage: " in out
    assert not run.out.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("sensitivity", "--over", "mu.sgima"), "did you mean 'sigma'"),
        (("sensitivity", "--over", "tua.sigma"), "did you mean 'tau'"),
        (("sensitivity", "--over", "mu.sigma,mu.sigma"), "two different ones"),
        (("sensitivity", "--over", "mu.sigma,tau.sigma,mu.mu"), "two different ones"),
        (("sensitivity", "--over", "mu"), "write parameter.argument"),
        (("sensitivity", "--points", "201"), "up to 40,000 cells, not 40,401"),
        (("sensitivity", "--quantity", "rho_medain"), "did you mean 'rho_median'"),
        (("sensitivity", "--from", "1"), "give 2 numbers"),
        (("sensitivity", "--over", "mu.sigma", "--from", "abc"), "write a number"),
        (("sensitivity", "--over", "mu.sigma", "--from", "nan"), "write a number"),
        (("sensitivity", "--over", "mu.sigma", "--from", "0"), "above 0"),
        (("sensitivity", "--over", "mu.sigma", "--from", "9", "--to", "1"), "is empty"),
        (("sensitivity", "--model", "random-efects"), "did you mean 'random-effects'"),
        (("sensitivity", "--prior-set", "wdie"), "did you mean 'wide'"),
        (("sensitivity", "--prior-set", "flat", "--quantity", "bf_mu"), "is improper"),
        (("sensitivity", "--match", "median", "--over", "mu.sigma"), "priors of an sd"),
        (("sensitivity", "--match", "median", "--model", "common-effect"), "no heterogeneity"),
        (("sensitivity", "--json", "--csv"), "give one of them"),
        (("sensitivity", "--over", "omega[p > 2]"), "p lies between 0 and 1"),
        (("sensitivity", "--over", "omega[p > .1],omega[p > .2]"), "one weight at a time"),
        (("sensitivity", "--over", ABOVE, "--from", "0"), "no finite number above 0"),
        (("sensitivity", "--match", "median", "--over", ABOVE), "is no argument of a prior"),
        (("tipping", "--claim", "lower > 0", "--vary", ABOVE, "--model", "mixture"),
         "is sampled here"),
        (("tipping", "--claim", "lower == 0"), "is no claim"),
        (("tipping", "--claim", "lowr > 0"), "did you mean 'lower'"),
        (("tipping", "--claim", "lower > 0", "--vary", "sigma"), "write parameter.argument"),
        (("tipping", "--claim", "lower > 0", "--model", "mixture"), "is sampled here"),
        (("tipping", "--claim", "lower > 0", "--sizes", "3"), "4 to 10,000,000"),
        (("tipping", "--claim", "lower > 0", "--sizes", "many"), "numbers of people"),
        (("tipping", "--claim", "bf_mu > 3", "--prior-set", "flat", "--vary", "tau.sigma"),
         "is improper"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_and_nothing_is_left(
    run: Run, options: tuple[str, ...], told: str
) -> None:
    code, out, err = run(*options)
    assert (code, out) == (2, "")
    # Refused before anything begins.
    assert "starting" not in err
    assert told in " ".join(err.split())
    assert not (run.out / "sensitivity.csv").exists()
    assert not (run.out / "tipping.csv").exists()
    assert not run.out.exists()
