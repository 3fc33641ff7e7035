"""Figures of ensembles: the spike, the slab, and chances of being reported."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cases import alliance, model, molloy, problem
from metarho.compare.ensemble import ALL, Ensemble, Member, ensemble_of
from metarho.compare.reported import parts_of
from metarho.compare.rows import Row
from metarho.compare.z_curve import z_curve as found_z_curve
from metarho.engines.problem import encode
from metarho.fitting import Settings, fit_many
from metarho.report.figures.drawing import write_drawing
from metarho.report.figures.ensemble_funnel import ensemble_funnel
from metarho.report.figures.spike_and_slab import spike_and_slab
from metarho.report.figures.weight_function import no_weight_function, weight_function
from metarho.report.figures.z_curve import z_curve
from metarho.spec.model import Step, StepSelection

HOSTILE = "$x_1$ & <b>"


@cache
def _ensemble() -> Ensemble:
    """Known weights or none, with an effect or without."""
    step = Step(cutpoints=(0.05, 0.5), weights=(0.5, 0.2))
    selected = model("random-effects").model_copy(update={"selection": StepSelection(step=step)})
    null = {"mu": problem(molloy(), mu="DiracDelta(c=0)").prior("mu")}
    kinds = [(one, has) for one in (model("random-effects"), selected) for has in (True, False)]
    fits = fit_many([encode(one, molloy(), {} if has else null) for one, has in kinds], Settings())
    return ensemble_of(
        [Member(one.name, has, True, 1, fit) for (one, has), fit in zip(kinds, fits, strict=True)]
    )


def _column(rows: list[Row], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], dtype=float)


def test_a_slab_holds_what_the_spike_leaves() -> None:
    found = _ensemble()
    drawing = spike_and_slab(found, "spike", HOSTILE)
    spike = 1 - found.components[0].posterior
    said = {row["of"]: row["probability_of_0"] for row in drawing.data if row["density"] is None}
    assert said == {"prior": 0.5, "posterior": pytest.approx(spike)}
    after = [row for row in drawing.data if row["of"] == "posterior" and row["density"] is not None]
    x, density = _column(after, "x"), _column(after, "density")
    # The figure ends where a thousandth is left on either side.
    assert np.trapezoid(density, x) == pytest.approx(1 - spike, abs=3e-3)
    before = [row for row in drawing.data if row["of"] == "prior" and row["density"] is not None]
    x, density = _column(before, "x"), _column(before, "density")
    wanted = 0.5 * stats.norm(0, 0.5).pdf(np.arctanh(x)) / (1 - x**2)
    np.testing.assert_allclose(density, wanted, rtol=1e-9)
    assert f"exactly 0 with probability 0.50 before and {spike:.2f} after" in drawing.alternative


def test_chances_of_being_reported_are_those_of_the_estimates() -> None:
    found = _ensemble()
    estimates = found.estimates(0.9)
    drawing = weight_function(found, estimates, 0.9, "weights", HOSTILE)
    rows = {(row["over"], row["p_from"]): row for row in drawing.data}
    assert {p for _, p in rows} == {0.0, 0.05, 0.5}
    assert rows[ALL, 0.0]["lower"] == rows[ALL, 0.0]["upper"] == 1.0
    own = {(one.quantity, one.over): one for one in estimates}
    for (over, p), row in rows.items():
        if p == 0.05:
            assert row["mean"] == own["omega[0.05-0.5]", str(over)].summary.mean
    assert rows["with a weight function", 0.5]["median"] == pytest.approx(0.2)
    p_none = math.fsum(found.probabilities[:2])
    assert rows[ALL, 0.5]["mean"] == pytest.approx(p_none + 0.2 * (1 - p_none))


def test_figures_bear_hostile_titles_and_have_the_same_bytes_twice(tmp_path: Path) -> None:
    found = _ensemble()
    drawn = [
        (
            spike_and_slab(found, "a", HOSTILE),
            weight_function(found, found.estimates(0.9), 0.9, "b", HOSTILE),
            z_curve(found, found_z_curve(found, parts_of(found), 0.9), 0.9, "c", HOSTILE),
            ensemble_funnel(found, parts_of(found), 0.9, "d", HOSTILE),
        )
        for _ in range(2)
    ]
    for first, second in zip(*drawn, strict=True):
        assert "$x_1$ &amp; &lt;b&gt;" in first.svg and first.svg == second.svg
        assert len(write_drawing(first, tmp_path)) == 3


def test_without_weight_functions_there_is_none_to_draw() -> None:
    found = _ensemble()
    assert no_weight_function(found) is None
    plain = ensemble_of(found.members[:2])
    assert no_weight_function(plain) == "no member selects by p"


@cache
def _with_words() -> Ensemble:
    """Rows that printed no number beside those that did."""
    fits = fit_many([problem(alliance())], Settings())
    return ensemble_of([Member("m", True, True, 1, fits[0])])


def test_the_histogram_of_z_has_every_row_once_and_words_over_their_intervals() -> None:
    found = _with_words()
    drawing = z_curve(found, found_z_curve(found, parts_of(found), 0.9), 0.9, "z", HOSTILE)
    evidence = found.members[0].fit.problem.evidence
    area = {}
    for of in ("numbers", "words"):
        rows = [row for row in drawing.data if row["of"] == of]
        width = _column(rows, "z_to") - _column(rows, "z_from")
        area[of] = float(_column(rows, "density") @ width)
    words = int(evidence.is_interval.sum())
    assert area["words"] == pytest.approx(words / evidence.k)
    assert area["numbers"] == pytest.approx(1 - words / evidence.k)
    # "Not significant" alone reaches below 0, as far as -1.96.
    rows = [row for row in drawing.data if row["of"] == "words"]
    low = dict(zip(_column(rows, "z_from").round(2), _column(rows, "density"), strict=True))
    below = {z: density for z, density in low.items() if z < -0.1}
    assert set(below) == {-1.96, -0.98}
    assert below[-1.96] == pytest.approx(below[-0.98]) and below[-0.98] > 0.05
    assert f"of {words} that stand for an interval" in drawing.alternative
    # Nothing is selected by p: as many were found as are reported.
    assert "significant expected" in drawing.svg and "were found" not in drawing.alternative


def test_curves_of_reported_and_of_all_results_are_those_that_were_found() -> None:
    found = _ensemble()
    curve = found_z_curve(found, parts_of(found), 0.9)
    drawing = z_curve(found, curve, 0.9, "z", HOSTILE)
    for of, band in (("reported", curve.reported), ("all", curve.all)):
        rows = [row for row in drawing.data if row["of"] == of]
        np.testing.assert_array_equal(_column(rows, "density"), band.mean)
        np.testing.assert_array_equal(_column(rows, "upper"), band.upper)
    many, least, most = curve.found
    assert f"{many:.2f} ({least:.2f} to {most:.2f}) were found" in drawing.alternative


def test_a_funnel_has_rows_and_the_averaged_means_on_r() -> None:
    found = _ensemble()
    drawing = ensemble_funnel(found, parts_of(found), 0.9, "f", HOSTILE)
    k = found.members[0].fit.problem.evidence.k
    kinds = [row["of"] for row in drawing.data]
    assert kinds[:k] == ["row"] * k and set(kinds[k:]) == {"reported", "all"}
    reported = [row for row in drawing.data if row["of"] == "reported"]
    every = [row for row in drawing.data if row["of"] == "all"]
    # Selection favours positive results: the more, the larger the standard error.
    gap = _column(reported, "estimate") - _column(every, "estimate")
    assert (np.diff(gap[5:]) > 0).all() and gap[-1] > 0.03
    # Without selection the mean is that of all results, spike and all, at every standard error.
    rho = next(e for e in found.estimates(0.9) if e.quantity == "rho" and e.over == ALL)
    assert rho.summary.mean is not None
    middle = _column(every, "estimate")
    # 2,000 draws of an sd of a fifth of the interval; means on z and on r.
    np.testing.assert_allclose(middle, rho.summary.mean, atol=4e-3)
    assert drawing.tips and f"{len(found.members)} models" in drawing.alternative
