"""Assurance: against roots of refits, closed forms and today's own numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from cases import alliance, eight_schools, model, molloy, problem
from metarho.compare.quantities import quantities_of
from metarho.compare.tipping import refitted
from metarho.engines import exact
from metarho.engines.problem import Problem, encode, problem_with
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.mixtures import Mixture
from metarho.predict.assurance import (
    ENDLESS,
    Goal,
    Prospect,
    check_assurance,
    check_studies,
    outlook,
    own_value,
    prospect,
    smallest,
)
from metarho.predict.futures import Further
from metarho.spec.analysis import Interval, Sampler
from metarho.spec.claims import parse_claim

SETTINGS = Settings()


def goal(text: str) -> Goal:
    return Goal(claim=parse_claim(text))


def seen(
    one: Problem, goals: Sequence[Goal], studies: int = 1, count: int = 2000, seed: int = 1
) -> Prospect:
    row = one.design.average
    settings = Settings(sampler=Sampler(seed=seed))
    return prospect(one, row, row, tuple(goals), settings, count, studies)


@pytest.mark.parametrize(
    ("text", "brackets"),
    [
        ("P(rho > 0.2) >= 0.95", [(-1.0, 0.4)]),
        ("lower > 0.2", [(-1.0, 0.6)]),
        ("rho_median > 0.3", [(0.0, 1.0)]),
        ("upper < 0.37", [(-1.0, 0.1), (0.1, 1.0)]),
        ("bf_mu > 5000", [(-0.5, 0.25), (0.25, 2.0)]),
        # A study that finds too much shows heterogeneity.
        ("new_lower > 0.1", [(-0.2, 0.28), (0.28, 1.5)]),
        ("P(rho_new > 0.1) > 0.975", [(-0.2, 0.28), (0.28, 1.5)]),
    ],
)
def test_assurance_is_the_predictive_mass_of_what_refits_say_settles_the_claim(
    text: str, brackets: list[tuple[float, float]]
) -> None:
    one = problem(alliance("drop"))
    claim, further = parse_claim(text), Further(100)

    def margin(z: float) -> float:
        return claim.margin(refitted(problem_with(one, math.tanh(z), 100), claim, SETTINGS))

    law = Exact(one, exact.integrate(one)).theta_new(one.design.average, further.variance)
    roots = [brentq(margin, low, high, xtol=1e-10) for low, high in brackets]
    mass = np.diff(np.concatenate([[0], law.cdf(np.array(roots)), [1]]))
    middles = [roots[0] - 0.1, *(np.add(roots[:-1], roots[1:]) / 2), roots[-1] + 0.1]
    expected = sum(part for part, z in zip(mass, middles, strict=True) if margin(z) > 0)
    found = outlook(seen(one, [goal(text)]), further, (goal(text),)).chances[0]
    # Lines between 2,000 points find a root to the square of their distance.
    assert found.probability == pytest.approx(expected, abs=2e-4)
    assert found.error is None


@pytest.mark.parametrize("text", ["P(rho > 0.15) >= 0.95", "lower > 0.15", "bf_mu > 3000"])
def test_with_words_too_it_is_the_mass_of_what_refits_say(text: str) -> None:
    one = problem(alliance("use"))
    claim, further = parse_claim(text), Further(100)

    def margin(z: float) -> float:
        return claim.margin(refitted(problem_with(one, math.tanh(z), 100), claim, SETTINGS))

    law = Exact(one, exact.integrate(one)).theta_new(one.design.average, further.variance)
    root = brentq(margin, -0.4, 0.6, xtol=1e-6)
    found = outlook(seen(one, [goal(text)], count=1000), further, (goal(text),)).chances[0]
    assert found.probability == pytest.approx(1 - float(law.cdf(np.array([root]))[0]), abs=5e-4)


def test_a_prior_cut_where_it_has_no_mass_says_what_the_whole_one_says() -> None:
    """The same posterior twice: in closed form, and with the mean on panels."""
    whole = problem(alliance("drop"))
    cut = problem(alliance("drop"), mu="Truncated(dist=Normal(mu=0, sigma=0.5), lower=-9)")
    goals = (goal("lower > 0.2"), goal("bf_mu > 5000"), Goal(width=0.16))
    first, second = (seen(one, goals, 3, 400) for one in (whole, cut))
    assert first.now.axis is None and second.now.axis is not None
    for ni in (20, 200, 2000):
        one, other = (outlook(here, Further(ni), goals) for here in (first, second))
        # Chances and quantiles lie between 400 points of grids that end in different places.
        assert [c.probability for c in other.chances] == pytest.approx(
            [c.probability for c in one.chances], abs=2e-3
        )
        assert (other.width, other.sd) == pytest.approx((one.width, one.sd), abs=1e-7)
        assert other.bf_mu == pytest.approx(one.bf_mu, rel=5e-3)
    # 100,000 people are not quite endless.
    one, other = (outlook(here, Further(here.endless), goals) for here in (first, second))
    assert other.width == pytest.approx(one.width, abs=1e-4)
    drawn = [outlook(here, Further(180, 3), goals) for here in (first, second)]
    assert abs(drawn[0].chances[2].probability - drawn[1].chances[2].probability) < 4 * 0.025


def test_in_a_common_effect_assurance_has_a_closed_form() -> None:
    """Normal prior, known variances: O'Hagan, Stevens and Campbell 2005, section 3."""
    one = problem(molloy(), "common-effect")
    (fit,) = fit_many([one], SETTINGS)
    mu = fit.parameters["mu"]
    assert mu.mean is not None and mu.sd is not None
    wanted = goal("P(rho > 0.1) >= 0.95")
    here = seen(one, [wanted])
    for ni in (30, 300, 3000):
        variance = 1 / (1 / mu.sd**2 + ni - 3)
        moves = math.sqrt(mu.sd**2 - variance)
        least = math.atanh(0.1) + norm.ppf(0.95) * math.sqrt(variance)
        expected = norm.cdf((mu.mean - least) / moves)
        found = outlook(here, Further(ni), (wanted,))
        assert found.chances[0].probability == pytest.approx(expected, abs=2e-4)
        assert found.sd == pytest.approx(math.sqrt(variance), abs=1e-9)
        assert found.mean == pytest.approx(mu.mean, abs=1e-12)


