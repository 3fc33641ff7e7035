"""Prior–data conflict: whether the data would surprise somebody who believes the prior.

Evans and Moshonov (2006, 10.1214/06-BA129) look up a statistic in its prior predictive law. Of mu
it is the headline estimate, of heterogeneity the residual sum of squares, which does not depend on
the mean. Both laws are mixtures over the prior of heterogeneity: integrated, not simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from metarho.compare.quadratic_form import tails
from metarho.engines import exact
from metarho.engines.exact.panels import Axis, moved, smooth_panels
from metarho.engines.exact.priors import components, log_density
from metarho.engines.exact.quadrature import flat_values
from metarho.engines.problem import Problem, before_data, problem_without
from metarho.errors import FitError
from metarho.posterior.mixtures import Mixture, NoisyPanels, Normals, lightest
from metarho.spec.priors import PER_TAU, Prior

type Array = NDArray[np.float64]

SYMMETRIC = ("Normal", "StudentT", "Cauchy", "Uniform", "DiracDelta")
"""Families that fall on both sides of their middle alike."""

# What a probability may move by when nodes are added; masses that do not count hold less.
_ERROR, _DROPPED = 1e-9, 1e-11
# Nodes a panel at first, and then; panels are halved at most this often.
_ORDER, _FINER, _HALVINGS = 12, 18, 4
# Where level sets are looked for: this far around each component, in so many points of all.
_SDS, _STEPS, _POINTS = 9.0, 55, 1500
# More nodes of heterogeneity than this are moved to few, on panels in which the law of the headline
# is a polynomial to 1e-10.
_MANY_NODES, _WIDTH = 1000, 1.0
# The law of Q changes within a share √(2/m) of heterogeneity, m its degrees of freedom: panels of
# this many times 1/√m hold it to 1e-9, and a share needs so many per √m.
_PER_ROOT, _SHARES_PER_ROOT = 3.0, 0.5
# Numbers held at once.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Conflict:
    """Prior predictive p-values of mu and of heterogeneity; None with ``no_mu``, ``no_tau``: why.

    Small ones say that the data lie where the prior did not expect them.
    """

    mu: float | None
    tau: float | None
    no_mu: str | None = None
    no_tau: str | None = None


@dataclass(frozen=True)
class WithoutStudy:
    """What p-values gain when a study is left out; None where one of the two does not exist."""

    study: str
    mu: float | None
    tau: float | None


def conflict(problem: Problem) -> Conflict:
    """The conflict of a problem's prior with its data: of mu, and of heterogeneity."""
    y = problem.evidence.y[None]
    mu, no_mu = _p_or_reason(_no_mean(problem), lambda: p_of_mean(problem, headline(problem, y)))
    tau, no_tau = _p_or_reason(
        _no_spread(problem), lambda: p_of_spread(problem, residual_square(problem, y))
    )
    return Conflict(mu, tau, no_mu, no_tau)


def _p_or_reason(reason: str | None, p: Callable[[], Array]) -> tuple[float | None, str | None]:
    """One p-value, or why there is none: a law that is not resolved costs this column only."""
    if reason:
        return None, reason
    try:
        return float(p()[0]), None
    except FitError as error:
        return None, str(error)


def conflict_by_study(problem: Problem) -> tuple[WithoutStudy, ...]:
    """The change in both p-values when each study is left out, in the order of the evidence."""
    whole, evidence = conflict(problem), problem.evidence
    found = []
    for number, name in enumerate(evidence.study_names):
        rest = conflict(problem_without(problem, evidence.study == number))
        found.append(WithoutStudy(name, _change(whole.mu, rest.mu), _change(whole.tau, rest.tau)))
    return tuple(found)


def study_behind(changes: Sequence[WithoutStudy], parameter: str) -> str | None:
    """The study without which p of ``mu`` or ``tau`` rises most; None where it never rises."""
    risen = {
        one.study: change for one in changes if (change := getattr(one, parameter)) and change > 0
    }
    return max(risen, key=lambda study: risen[study]) if risen else None


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def headline(problem: Problem, y: Array) -> Array:
    """x̄ᵀβ̂ of n sets of rows (n, k): the estimate at weights 1/v at the average row."""
    return np.asarray(y @ _headline_weights(problem))


def residual_square(problem: Problem, y: Array) -> Array:
    """Q of n sets of rows (n, k): the least (y − Xβ)ᵀ V⁻¹ (y − Xβ) over β (Cochran's Q_E)."""
    return np.asarray((_whitened(problem, y.T) ** 2).sum(axis=0))


