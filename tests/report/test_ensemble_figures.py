"""Figures of ensembles: the spike, the slab, and chances of being reported."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cases import model, molloy, problem
from metarho.compare.ensemble import ALL, Ensemble, Member, ensemble_of
from metarho.compare.rows import Row
from metarho.engines.problem import encode
from metarho.fitting import Settings, fit_many
from metarho.report.figures.drawing import write_drawing
from metarho.report.figures.spike_and_slab import spike_and_slab
from metarho.report.figures.weight_function import no_weight_function, weight_function
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
        (spike_and_slab(found, "a", HOSTILE), weight_function(found, found.estimates(0.9), 0.9,
         "b", HOSTILE)) for _ in range(2)
    ]  # fmt: skip
    for first, second in zip(*drawn, strict=True):
        assert "$x_1$ &amp; &lt;b&gt;" in first.svg and first.svg == second.svg
        assert len(write_drawing(first, tmp_path)) == 3


def test_without_weight_functions_there_is_none_to_draw() -> None:
    found = _ensemble()
    assert no_weight_function(found) is None
    plain = ensemble_of(found.members[:2])
    assert no_weight_function(plain) == "no member selects by p"
