"""Every shipped model on the shipped evidence, against a second PyMC model written apart from it.

The second model is the textbook's: a variable for every true effect, nothing integrated out, PyMC's
own distributions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from numpy.typing import NDArray
from scipy import stats

from cases import alliance, problem
from metarho.data.tables import is_blank
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many
from metarho.posterior.sampled import monte_carlo_errors
from metarho.spec.analysis import Sampler

LOG = logging.getLogger("independent")

type Array = NDArray[np.float64]

# Means and sds of up to five parameters of sixteen models: 4.5 standard errors.
MCSE = 4.5


def _see(encoded: Problem, theta: Any, inflation: Any = 1.0) -> None:
    """Rows given their true effects: numbers are normal, intervals have a probability."""
    evidence = encoded.evidence
    numbers, words = np.flatnonzero(~evidence.is_interval), np.flatnonzero(evidence.is_interval)
    sd = inflation * np.sqrt(evidence.v)
    pm.Normal("y", theta[numbers], sd[numbers], observed=evidence.y[numbers])
    for row in words:
        law = pm.Normal.dist(theta[row], sd[row])
        low, high = float(evidence.lower[row]), float(evidence.upper[row])
        if np.isinf(high):
            chance = pm.logcdf(pm.Normal.dist(-theta[row], sd[row]), -low)
        elif np.isinf(low):
            chance = pm.logcdf(law, high)
        else:
            chance = pm.math.logdiffexp(pm.logcdf(law, high), pm.logcdf(law, low))
        pm.Potential(f"word_{row}", chance)


def _common(encoded: Problem) -> None:
    mu = pm.Normal("mu", 0, 0.5)
    _see(encoded, mu + pt.zeros(encoded.evidence.k))


def _multiplicative(encoded: Problem) -> None:
    mu, phi = pm.Normal("mu", 0, 0.5), pm.LogNormal("phi", 0, 1)
    _see(encoded, mu + pt.zeros(encoded.evidence.k), pt.sqrt(phi))


def _random(encoded: Problem) -> None:
    mu, tau = pm.Normal("mu", 0, 0.5), pm.HalfNormal("tau", 0.25)
    _see(encoded, mu + tau * pm.Normal("e", 0, 1, shape=encoded.evidence.k))


def _nested(encoded: Problem) -> None:
    mu = pm.Normal("mu", 0, 0.5)
    study, effect = pm.HalfNormal("tau_study", 0.25), pm.HalfNormal("tau_effect", 0.15)
    of_study = pm.Normal("u", 0, 1, shape=len(encoded.evidence.study_names))
    e = pm.Normal("e", 0, 1, shape=encoded.evidence.k)
    _see(encoded, mu + study * of_study[encoded.evidence.study] + effect * e)


def _moderated(encoded: Problem) -> None:
    """Levels by their names; timings that are unknown as mixtures, the known ones as data."""
    mu = pm.Normal("mu", 0, 0.5)
    beta = {name: pm.Normal(name, 0, 0.25) for name in encoded.coefficients[1:]}
    study, effect = pm.HalfNormal("tau_study", 0.25), pm.HalfNormal("tau_effect", 0.15)
    of_study = pm.Normal("u", 0, 1, shape=len(encoded.evidence.study_names))
    e = pm.Normal("e", 0, 1, shape=encoded.evidence.k)
    cells, timings = encoded.design.cells, encoded.design.levels["timing"]
    known = [timings.index(str(cell)) for cell in cells["timing"] if not is_blank(cell)]
    chances = pm.Dirichlet("chances", np.ones(len(timings)))
    pm.Categorical("timing", chances, observed=known)

    def slope(factor: str, level: str) -> Any:
        return beta.get(f"beta[{factor}[T.{level}]]", 0.0)

    theta = []
    for row in range(encoded.evidence.k):
        mean = mu + study * of_study[encoded.evidence.study[row]]
        for factor in ("guidance", "rater"):
            mean = mean + slope(factor, str(cells[factor][row]))
        if is_blank(cells["timing"][row]):
            at = pt.stack([mean + slope("timing", level) for level in timings])
            theta.append(pm.NormalMixture(f"theta_{row}", w=chances, mu=at, sigma=effect))
        else:
            theta.append(mean + slope("timing", str(cells["timing"][row])) + effect * e[row])
    _see(encoded, pt.stack(theta))


def _student(encoded: Problem) -> None:
    mu, tau = pm.Normal("mu", 0, 0.5), pm.HalfNormal("tau", 0.25)
    nu = pm.Gamma("nu", 2, 0.1)
    _see(encoded, mu + tau * pm.StudentT("e", nu=nu, mu=0, sigma=1, shape=encoded.evidence.k))


def _mixture(encoded: Problem) -> None:
    mu, tau = pm.Normal("mu", 0, 0.5), pm.HalfNormal("tau", 0.25)
    weight, outlier = pm.Beta("weight", 1, 9), pm.HalfNormal("tau_outlier", 0.5)
    wide = pt.sqrt(tau**2 + outlier**2)
    theta = pm.NormalMixture(
        "theta",
        w=pt.stack([1 - weight, weight]),
        mu=mu,
        sigma=pt.stack([tau, wide]),
        shape=encoded.evidence.k,
    )
    _see(encoded, theta)


def _pet(encoded: Problem) -> None:
    mu, tau = pm.Normal("mu", 0, 0.5), pm.HalfNormal("tau", 0.25)
    pet = pm.HalfCauchy("pet", 1)
    theta = mu + tau * pm.Normal("e", 0, 1, shape=encoded.evidence.k)
    _see(encoded, theta + pet * np.sqrt(encoded.evidence.v))


def _peese(encoded: Problem) -> None:
    mu, tau = pm.Normal("mu", 0, 0.5), pm.HalfNormal("tau", 0.25)
    peese = pm.HalfCauchy("peese", 7.07)
    theta = mu + tau * pm.Normal("e", 0, 1, shape=encoded.evidence.k)
    _see(encoded, theta + peese * encoded.evidence.v)


def _true_scores(encoded: Problem) -> None:
    """Attenuation on the scale of r."""
    mu, tau = pm.Normal("mu", 0, 0.5), pm.HalfNormal("tau", 0.25)
    rho = pt.tanh(mu + tau * pm.Normal("e", 0, 1, shape=encoded.evidence.k))
    rxx = pm.Beta("rxx", 45, 5, shape=encoded.evidence.k)
    ryy = pm.Beta("ryy", 17, 3, shape=encoded.evidence.k)
    _see(encoded, pt.arctanh(rho * pt.sqrt(rxx * ryy)))


def _selected(encoded: Problem) -> None:
    mu, tau = pm.Normal("mu", 0, 0.5), pm.HalfNormal("tau", 0.25)
    omega = pm.Uniform("omega", 0, 1)
    y, v = encoded.evidence.y, encoded.evidence.v
    law = pm.Normal.dist(mu, pt.sqrt(v + tau**2))
    limit = 1.959963984540054 * np.sqrt(v)
    below = pt.exp(pm.logcdf(law, limit))
    weight = pt.switch(y < limit, omega, 1.0)
    seen = pm.logp(law, y) + pt.log(weight) - pt.log(1 - below + omega * below)
    pm.Potential("seen", seen.sum())


def _stepped(*cutpoints: float, two_sided: bool = False) -> Callable[[Problem], None]:
    """Weights that are sums of a Dirichlet's last parts, of bands of p of the t test of r."""

    def build(encoded: Problem) -> None:
        mu, tau = pm.Normal("mu", 0, 0.5), pm.HalfNormal("tau", 0.25)
        bands = len(cutpoints) + 1
        parts = pm.Dirichlet("parts", np.ones(bands))
        weights = [parts[band:].sum() for band in range(bands)]
        for name, weight in zip(encoded.shapes, weights[1:], strict=True):
            pm.Deterministic(name, weight)
        y, n = encoded.evidence.y, encoded.evidence.sizes
        t = stats.t.isf(np.array(cutpoints)[:, None] / (2 if two_sided else 1), n - 2)
        limits = np.arctanh(t / np.sqrt(t**2 + n - 2))
        law = pm.Normal.dist(mu, pt.sqrt(encoded.evidence.v + tau**2))

        def below(limit: Array) -> Any:
            return pt.exp(pm.logcdf(law, limit))

        # Bands reach down to a limit each, the last to where nothing is less significant.
        reached = [1 - below(limit) + (below(-limit) if two_sided else 0) for limit in limits]
        ends = zip([0.0, *reached], [*reached, 1.0], strict=True)
        chances = [upper - lower for lower, upper in ends]
        held = (np.abs(y) if two_sided else y) < limits
        of_row = held.sum(axis=0)
        own = pt.stack(weights)[of_row]
        reported = sum((w * c for w, c in zip(weights, chances, strict=True)), pt.zeros(len(y)))
        pm.Potential("seen", (pm.logp(law, y) + pt.log(own) - pt.log(reported)).sum())

    return build


