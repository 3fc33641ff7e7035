"""The exact engine against metafor, where the two mean the same.

With heterogeneity held at metafor's estimate and flat coefficients, the posterior of the
coefficients is normal with metafor's estimates and covariance, shrunken effects are its BLUPs, and
the prior predictive density is its likelihood. All of it is algebra: the tolerance is what 15
digits of tau² leave.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from cases import (
    attendance,
    file_order,
    model,
    problem,
    reference,
    reference_studies,
)
from metarho.engines import exact
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem, encode, problem_without
from metarho.posterior.effects import draw_effects
from metarho.posterior.exact import Exact
from metarho.posterior.joint import hyperparameters_of_draws, independent_draws
from metarho.posterior.marginals import Marginal
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import parse_prior

type Array = NDArray[np.float64]

METAFOR = reference("metafor")["sets"]
ESTIMATES = [(name, estimator) for name in METAFOR for estimator in METAFOR[name]["overall"]]
REGRESSIONS = [(name, fit) for name in METAFOR for fit in METAFOR[name]["metareg"]]
SELECTIONS = [(name, fit) for name in METAFOR for fit in METAFOR[name]["selmodel"]]
NESTED = reference("rmamv_crede2010grade_ZCOR")
# In standard errors, log likelihoods and percent alike.
ALGEBRA = 1e-10


def _point(value: float) -> str:
    return f"DiracDelta(c={value!r})"


def _held(name: str, tau2: float, mods: str | None = None, mu: str = "Flat()") -> Problem:
    """Random effects with tau² held; 0 is the common effect."""
    priors = {"mu": mu} | ({"beta": "Flat()"} if mods else {})
    if tau2 == 0:
        return problem(reference_studies(name), "common-effect", mods, **priors)
    return problem(reference_studies(name), mods=mods, **priors, tau=_point(math.sqrt(tau2)))


def _solved(encoded: Problem) -> tuple[Exact, Quadrature]:
    quadrature = exact.integrate(encoded)
    return Exact(encoded, quadrature), quadrature


def _restricted(encoded: Problem, quadrature: Quadrature) -> float:
    """The restricted log likelihood: metafor adds ½ log|XᵀX|."""
    x = encoded.design.matrix
    return quadrature.log_integral + 0.5 * float(np.linalg.slogdet(x.T @ x)[1])


def _interval(marginal: Marginal) -> list[float | None]:
    seen = marginal.summary(0.95, "eti")
    return [seen.lower, seen.upper]


@pytest.mark.parametrize("name", METAFOR)
def test_metafor_saw_these_effects(name: str) -> None:
    encoded, truth = _held(name, 0.0), METAFOR[name]
    at = file_order(encoded)
    # Printed with 15 digits.
    assert encoded.evidence.y == pytest.approx(np.array(truth["yi"])[at], rel=1e-13, abs=1e-15)
    assert encoded.evidence.v == pytest.approx(np.array(truth["vi"])[at], rel=1e-13)


@pytest.mark.parametrize(("name", "estimator"), ESTIMATES)
def test_mu_and_a_new_effect_given_tau_are_metafor_s(name: str, estimator: str) -> None:
    truth = METAFOR[name]["overall"][estimator]
    posterior, _ = _solved(_held(name, truth["tau2"]))
    mu, se = posterior.parameters["mu"], truth["se"]
    seen = mu.summary(0.95, "eti")
    assert seen.mean == pytest.approx(truth["coef"]["intrcpt"], abs=ALGEBRA * se)
    assert seen.sd == pytest.approx(se, rel=ALGEBRA)
    assert _interval(mu) == pytest.approx([truth["ci_lb"], truth["ci_ub"]], abs=ALGEBRA * se)
    if "pi_lb" in truth:
        new = _interval(posterior.theta_new(posterior.head))
        assert new == pytest.approx([truth["pi_lb"], truth["pi_ub"]], abs=ALGEBRA * se)


@pytest.mark.parametrize(("name", "estimator"), ESTIMATES)
def test_log_likelihoods_are_metafor_s(name: str, estimator: str) -> None:
    truth = METAFOR[name]["overall"][estimator]
    encoded = _held(name, truth["tau2"])
    _, flat = _solved(encoded)
    assert flat.log_evidence is None
    assert _restricted(encoded, flat) == pytest.approx(truth["ll_REML"], abs=ALGEBRA)
    _, point = _solved(_held(name, truth["tau2"], mu=_point(truth["coef"]["intrcpt"])))
    assert point.log_evidence == pytest.approx(truth["ll_ML"], abs=ALGEBRA)


# metafor's EE has I² = (Q − df)/Q, a statistic of the data; ours is that of the model, 0.
@pytest.mark.parametrize(("name", "estimator"), [pair for pair in ESTIMATES if pair[1] != "EE"])
def test_i2_and_h2_given_tau_are_metafor_s(name: str, estimator: str) -> None:
    truth = METAFOR[name]["overall"][estimator]
    posterior, _ = _solved(_held(name, truth["tau2"]))
    found = posterior.derived(0.95, "eti")
    assert found["I2"].mean == pytest.approx(truth["I2"], abs=ALGEBRA)
    assert found["H2"].mean == pytest.approx(truth["H2"], rel=ALGEBRA)


@pytest.mark.parametrize("name", ["raudenbush1985_SMD", "molloy2014_ZCOR", "molloy2014_COR"])
def test_reml_is_where_a_flat_posterior_of_tau_peaks(name: str) -> None:
    tau = math.sqrt(METAFOR[name]["overall"]["REML"]["tau2"])
    low, here, high = (
        exact.integrate(_held(name, (tau * factor) ** 2)).log_integral
        for factor in (0.999, 1.0, 1.001)
    )
    vertex = 1e-3 * 0.5 * (low - high) / (low - 2 * here + high)
    # A parabola through points 1e-3 apart has its vertex within about the square of that.
    assert vertex == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", METAFOR)
def test_profile_intervals_end_where_the_restricted_likelihood_has_fallen(name: str) -> None:
    top = exact.integrate(_held(name, METAFOR[name]["overall"]["REML"]["tau2"])).log_integral
    drop = float(stats.chi2.isf(0.05, 1)) / 2
    for end in METAFOR[name]["tau2_ci"]["PL_REML"]:
        fallen = top - exact.integrate(_held(name, end)).log_integral
        if end == 0:
            assert fallen <= drop
        else:
            # The ends are roots, found by iteration.
            assert fallen == pytest.approx(drop, abs=1e-8)


@pytest.mark.parametrize("name", METAFOR)
@pytest.mark.parametrize("method", ["EE", "REML"])
def test_leaving_one_out_is_metafor_s(name: str, method: str) -> None:
    truth = METAFOR[name][f"leave1out_{method}"]
    for index, (estimate, se) in enumerate(zip(truth["estimate"], truth["se"], strict=True)):
        whole = _held(name, truth["tau2"][index] if method == "REML" else 0.0)
        out = np.array([row == index for row in file_order(whole)])
        posterior, _ = _solved(problem_without(whole, out))
        seen = posterior.parameters["mu"].summary(0.95, "eti")
        assert [seen.mean, seen.sd] == pytest.approx([estimate, se], abs=ALGEBRA * se)
        if method == "REML":
            found = posterior.derived(0.95, "eti")
            assert found["I2"].mean == pytest.approx(truth["I2"][index], abs=ALGEBRA)
            assert found["H2"].mean == pytest.approx(truth["H2"][index], rel=ALGEBRA)


@pytest.mark.parametrize(("name", "fit"), REGRESSIONS)
def test_coefficients_given_tau_are_metafor_s(name: str, fit: str) -> None:
    truth = METAFOR[name]["metareg"][fit]
    mods = truth["call"].partition("mods=")[2].partition(", method")[0]
    encoded = _held(name, truth["tau2"], mods)
    posterior, quadrature = _solved(encoded)
    # R writes the level behind the column: controls[T.none] is controlsnone.
    ours = [column.replace("[T.", "").replace("]", "") for column in encoded.design.names]
    theirs = list(truth["coef"])
    order = [theirs.index(column.replace("Intercept", "intrcpt")) for column in ours]
    _assert_normal(
        quadrature,
        np.array(list(truth["coef"].values()))[order],
        np.array(truth["vb"])[np.ix_(order, order)],
    )
    assert _restricted(encoded, quadrature) == pytest.approx(truth["ll_REML"], abs=ALGEBRA)
    i2 = posterior.i2()
    assert i2 is not None
    if truth["tau2"] > 0:
        assert i2.summary(0.95, "eti").mean == pytest.approx(truth["I2"], abs=ALGEBRA)


def _assert_normal(quadrature: Quadrature, mean: Array, covariance: Array) -> None:
    """The coefficients at the only node of heterogeneity."""
    assert quadrature.mean is not None and quadrature.covariance is not None
    se = np.sqrt(np.diag(covariance))
    assert quadrature.mean[0] / se == pytest.approx(mean / se, abs=ALGEBRA)
    scale = np.outer(se, se)
    assert quadrature.covariance[0] / scale == pytest.approx(covariance / scale, abs=ALGEBRA)


@pytest.mark.parametrize("name", ["raudenbush1985_SMD", "molloy2014_ZCOR", "molloy2014_COR"])
def test_drawn_true_effects_have_metafor_s_blups_and_their_errors(name: str) -> None:
    truth = METAFOR[name]["blup_REML"]
    encoded = _held(name, METAFOR[name]["overall"]["REML"]["tau2"])
    theta = _drawn(encoded, 40_000)
    at = file_order(encoded)
    mean, se = np.array(truth["pred"])[at], np.array(truth["se"])[at]
    # 19 means and 19 sds of independent normal draws: 4.5 standard errors.
    assert np.abs((theta.mean(axis=0) - mean) / se).max() < 4.5 / math.sqrt(40_000)
    assert np.abs(theta.std(axis=0) / se - 1).max() < 4.5 / math.sqrt(2 * 40_000)


def _drawn(encoded: Problem, count: int) -> Array:
    rng = np.random.default_rng(1)
    drawn = independent_draws(encoded, exact.integrate(encoded), count, rng)
    return draw_effects(encoded, hyperparameters_of_draws(encoded, drawn, rng), rng)


@pytest.mark.parametrize(("name", "fit"), SELECTIONS)
def test_likelihoods_under_selection_are_metafor_s(name: str, fit: str) -> None:
    truth = METAFOR[name]["selmodel"][fit]
    steps = truth["call"].partition("steps=")[2].partition("delta=")[0]
    cutpoints = tuple(float(text) for text in steps.strip("c(), ").split(","))
    # metafor closes its list of steps with 1 where it is given weights.
    inner = tuple(cut for cut in cutpoints if cut < 1)
    step = Step(cutpoints=inner, weights=tuple(truth["delta"][1:]))
    selected = model("selection").model_copy(update={"selection": StepSelection(step=step)})
    priors = {"mu": _point(truth["b"]), "tau": _point(math.sqrt(truth["tau2"]))}
    parsed = {parameter: parse_prior(text) for parameter, text in priors.items()}
    encoded = encode(selected, reference_studies(name), parsed)
    evidence = exact.integrate(encoded).log_evidence
    assert evidence == pytest.approx(truth["ll"], abs=ALGEBRA)


def _nested(
    fit: str, mods: str | None = None, rho_within: float = 0.0, mu: str = "Flat()"
) -> Problem:
    """rma.mv's model with its variances held."""
    sds = [_point(math.sqrt(s2)) for s2 in NESTED["fits"][fit]["sigma2"].values()]
    priors = dict(zip(("tau_study", "tau_effect"), sds, strict=True)) | {"mu": mu}
    if mods:
        priors["beta"] = "Flat()"
    return problem(attendance(rho_within), "three-level", mods, **priors)


