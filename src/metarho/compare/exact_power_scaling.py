"""Power-scaling sensitivity by quadrature: the posteriors under scaled prior and likelihood.

ArviZ estimates both from draws of the unscaled posterior, by importance weights
(``power_scaling``). Here the prior, or the likelihood, is raised to the power at the nodes
themselves, and distances are those of exact cdfs: the same number without its Monte Carlo error.

    sensitivity = ½ [D(1 + h)/log2(1 + h) − D(1 − h)/log2(1 − h)]

with D(α) the cumulative Jensen–Shannon distance from the posterior under α to that under 1
(Kallioinen, Paananen, Bürkner, Vehtari 2024, 10.1007/s11222-023-10366-5), over the range that
``DRAWS`` independent draws cover, for in their estimator it ends where draws do.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from metarho.compare.power_scaling import PowerScaling
from metarho.engines.exact import is_conjugate
from metarho.engines.exact import likelihood as conjugate
from metarho.engines.exact.axes import CLOSED, hard_parameters
from metarho.engines.exact.panels import along
from metarho.engines.exact.quadrature import (
    Quadrature,
    log_likelihood_at,
    log_prior_at,
    variances_at,
)
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Marginal, Point
from metarho.spec.priors import PER_TAU, Prior
from metarho.spec.scaling import with_argument

type Array = NDArray[np.float64]

# The powers and the threshold of ArviZ and priorsense.
POWERS, THRESHOLD = (0.99, 1.01), 0.05
# ArviZ's are usually so many: 4 chains of 1,000.
DRAWS = 4000
# Cdfs are smooth over this range; a rule of so many nodes leaves nothing of a distance.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


def exact_power_scaling(fit: Fit) -> tuple[PowerScaling, ...]:
    """The sensitivity of the mean and of each parameter of heterogeneity that is no point.

    () for sampled fits, and where a power of the prior is not of its family: mixtures of normals on
    mu, and a prior of mu in units of tau.
    """
    whole, problem = fit.result, fit.problem
    if not isinstance(whole, Quadrature):
        return ()
    names = [n for n in ("mu", *problem.spreads) if not problem.prior(n).is_point]
    base = Exact(problem, whole).parameters
    scaled = {
        which: [_scaled(problem, whole, which, power) for power in POWERS]
        for which in ("prior", "likelihood")
    }
    found = []
    for name in names:
        numbers = {}
        for which, pair in scaled.items():
            others = [one.parameters[name] for one in pair if one is not None]
            if len(others) < len(POWERS):
                return ()
            numbers[which] = _sensitivity(base[name], others)
        said = diagnosis(numbers["prior"], numbers["likelihood"])
        found.append(PowerScaling(name, numbers["prior"], numbers["likelihood"], said))
    return tuple(found)


def diagnosis(prior: float, likelihood: float) -> str:
    """ArviZ's words on a pair of sensitivities."""
    if prior >= THRESHOLD and likelihood >= THRESHOLD:
        return "potential prior-data conflict"
    if prior > THRESHOLD > likelihood:
        return "potential strong prior / weak likelihood"
    return "✓"


def numbers_in_words(found: tuple[PowerScaling, ...]) -> str | None:
    """Every parameter's numbers and diagnosis; None where nothing is scaled."""
    said = [
        f"{one.parameter}: {one.diagnosis} (prior {one.prior:.3f}, likelihood {one.likelihood:.3f})"
        for one in found
    ]
    return "; ".join(said) or None


def _scaled(problem: Problem, whole: Quadrature, which: str, power: float) -> Exact | None:
    """The posterior with prior or likelihood raised to a power, at the nodes of the whole."""
    of_prior, of_rows = (power, 1.0) if which == "prior" else (1.0, power)
    hard = hard_parameters(problem)
    axes = list(whole.axes.values())
    log_mass = of_prior * log_prior_at(problem, hard, axes)
    for dimension, axis in enumerate(axes):
        log_mass = log_mass + along(np.log(axis.weights), dimension, log_mass.ndim)
    if whole.mu is not None:
        log_rows = log_likelihood_at(problem, whole.axes)
        mass = _shares(log_mass + of_rows * log_rows.reshape(log_mass.shape))
        return Exact(problem, replace(whole, mass=mass))
    priors = [_power_of(problem.prior(name), of_prior) for name in problem.coefficients]
    known = [prior for prior in priors if prior is not None]
    if len(known) < len(priors) or not is_conjugate(problem):
        return None
    variances = variances_at(problem, whole.values)
    sums = conjugate.gaussian_sums(problem.evidence, problem.design.matrix, *variances)
    sums = conjugate.Sums(
        sums.origin,
        of_rows * sums.constant,
        of_rows * sums.square,
        of_rows * sums.right,
        of_rows * sums.precision,
    )
    given = conjugate.condition(sums, known, np.sqrt(variances[0] + variances[1]))
    mass = _shares(log_mass + given.log_marginal.reshape(log_mass.shape))
    return Exact(problem, replace(whole, mass=mass, mean=given.mean, covariance=given.covariance))


def _power_of(prior: Prior, power: float) -> Prior | None:
    """Of a normal density one of sd/√power; None for what does not stay in its family."""
    if prior.family not in CLOSED or prior.on == PER_TAU:
        return None
    if prior.family != "Normal":
        return prior
    return with_argument(prior, "sigma", prior.values["sigma"] / math.sqrt(power))


def _shares(log_mass: Array) -> Array:
    mass = np.exp(log_mass - log_mass.max())
    return np.asarray(mass / mass.sum())


def _sensitivity(base: Marginal, others: list[Marginal]) -> float:
    """The mean of the slopes to both sides of the power 1."""
    lower, upper = (_distance(base, other) for other in others)
    return 0.5 * (upper / math.log2(POWERS[1]) - lower / math.log2(POWERS[0]))


def _distance(first: Marginal, second: Marginal) -> float:
    """The larger of the cumulative Jensen–Shannon distances of cdfs and of survival functions."""
    if isinstance(first, Point) or isinstance(second, Point):
        return 0.0
    ends = first.summary(1 - 2 / (DRAWS + 1), "eti")
    if ends.lower is None or ends.upper is None:
        return math.nan
    low, high = ends.lower, ends.upper
    half = 0.5 * (high - low)
    x, weights = low + half * (1 + _NODES), half * _WEIGHTS
    p, q = first.cdf(x), second.cdf(x)
    return max(_cumulative(p, q, weights), _cumulative(1 - p, 1 - q, weights))


def _cumulative(p: Array, q: Array, weights: Array) -> float:
    """√((K(p, q) + K(q, p))/∫(p + q)), K(p, q) = ∫ p log2(2p/(p + q)) + (q − p)/(2 log 2).

    The second terms cancel in the sum.
    """
    log_m = np.log2(np.maximum(0.5 * (p + q), np.finfo(float).tiny))
    total = weights @ ((xlogy(p, p) + xlogy(q, q)) / math.log(2) - (p + q) * log_m)
    return math.sqrt(max(0.0, float(total)) / float(weights @ (p + q)))
