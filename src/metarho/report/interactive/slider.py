"""What a page needs to refit under other widths of priors: the likelihood at nodes.

The likelihood does not depend on priors. Where the mean is conjugate, each node of tau has four
sums of ``likelihood.gaussian_sums``, from which the mean given tau follows under any normal prior;
else there is a table over tau and mu. The panels are cut for all positions of the sliders at once,
and the page integrates over them as the exact engine does (``templates/interactive/posterior.js``).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from metarho.engines.exact import likelihood
from metarho.engines.exact.axes import hard_parameters, is_conjugate
from metarho.engines.exact.moments import moments_of, moments_of_spread
from metarho.engines.exact.panels import FINE, Axis, Rule, Seen, refine
from metarho.engines.exact.priors import log_density
from metarho.engines.exact.quadrature import Quadrature, table_at, variances_at
from metarho.engines.exact.shared import is_shareable
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.posterior.study_likelihood import log_jacobian
from metarho.report.interactive.packing import packed
from metarho.spec.priors import Prior, parse_prior
from metarho.spec.scaling import rescaled

type Array = NDArray[np.float64]

# A decade either way, as a surface of sensitivity goes.
DECADE = 10.0
# Positions of each slider for which panels are cut; between two of them a prior is 3 times as wide.
_POSITIONS = DECADE ** np.linspace(-1, 1, 5)
# Wide panels of 24 nodes need fewest nodes in all. Coefficients of 1e-8 leave cdfs 1e-7, a tenth of
# what is promised; what holds less than exp(-34) cannot be seen in that.
_RULE = Rule(24, FINE.check, 24, 1e-8, 34.0, FINE.asked, FINE.finest)
_NO_EFFECT = parse_prior("DiracDelta(c=0)")
# Of a table: 4 bytes each, 320 kB in the page.
_MOST_NODES = 60_000
# Families whose densities the page knows, with the argument that is their scale.
_MEANS: Mapping[str, str] = {"Normal": "sigma", "StudentT": "sigma", "Cauchy": "beta"}
_SDS: Mapping[str, str] = {
    "HalfNormal": "sigma",
    "HalfStudentT": "sigma",
    "HalfCauchy": "beta",
    "Exponential": "lam",
}


@dataclass(frozen=True)
class Slider:
    """``data`` for the page's script, plain values; or none, with the reason in words."""

    data: Mapping[str, object] | None
    reason: str = ""


def slider_data(fit: Fit, thresholds: Sequence[float]) -> Slider:
    """The nodes of a fit for any width of its priors of mu and tau; none where they do not serve.

    ``thresholds`` are correlations (GEN: not used) above which probabilities are asked for.
    """
    if reason := _refusal(fit):
        return Slider(None, reason)
    problem = fit.problem
    if is_conjugate(problem):
        nodes: Mapping[str, object] | None = _conjugate_nodes(problem)
    else:
        nodes = _table_nodes(problem)
    if nodes is None:
        return Slider(None, "the table of likelihoods that it needs would make the page too large")
    spread = problem.spreads[0] if problem.spreads else None
    return Slider(
        {
            "scale": problem.scale,
            "prob": fit.interval.prob,
            "thresholds": [] if problem.scale == "yi" else [float(t) for t in thresholds],
            "mu": _prior(problem.prior("mu"), _MEANS),
            "tau": None if spread is None else _prior(problem.prior(spread), _SDS),
            # A correlation has all moments.
            "has_mean": problem.scale == "z" or moments_of(problem, "mu") > 1,
            "has_sd": problem.scale == "z" or moments_of(problem, "mu") > 2,
            "tau_has_mean": spread is not None and moments_of_spread(problem, spread) > 1,
            "jacobian": float(log_jacobian(problem).sum()),
            "decade": DECADE,
            **nodes,
        }
    )


def _refusal(fit: Fit) -> str | None:
    """Why a fit has no sliders; None when it may have."""
    problem = fit.problem
    if not isinstance(fit.result, Quadrature):
        return "it was sampled, and a page cannot sample again"
    if problem.coefficients != ("mu",):
        return "it has moderators, whose slopes have priors of their own"
    if len(problem.spreads) > 1 or problem.shapes or problem.reporting is not None:
        return "it has more parameters than the mean and one heterogeneity"
    if problem.model.likelihood == "exact-r":
        return "under the exact law of r its table of likelihoods takes minutes"
    if problem.evidence.is_silent.all():
        return "no row says anything: its posterior is its prior"
    for name, known in (("mu", _MEANS), *((spread, _SDS) for spread in problem.spreads)):
        prior = problem.prior(name)
        if prior.family not in known or prior.on:
            return f"the page cannot widen {name} ~ {prior}; it can {', '.join(known)}"
    if is_conjugate(problem) and problem.spreads and not is_shareable(problem):
        return "its rows are too many for panels that serve all priors"
    return None


def _prior(prior: Prior, scales: Mapping[str, str]) -> dict[str, object]:
    return {
        "family": prior.family,
        "arguments": [[name, float(value)] for name, value in prior.arguments],
        "scale": scales[prior.family],
        # A rate is what its scale divides.
        "is_rate": prior.family == "Exponential",
    }


def _axis(axis: Axis) -> dict[str, object] | None:
    """What the page needs to lay out the same nodes; None for a single one at 0."""
    if axis.is_atoms:
        return None
    return {
        "centre": axis.centre,
        "scale": axis.scale,
        "breaks": axis.breaks.tolist(),
        "order": axis.order,
    }


