"""A fit's new study as the prior of the next analysis: the meta-analytic-predictive (MAP) prior.

What a fit expects of a new study's true effect is written as a mixture of few normals, which the
grammar can say. Source: Schmidli et al. 2014, Biometrics 70(4), 10.1111/biom.12242; the mixture is
the one nearest in Kullback–Leibler divergence, as maximum likelihood finds it in RBesT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from metarho.compare.hellinger import hellinger
from metarho.errors import FitError, InputError
from metarho.posterior.exact import Exact
from metarho.posterior.marginals import Marginal, Point
from metarho.posterior.mixtures import Mixture, Normals
from metarho.posterior.observed_r import on_panels
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]

# Two laws that far apart are not told apart by fewer than about ten thousand draws, 1/H².
NEAR_ENOUGH = 0.01
MOST_COMPONENTS = 6
# The mixture is printed with so many digits; its distance is taken of what is printed.
DIGITS = 6
# As in RBesT's examples; its function asks for the weight and has no default.
ROBUST = 0.1
# What lies beyond on either side moves the distance by no more than its root, 3e-5.
_OUTSIDE = 1e-9
_STEPS = 5000
# A step that gains less in the mean log likelihood changes no digit that is printed.
_GAIN = 1e-13
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class PredictivePrior:
    """A mixture of normals and its Hellinger distance to what it stands for."""

    prior: Prior
    hellinger: float


def predictive_prior(posterior: Exact) -> PredictivePrior:
    """What a fit expects of a new study's true effect, at the average of its moderators.

    On the model's scale, as a mixture with the fewest normals that are near enough (H of 0.01).
    Raises InputError where nothing is unknown, FitError where six normals are not near enough.
    """
    theta = posterior.theta_new(posterior.head)
    if isinstance(theta, Point):
        raise InputError("mu and heterogeneity are held at values: nothing is to be expected")
    return as_mixture(theta)


def as_mixture(theta: Marginal) -> PredictivePrior:
    """A marginal as a mixture of as few normals as are near enough."""
    curve = on_panels(theta, *theta.range(_OUTSIDE))
    mass = curve.density(curve.axis.nodes) * curve.axis.weights
    held = mass > 0
    nodes, mass = curve.axis.nodes[held], mass[held] / mass[held].sum()
    distance = 1.0
    for count in range(1, MOST_COMPONENTS + 1):
        prior = _rounded(*_nearest(nodes, mass, count))
        distance = hellinger(curve, law_of(prior))
        if distance <= NEAR_ENOUGH:
            return PredictivePrior(prior, distance)
    raise FitError(
        f"{MOST_COMPONENTS} normals come no nearer to the new study than a Hellinger distance of "
        f"{distance:.3f}; its tails are too heavy for a mixture of normals"
    )


def law_of(mixture: Prior) -> Mixture:
    """A prior that is a mixture of normals, as a marginal."""
    lists = {name: np.array(values) for name, values in mixture.lists}
    return Mixture(Normals(lists["w"], lists["mu"], lists["sigma"]))


def _nearest(x: Array, mass: Array, count: int) -> tuple[Array, Array, Array]:
    """Weights, means and sds of the mixture that maximises Σ mass log density: by EM.

    It starts at one mean with sds a factor of two apart, for what a fit expects of a new study has
    one peak and tails heavier than normal; so nothing is random.
    """
    mean = float(mass @ x)
    sd = float(np.sqrt(mass @ (x - mean) ** 2))
    w: Array = np.full(count, 1 / count)
    mu: Array = np.full(count, mean)
    apart = 2.0 ** (np.arange(count) - 0.5 * (count - 1))
    sigma: Array = np.asarray(sd * apart, dtype=np.float64)
    before = -np.inf
    for _ in range(_STEPS):
        logs = np.log(w) - np.log(sigma) - 0.5 * (((x[:, None] - mu) / sigma) ** 2 + _LOG_2PI)
        total = logsumexp(logs, axis=1)
        reached = float(mass @ total)
        if reached - before < _GAIN:
            break
        before = reached
        part = np.exp(logs - total[:, None]) * mass[:, None]
        w = part.sum(axis=0)
        mu = x @ part / w
        sigma = np.sqrt(((x[:, None] - mu) ** 2 * part).sum(axis=0) / w)
    return w, mu, sigma


def _rounded(w: Array, mu: Array, sigma: Array) -> Prior:
    """The mixture with the digits that are printed, the heaviest component first."""
    order = np.argsort(-w)
    return Prior(
        "NormalMixture",
        lists=tuple(
            (name, tuple(float(f"{value:.{DIGITS}g}") for value in values[order]))
            for name, values in (("w", w), ("mu", mu), ("sigma", sigma))
        ),
    )
