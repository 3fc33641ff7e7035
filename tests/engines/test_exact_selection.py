"""Selection by p-values in the exact engine, against adaptive integration and metafor."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad_vec
from scipy.special import ndtr

from cases import model, molloy, problem, written
from metarho.data.studies import Studies
from metarho.engines import exact
from metarho.engines.exact.selection import log_likelihood_table_selected
from metarho.engines.problem import Problem, encode
from metarho.fitting import Settings, fit_many
from metarho.posterior.effects import replicate
from metarho.posterior.exact import Exact
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.posterior.study_likelihood import study_log_likelihood
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import parse_prior

type Array = NDArray[np.float64]

ROWS = ((0.5, 0.02), (0.12, 0.011), (0.45, 0.03), (0.05, 0.008))
MU = np.arange(-2.4, 2.4, 0.01)
PRIOR = stats.norm.pdf(MU, 0, 0.5)
CUT = float(stats.norm.isf(0.025))


def _studies(folder: Path) -> Studies:
    return written(folder, [{"yi": y, "vi": v} for y, v in ROWS])


def _stepped(folder: Path, step: Step, **priors: str) -> Problem:
    encoded = problem(_studies(folder), **priors)
    selected = encoded.model.model_copy(update={"selection": StepSelection(step=step)})
    return encode(selected, _studies(folder), {n: a.prior for n, a in encoded.priors.items()})


def _law(tau: float, omega: float) -> Array:
    mass = PRIOR * 0.01
    for y, v in ROWS:
        sd, limit = math.sqrt(v + tau**2), CUT * math.sqrt(v)
        above = ndtr((MU - limit) / sd)
        weight = 1.0 if y > limit else omega
        density = np.exp(-0.5 * ((y - MU) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
        mass = mass * density * weight / (above + omega * (1 - above))
    return np.asarray(mass)


def _truth() -> Array:
    def over_tau(omega: float) -> Array:
        def integrand(tau: float) -> Array:
            mass = _law(tau, omega) * 2 * math.exp(-8 * tau**2) / (0.25 * math.sqrt(2 * math.pi))
            total = mass.sum()
            return np.array(
                [total, mass @ MU, mass @ MU**2]
                + [total * x for x in (tau, tau**2, omega, omega**2)]
            )

        found, _ = quad_vec(integrand, 0, 2.3, points=(0.1, 0.4, 1), epsabs=1e-13, epsrel=1e-9)
        return np.asarray(found)

    found, _ = quad_vec(over_tau, 0, 1, points=(0.1,), epsabs=1e-12, epsrel=1e-8)
    return np.asarray(found)


def test_the_posterior_agrees_with_adaptive_integration(tmp_path: Path) -> None:
    truth = _truth()
    encoded = problem(_studies(tmp_path), "selection")
    posterior = Exact(encoded, exact.integrate(encoded))
    # Three hard dimensions (DESIGN.md).
    assert posterior.quadrature.log_evidence == pytest.approx(math.log(truth[0]), abs=1e-6)
    moments = truth / truth[0]
    for at, name in ((1, "mu"), (3, "tau"), (5, "omega")):
        seen = posterior.parameters[name].summary(0.95, "eti")
        sd = math.sqrt(moments[at + 1] - moments[at] ** 2)
        assert seen.mean == pytest.approx(moments[at], abs=1e-6 * sd)
        assert seen.sd == pytest.approx(sd, rel=1e-6)


def test_a_weight_that_may_have_any_order_of_magnitude_keeps_all_of_them(tmp_path: Path) -> None:
    # The second effect would hardly ever be reported, by a chance a of 1e-24: the posterior of
    # omega is like 1/(a + omega), a spike as high as 1/a with as much mass in every decade above.
    (y, v), (reported, its_v) = (-2.636, 1e-4), (1.27, 0.1044)
    studies = written(tmp_path, [{"yi": y, "vi": v}, {"yi": reported, "vi": its_v}])
    encoded = problem(studies, mu="Normal(mu=0, sigma=1)", tau="DiracDelta(c=0)")
    step = StepSelection(step=Step(cutpoints=(0.025,)))
    selected = encoded.model.model_copy(update={"selection": step})
    priors = {name: applied.prior for name, applied in encoded.priors.items()}
    uniform = parse_prior("Uniform(lower=0, upper=1)")
    encoded = encode(selected, studies, {**priors, "omega": uniform})
    quadrature = exact.integrate(encoded)

    mu = np.linspace(y - 0.12, y + 0.12, 4001)
    log_a = stats.norm.logsf(CUT * math.sqrt(its_v), mu, math.sqrt(its_v))
    log_mass = stats.norm.logpdf(mu, 0, 1) + stats.norm.logpdf(y, mu, math.sqrt(v))
    log_mass = log_mass + stats.norm.logpdf(reported, mu, math.sqrt(its_v))
    # ∫ dω/(a + ω(1 − a)) = −log(a)/(1 − a), and up to t: log(1 + t(1 − a)/a)/(1 − a).
    total = np.exp(log_mass) * -log_a
    assert quadrature.log_integral == pytest.approx(
        math.log(total.sum() * (mu[1] - mu[0])), abs=1e-8
    )
    below = np.exp(log_mass) * np.logaddexp(0.0, math.log(1e-6) - log_a)
    omega = Exact(encoded, quadrature).parameters["omega"]
    assert float(omega.cdf(np.array(1e-6))) == pytest.approx(below.sum() / total.sum(), abs=1e-7)


def test_equal_weights_are_no_selection(tmp_path: Path) -> None:
    plain = problem(_studies(tmp_path))
    for encoded in (
        problem(_studies(tmp_path), "selection", omega="DiracDelta(c=1)"),
        _stepped(tmp_path, Step(cutpoints=(0.025, 0.5), weights=(1.0, 1.0))),
    ):
        first, second = exact.integrate(encoded), exact.integrate(plain)
        assert first.log_evidence == pytest.approx(second.log_evidence, abs=1e-10)
        sums = [Exact(p, q) for p, q in ((encoded, first), (plain, second))]
        news = [e.theta_new(e.head).summary(0.95, "eti") for e in sums]
        assert news[0].upper == pytest.approx(news[1].upper, abs=1e-8)


# metafor's selmodel(rma(yi, vi, method="ML"), type="stepfun", alternative="greater", steps=...)
# on molloy2014 (metafor_molloy2014_ZCOR.json): b, tau², delta, log likelihood.
METAFOR = [
    ((0.025,), 0.0915451896924175, 0.00556357312941057, (0.240384823504338,), 11.2754356299514),
    (
        (0.025, 0.5),
        -0.00940318665312141,
        0.0133349891894789,
        (0.186557011151114, 0.022036782783358),
        12.2994698925676,
    ),
    ((0.05,), 0.0994497115903834, 0.00680996799217533, (0.311849193769927,), 10.8434270020455),
]


@pytest.mark.parametrize(("steps", "b", "tau2", "delta", "ll"), METAFOR)
def test_metafor_s_likelihood_is_reproduced(
    steps: tuple[float, ...], b: float, tau2: float, delta: tuple[float, ...], ll: float
) -> None:
    evidence = problem(molloy()).evidence
    step = Step(cutpoints=steps, weights=delta)
    seen = log_likelihood_table_selected(evidence, step, np.array([b]), np.array([tau2]), None)
    assert seen[0, 0] == pytest.approx(ll, abs=1e-6)


def test_likelihoods_of_draws_are_those_of_the_table(tmp_path: Path) -> None:
    encoded = problem(_studies(tmp_path), "selection")
    mu, tau2, omega = np.array([0.1, -0.4]), np.array([0.01, 0.2]), np.array([0.3, 1e-6])
    step = Step(cutpoints=(0.025,))
    table = log_likelihood_table_selected(encoded.evidence, step, mu, tau2, omega)
    given = Hyperparameters(mu[:, None], {"effect": tau2}, {}, {"omega": omega})
    seen = study_log_likelihood(encoded, given).sum(axis=1)
    assert seen == pytest.approx(np.diag(table), abs=1e-10)


def test_replicates_are_reported_results(tmp_path: Path) -> None:
    encoded = problem(_studies(tmp_path), "selection")
    count = 4000
    nothing = np.zeros(count)
    shapes = {"omega": np.full(count, 0.1)}
    given = Hyperparameters(nothing[:, None], {"effect": nothing}, {}, shapes)
    y = replicate(encoded, given, np.full((count, 4), 0.1), np.random.default_rng(2))
    sd = math.sqrt(0.02)
    above = stats.norm.sf(CUT * sd, 0.1, sd)
    share = above / (above + 0.1 * (1 - above))
    assert (y[:, 0] > CUT * sd).mean() == pytest.approx(share, abs=4 * math.sqrt(0.25 / count))


def test_the_fit_holds_omega_and_says_the_direction(tmp_path: Path) -> None:
    (fit,) = fit_many([problem(_studies(tmp_path), "selection")], Settings())
    assert (fit.engine, fit.status) == ("exact", "ok")
    assert list(fit.parameters) == ["mu", "tau", "omega"]
    assert any("favours positive effects" in note for note in fit.notes)
    for group in ("posterior", "prior", "log_prior"):
        assert "omega" in fit.tree[group]
    (plain,) = fit_many([problem(_studies(tmp_path))], Settings())
    assert (fit.parameters["mu"].mean or 1) < (plain.parameters["mu"].mean or 0)


def test_what_selection_does_not_go_with_is_refused_by_name(tmp_path: Path) -> None:
    spec = model("selection")
    cutpoints = (0.01, 0.025, 0.05, 0.5)
    four = spec.model_copy(update={"selection": StepSelection(step=Step(cutpoints=cutpoints))})
    assert "4 cutpoints needs known weights" in str(exact.covers(encode(four, _studies(tmp_path))))
    with pytest.raises(ValueError, match="cutpoints increase"):
        Step(cutpoints=(0.5, 0.025))
    with pytest.raises(ValueError, match="1 weights for 2 cutpoints"):
        Step(cutpoints=(0.025, 0.5), weights=(0.5,))
