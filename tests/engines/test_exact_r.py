"""The exact law of r in the exact engine, against adaptive integration of its textbook form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad_vec
from scipy.special import gammaln, hyp2f1

from cases import model, problem, written
from metarho.data.studies import Studies
from metarho.engines import exact, law_of_r
from metarho.engines.exact.exact_r import log_likelihood_table, log_likelihood_tables
from metarho.engines.problem import encode, misplaced
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.effects import replicate
from metarho.posterior.exact import Exact
from metarho.posterior.exact_r_effects import draw, log_likelihood
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.predict.new_studies import predict
from metarho.spec.analysis import Profile

type Array = NDArray[np.float64]

# Two hard dimensions (DESIGN.md).
TOLERANCE = 1e-8

SMALL = ((0.9, 5), (0.85, 6), (0.8, 5), (0.6, 8), (0.9, 7), (0.7, 12))
"""The six studies of docs/exact-r.md."""
RANGE = {"reported": "range", "ri_low": 0.1, "ri_high": 0.5, "ni": 10}
WORDS = (
    {"reported": "not significant", "ni": 10},
    {"reported": "significant positive", "ni": 30},
    {"reported": "significant negative", "ni": 8},
)


def _studies(folder: Path, *intervals: Mapping[str, object]) -> Studies:
    rows = [{"ri": r, "ni": n, "reported": "exact"} for r, n in SMALL]
    return written(folder, [*rows, *intervals], "ZCOR")


def _density(z: float | Array, theta: Array, n: float) -> Array:
    """Hotelling's (1953) series form, times dr/dz."""
    r, rho = np.tanh(z), np.tanh(theta)
    constant = math.log(n - 2) + gammaln(n - 1) - 0.5 * math.log(2 * math.pi) - gammaln(n - 0.5)
    log_f = (
        constant
        + 0.5 * (n - 1) * np.log1p(-(rho**2))
        + 0.5 * (n - 4) * np.log1p(-(r**2))
        - (n - 1.5) * np.log1p(-rho * r)
        + np.log1p(-(r**2))
    )
    return np.asarray(np.exp(log_f) * hyp2f1(0.5, 0.5, n - 0.5, 0.5 * (1 + rho * r)))


@pytest.mark.parametrize("tau", [0.0, 1e-4, 0.05, 0.3, 1.5])
@pytest.mark.parametrize("n", [4, 10, 100])
def test_rows_agree_with_adaptive_integration(n: int, tau: float, tmp_path: Path) -> None:
    kinds: list[dict[str, object]] = [{"ri": 0.6, "ni": n, "reported": "exact"}]
    kinds += [{**row, "ni": n} for row in (RANGE, *WORDS)]
    for kind in kinds:
        evidence = problem(written(tmp_path, [{"ri": ""} | kind], "ZCOR"), "exact-r").evidence
        mu = np.array([-0.7, 0.0, 0.4])
        seen = log_likelihood_table(evidence, mu, np.array([tau**2]))[0]
        y, low, high = (float(a[0]) for a in (evidence.y, evidence.lower, evidence.upper))

        def given(theta: float, y: float = y, low: float = low, high: float = high) -> float:
            if math.isnan(y):
                return float(np.exp(law_of_r.log_probability(low, high, theta, n)))
            return float(_density(y, np.array(theta), n))

        for index, m in enumerate(mu):
            truth = given(m)
            if tau > 0:
                edges = m + tau * np.array([-11.0, -4.0, -1.0, 1.0, 4.0, 11.0])
                width = 1 / math.sqrt(n)
                near = [e + s * width for e in (y, low, high) for s in (-3, 0, 3)]
                inside = [e for e in near if math.isfinite(e) and edges[0] < e < edges[-1]]
                points = sorted({*edges, *inside})
                truth = math.fsum(
                    quad_vec(
                        lambda t, m=m, given=given: (
                            given(t)
                            * math.exp(-0.5 * ((t - m) / tau) ** 2)
                            / (tau * math.sqrt(2 * math.pi))
                        ),
                        *pair,
                        epsabs=1e-15,
                        epsrel=1e-12,
                    )[0]
                    for pair in pairwise(points)
                )
            assert seen[index] == pytest.approx(math.log(truth), abs=1e-10)