def test_several_studies_agree_with_one_where_effects_do_not_vary() -> None:
    one = problem(molloy(), "common-effect")
    wanted = goal("lower > 0.1")
    # Three of n + 6 people weigh what one of 3n does: n − 3 + 6 … so that 3(n − 3) = N − 3.
    single = outlook(seen(one, [wanted]), Further(180), (wanted,))
    triple = outlook(seen(one, [wanted], 3, 20_000), Further(186, 3), (wanted,))
    assert triple.sd == pytest.approx(single.sd, rel=1e-9)
    assert triple.width == pytest.approx(single.width, rel=1e-3)
    chance = triple.chances[0]
    assert chance.error is not None and 0 < chance.error < 0.004
    # Four standard errors.
    assert abs(chance.probability - single.chances[0].probability) < 4 * chance.error


def test_what_is_reported_of_tomorrow_without_news_is_what_a_fit_says_today() -> None:
    for one in (problem(alliance("drop")), problem(alliance("drop"), "three-level")):
        texts = ("rho_median > 0", "lower > 0", "upper > 0", "new_lower > 0", "new_upper > 0",
                 "P(rho > 0.1) > 0.5", "P(rho_new > 0.2) > 0.5", "bf_mu > 1",
                 "bf_tau > 1")  # fmt: skip
        goals = [goal(text) for text in texts]
        (fit,) = fit_many([one], SETTINGS)
        quantities = [g.claim.quantity for g in goals if g.claim is not None]
        expected = quantities_of(fit, quantities, SETTINGS)
        here = seen(one, goals, count=200)
        assert [own_value(here, g) for g in goals] == pytest.approx(expected, rel=1e-7)
        width = own_value(here, Goal(width=0.1))
        assert width == pytest.approx(expected[2] - expected[1], abs=1e-8)


