"""Bayes factors of a model against itself without an effect, and without heterogeneity.

BF10 is how many times as likely the data are under a model as under the same model with a
parameter held at its null, all other priors shared. Where the prior density at the null is finite
and positive it equals the ratio of prior and posterior density there (Savage and Dickey; Dickey
1971, 10.1214/aoms/1177693507), which is computed besides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from metarho.engines import exact, nuts
from metarho.engines.exact.axes import hard_parameters
from metarho.engines.exact.panels import Axis, along
from metarho.engines.exact.priors import log_density
from metarho.engines.exact.quadrature import Quadrature, log_likelihood_at, log_prior_at
from metarho.engines.problem import Problem, improper
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.spec.priors import PER_TAU, Prior

type Array = NDArray[np.float64]

# Beyond this many times, a sentence says "more than".
MOST_TIMES = 1e6
# Both forms are one number: so far apart, the posterior's nodes do not reach the null.
LARGEST_DIFFERENCE = 1e-6


@dataclass(frozen=True)
class Null:
    """A hypothesis: parameters held at ``values``; ``with_it`` and ``without`` say it in words."""

    name: str
    values: Mapping[str, float]
    with_it: str
    without: str


@dataclass(frozen=True)
class BayesFactor:
    """A model against its null.

    ``log_bf`` is log BF10, positive where the data speak for the model; None with a ``reason``.
    ``savage_dickey`` is the same from the densities at the null; None with ``no_savage_dickey``,
    why. ``shared_improper`` are parameters whose improper prior, with its arbitrary constant, both
    have. ``error`` bounds ``log_bf`` where both models are integrated; ``mcse`` is its Monte Carlo
    standard error where one is sampled.
    """

    null: str
    log_bf: float | None
    savage_dickey: float | None
    direction: str | None
    shared_improper: tuple[str, ...] = ()
    error: float | None = None
    reason: str | None = None
    no_savage_dickey: str | None = None
    mcse: float | None = None

    @property
    def label(self) -> str:
        """What a table adds to the number."""
        names = " and ".join(self.shared_improper)
        return f"shared improper prior on {names}" if names else ""


def bayes_factors(
    fit: Fit, settings: Settings, among: Sequence[Null] | None = None
) -> tuple[BayesFactor, ...]:
    """The Bayes factor of every null of a fit's model: mu = 0, no heterogeneity, none of a level.

    ``among`` asks for some nulls only. The models without the parameter are refitted, by the exact
    engine where it covers them.
    """
    asked_for = nulls(fit.problem) if among is None else among
    found = [(null, _refusal(fit, null)) for null in asked_for]
    asked = [null for null, reason in found if reason is None]
    restricted = [held(fit.problem, null) for null in asked]
    refits = iter(fit_many(restricted, replace(settings, engine="auto", agreement=False)))
    return tuple(
        _bayes_factor(fit, null, next(refits))
        if reason is None
        else BayesFactor(null.name, None, None, None, reason=reason)
        for null, reason in found
    )


def nulls(problem: Problem) -> tuple[Null, ...]:
    """The hypotheses that a model has: parameters that it leaves free, at 0."""
    found = []
    slopes = len(problem.coefficients) > 1
    if not problem.prior("mu").is_point:
        words = ("an intercept", "one") if slopes else ("an effect", "one")
        found.append(Null("mu = 0", {"mu": 0.0}, *words))
    if problem.model.custom is not None:
        # What 0 is to its other parameters, the file alone knows.
        return tuple(found)
    free = [name for name in problem.spreads if not problem.prior(name).is_point]
    words = ("heterogeneity", "it")
    if problem.is_total_form:
        if "tau" in free:
            found.append(Null("tau = 0", {"tau": 0.0}, *words))
        if "share" in free:
            found.append(Null("tau_study = 0", {"share": 0.0}, *_between("studies")))
            found.append(Null("tau_effect = 0", {"share": 1.0}, *_between("effects")))
        return tuple(found)
    outliers = [name for name in ("tau_outlier",) if name in problem.priors]
    if free:
        everything = [*problem.spreads, *outliers]
        found.append(Null(f"{' = '.join(everything)} = 0", dict.fromkeys(everything, 0.0), *words))
    found += [Null(f"{name} = 0", {name: 0.0}, "outliers", "them") for name in outliers]
    if len(problem.spreads) > 1:
        plural = {"tau_study": "studies", "tau_effect": "effects"}
        found += [
            Null(f"{name} = 0", {name: 0.0}, *_between(plural.get(name, name[4:]))) for name in free
        ]
    bias = [name for name in ("pet", "peese") if name in problem.priors]
    found += [Null(f"{name} = 0", {name: 0.0}, "small-study bias", "it") for name in bias]
    return tuple(found)


def _between(what: str) -> tuple[str, str]:
    where = "within studies" if what == "effects" else f"between {what}"
    return f"heterogeneity {where}", "it"


def held(problem: Problem, null: Null) -> Problem:
    """The problem with the null's parameters at its values."""
    points = {name: Prior("DiracDelta", (("c", value),)) for name, value in null.values.items()}
    priors = {
        name: replace(applied, prior=points[name]) if name in points else applied
        for name, applied in problem.priors.items()
    }
    return replace(problem, priors=priors)


