"""Ensembles, against sums written out here and SciPy's root finding."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from cases import REFERENCES, alliance, model, molloy, problem
from metarho.compare.ensemble import (
    ALL,
    Component,
    Ensemble,
    Estimate,
    Member,
    component_in_words,
    ensemble_of,
    spike_in_words,
)
from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import encode
from metarho.errors import FitError, InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.spec.model import Model, Step, StepSelection
from metarho.spec.priors import parse_prior

PROB = 0.9
NONE = "DiracDelta(c=0)"
# Sds of the priors of mu (None: mu = 0), and probabilities before the data; tau = 0.
CONJUGATE: tuple[tuple[float | None, float], ...] = ((0.5, 0.3), (0.05, 0.1), (None, 0.6))


def _few() -> Studies:
    """Rows whose evidence leaves an effect and none in doubt."""
    columns = {"ri": "ri", "ni": "ni"}
    return load_studies(REFERENCES / "molloy2014.csv", columns=columns, where="ri < 0.16")


def _conjugate() -> Ensemble:
    priors = [NONE if sd is None else f"Normal(mu=0, sigma={sd})" for sd, _ in CONJUGATE]
    fits = fit_many([problem(_few(), mu=prior, tau=NONE) for prior in priors], Settings())
    return ensemble_of(
        [
            Member("random-effects", sd is not None, False, prior, fit)
            for (sd, prior), fit in zip(CONJUGATE, fits, strict=True)
        ]
    )


def _log_evidence(sd: float | None) -> float:
    """The log density of the correlations: z ~ N(0, diag v + sd² 1 1ᵀ)."""
    evidence = problem(_few()).evidence
    covariance = np.diag(evidence.v) + (sd or 0.0) ** 2
    zero = np.zeros(evidence.k)
    return float(stats.multivariate_normal(zero, covariance).logpdf(evidence.y))


def _posterior(sd: float) -> Any:
    """The law of mu given the data."""
    evidence = problem(_few()).evidence
    precision = (1 / evidence.v).sum() + 1 / sd**2
    return stats.norm((evidence.y / evidence.v).sum() / precision, 1 / math.sqrt(precision))


def _by_hand() -> np.ndarray[Any, np.dtype[np.float64]]:
    weights = np.array([prior * math.exp(_log_evidence(sd)) for sd, prior in CONJUGATE])
    return np.asarray(weights / weights.sum())


def _one(found: Ensemble, quantity: str, over: str = ALL) -> Estimate:
    return next(e for e in found.estimates(PROB) if e.quantity == quantity and e.over == over)


def test_members_are_as_probable_as_prior_times_evidence_says() -> None:
    np.testing.assert_allclose(_conjugate().probabilities, _by_hand(), rtol=1e-9)


def test_an_inclusion_bayes_factor_is_posterior_odds_over_prior_odds() -> None:
    (effect,) = _conjugate().components
    p = _by_hand()
    assert effect.name == "effect" and effect.members == 2
    assert effect.prior == pytest.approx(0.4)
    assert effect.posterior == pytest.approx(p[0] + p[1], rel=1e-9)
    assert effect.log_bf == pytest.approx(math.log((p[0] + p[1]) / p[2] / (0.4 / 0.6)), rel=1e-9)
    assert effect.mcse is None


def test_a_bayes_factor_is_right_where_the_others_are_as_good_as_impossible() -> None:
    found = _conjugate()
    far = [
        Member(m.model, m.effect, m.heterogeneity, m.prior if m.effect else 1e-300, m.fit)
        for m in found.members
    ]
    (effect,) = ensemble_of(far).components
    # 1 − posterior has no digit left; the Bayes factor is of the same two sides as before.
    assert effect.posterior == pytest.approx(1.0, abs=1e-15)
    assert effect.log_bf == pytest.approx(found.components[0].log_bf, rel=1e-9)


def test_averages_are_mixtures_with_a_spike_and_conditional_ones_are_without() -> None:
    found, p = _conjugate(), _by_hand()
    laws = [_posterior(sd) for sd, _ in CONJUGATE if sd is not None]

    def below(r: float, weights: Any, spike: float) -> float:
        z = math.atanh(r)
        parts = sum(w * law.cdf(z) for w, law in zip(weights, laws, strict=True))
        return float(parts) + spike * (r >= 0)

    every, given = _one(found, "rho"), _one(found, "rho", "with an effect")
    assert every.spike == pytest.approx(p[2], rel=1e-9) and given.spike == 0
    assert (every.members, given.members) == (3, 2)
    assert given.probable == pytest.approx(p[0] + p[1], rel=1e-9)
    both = p[:2] / p[:2].sum()
    for estimate, weights, spike in ((every, p[:2], p[2]), (given, both, 0.0)):
        for value, share in ((estimate.summary.lower, 0.05), (estimate.summary.upper, 0.95)):
            root = brentq(lambda r, s=share, w=weights, k=spike: below(r, w, k) - s, -0.9, 0.9)
            assert value == pytest.approx(root, abs=1e-9)


def test_a_quantile_that_the_spike_holds_is_exactly_the_spike() -> None:
    members = [replace(m, prior=m.prior if m.effect else 1e9) for m in _conjugate().members]
    rho = _one(ensemble_of(members), "rho")
    assert rho.spike > 0.95
    assert (rho.summary.lower, rho.summary.median) == (0.0, 0.0)
    assert spike_in_words(rho, None) == "rho is exactly 0 with probability >0.999"


def _selected(step: Step) -> Model:
    return model("selection").model_copy(update={"selection": StepSelection(step=step)})


def _weighted() -> Ensemble:
    """Members whose weights are known: two-sided, one-sided, against negatives, none."""
    steps = (
        Step(cutpoints=(0.05,), weights=(0.5,), sides="two"),
        Step(cutpoints=(0.05, 0.5), weights=(0.7, 0.2)),
        Step(cutpoints=(0.025,), weights=(0.4,), favours="negative"),
    )
    models = [*map(_selected, steps), model("random-effects")]
    own = {"mu": parse_prior("Normal(mu=0, sigma=0.5)"), "tau": parse_prior(NONE)}
    fits = fit_many([encode(one, molloy(), own) for one in models], Settings())
    names = ("two", "one", "negative", "none")
    return ensemble_of(
        [Member(name, True, False, 0.25, fit) for name, fit in zip(names, fits, strict=True)]
    )


def test_weights_are_told_on_all_members_cutpoints_and_are_1_without_selection() -> None:
    found = _weighted()
    stretches = [(0, 0.025), (0.025, 0.05), (0.05, 0.5), (0.5, 0.975), (0.975, 1)]
    assert found.stretches == tuple(stretches)
    # By stretch: two-sided, one-sided, favouring negatives, none.
    weights = [
        (1.0, 1.0, 0.4, 1.0), (0.5, 1.0, 0.4, 1.0), (0.5, 0.7, 0.4, 1.0),
        (0.5, 0.2, 0.4, 1.0), (1.0, 0.2, 1.0, 1.0),
    ]  # fmt: skip
    p = found.probabilities
    for (low, high), of_members in zip(stretches, weights, strict=True):
        every = _one(found, f"omega[{low:g}-{high:g}]")
        assert every.summary.mean == pytest.approx(float(p @ np.array(of_members)), rel=1e-9)
        is_one = np.array(of_members) == 1
        assert every.at == 1 and every.spike == pytest.approx(p[is_one].sum(), rel=1e-9)
        given = _one(found, f"omega[{low:g}-{high:g}]", "with a weight function")
        own = p[:3] / p[:3].sum()
        assert given.summary.mean == pytest.approx(float(own @ np.array(of_members[:3])))


def test_a_stretch_that_nobody_weighs_is_left_out() -> None:
    found = _weighted()
    kept = [m for m in found.members if m.model in ("two", "none")]
    names = {e.quantity for e in ensemble_of(kept).estimates(PROB)}
    assert names == {"rho", "tau", "omega[0.025-0.975]", "rho_new"}


def test_kinds_of_bias_are_components_of_their_own() -> None:
    parts = {c.name: c for c in _weighted().components}
    assert set(parts) == {"bias", "weight function", "two-sided", "one-sided"}
    assert [parts[n].members for n in ("bias", "two-sided", "one-sided")] == [3, 1, 2]


def test_small_study_slopes_are_0_where_there_are_none() -> None:
    fits = fit_many([problem(molloy(), n) for n in ("random-effects", "pet")], Settings())
    found = ensemble_of(
        [Member("random-effects", True, True, 3, fits[0]), Member("pet", True, True, 1, fits[1])]
    )
    every, given = _one(found, "pet"), _one(found, "pet", "with PET")
    share = float(found.probabilities[1])
    assert [c.name for c in found.components] == ["bias", "PET"]
    assert every.spike == pytest.approx(1 - share)
    slope = fits[1].parameters["pet"].mean
    assert slope is not None and given.summary.mean == pytest.approx(slope)
    assert every.summary.mean == pytest.approx(share * slope)
    words = str(spike_in_words(every, given))
    assert words.endswith("the numbers over 'all' count that, those 'with PET' do not")


class _Evidence:
    """What an ensemble reads of a fit to weigh it."""

    def __init__(self, log_evidence: float, mcse: float | None) -> None:
        self.log_evidence, self.log_evidence_mcse = log_evidence, mcse
        self.problem = problem(molloy())


def test_errors_of_bridge_sampling_reach_probabilities_and_bayes_factors() -> None:
    logs, errors, priors = [0.0, 1.0, -0.5, 0.7], [0.02, 0.0, 0.03, 0.01], [0.1, 0.2, 0.3, 0.4]
    effects = [True, True, False, False]

    def of(values: Any) -> Ensemble:
        return Ensemble(
            tuple(
                Member("m", e, True, p, cast(Fit, _Evidence(float(v), s or None)))
                for e, p, v, s in zip(effects, priors, values, errors, strict=True)
            )
        )

    rng = np.random.default_rng(1)
    draws = np.array(logs) + rng.normal(size=(4000, 4)) * np.array(errors)
    weights = np.array(priors) * np.exp(draws)
    p = weights / weights.sum(axis=1, keepdims=True)
    factors = np.log(weights[:, :2].sum(axis=1) / weights[:, 2:].sum(axis=1))
    found = of(logs)
    # An sd of 4000 draws is known to 1.1%; the delta method is off by less.
    np.testing.assert_allclose(found.probability_errors, p.std(axis=0), rtol=0.05)
    assert found.is_sampled
    assert found.components[0].mcse == pytest.approx(factors.std(), rel=0.05)


def test_members_of_different_rows_are_not_mixed() -> None:
    fits = fit_many([problem(molloy()), problem(alliance("drop"))], Settings())
    members = [Member("m", True, True, 0.5, fit) for fit in fits]
    with pytest.raises(InputError, match="one evidence, and their rows are not the same"):
        ensemble_of(members)
    fits = fit_many([problem(alliance()), problem(alliance("drop"))], Settings())
    with pytest.raises(InputError, match="leaves the interval rows out"):
        ensemble_of([Member("m", True, True, 0.5, fit) for fit in fits])


def test_a_member_without_an_evidence_is_refused() -> None:
    (fit,) = fit_many([problem(molloy(), mu="Flat()")], Settings())
    with pytest.raises(InputError, match=r"mu ~ Flat\(\).*needs proper priors"):
        ensemble_of([Member("m", True, True, 1, fit)])
    with pytest.raises(FitError, match="model m: its log evidence is nan"):
        ensemble_of([Member("m", True, True, 1, cast(Fit, _Evidence(math.nan, None)))])


@pytest.mark.parametrize(
    ("log_bf", "said"), [(math.log(4), "4 to 1 for it"), (-math.log(2), "2 to 1 against it")]
)
def test_a_component_says_which_way_the_data_speak(log_bf: float, said: str) -> None:
    words = component_in_words(Component("bias", 3, 0.5, 0.8, log_bf, None))
    assert words.startswith(f"bias: the data speak {said}; its probability goes from 0.500 to 0.8")