def _exact_r(encoded: Problem) -> None:
    """Hotelling's series for the density of r; an r that was not printed is a variable."""
    mu, tau = pm.Normal("mu", 0, 0.5), pm.HalfNormal("tau", 0.25)
    evidence = encoded.evidence
    n = evidence.sizes
    rho = pt.tanh(mu + tau * pm.Normal("e", 0, 1, shape=evidence.k))
    words = np.flatnonzero(evidence.is_interval)
    low, high = np.tanh(evidence.lower[words]), np.tanh(evidence.upper[words])
    hidden = pm.Uniform("hidden", low, high, shape=len(words))
    printed = np.where(evidence.is_interval, 0.0, np.tanh(evidence.y))
    r = pt.set_subtensor(pt.as_tensor(printed)[words], hidden)
    x, term, series = 0.5 * (1 + rho * r), 1.0, 1.0
    for j in range(25):
        term = term * (j + 0.5) ** 2 / ((n - 0.5 + j) * (j + 1)) * x
        series = series + term
    pm.Potential(
        "seen",
        (
            0.5 * (n - 1) * pt.log1p(-(rho**2))
            + 0.5 * (n - 4) * pt.log1p(-(r**2))
            - (n - 1.5) * pt.log1p(-rho * r)
            + pt.log(series)
        ).sum(),
    )


