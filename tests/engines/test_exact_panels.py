"""Panels: masses moved to the nodes of others, and polynomials between nodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from metarho.engines.exact.panels import Axis, moved, smooth_panels


@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=30),
    st.floats(-3, 3),
    st.floats(0.01, 1),
)
def test_moved_masses_have_the_same_cdf_of_a_noisy_quantity(
    values: list[float], x: float, sampling: float
) -> None:
    sds = np.array(values)
    rng = np.random.default_rng(len(values))
    joint = rng.uniform(size=(len(sds), 2))
    axis = smooth_panels(50.0, sampling, 0.5)
    there = moved(sds, joint, axis)
    below = ndtr(x / np.sqrt(sampling**2 + sds**2)) @ joint
    # Panels half as wide as the sampling error hold Φ to 1e-14 a unit of mass.
    assert ndtr(x / np.sqrt(sampling**2 + axis.nodes**2)) @ there == pytest.approx(below, abs=1e-12)
    assert there.sum(axis=0) == pytest.approx(joint.sum(axis=0))


def test_panels_polynomials_are_numpy_s_series() -> None:
    rng = np.random.default_rng(4)
    axis = Axis("sinh", 0.0, 1.0, np.linspace(-2, 2, 6))
    coefficients = rng.normal(size=(5, 24)) / np.arange(1, 25) ** 2
    x = rng.uniform(-4, 4, (3, 40))
    panel, place = axis.locate(x)
    seen = axis.polynomial(coefficients, panel, place)
    for index in np.ndindex(x.shape):
        expected = np.polynomial.legendre.legval(place[index], coefficients[panel[index]])
        # Sums of 24 terms below 1.
        assert seen[index] == pytest.approx(expected, abs=1e-14)