def p_of_mean(problem: Problem, t: Array) -> Array:
    """P(m(T) <= m(t)) for n values of the headline estimate T, m its prior predictive density.

    T given β and heterogeneity is Normal(x̄ᵀβ, aᵀVa + Σ τ_l² aᵀG_l a) with a the weights of rows
    and G_l 1 where two rows share a group of level l.
    """
    prior = problem.prior("mu")
    slopes = [problem.prior(name) for name in problem.coefficients[1:]]

    def look(axes: Sequence[Axis]) -> Array:
        law = _law_of_headline(problem, axes)
        if prior.on or not {prior.family, *(s.family for s in slopes)} <= set(SYMMETRIC):
            return _below_level(law, t)
        middle = _middles(problem) @ problem.design.average
        # Symmetric and falling from its middle: less dense is farther away.
        return np.asarray(2 * law.cdf(middle - np.abs(t - middle)))

    return _settled(look, _axes(problem, problem.spreads) + _axes(problem, _hard_mean(problem)))


def p_of_spread(problem: Problem, q: Array) -> Array:
    """2 min(P(Q <= q), P(Q > q)) for n values of the residual square Q, under its prior law."""
    return np.asarray(np.minimum(1.0, 2 * tails_of_spread(problem, q).min(axis=0)))


def tails_of_spread(problem: Problem, q: Array) -> Array:
    """P(Q <= q) and P(Q > q) (2, n) for n values of the residual square Q, under its prior law.

    Given heterogeneity Q = Σ λ_i e_i² with e standard normal and λ the eigenvalues of
    I + Σ τ_l² V^(−1/2) G_l V^(−1/2) among residuals.
    """
    axes = _axes(problem, problem.spreads)
    parts = _residual_parts(problem)
    unit = 1 / math.sqrt(max(np.linalg.eigvalsh(part)[-1] for part in parts))
    root = math.sqrt(len(parts[0]))
    smooth = [_smooth(axis, unit, root) for axis in axes]
    counts = ~lightest(_moved_prior(problem, axes, smooth), _DROPPED)
    values = flat_values(dict(zip(problem.spreads, smooth, strict=True)))
    weights = _eigenvalues(
        parts, problem.level_variances({n: v[counts] for n, v in values.items()})
    )
    both = np.array([tails(float(one), weights) for one in q])

    def look(axes: Sequence[Axis]) -> Array:
        mass = _moved_prior(problem, axes, smooth)[counts]
        # Masses that were moved may fall below 0, and a tail that is next to nothing with them.
        return np.asarray(np.clip(both @ (mass / mass.sum()), 0.0, 1.0).T)

    return _settled(look, axes)


def _smooth(axis: Axis, unit: float, root: float) -> Axis:
    """Panels on which the law of Q is a polynomial of a parameter of heterogeneity.

    Of an sd in units of the sd in which it moves Q; of a share over all of its range. ``root`` is
    that of the degrees of freedom.
    """
    if axis.is_atoms:
        return axis
    if axis.kind == "arc":
        count = max(2, math.ceil(_SHARES_PER_ROOT * root))
        return Axis("arc", 0.0, 1.0, np.linspace(0.0, 0.5 * math.pi, count + 1), 16)
    width = min(_WIDTH, _PER_ROOT / root)
    return smooth_panels(float(axis.to_x(axis.breaks[-1:])[0]), unit, width)


def _moved_prior(problem: Problem, axes: Sequence[Axis], smooth: Sequence[Axis]) -> Array:
    """Prior mass of heterogeneity at each node of the smooth axes' tensor (raveled)."""
    mass = np.ones(1)
    for name, axis, to in zip(problem.spreads, axes, smooth, strict=True):
        own, _ = _prior_at(problem, (name,), (axis,))
        if not axis.is_atoms:
            own = moved(axis.nodes, own[:, None], to)[:, 0]
        mass = np.outer(mass, own).ravel()
    return mass


def _settled(look: Callable[[Sequence[Axis]], Array], axes: Sequence[Axis]) -> Array:
    """What is looked at, on nodes of the prior to which more nodes add nothing.

    Panels resolve the prior; what is averaged over it may need more of them. Raises FitError where
    they do not suffice.
    """
    axes = [axis.with_order(_ORDER) for axis in axes]
    found = look(axes)
    axes = [axis.with_order(_FINER) for axis in axes]
    for _ in range(_HALVINGS + 1):
        before, found = found, look(axes)
        if np.max(np.abs(found - before)) <= _ERROR:
            return found
        axes = [_halved(axis) for axis in axes]
    raise FitError("the prior predictive law is not resolved by the panels of the prior")