# fit -> the correlation of sampling errors within a study.
CORRELATED = {
    "three_level_REML_z": 0.0,
    "three_level_ML_z": 0.0,
    "CHE_rho0.5": 0.5,
    "CHE_rho0.8": 0.8,
}


@pytest.mark.parametrize(("fit", "rho"), CORRELATED.items())
def test_nested_effects_given_their_sds_are_rma_mv_s(fit: str, rho: float) -> None:
    truth: dict[str, Any] = NESTED["fits"][fit]
    encoded = _nested(fit, rho_within=rho)
    posterior, quadrature = _solved(encoded)
    estimate = truth["coef"]["intrcpt"]
    _assert_normal(quadrature, np.array([estimate]), np.array(truth["vb"]))
    assert _restricted(encoded, quadrature) == pytest.approx(truth["ll_REML"], abs=ALGEBRA)
    _, point = _solved(_nested(fit, rho_within=rho, mu=_point(estimate)))
    assert point.log_evidence == pytest.approx(truth["ll_ML"], abs=ALGEBRA)
    if "pi_lb" in truth:
        new = _interval(posterior.theta_new(posterior.head))
        assert new == pytest.approx([truth["pi_lb"], truth["pi_ub"]], abs=ALGEBRA)
        i2 = posterior.i2()
        assert i2 is not None
        assert i2.summary(0.95, "eti").mean == pytest.approx(truth["I2"]["total"], abs=ALGEBRA)


