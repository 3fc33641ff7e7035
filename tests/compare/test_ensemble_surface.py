"""Ensembles over arguments of priors: against normal densities and SciPy's root finding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from cases import REFERENCES, alliance, problem
from metarho.compare.averaging import new_of
from metarho.compare.ensemble import ensemble_of
from metarho.compare.ensemble_surface import (
    Candidate,
    ensemble_surface,
    ensemble_tipping,
    place_in,
    refusal,
    spread_out,
    steps,
)
from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.spec.claims import Quantity, parse_claim, parse_quantities
from metarho.spec.weight_arguments import parse_varied

SETTINGS = Settings()
NONE = "DiracDelta(c=0)"
SIGMA, WIDTH = parse_varied("mu.sigma"), parse_varied("mu.width")
# The probability of an effect before the data.
EFFECT = 0.3


@cache
def _few() -> Studies:
    """Rows whose evidence leaves an effect and none in doubt."""
    columns = {"ri": "ri", "ni": "ni"}
    return load_studies(REFERENCES / "molloy2014.csv", columns=columns, where="ri < 0.16")


def _of(model: str, prior: float, **priors: str) -> Candidate:
    one = problem(_few(), model, **priors)
    return Candidate(
        model,
        priors.get("mu") != NONE,
        priors.get("tau") != NONE,
        prior,
        one,
        "auto",
    )


@cache
def _conjugate() -> tuple[Candidate, ...]:
    """mu ~ Normal(0, .5) against mu = 0; no heterogeneity."""
    return (
        _of("random-effects", EFFECT, mu="Normal(mu=0, sigma=0.5)", tau=NONE),
        _of("random-effects", 1 - EFFECT, mu=NONE, tau=NONE),
    )


def _log_evidence(sigma: float) -> float:
    """The log density of the rows: z ~ N(0, diag v + sigma² 1 1ᵀ)."""
    evidence = problem(_few()).evidence
    covariance = np.diag(evidence.v) + sigma**2
    return float(stats.multivariate_normal(np.zeros(evidence.k), covariance).logpdf(evidence.y))


def _bf(sigma: float) -> float:
    return math.exp(_log_evidence(sigma) - _log_evidence(0.0))


def _probable(sigma: float) -> float:
    """The probability of an effect given the data."""
    return EFFECT * _bf(sigma) / (EFFECT * _bf(sigma) + 1 - EFFECT)


def _above(sigma: float) -> Callable[[float], float]:
    """z → P(mu > z | data, an effect)."""
    evidence = problem(_few()).evidence
    precision = (1 / evidence.v).sum() + 1 / sigma**2
    law = stats.norm((evidence.y / evidence.v).sum() / precision, 1 / math.sqrt(precision))
    return lambda z: float(law.sf(z))


def test_inclusion_and_averages_over_a_scale_are_those_of_normal_densities() -> None:
    over = spread_out(_conjugate(), SIGMA, 0.05, 1.0, 4)
    wanted = parse_quantities(
        ["bf_effect", "log_evidence", "P(rho > 0.05)", "upper", "rho_median", "tau"],
        of_ensemble=True,
    )
    found = ensemble_surface(_conjugate(), [over], wanted, SETTINGS)
    for place, sigma in enumerate(over.values.tolist()):
        factor, evidence, above, upper, median, tau = found.numbers[place].tolist()
        assert factor == pytest.approx(_bf(sigma), rel=1e-8)
        whole = EFFECT * _bf(sigma) + 1 - EFFECT
        assert evidence == pytest.approx(math.log(whole) + _log_evidence(0.0), abs=1e-8)
        p, tail = _probable(sigma), _above(sigma)
        assert above == pytest.approx(p * tail(math.atanh(0.05)), abs=1e-8)
        assert p * tail(math.atanh(upper)) == pytest.approx(0.025, abs=1e-8)
        # The spike at 0 holds the median wherever an effect is less probable than not.
        assert (median == 0) == (p * tail(0.0) < 0.5)
        assert tau == 0
    assert found.own[0] == pytest.approx(_bf(0.5), rel=1e-8) and found.at == (0.5,)
    assert set(found.statuses) == {"ok"} and found.error is not None and found.error < 1e-9


def test_an_inclusion_bayes_factor_tips_where_its_closed_form_does() -> None:
    claim = parse_claim("bf_effect > 1.5", of_ensemble=True)
    over = spread_out(_conjugate(), SIGMA, 0.1, 5.0, 9)
    (crossing,) = ensemble_tipping(_conjugate(), claim, over, SETTINGS).crossings
    root = brentq(lambda sigma: _bf(sigma) - 1.5, 0.1, 5.0, xtol=1e-14)
    assert crossing.at == pytest.approx(root, rel=1e-9) and not crossing.holds_above


@cache
def _with_bias() -> tuple[Candidate, ...]:
    """Two models with and without an effect and heterogeneity."""
    found = []
    for model, share in (("random-effects", 0.6), ("peese", 0.4)):
        for mu in ({}, {"mu": NONE}):
            for tau in ({}, {"tau": NONE}):
                found.append(_of(model, share / 4, **mu, **tau))
    return tuple(found)


def test_a_surface_has_at_each_place_the_ensemble_that_is_written_there() -> None:
    tau = parse_varied("tau.sigma")
    over = [spread_out(_with_bias(), one, 0.1, 0.4, 2) for one in (SIGMA, tau)]
    wanted = parse_quantities(["bf_effect,bf_heterogeneity,bf_bias"], of_ensemble=True)
    found = ensemble_surface(_with_bias(), over, wanted, SETTINGS)
    priors = {"mu": "Normal(mu=0, sigma=0.4)", "tau": "HalfNormal(sigma=0.1)"}

    def written(one: Candidate) -> Problem:
        own = {"mu": one.effect, "tau": one.heterogeneity}
        said = {name: priors[name] if has else NONE for name, has in own.items()}
        return problem(_few(), one.model, **said)

    fits = fit_many([written(one) for one in _with_bias()], SETTINGS)
    weights = np.array(
        [one.prior * math.exp(fit.log_evidence or math.nan)
         for one, fit in zip(_with_bias(), fits, strict=True)]
    )  # fmt: skip
    for place, has in enumerate(
        [
            [one.effect for one in _with_bias()],
            [one.heterogeneity for one in _with_bias()],
            [one.model == "peese" for one in _with_bias()],
        ]
    ):
        here = np.array(has)
        before = sum(one.prior for one, yes in zip(_with_bias(), has, strict=True) if yes)
        odds = weights[here].sum() / weights[~here].sum() / (before / (1 - before))
        assert found.numbers[1, 0, place] == pytest.approx(odds, rel=1e-7)
    # The four without an effect and heterogeneity, or one of them, are not fitted everywhere.
    assert steps(_with_bias(), over) == 6 * 5 + 2


def test_averages_are_those_over_all_members_of_the_ensemble() -> None:
    members = _with_bias()[:4]
    names = ["rho_median", "lower", "upper", "new_lower", "new_upper", "tau"]
    wanted = parse_quantities([*names, "P(rho_new > 0.1)"], of_ensemble=True)
    found = ensemble_surface(members, [spread_out(members, SIGMA, 0.4, 0.5, 2)], wanted, SETTINGS)
    fits = fit_many([one.problem for one in members], SETTINGS)
    ensemble = ensemble_of([one.member(fit) for one, fit in zip(members, fits, strict=True)])
    rho, tau, new = (
        next(e for e in ensemble.estimates(0.95) if (e.quantity, e.over) == (quantity, "all"))
        for quantity in ("rho", "tau", "rho_new")
    )
    expected = [
        rho.summary.median, rho.summary.lower, rho.summary.upper,
        new.summary.lower, new.summary.upper, tau.summary.median,
    ]  # fmt: skip
    assert found.own[:-1] == pytest.approx(expected, abs=1e-9)
    assert found.numbers[1] == pytest.approx(found.own, abs=1e-9)
    # A new study's true effect is 0 for sure in the member without an effect and heterogeneity.
    above = [
        0.0 if not (one.effect or one.heterogeneity)
        else 1 - float(new_of(fit).cdf(np.array(0.1)))
        for one, fit in zip(members, fits, strict=True)
    ]  # fmt: skip
    assert found.own[-1] == pytest.approx(float(ensemble.probabilities @ above), abs=1e-9)


def test_another_prior_set_lies_on_the_surface_where_all_members_do() -> None:
    def moved(sigma: float, at: int | None = None) -> tuple[Candidate, ...]:
        return tuple(
            one.under({SIGMA: sigma if at is None or index == at else 0.2})
            for index, one in enumerate(_with_bias())
        )

    assert place_in(_with_bias(), moved(0.15), [SIGMA]) == (0.15,)
    # Members without an effect have no scale of mu; one that differs puts all of them off it.
    assert place_in(_with_bias(), moved(0.15, at=0), [SIGMA]) is None
    other = tuple(
        replace(one, problem=problem(_few(), one.model, tau="HalfCauchy(beta=0.1)"))
        for one in _with_bias()
    )
    assert place_in(_with_bias(), other, [SIGMA]) is None


def test_members_that_differ_in_a_scale_share_its_width() -> None:
    mixed = (
        _of("random-effects", 0.5, mu="Normal(mu=0, sigma=0.2)"),
        _of("peese", 0.5, mu="Normal(mu=0, sigma=0.5)"),
    )
    with pytest.raises(InputError, match=r"members differ in it \(0\.2, 0\.5\); vary mu\.width"):
        spread_out(mixed, SIGMA, None, None, 3)
    over = spread_out(mixed, WIDTH, None, None, 3)
    assert over.values.tolist() == pytest.approx([0.1, 1, 10])
    wide = [one.under({WIDTH: 2.0}).problem.prior("mu").values["sigma"] for one in mixed]
    assert wide == [0.4, 1.0]


def test_what_an_ensemble_does_not_have_is_refused() -> None:
    members = _conjugate()
    assert "no member has it" in (refusal(members, Quantity("bf_bias")) or "")
    assert "every member has it" in (refusal(members[:1], Quantity("bf_effect")) or "")
    with pytest.raises(InputError, match="has models of selection of its own"):
        spread_out(members, parse_varied("omega[p > 0.025]"), None, None, 3)
    with pytest.raises(InputError, match="no member has a parameter 'tau'"):
        spread_out(members, parse_varied("tau.sigma"), None, None, 3)
    sampled = Candidate("mixture", True, True, 1.0, problem(alliance("drop"), "mixture"), "auto")
    claim = parse_claim("lower > 0", of_ensemble=True)
    over = spread_out((sampled,), SIGMA, None, None, 3)
    with pytest.raises(InputError, match="model mixture is sampled here"):
        ensemble_tipping((sampled,), claim, over, SETTINGS)


def test_models_and_ensembles_are_asked_for_what_they_have() -> None:
    for text, of_ensemble, told in (
        ("bf_effect", False, "asked of an ensemble, not one model"),
        ("bf_mu", True, "asked of one model, not an ensemble"),
    ):
        with pytest.raises(InputError, match=told):
            parse_quantities([text], of_ensemble=of_ensemble)
