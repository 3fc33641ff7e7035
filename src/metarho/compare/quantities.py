"""Named quantities of fits, of one at a time or of thousands at once.

Where the mean is conjugate and integrated exactly, the posteriors of one body of evidence under
many priors are mixtures of normals over the nodes of heterogeneity. All their quantiles are found
together (``posterior/normal_mixtures.py``). Everything else is fitted and read one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metarho.compare.bayes_factors import Null, bayes_factors, held, nulls
from metarho.engines import exact
from metarho.engines.exact.axes import is_conjugate
from metarho.engines.exact.panels import Axis
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.exact.shared import is_shareable
from metarho.engines.problem import Problem, improper
from metarho.fitting import Settings, choose, fit_many
from metarho.fitting.verdict import judge
from metarho.posterior.average import average_correlation
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.inversion import invert_rows
from metarho.posterior.normal_mixtures import NormalMixtures
from metarho.posterior.study_likelihood import log_jacobian
from metarho.spec.claims import Quantity
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]
type Way = Literal["at once", "one by one", "slow", "sampled"]

_OF_CORRELATIONS = ("rho", "rho_new", "rho_median", "rho_mean")
# exp of more is no number that a computer has.
_LARGEST_LOG = 700.0


@dataclass(frozen=True)
class Values:
    """Q quantities of F problems: ``numbers`` (F, Q), NaN where there is none; each fit's status.

    ``error`` is the largest error that an integration states; None where fits were sampled.
    """

    numbers: Array
    statuses: tuple[str, ...]
    error: float | None


def way(problem: Problem, settings: Settings) -> Way:
    """What the quantities of many such problems cost: by structure, so that it is reproducible.

    ``at once``: thousands cost what a few fits do. ``one by one``: some tenths of a second each.
    ``slow``: tens of seconds, integrals over three parameters or with tables of the law of r.
    Raises InputError when no engine covers the problem.
    """
    engine, _ = choose(problem, settings.engine)
    if engine != "exact":
        return "sampled"
    hard = len(exact.hard_dimensions(problem))
    if _is_closed(problem, settings) and (is_shareable(problem) or not hard):
        return "at once"
    heavy = problem.model.likelihood == "exact-r" or problem.model.effects == "student-t"
    return "slow" if hard > 2 or (heavy and hard > 1) else "one by one"


def steps(problem: Problem, settings: Settings) -> int:
    """How many steps of a progress bar a problem takes: its fit, and where it is read alone that.

    Raises InputError when no engine covers the problem.
    """
    engine, _ = choose(problem, settings.engine)
    return 1 if engine == "exact" and _is_closed(problem, settings) else 2


def _is_closed(problem: Problem, settings: Settings) -> bool:
    """Whether the posterior of the mean is a mixture of normals, and its intervals equal-tailed."""
    closed = is_conjugate(problem) and not problem.prior("mu").is_point
    return closed and settings.interval.kind == "eti"


def refusal(problem: Problem, quantity: Quantity) -> str | None:
    """Why a model has no such quantity under its priors; None when it has."""
    if problem.scale == "yi" and quantity.name in _OF_CORRELATIONS:
        return f"measure {problem.measure} has no correlations, and {quantity} is one of them"
    if quantity.name == "log_evidence":
        return _improper(problem, problem.priors)
    if quantity.is_bayes_factor:
        null = _null(problem, quantity)
        if null is None:
            held_at = "mu" if quantity.name == "bf_mu" else "heterogeneity"
            return f"{quantity} needs a model that leaves {held_at} free"
        return _improper(problem, null.values)
    return None


def values_of(
    problems: Sequence[Problem], wanted: Sequence[Quantity], settings: Settings
) -> Values:
    """Quantities of problems that differ in nothing but their priors.

    ``settings.announce`` hears ``fitted``, and ``compared`` where each is read alone (``steps``).
    Raises InputError when no engine covers one of them.
    """
    apart = _apart(problems)
    engines = {choose(problem, settings.engine)[0] for problem in apart}
    if engines == {"exact"} and all(_is_closed(problem, settings) for problem in apart):
        return _at_once(problems, wanted, settings)
    fits = fit_many(problems, settings)
    # Models without a parameter are refitted for Bayes factors: not what is counted.
    quiet = replace(settings, announce=lambda event, problem: None)
    rows = []
    for fit in fits:
        rows.append(quantities_of(fit, wanted, quiet))
        settings.announce("compared", fit.problem)
    numbers = np.array(rows)
    errors = [fit.quad_err for fit in fits]
    return Values(
        numbers.reshape(len(fits), len(wanted)),
        tuple(fit.status for fit in fits),
        None if None in errors else max((e for e in errors if e is not None), default=0.0),
    )


def quantities_of(fit: Fit, wanted: Sequence[Quantity], settings: Settings) -> list[float]:
    """Quantities of one fit; NaN where there is none."""
    posterior, prob, kind = fit.posterior, settings.interval.prob, settings.interval.kind
    mean, new = (
        posterior.rho(theta)
        for theta in (posterior.mean_of(posterior.head), posterior.theta_new(posterior.head))
    )
    names = {quantity.name for quantity in wanted}
    found: dict[str, float | None] = {"log_evidence": fit.log_evidence}
    if names & {"rho_median", "lower", "upper"}:
        summary = mean.summary(prob, kind)
        found |= {"rho_median": summary.median, "lower": summary.lower, "upper": summary.upper}
    if names & {"new_lower", "new_upper"}:
        summary = new.summary(prob, kind)
        found |= {"new_lower": summary.lower, "new_upper": summary.upper}
    if "rho_mean" in names and isinstance(posterior, Exact) and fit.problem.scale == "z":
        # Without what else is derived: I² of two levels takes longer than the fit.
        row = posterior.head
        found["rho_mean"] = posterior.average_correlation_summary(row, prob, kind).mean
    elif "rho_mean" in names:
        found["rho_mean"] = fit.derived["rho_mean"].mean
    if "tau" in names:
        found["tau"] = posterior.tau.summary(prob, kind).median
    numbers = []
    for quantity in wanted:
        if quantity.threshold is not None:
            marginal = mean if quantity.name == "rho" else new
            value: float | None = 1 - float(marginal.cdf(np.array(quantity.threshold)))
        elif quantity.is_bayes_factor:
            null = _null(fit.problem, quantity)
            log_bf = None if null is None else bayes_factors(fit, settings, [null])[0].log_bf
            value = None if log_bf is None else _exp(log_bf)
        else:
            value = found[quantity.name]
        numbers.append(math.nan if value is None else value)
    return numbers


def _apart(problems: Sequence[Problem]) -> list[Problem]:
    """Problems that between them have every prior of each parameter that any of them has."""
    seen: set[tuple[str, Prior]] = set()
    found = []
    for problem in problems:
        own = {(name, applied.prior) for name, applied in problem.priors.items()}
        if not own <= seen:
            seen |= own
            found.append(problem)
    return found


def _improper(problem: Problem, names: Mapping[str, object]) -> str | None:
    for name in names:
        if not problem.prior(name).proper:
            return f"the prior of {name}, {problem.prior(name)}, is improper: there is no evidence"
    return None


def _null(problem: Problem, quantity: Quantity) -> Null | None:
    """The hypothesis of a Bayes factor: mu = 0, or no heterogeneity at all."""
    for null in nulls(problem):
        on_mu = set(null.values) == {"mu"}
        if on_mu if quantity.name == "bf_mu" else null.with_it == "heterogeneity":
            return null
    return None


def _exp(log: float) -> float:
    return math.exp(log) if log <= _LARGEST_LOG else math.inf


def _at_once(problems: Sequence[Problem], wanted: Sequence[Quantity], settings: Settings) -> Values:
    """All quantities of conjugate problems, each as one computation."""
    solved = []
    for problem, quadrature in zip(problems, exact.fit_many(problems), strict=True):
        solved.append(quadrature)
        settings.announce("fitted", problem)
    many = _Many(problems, solved, settings.interval.prob)
    numbers = np.column_stack([many.quantity(quantity) for quantity in wanted])
    statuses = tuple(
        judge(problem, quadrature, None).status
        for problem, quadrature in zip(problems, solved, strict=True)
    )
    return Values(numbers, statuses, max(quadrature.quad_err for quadrature in solved))


class _Many:
    """Conjugate posteriors with their mixtures, each made when it is first asked for."""

    def __init__(
        self, problems: Sequence[Problem], solved: Sequence[Quadrature], prob: float
    ) -> None:
        self._problems, self._solved, self._prob = problems, solved, prob
        self._row = problems[0].design.average
        self._made: dict[str, NormalMixtures] = {}
        self._sds: dict[tuple[object, ...], Array] = {}
        self._is_z = problems[0].scale == "z"

    def quantity(self, quantity: Quantity) -> Array:
        """One quantity of all posteriors; NaN where there is none."""
        tail = (1 - self._prob) / 2
        match quantity.name:
            case "rho_median" | "lower" | "upper":
                share = {"rho_median": 0.5, "lower": tail, "upper": 1 - tail}[quantity.name]
                return self._on_r(self._mixtures("mean").quantile(share))
            case "new_lower" | "new_upper":
                share = tail if quantity.name == "new_lower" else 1 - tail
                return self._on_r(self._mixtures("new").quantile(share))
            case "rho" | "rho_new":
                assert quantity.threshold is not None
                at = math.atanh(quantity.threshold) if self._is_z else quantity.threshold
                which = "mean" if quantity.name == "rho" else "new"
                return 1 - self._mixtures(which).cdf(np.array(at))
            case "rho_mean":
                return self._rho_mean()
            case "tau":
                return self._tau()
            case "log_evidence":
                jacobian = float(log_jacobian(self._problems[0]).sum())
                return np.array(
                    [
                        math.nan if q.log_evidence is None else q.log_evidence + jacobian
                        for q in self._solved
                    ]
                )
        return self._bayes_factor(quantity)

    def _on_r(self, x: Array) -> Array:
        return np.tanh(x) if self._is_z else x

    def _mixtures(self, which: str) -> NormalMixtures:
        """Of the mean at the headline row, or of a new true effect there."""
        if which not in self._made:
            parts = []
            for index, q in enumerate(self._solved):
                mean, variance = self._given_nodes(q)
                if which == "new":
                    variance = variance + self._total_sd(index) ** 2
                parts.append((q.node_mass, mean, np.sqrt(variance)))
            self._made[which] = NormalMixtures.of(parts)
        return self._made[which]

    def _given_nodes(self, q: Quadrature) -> tuple[Array, Array]:
        """Mean and variance of the mean at the headline row, at each node."""
        assert q.mean is not None and q.covariance is not None
        if len(self._row) == 1:
            return q.mean[:, 0] * self._row, q.covariance[:, 0, 0] * self._row**2
        return q.mean @ self._row, np.einsum("i,tij,j->t", self._row, q.covariance, self._row)

    def _total_sd(self, index: int) -> Array:
        """The total sd of true effects at the nodes of one posterior; of equal nodes once."""
        q = self._solved[index]
        key = tuple(_key(axis) for axis in q.axes.values())
        if key not in self._sds:
            self._sds[key] = self._problems[index].total_sd(q.values)
        return self._sds[key]

    def _rho_mean(self) -> Array:
        """E tanh of a new true effect, which is the mean of rho_mean; on r the mean of mu.

        Posteriors with the same prior of the mean have the same law of it at the nodes they share.
        """
        alike: dict[tuple[Prior, ...], list[int]] = {}
        for index, problem in enumerate(self._problems):
            key = tuple(problem.prior(name) for name in problem.coefficients)
            alike.setdefault(key, []).append(index)
        found = np.empty(len(self._problems))
        for group in alike.values():
            first = max(group, key=lambda index: len(self._solved[index].node_mass))
            nodes, at_nodes = self._nodes(first), self._average(first)
            for index in group:
                q, own = self._solved[index], self._nodes(index)
                shared = np.array_equal(own, nodes[:, : own.shape[1]])
                values = at_nodes[: own.shape[1]] if shared else self._average(index)
                found[index] = q.node_mass @ values / q.node_mass.sum()
        return found

    def _nodes(self, index: int) -> Array:
        """The hard parameters at the nodes of one posterior (parameters, J)."""
        values = self._solved[index].values.values()
        return np.stack(list(values)) if values else np.zeros((1, 1))

    def _average(self, index: int) -> Array:
        """The mean correlation of true effects at each node of one posterior."""
        q = self._solved[index]
        mean, variance = self._given_nodes(q)
        if not self._is_z:
            return mean
        return average_correlation(mean, np.sqrt(variance + self._total_sd(index) ** 2))

    def _tau(self) -> Array:
        """The posterior median of the total sd: of axes that are alike together."""
        found = np.empty(len(self._problems))
        alike: dict[tuple[object, ...], list[int]] = {}
        for index, (problem, q) in enumerate(zip(self._problems, self._solved, strict=True)):
            axis, *others = q.axes.values() or [Axis.atoms(0.0)]
            if others or axis.is_atoms or len(problem.spreads) != 1:
                median = Exact(problem, q).tau.summary(self._prob, "eti").median
                found[index] = math.nan if median is None else median
                continue
            alike.setdefault(_key(axis), []).append(index)
        for group in alike.values():
            (axis,) = self._solved[group[0]].axes.values()
            density = axis.density_in_u(np.stack([self._solved[index].mass for index in group]))
            found[group] = axis.at(*invert_rows(axis, density, np.full(len(group), 0.5)))
        return found

    def _bayes_factor(self, quantity: Quantity) -> Array:
        """From the evidence of the models without the parameter, each of them solved once."""
        null = _null(self._problems[0], quantity)
        if null is None:
            return np.full(len(self._problems), math.nan)
        keys = [
            tuple(a.prior for name, a in problem.priors.items() if name not in null.values)
            for problem in self._problems
        ]
        without: dict[tuple[Prior, ...], Problem] = {}
        for key, problem in zip(keys, self._problems, strict=True):
            if key not in without:
                without[key] = held(problem, null)
        covered = {
            key: problem
            for key, problem in without.items()
            if improper(problem) is None and exact.covers(problem) is None
        }
        log_integrals = {
            key: quadrature.log_integral
            for key, quadrature in zip(covered, exact.fit_many(covered.values()), strict=True)
        }
        found = np.full(len(self._problems), math.nan)
        for index, (key, q) in enumerate(zip(keys, self._solved, strict=True)):
            # An improper prior has an arbitrary constant, unless both models share it.
            if key in log_integrals and not _improper(self._problems[index], null.values):
                found[index] = _exp(q.log_integral - log_integrals[key])
        return found


def _key(axis: Axis) -> tuple[object, ...]:
    """What axes with the same nodes share."""
    return axis.kind, axis.centre, axis.scale, axis.breaks.tobytes(), axis.order
