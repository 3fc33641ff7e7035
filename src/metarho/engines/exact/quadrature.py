"""A posterior by quadrature: nodes over what is hard, Gaussian formulas for the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact import exact_r, likelihood, reporting, selection, student
from metarho.engines.exact.axes import COMPONENT, Hard, hard_parameters
from metarho.engines.exact.panels import FINE, LEAN, Axis, Rule, Seen, along, refinements
from metarho.engines.exact.priors import components, log_density
from metarho.engines.exact.weight_panels import selection_of
from metarho.engines.problem import Evidence, Problem, bias_of
from metarho.spec.model import StepSelection

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Quadrature:
    """Nodes and weights: enough to rebuild every density of the posterior.

    ``axes`` has the hard parameters by name, mu last where it is one; ``mass`` the posterior mass
    at the tensor of their nodes, summing to 1. Where the mean is conjugate, ``mean`` (J, p) and
    ``covariance`` (J, p, p) are those of the coefficients at each of the J nodes, in the order of
    ``mass.ravel()``. ``log_integral`` is the log of the integral of prior times likelihood, on the
    scale of the model's effect size, with improper priors as their formulas say. ``quad_err`` is
    the largest difference to the same panels with fewer nodes: absolute for the log integral, in
    posterior sd for means and sds.
    """

    axes: Mapping[str, Axis]
    mass: Array
    mean: Array | None
    covariance: Array | None
    log_integral: float
    proper: bool
    quad_err: float

    @property
    def log_evidence(self) -> float | None:
        """Log marginal likelihood; None with an improper prior, whose constant is arbitrary."""
        return self.log_integral if self.proper else None

    @property
    def mu(self) -> Axis | None:
        """The axis of mu, where it is not conjugate."""
        return self.axes.get("mu")

    @cached_property
    def joint(self) -> Array:
        """Mass at each of J nodes of all axes but mu, and M nodes of mu (1 where conjugate)."""
        columns = 1 if self.mu is None else len(self.mu.nodes)
        return self.mass.reshape(-1, columns)

    @cached_property
    def node_mass(self) -> Array:
        """Mass at each of the J nodes of all axes but mu."""
        return np.asarray(self.joint.sum(axis=1))

    @cached_property
    def values(self) -> dict[str, Array]:
        """Name -> value of the hard parameters but mu at each of the J nodes."""
        return flat_values({name: axis for name, axis in self.axes.items() if name != "mu"})

    def marginal_mass(self, name: str) -> Array:
        """Mass at the nodes of one axis."""
        here = list(self.axes).index(name)
        others = tuple(d for d in range(self.mass.ndim) if d != here)
        return np.asarray(self.mass.sum(axis=others))


def solve(problem: Problem) -> Quadrature:
    """Integrate a problem that the engine covers, on panels of its own."""
    hard = hard_parameters(problem)

    def look(axes: Sequence[Axis]) -> Seen:
        log_density, given = _posterior_at(problem, hard, axes)
        if given is None:
            return Seen(log_density)
        return Seen(log_density, _laws(problem, hard, axes, log_density, given))

    first, reaches = [h.axis for h in hard], [h.reach for h in hard]
    rule = rule_for(first)
    if selection_of(problem) is not None:
        # What selection does is itself known to about that.
        rule = replace(rule, tolerance=1e-6, asked=1e-7, finest=1e-7)
    for tolerance, axes in refinements(look, first, reaches, rule):
        found = _solved(problem, hard, axes, rule)
        # Coefficients below the rounding of the log density are noise.
        finest = max(rule.finest, 10 * float(np.finfo(float).eps) * abs(found.log_integral))
        if found.quad_err <= rule.asked or tolerance / 10 < finest:
            break
    return found


def solve_on(problem: Problem, axes: Sequence[Axis], order: int) -> Quadrature:
    """A posterior on panels that are given, in the order of the hard parameters."""
    rule = replace(rule_for(axes), check=order - 2, order=order)
    return _solved(problem, hard_parameters(problem), axes, rule)


def _solved(problem: Problem, hard: Sequence[Hard], axes: Sequence[Axis], rule: Rule) -> Quadrature:
    """The posterior on panels that are cut, with its error."""
    results = []
    for order in (rule.check, rule.order):
        at = [axis.with_order(order) for axis in axes]
        log_density, given = _posterior_at(problem, hard, at)
        log_total, mass = _normalise(log_density, at)
        found = Quadrature(_named(hard, at), mass, None, None, log_total, True, 0.0)
        results.append((log_total, _moments(problem, found, given), found, given))
    (log_check, moments_check, *_), (log_total, moments, found, given) = results
    proper = all(applied.prior.proper for applied in problem.priors.values())
    error = _difference(log_check, moments_check, log_total, moments)
    return Quadrature(
        found.axes,
        found.mass,
        None if given is None else given.mean,
        None if given is None else given.covariance,
        log_total,
        proper,
        max(error, _error_of_weights(problem, found)),
    )


def _error_of_weights(problem: Problem, found: Quadrature) -> float:
    """How far what selection does to rows is from a finer rule, on average where the mass lies.

    As far, at most, as the log of the integral is.
    """
    selected = selection_of(problem)
    if selected is None:
        return 0.0
    assert found.mu is not None
    places, density = [], found.joint
    for name in (*problem.spreads, "mu"):
        below = np.cumsum(found.marginal_mass(name))
        shares = np.minimum(np.searchsorted(below, [0.05, 0.5, 0.95]), len(below) - 1)
        places.append(np.unique(shares))
        axis = found.axes[name]
        density = density / (axis.weights if name == "mu" else axis.weights[:, None])
    taus = found.axes[problem.spreads[0]].nodes[places[0]] if problem.spreads else np.zeros(1)
    mu = found.mu.nodes[places[-1]]
    anew = np.stack([selected.log_expected_anew(float(tau), mu) for tau in taus])
    weight = density[np.ix_(places[0] if problem.spreads else [0], places[-1])]
    apart = np.abs(selected.log_expected(taus, mu) - anew)
    return float((weight * apart).sum() / weight.sum())


def _named(hard: Sequence[Hard], axes: Sequence[Axis]) -> dict[str, Axis]:
    return {h.name: axis for h, axis in zip(hard, axes, strict=True)}


def _posterior_at(
    problem: Problem, hard: Sequence[Hard], axes: Sequence[Axis]
) -> tuple[Array, likelihood.Conditional | None]:
    """Log of prior times likelihood at the tensor of the nodes; the coefficients given each node.

    None for these where the mean is not conjugate, and has an axis.
    """
    log_prior = log_prior_at(problem, hard, axes)
    named = _named(hard, axes)
    if "mu" in named:
        table = table_at(problem, problem.evidence, named, log_prior)
        return log_prior + table.reshape(log_prior.shape), None
    given = _conditional(problem, named)
    return log_prior + given.log_marginal.reshape(log_prior.shape), given


def _laws(
    problem: Problem,
    hard: Sequence[Hard],
    axes: Sequence[Axis],
    log_density: Array,
    given: likelihood.Conditional,
) -> list[Array]:
    """How the laws of the coefficients, and of a new true effect, change from node to node.

    A cdf at x is Φ((x − mean)/sd), summed over nodes. It is smooth where the log of the sd is, and
    the mean in its sd; both may change where the density of heterogeneity does not, close to 0
    under precise rows and a wide prior. A wave of the latter is resolved where all of Φ's are.
    """
    values = flat_values({n: axis for n, axis in _named(hard, axes).items() if n != COMPONENT})
    study, effect = variances_at(problem, values)
    total = np.repeat(study + effect, len(given.mean) // len(study))
    _, mass = _normalise(log_density, axes)
    found = []
    for mean, variance in zip(
        given.mean.T, np.diagonal(given.covariance, axis1=1, axis2=2).T, strict=True
    ):
        if (variance > 0).all():
            away = (mean - mass.ravel() @ mean) / np.sqrt(variance)
            found += [np.log(variance), np.log(variance + total), np.sin(away), np.cos(away)]
    return [law.reshape(log_density.shape) for law in found]


def rule_for(axes: Sequence[Axis]) -> Rule:
    """How finely axes together are resolved."""
    return FINE if sum(not axis.is_atoms for axis in axes) < 3 else LEAN


def flat_values(axes: Mapping[str, Axis]) -> dict[str, Array]:
    """Name -> value at each node of the axes' tensor, raveled."""
    grids = np.meshgrid(*(axis.nodes for axis in axes.values()), indexing="ij")
    return {name: grid.ravel() for name, grid in zip(axes, grids, strict=True)}