def test_the_fewest_people_are_enough_and_one_fewer_are_not() -> None:
    one = problem(molloy())
    for wanted, studies in ((Goal(width=0.13), 1), (Goal(width=0.13), 3), (goal("lower > 0.1"), 4)):
        here = seen(one, [wanted], 4)
        (found,) = smallest(here, (wanted,), studies, 0.4)
        assert found.ni is not None and found.ni % studies == 0 and not found.is_first
        enough, fewer = (
            outlook(here, Further(ni, studies), (wanted,)).chances[0].probability
            for ni in (found.ni, found.ni - studies)
        )
        assert fewer < 0.4 <= enough == found.at.probability


def test_where_heterogeneity_is_in_the_way_no_size_is_enough() -> None:
    one = problem(alliance("drop"))
    wanted = Goal(width=0.15)
    here = seen(one, [wanted])
    (found,) = smallest(here, (wanted,), 1, 0.8)
    limit = outlook(here, Further(ENDLESS), (wanted,))
    assert found.ni is None
    assert found.at.probability == limit.chances[0].probability < 0.8
    # The limit is one: ten times the people change nothing.
    nearly = outlook(here, Further(ENDLESS / 10), (wanted,))
    assert nearly.width == pytest.approx(limit.width, abs=1e-7)
    assert limit.width < outlook(here, Further(2000), (wanted,)).width


def test_already_the_smallest_study_may_do() -> None:
    one = problem(alliance("drop"))
    wanted = (goal("lower > 0"), Goal(width=0.17))
    first, later = smallest(seen(one, wanted), wanted, 1, 0.8)
    assert first.is_first and first.ni == 4
    # Goals that are asked together are found as alone.
    assert not later.is_first and (later,) == smallest(seen(one, wanted), wanted[1:], 1, 0.8)


def test_more_studies_of_as_many_people_teach_more_where_effects_vary() -> None:
    one = problem(alliance("drop"))
    here = seen(one, [Goal(width=0.15)], 3)
    single, triple = (outlook(here, Further(600, m), (Goal(width=0.15),)) for m in (1, 3))
    assert triple.width < single.width
    assert triple.chances[0].probability > single.chances[0].probability


def test_bayes_factors_of_tomorrow_are_those_of_refits() -> None:
    one = problem(molloy(), "common-effect", mu="Normal(mu=0, sigma=0.2)")
    wanted = goal("bf_mu > 3")
    found = outlook(seen(one, [wanted]), Further(50), (wanted,))
    assert found.bf_mu is not None
    median, above, below = found.bf_mu
    assert found.chances[0].probability == pytest.approx(above)
    assert 0 <= below < above <= 1
    # The median future is a study at the median of its law.
    law = Exact(one, exact.integrate(one)).theta_new(one.design.average, 1 / 47)
    assert isinstance(law, Mixture)
    z = float(law.quantile(np.array(0.5)))
    grown = problem_with(one, math.tanh(z), 50)
    assert median == pytest.approx(refitted(grown, parse_claim("bf_mu > 3"), SETTINGS), rel=1e-3)


def test_a_flat_prior_has_no_bayes_factor_of_tomorrow_either() -> None:
    one = problem(alliance("drop"), mu="Flat()")
    found = outlook(seen(one, [goal("lower > 0")]), Further(50), (goal("lower > 0"),))
    assert found.bf_mu is None
    with pytest.raises(InputError, match="improper"):
        check_assurance(one, (goal("bf_mu > 3"),), SETTINGS)