MODELS: dict[str, Callable[[Problem], None]] = {
    "common-effect": _common,
    "random-effects": _random,
    "multiplicative": _multiplicative,
    "three-level": _nested,
    "three-level-moderators": _moderated,
    "student-t": _student,
    "mixture": _mixture,
    "pet": _pet,
    "peese": _peese,
    "selection": _selected,
    "selection-one-sided-05": _stepped(0.05),
    "selection-one-sided-025-05": _stepped(0.025, 0.05),
    "selection-one-sided-05-50": _stepped(0.05, 0.5),
    "selection-one-sided-025-05-50": _stepped(0.025, 0.05, 0.5),
    "selection-two-sided-05": _stepped(0.05, two_sided=True),
    "selection-two-sided-05-10": _stepped(0.05, 0.1, two_sided=True),
    "exact-r": _exact_r,
    "true-score": _true_scores,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_agrees_with_its_textbook_form(name: str) -> None:
    encoded = problem(alliance("drop" if name.startswith("selection") else "use"), name)
    sampler = Sampler(seed=4, draws=2000)
    (fit,) = fit_many([encoded], Settings(engine="nuts", sampler=sampler))
    assert fit.status == "ok", fit.reasons
    with pm.Model():
        MODELS[name](encoded)
        tree = pm.sample(
            2000,
            tune=2000,
            chains=4,
            random_seed=5,
            progressbar=False,
            quiet=True,
            nuts={"target_accept": 0.98},
        )
    assert isinstance(fit.result, Draws)
    for parameter, ours in fit.result.parameters.items():
        theirs = tree.posterior[parameter].to_numpy()
        errors = monte_carlo_errors(ours, 0.95), monte_carlo_errors(theirs, 0.95)
        for number, one, other in (
            ("mean", ours.mean(), theirs.mean()),
            ("sd", ours.std(), theirs.std()),
        ):
            away = (one - other) / float(np.hypot(errors[0][number], errors[1][number]))
            LOG.info("| %s | %s of %s | %.1f |", name, number, parameter, away)
            assert abs(away) < MCSE, (parameter, number)


def test_every_shipped_model_has_a_textbook_form() -> None:
    from metarho.spec.lookup import shipped_folder

    assert set(MODELS) == {path.stem for path in shipped_folder("models").glob("*.yaml")}