def test_nested_moderators_given_the_sds_are_rma_mv_s() -> None:
    science = NESTED["fits"]["metareg_class"]
    encoded = _nested("metareg_class", "~ `class`")
    _, quadrature = _solved(encoded)
    estimates = np.array(list(science["coef"].values()))
    _assert_normal(quadrature, estimates, np.array(science["vb"]))
    assert _restricted(encoded, quadrature) == pytest.approx(science["ll_REML"], abs=ALGEBRA)
    year = NESTED["fits"]["metareg_year"]
    posterior, _ = _solved(_nested("metareg_year", "~ year"))
    # Its year counts from 1990.
    for at, row in enumerate(([1.0, 1990.0], [0.0, 1.0])):
        seen = posterior.mean_of(np.array(row)).summary(0.95, "eti")
        se = math.sqrt(year["vb"][at][at])
        # 1990 years from 0, the mean there loses three of its digits.
        assert seen.mean == pytest.approx(list(year["coef"].values())[at], abs=1e-9 * se)
        assert seen.sd == pytest.approx(se, rel=1e-9)


@pytest.mark.parametrize(
    ("fit", "random", "sd"),
    [
        ("two_level_cluster_only_REML", "study", "tau_study"),
        ("two_level_es_only_REML", "effect", "tau"),
    ],
)
def test_one_level_of_a_nested_table_is_rma_mv_s(fit: str, random: str, sd: str) -> None:
    truth = NESTED["fits"][fit]
    (sigma2,) = truth["sigma2"].values()
    spec = model("random-effects").model_copy(update={"random": random})
    priors = {"mu": parse_prior("Flat()"), sd: parse_prior(_point(math.sqrt(sigma2)))}
    encoded = encode(spec, attendance(), priors)
    _, quadrature = _solved(encoded)
    _assert_normal(quadrature, np.array([truth["coef"]["intrcpt"]]), np.array(truth["vb"]))
    assert _restricted(encoded, quadrature) == pytest.approx(truth["ll_REML"], abs=ALGEBRA)


def test_drawn_nested_effects_have_rma_mv_s_blups() -> None:
    truth = NESTED["fits"]["three_level_REML_z"]
    between, within = truth["ranef"].values()
    cluster = np.array(NESTED["cluster_index"]) - 1
    blups = truth["coef"]["intrcpt"] + np.array(between)[cluster] + np.array(within)
    encoded = _nested("three_level_REML_z")
    theta = _drawn(encoded, 40_000)
    # The file holds other rows too: places among those used.
    at = np.argsort(np.argsort(file_order(encoded)))
    error = theta.std(axis=0) / math.sqrt(40_000)
    # 67 means of independent draws: 4.5 standard errors.
    assert np.abs((theta.mean(axis=0) - blups[at]) / error).max() < 4.5