def _conjugate_nodes(problem: Problem) -> dict[str, object]:
    """Sums at the nodes of tau, and after them at tau = 0."""
    tau = _cut_tau(problem) if problem.spreads else Axis.atoms(0.0)
    sums = _sums_at(problem, np.append(tau.nodes, 0.0))
    return {
        "kind": "sums",
        "axes": {"tau": _axis(tau), "mu": None},
        "origin": float(sums.origin[0]),
        "constant": packed(sums.constant),
        "square": packed(sums.square),
        "right": packed(sums.right[:, 0]),
        "precision": packed(sums.precision[:, 0, 0]),
    }


def _sums_at(problem: Problem, tau: Array) -> likelihood.Sums:
    spread = problem.spreads[0] if problem.spreads else ""
    return likelihood.gaussian_sums(
        problem.evidence, problem.design.matrix, *variances_at(problem, {spread: tau})
    )


def _cut_tau(problem: Problem) -> Axis:
    """Panels of tau that resolve its posteriors at all positions, and those without an effect.

    With hundreds of rows these are narrower than any panels that do not know them.
    """
    (hard,) = hard_parameters(problem)
    means = [rescaled(problem.prior("mu"), factor) for factor in _POSITIONS]

    def look(axes: Sequence[Axis]) -> Seen:
        (tau,) = axes
        sums = _sums_at(problem, tau.nodes)
        marginals = [
            likelihood.condition(sums, [mean], tau.nodes).log_marginal
            for mean in (*means, _NO_EFFECT)
        ]
        of_tau = _log_priors(problem, problem.spreads[0], tau)
        joint = [marginal + prior for marginal in marginals for prior in of_tau]
        return Seen(logsumexp(_normalised(np.stack(joint), tau), axis=0))

    (axis,) = refine(look, [hard.axis], [hard.reach], _RULE)
    return axis


@dataclass(frozen=True)
class _Likelihoods:
    """Log likelihoods at nodes of tau (J) and mu (M), and at their nulls.

    ``table`` (J, M), ``without_effect`` (J) at mu = 0, ``without_spread`` (M) at tau = 0.
    """

    table: Array
    without_effect: Array
    without_spread: Array


def _table_nodes(problem: Problem) -> dict[str, object] | None:
    """The likelihood at the nodes of tau and mu; None where these are too many.

    Relative to the largest at the same tau, so that it has its digits in 4 bytes: rounding is then
    within 6e-8 of every sum over nodes.
    """
    tau, mu = _cut(problem)
    if len(tau.nodes) * len(mu.nodes) > _MOST_NODES:
        return None
    found = _likelihoods(problem, tau, mu)
    table = np.vstack([found.table, found.without_spread])
    most = table.max(axis=1)
    return {
        "kind": "table",
        "axes": {"tau": _axis(tau), "mu": _axis(mu)},
        "relative": packed(np.exp(table - most[:, None]), "<f4"),
        "most": packed(most),
        "without_effect": packed(found.without_effect),
    }


def _likelihoods(problem: Problem, tau: Axis, mu: Axis) -> _Likelihoods:
    spread = problem.spreads[0] if problem.spreads else ""

    def at(tau: Axis, mu: Axis) -> Array:
        return table_at(problem, problem.evidence, {spread: tau, "mu": mu})

    zero = Axis.atoms(0.0)
    return _Likelihoods(at(tau, mu), at(tau, zero)[:, 0], at(zero, mu)[0])


def _cut(problem: Problem) -> tuple[Axis, Axis]:
    """Panels of tau and mu that resolve the posteriors at all positions, and those of both nulls.

    They are cut for the mixture of all of these in equal parts.
    """
    hard = {h.name: h for h in hard_parameters(problem)}
    spread = problem.spreads[0] if problem.spreads else None
    parts = [hard[spread], hard["mu"]] if spread is not None else [hard["mu"]]

    def look(axes: Sequence[Axis]) -> Seen:
        tau, mu = (Axis.atoms(0.0), *axes)[-2:]
        found = _likelihoods(problem, tau, mu)
        of_mu = _log_priors(problem, "mu", mu)
        if spread is None:
            return Seen(logsumexp(_normalised(found.table[0] + of_mu, mu), axis=0))
        of_tau = _log_priors(problem, spread, tau)
        joint = [found.table + t[:, None] + m for t, m in itertools.product(of_tau, of_mu)]
        w = np.log(tau.weights)[:, None] + np.log(mu.weights)
        posteriors = [one - logsumexp(one + w) for one in joint]
        whole = logsumexp(posteriors, axis=0)
        marginals = (
            logsumexp(whole + np.log(mu.weights), axis=1),
            logsumexp(whole + np.log(tau.weights)[:, None], axis=0),
        )
        # A null has one parameter: beside the marginal of the other it is as the mixture is.
        no_effect = logsumexp(_normalised(found.without_effect + of_tau, tau), axis=0)
        no_spread = logsumexp(_normalised(found.without_spread + of_mu, mu), axis=0)
        nulls = [no_effect[:, None] + marginals[1], marginals[0][:, None] + no_spread]
        return Seen(logsumexp([whole, *nulls], axis=0))

    axes = refine(look, [h.axis for h in parts], [h.reach for h in parts], _RULE)
    tau, mu = (Axis.atoms(0.0), *axes)[-2:]
    return tau, mu


def _log_priors(problem: Problem, name: str, axis: Axis) -> Array:
    """Log prior densities at the nodes, a row for each position of its slider."""
    prior = problem.prior(name)
    return np.stack(
        [log_density(rescaled(prior, f), axis.nodes, problem.evidence.v) for f in _POSITIONS]
    )


def _normalised(log_densities: Array, axis: Axis) -> Array:
    """Log densities (rows, nodes), each with the integral 1."""
    total = logsumexp(log_densities + np.log(axis.weights), axis=1)
    return np.asarray(log_densities - total[:, None])
