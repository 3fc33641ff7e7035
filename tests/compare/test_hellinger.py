"""Distances between posteriors against closed forms and SciPy's adaptive integration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from cases import molloy, problem
from metarho.compare.hellinger import hellinger
from metarho.engines import exact
from metarho.posterior.exact import Exact
from metarho.posterior.marginals import ABSENT, Kind, Marginal, Point, Summary
from metarho.posterior.mixtures import Mixture, Normals

type Array = NDArray[np.float64]

# What is promised of H.
EXACT = 1e-8


@dataclass(frozen=True)
class Known:
    """A law of SciPy as a marginal."""

    law: Any

    def summary(self, prob: float, kind: Kind) -> Summary:
        ends = self.law.ppf([0.5, (1 - prob) / 2, (1 + prob) / 2])
        return Summary(float(self.law.mean()), float(self.law.std()), *map(float, ends))

    def cdf(self, x: Array) -> Array:
        return np.asarray(self.law.cdf(x))

    def density(self, x: Array) -> Array:
        return np.asarray(self.law.pdf(x))

    def range(self, outside: float) -> tuple[float, float]:
        return float(self.law.ppf(outside)), float(self.law.isf(outside))


def _normal(mean: float, sd: float) -> Mixture:
    return Mixture(Normals(np.ones(1), np.array([mean]), np.array([sd])))


def _posterior(mu: str, tau: str) -> dict[str, Marginal]:
    encoded = problem(molloy(), mu=mu, tau=tau)
    found = Exact(encoded, exact.integrate(encoded))
    mean = found.mean_of(found.head)
    return {
        "mu": mean,
        "rho": found.rho(mean),
        "tau": found.tau,
        "theta_new": found.theta_new(found.head),
    }


@pytest.fixture(scope="module")
def sets() -> tuple[dict[str, Marginal], dict[str, Marginal], dict[str, Marginal]]:
    return (
        _posterior("Normal(mu=0, sigma=0.5)", "HalfNormal(sigma=0.25)"),
        _posterior("Normal(mu=0.3, sigma=0.05)", "HalfCauchy(beta=0.05)"),
        _posterior("StudentT(nu=3, mu=0, sigma=0.1)", "Gamma(alpha=0.5, beta=2)"),
    )


@pytest.mark.parametrize(
    ("mean", "sd"),
    [
        (0.1, 1.0),
        (1.0, 3.0),
        (5.0, 1e-3),
        (0.0, 1000.0),
        (0.0, 100.0),
        (3.0, 0.2),
        (20.0, 1.0),
        (1e-3, 1.0),
    ],
)
def test_two_normals_have_their_closed_form(mean: float, sd: float) -> None:
    total = 1 + sd**2
    log_overlap = 0.5 * math.log(2 * sd / total) - mean**2 / (4 * total)
    truth = math.sqrt(-math.expm1(log_overlap))
    # Without panels in the tail of √p the widest are off by some 1e-9.
    assert hellinger(_normal(0.0, 1.0), _normal(mean, sd)) == pytest.approx(truth, abs=1e-10)


def test_a_small_distance_keeps_its_digits() -> None:
    truth = math.sqrt(-math.expm1(-((1e-6) ** 2) / 8))
    # 1 − ∫ √(p q) would be rounding error, 1e-8. Means keep 1e-10 of the shift.
    assert hellinger(_normal(0.0, 1.0), _normal(1e-6, 1.0)) == pytest.approx(truth, rel=1e-8)


def test_a_density_that_begins_above_0_has_its_closed_form() -> None:
    # Two exponentials of rates 1 and 9: ∫ √(p q) = 2√9/(1 + 9).
    found = hellinger(Known(stats.expon()), Known(stats.expon(scale=1 / 9)))
    assert found == pytest.approx(math.sqrt(0.4), abs=EXACT)


@pytest.mark.parametrize(("first", "second"), [(1.0, 2.0), (0.5, 4.0), (0.5, 0.6), (0.2, 3.0)])
def test_heavy_tails_have_their_closed_form(first: float, second: float) -> None:
    # Densities a(1 + x)**-(a + 1): ∫ √(p q) = 2√(a b)/(a + b).
    truth = math.sqrt(1 - 2 * math.sqrt(first * second) / (first + second))
    found = hellinger(Known(stats.lomax(first)), Known(stats.lomax(second)))
    assert found == pytest.approx(truth, abs=EXACT)


def test_a_density_that_is_infinite_at_its_end_has_its_closed_form() -> None:
    # Gamma laws of shapes 0.5 and 1.5: ∫ √(p q) = Γ(1)/√(Γ(0.5)Γ(1.5)).
    truth = math.sqrt(1 - 1 / math.sqrt(math.gamma(0.5) * math.gamma(1.5)))
    found = hellinger(Known(stats.gamma(0.5)), Known(stats.gamma(1.5)))
    assert found == pytest.approx(truth, abs=EXACT)


def test_laws_that_end_have_their_closed_form() -> None:
    # Uniform over 0 to 1 and over 0.5 to 4: ∫ √(p q) = 0.5/√3.5.
    truth = math.sqrt(1 - 0.5 / math.sqrt(3.5))
    found = hellinger(Known(stats.uniform(0, 1)), Known(stats.uniform(0.5, 3.5)))
    assert found == pytest.approx(truth, abs=EXACT)


# Under the third set the density of a new effect takes milliseconds a point, too long for quad.
@pytest.mark.parametrize(
    ("name", "other"), [("mu", 1), ("tau", 1), ("theta_new", 1), ("mu", 2), ("tau", 2)]
)
def test_posteriors_have_the_distance_of_adaptive_integration(
    sets: tuple[dict[str, Marginal], ...], name: str, other: int
) -> None:
    first, second = sets[0][name], sets[other][name]

    def overlap(x: float) -> float:
        at = np.array([x])
        return math.sqrt(float(first.density(at)[0]) * float(second.density(at)[0]))

    ends = np.array([both.range(share) for both in (first, second) for share in (1e-13, 0.05)])
    breaks = np.sort(ends.ravel()).tolist()
    shared = math.fsum(
        integrate.quad(overlap, a, b, epsabs=1e-11, epsrel=0, limit=200)[0]
        for a, b in pairwise(breaks)
    )
    truth = math.sqrt(1 - shared)
    assert truth > 0.02
    # What quad may miss, 1e-10, moves an H of 0.02 by 3e-9.
    assert hellinger(first, second) == pytest.approx(truth, abs=EXACT)


@pytest.mark.parametrize("name", ["mu", "tau", "theta_new"])
def test_the_distance_is_symmetric(sets: tuple[dict[str, Marginal], ...], name: str) -> None:
    forth, back = hellinger(sets[0][name], sets[1][name]), hellinger(sets[1][name], sets[0][name])
    assert forth == pytest.approx(back, abs=1e-12)


def test_the_distance_does_not_depend_on_the_scale(sets: tuple[dict[str, Marginal], ...]) -> None:
    on_z, on_r = (hellinger(sets[0][name], sets[1][name]) for name in ("mu", "rho"))
    assert on_z == pytest.approx(on_r, abs=EXACT)


@pytest.mark.parametrize("name", ["mu", "tau", "theta_new"])
def test_a_posterior_has_no_distance_to_itself(
    sets: tuple[dict[str, Marginal], ...], name: str
) -> None:
    again = _posterior("Normal(mu=0, sigma=0.5)", "HalfNormal(sigma=0.25)")
    assert hellinger(sets[0][name], again[name]) < 1e-7


def test_points_are_the_same_or_have_nothing_in_common() -> None:
    assert hellinger(Point(0.1), Point(0.1)) == 0
    assert hellinger(Point(0.1), Point(0.2)) == 1
    assert hellinger(Point(0.1), _normal(0.1, 1.0)) == 1
    assert hellinger(_normal(0.1, 1.0), Point(0.1)) == 1


def test_what_is_unknown_has_no_distance() -> None:
    assert math.isnan(hellinger(ABSENT, _normal(0.0, 1.0)))
