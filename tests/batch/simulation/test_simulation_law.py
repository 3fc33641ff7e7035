"""Data sets drawn from a truth: their laws against moments by SciPy, and what decides them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from metarho.batch.simulation.truth import Truth, draw, sizes_at, studies_of
from metarho.spec.simulation import Reporting

type Array = NDArray[np.float64]

COUNT = 20_000
# Means of 20,000 draws: beyond 4.5 standard errors once in 150,000 times.
FAR = 4.5


def density_of_z(z: Array, theta: Array, n: int) -> Array:
    """Hotelling's density by its integral over w, for z = atanh(r)."""
    w, weights = np.polynomial.legendre.leggauss(400)
    w, weights = 10 * (w + 1), 10 * weights
    r, rho = np.tanh(z)[..., None], np.tanh(theta)[..., None]
    inner = (weights / (np.cosh(w) - rho * r) ** (n - 1)).sum(axis=-1)
    factor = (n - 2) / math.pi * (1 - rho[..., 0] ** 2) ** ((n - 1) / 2)
    return np.asarray(factor * (1 - r[..., 0] ** 2) ** ((n - 2) / 2) * inner)


def law(truth: Truth, z: Array) -> Array:
    """The density of what appears, on a grid: heterogeneity by Gauss–Hermite, then selection."""
    x, weights = np.polynomial.hermite_e.hermegauss(60)
    theta = truth.mu + truth.tau * x
    n = truth.sizes[0]
    plain = (density_of_z(z[:, None], theta[None, :], n) @ weights) / math.sqrt(2 * math.pi)
    t = np.tanh(z) * np.sqrt((n - 2) / (1 - np.tanh(z) ** 2))
    one_sided = stats.t.sf(t, n - 2)
    two_sided = 2 * stats.t.sf(np.abs(t), n - 2)
    chance = np.where(one_sided > 0.025, truth.selection, 1.0)
    if truth.reporting == "drawer":
        chance = np.where(two_sided > 0.05, 0.0, chance)
    weighted = plain * chance
    return np.asarray(weighted / integrate.trapezoid(weighted, z))


@pytest.mark.parametrize("reporting", ["all", "words", "drawer"])
@pytest.mark.parametrize("selection", [1.0, 0.2])
@pytest.mark.parametrize(("mu", "tau", "n"), [(0.0, 0.0, 20), (0.3, 0.2, 30), (-0.1, 0.1, 12)])
def test_what_appears_has_the_moments_of_its_law(
    mu: float, tau: float, n: int, selection: float, reporting: Reporting
) -> None:
    truth = Truth(mu, tau, (n,) * COUNT, reporting, selection)
    z = draw(truth, truth.generator(1, 0))
    grid = np.linspace(-3, 3, 6001)
    density = law(truth, grid)
    for power in (1, 2):
        mean = integrate.trapezoid(grid**power * density, grid)
        square = integrate.trapezoid(grid ** (2 * power) * density, grid)
        error = math.sqrt((square - mean**2) / COUNT)
        # 1e-3 of a step: what the grid makes of a jump in the density.
        assert abs(float((z**power).mean()) - mean) < FAR * error + 1e-4


@pytest.mark.parametrize("mu", [0.0, 0.25])
def test_words_are_what_a_t_test_calls_not_significant(mu: float) -> None:
    truth = Truth(mu, 0.1, (25,) * 3000, "words")
    z = draw(truth, truth.generator(2, 0))
    rows = studies_of(truth, z).rows
    _, p = _t_tests(z, 25)
    assert [row.reported == "not significant" for row in rows] == (p > 0.05).tolist()
    for row, value in zip(rows, z, strict=True):
        if row.is_interval:
            assert row.ri is None and row.yi is None
            assert row.lower is not None and row.upper is not None
            assert row.lower < value < row.upper == -row.lower
        else:
            assert row.yi == value and row.ri == math.tanh(value)
        assert row.vi == 1 / 22


def test_nothing_in_the_drawer_is_seen() -> None:
    truth = Truth(0.05, 0.0, (25,) * 2000, "drawer")
    z = draw(truth, truth.generator(3, 0))
    assert (_t_tests(z, 25)[1] <= 0.05).all()


def _t_tests(z: Array, n: int) -> tuple[Array, Array]:
    r = np.tanh(z)
    t = r * np.sqrt((n - 2) / (1 - r**2))
    return t, 2 * stats.t.sf(np.abs(t), n - 2)


TRUTHS = st.builds(
    Truth,
    st.floats(-1, 1),
    st.floats(0, 1),
    st.lists(st.integers(4, 300), min_size=1, max_size=8).map(tuple),
    st.sampled_from(["all", "words", "drawer"]),
    st.sampled_from([1.0, 0.5, 0.1]),
)


@settings(max_examples=60, deadline=None)
@given(TRUTHS, st.integers(0, 2**63 - 1), st.integers(0, 10**6))
def test_a_data_set_is_decided_by_seed_truth_and_number_alone(
    truth: Truth, seed: int, replicate: int
) -> None:
    z = draw(truth, truth.generator(seed, replicate))
    again = Truth(truth.mu, truth.tau, truth.sizes, truth.reporting, truth.selection)
    assert (draw(again, again.generator(seed, replicate)) == z).all()
    assert np.isfinite(z).all() and len(z) == len(truth.sizes)
    for other in (truth.generator(seed, replicate + 1), truth.generator(seed ^ 1, replicate)):
        assert (draw(truth, other) != z).all()
    studies = studies_of(truth, z)
    assert [row.ni for row in studies.used] == list(truth.sizes)
    assert studies.k_studies == len(truth.sizes)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(4, 500), min_size=1, max_size=30), st.integers(1, 4))
def test_sizes_spread_as_the_list_does(listed: list[int], times: int) -> None:
    ordered = sorted(listed)
    assert sizes_at(listed, len(listed)) == tuple(ordered)
    assert sizes_at(listed, times * len(listed)) == tuple(np.repeat(ordered, times))
    (middle,) = sizes_at(listed, 1)
    assert middle == ordered[len(ordered) // 2]
    assert set(sizes_at(listed, 7)) <= set(listed)
