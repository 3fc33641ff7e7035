"""I² and H² of one posterior."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases import molloy, problem, written
from grammar_cases import Part
from metarho.engines import exact
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.posterior.heterogeneity import scale_of_parameter, typical_variance
from metarho.posterior.sampled import Sampled

FEW = [{"yi": y, "vi": v} for y, v in ((0.1, 0.01), (0.4, 0.02), (0.3, 0.03), (0.2, 0.02))]


def _solved(encoded: Problem) -> Exact:
    return Exact(encoded, exact.integrate(encoded))


@pytest.mark.parametrize("name", ["random-effects", "three-level"])
def test_h2_is_1_over_1_less_i2(name: str) -> None:
    found = _solved(problem(molloy(), name)).derived(0.9, "eti")
    for end in ("median", "lower", "upper"):
        share = getattr(found["I2"], end) / 100
        assert getattr(found["H2"], end) == pytest.approx(1 / (1 - share), rel=1e-9)


def test_the_moments_of_h2_are_those_of_tau() -> None:
    encoded = problem(molloy(), tau="HalfCauchy(beta=0.2)")
    posterior = _solved(encoded)
    s2 = typical_variance(encoded)
    assert s2 is not None
    axis = posterior.quadrature.axes["tau"]
    mass = posterior.quadrature.marginal_mass("tau")
    second, fourth = mass @ axis.nodes**2, mass @ axis.nodes**4
    found = posterior.derived(0.95, "eti")["H2"]
    assert found.mean == pytest.approx(1 + second / s2, rel=1e-12)
    assert found.sd == pytest.approx(np.sqrt(fourth - second**2) / s2, rel=1e-9)


# The likelihood falls like tau**-k, the prior like tau**-2: moments below k + 1 of tau exist.
@pytest.mark.parametrize(
    ("k", "mean", "sd"), [(1, False, False), (2, True, False), (4, True, True)]
)
def test_h2_has_the_moments_that_exist(k: int, mean: bool, sd: bool, tmp_path: Path) -> None:
    studies = written(tmp_path, [*FEW, *FEW][: max(k, 2)])
    priors = {"mu": "DiracDelta(c=0)", "tau": "HalfCauchy(beta=0.2)"}
    if k == 1:
        priors["mu"] = "Flat()"
    found = _solved(problem(studies, **priors)).derived(0.95, "eti")["H2"]
    assert (found.mean is not None, found.sd is not None) == (mean, sd)
    assert found.median is not None and found.median > 1


def test_the_fourth_moment_of_tau_is_integrated_to_its_tail(tmp_path: Path) -> None:
    encoded = problem(written(tmp_path, FEW), mu="DiracDelta(c=0)", tau="HalfCauchy(beta=0.2)")
    found = _solved(encoded).derived(0.95, "eti")["H2"]
    s2 = typical_variance(encoded)
    assert s2 is not None and found.sd is not None
    # On log tau, to where nothing is left of tau**4 times a density that falls like tau**-6.
    u = np.linspace(-40, 60, 200_001)
    tau = np.exp(u)
    y, v = encoded.evidence.y, encoded.evidence.v
    total = v + tau[:, None] ** 2
    log_density = -0.5 * (np.log(total) + y**2 / total).sum(axis=1) - np.log1p((tau / 0.2) ** 2)
    mass = np.exp(log_density) * tau
    mass /= mass.sum()
    second, fourth = mass @ tau**2, mass @ tau**4
    assert found.mean == pytest.approx(1 + second / s2, rel=1e-8)
    assert found.sd == pytest.approx(np.sqrt(fourth - second**2) / s2, rel=1e-9)


def test_h2_is_null_where_i2_is_and_1_without_heterogeneity(tmp_path: Path) -> None:
    one = _solved(problem(written(tmp_path, FEW[:1]))).derived(0.95, "eti")
    assert one["I2"].median is None and one["H2"].median is None
    none = _solved(problem(written(tmp_path, FEW), "common-effect")).derived(0.95, "eti")
    assert (none["H2"].mean, none["H2"].sd) == (1.0, 0.0)


@pytest.mark.parametrize("selection", ["pet", "peese"])
def test_what_bias_explains_is_no_typical_variance(selection: str) -> None:
    part = Part(molloy, {"selection": selection}, {selection: "HalfNormal(sigma=1)"})
    encoded = part.problem()
    v = encoded.evidence.v
    x = np.column_stack([np.ones(len(v)), np.sqrt(v) if selection == "pet" else v])
    w = np.diag(1 / v)
    p = w - w @ x @ np.linalg.solve(x.T @ w @ x, x.T @ w)
    assert typical_variance(encoded) == pytest.approx((len(v) - 2) / np.trace(p), rel=1e-9)


def test_draws_of_h2_have_no_moments_that_the_posterior_lacks(tmp_path: Path) -> None:
    studies = written(tmp_path, FEW[:2])
    rng = np.random.default_rng(1)
    draws = {"mu": rng.normal(size=(2, 50)), "tau": np.abs(rng.normal(size=(2, 50)))}
    for prior, exists in (("HalfCauchy(beta=1)", False), ("HalfNormal(sigma=1)", True)):
        encoded = problem(studies, mu="Flat()", tau=prior)
        sampled = Sampled(encoded, Draws(draws, {}, {}, 0.8, False))
        found = sampled.derived(0.95, "eti")["H2"]
        s2 = typical_variance(encoded)
        assert s2 is not None
        assert (found.mean is not None, found.sd is not None) == (exists, exists)
        assert found.median == pytest.approx(np.median(1 + draws["tau"] ** 2 / s2))


def test_parameters_of_the_grammar_have_a_scale_and_others_none() -> None:
    names = ("mu", "beta[x]", "tau", "tau_outlier", "tau_study", "phi", "nu", "tax")
    assert [scale_of_parameter(name, "z") for name in names] == [*["z"] * 5, "", "df", ""]