# From tau = 0.05 on, a fixed grid of theta with this step is as good as adaptive integration.
GRID = np.arange(-16, 16, 0.02)


def _truth(intervals: Sequence[tuple[float, float, float]]) -> tuple[float, Array]:
    columns = [_density(math.atanh(r), GRID, n) for r, n in SMALL]
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for low, high, n in intervals:
        z = 0.5 * (low + high) + 0.5 * (high - low) * nodes
        values = np.stack([_density(float(at), GRID, n) for at in z], axis=1)
        columns.append(values @ (0.5 * (high - low) * weights))
    law = np.stack(columns, axis=1)

    def over_mu(tau: float) -> Array:
        def integrand(mu: float) -> Array:
            kernel = np.exp(-0.5 * ((GRID - mu) / tau) ** 2) * (0.02 / tau / math.sqrt(2 * math.pi))
            density = float(np.prod(kernel @ law)) * stats.norm.pdf(mu, 0, 0.5) / 0.75
            return np.asarray(density * np.array([1, mu, mu**2, tau, tau**2]))

        found, _ = quad_vec(
            integrand, -2.5, 3.0, points=(-0.5, 0.2, 0.5, 0.9, 1.5), epsabs=1e-16, epsrel=1e-11
        )
        return np.asarray(found)

    found, _ = quad_vec(over_mu, 0.05, 0.8, points=(0.15, 0.4), epsabs=1e-16, epsrel=1e-11)
    return math.log(found[0]), np.asarray(found[1:] / found[0])


@pytest.mark.parametrize("interval", [False, True])
def test_the_posterior_agrees_with_adaptive_integration(interval: bool, tmp_path: Path) -> None:
    extra = [(math.atanh(0.1), math.atanh(0.5), 10.0)] if interval else []
    log_evidence, (mean_mu, square_mu, mean_tau, square_tau) = _truth(extra)
    studies = _studies(tmp_path, *([RANGE] if interval else []))
    encoded = problem(studies, "exact-r", tau="Uniform(lower=0.05, upper=0.8)")
    quadrature = exact.integrate(encoded)
    found = {n: m.summary(0.95, "eti") for n, m in Exact(encoded, quadrature).parameters.items()}
    assert quadrature.log_evidence == pytest.approx(log_evidence, abs=TOLERANCE)
    assert quadrature.quad_err < TOLERANCE
    for name, mean, square in (("mu", mean_mu, square_mu), ("tau", mean_tau, square_tau)):
        sd = math.sqrt(square - mean**2)
        assert found[name].mean == pytest.approx(mean, abs=TOLERANCE * sd)
        assert found[name].sd == pytest.approx(sd, rel=TOLERANCE)


def test_with_many_people_the_law_is_fisher_s(tmp_path: Path) -> None:
    def gap(times: int) -> float:
        rows = [{"ri": r / 2, "ni": n * times} for r, n in SMALL]
        studies = written(tmp_path, rows, "ZCOR")
        exactly, nearly = (
            problem(studies, name, tau="HalfNormal(sigma=0.25)")
            for name in ("exact-r", "random-effects")
        )
        evidences = [exact.integrate(p).log_evidence or math.nan for p in (exactly, nearly)]
        return abs(evidences[0] - evidences[1])

    # Fisher's z is off by terms of 1/n.
    with_many = gap(10_000)
    assert with_many < 1e-3
    assert with_many == pytest.approx(gap(1000) / 10, rel=0.1)