def test_one_seed_draws_one_future_whatever_else_is_asked() -> None:
    one = problem(alliance("drop"))
    wanted = (Goal(width=0.15),)
    first = outlook(seen(one, wanted, 3, 300), Further(90, 3), wanted)
    assert first == outlook(seen(one, wanted, 3, 300), Further(90, 3), wanted)
    assert first != outlook(seen(one, wanted, 3, 300, seed=2), Further(90, 3), wanted)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (problem(alliance("use"), "three-level"), "is over tau_study, tau_effect, mu"),
        (problem(alliance("drop"), "exact-r"), "normal rows and effects"),
        (problem(alliance("drop"), "student-t"), "normal rows and effects"),
        (problem(alliance("drop"), "selection"), "normal rows and effects"),
        (problem(alliance("drop"), "mixture"), "it is sampled here"),
        (problem(alliance("drop"), tau="DuMouchel()"), "depends on the rows' standard errors"),
        (problem(alliance("drop"), mu="DiracDelta(c=0.1)"), "no study teaches anything"),
        (problem(eight_schools(), mu="Normal(mu=0, sigma=10)", tau="HalfNormal(sigma=10)"),
         "measure GEN"),
    ],
    ids=lambda value: value.model.name if isinstance(value, Problem) else None,
)  # fmt: skip
def test_models_without_a_closed_form_are_refused_by_name(one: Problem, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        check_assurance(one, (Goal(width=0.2),), SETTINGS)
    assert one.model.name in str(caught.value)


def test_shortest_intervals_and_other_quantities_are_refused() -> None:
    one = problem(alliance("drop"))
    with pytest.raises(InputError, match="equal-tailed"):
        check_assurance(one, (Goal(width=0.2),), Settings(interval=Interval(kind="hdi")))
    for text in ("tau > 0.1", "rho_mean > 0.1", "log_evidence > 0"):
        with pytest.raises(InputError, match="is not computed; allowed: rho_median"):
            check_assurance(one, (goal(text),), SETTINGS)
    none = encode(model("common-effect"), alliance("drop"))
    with pytest.raises(InputError, match="leaves heterogeneity free"):
        check_assurance(none, (goal("bf_tau > 3"),), SETTINGS)


@pytest.mark.parametrize(("ni", "studies"), [(3, 1), (0, 1), (-4, 1), (11, 3), (2e7, 1)])
def test_people_who_make_no_study_are_refused(ni: float, studies: int) -> None:
    with pytest.raises(InputError, match="at least 4 each"):
        check_studies(ni, studies)


def test_three_studies_that_are_simulated_and_refitted_reach_it_as_often() -> None:
    one = problem(alliance("drop"))
    wanted = (goal("P(rho > 0.2) >= 0.95"), Goal(width=0.15))
    further, count = Further(540, 3), 400
    chances = outlook(seen(one, wanted, 3, 4000), further, wanted).chances
    whole = exact.integrate(one)
    assert whole.mean is not None and whole.covariance is not None
    rng = np.random.default_rng(7)
    node = rng.choice(len(whole.node_mass), size=count, p=whole.node_mass)
    mu = rng.normal(whole.mean[node, 0], np.sqrt(whole.covariance[node, 0, 0]))
    theta = rng.normal(mu[:, None], whole.values["tau"][node, None], (count, 3))
    z = rng.normal(theta, math.sqrt(further.variance))
    reached = np.zeros((count, 2), dtype=bool)
    for index in range(count):
        grown = one
        for number in range(3):
            r = math.tanh(z[index, number])
            grown = problem_with(grown, r, further.each, name=f"new {number}")
        law = Exact(grown, exact.integrate(grown)).mean_of(grown.design.average)
        summary = law.summary(0.95, "eti")
        assert summary.upper is not None and summary.lower is not None
        above = 1 - float(law.cdf(np.array([math.atanh(0.2)]))[0])
        reached[index] = above >= 0.95, math.tanh(summary.upper) - math.tanh(summary.lower) < 0.15
    for found, chance in zip(reached.mean(axis=0).tolist(), chances, strict=True):
        assert chance.error is not None
        error = math.hypot(math.sqrt(found * (1 - found) / count), chance.error)
        assert abs(found - chance.probability) < 4 * error