def _halved(axis: Axis) -> Axis:
    if axis.is_atoms:
        return axis
    middles = 0.5 * (axis.breaks[:-1] + axis.breaks[1:])
    return replace(axis, breaks=np.union1d(axis.breaks, middles))


def _no_mean(problem: Problem) -> str | None:
    """Why there is no p-value of mu; None when there is one."""
    names = (*problem.coefficients, *problem.spreads)
    if reason := _refused(problem, before_data(problem), names):
        return reason
    if all(problem.prior(name).is_point for name in problem.coefficients):
        return "mu is held at a value, which no data conflict with"
    return None


def _no_spread(problem: Problem) -> str | None:
    """Why there is no p-value of heterogeneity; None when there is one."""
    held = _holding(problem, problem.coefficients)
    if reason := _refused(problem, held, problem.spreads):
        return reason
    if all(problem.prior(name).is_point for name in problem.spreads):
        return "heterogeneity has no prior: the model has none, or holds it at a value"
    if np.linalg.matrix_rank(problem.design.matrix) == problem.evidence.k:
        return "no rows are left over for heterogeneity: as many coefficients as rows"
    return None


def _refused(problem: Problem, prior: Problem, names: Collection[str]) -> str | None:
    """Why a prior, as a problem before data, has no law of numbers; None when it has one."""
    if problem.evidence.is_interval.any():
        return "rows that are intervals have no estimate to look up; intervals: drop"
    if not problem.evidence.k:
        return "there are no rows"
    if not problem.is_gaussian or problem.reporting is not None:
        return "conflict is computed of normal rows and effects that are not selected"
    for name in names:
        if not problem.prior(name).proper:
            return f"conflict needs a proper prior on {name}, and {problem.prior(name)} is improper"
    refusal = exact.covers(prior)
    return f"conflict needs the exact engine: {refusal}" if refusal else None


def _holding(problem: Problem, names: Collection[str]) -> Problem:
    """The problem before data with some parameters held at 0: the prior of the others."""
    point = Prior("DiracDelta", (("c", 0.0),))
    priors = {
        name: replace(applied, prior=point) if name in names else applied
        for name, applied in problem.priors.items()
    }
    return before_data(replace(problem, priors=priors))


def _hard_mean(problem: Problem) -> tuple[str, ...]:
    """mu, where it is no mixture of normals given heterogeneity."""
    return () if exact.is_conjugate(problem) else ("mu",)


def _axes(problem: Problem, names: Sequence[str]) -> list[Axis]:
    """Panels that resolve the prior of some parameters, which are independent of all others."""
    if not names:
        return []
    others = {*problem.coefficients, *problem.spreads} - {*names}
    found = exact.integrate(_holding(problem, others))
    return [found.axes[name] for name in names]


def _prior_at(
    problem: Problem, names: Sequence[str], axes: Sequence[Axis]
) -> tuple[Array, dict[str, Array]]:
    """Prior mass at each node of the axes' tensor (raveled), and the parameters' values there."""
    mass = np.ones(1)
    for name, axis in zip(names, axes, strict=True):
        one = axis.weights
        if not axis.is_atoms:
            one = one * np.exp(log_density(problem.prior(name), axis.nodes, problem.evidence.v))
        mass = np.outer(mass, one / one.sum()).ravel()
    return mass, flat_values(dict(zip(names, axes, strict=True)))


def _headline_weights(problem: Problem) -> Array:
    """a, with aᵀy the estimate at weights 1/v at the average row; aᵀX is that row."""
    root = 1 / np.sqrt(problem.evidence.v)
    inverse = np.linalg.pinv(problem.design.matrix * root[:, None])
    return np.asarray(problem.design.average @ inverse * root)


