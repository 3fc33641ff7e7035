"""Many mixtures of normals at once, against SciPy one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from metarho.posterior.normal_mixtures import NormalMixtures

RNG = np.random.default_rng(20261122)
PARTS = [
    (RNG.dirichlet(np.ones(size)), RNG.normal(0.2, 0.3, size), RNG.uniform(0.01, 1, size))
    for size in (1, 2, 7, 40)
]
# Two far apart and narrow; one with a tail a million times as wide.
PARTS += [
    (np.array([0.5, 0.5]), np.array([-1.0, 1.0]), np.array([1e-3, 1e-3])),
    (np.array([0.97, 0.03]), np.array([0.1, 0.0]), np.array([0.05, 5e4])),
]


def _cdf(part: tuple[np.ndarray, np.ndarray, np.ndarray], x: float) -> float:
    mass, mean, sd = part
    return float(mass @ norm.cdf(x, mean, sd))


def test_cdfs_are_those_of_scipy() -> None:
    mixtures = NormalMixtures.of(PARTS)
    for x in (-1.0, 0.1, 0.35, 2.0):
        expected = [_cdf(part, x) for part in PARTS]
        np.testing.assert_allclose(mixtures.cdf(np.array(x)), expected, atol=1e-15)


@pytest.mark.parametrize("share", [0.001, 0.025, 0.3, 0.5, 0.975, 0.99])
def test_quantiles_are_roots_that_scipy_finds_one_at_a_time(share: float) -> None:
    found = NormalMixtures.of(PARTS).quantile(share)
    for value, part in zip(found, PARTS, strict=True):
        root = brentq(lambda x, p=part: _cdf(p, x) - share, -1e6, 1e6, xtol=1e-15, rtol=1e-15)
        # Between the two narrow ones the cdf is flat: there the share, not the place, is known.
        assert _cdf(part, float(value)) == pytest.approx(share, abs=1e-13)
        if part is not PARTS[4]:
            assert value == pytest.approx(root, rel=1e-9, abs=1e-12)


def test_far_above_the_mass_nothing_is_less_than_nothing() -> None:
    # Masses of thirds and the like sum to 1 but for rounding, on either side of it.
    sizes = range(2, 60)
    parts = [(np.arange(1.0, n + 1), np.zeros(n), np.ones(n)) for n in sizes]
    assert NormalMixtures.of(parts).cdf(np.array(60.0)).max() == 1


def test_masses_need_not_sum_to_1_and_companions_do_not_matter() -> None:
    mass, mean, sd = PARTS[2]
    alone = NormalMixtures.of([(3 * mass, mean, sd)]).quantile(0.025)
    together = NormalMixtures.of(PARTS).quantile(0.025)
    assert alone[0] == pytest.approx(together[2], rel=1e-14)


@given(
    st.lists(
        st.tuples(st.floats(1e-6, 1), st.floats(-3, 3), st.floats(1e-6, 1e6)),
        min_size=1,
        max_size=6,
    ),
    st.floats(1e-4, 1 - 1e-4),
)
# A needle beside laws that are ever wider: seen to end 70 roundings from its root.
@example([(1, 0, 475346), (1, 0, 1e-6), (1, 2, 31), (0.25, 0, 2), (0.25, 0, 2)], 0.46875)
def test_the_cdf_at_a_quantile_is_its_share(
    parts: list[tuple[float, float, float]], share: float
) -> None:
    mass, mean, sd = (np.array(column) for column in zip(*parts, strict=True))
    mixtures = NormalMixtures.of([(mass, mean, sd)])
    found = mixtures.quantile(share)
    # Where the cdf rises by 1e-10 between numbers that rounding tells apart, it is known to that,
    # and a root, centre + scale·sinh(u), is rounded several times.
    apart = np.spacing(np.abs(mean).max() + np.abs(found[0]))
    rise = float(apart * (mass / mass.sum() / sd).sum())
    assert float(mixtures.cdf(found)[0]) == pytest.approx(share, abs=1e-12 + 10 * rise)