def test_small_studies_move_the_pooled_correlation(tmp_path: Path) -> None:
    # The numbers of docs/exact-r.md.
    found = {}
    for name in ("exact-r", "random-effects"):
        encoded = problem(_studies(tmp_path), name, mu="Normal(mu=0, sigma=1)")
        (fit,) = fit_many([encoded], Settings(engine="exact"))
        found[name] = fit
    medians = [found[name].derived["rho_median"].median for name in found]
    assert medians == pytest.approx([0.748, 0.765], abs=5e-4)
    evidence = [found[name].log_evidence or math.nan for name in found]
    assert evidence == pytest.approx([-4.765, -5.137], abs=5e-4)


@pytest.mark.parametrize("tau", [0.02, 0.4, 2.0])
def test_true_effects_are_drawn_from_their_conditional_law(tau: float, tmp_path: Path) -> None:
    evidence = problem(_studies(tmp_path, RANGE, *WORDS), "exact-r").evidence
    mu, count = 0.3, 4000
    theta = draw(
        evidence,
        np.full((count, evidence.k), mu),
        np.full((count, evidence.k), tau),
        np.random.default_rng(3),
    )
    grid = mu + tau * np.linspace(-10, 10, 20001)
    for row in range(evidence.k):
        y, low, high = (float(a[row]) for a in (evidence.y, evidence.lower, evidence.upper))
        n = float(evidence.sizes[row])
        log_law = (
            law_of_r.log_density(y, grid, n)
            if math.isfinite(y)
            else law_of_r.log_probability(low, high, grid, n)
        )
        density = np.exp(log_law) * stats.norm.pdf(grid, mu, tau)
        below = np.cumsum(density) / density.sum()
        result = stats.kstest(theta[:, row], lambda x, b=below: np.interp(x, grid, b))
        # A false alarm in 2000 tests of which there are 30.
        assert result.pvalue > 5e-4


def test_likelihoods_of_draws_are_those_of_the_table(tmp_path: Path) -> None:
    evidence = problem(_studies(tmp_path, RANGE, *WORDS), "exact-r").evidence
    mu, tau = np.array([-0.3, 0.2, 0.9]), np.array([0.0, 0.07, 0.5, 3.0])
    table = log_likelihood_table(evidence, mu, tau**2)
    at = np.meshgrid(tau, mu, indexing="ij")
    seen = log_likelihood(
        evidence,
        np.repeat(at[1].reshape(-1, 1), evidence.k, axis=1),
        np.repeat(at[0].reshape(-1, 1), evidence.k, axis=1),
    ).sum(axis=1)
    # Draws take their probabilities from polynomials.
    assert seen.reshape(table.shape) == pytest.approx(table, abs=1e-7)


def test_without_heterogeneity_every_effect_is_the_mean(tmp_path: Path) -> None:
    evidence = problem(_studies(tmp_path), "exact-r").evidence
    theta = draw(
        evidence,
        np.repeat([[0.1], [0.2]], evidence.k, axis=1),
        np.zeros((2, evidence.k)),
        np.random.default_rng(1),
    )
    assert np.all(theta == np.array([[0.1], [0.2]]))


def test_a_new_study_observes_r_by_its_exact_law(tmp_path: Path) -> None:
    (fit,) = fit_many([problem(_studies(tmp_path, RANGE), "exact-r")], Settings(engine="exact"))
    mean, true, observed = predict(fit, Profile(label="x", ni=6), [0.0, 0.5])
    posterior = fit.tree["posterior"]
    mu, tau = (posterior[name].to_numpy().ravel() for name in ("mu", "tau"))
    rng = np.random.default_rng(5)
    z = law_of_r.sample(mu + tau * rng.standard_normal(len(mu)), 6, rng)
    assert stats.kstest(np.tanh(z), observed.marginal.cdf).pvalue > 1e-3
    sds = [p.summary.sd or 0 for p in (mean, true, observed)]
    assert sds[0] < sds[1] < sds[2]
    r = np.linspace(-0.999, 0.999, 20001)
    total = np.trapezoid(observed.marginal.density(r), r)
    inside = np.diff(observed.marginal.cdf(r[[0, -1]]))[0]
    assert total == pytest.approx(inside, abs=1e-5)
    # At a fixed mean without heterogeneity it is the law itself.
    still = problem(_studies(tmp_path), "exact-r", mu="DiracDelta(c=0.4)", tau="DiracDelta(c=0)")
    (fit,) = fit_many([still], Settings(engine="exact"))
    observed = predict(fit, Profile(label="x", ni=6), [])[-1]
    truth = law_of_r.cdf(np.arctanh([-0.3, 0.4, 0.8]), 0.4, 6.0)
    assert observed.marginal.cdf(np.array([-0.3, 0.4, 0.8])) == pytest.approx(truth, abs=1e-10)


