"""Effect sizes against metafor, and words as intervals against the t distribution."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy.special import stdtr

from metarho.data.effect_sizes import (
    WORDS,
    cor,
    critical_r,
    to_z,
    word_interval,
    zcor,
)
from metarho.data.studies import load_studies
from metarho.spec.analysis import Measure

MOLLOY = Path(__file__).parent.parent / "references" / "molloy2014.csv"

# metafor 5.0.1 on metadat 1.6.0's dat.molloy2014, R 4.2.2, row by row:
# escalc(measure="ZCOR", ri=ri, ni=ni) and escalc(measure="COR", ri=ri, ni=ni).
METAFOR: dict[Measure, tuple[list[float], list[float]]] = {
    "ZCOR": (
        [
            0.189226642530929,
            0.163439918464887,
            0.354092528962243,
            0.331647108705132,
            0.2768638226551,
            0,
            0.176820020121789,
            0.0500417292784913,
            0.266108406873654,
            0.0100003333533348,
            -0.0902441878561468,
            0.388423099718296,
            0,
            0.151140435936467,
            0.244774112659353,
            0.0400213538367682,
        ],
        [
            0.00943396226415094,
            0.00134048257372654,
            0.0192307692307692,
            0.00961538461538462,
            0.0144927536231884,
            0.0161290322580645,
            0.00584795321637427,
            0.00309597523219814,
            0.0181818181818182,
            0.00130208333333333,
            0.0188679245283019,
            0.0113636363636364,
            0.00884955752212389,
            0.00187265917602996,
            0.00645161290322581,
            0.0161290322580645,
        ],
    ),
    "COR": (
        [
            0.187,
            0.162,
            0.34,
            0.32,
            0.27,
            0,
            0.175,
            0.05,
            0.26,
            0.01,
            -0.09,
            0.37,
            0,
            0.15,
            0.24,
            0.04,
        ],
        [
            0.00862300769408333,
            0.00126764805820321,
            0.0144845066666667,
            0.00760080905660377,
            0.0121058367605634,
            0.015625,
            0.00543172191112717,
            0.00306155769230769,
            0.0152521010526316,
            0.00129844157142857,
            0.0178884656363636,
            0.008277129,
            0.00869565217391304,
            0.0017826609141791,
            0.00565680101910828,
            0.01557504,
        ],
    ),
}


@pytest.mark.parametrize("measure", METAFOR)
def test_effect_sizes_are_metafor_s(measure: Measure) -> None:
    studies = load_studies(MOLLOY, measure=measure, columns={"ri": "ri", "ni": "ni"})
    yi, vi = METAFOR[measure]
    # metafor prints 15 digits.
    assert [row.yi for row in studies.rows] == pytest.approx(yi, rel=1e-12, abs=1e-12)
    assert [row.vi for row in studies.rows] == pytest.approx(vi, rel=1e-12, abs=1e-12)


def test_a_correlation_by_hand() -> None:
    assert zcor(0.5, 28) == pytest.approx((math.log(3) / 2, 0.04), rel=1e-15)
    assert cor(0.5, 10) == (0.5, 0.0625)


@pytest.mark.parametrize("ni", [4, 5, 25, 80.5, 1000, 1e6])
def test_the_critical_correlation_has_a_p_of_five_percent(ni: float) -> None:
    r, df = critical_r(ni), ni - 2
    t = r * math.sqrt(df / (1 - r**2))
    assert 2 * stdtr(df, -t) == pytest.approx(0.05, rel=1e-10)


def test_the_critical_correlation_of_a_textbook() -> None:
    # Every printed table of critical values of r, two-sided .05, df = 10 and 100.
    assert critical_r(12) == pytest.approx(0.576, abs=5e-4)
    assert critical_r(102) == pytest.approx(0.195, abs=5e-4)


@pytest.mark.parametrize("ni", [4, 30, 400])
def test_the_words_share_out_all_correlations(ni: float) -> None:
    middle, upper, lower = (word_interval(word, ni) for word in WORDS)
    assert (lower[0], upper[1]) == (-1.0, 1.0)
    assert (lower[1], upper[0]) == middle
    assert middle[0] == -middle[1] < 0


def test_an_unknown_word_has_no_interval() -> None:
    with pytest.raises(ValueError, match="trend"):
        word_interval("trend", 30)


@pytest.mark.parametrize(("r", "z"), [(1.0, math.inf), (-1.0, -math.inf), (0.5, math.atanh(0.5))])
def test_the_ends_of_the_correlation_scale_are_infinite_on_z(r: float, z: float) -> None:
    assert to_z(r) == z
