"""What a fit of a custom model tells: what its file names, and nothing that it does not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy import integrate, stats

from cases import molloy, problem
from custom_cases import BARE, HIERARCHICAL, custom
from metarho.batch.tables import five
from metarho.compare.bayes_factors import bayes_factors, nulls
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import encode
from metarho.fitting import Settings, fit_many
from metarho.posterior.custom import Custom
from metarho.posterior.fit import Fit, as_dict
from metarho.posterior.marginals import ABSENT, NOTHING, Summary
from metarho.posterior.sampled import monte_carlo_errors
from metarho.predict.new_studies import Law, predict
from metarho.spec.analysis import Profile, Sampler
from metarho.store.save import save_fit
from metarho.store.store import Store

# Several numbers are compared with fixed seeds.
MCSE = 4.0
LAWS: tuple[Law, ...] = ("model", "exact")
TRIAL = Profile.model_validate({"label": "a trial", "ni": 80})


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """Random effects, written with a variable for each true effect."""
    model = custom(tmp_path_factory.mktemp("full"), HIERARCHICAL)
    (fit,) = fit_many([encode(model, molloy())], Settings(sampler=Sampler(draws=2000)))
    return fit


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """The same with effects integrated out: nothing is named but mu and tau."""
    model = custom(tmp_path_factory.mktemp("bare"), BARE)
    (fit,) = fit_many([encode(model, molloy())], Settings())
    return fit


@pytest.fixture(scope="module")
def grammar() -> Fit:
    """The model that the grammar says."""
    (fit,) = fit_many([problem(molloy())], Settings())
    return fit


def test_random_effects_by_a_file_are_those_of_the_grammar(full: Fit, grammar: Fit) -> None:
    assert isinstance(full.posterior, Custom) and isinstance(full.result, Draws)
    assert (full.engine, full.status) == ("nuts", "ok"), full.reasons
    for name, draws in full.result.parameters.items():
        errors = monte_carlo_errors(draws, 0.95)
        for number, right in five(grammar.parameters[name]).items():
            away = (getattr(full.parameters[name], number) - float(right or 0)) / errors[number]
            assert abs(away) < MCSE, (name, number)


@pytest.mark.parametrize("which", ["full", "bare"])
def test_their_evidence_is_that_of_the_grammar(
    which: str, grammar: Fit, request: pytest.FixtureRequest
) -> None:
    fit: Fit = request.getfixturevalue(which)
    assert fit.log_evidence is not None and fit.log_evidence_mcse is not None
    assert grammar.log_evidence is not None
    assert abs(fit.log_evidence - grammar.log_evidence) < MCSE * fit.log_evidence_mcse


def test_named_true_effects_are_shrunken_ones(full: Fit, grammar: Fit) -> None:
    ours, theirs = (fit.tree["posterior"]["theta"] for fit in (full, grammar))
    assert list(ours["effect"].to_numpy()) == list(theirs["effect"].to_numpy())
    for row in range(16):
        one, other = ours.to_numpy()[..., row], theirs.to_numpy()[..., row]
        error = np.hypot(
            monte_carlo_errors(one, 0.95)["mean"], monte_carlo_errors(other, 0.95)["mean"]
        )
        assert abs(one.mean() - other.mean()) < MCSE * error


def test_a_named_new_effect_is_predicted(full: Fit, grammar: Fit) -> None:
    assert isinstance(full.result, Draws) and full.result.theta_new is not None
    error = monte_carlo_errors(full.result.theta_new, 0.95)
    for number in ("median", "lower", "upper"):
        ours = getattr(full.new_study["theta"], number)
        right = getattr(grammar.new_study["theta"], number)
        assert abs(ours - right) < MCSE * error[number], number
    assert full.pooled_new.median == pytest.approx(math.tanh(full.new_study["theta"].median or 9))
    quantities = {law: [p.quantity for p in predict(full, TRIAL, [0.1], law)] for law in LAWS}
    assert quantities == {"model": ["mean", "true"], "exact": ["mean", "true", "observed"]}
    observed = predict(full, TRIAL, [0.1], "exact")[-1].summary
    right = predict(grammar, TRIAL, [0.1], "exact")[-1].summary
    # The noise of 80 people is four times that of the effects: 8000 draws know it to 2%.
    assert observed.sd == pytest.approx(right.sd, rel=0.05)


def test_what_a_file_does_not_name_is_not_there(bare: Fit) -> None:
    posterior = bare.posterior
    assert bare.status == "ok", bare.reasons
    assert posterior.tau is posterior.theta_new(posterior.head) is ABSENT
    assert bare.new_study == {"theta": NOTHING, "rho": NOTHING}
    assert {name for name, found in bare.derived.items() if found == NOTHING} == {
        *("rho_mean", "I2", "H2")
    }
    assert bare.pooled.median == pytest.approx(math.tanh(bare.parameters["mu"].median or 9))
    assert [[p.quantity for p in predict(bare, TRIAL, [0.1], law)] for law in LAWS] == [
        ["mean"],
        ["mean"],
    ]
    assert {"theta", "theta_new"}.isdisjoint(bare.tree["posterior"].data_vars)
    assert {"log_likelihood", "posterior_predictive"}.isdisjoint(bare.tree.children)
    assert as_dict(bare)["new_study"] == dict.fromkeys(
        ("theta", "rho"), dict.fromkeys(("mean", "sd", "median", "lower", "upper"))
    )


def test_a_fit_says_that_python_made_it(bare: Fit) -> None:
    assert any("mine.py is Python code" in note for note in bare.notes)


@pytest.mark.parametrize("scale", ["r", "yi"])
def test_mu_is_the_mean_on_the_model_s_scale(bare: Fit, scale: str) -> None:
    other = replace(bare, problem=replace(bare.problem, scale=scale))
    assert other.pooled == bare.parameters["mu"]
    assert isinstance(other.derived["rho_median"], Summary)
    assert (other.derived["rho_median"] == NOTHING) == (scale == "yi")


def test_a_fit_is_a_tree_that_opens_and_that_arviz_reads(full: Fit, tmp_path: Path) -> None:
    save_fit(full, tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as opened:
        tree = opened.load()
    assert set(tree.children) == {
        *("posterior", "prior", "log_prior", "sample_stats", "log_likelihood"),
        *("posterior_predictive", "observed_data", "constant_data", "draws"),
    }
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", "effect")
    assert tree["posterior_predictive"]["y"].shape == (4, 2000, 16)
    assert set(tree["prior"].data_vars) == set(tree["log_prior"].data_vars) == {"mu", "tau"}
    summary = az.summary(tree, var_names=["mu", "theta"], round_to="none")
    assert len(summary) == 17
    assert summary.loc["mu", "mean"] == pytest.approx(full.parameters["mu"].mean)


def test_the_log_likelihood_of_rows_is_a_density_of_z(bare: Fit) -> None:
    rows = np.zeros((4, 1000, 16))
    assert isinstance(bare.result, Draws)
    result = replace(bare.result, latent={"log_likelihood": rows, "y": rows})
    on_r = replace(bare.problem, measure="COR", scale="r")
    tree = replace(bare, problem=on_r, result=result).tree
    expected = np.log1p(-(bare.problem.evidence.y**2))
    assert np.allclose(tree["log_likelihood"]["y"].to_numpy(), expected)


@pytest.mark.parametrize("which", ["full", "bare"])
def test_a_stored_fit_is_the_fit(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    draws = request.getfixturevalue(which).result
    store = Store(tmp_path)
    store.write({"ab": draws})
    found = store.read("ab")
    assert isinstance(found, Draws)
    assert np.array_equal(found.parameters["tau"], draws.parameters["tau"])
    assert (found.theta_new is None) == (draws.theta_new is None)
    assert found.theta_new is None or np.array_equal(found.theta_new, draws.theta_new)
    assert set(found.latent) == set(draws.latent)
    assert all(np.array_equal(found.latent[name], draws.latent[name]) for name in found.latent)


def test_the_one_null_of_a_file_is_a_mean_of_zero(bare: Fit) -> None:
    (factor,) = bayes_factors(bare, Settings())
    y, v = bare.problem.evidence.y, bare.problem.evidence.v

    def at(mu: float, tau: float) -> float:
        rows = stats.norm.logpdf(y, mu, np.sqrt(v + tau**2)).sum()
        return float(np.exp(rows) * stats.halfnorm.pdf(tau, scale=0.25))

    # Less than 1e-9 of either integral lies beyond the ends.
    null = integrate.quad(lambda tau: at(0.0, tau), 0, 1)[0]
    whole = integrate.dblquad(
        lambda mu, tau: at(mu, tau) * stats.norm.pdf(mu, 0, 0.5), 0, 1, -0.5, 0.8, epsrel=1e-6
    )[0]
    assert factor.null == "mu = 0"
    assert factor.log_bf is not None and factor.mcse is not None
    assert abs(factor.log_bf - math.log(whole / null)) < MCSE * factor.mcse


def test_what_zero_is_to_its_other_parameters_only_the_file_knows(tmp_path: Path) -> None:
    priors = "priors: {mu: Flat(), pet: HalfNormal(sigma=1), tau_outlier: HalfNormal(sigma=1)}\n"
    encoded = encode(custom(tmp_path, BARE, priors), molloy())
    assert [null.name for null in nulls(encoded)] == ["mu = 0"]
