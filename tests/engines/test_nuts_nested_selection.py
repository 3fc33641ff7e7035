"""Selection of effects nested in studies, sampled: its evidence against quadrature written here."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr, roots_hermitenorm

from cases import alliance, model
from metarho.engines.problem import Problem, encode
from metarho.fitting import Settings, choose, fit_many
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import parse_prior

type Array = NDArray[np.float64]


def _problem() -> Problem:
    """Ten effects of seven studies; no effect, p > .05 reported omega times as often."""
    selection = StepSelection(step=Step(cutpoints=(0.05,), test="t"))
    nested = model("three-level").model_copy(update={"selection": selection})
    priors = {"mu": "DiracDelta(c=0)", "omega": "Uniform(lower=0, upper=1)"}
    given = {name: parse_prior(text) for name, text in priors.items()}
    return encode(nested, alliance("drop"), given)


def _rule(high: float, count: int) -> tuple[Array, Array]:
    """Gauss–Legendre nodes and weights from 0."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return high * (nodes + 1) / 2, high * weights / 2


def _log_evidence(problem: Problem) -> float:
    """Over both sds, omega and each study's own mean, given which its rows are selected."""
    evidence = problem.evidence
    y, v = evidence.y, evidence.v
    n = np.array([row.ni for row in evidence.rows], dtype=float)
    t = stats.t.isf(0.05, n - 2)
    limit = np.arctanh(t / np.sqrt(n - 2 + t**2))
    away, share = roots_hermitenorm(40)
    share = share / share.sum()
    between, w_between = _rule(1.1, 24)
    within, w_within = _rule(0.7, 20)
    root, w_root = _rule(1.0, 24)
    omega, w_omega = root**3, 3 * root**2 * w_root
    sd = np.sqrt(v[:, None] + within**2)[:, :, None]
    total = 0.0
    for tau, weight in zip(between, w_between * 2 * stats.norm.pdf(between, 0, 0.25), strict=True):
        mean = tau * away
        density = stats.norm.pdf(y[:, None, None], mean, sd)[..., None]
        above = ndtr((mean - limit[:, None, None]) / sd)[..., None]
        chance = np.where(y < limit, 0.0, 1.0)[:, None, None, None]
        own = chance + omega * (1 - chance)
        rows = density * own / (above + omega * (1 - above))
        likelihood = np.ones((len(within), len(omega)))
        for study in np.unique(evidence.study):
            likelihood *= np.einsum("wao,a->wo", rows[evidence.study == study].prod(axis=0), share)
        prior = w_within * 2 * stats.norm.pdf(within, 0, 0.15)
        total += weight * float(prior @ likelihood @ w_omega)
    return math.log(total)


@pytest.mark.slow
def test_the_evidence_of_nested_selection_is_that_of_quadrature() -> None:
    problem = _problem()
    engine, reason = choose(problem, "auto")
    assert engine == "nuts" and "no random: study/effect with selection" in reason
    (fit,) = fit_many([problem], Settings())
    assert fit.status == "ok" and fit.log_evidence_mcse is not None
    assert 0 < fit.log_evidence_mcse < 0.1
    assert fit.log_evidence == pytest.approx(_log_evidence(problem), abs=4 * fit.log_evidence_mcse)
