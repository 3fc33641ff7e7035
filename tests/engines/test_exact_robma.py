"""Members of RoBMA's ensemble in the exact engine: log marginal likelihoods.

RoBMA's priors are on Cohen's d; on Fisher's z, where it fits correlations, their scales are halved.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad
from scipy.special import logsumexp

from cases import model, molloy, problem, reference
from metarho.engines import exact
from metarho.engines.problem import Problem, encode
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import parse_prior

type Array = NDArray[np.float64]

ROBMA = reference("robma_molloy2014_bridge")
MEMBERS: dict[int, dict[str, Any]] = {member["Model"]: member for member in ROBMA["models"]}
# Bridge sampling: within 0.003 of quadrature with RoBMA's own critical values.
BRIDGE = 3e-3
# RoBMA cuts at the r that a t test calls significant, metarho at z = Φ⁻¹(1 − p)√v (the last test
# here): 0.022 in the log marginal likelihood of member 2, less in the others.
CUTS = 0.025


def _kind(bias: str) -> list[int]:
    """The members whose bias starts so."""
    return [
        number for number, member in MEMBERS.items() if member["Bias"].partition(":")[0] == bias
    ]


def _priors(member: dict[str, Any], scale: float = 0.5) -> dict[str, str]:
    mu = {"Spike(0)": "DiracDelta(c=0)", "Normal(0, 1)": f"Normal(mu=0, sigma={scale})"}
    tau = {
        "Spike(0)": "DiracDelta(c=0)",
        "InvGamma(1, 0.15)": f"InverseGamma(alpha=1, beta={0.15 * scale})",
    }
    return {"mu": mu[member["Effect"]], "tau": tau[member["Heterogeneity"]]}


def _selected(step: Step, priors: dict[str, str]) -> Problem:
    spec = model("selection").model_copy(update={"selection": StepSelection(step=step)})
    return encode(spec, molloy(), {name: parse_prior(text) for name, text in priors.items()})


def _evidence(encoded: Problem) -> float:
    found = exact.integrate(encoded).log_evidence
    assert found is not None
    return found


@pytest.mark.parametrize("number", _kind(""))
def test_members_without_bias_have_robma_s_marginal_likelihood(number: int) -> None:
    member = MEMBERS[number]
    found = _evidence(problem(molloy(), **_priors(member)))
    assert found == pytest.approx(member["marglik"], abs=BRIDGE)


@pytest.mark.parametrize(("scaled", "scale"), [("as given", 1.0), ("halved (d -> z)", 0.5)])
@pytest.mark.parametrize("number", _kind(""))
def test_members_without_bias_have_the_quadrature_s(number: int, scaled: str, scale: float) -> None:
    member = MEMBERS[number]
    effect = "null" if member["Effect"] == "Spike(0)" else "effect"
    heterogeneity = "fixed" if member["Heterogeneity"] == "Spike(0)" else "random"
    found = _evidence(problem(molloy(), **_priors(member, scale)))
    truth = ROBMA["quadrature"][scaled][f"{effect}_{heterogeneity}"]
    assert found == pytest.approx(truth, abs=1e-9)


@pytest.mark.parametrize("number", _kind("omega[one-sided"))
def test_one_sided_selection_has_robma_s_marginal_likelihood(number: int) -> None:
    # CumDirichlet(1, 1): the first weight is 1, the second uniform.
    priors = _priors(MEMBERS[number]) | {"omega": "Uniform(lower=0, upper=1)"}
    found = _evidence(_selected(Step(cutpoints=(0.05,)), priors))
    assert found == pytest.approx(MEMBERS[number]["marglik"], abs=CUTS)


# Without both parameters the integrand is steeper, and cheap. Both rules are exact to 5e-4.
@pytest.mark.parametrize(
    ("number", "count"),
    [(number, 8 if number == 29 else 24) for number in _kind("omega[two-sided")],
)
def test_two_sided_selection_has_robma_s_marginal_likelihood(number: int, count: int) -> None:
    """The weight between the two cutpoints is uniform; it is averaged out here."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    # Nodes of the cube root: the integrand is steep near 0.
    root = (1 + nodes) / 2
    log_weights = np.log(weights / 2 * 3 * root**2)
    priors = _priors(MEMBERS[number])
    steps = [Step(cutpoints=(0.025, 0.975), weights=(omega, 1.0)) for omega in (root**3).tolist()]
    at_weights = np.array([_evidence(_selected(step, priors)) for step in steps])
    found = float(logsumexp(log_weights + at_weights))
    assert found == pytest.approx(MEMBERS[number]["marglik"], abs=CUTS)


def test_what_is_left_between_selection_and_robma_is_where_p_is_cut() -> None:
    encoded = problem(molloy())
    y, v, n = encoded.evidence.y, encoded.evidence.v, encoded.evidence.sizes
    normal = stats.norm.isf(0.05) * np.sqrt(v)
    t = stats.t.isf(0.05, n - 2)
    student = np.arctanh(t / np.sqrt(t**2 + n - 2))

    def evidence(cut: Array) -> float:
        """Member 4: no effect, no heterogeneity."""
        above = stats.norm.sf(cut / np.sqrt(v))
        plain = float(stats.norm.logpdf(y, 0, np.sqrt(v)).sum())

        def integrand(omega: float) -> float:
            weight = np.where(y > cut, 1.0, omega)
            return float(np.prod(weight / (above + omega * (1 - above))))

        return plain + math.log(quad(integrand, 0, 1, epsabs=0, epsrel=1e-12)[0])

    priors = _priors(MEMBERS[4]) | {"omega": "Uniform(lower=0, upper=1)"}
    ours = _evidence(_selected(Step(cutpoints=(0.05,)), priors))
    assert ours == pytest.approx(evidence(normal), abs=1e-9)
    assert evidence(student) == pytest.approx(MEMBERS[4]["marglik"], abs=BRIDGE)
    assert abs(ours - MEMBERS[4]["marglik"]) > BRIDGE
