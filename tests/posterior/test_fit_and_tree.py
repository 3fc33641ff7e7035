"""Fits: their numbers, their DataTree, their draws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import arviz
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from cases import CUT, PRIORS, TRANSFORMED, alliance, molloy, problem
from metarho.api import fit
from metarho.engines.exact.priors import log_density
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many
from metarho.posterior.effects import draw_effects
from metarho.posterior.fit import Fit, as_dict
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.posterior.marginals import Curve
from metarho.posterior.prior_draws import SAMPLERS, draw_prior
from metarho.posterior.study_likelihood import study_log_likelihood
from metarho.posterior.tree import quadrature_dataset, quadrature_from
from metarho.spec.analysis import Sampler
from metarho.spec.priors import FAMILIES, parse_prior
from metarho.store.save import save_fit


@pytest.fixture(scope="module")
def interval_fit() -> Fit:
    (found,) = fit_many([problem(alliance())], Settings())
    return found


def test_a_tree_has_arviz_s_groups(interval_fit: Fit) -> None:
    groups = set(interval_fit.tree.children)
    assert groups >= {
        "posterior",
        "prior",
        "posterior_predictive",
        "log_likelihood",
        "log_prior",
        "observed_data",
        "constant_data",
        "quadrature",
    }
    assert interval_fit.tree["posterior"]["theta"].sizes["effect"] == 28
    assert interval_fit.tree["log_likelihood"]["y"].sizes["study"] == 19


def test_arviz_reads_a_tree_as_it_is(interval_fit: Fit) -> None:
    table = arviz.summary(interval_fit.tree, var_names=["mu", "tau"], round_to="none")
    mu = interval_fit.parameters["mu"]
    assert table.loc["mu", "mean"] == pytest.approx(mu.mean, abs=4 * 0.034 / np.sqrt(4000))
    everything = arviz.summary(interval_fit.tree, round_to="none")
    assert len(everything) == 2 + 28
    assert arviz.loo(interval_fit.tree, var_name="y").elpd < 0


def test_independent_draws_follow_the_exact_posterior(interval_fit: Fit) -> None:
    posterior = interval_fit.tree["posterior"]
    for name in ("mu", "tau"):
        marginal = interval_fit.posterior.parameters[name]
        assert isinstance(marginal, Curve)
        p = stats.kstest(posterior[name].to_numpy().ravel(), marginal.cdf).pvalue
        assert p > 1e-3
    together = np.corrcoef(posterior["mu"].to_numpy().ravel(), posterior["tau"].to_numpy().ravel())
    assert together[0, 1] == pytest.approx(_correlation(interval_fit), abs=4 / np.sqrt(4000))


def _correlation(found: Fit) -> float:
    q = found.result
    assert isinstance(q, Quadrature) and q.mu is not None
    mass, mu, tau = q.mass, q.mu.nodes, q.axes["tau"].nodes
    means = mass.sum(axis=0) @ mu, mass.sum(axis=1) @ tau
    both = (tau - means[1]) @ mass @ (mu - means[0])
    summaries = found.parameters
    return float(both / ((summaries["mu"].sd or 1) * (summaries["tau"].sd or 1)))


def test_a_saved_fit_opens_in_xarray_and_arviz(interval_fit: Fit, tmp_path: Path) -> None:
    path = tmp_path / "fit.nc"
    save_fit(interval_fit, path)
    with xr.open_datatree(path) as tree:
        assert tree.attrs["engine"] == "exact"
        assert float(tree["quadrature"]["mass"].sum()) == pytest.approx(1)
    loaded = arviz.from_netcdf(path)
    assert "mu" in loaded["posterior"]
    assert list(tmp_path.iterdir()) == [path]


def test_true_effects_of_interval_rows_lie_where_the_interval_pulls_them() -> None:
    encoded = problem(alliance())
    count = 4000
    given = Hyperparameters(np.full((count, 1), 0.24), {"effect": np.full(count, 0.3**2)})
    theta = draw_effects(encoded, given, np.random.default_rng(0))
    for index, row in enumerate(encoded.evidence.rows):
        if not row.is_interval:
            continue
        assert row.vi is not None and row.lower is not None and row.upper is not None
        # theta | y is normal; y is a truncated normal with known moments.
        total = np.sqrt(row.vi + 0.09)
        a, b = (row.lower - 0.24) / total, (row.upper - 0.24) / total
        expected = 0.24 + 0.09 / (row.vi + 0.09) * total * stats.truncnorm.mean(a, b)
        assert theta[:, index].mean() == pytest.approx(expected, abs=5 * 0.3 / np.sqrt(count))


def test_study_likelihoods_equal_multivariate_normals() -> None:
    encoded = problem(alliance("drop"), "three-level")
    given = Hyperparameters(
        np.array([[0.2]]), {"study": np.array([0.04]), "effect": np.array([0.01])}
    )
    seen = study_log_likelihood(encoded, given)[0]
    evidence = encoded.evidence
    for study in range(len(evidence.study_names)):
        rows = np.flatnonzero(evidence.study == study)
        covariance = np.diag(evidence.v[rows] + 0.01) + 0.04
        truth = stats.multivariate_normal.logpdf(
            evidence.y[rows], np.full(len(rows), 0.2), covariance
        )
        assert seen[study] == pytest.approx(truth, abs=1e-10)


def test_a_mixed_study_s_likelihood_integrates_its_deviation() -> None:
    encoded = problem(alliance(), "three-level")
    evidence = encoded.evidence
    given = Hyperparameters(
        np.array([[0.2]]), {"study": np.array([0.04]), "effect": np.array([0.01])}
    )
    seen = study_log_likelihood(encoded, given)[0]
    study = evidence.study_names.index("Vernmark 2019")
    rows = np.flatnonzero(evidence.study == study)
    covariance = np.diag(evidence.v[rows] + 0.01) + 0.04
    lower = np.where(np.isfinite(evidence.lower[rows]), evidence.lower[rows], -20)
    upper = np.where(np.isfinite(evidence.upper[rows]), evidence.upper[rows], 20)
    truth = stats.multivariate_normal.cdf(
        upper, np.full(2, 0.2), covariance, lower_limit=lower, abseps=1e-10, releps=1e-10
    )
    assert seen[study] == pytest.approx(np.log(truth), abs=1e-7)


V = np.array([0.02, 0.011, 0.3, 0.0007])
DRAWN = [text for text in PRIORS.values() if parse_prior(text).proper and "Dirac" not in text]


@pytest.mark.parametrize("text", [*DRAWN, *TRANSFORMED, *CUT])
def test_prior_draws_follow_the_prior_density(text: str) -> None:
    prior = parse_prior(text)
    count = 20_000
    drawn = draw_prior(prior, np.random.default_rng(3), count, V)
    assert drawn is not None and drawn.shape == (count,)
    drawn = np.sort(drawn)
    low, high = prior.support
    assert low <= drawn[0] and drawn[-1] <= high
    # The cdf between all but the last draws, by the midpoint rule between neighbours.
    middle = drawn[count // 100 : -count // 100]
    gap = np.diff(middle)
    mass = np.exp(log_density(prior, middle[:-1] + 0.5 * gap, V)) * gap
    cdf = np.concatenate([[0.0], np.cumsum(mass)])
    assert cdf[-1] == pytest.approx(0.98, abs=5 * np.sqrt(0.98 * 0.02 / count))
    # Kolmogorov and Smirnov's statistic, at the level 1e-6.
    steps = np.linspace(0, 1, len(cdf))
    assert np.abs(cdf / cdf[-1] - steps).max() * np.sqrt(len(cdf)) < 2.7


@pytest.mark.parametrize("family", sorted(name for name, f in FAMILIES.items() if not f.proper))
def test_an_improper_prior_is_not_drawn(family: str) -> None:
    assert draw_prior(parse_prior(f"{family}()"), np.random.default_rng(3), 10, V) is None


TREES = [
    {"mu": "StretchedBeta(alpha=2, beta=2) on r", "tau": "InverseGamma(alpha=1, beta=0.1) on tau2"},
    {"mu": "NormalMixture(w=[1, 2], mu=[0, 0.3], sigma=[0.1, 0.2])", "tau": "Conventional()"},
    {"mu": "TruncatedNormal(mu=0, sigma=0.3, lower=0)", "tau": "Jeffreys()"},
]


@pytest.mark.parametrize("priors", TREES)
def test_a_tree_holds_draws_and_densities_of_every_prior(priors: dict[str, str]) -> None:
    encoded = problem(molloy(), **priors)
    (found,) = fit_many([encoded], Settings(sampler=Sampler(chains=2, draws=150)))
    tree = found.tree
    for name, text in priors.items():
        prior = parse_prior(text)
        assert (name in tree["prior"]) is prior.proper
        values = tree["posterior"][name].to_numpy()
        seen = tree["log_prior"][name].to_numpy()
        assert seen == pytest.approx(log_density(prior, values, encoded.evidence.v))
        assert np.isfinite(seen).all()
    assert json.loads(tree.attrs["priors"]) == {
        name: str(parse_prior(text)) for name, text in priors.items()
    }


def test_every_proper_family_can_be_drawn() -> None:
    assert set(SAMPLERS) == {name for name, f in FAMILIES.items() if f.proper and not f.joint}


def test_json_has_no_value_that_json_lacks() -> None:
    encoded = problem(molloy(), mu="Flat()", tau="DiracDelta(c=0)")
    (found,) = fit_many([encoded], Settings())
    text = json.dumps(as_dict(found), allow_nan=False)
    assert json.loads(text)["log_evidence"] is None
    assert json.loads(text)["parameters"]["tau"]["sd"] == 0


def test_gen_has_no_correlations(tmp_path: Path) -> None:
    from cases import model, written

    studies = written(tmp_path, [{"yi": 1.0, "vi": 0.2}, {"yi": 2.0, "vi": 0.3}])
    found = fit(model("random-effects"), studies, priors={"mu": "Normal(mu=0, sigma=5)"})
    values = json.loads(json.dumps(as_dict(found)))
    assert values["scale"] == "yi"
    assert values["derived"]["rho_median"]["mean"] is None
    assert values["new_study"]["rho"]["mean"] is None
    assert values["new_study"]["theta"]["mean"] is not None


def test_correlations_measured_as_they_are_stay_on_r() -> None:
    from cases import REFERENCES, model
    from metarho.data.studies import load_studies

    studies = load_studies(
        REFERENCES / "molloy2014.csv", measure="COR", columns={"ri": "ri", "ni": "ni"}
    )
    found = fit(
        model("random-effects"),
        studies,
        priors={"mu": "Normal(mu=0, sigma=1)", "tau": "HalfNormal(sigma=0.5)"},
    )
    # The oracle's posterior of the COR problem (oracle_molloy2014_COR, hn0.5 and n0_1), whose
    # evidence is a density of r; ours is one of z, as for every correlation model.
    to_z = sum(np.log(1 - (row.ri or 0) ** 2) for row in studies.used)
    assert found.log_evidence == pytest.approx(4.617059288312679 + to_z, abs=1e-9)
    assert found.parameters["mu"] == found.derived["rho_median"]
    assert found.parameters["mu"].mean == pytest.approx(0.15183801497672653, abs=1e-9)


def test_chains_and_draws_of_an_exact_tree_are_the_sampler_s() -> None:
    encoded: Problem = problem(molloy())
    settings = Settings(sampler=Sampler(chains=2, draws=150))
    (found,) = fit_many([encoded], settings)
    sizes = found.tree["posterior"].sizes
    assert (sizes["chain"], sizes["draw"]) == (2, 150)


@pytest.mark.parametrize("tau", ["HalfNormal(sigma=0.2)", "Jeffreys()"])
def test_a_quadrature_that_was_written_is_the_same_when_read(tau: str) -> None:
    (found,) = fit_many([problem(molloy(), tau=tau)], Settings())
    whole = found.result
    assert isinstance(whole, Quadrature)
    again = quadrature_from(quadrature_dataset(whole))
    assert again.log_integral == whole.log_integral
    assert again.log_evidence == whole.log_evidence
    assert (again.log_evidence is None) is (tau == "Jeffreys()")
    assert replace(found, result=again).leave_out == found.leave_out
