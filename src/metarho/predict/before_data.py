"""What priors imply before any study is seen: the mean, true effects, heterogeneity, observed r.

All of it is the posterior of the exact engine on studies that have told nothing, by quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from metarho.data.effect_sizes import zcor
from metarho.data.studies import Row, Studies
from metarho.data.tables import Table
from metarho.engines import exact
from metarho.engines.problem import Problem, before_data, encode
from metarho.errors import InputError
from metarho.posterior.exact import Exact
from metarho.posterior.marginals import Marginal, Point, Summary
from metarho.posterior.observed_r import ends_of, observed_z, on_panels
from metarho.spec.model import Model
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]

# A small study, an ordinary one, a large one; reference priors are made for ordinary ones.
SIZES = (30, 100, 300)
ORDINARY = 100
# Priors made of standard errors need rows, and UniformI2 two of them.
ROWS = 10

_MODEL = Model(name="before data")


@dataclass(frozen=True)
class Implied:
    """What a prior of mu and one of tau imply together, before data.

    ``rho`` is the mean correlation tanh(mu), ``rho_new`` the true correlation of a study, on r;
    ``tau`` is on z. ``below_zero`` is the share of true correlations below 0. ``i2`` (percent) and
    ``observed_r`` are of studies of n people, by n.
    """

    mu: Prior
    tau_prior: Prior
    rho: Summary
    rho_new: Summary
    below_zero: float
    tau: Summary
    tau_above: Mapping[float, float]
    i2: Mapping[int, Summary]
    observed_r: Mapping[int, Summary]


def implied(
    mu: Prior,
    tau: Prior,
    *,
    sizes: Sequence[int] = SIZES,
    thresholds: Sequence[float] = (0.1, 0.3),
    prob: float = 0.95,
) -> Implied:
    """What the priors of mu and tau (both on Fisher's z) imply for correlations.

    tau may not depend on mu, nor mu on tau, beyond ``on mu/tau``. Priors that are made of standard
    errors are those of studies of 100 people. Raises InputError for an improper prior.
    """
    posterior = prior_of_correlations({"mu": mu, "tau": tau})
    theta = posterior.theta_new(posterior.head)
    # Once for all sizes: a density that is a sum over many nodes takes its time.
    resolved = theta if isinstance(theta, Point) else on_panels(theta, *ends_of(theta))
    spread = posterior.parameters["tau"]
    heterogeneity = spread.summary(prob, "eti")
    return Implied(
        mu,
        tau,
        posterior.rho(posterior.mean_of(posterior.head)).summary(prob, "eti"),
        posterior.rho(theta).summary(prob, "eti"),
        float(theta.cdf(np.array(0.0))),
        heterogeneity,
        {t: 1 - float(spread.cdf(np.array(t))) for t in thresholds},
        {n: _i2(heterogeneity, n) for n in sizes},
        {n: posterior.rho(observed_z(resolved, n)).summary(prob, "eti") for n in sizes},
    )


def as_dict(found: Implied) -> dict[str, object]:
    """The same as plain values: numbers that do not exist, or are infinite, are None."""

    def plain(value: object) -> object:
        if isinstance(value, Prior):
            return str(value)
        if isinstance(value, Summary):
            return plain(asdict(value))
        if isinstance(value, Mapping):
            return {str(key): plain(one) for key, one in value.items()}
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        return value

    return {field.name: plain(getattr(found, field.name)) for field in fields(found)}


def prior_marginal(parameter: str, prior: Prior) -> Marginal:
    """The prior of mu or tau as a marginal, with its cdf and quantiles.

    Raises InputError for an improper prior.
    """
    return prior_of_correlations({parameter: prior}).parameters[parameter]


def prior_of_correlations(priors: Mapping[str, Prior]) -> Exact:
    """The random-effects model of correlations before data; what is not named is a point.

    Raises InputError for an improper prior, and for one the exact engine does not integrate.
    """
    for name, prior in priors.items():
        if not prior.proper:
            raise InputError(
                f"{name}: {prior} is improper: before data it gives no correlation a probability"
            )
    point = Prior("DiracDelta", (("c", 0.0),))
    problem = before_data(_asked({"mu": point, "tau": point, **priors}))
    if refusal := exact.covers(problem):
        raise InputError(refusal)
    return Exact(problem, exact.integrate(problem))


def _asked(priors: Mapping[str, Prior]) -> Problem:
    """The random-effects model on ordinary studies."""
    places = tuple(f"study {number}" for number in range(1, ROWS + 1))
    yi, vi = zcor(0.0, ORDINARY)
    rows = tuple(
        Row(place, index, place, place, "1", "exact", True, "", 0.0, ORDINARY, yi=yi, vi=vi)
        for index, place in enumerate(places)
    )
    studies = Studies(Table("ordinary studies", {}, places), "ZCOR", "use", rows)
    return encode(_MODEL, studies, priors)


def _i2(tau: Summary, n: int) -> Summary:
    """I² = tau²/(tau² + 1/(n − 3)) of studies of n people, in percent, without mean and sd.

    It increases in tau, so that its quantiles are those of tau.
    """

    def percent(value: float | None) -> float | None:
        if value is None:
            return None
        return 100.0 if math.isinf(value) else 100 * value**2 / (value**2 + 1 / (n - 3))

    return Summary(None, None, percent(tau.median), percent(tau.lower), percent(tau.upper))
