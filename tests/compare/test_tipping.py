"""Tipping points: against closed forms, and refitted from the text of their prior."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from cases import alliance, eight_schools, molloy, problem
from metarho.compare.surface import spread_out
from metarho.compare.tipping import Tipping, crossings, refitted, sentence, tipping
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting import Settings
from metarho.spec.claims import parse_claim
from metarho.spec.prior_arguments import parse_argument

SETTINGS = Settings()


def _tip(
    one: Problem, claim: str, vary: str, start: float, end: float, points: int = 100
) -> Tipping:
    over = spread_out(one, parse_argument(vary), start, end, points)
    return tipping(one, parse_claim(claim), over, SETTINGS)


def _pooled(one: Problem) -> tuple[float, float]:
    """The estimate of a common effect and its standard error."""
    w = 1 / one.evidence.v
    return float(w @ one.evidence.y / w.sum()), float(w.sum() ** -0.5)


def test_the_sufficiently_sceptical_prior_is_that_of_reverse_bayes() -> None:
    """Held et al. 2022: variance σ²/(z²/z_α² − 1) makes the interval of a normal mean touch 0."""
    one = problem(molloy(), "common-effect")
    estimate, se = _pooled(one)
    z, limit = estimate / se, norm.ppf(0.975)
    found = _tip(one, "lower > 0", "mu.sigma", 0.0005, 5)
    (crossing,) = found.crossings
    assert crossing.at == pytest.approx(se / math.sqrt((z / limit) ** 2 - 1), rel=1e-9)
    assert crossing.holds_above and found.holds and found.nearest == crossing


def test_a_probability_tips_where_the_normal_posterior_says() -> None:
    one = problem(molloy(), "common-effect")
    estimate, se = _pooled(one)

    def above(sigma: float) -> float:
        precision = se**-2 + sigma**-2
        mean = estimate * se**-2 / precision
        return float(norm.sf(math.atanh(0.08), mean, precision**-0.5)) - 0.95

    root = brentq(above, 0.01, 10, xtol=1e-14)
    (crossing,) = _tip(one, "P(rho > 0.08) >= 0.95", "mu.sigma", 0.005, 5).crossings
    assert crossing.at == pytest.approx(root, rel=1e-9)


def test_a_bayes_factor_tips_twice_where_its_closed_form_does() -> None:
    one = problem(molloy(), "common-effect")
    estimate, se = _pooled(one)

    def log_bf(sigma: float) -> float:
        apart = norm.logpdf(estimate, 0, math.hypot(se, sigma)) - norm.logpdf(estimate, 0, se)
        return float(apart)

    most = max(log_bf(sigma) for sigma in np.geomspace(0.01, 10, 500))
    value = math.exp(most) / 2
    found = _tip(one, f"bf_mu > {value:.12g}", "mu.sigma", 0.01, 10)
    assert len(found.crossings) == 2
    assert [crossing.holds_above for crossing in found.crossings] == [True, False]
    for crossing in found.crossings:
        assert log_bf(crossing.at) == pytest.approx(math.log(value), abs=1e-8)


@pytest.mark.parametrize(
    ("claim", "vary", "start", "end"),
    [
        ("P(rho > 0.1) >= 0.95", "mu.sigma", 0.01, 5),
        ("lower > 0.195", "mu.mu", -3, 1),
        ("new_lower > 0.09", "tau.sigma", 0.01, 3),
        ("bf_mu > 300", "mu.sigma", 0.01, 5),
        ("bf_tau > 0.5", "tau.sigma", 0.005, 20),
        ("rho_mean < 0.27", "mu.sigma", 0.01, 5),
        ("tau < 0.05", "tau.width", 0.01, 10),
    ],
)
def test_refitted_from_its_text_the_quantity_sits_on_the_threshold(
    claim: str, vary: str, start: float, end: float
) -> None:
    one = problem(alliance("drop"))
    found = _tip(one, claim, vary, start, end)
    assert found.crossings
    argument, stated = parse_argument(vary), parse_claim(claim)
    for crossing in found.crossings:
        prior = argument.put_into(one.prior(argument.parameter), crossing.at)
        again = problem(alliance("drop"), **{argument.parameter: str(prior)})
        value = refitted(again, stated, SETTINGS)
        assert value == pytest.approx(stated.value, abs=1e-6)
        assert crossing.value == pytest.approx(value, abs=1e-9)


ROOT = math.pi / 10


@pytest.mark.parametrize(
    ("function", "roots"),
    [
        (lambda u: u - ROOT, [ROOT]),
        (lambda u: math.sin(20 * u + 0.1), [k * math.pi / 20 - 0.005 for k in range(1, 7)]),
        # Both roots between two points of the scan.
        (lambda u: (u - ROOT) ** 2 - 1e-6, [ROOT - 1e-3, ROOT + 1e-3]),
        (lambda u: 1e-6 - (u - ROOT) ** 2, [ROOT - 1e-3, ROOT + 1e-3]),
        (lambda u: abs(u - ROOT) - 1e-4, [ROOT - 1e-4, ROOT + 1e-4]),
        # It touches, or does not reach.
        (lambda u: (u - ROOT) ** 2 + 1e-9, []),
        (lambda u: (u - ROOT) ** 2 + 1.0, []),
        (lambda u: 1.0, []),
        (lambda u: math.inf if u > ROOT else -math.inf, [ROOT]),
    ],
)
def test_every_crossing_is_found_also_between_points(
    function: Callable[[float], float], roots: list[float]
) -> None:
    points = np.linspace(0.0, 1.0, 51)
    scan = np.array([function(u) for u in points.tolist()])
    found = crossings(parse_claim("lower > 0"), points, scan, function)
    np.testing.assert_allclose([at for at, _, _ in found], roots, atol=1e-9)
    for at, _, holds_above in found:
        assert holds_above == (function(at + 1e-6) > 0)


def test_a_claim_for_less_crosses_at_the_same_places_the_other_way() -> None:
    points = np.linspace(0.0, 1.0, 51)
    more = crossings(parse_claim("upper > 0.3"), points, points, float)
    less = crossings(parse_claim("upper < 0.3"), points, points, float)
    assert [at for at, _, _ in more] == pytest.approx([at for at, _, _ in less])
    assert [above for *_, above in more] == [True] and [above for *_, above in less] == [False]


def test_sentences_say_what_was_found() -> None:
    one = problem(alliance("drop"))
    prior = one.prior("mu")

    def said(claim: str, start: float, end: float) -> str:
        return sentence(_tip(one, claim, "mu.sigma", start, end), "default", prior)

    tips = said("P(rho > 0.1) >= 0.95", 0.05, 5)
    assert tips == (
        "With mu ~ Normal(mu=0, sigma=…), P(rho > 0.1) >= 0.95 fails when mu.sigma < 0.07236 and "
        "holds above 0.07236; default has mu.sigma = 0.5, where P(rho > 0.1) is 0.9997."
    )
    always = said("lower > 0", 0.1, 5)
    assert "lower > 0 holds everywhere from mu.sigma = 0.1 to 5: lower lies between 0." in always
    never = said("lower > 0.3", 0.1, 5)
    assert "lower > 0.3 never holds from mu.sigma = 0.1 to 5" in never
    twice = said("bf_mu > 3000", 0.05, 5)
    assert (
        "changes 2 times: it fails when mu.sigma < 0.2515; holds from 0.2515 to 0.338; fails above "
        "0.338." in twice
    )
    assert "the smallest change after which it holds is to 0.338." in twice
    assert "outside the range" in said("lower > 0", 1, 5)


def test_the_nearest_crossing_is_near_by_factors_for_scales_and_by_difference_for_centres() -> None:
    one = problem(alliance("drop"))
    scale = _tip(one, "bf_mu > 3000", "mu.sigma", 0.05, 5)
    assert scale.nearest is not None and scale.nearest.at == pytest.approx(0.338, abs=1e-3)
    assert not scale.holds


def test_what_has_no_tipping_point_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="is sampled here"):
        _tip(problem(alliance("drop"), "mixture"), "lower > 0", "mu.sigma", 0.1, 1)
    schools = problem(eight_schools(), mu="Normal(mu=0, sigma=10)", tau="HalfNormal(sigma=10)")
    with pytest.raises(InputError, match="has no correlations"):
        _tip(schools, "P(rho > 0.1) > 0.5", "mu.sigma", 1, 100)
    with pytest.raises(InputError, match="improper"):
        _tip(problem(molloy(), mu="Flat()"), "bf_mu > 3", "tau.sigma", 0.1, 1)
