"""Figures of one fit: what they show, in numbers and words, and that no evidence breaks them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from cases import alliance, molloy, problem, written
from metarho.compare.baujat import places
from metarho.compare.flat_mean import flat_mean, no_triplot
from metarho.compare.influence import Change
from metarho.compare.left_out import LeftOut, left_out
from metarho.data.studies import Studies
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import NOTHING, Summary
from metarho.report.figures.baujat import baujat
from metarho.report.figures.bubble import bubble, no_bubble
from metarho.report.figures.drawing import Drawing, write_drawing
from metarho.report.figures.forest import forest
from metarho.report.figures.funnel import funnel, no_funnel
from metarho.report.figures.influence import influence
from metarho.report.figures.joint import joint
from metarho.report.figures.leave_one_out import leave_one_out
from metarho.report.figures.scales import r_ticks
from metarho.report.figures.triplot import triplot

EXACT = Settings(engine="exact")
# Maths, markup, scripts that DejaVu has and lacks, both directions, and no end.
NAMES = ("$x_1$ & <b>", "大きな研究" * 60, "שלום עולם 2020", "محمد 2021", "नमस्ते", "a" * 300,
         r"\frac{1}{0} ^_{")  # fmt: skip


def _fit(studies: Studies, name: str = "random-effects", mods: str | None = None) -> Fit:
    return fit_many([problem(studies, name, mods)], EXACT)[0]


@cache
def _molloy() -> Fit:
    return _fit(molloy())


def _rows(count: int) -> list[dict[str, object]]:
    rng = random.Random(count)
    return [
        {
            "study": f"{NAMES[i % len(NAMES)]}{i}",
            "effect": "a",
            "ri": round(rng.gauss(0.2, 0.15), 2),
            "ni": rng.randint(20, 300),
            "x": f"{NAMES[i % 3]}",
        }
        for i in range(count)
    ]


def _tri(fit: Fit, name: str, title: str) -> Drawing:
    (flat,) = fit_many([flat_mean(fit.problem)], EXACT)
    return triplot(fit, flat, name, title)


def _loo(fit: Fit, name: str, title: str) -> Drawing:
    return leave_one_out(fit, left_out(fit, EXACT), name, title)


def _baujat(fit: Fit, name: str, title: str) -> Drawing:
    return baujat(fit, places(fit, left_out(fit, EXACT)), name, title)


ONE_FIT: dict[str, Callable[[Fit, str, str], Drawing]] = {
    "funnel": funnel, "joint": joint, "triplot": _tri, "leave-one-out": _loo, "baujat": _baujat,
}  # fmt: skip


@pytest.mark.parametrize("draw", ONE_FIT.values(), ids=ONE_FIT)
@pytest.mark.parametrize("count", [2, 7])
def test_hostile_names_are_drawn_as_text_without_a_warning(
    tmp_path: Path, draw: Callable[[Fit, str, str], Drawing], count: int
) -> None:
    fit = _fit(written(tmp_path, _rows(count), "ZCOR"))
    drawing = draw(fit, "figure", NAMES[0])
    assert "$x_1$ &amp; &lt;b&gt;" in drawing.svg
    assert write_drawing(drawing, tmp_path) == {"figure.svg", "figure.png", "figure.csv"}
    assert drawing.data and "\n" not in drawing.alternative


@pytest.mark.parametrize("draw", [funnel, joint, _tri], ids=["funnel", "joint", "triplot"])
def test_one_study_is_enough(draw: Callable[[Fit, str, str], Drawing], tmp_path: Path) -> None:
    fit = _fit(written(tmp_path, _rows(1), "ZCOR"))
    assert "<svg" in draw(fit, "figure", "one").svg


@pytest.mark.parametrize("draw", ONE_FIT.values(), ids=ONE_FIT)
def test_a_figure_drawn_twice_has_the_same_bytes(
    draw: Callable[[Fit, str, str], Drawing],
) -> None:
    first, second = (draw(_molloy(), "figure", "title") for _ in range(2))
    assert first.svg == second.svg
    assert first.data == second.data


@pytest.mark.parametrize("count", [1, 28, 100])
def test_a_forest_of_any_length_has_its_rows_in_order(tmp_path: Path, count: int) -> None:
    studies = written(tmp_path, _rows(count), "ZCOR")
    drawing = forest(_fit(studies), studies, "forest", NAMES[0])
    write_drawing(drawing, tmp_path)
    assert [row["study"] for row in drawing.data[:count]] == [row.study for row in studies.rows]
    weights = [row["weight"] for row in drawing.data[:count]]
    assert sum(w for w in weights if isinstance(w, float)) == pytest.approx(1)
    axes = drawing.figure.axes[0]
    # Rows are lower where there are many, and never nearer than their letters are high.
    pitch = axes.get_window_extent().height / np.ptp(axes.get_ylim()) / drawing.figure.dpi
    assert pitch >= 6.0 / 72


def test_a_forest_s_columns_do_not_overlap() -> None:
    studies = alliance()
    drawing = forest(_fit(studies), studies, "forest", "title")
    assert "Problem-solving trial 2022 · PS22-1" in drawing.svg
    (axes,) = drawing.figure.axes
    # As the PNG has it: at fewer dots letters are narrower.
    drawing.figure.set_dpi(200)
    drawing.figure.draw_without_rendering()
    by_line: dict[float, list[tuple[float, float]]] = {}
    for text in axes.texts:
        box = text.get_window_extent()
        by_line.setdefault(text.get_position()[1], []).append((box.x0, box.x1))
    assert len(by_line) == 28 + 3
    for boxes in by_line.values():
        ordered = sorted(boxes)
        assert all(a[1] < b[0] for a, b in pairwise(ordered))


def test_a_forest_without_weights_has_no_column_of_them() -> None:
    studies = alliance(where='role == "main" and reported != "exact" and study < "K"')
    drawing = forest(_fit(studies), studies, "forest", "title")
    texts = {text.get_text() for text in drawing.figure.axes[0].texts}
    assert "r [95% CI]" in texts
    assert {"weight", "100%", "–"} & texts == set()


def test_a_funnel_s_p_is_that_of_the_printed_number() -> None:
    drawing = funnel(_molloy(), "funnel", "title")
    for row in drawing.data:
        r, error = row["estimate"], row["standard_error"]
        assert isinstance(r, float) and isinstance(error, float)
        assert row["p"] == pytest.approx(math.erfc(abs(math.atanh(r)) / error / math.sqrt(2)))
    # 9 of 16 by metafor's escalc and pnorm.
    assert "9 of these significant at .05" in drawing.alternative


def test_rows_that_printed_no_number_are_bars_of_a_funnel() -> None:
    drawing = funnel(_fit(alliance()), "funnel", "title")
    words = [row for row in drawing.data if row["estimate"] is None]
    assert len(words) == 18
    assert all(row["p"] is None and row["lower"] is not None for row in words)
    assert "intervals (18)" in drawing.alternative


def test_observed_scores_have_no_funnel_around_a_mean_of_true_ones() -> None:
    assert no_funnel(_molloy().problem) is None
    priors = {"rxx": "Beta(alpha=8, beta=2)", "ryy": "Beta(alpha=8, beta=2)"}
    true_scores = problem(molloy(), "true-score", **priors)
    assert "observed scores" in str(no_funnel(true_scores))


def test_a_bubble_plot_has_the_means_that_the_fit_has() -> None:
    fit = _fit(alliance("drop"), mods="~ guidance + center(year)")
    drawing = bubble(fit, "bubble", "title")
    means = {row["value"]: row for row in drawing.data if row["what"] == "model"}
    design = fit.problem.design
    at = fit.posterior.rho(fit.posterior.mean_of(design.encode({"guidance": "unguided"})))
    assert means["unguided"]["estimate"] == at.summary(0.95, "eti").median
    years = [row for row in drawing.data if row["moderator"] == "year" and row["what"] == "model"]
    assert len(years) == 21
    assert "By guidance the mean is" in drawing.alternative
    assert no_bubble(fit.problem) is None
    assert "no moderators" in str(no_bubble(_molloy().problem))


def test_a_bubble_plot_bears_hostile_levels(tmp_path: Path) -> None:
    studies = written(tmp_path, _rows(9), "ZCOR")
    drawing = bubble(_fit(studies, mods="~ x"), "bubble", "title")
    write_drawing(drawing, tmp_path)
    assert "$x_1$ &amp; &lt;b&gt;" in drawing.svg


POINTED: dict[str, Callable[[Fit, Studies], Drawing]] = {
    "forest": lambda fit, studies: forest(fit, studies, "figure", "title"),
    "funnel": lambda fit, studies: funnel(fit, "figure", "title"),
    "bubble": lambda fit, studies: bubble(fit, "figure", "title"),
}


@pytest.mark.parametrize("draw", POINTED.values(), ids=POINTED)
def test_every_row_says_its_name_and_number_at_its_place_above_what_is_drawn(
    draw: Callable[[Fit, Studies], Drawing],
) -> None:
    studies = alliance("drop")
    drawing = draw(_fit(studies, mods="~ guidance"), studies)
    tips = list(drawing.tips.values())
    assert len(tips) == 10
    said = "Bergman Nordgren 2013, BN13-1\n0.47 [0.09, 0.73], n 25"
    assert sum(tip.startswith(said) for tip in tips) == 1
    for gid, tip in drawing.tips.items():
        marked = f'<g id="{gid}" class="tip" pointer-events="all"><title>'
        assert drawing.svg.count(marked) == 1 and tip.partition("\n")[0] in drawing.svg
    targets = [one for axes in drawing.figure.axes for one in axes.get_children() if one.get_gid()]
    others = [one for axes in drawing.figure.axes for one in (*axes.lines, *axes.collections)]
    assert min(one.zorder for one in targets) > max(one.zorder for one in others)


TITLE = "Three-level random effects with guidance, rater and timing, face-to-face priors " * 3


@pytest.mark.parametrize("draw", [*ONE_FIT.values(), POINTED["forest"]], ids=[*ONE_FIT, "forest"])
def test_no_title_is_wider_than_its_figure(draw: Callable[..., Drawing]) -> None:
    studies = molloy()
    is_forest = draw is POINTED["forest"]
    drawing = (
        forest(_molloy(), studies, "forest", TITLE) if is_forest else draw(_molloy(), "x", TITLE)
    )
    drawing.figure.draw_without_rendering()
    (title,) = (
        text for text in drawing.figure.findobj(Text) if text.get_text().startswith("Three-level")
    )
    assert title.get_text().endswith("…")
    assert title.get_window_extent().x1 <= drawing.figure.bbox.x1


def test_the_likelihood_of_a_triplot_times_its_prior_is_its_posterior() -> None:
    drawing = _tri(_molloy(), "triplot", "title")
    curves = {
        kind: np.array([row["density"] for row in drawing.data if row["density_of"] == kind])
        for kind in ("prior", "likelihood", "posterior")
    }
    x = np.array([row["x"] for row in drawing.data if row["density_of"] == "prior"], dtype=float)
    # On r both prior and likelihood have the slope of z.
    product = curves["prior"].astype(float) * curves["likelihood"] * (1 - x**2)
    high = curves["posterior"] > 1e-3 * curves["posterior"].max()
    ratio = (product[high] / curves["posterior"][high]).astype(float)
    # The quadrature's own accuracy, relative to densities down to a thousandth.
    assert ratio == pytest.approx(np.full(len(ratio), ratio.mean()), rel=1e-4)


def test_a_mean_far_from_the_evidence_has_no_triplot(tmp_path: Path) -> None:
    rows = [{**row, "x": 2000 + i} for i, row in enumerate(_rows(9))]
    fit = _fit(written(tmp_path, rows, "ZCOR"), mods="~ x")
    assert "write center(x) in mods" in str(no_triplot(fit.problem))
    assert no_triplot(_molloy().problem) is None


def test_the_joint_density_s_correlation_is_in_its_words() -> None:
    drawing = joint(_molloy(), "joint", "title")
    assert "integrated" in drawing.alternative
    assert "50, 80 and 95%" in drawing.alternative
    assert {"mu", "tau", "density"} == set(drawing.data[0])


def _change(kind: str, name: str, median: float | None) -> Change:
    return Change(kind, name, Summary(0.2, 0.1, 0.2, 0.1, 0.3), median, median)  # type: ignore[arg-type]


def test_influences_name_the_largest_study_and_the_largest_assumption(tmp_path: Path) -> None:
    changes = [
        _change("intervals", "drop", 0.05), _change("study", NAMES[0], -0.03),
        _change("prior set", "sceptical", -0.02), _change("model", NAMES[1], 0.01),
        _change("study", "no answer", None),
    ]  # fmt: skip
    drawing = influence(changes, "the reference", "z", "influence", "title")
    write_drawing(drawing, tmp_path)
    assert "intervals dropped (+0.050)" in drawing.alternative
    assert f"without {NAMES[0]} (-0.030)" in drawing.alternative
    assert len(drawing.data) == 5
    assert "another prior set" in drawing.svg


@pytest.mark.parametrize("changes", [(), tuple(_change("study", f"s{i}", 0.0) for i in range(60))])
def test_influences_may_be_none_or_many(changes: Sequence[Change]) -> None:
    drawing = influence(changes, "the reference", "yi", "influence", "title")
    assert len(drawing.data) == len(changes)
    assert ("20 smaller changes are in the data" in drawing.svg) == (len(changes) == 60)


def test_studies_without_an_answer_are_drawn_as_such() -> None:
    row = LeftOut("A", 1, NOTHING, NOTHING, NOTHING, "the posterior is improper")
    drawing = leave_one_out(_molloy(), (row,), "leave-one-out", "title")
    assert "no answer without it" in drawing.svg
    assert "1 have no answer" in drawing.alternative


@pytest.mark.parametrize(
    ("low", "high"), [(-0.3, 0.8), (-0.01, 0.02), (-3.0, 3.0), (0.4, 0.6), (1.9, 2.6), (-8, 8)]
)
def test_ticks_of_r_can_be_read(low: float, high: float) -> None:
    found = r_ticks(low, high)
    places = np.arctanh(found)
    assert ((places >= low - 1e-9) & (places <= high + 1e-9)).all()
    assert len(found) < 2 or np.diff(places).min() >= 0.099 * (high - low)