def test_replicates_follow_the_law(tmp_path: Path) -> None:
    encoded = problem(_studies(tmp_path), "exact-r")
    theta = np.full((4000, encoded.evidence.k), 0.5)
    nothing = np.zeros(4000)
    given = Hyperparameters(nothing[:, None], {"effect": nothing})
    z = replicate(encoded, given, theta, np.random.default_rng(8))
    n = float(encoded.evidence.sizes[0])
    assert stats.kstest(z[:, 0], lambda x: law_of_r.cdf(x, 0.5, n)).pvalue > 1e-3


@pytest.mark.parametrize("random", ["none", "effect"])
def test_the_tree_holds_the_part(random: str, tmp_path: Path) -> None:
    spec = model("exact-r").model_copy(update={"random": random})
    (fit,) = fit_many([encode(spec, _studies(tmp_path))], Settings())
    assert (fit.engine, fit.status) == ("exact", "ok")
    likelihood = fit.tree["log_likelihood"]["y"].to_numpy()
    assert np.isfinite(likelihood).all()
    assert np.isfinite(fit.tree["posterior_predictive"]["y"].to_numpy()).all()


def test_what_the_law_cannot_take_is_refused_by_name(tmp_path: Path) -> None:
    studies = _studies(tmp_path)
    spec = model("exact-r")
    nested = {**spec.priors, "tau_study": spec.priors["tau"], "tau_effect": spec.priors["tau"]}
    three = spec.model_copy(update={"random": "study/effect", "priors": nested})
    assert "random: study/effect with likelihood: exact-r" in (
        exact.covers(encode(three, studies)) or ""
    )
    slopes = spec.model_copy(update={"mods": "~ ni", "priors": {**nested, "beta": nested["mu"]}})
    assert "moderators (mods: ~ ni) with likelihood: exact-r" in (
        exact.covers(encode(slopes, studies)) or ""
    )
    assert "use measure ZCOR" in (misplaced(replace(encode(spec, studies), measure="COR")) or "")
    generic = written(tmp_path, [{"yi": 0.1, "vi": 0.2}])
    with pytest.raises(InputError, match="use measure ZCOR"):
        encode(spec, generic)


def test_tables_of_subsets_are_those_of_their_rows(tmp_path: Path) -> None:
    evidence = problem(_studies(tmp_path, *WORDS), "exact-r").evidence
    rng = np.random.default_rng(1)
    subsets = rng.uniform(size=(5, evidence.k)) < 0.5
    subsets[0], subsets[1] = True, False
    # Far out the density of a row is 0 to a computer, which subsets without it are not to see.
    mu, tau2 = np.array([-900.0, -0.2, 0.1, 3.0]), np.array([0.0, 0.01, 4.0])
    tables = log_likelihood_tables(evidence, mu, tau2, subsets)
    assert np.array_equal(tables[1], np.zeros((3, 4)))
    for table, subset in zip(tables, subsets, strict=True):
        if subset.any():
            alone = log_likelihood_table(evidence.only(subset), mu, tau2)
            # Lattices of more rows have other points: a rounding more.
            assert table == pytest.approx(alone, rel=1e-11, abs=1e-11)
