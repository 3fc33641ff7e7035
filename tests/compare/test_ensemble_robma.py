"""RoBMA's ensemble of 36 members, by integration, against RoBMA's own two runs.

Its members are weighed by bridge sampling in one run, its averages are of MCMC draws; the other run
samples the members with their parameters (spike and slab), and shows how far apart two runs are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from cases import model, molloy, reference
from metarho.compare.ensemble import ALL, Ensemble, Estimate, Member, ensemble_of
from metarho.engines.problem import encode
from metarho.fitting import Settings, fit_many
from metarho.spec.priors import Prior, parse_prior

# 36 members take half a minute, and their averages another.
pytestmark = pytest.mark.slow

ROBMA = reference("robma_molloy2014_ensemble")
MODELS: Mapping[str, tuple[str, float]] = {
    "": ("random-effects", 12),
    "omega[two-sided: .05]": ("selection-two-sided-05", 1),
    "omega[two-sided: .1, .05]": ("selection-two-sided-05-10", 1),
    "omega[one-sided: .05]": ("selection-one-sided-05", 1),
    "omega[one-sided: .05, .025]": ("selection-one-sided-025-05", 1),
    "omega[one-sided: .5, .05]": ("selection-one-sided-05-50", 1),
    "omega[one-sided: .5, .05, .025]": ("selection-one-sided-025-05-50", 1),
    "PET": ("pet", 3),
    "PEESE": ("peese", 3),
}
"""RoBMA's name of a bias, ours, and its weight before the data."""

# On Fisher's z, with scales of Cohen's d halved (of PEESE, doubled).
PRIORS = {
    "mu": "Normal(mu=0, sigma=0.5)",
    "tau": "InverseGamma(alpha=1, beta=0.075)",
    "pet": "HalfCauchy(beta=1)",
    "peese": "HalfCauchy(beta=10)",
}
NONE = "DiracDelta(c=0)"
# Bridge sampling, with p cut where RoBMA does, at critical values of t tests. It is 0.012 off in
# member 26 (PET, no heterogeneity), an integral over two parameters, and 0.018 in member 34 (three
# weights, mu and tau); half of the members are within 0.002.
MARGLIK, HALF = 0.02, 0.002
# Log Bayes factors of components: errors of members average out.
FACTOR = 0.012
# Means over draws: about three times the largest difference of RoBMA's two runs on that scale.
WITHIN = {"mu": 3e-3, "tau": 1.5e-3, "omega": 1e-2, "PET": 3e-2, "PEESE": 9e-2}