def _law_of_headline(problem: Problem, axes: Sequence[Axis]) -> Mixture:
    """The prior predictive law of the headline estimate."""
    evidence, a = problem.evidence, _headline_weights(problem)
    mass, values = _prior_at(problem, problem.spreads, axes[: len(problem.spreads)])
    sampling = a**2 @ evidence.v
    for group in evidence.correlated:
        own = a[group.rows]
        sampling += own @ group.covariance @ own - own**2 @ evidence.v[group.rows]
    noise = np.full(len(mass), sampling)
    for level, variance in problem.level_variances(values).items():
        noise += variance * (np.bincount(evidence.groups(level)[0], a) ** 2).sum()
    if len(mass) > _MANY_NODES and problem.prior("mu").on != PER_TAU:
        # Given the noise no part of the law depends on the node.
        varies = np.sqrt(noise - sampling)
        total = smooth_panels(float(varies.max()), math.sqrt(sampling), _WIDTH)
        mass = moved(varies, mass[:, None], total)[:, 0]
        noise = sampling + total.nodes**2
    if _hard_mean(problem):
        counts = ~lightest(mass, _DROPPED)
        of_mu, _ = _prior_at(problem, ("mu",), axes[-1:])
        joint = np.outer(mass[counts], of_mu)
        return Mixture(NoisyPanels(axes[-1], joint, np.sqrt(noise[counts])))
    unit = np.ones(len(mass))
    if problem.prior("mu").on == PER_TAU:
        unit = np.broadcast_to(problem.total_sd(values), unit.shape)
    row, middles = problem.design.average, _middles(problem)
    sds = np.array([problem.prior(n).values.get("sigma", 0.0) for n in problem.coefficients[1:]])
    parts = []
    for weight, part in components(problem.prior("mu")):
        centre, sd = _middle(part), part.values.get("sigma", 0.0)
        mean = row[0] * centre * unit + row[1:] @ middles[1:]
        spread = (row[0] * sd * unit) ** 2 + row[1:] ** 2 @ sds**2 + noise
        parts.append((weight * mass, mean, np.sqrt(spread)))
    return Mixture(Normals(*(np.concatenate(column) for column in zip(*parts, strict=True))))


def _middles(problem: Problem) -> Array:
    """The middle of the prior of each coefficient."""
    return np.array([_middle(problem.prior(name)) for name in problem.coefficients])


def _middle(prior: Prior) -> float:
    """Where a symmetric prior has its middle; of others 0, which nobody looks at."""
    given = prior.values
    if prior.family == "Uniform":
        return 0.5 * (given["lower"] + given["upper"])
    name = {"Cauchy": "alpha", "DiracDelta": "c"}.get(prior.family, "mu")
    return given.get(name, 0.0)


def _below_level(law: Mixture, t: Array) -> Array:
    """P(m(T) <= m(t)) for n values t, from the ends of the stretches where m is above m(t)."""
    mean, sd = law.components.spread
    points = np.sort((mean[:, None] + sd[:, None] * np.linspace(-_SDS, _SDS, _STEPS)).ravel())
    kept = np.linspace(0, len(points) - 1, min(_POINTS, len(points))).astype(int)
    grid = np.unique(points[kept])
    height = law.density(grid)
    found = []
    for value in t:
        level = float(law.density(np.array([value]))[0])

        def gap(x: float, level: float = level) -> float:
            return float(law.density(np.array([x]))[0]) - level

        above = height > level
        turns = np.flatnonzero(above[1:] != above[:-1])
        ends = np.array([brentq(gap, grid[i], grid[i + 1], xtol=1e-14) for i in turns])
        # From below the first end, stretches above and below the level take turns.
        reached = np.concatenate([[0.0], law.cdf(ends), [1.0]])
        held = np.diff(reached)
        found.append(held[int(above[0]) :: 2].sum())
    return np.array(found)


def _whitened(problem: Problem, columns: Array) -> Array:
    """Columns (k, c) as m = k − rank residuals of unit sampling variance, orthogonal to X."""
    design = problem.design.matrix
    turned, v = problem.evidence.turned(np.column_stack([design, columns]))
    turned = turned / np.sqrt(v)[:, None]
    p = design.shape[1]
    left, size, _ = np.linalg.svd(turned[:, :p])
    rank = int((size > size[0] * 1e-12 * len(design)).sum())
    return np.asarray(left[:, rank:].T @ turned[:, p:])


def _residual_parts(problem: Problem) -> list[Array]:
    """V^(−1/2) G_l V^(−1/2) among residuals (m, m), of each level that varies."""
    parts = []
    for level in problem.model.levels:
        index, names = problem.evidence.groups(level)
        one = _whitened(problem, np.eye(len(names))[index])
        parts.append(one @ one.T)
    return parts


def _eigenvalues(parts: Sequence[Array], variances: Mapping[str, Array]) -> Array:
    """The eigenvalues of residuals' covariance at N nodes (N, m)."""
    each = np.stack(list(variances.values()), axis=1)
    total = each.sum(axis=1)
    share = each / np.where(total > 0, total, 1.0)[:, None]
    # Nodes with the same shares have the same directions: with one level, all.
    kinds, which = np.unique(np.round(share, 14), axis=0, return_inverse=True)
    found = np.empty((len(kinds), len(parts[0])))
    step = max(1, _BLOCK // parts[0].size)
    for start in range(0, len(kinds), step):
        mixed = np.einsum("nl,lij->nij", kinds[start : start + step], np.stack(parts))
        found[start : start + step] = np.linalg.eigvalsh(mixed)
    return np.asarray(1 + total[:, None] * np.maximum(found, 0.0)[which.ravel()])
