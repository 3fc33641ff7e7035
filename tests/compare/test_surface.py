"""Surfaces and curves over arguments of priors."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cases import alliance, molloy, problem, written
from metarho.compare.quantities import quantities_of
from metarho.compare.surface import (
    default_points,
    extremes,
    place_of,
    spread_out,
    surface,
    varied,
)
from metarho.engines.exact import quadrature
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.mixtures import Mixture
from metarho.posterior.study_likelihood import log_jacobian
from metarho.spec.claims import parse_quantities
from metarho.spec.prior_arguments import PriorArgument, parse_argument

SETTINGS = Settings()
MU, TAU = parse_argument("mu.sigma"), parse_argument("tau.sigma")
WANTED = parse_quantities(["rho_mean,lower,upper,P(rho > 0.1),new_lower,bf_mu"])


def _fit(one: Problem) -> list[float]:
    (fit,) = fit_many([one], SETTINGS)
    return quantities_of(fit, WANTED, SETTINGS)


def test_every_cell_is_a_separate_fit_at_its_place() -> None:
    base = problem(molloy())
    over = [spread_out(base, MU, 0.02, 3.0, 4), spread_out(base, TAU, 0.004, 2.0, 5)]
    found = surface(base, over, WANTED, SETTINGS)
    assert found.numbers.shape == (4, 5, 6)
    for i, mu in enumerate(np.geomspace(0.02, 3.0, 4).tolist()):
        for j, tau in enumerate(np.geomspace(0.004, 2.0, 5).tolist()):
            cell = problem(
                molloy(), mu=f"Normal(mu=0, sigma={mu!r})", tau=f"HalfNormal(sigma={tau!r})"
            )
            np.testing.assert_allclose(found.numbers[i, j], _fit(cell), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.own, _fit(base), rtol=1e-8, atol=1e-8)
    assert found.at == (0.5, 0.25)


@pytest.mark.slow
def test_all_cells_of_a_large_surface_are_their_problems_on_nodes_of_their_own(
    tmp_path: Path,
) -> None:
    """The 60 × 60 surface of k = 50 that the benchmark measures, without anything shared."""
    rng = np.random.default_rng(1)
    sizes = rng.integers(20, 200, 50)
    r = np.tanh(rng.normal(0.25, np.sqrt(1 / (sizes - 3) + 0.15**2)))
    rows = [{"study": i, "ri": x, "ni": n} for i, (x, n) in enumerate(zip(r, sizes, strict=True))]
    base = problem(written(tmp_path, rows, "ZCOR"))
    over = [spread_out(base, argument, None, None, 60) for argument in (MU, TAU)]
    wanted = parse_quantities(["lower,upper,new_lower,P(rho > 0.1),log_evidence,tau"])
    found = surface(base, over, wanted, SETTINGS)
    jacobian = float(log_jacobian(base).sum())
    for i, mu in enumerate(over[0].values.tolist()):
        for j, tau in enumerate(over[1].values.tolist()):
            cell = varied(base, {MU: mu, TAU: tau})
            own = Exact(cell, quadrature.solve(cell))
            mean, new = own.mean_of(own.head), own.theta_new(own.head)
            assert isinstance(mean, Mixture) and isinstance(new, Mixture)
            expected = [
                *np.tanh(mean.quantile(np.array([0.025, 0.975]))),
                *np.tanh(new.quantile(np.array([0.025]))),
                1 - float(mean.cdf(np.array(math.atanh(0.1)))),
                own.quadrature.log_integral + jacobian,
                own.tau.summary(0.95, "eti").median,
            ]
            np.testing.assert_allclose(found.numbers[i, j], expected, rtol=1e-8, atol=1e-8)


def test_a_curve_over_a_centre_has_equal_differences_and_one_over_a_scale_equal_factors() -> None:
    base = problem(molloy())
    centre = spread_out(base, PriorArgument("mu", "mu"), None, None, 5)
    np.testing.assert_allclose(centre.values, [-1, -0.5, 0, 0.5, 1])
    scale = spread_out(base, MU, 0.1, 10, 3)
    np.testing.assert_allclose(scale.values, [0.1, 1, 10])
    found = surface(base, [centre], WANTED, SETTINGS)
    cell = problem(molloy(), mu="Normal(mu=0.5, sigma=0.5)")
    np.testing.assert_allclose(found.numbers[3], _fit(cell), rtol=1e-8)
    assert found.of(WANTED[1]).shape == (5,)


def test_two_arguments_of_one_prior_make_a_surface() -> None:
    base = problem(molloy())
    over = [spread_out(base, PriorArgument("mu", "mu"), 0.1, 0.3, 2), spread_out(base, MU, 1, 2, 2)]
    found = surface(base, over, WANTED, SETTINGS)
    cell = problem(molloy(), mu="Normal(mu=0.3, sigma=1)")
    np.testing.assert_allclose(found.numbers[1, 0], _fit(cell), rtol=1e-8)


def test_a_width_of_1_is_the_prior_as_it_is() -> None:
    base = problem(molloy(), tau="Exponential(lam=5)")
    width = spread_out(base, PriorArgument("tau", "width"), 0.1, 10, 3)
    found = surface(base, [width], WANTED, SETTINGS)
    np.testing.assert_allclose(found.numbers[1], found.own, rtol=1e-10)
    wide = problem(molloy(), tau="Exponential(lam=0.5)")
    np.testing.assert_allclose(found.numbers[2], _fit(wide), rtol=1e-8)


@pytest.mark.parametrize(
    ("argument", "start", "end", "count", "told"),
    [
        ("mu.sigma", 1.0, 1.0, 5, "range from 1 to 1 is empty"),
        ("mu.sigma", 2.0, 1.0, 5, "is empty"),
        ("mu.sigma", 0.0, 1.0, 5, "above 0"),
        ("mu.sigma", -1.0, 1.0, 5, "above 0"),
        ("mu.sigma", 1.0, 1e300, 5, "sizes from"),
        ("mu.sigma", 1.0, 2.0, 1, "2 to 1000 points"),
        ("mu.sigma", 1.0, 2.0, 10**9, "2 to 1000 points"),
        ("mu.beta", 1.0, 2.0, 5, "no such argument"),
        ("tua.sigma", 1.0, 2.0, 5, "did you mean 'tau'"),
    ],
)
def test_what_is_no_range_is_refused(
    argument: str, start: float, end: float, count: int, told: str
) -> None:
    with pytest.raises(InputError) as error:
        spread_out(problem(molloy()), parse_argument(argument), start, end, count)
    assert told in error.value.message


def test_one_or_two_different_arguments_are_varied() -> None:
    base = problem(molloy())
    mu = spread_out(base, MU, None, None, 3)
    for over in ([], [mu, mu], [mu, mu, mu]):
        with pytest.raises(InputError, match="one argument"):
            surface(base, over, WANTED, SETTINGS)


def test_a_quantity_that_the_model_lacks_is_refused_before_anything_is_fitted() -> None:
    base = problem(molloy(), mu="Flat()")
    over = [spread_out(base, TAU, None, None, 3)]
    with pytest.raises(InputError, match="bf_mu: the prior of mu, Flat"):
        surface(base, over, WANTED, SETTINGS)


def test_prior_sets_lie_on_a_surface_when_nothing_else_differs() -> None:
    base = problem(molloy())
    same = problem(molloy(), mu="Normal(mu=0, sigma=0.15)", tau="HalfNormal(sigma=0.1)")
    assert place_of(base, same, [MU, TAU]) == (0.15, 0.1)
    assert place_of(base, same, [MU]) is None
    for other in (
        problem(molloy(), mu="Normal(mu=0.1, sigma=0.15)"),
        problem(molloy(), mu="Cauchy(alpha=0, beta=0.15)"),
        problem(molloy(), tau="HalfCauchy(beta=0.15)"),
    ):
        assert place_of(base, other, [MU, TAU]) is None


def test_slow_models_have_fewer_points_by_default() -> None:
    quick, slower = problem(molloy()), problem(alliance("use"))
    assert default_points(quick, [MU, TAU], SETTINGS) == 60
    assert default_points(slower, [MU, TAU], SETTINGS) < 20
    assert default_points(slower, [MU], SETTINGS) < default_points(quick, [MU], SETTINGS)


def test_values_that_are_changed_leave_everything_else() -> None:
    base = problem(molloy())
    moved = varied(base, {MU: 0.1})
    assert str(moved.prior("mu")) == "Normal(mu=0, sigma=0.1)"
    assert moved.prior("tau") == base.prior("tau") and moved.evidence is base.evidence
    assert str(base.prior("mu")) == "Normal(mu=0, sigma=0.5)"


def test_extremes_are_found_where_there_is_a_value() -> None:
    assert extremes(np.array([[np.nan, 2.0], [-1.0, 1.0]])) == ((1, 0), (0, 1))
    # A Bayes factor larger than a computer's numbers is no missing one.
    assert extremes(np.array([[np.nan, 2.0], [-1.0, np.inf]])) == ((1, 0), (1, 1))
    assert extremes(np.full(3, np.nan)) is None
