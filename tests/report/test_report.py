"""The report and its figures: what they say, that they need nothing from outside."""

from __future__ import annotations

import html
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cases import alliance, problem
from metarho.batch.findings import Findings, find
from metarho.batch.plan import plan
from metarho.batch.run import execute
from metarho.fitting import Settings, fit_many
from metarho.posterior.printed import printed
from metarho.report.drawings import draw_all
from metarho.report.figures.drawing import Drawing
from metarho.report.figures.forest import forest
from metarho.report.page import in_markdown, render, report_of
from metarho.report.terminal import number
from metarho.report.wording import people, r, times

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: [use, drop]}
models: [random-effects, common-effect]
new_studies: [{label: a trial, ni: 80}]
"""


def _bare(folder: Path, config: str) -> Findings:
    """A run of which nothing more is asked: comparisons take most of a report's time."""
    (folder / "small.yaml").write_text(config, encoding="utf-8")
    outcome = execute(plan(folder / "small.yaml", folder / "out"))
    return Findings(outcome, {}, None, None, None, None, (), {"checks": "nobody asked"})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    return _bare(tmp_path_factory.mktemp("report"), CONFIG)


def _whole(folder: Path, config: str) -> Findings:
    outcome = _bare(folder, config).outcome
    return find(outcome, lambda event, problem: None, lambda message: None)


@pytest.fixture(scope="module")
def drawings(found: Findings) -> list[Drawing]:
    return draw_all(found)


@pytest.fixture(scope="module")
def page(found: Findings, drawings: list[Drawing]) -> str:
    return render(report_of(found, drawings))[0]


@pytest.fixture(scope="module")
def paper(found: Findings, drawings: list[Drawing]) -> str:
    report = report_of(found, drawings)
    return in_markdown(report, render(report)[1])


def test_the_page_shows_both_pooled_correlations_and_says_why_they_differ(page: str) -> None:
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert "With interval rows used the pooled correlation is 0.235 [0.175, 0.299]" in words
    assert "with them dropped it is 0.281 [0.198, 0.378]" in words
    assert "Dropping such rows keeps the studies that had a number worth printing" in words
    assert "coarsening at random" in words