def variances_at(problem: Problem, values: Mapping[str, Array]) -> tuple[Array, Array]:
    """Variance between studies and between effects at each node (0 where the model has none)."""
    count = max([len(value) for value in values.values()], default=1)
    variances = problem.level_variances(values)
    zero = np.zeros(count)
    return variances.get("study", zero), variances.get("effect", zero)


def log_likelihood_at(problem: Problem, axes: Mapping[str, Axis]) -> Array:
    """Log p(all rows | nodes) at the tensor of the axes' nodes, raveled.

    A conjugate mean is integrated out; else mu is the last axis.
    """
    if "mu" not in axes:
        return _conditional(problem, axes).log_marginal
    return table_at(problem, problem.evidence, axes).ravel()


def table_at(
    problem: Problem, evidence: Evidence, axes: Mapping[str, Axis], log_prior: Array | None = None
) -> Array:
    """Log p(rows | nodes) of some of a problem's rows, mu the last axis: (N, M).

    Where ``log_prior``, at the tensor of the nodes, leaves a node out of account, it is no more
    than that there.
    """
    values = flat_values({name: axis for name, axis in axes.items() if name != "mu"})
    mu = axes["mu"].nodes
    tau2_study, tau2_effect = variances_at(problem, values)
    model = problem.model
    if evidence.is_silent.any():
        evidence = evidence.only(~evidence.is_silent)
    if evidence.k == 0:
        return np.zeros((len(tau2_study), len(mu)))
    if problem.reporting is not None:
        return reporting.log_likelihood_table_reported(evidence, problem.reporting, mu, tau2_effect)
    if model.likelihood == "exact-r":
        return exact_r.log_likelihood_table(evidence, mu, tau2_effect)
    if model.effects == "student-t":
        return student.log_likelihood_table(evidence, mu, tau2_effect, values["nu"])
    if selected := selection_of(problem, evidence):
        plain = likelihood.log_likelihood_table(evidence, mu, tau2_study, tau2_effect)
        beside = None if log_prior is None else plain + log_prior.reshape(plain.shape)
        return plain + selected.log_expected(np.sqrt(tau2_effect), mu, beside)
    if isinstance(model.selection, StepSelection):
        count = max(len(value) for value in [*values.values(), tau2_effect])
        return selection.log_likelihood_table_selected(
            evidence,
            model.selection.step,
            mu,
            np.broadcast_to(tau2_effect, count),
            values.get("omega"),
        )
    if model.selection in ("pet", "peese"):
        slopes = values[str(model.selection)]
        table = np.empty((len(slopes), len(mu)))
        for slope in np.unique(slopes):
            here = slopes == slope
            own = (np.broadcast_to(tau2, len(slopes))[here] for tau2 in (tau2_study, tau2_effect))
            shifted = evidence.shifted(-slope * bias_of(problem, evidence))
            table[here] = likelihood.log_likelihood_table(shifted, mu, *own)
        return table
    return likelihood.log_likelihood_table(evidence, mu, tau2_study, tau2_effect)