def _refusal(fit: Fit, null: Null) -> str | None:
    """Why a null has no Bayes factor; None when it has one."""
    for name in null.values:
        prior = fit.problem.prior(name)
        if not prior.proper:
            return f"{null.name} needs a proper prior on {name}, and {prior} is improper"
    restricted = held(fit.problem, null)
    if isinstance(fit.result, Quadrature):
        return improper(restricted) or exact.covers(restricted)
    if fit.log_evidence is None:
        return (
            "the evidence of a sampled model needs proper priors on all its parameters and more "
            "draws than it has variables"
        )
    refusals = exact.covers(restricted), nuts.covers(restricted)
    return improper(restricted) or (refusals[1] if all(refusals) else None)


def _bayes_factor(fit: Fit, null: Null, refit: Fit) -> BayesFactor:
    whole, without = fit.result, refit.result
    if not (isinstance(whole, Quadrature) and isinstance(without, Quadrature)):
        return _sampled_bayes_factor(fit, null, refit)
    log_bf = whole.log_integral - without.log_integral
    ratio = savage_dickey(fit.problem, whole, null)
    if isinstance(ratio, float) and not abs(ratio - log_bf) <= LARGEST_DIFFERENCE:
        ratio = "the null lies where the nodes of the posterior no longer hold its density"
    shared = tuple(
        name
        for name, applied in fit.problem.priors.items()
        if name not in null.values and not applied.prior.proper
    )
    return BayesFactor(
        null.name,
        log_bf,
        ratio if isinstance(ratio, float) else None,
        direction(log_bf, null),
        shared,
        whole.quad_err + without.quad_err,
        no_savage_dickey=ratio if isinstance(ratio, str) else None,
    )


def _sampled_bayes_factor(fit: Fit, null: Null, refit: Fit) -> BayesFactor:
    """From evidence by bridge sampling, of one model or of both."""
    assert fit.log_evidence is not None and refit.log_evidence is not None
    log_bf = fit.log_evidence - refit.log_evidence
    error = math.hypot(fit.log_evidence_mcse or 0.0, refit.log_evidence_mcse or 0.0)
    return BayesFactor(
        null.name,
        log_bf,
        None,
        direction(log_bf, null),
        no_savage_dickey="draws have no density at a point",
        mcse=error,
    )


def direction(log_bf: float, null: Null) -> str:
    """A Bayes factor as a sentence."""
    times = math.exp(min(abs(log_bf), 700.0))
    if f"{times:.2g}" == "1":
        return f"the data are as likely with {null.with_it} as without {null.without}"
    said = (
        f"more than {MOST_TIMES:,.0f}"
        if times > MOST_TIMES
        else f"{times:,.0f}"
        if times >= 100
        else f"{times:.2g}"
    )
    if log_bf > 0:
        return f"the data are {said} times as likely with {null.with_it} as without {null.without}"
    return f"the data are {said} times as likely without {null.with_it} as with {null.without}"


def savage_dickey(problem: Problem, whole: Quadrature, null: Null) -> float | str:
    """Log BF10 = log prior density − log posterior density at the null, or why there is none."""
    log_prior = 0.0
    for name, value in null.values.items():
        prior = problem.prior(name)
        if prior.is_point:
            return f"{name} is a point already"
        if prior.on == PER_TAU:
            return f"the prior of {name} is one of mu/tau, which is no density of {name} alone"
        at = float(log_density(prior, np.array(value), problem.evidence.v))
        if not math.isfinite(at):
            height = "infinite" if at > 0 else "0"
            return f"the prior density of {name} is {height} at {value:g}"
        log_prior += at
    posterior = _density_at(problem, whole, null.values)
    if not posterior > 0:
        return "the posterior has no mass at the null that its nodes could hold"
    return log_prior - math.log(posterior)


def _density_at(problem: Problem, whole: Quadrature, values: Mapping[str, float]) -> float:
    """The posterior density of mu, or of heterogeneity together, at a point.

    Of mu as a mixture over the nodes of heterogeneity; of those by the panels' polynomials.
    """
    if "mu" in values and whole.mu is None:
        row = np.eye(len(problem.coefficients))[problem.coefficients.index("mu")]
        marginal = Exact(problem, whole).mean_of(row)
        return float(marginal.density(np.array(values["mu"])))
    if "mu" in values:
        # Off the nodes of mu a polynomial has lost its digits where the density is small.
        hard = hard_parameters(problem)
        axes = {**whole.axes, "mu": Axis.atoms(values["mu"])}
        log_joint = log_prior_at(problem, hard, list(axes.values()))
        log_joint = log_joint + log_likelihood_at(problem, axes).reshape(log_joint.shape)
        for dimension, axis in enumerate(axes.values()):
            log_joint = log_joint + along(np.log(axis.weights), dimension, log_joint.ndim)
        at = log_density(problem.prior("mu"), np.array(values["mu"]), problem.evidence.v)
        return math.exp(float(logsumexp(log_joint) + at) - whole.log_integral)
    density = whole.mass
    for name, axis in reversed(list(whole.axes.items())):
        weights = _interpolation(axis, values[name]) if name in values else np.ones(len(axis.nodes))
        density = density @ weights
    return float(density)


def _interpolation(axis: Axis, value: float) -> Array:
    """What makes of masses at an axis' nodes the density at a value: 0 outside its panels."""
    ends = axis.to_x(axis.breaks[[0, -1]])
    margin = 1e-12 * float(ends[1] - ends[0])
    weights = np.zeros(len(axis.nodes))
    if ends[0] - margin <= value <= ends[1] + margin:
        panel, place = axis.locate(np.array(value))
        nodes = slice(int(panel) * axis.order, (int(panel) + 1) * axis.order)
        weights[nodes] = axis.interpolation(place) / axis.weights[nodes]
    return weights
