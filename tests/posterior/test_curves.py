"""Many densities on one axis: against SciPy's laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from metarho.engines.exact.panels import Axis
from metarho.posterior.curves import Curves


def test_cdfs_and_quantiles_are_those_of_the_laws() -> None:
    axis = Axis("sinh", 0.1, 0.2, np.linspace(-6.0, 6.0, 41), 24)
    laws = [norm(0.1, 0.2), norm(0.4, 0.1), t(5, loc=-0.1, scale=0.3)]
    mass = np.stack([law.pdf(axis.nodes) * axis.weights for law in laws])
    curves = Curves(axis, mass)
    for x in (-0.5, 0.1, 0.42):
        assert curves.cdf(np.array(x)) == pytest.approx([law.cdf(x) for law in laws], abs=1e-9)
    assert curves.cdf(np.array([0.0, 0.4, 0.2])) == pytest.approx(
        [law.cdf(x) for law, x in zip(laws, (0.0, 0.4, 0.2), strict=True)], abs=1e-9
    )
    for share in (0.025, 0.5, 0.975):
        assert curves.quantile(share) == pytest.approx([law.ppf(share) for law in laws], abs=1e-8)


def test_panels_are_cut_to_a_width_and_keep_their_ends() -> None:
    axis = Axis("sinh", 0.1, 0.2, np.linspace(-3.0, 3.0, 5), 8)
    cut = axis.cut(0.05, np.array([False, True, True, False]))
    assert np.isin(axis.breaks, cut.breaks).all()
    # Evenly in the coordinate, in which panels of the parameter differ by its slope.
    widths = np.diff(cut.to_x(cut.breaks))
    assert widths[1:-1].max() < 3 * 0.05
    ends = np.diff(axis.to_x(axis.breaks))[[0, -1]]
    assert widths[[0, -1]] == pytest.approx(ends)
    # An integral is what it was.
    assert cut.weights.sum() == pytest.approx(axis.weights.sum(), rel=1e-12)