def _priors(member: Mapping[str, Any]) -> dict[str, Prior]:
    priors = dict(PRIORS)
    for name, part in (("mu", "Effect"), ("tau", "Heterogeneity")):
        if member[part] == "Spike(0)":
            priors[name] = NONE
    return {name: parse_prior(text) for name, text in priors.items()}


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    """In RoBMA's order."""
    members, problems = ROBMA["members"], []
    for member in members:
        name, _ = MODELS[member["Bias"].partition(" ~")[0]]
        problems.append(encode(model(name), molloy(), _priors(member)))
    fits = fit_many(problems, Settings())
    return ensemble_of(
        [
            Member(
                problem.model.name,
                member["Effect"] != "Spike(0)",
                member["Heterogeneity"] != "Spike(0)",
                MODELS[member["Bias"].partition(" ~")[0]][1],
                fit,
            )
            for member, problem, fit in zip(members, problems, fits, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def estimates(ensemble: Ensemble) -> dict[tuple[str, str], Estimate]:
    return {(e.quantity, e.over): e for e in ensemble.estimates(0.95)}


def test_every_member_has_robma_s_prior_probability_and_marginal_likelihood(
    ensemble: Ensemble,
) -> None:
    ours = [member.prior for member in ensemble.members]
    np.testing.assert_allclose(ours, [m["prior_prob"] for m in ROBMA["members"]], rtol=1e-12)
    logs = np.array([member.fit.log_evidence for member in ensemble.members], dtype=float)
    theirs = np.array([m["marglik"] for m in ROBMA["members"]])
    apart = np.abs(logs - theirs)
    assert apart.max() < MARGLIK and np.median(apart) < HALF


def test_members_are_as_probable_as_in_robma(ensemble: Ensemble) -> None:
    theirs = [m["post_prob"] for m in ROBMA["members"]]
    # A probability moves by as much, relative, as its own evidence and the others' do.
    np.testing.assert_allclose(ensemble.probabilities, theirs, rtol=MARGLIK)


def test_inclusion_bayes_factors_are_robma_s(ensemble: Ensemble) -> None:
    ours = {c.name.capitalize(): c for c in ensemble.components}
    for name, theirs in ROBMA["components"].items():
        found = ours[name]
        assert found.members == theirs["models"] and found.prior == pytest.approx(0.5)
        assert found.log_bf == pytest.approx(math.log(theirs["inclusion_BF"]), abs=FACTOR)
    assert [round(math.exp(ours[n].log_bf), d) for n, d in _ROUNDED] == [0.89, 46, 5.4]


_ROUNDED = (("Effect", 2), ("Heterogeneity", 0), ("Bias", 1))


def _name(theirs: str) -> tuple[str, str, float, str]:
    """RoBMA's name of an estimate as ours, its kind, and what conditional ones are over."""
    if theirs.startswith("omega"):
        low, high = theirs[6:-1].split(",")
        return f"omega[{low}-{high}]", "omega", 1.0, "with a weight function"
    # Its conditional summary is on Cohen's d: twice z, and half in slopes on the variance.
    return {
        "mu": ("rho", "mu", 0.5, "with an effect"),
        "tau": ("tau", "tau", 0.5, "with heterogeneity"),
        "PET": ("pet", "PET", 1.0, "with PET"),
        "PEESE": ("peese", "PEESE", 2.0, "with PEESE"),
    }[theirs]


def _on_z(quantity: str, r: float | None) -> float:
    """What RoBMA prints of mu is on z."""
    assert r is not None
    return math.atanh(r) if quantity == "rho" else r


@pytest.mark.parametrize("theirs", [n for n in ROBMA["estimates"] if n != "omega[0,0.025]"])
def test_averages_are_robma_s(estimates: dict[tuple[str, str], Estimate], theirs: str) -> None:
    quantity, kind, _, _ = _name(theirs)
    found, wanted = estimates[quantity, ALL], ROBMA["estimates"][theirs]
    second = ROBMA["second_run"]["estimates"][theirs]
    assert found.summary.mean == pytest.approx(wanted["Mean"], abs=WITHIN[kind])
    for name, share in (("median", "Median"), ("lower", "0.025"), ("upper", "0.975")):
        # Tails of draws: half as far again apart as RoBMA's runs, or a tenth of the interval's end.
        apart = 1.5 * abs(wanted[share] - second[share])
        ours = _on_z(quantity, getattr(found.summary, name))
        assert ours == pytest.approx(wanted[share], abs=max(apart, 3 * WITHIN[kind]))


@pytest.mark.parametrize("theirs", [n for n in ROBMA["estimates"] if n != "omega[0,0.025]"])
def test_conditional_estimates_are_robma_s(
    estimates: dict[tuple[str, str], Estimate], theirs: str
) -> None:
    quantity, kind, scale, over = _name(theirs)
    found, wanted = estimates[quantity, over], ROBMA["estimates_conditional"][theirs]
    second = ROBMA["second_run"]["conditional"][theirs]
    apart = 3 * scale * abs(wanted["Mean"] - second["Mean"])
    assert found.summary.mean == pytest.approx(scale * wanted["Mean"], abs=max(apart, WITHIN[kind]))


def test_spikes_are_where_components_are_absent(
    ensemble: Ensemble, estimates: dict[tuple[str, str], Estimate]
) -> None:
    parts = {c.name: c.posterior for c in ensemble.components}
    for quantity, component in (("rho", "effect"), ("tau", "heterogeneity"), ("pet", "PET")):
        assert estimates[quantity, ALL].spike == pytest.approx(1 - parts[component])
    assert estimates["rho", ALL].summary.median == 0
    assert ROBMA["estimates"]["mu"]["Median"] == 0