def test_the_page_asks_for_nothing_from_outside(page: str) -> None:
    assert "default-src 'none'" in html.unescape(page)
    references = re.findall(r"""(?:src|href|xlink:href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert all(reference.startswith("#") for reference in references)
    assert "@import" not in page


def test_the_page_is_small(page: str) -> None:
    assert len(page.encode()) < 3_000_000


def test_text_in_figures_stays_text(drawings: list[Drawing]) -> None:
    drawing = drawings[0]
    assert "Bergman Nordgren 2013" in drawing.svg
    assert "Forest plot of 28 effects, 18 of them intervals" in drawing.alternative


def test_a_forest_s_data_are_its_rows_and_the_two_pooled_lines(tmp_path: Path) -> None:
    studies = alliance()
    (fit,) = fit_many([problem(studies)], Settings())
    drawing = forest(fit, studies, "forest", "title")
    assert len(drawing.data) == 30
    first = drawing.data[0]
    # r = .47, n = 25: tanh(atanh(.47) ± 1.96 / sqrt(22)).
    assert first["estimate"] == pytest.approx(0.47)
    half = 1.959963984540054 / math.sqrt(22)
    assert first["lower"] == pytest.approx(math.tanh(math.atanh(0.47) - half))
    assert first["upper"] == pytest.approx(math.tanh(math.atanh(0.47) + half))
    assert drawing.data[-2]["estimate"] == fit.derived["rho_median"].median


def test_a_common_effect_is_drawn_without_heterogeneity(drawings: list[Drawing]) -> None:
    names = {drawing.name: drawing for drawing in drawings}
    parameters = {row["parameter"] for row in names["priors-common-effect"].data}
    assert parameters == {"mu"}


PRIOR_SETS = """\
studies: {source: internet-alliance, where: role == "main", intervals: [drop]}
models: [random-effects]
priors:
  on-tau2: {tau2: "InverseGamma(alpha=1, beta=0.1)"}
  on-r: {mu: "StretchedBeta(alpha=2, beta=2) on r"}
  cut: {mu: "TruncatedNormal(mu=0, sigma=0.3, lower=0)", tau: DuMouchel()}
  improper: {mu: Flat(), tau: Jeffreys()}
"""


def test_prior_curves_are_those_of_proper_priors_on_the_parameter_s_own_scale(
    tmp_path: Path,
) -> None:
    drawings = draw_all(_bare(tmp_path, PRIOR_SETS))
    (drawing,) = (d for d in drawings if d.name.startswith("priors-"))
    curves: dict[tuple[object, object], list[tuple[float, float]]] = {}
    for row in drawing.data:
        if row["density_of"] == "prior":
            x, density = row["x"], row["density"]
            assert isinstance(x, float) and isinstance(density, float)
            curves.setdefault((row["priors"], row["parameter"]), []).append((x, density))
    assert {key for key in curves if key[0] == "improper"} == set()
    for (priors, parameter), points in curves.items():
        assert all(0 <= density < math.inf for _, density in points)
        if (priors, parameter) == ("on-r", "mu"):
            for z, density in points:
                r = math.tanh(z)
                assert density == pytest.approx(0.75 * (1 - r**2) ** 2)
        if (priors, parameter) == ("on-tau2", "tau"):
            for tau, density in points[1:]:
                truth = 0.1 * tau**-4 * math.exp(-0.1 / tau**2) * 2 * tau
                assert density == pytest.approx(truth)
        if (priors, parameter) == ("cut", "mu"):
            assert all(density == 0 for x, density in points if x < 0)
    assert ("cut", "tau") in curves


def test_what_rounds_to_nothing_is_printed_without_a_sign() -> None:
    assert number(-6.4e-19) == "0.000"
    assert number(-0.0004, 2) == "0.00"
    assert number(-0.0006) == "-0.001"


def test_the_paper_has_the_page_s_numbers(paper: str) -> None:
    assert "**Pooled correlation 0.235**, 95% equal-tailed interval [0.175, 0.299]" in paper
    assert "| random-effects | default | drop | 10 | 0.281 | [0.198, 0.378] |" in paper
    assert r"$$e_i \;\sim\; \mathrm{N}\left(0,\, \tau^2\right)$$" in paper
    assert "## New studies" in paper and "| a trial | observed | 80 |" in paper


def test_tables_of_the_paper_have_one_width_each(paper: str) -> None:
    widths: list[int] = []
    for line in paper.splitlines():
        if not line.startswith("|"):
            assert len(set(widths)) <= 1
            widths = []
            continue
        widths.append(len(re.findall(r"(?<!\\)\|", line)))


HOSTILE = """\
title: "<script>alert(1)</script> *bold* | $x$"
description: "](javascript:alert(1)) <img src=x onerror=alert(1)>"
studies: {source: hostile.csv, columns: {ri: r, ni: n, study: s}, where: 'kind != "<b>"'}
models: [random-effects]
priors:
  "<i>|`x`": {}
  other: {mu: "Normal(mu=0, sigma=1)"}
  "a set with a name that is as long as nobody should write it, and then goes on to be longer":
    {tau: "HalfNormal(sigma=0.5)"}
why: {purpose: "</p><script>alert(2)</script>", priors: {other: "`<b>`|"}}
new_studies: [{label: "<u>|new", ni: 40}]
"""
NAMES = [
    "<script>alert(3)</script>",
    "a" * 300,
    "\u05d0\u05d1\u05d2 2020",
    "$\\frac{1}{2}$ | `x`",
    "漢字",
    "دراسة العلاقة (٢٠١٩)",
    "🧠👩‍🔬 et al. 🇩🇪",
    "=cmd()|' /C calc'!A0",
]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    rows = [f'"{name}",0.{i + 1},40,a' for i, name in enumerate(NAMES)]
    # A warning of a layout that names have broken would be an error here.
    (tmp_path / "hostile.csv").write_text("\n".join(["s,r,n,kind", *rows]), encoding="utf-8")
    found = _whole(tmp_path, HOSTILE)
    assert found.classical is not None
    report = report_of(found, draw_all(found))
    page, places = render(report)
    paper = in_markdown(report, places)
    for text in ("<script>alert(", "<img src=x", "<i>|", "<u>|", "<b>"):
        assert text not in page and text not in paper
    assert "&lt;script&gt;alert(3)" in page
    assert all(name in html.unescape(page) for name in NAMES)
    # Behind a backslash they are characters.
    assert re.search(r"(?<!\\)\$", re.sub(r"^\$\$.*\$\$$", "", paper, flags=re.MULTILINE)) is None
    assert re.search(r"(?<!\\)\]\(javascript", paper) is None


def test_one_study_has_a_whole_report(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("r,n\n.3,50\n", encoding="utf-8")
    found = _whole(
        tmp_path, "studies: {source: one.csv, columns: {ri: r, ni: n}}\nmodels: [random-effects]\n"
    )
    page, _ = render(report_of(found, draw_all(found)))
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert "1 effect from 1 study" in words and "1 effect from 1 study is used" in words
    # Nobody asked for intervals, and there are none.
    assert "interval rows" not in words


def test_a_page_of_many_rows_links_what_has_a_line_a_row(
    found: Findings, drawings: list[Drawing], monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out = replace(drawings[0], name="leave-one-out")
    whole, _ = render(report_of(found, [*drawings, left_out]))
    monkeypatch.setattr("metarho.report.sections.shared.MOST_ROWS_EMBEDDED", 18)
    linking, places = render(report_of(found, [*drawings, left_out]))
    assert whole.count("Bergman Nordgren 2013</text>") > linking.count("2013</text>") == 0
    for name in ("forest-random-effects", "forest-common-effect", "leave-one-out"):
        assert f'<a href="figures/{name}.svg">' in linking and f"{name}.svg" not in whole
    # Guidelines find them there.
    assert {"forest", "leave-one-out"} <= places


def test_results_have_tau2_and_the_probability_of_a_mean_above_0(
    found: Findings, drawings: list[Drawing]
) -> None:
    plan = found.plan
    thresholds = plan.analysis.thresholds.model_copy(update={"rho": (0.3,)})
    analysis = plan.analysis.model_copy(update={"thresholds": thresholds})
    other = replace(found, outcome=replace(found.outcome, plan=replace(plan, analysis=analysis)))
    report = report_of(other, drawings)
    page, places = render(report)
    table = page[page.index('id="results-table"') :].partition("</table>")[0]
    heads = [
        html.unescape(one).replace("\xa0", " ") for one in re.findall(r"<th[^>]*>(.*?)</th>", table)
    ]
    assert heads[-6:] == ["P(ρ > 0)", "P(ρ > 0.3)", "τ", "τ²", "I²", "status"]
    # What metarho show prints of the same fit.
    shown = {row.name: row for row in printed(found.answer)}
    (first, *_) = re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2], re.DOTALL)
    (above,) = re.findall(r'data-value="([^"]+)">&gt; 99.9%', first)
    assert float(above) == pytest.approx(shown["rho_median"].above_zero)
    assert f">{shown['tau2'].summary.median:.4f}<" in first
    heterogeneity = page[page.index('id="heterogeneity"') :].partition("</table>")[0]
    assert re.findall(r"<code>(\w+)</code>", heterogeneity)[:4] == ["tau", "tau2", "I2", "H2"]
    assert "| P(ρ > 0) | P(ρ > 0.3) | τ | τ² | I² |" in in_markdown(report, places)


def test_the_paper_has_the_answer_in_sentences(paper: str) -> None:
    said = (
        "A random-effects model of 28 effects (18 known only as intervals) from 19 studies gave a "
        "pooled correlation of ρ = .24"
    )
    assert f"## Results\n\n{said} \\[.18, .30\\]" in paper
    assert "P(ρ > .10) > .999" in paper


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.003, "3.0e-03"), (0.5, "0.5"), (12.345, "12.3"), (1234.5, "1,230"), (79121.7, "79,100"),
     (999_999.0, "1,000,000"), (6.2e12, "6.2e+12"), (None, "–")],
)  # fmt: skip
def test_bayes_factors_are_written_with_three_digits(value: float | None, text: str) -> None:
    assert times(value) == text


def test_people_have_commas_and_infinite_ends_their_sign() -> None:
    assert (people(9), people(1200), people(40.5)) == ("9", "1,200", "40.5")
    assert (r(math.inf), r(-math.inf), r(0.5), r(None)) == ("∞", "-∞", "0.500", "–")
