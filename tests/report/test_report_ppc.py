"""Figures of posterior predictive checks: what they say, and that no number breaks them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from metarho.checks.calibration import Calibrated
from metarho.checks.p_values import PValue
from metarho.checks.studies import Surprise
from metarho.data.studies import Row
from metarho.posterior.leave_out import Score
from metarho.report.figures.ppc import ppc_figure, surprise_figure
from metarho.report.terminal import share

RNG = np.random.default_rng(0)
REPLICATED: dict[str, NDArray[np.float64]] = {
    "many values": RNG.standard_normal(500),
    "few values": RNG.integers(0, 4, 500).astype(float),
    "one value": np.full(500, 3.0),
    "far apart": RNG.standard_cauchy(500) * 1e12,
    "tiny": RNG.standard_normal(500) * 1e-200,
}


@pytest.mark.parametrize("observed", [0.0, 3.0, -40.0])
@pytest.mark.parametrize("name", REPLICATED)
def test_a_histogram_holds_all_that_is_near_and_the_observed_value(
    name: str, observed: float
) -> None:
    one = PValue("spread[a $x$=<b>]", 7, observed, REPLICATED[name], 0.25, 0.01)
    drawn = ppc_figure([one], [Calibrated(0.1, 0.01, np.zeros(3))])
    assert "standard deviation" in drawn.svg and "a $x$=&lt;b&gt;" in drawn.svg
    assert "p = 0.250" in drawn.svg and "calibrated = 0.100" in drawn.svg
    shares = [row["share"] for row in drawn.data]
    assert 0.99 < sum(value for value in shares if isinstance(value, float)) <= 1 + 1e-9


def test_panels_are_as_many_as_statistics() -> None:
    found = [PValue(f"mine{i}", 3, 0.0, REPLICATED["many values"], 0.5, None) for i in range(4)]
    drawn = ppc_figure(found, [None] * 4)
    assert all(f"mine{i}" in drawn.svg for i in range(4))
    assert "calibrated" not in drawn.svg


def _surprise(study: str, tail: float | None, probability: float | None) -> Surprise:
    reported = "exact" if tail is not None else "not significant"
    lower = None if tail is not None else -0.2
    row = Row("a", 0, study, study, "1", reported, True, "", ri=0.3, yi=0.31, lower=lower)
    score = Score(study, 0.1, (), None, 0.0, False, None)
    return Surprise(row, tail, tail, probability, score)


def test_a_line_a_row_says_what_was_printed() -> None:
    found = [_surprise("A $x$ & <b>", 0.01, None), _surprise("B", None, 0.4)]
    drawn = surprise_figure(found, "z")
    assert "A $x$ &amp; &lt;b&gt;: 1, r = 0.300" in drawn.svg
    assert "B: 1, not significant" in drawn.svg
    assert [row["bits"] for row in drawn.data] == pytest.approx([6.643856, 1.321928])


def test_rows_without_a_surprise_or_with_an_endless_one_are_left_out() -> None:
    found = [_surprise("A", 0.0, None), _surprise("B", None, None)]
    assert surprise_figure(found, "z").data == []
    assert found[0].bits == np.inf


def test_what_would_print_as_nothing_or_as_certain_does_not() -> None:
    assert [share(p) for p in (0.0, 0.0004, 0.25, 0.9996)] == [
        "<0.001", "<0.001", "0.250", ">0.999",
    ]  # fmt: skip