def tables_at(problem: Problem, axes: Mapping[str, Axis], subsets: NDArray[np.bool_]) -> Array:
    """The same under ``likelihood: exact-r`` of S subsets (S, k) of the rows: (S, N, M)."""
    values = flat_values({name: axis for name, axis in axes.items() if name != "mu"})
    _, tau2 = variances_at(problem, values)
    speaks = ~problem.evidence.is_silent
    return exact_r.log_likelihood_tables(
        problem.evidence.only(speaks), axes["mu"].nodes, tau2, subsets[:, speaks]
    )


def _conditional(problem: Problem, axes: Mapping[str, Axis]) -> likelihood.Conditional:
    """The coefficients given each node of the axes, and what the data say of the node."""
    values = flat_values({name: axis for name, axis in axes.items() if name != COMPONENT})
    variances = variances_at(problem, values)
    return conditional_on(
        problem, sums_at(problem, variances, values), np.sqrt(variances[0] + variances[1])
    )


def sums_at(
    problem: Problem, variances: tuple[Array, Array], values: Mapping[str, Array]
) -> likelihood.Sums:
    """What exact rows say of the coefficients at N variances and values of the rest.

    The slope of the bias of small studies is among the rest: known at a node.
    """
    if problem.bias is None:
        return likelihood.gaussian_sums(problem.evidence, problem.design.matrix, *variances)
    matrix = np.column_stack([problem.design.matrix, problem.bias])
    # Its nodes repeat those of heterogeneity.
    pairs, place = np.unique(np.column_stack(variances), axis=0, return_inverse=True)
    sums = likelihood.gaussian_sums(problem.evidence, matrix, pairs[:, 0], pairs[:, 1])
    repeated = likelihood.Sums(
        sums.origin,
        sums.constant[place],
        sums.square[place],
        sums.right[place],
        sums.precision[place],
    )
    return likelihood.given_last(repeated, values[str(problem.model.selection)])


