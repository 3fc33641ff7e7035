"""How strong selection must be: against SciPy's integration and root finding."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import fixed_quad, quad
from scipy.optimize import brentq
from scipy.special import ndtr

from cases import alliance, eight_schools, model, molloy, problem
from metarho.compare.quantities import quantities_of
from metarho.compare.selected import less_often, selectable
from metarho.compare.strength import log_evidence_ratios, strength_sentence, which_results
from metarho.compare.surface import spread_out, surface, varied
from metarho.compare.tipping import Crossing, Tipping, tipping
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.spec.claims import parse_claim, parse_quantities
from metarho.spec.model import Step, StepSelection
from metarho.spec.weight_arguments import WeightArgument, parse_varied

type Array = NDArray[np.float64]

SETTINGS = Settings()
QUANTITIES = parse_quantities(["rho_median,lower,upper,P(rho > 0),log_evidence"])


def _weight(text: str) -> WeightArgument:
    found = parse_varied(text)
    assert isinstance(found, WeightArgument)
    return found


ABOVE = _weight("omega[p > 0.025]")


def _at(base: Problem, weight: WeightArgument, value: float) -> list[float]:
    one = varied(selectable(base, [weight]), {weight: value})
    (fit,) = fit_many([one], SETTINGS)
    return quantities_of(fit, QUANTITIES, SETTINGS)


@cache
def _rows() -> tuple[Array, Array, Array]:
    """Correlations on z, their variances, and where one-sided p is .025."""
    evidence = problem(molloy()).evidence
    n = np.array([row.ni for row in evidence.rows], dtype=float)
    t = stats.t.isf(0.025, n - 2)
    return evidence.y, evidence.v, np.arctanh(t / np.sqrt(n - 2 + t**2))


def _likelihood(mu: float, tau: Array, omega: float) -> Array:
    """Of the 16 correlations, those with one-sided p > .025 being reported omega times as often."""
    y, v, limit = _rows()
    sd = np.sqrt(v + tau[:, None] ** 2)
    chance = ndtr((mu - limit) / sd)
    weight = np.where(y < limit, omega, 1.0)
    density = np.exp(-0.5 * ((y - mu) / sd) ** 2) / (math.sqrt(2 * math.pi) * sd)
    return np.asarray(np.prod(density * weight / (chance + omega * (1 - chance)), axis=1))


def _mass(omega: float, low: float, high: float) -> float:
    """The integral of prior and likelihood over mu from low to high, and over all of tau."""

    def over_tau(mu: float) -> float:
        found, _ = fixed_quad(
            lambda tau: 2 * stats.norm.pdf(tau, 0, 0.25) * _likelihood(mu, tau, omega),
            0,
            1.2,
            n=150,
        )
        return float(stats.norm.pdf(mu, 0, 0.5) * found)

    return float(quad(over_tau, low, high, epsabs=0, epsrel=1e-10)[0])


@pytest.mark.slow
def test_where_the_bound_is_0_a_fortieth_of_the_posterior_lies_below_it_by_scipy() -> None:
    one = selectable(problem(molloy()), [ABOVE])
    claim = parse_claim("lower > 0")
    found = tipping(one, claim, spread_out(one, ABOVE, 0.1, 0.4, 3), SETTINGS)
    (crossing,) = found.crossings
    assert crossing.holds_above and crossing.value == pytest.approx(0, abs=1e-12)
    below, above = (_mass(crossing.at, low, high) for low, high in ((-0.6, 0), (0, 0.8)))
    assert below / (below + above) == pytest.approx(0.025, abs=1e-8)
    (ratio,) = log_evidence_ratios(one, ABOVE, [crossing.at], SETTINGS)
    without = _mass(1.0, -0.6, 0.8)
    assert ratio == pytest.approx(math.log((below + above) / without), abs=1e-7)


def _common(omega: float, low: float = -1.0, high: float = 1.0) -> float:
    """The same of a common effect."""

    def density(mu: float) -> float:
        prior = math.exp(-2 * mu**2) / (0.5 * math.sqrt(2 * math.pi))
        return float(prior * _likelihood(mu, np.zeros(1), omega)[0])

    return float(quad(density, low, high, points=[0.05, 0.15], epsabs=0, epsrel=1e-11)[0])


def test_a_path_has_the_posteriors_that_scipy_integrates() -> None:
    one = selectable(problem(molloy(), "common-effect"), [ABOVE])
    over = spread_out(one, ABOVE, 0.05, 1.0, 3)
    found = surface(one, [over], QUANTITIES, SETTINGS)
    for place, omega in enumerate(over.values.tolist()):
        _, lower, _, above, log_evidence = found.numbers[place].tolist()
        whole = _common(omega)
        assert log_evidence == pytest.approx(math.log(whole), abs=1e-8)
        assert above == pytest.approx(_common(omega, 0.0) / whole, abs=1e-8)
        assert _common(omega, high=math.atanh(lower)) / whole == pytest.approx(0.025, abs=1e-8)


def test_the_tipping_weight_is_the_root_that_scipy_finds() -> None:
    one = selectable(problem(molloy(), "common-effect"), [ABOVE])
    found = tipping(one, parse_claim("lower > 0"), spread_out(one, ABOVE, None, None, 5), SETTINGS)
    (crossing,) = found.crossings
    root = brentq(lambda w: _common(w, high=0.0) / _common(w) - 0.025, 0.01, 1.0, xtol=1e-12)
    assert crossing.at == pytest.approx(root, rel=1e-7)
    assert found.at == 1.0 and found.holds and crossing.holds_above
    ratios = log_evidence_ratios(one, ABOVE, [crossing.at], SETTINGS)
    assert ratios == pytest.approx([math.log(_common(root) / _common(1.0))], abs=1e-8)


@pytest.mark.parametrize("intervals", ["drop", "use"])
def test_a_weight_of_1_is_the_model_without_selection(intervals: str) -> None:
    base = problem(alliance(intervals), "common-effect")
    (plain,) = fit_many([base], SETTINGS)
    for text in ("omega[p > 0.025]", "omega[two-sided p > 0.05]"):
        expected = quantities_of(plain, QUANTITIES, SETTINGS)
        assert _at(base, _weight(text), 1.0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("omega[p > 0.025]", Step(cutpoints=(0.025,), weights=(0.3,), test="t")),
        ("omega[two-sided p > 0.05]",
         Step(cutpoints=(0.05,), weights=(0.3,), sides="two", test="t")),
        ("omega[p < 0.975]",
         Step(cutpoints=(0.025,), weights=(0.3,), favours="negative", test="t")),
    ],
)  # fmt: skip
def test_it_is_the_step_that_a_model_writes_with_a_known_weight_words_included(
    text: str, step: Step
) -> None:
    written = model("common-effect").model_copy(update={"selection": StepSelection(step=step)})
    (fit,) = fit_many([encode(written, alliance())], SETTINGS)
    found = _at(problem(alliance(), "common-effect"), _weight(text), 0.3)
    assert found == pytest.approx(quantities_of(fit, QUANTITIES, SETTINGS), abs=1e-9)


def test_what_favours_negative_effects_mirrors_what_favours_positive_ones() -> None:
    base = problem(molloy(), "common-effect")
    mirrored = replace(base, evidence=replace(base.evidence, y=-base.evidence.y))
    median, lower, upper, above, evidence = _at(base, ABOVE, 0.2)
    assert _at(mirrored, _weight("omega[p < 0.975]"), 0.2) == pytest.approx(
        [-median, -upper, -lower, 1 - above, evidence], abs=1e-9
    )


def test_rows_without_a_t_test_are_selected_by_the_normal_p() -> None:
    schools = problem(eight_schools(), "common-effect", mu="Normal(mu=0, sigma=10)")
    assert which_results(selectable(schools, [ABOVE]), ABOVE) == (
        "results with one-sided p of y/√v > 0.025"
    )
    correlations = problem(molloy())
    for text, said in (
        ("omega[two-sided p > 0.05]", "results with two-sided p of r's t test > 0.05"),
        ("omega[p < 0.975]", "results with one-sided p of r's t test < 0.975"),
    ):
        weight = _weight(text)
        assert which_results(selectable(correlations, [weight]), weight) == said


def test_what_has_no_weight_to_vary_is_refused() -> None:
    for name in ("pet", "selection"):
        with pytest.raises(InputError, match=f"model {name} has a selection or bias of its own"):
            selectable(problem(molloy(), name), [ABOVE])
    with pytest.raises(InputError, match="one weight at a time"):
        selectable(problem(molloy()), [ABOVE, _weight("omega[p > 0.05]")])
    for value in (0.0, -1.0, math.inf):
        with pytest.raises(InputError, match="no finite number above 0"):
            varied(selectable(problem(molloy()), [ABOVE]), {ABOVE: value})


@cache
def _selected() -> Problem:
    return selectable(problem(molloy()), [ABOVE])


def _tipped(
    claim: str, scan: list[float], own: float, at: tuple[float, ...] = (), high: float = 1.0
) -> Tipping:
    """A scan from .01 up, with crossings put in by hand; the claim changes at each."""
    stated, over = parse_claim(claim), spread_out(_selected(), ABOVE, 0.01, high, len(scan))
    state, crossings = stated.holds(scan[0]), []
    for one in at:
        state = not state
        crossings.append(Crossing(one, stated.value, state))
    return Tipping(stated, over, np.array(scan), 1.0, own, tuple(crossings))


RESULTS = "results with one-sided p of r's t test > 0.025"


@pytest.mark.parametrize(
    ("found", "ratios", "said"),
    [
        (
            _tipped("lower > 0", [-0.2, -0.1, 0.1], 0.1, (0.2,)),
            (math.log(4),),
            "Without selection lower > 0 holds: lower is 0.1000. It would fail if "
            f"{RESULTS} were reported 5 times less often than all others (omega = 0.2). "
            "The rows are 4 times as probable with that weight as without selection.",
        ),
        (
            _tipped("lower > 0", [-0.2, -0.1, 0.1], 0.1, (0.2,)),
            (-math.log(25),),
            "Without selection lower > 0 holds: lower is 0.1000. It would fail if "
            f"{RESULTS} were reported 5 times less often than all others (omega = 0.2). "
            "The rows are 25 times less probable with that weight than without selection.",
        ),
        (
            _tipped("lower > 0", [0.01, 0.1, 0.2], 0.2),
            (),
            "Without selection lower > 0 holds: lower is 0.2000. It never changes from omega = "
            f"0.01 to 1: even if {RESULTS} were reported 100 times less often than all others, "
            "lower would be 0.0100.",
        ),
        (
            _tipped("lower > 0", [-0.3, -0.2, -0.1], -0.1),
            (),
            "Without selection lower > 0 fails: lower is -0.1000. It never changes from omega = "
            f"0.01 to 1: even if {RESULTS} were reported 100 times less often than all others, "
            "lower would be -0.3000.",
        ),
        (
            _tipped("lower > 0", [-0.3, -0.1, 0.1], -0.01, (1.5,), high=2.0),
            (None,),
            "Without selection lower > 0 fails: lower is -0.0100. It would hold if "
            f"{RESULTS} were reported 1.5 times more often than all others (omega = 1.5).",
        ),
        (
            _tipped("P(rho > 0.1) > 0.5", [0.6, 0.3, 0.6], 0.6, (0.05, 0.5)),
            (-1000.0, 0.0),
            "Without selection P(rho > 0.1) > 0.5 holds: P(rho > 0.1) is 0.6000. It would fail if "
            f"{RESULTS} were reported 2 times less often than all others (omega = 0.5). "
            "The rows are 1 times as probable with that weight as without selection. From omega = "
            "0.01 to 1 it changes 2 times: it holds when omega[p > 0.025] < 0.05; fails from 0.05 "
            "to 0.5; holds above 0.5.",
        ),
        (
            _tipped("lower > 0", [-0.3, -0.2, -0.1], 0.1, high=0.5),
            (),
            "Without selection lower > 0 holds: lower is 0.1000. It fails from omega = 0.01 to "
            f"0.5: even if {RESULTS} were reported 100 times less often than all others, lower "
            "would be -0.3000.",
        ),
    ],
)  # fmt: skip
def test_sentences_say_how_strong_selection_must_be(
    found: Tipping, ratios: tuple[float | None, ...], said: str
) -> None:
    assert strength_sentence(found, _selected(), ratios) == said


def test_weights_are_said_as_how_often() -> None:
    assert [less_often(one) for one in (1.0, 0.2, 0.0001, 3.0)] == [
        "as often", "5 times less often", "1e+04 times less often", "3 times more often",
    ]  # fmt: skip
