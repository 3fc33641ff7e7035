"""Figures of sensitivity and tipping: what they say, and that no number breaks them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cases import alliance, problem
from metarho.compare.surface import Surface, Varied, spread_out, surface
from metarho.compare.tipping import Crossing, Tipping
from metarho.fitting import Settings
from metarho.report.figures.sensitivity import (
    axis_label,
    in_words,
    sensitivity_curves,
    sensitivity_surface,
)
from metarho.report.figures.tipping import tipping_figure
from metarho.spec.claims import NAMES, Quantity, parse_claim, parse_quantities
from metarho.spec.prior_arguments import parse_argument

PRIORS = {"mu": "Normal(mu=0, sigma=0.5)", "tau": "HalfNormal(sigma=0.25)"}
X = Varied(parse_argument("mu.sigma"), np.geomspace(0.05, 5, 6), True)
Y = Varied(parse_argument("tau.sigma"), np.geomspace(0.02, 2, 4), True)
HOSTILE = {
    "no value": np.nan,
    "infinite": np.inf,
    "constant": 0.25,
    "zero": 0.0,
    "tiny": 1e-300,
    "large": 1e300,
}


def _surface(value: float, quantity: Quantity, *over: Varied) -> Surface:
    shape = tuple(len(one.values) for one in over)
    return Surface(
        over, (quantity,), np.full((*shape, 1), value), np.array([value]),
        tuple(float(one.values[1]) for one in over), ("ok",) * math.prod(shape), 0.0,
    )  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["lower", "bf_mu", "tau"])
def test_numbers_that_have_no_place_on_paper_break_nothing(value: float, name: str) -> None:
    quantity = Quantity(name)
    places = {"a $x_1$ & b": (0.5, 0.3)}
    drawn = sensitivity_surface(
        _surface(value, quantity, X, Y), places, (0.0, 0.1), PRIORS, "z", 0.95, []
    )
    assert "a $x_1$ &amp; b" in drawn.svg
    curve = sensitivity_curves(
        _surface(value, quantity, X), {"a": (0.5,)}, (0.0,), PRIORS, "z", 0.95, []
    )
    assert in_words(quantity, 0.95).split("'")[0] in curve.svg
    claim = parse_claim(f"{name} > 0.2")
    tipped = Tipping(claim, X, np.full(6, value), 0.5, value, (Crossing(0.2, 0.2, True),))
    assert "Claim: " in tipping_figure(tipped, (), PRIORS, "z", 0.95, "said").svg


def test_a_surface_with_holes_is_drawn_around_them() -> None:
    one = problem(alliance("drop"))
    over = [spread_out(one, parse_argument(a), None, None, 5) for a in ("mu.sigma", "tau.sigma")]
    wanted = parse_quantities(["lower,bf_mu,P(rho > 0.1)"])
    found = surface(one, over, wanted, Settings())
    found.numbers[1:3, 2] = np.nan
    found.numbers[4, 4] = np.inf
    drawn = sensitivity_surface(found, {}, (0.0, 0.1), PRIORS, "z", 0.9, [])
    assert "Lower end of the mean's 90% interval" in drawn.svg
    assert "none" in drawn.alternative


@pytest.mark.parametrize("name", [*NAMES, "rho", "rho_new"])
def test_every_quantity_has_words_of_its_own(name: str) -> None:
    quantity = Quantity(name, 0.1 if name.startswith("rho") and "_m" not in name else None)
    said = in_words(quantity, 0.95)
    assert said and "{" not in said and "None" not in said


@pytest.mark.parametrize(
    ("argument", "prior", "scale", "said"),
    [
        ("mu.sigma", "Normal(mu=0, sigma=0.5)", "z", "sigma of mu's prior (Normal, Fisher's z)"),
        ("mu.mu", "Normal(mu=0, sigma=0.5)", "r", "centre of mu's prior (Normal, r)"),
        ("tau.beta", "InverseGamma(alpha=1, beta=0.1) on tau2", "z",
         "beta of tau's prior (InverseGamma, tau2)"),
        ("tau.width", "Exponential(lam=2)", "yi",
         "prior of tau: times its own width (Exponential)"),
        ("tau.sigma", "HalfNormal(sigma=2)", "yi",
         "sigma of tau's prior (HalfNormal, the scale of yi)"),
    ],
)  # fmt: skip
def test_axes_say_what_is_varied_and_on_which_scale(
    argument: str, prior: str, scale: str, said: str
) -> None:
    parsed = parse_argument(argument)
    one = Varied(parsed, np.array([1.0, 2.0]), parsed.name != "mu")
    assert axis_label(one, {parsed.parameter: prior}, scale) == said