def conditional_on(problem: Problem, sums: likelihood.Sums, total: Array) -> likelihood.Conditional:
    """The coefficients given sums at N nodes, under each component of the prior of mu in turn.

    ``total`` (N) is the total sd of true effects.
    """
    slopes = [problem.prior(name) for name in problem.coefficients[1:]]
    parts = [
        likelihood.condition(sums, [part, *slopes], total)
        for _, part in components(problem.prior("mu"))
    ]
    # The component is the last axis: its nodes follow each other.
    return likelihood.Conditional(
        np.stack([part.log_marginal for part in parts], axis=1).ravel(),
        np.stack([part.mean for part in parts], axis=1).reshape(-1, 1 + len(slopes)),
        np.stack([part.covariance for part in parts], axis=1).reshape(
            -1, 1 + len(slopes), 1 + len(slopes)
        ),
    )


def log_prior_at(problem: Problem, hard: Sequence[Hard], axes: Sequence[Axis]) -> Array:
    """Sum of the hard parameters' log priors at the tensor of the nodes."""
    total = np.zeros([len(axis.nodes) for axis in axes])
    for dimension, (h, axis) in enumerate(zip(hard, axes, strict=True)):
        if h.name == COMPONENT:
            values = np.log([weight for weight, _ in components(h.prior)])
        elif axis.is_atoms:
            continue
        else:
            values = log_density(h.prior, axis.nodes, problem.evidence.v)
        total = total + along(values, dimension, total.ndim)
    return total


def _normalise(values: Array, axes: Sequence[Axis]) -> tuple[float, Array]:
    """Log of the integral, and the share of each node in it."""
    peak = float(values.max())
    mass = np.exp(values - peak)
    for dimension, axis in enumerate(axes):
        mass = mass * along(axis.weights, dimension, mass.ndim)
    total = float(mass.sum())
    return peak + math.log(total), np.asarray(mass / total)


def _moments(
    problem: Problem, found: Quadrature, given: likelihood.Conditional | None
) -> list[tuple[float, float]]:
    """Mean and sd of every parameter that is not a point."""
    moments = []
    for name, axis in found.axes.items():
        if axis.is_point:
            continue
        mass = found.marginal_mass(name)
        mean = float(mass @ axis.nodes)
        moments.append((mean, math.sqrt(float(mass @ (axis.nodes - mean) ** 2))))
    if given is not None:
        mass = found.node_mass
        mean_of = mass @ given.mean
        second = np.diagonal(given.covariance, axis1=1, axis2=2) + (given.mean - mean_of) ** 2
        for name, mean, square in zip(problem.coefficients, mean_of, mass @ second, strict=True):
            if not problem.prior(name).is_point:
                moments.append((float(mean), math.sqrt(float(square))))
    return moments


def _difference(
    log_check: float,
    check: Sequence[tuple[float, float]],
    log_total: float,
    moments: Sequence[tuple[float, float]],
) -> float:
    worst = abs(log_check - log_total)
    for (mean_check, sd_check), (mean, sd) in zip(check, moments, strict=True):
        if sd > 0:
            worst = max(worst, abs(mean_check - mean) / sd, abs(sd_check - sd) / sd)
    return float(worst)
