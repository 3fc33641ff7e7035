"""An ensemble: models with and without an effect, heterogeneity and bias, weighed by the data.

With prior probabilities π_m and marginal likelihoods p(data | m), a member is as probable as
p_m ∝ π_m p(data | m). A component (an effect, say) is tested by its inclusion Bayes factor, the
posterior odds of the members that have it over their prior odds. Estimates are the mixtures
Σ p_m p(· | data, m) over all members, with a spike where the component is absent, or over those
that have it (Hinne, Gronau, van den Bergh, Wagenmakers 2020, 10.1177/2515245919898657; Bartoš,
Maier, Wagenmakers, Doucouliagos, Stanley 2022, 10.1002/jrsm.1594).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from metarho.compare.averaging import LEAST_WEIGHT, average, mean_of, new_of
from metarho.compare.scores import incomparable
from metarho.errors import FitError, InputError
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Marginal, Point, Summary
from metarho.posterior.printed import share
from metarho.spec.model import Model, Step, StepSelection

type Array = NDArray[np.float64]
type Bias = Literal["none", "two-sided", "one-sided", "PET", "PEESE"]
type Main = Literal["mean", "tau", "new"]

# Cutpoints that differ by less are one: 1 − 0.025 is not 0.975 to the last digit.
_DIGITS = 12


@dataclass(frozen=True)
class Member:
    """A model of the ensemble: what it has, its probability before the data, and its fit."""

    model: str
    effect: bool
    heterogeneity: bool
    prior: float
    fit: Fit

    @property
    def bias(self) -> Bias:
        """The kind of bias it has."""
        return bias_of(self.fit.problem.model)


@dataclass(frozen=True)
class Component:
    """What members have or lack: how probable it is before and after the data.

    ``log_bf`` is the log of its inclusion Bayes factor, ``mcse`` the Monte Carlo error of that
    (delta method); None where every evidence is integrated.
    """

    name: str
    members: int
    prior: float
    posterior: float
    log_bf: float
    mcse: float | None


@dataclass(frozen=True)
class Estimate:
    """A quantity averaged over ``members`` members, which together are as ``probable``.

    ``spike`` is the probability, given these members, that it is exactly ``at``: 0 for means and
    slopes, 1 for weights.
    """

    quantity: str
    over: str
    members: int
    probable: float
    summary: Summary
    at: float
    spike: float


class _Composed(Protocol):
    """What has components: a member, fitted or not."""

    @property
    def effect(self) -> bool: ...

    @property
    def heterogeneity(self) -> bool: ...

    @property
    def bias(self) -> Bias: ...


COMPONENTS: Mapping[str, Callable[[_Composed], bool]] = {
    "effect": lambda member: member.effect,
    "heterogeneity": lambda member: member.heterogeneity,
    "bias": lambda member: member.bias != "none",
    "weight function": lambda member: member.bias in ("two-sided", "one-sided"),
    "two-sided": lambda member: member.bias == "two-sided",
    "one-sided": lambda member: member.bias == "one-sided",
    "PET": lambda member: member.bias == "PET",
    "PEESE": lambda member: member.bias == "PEESE",
}
"""Component -> whether a member has it."""

ALL = "all"
_ARTICLES = {"effect": "with an effect", "weight function": "with a weight function"}


@dataclass(frozen=True)
class Ensemble:
    """Members whose evidence is about the same rows; their prior probabilities sum to 1."""

    members: tuple[Member, ...]

    @cached_property
    def _logs(self) -> Array:
        """Log π_m p(data | m)."""
        evidence = [member.fit.log_evidence or 0.0 for member in self.members]
        return np.log([member.prior for member in self.members]) + evidence

    @property
    def log_evidence(self) -> float:
        """Log Σ π_m p(data | m), the evidence of all members together."""
        return float(logsumexp(self._logs))

    @cached_property
    def probabilities(self) -> Array:
        """The posterior probability of each member."""
        return np.asarray(np.exp(self._logs - logsumexp(self._logs)))

    @cached_property
    def _errors(self) -> Array:
        """The Monte Carlo error of each log evidence, 0 where it is integrated."""
        return np.array([member.fit.log_evidence_mcse or 0.0 for member in self.members])

    @property
    def is_sampled(self) -> bool:
        """Whether the evidence of a member is from draws."""
        return bool(self._errors.any())

    @cached_property
    def probability_errors(self) -> Array:
        """The Monte Carlo error of each posterior probability: p_m |δ_m − Σ p_j δ_j|."""
        p, variance = self.probabilities, self._errors**2
        others = float(p**2 @ variance) - p**2 * variance
        return np.asarray(p * np.sqrt((1 - p) ** 2 * variance + others))

    def inclusion(self, has: NDArray[np.bool_]) -> float:
        """The log of the inclusion Bayes factor of some members against the others."""
        prior = np.log([member.prior for member in self.members])
        after = logsumexp(self._logs[has]) - logsumexp(self._logs[~has])
        return float(after - logsumexp(prior[has]) + logsumexp(prior[~has]))

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """Every component that some members have and others lack."""
        found = []
        for name, test in COMPONENTS.items():
            has = np.array([test(member) for member in self.members])
            if not has.any() or has.all():
                continue
            shares = np.where(has, self.probabilities, 0.0), np.where(has, 0.0, self.probabilities)
            error = math.hypot(*(self._share_error(one) for one in shares))
            found.append(
                Component(
                    name,
                    int(has.sum()),
                    math.fsum(m.prior for m in self.members if test(m)),
                    math.fsum(shares[0]),
                    self.inclusion(has),
                    error if self.is_sampled else None,
                )
            )
        return tuple(found)

    def estimates(self, prob: float) -> tuple[Estimate, ...]:
        """The mean, tau, weights, slopes and a new study, with equal-tailed intervals.

        Each over all members, and over those that have what it is about, where some lack it.
        Weights are those of stretches of the one-sided p between all members' cutpoints, but for
        stretches that no member gives another weight than 1.
        """
        on_yi = self.members[0].fit.problem.scale == "yi"
        wanted = [
            replace(_MAIN["mean"], name="mean" if on_yi else "rho"),
            _MAIN["tau"],
            *(_weight(low, high) for low, high in self.stretches),
            _slope("pet", "PET"),
            _slope("peese", "PEESE"),
            replace(_MAIN["new"], name="theta_new" if on_yi else "rho_new"),
        ]
        found: list[Estimate] = []
        for one in wanted:
            if one.component in ("effect", "heterogeneity") or not all(
                map(one.absent, self.members)
            ):
                found += self._both(one, prob)
        return tuple(found)

    def summary_of(self, what: Main, prob: float) -> Summary:
        """The mean, tau or a new study averaged over all members, its spike included."""
        everyone = np.ones(len(self.members), dtype=bool)
        return self._estimate(_MAIN[what], ALL, everyone, prob).summary

    def above(self, what: Main, threshold: float) -> float:
        """The probability, over all members, that the mean or a new study lies above a number."""
        quantity = _MAIN[what]
        at = np.array(threshold)
        seen = np.flatnonzero(self.probabilities > LEAST_WEIGHT * self.probabilities.max())
        weights = self.probabilities[seen] / self.probabilities[seen].sum()
        parts = [self._part(quantity, self.members[i]) for i in seen]
        return math.fsum(w * (1 - float(p.cdf(at))) for w, p in zip(weights, parts, strict=True))

    @cached_property
    def stretches(self) -> tuple[tuple[float, float], ...]:
        """Where weights may differ, in one-sided p: none without a weight function."""
        cuts = {
            round(cut, _DIGITS)
            for member in self.members
            if (step := _step_of(member)) is not None
            for cut in step.one_sided
        }
        return tuple(pairwise([0.0, *sorted(cuts), 1.0])) if cuts else ()

    def _share_error(self, shares: Array) -> float:
        """The Monte Carlo error of the log of a sum of members' evidence."""
        total = shares.sum()
        return 0.0 if total == 0 else float(np.linalg.norm(shares / total * self._errors))

    def _both(self, quantity: _Quantity, prob: float) -> list[Estimate]:
        """A quantity over all members, and over those with its component."""
        component = quantity.component
        given = np.array([COMPONENTS[component](member) for member in self.members])
        found = [self._estimate(quantity, ALL, np.ones(len(given), dtype=bool), prob)]
        if given.any() and not given.all():
            over = _ARTICLES.get(component, f"with {component}")
            found.append(self._estimate(quantity, over, given, prob))
        return found

    def _part(self, quantity: _Quantity, member: Member) -> Marginal:
        """What a member brings to an average."""
        return Point(quantity.at) if quantity.absent(member) else quantity.read(member)

    def _estimate(
        self, quantity: _Quantity, over: str, kept: NDArray[np.bool_], prob: float
    ) -> Estimate:
        logs = np.where(kept, self._logs, -np.inf)
        weights = np.exp(logs - logsumexp(logs))
        absent = np.array([quantity.absent(member) for member in self.members])
        # A member that cannot be seen in the average is not read: it may take seconds.
        seen = np.flatnonzero(weights > LEAST_WEIGHT * weights.max())
        parts = [self._part(quantity, self.members[i]) for i in seen]
        return Estimate(
            quantity.name,
            over,
            int(kept.sum()),
            min(1.0, math.fsum(self.probabilities[kept])),
            average(weights[seen].tolist(), parts, prob),
            quantity.at,
            min(1.0, math.fsum(weights[absent])),
        )


def ensemble_of(members: Sequence[Member]) -> Ensemble:
    """Members as an ensemble, prior probabilities scaled to sum to 1.

    Raises InputError where their evidence is not about the same rows, or a prior is improper, and
    FitError where the evidence of one is no number.
    """
    first = members[0].fit
    for member in members:
        if reason := incomparable(first, member.fit):
            raise InputError(f"members of an ensemble have one evidence, and {reason}")
        evidence = member.fit.log_evidence
        if evidence is None:
            raise InputError(
                f"model {member.model}: its evidence is not known, with "
                f"{', '.join(f'{n} ~ {a.prior}' for n, a in member.fit.problem.priors.items())}; "
                "an ensemble needs proper priors"
            )
        if not math.isfinite(evidence):
            raise FitError(f"model {member.model}: its log evidence is {evidence}")
    total = math.fsum(member.prior for member in members)
    return Ensemble(
        tuple(
            Member(one.model, one.effect, one.heterogeneity, one.prior / total, one.fit)
            for one in members
        )
    )


def bias_of(model: Model) -> Bias:
    """The kind of bias that a model has."""
    if isinstance(model.selection, StepSelection):
        return "two-sided" if model.selection.step.sides == "two" else "one-sided"
    kinds: Mapping[str, Bias] = {"none": "none", "pet": "PET", "peese": "PEESE"}
    return kinds[model.selection]


def spike_in_words(estimate: Estimate, given: Estimate | None) -> str | None:
    """The spike of an average over all members, as a sentence; None without one."""
    if estimate.spike == 0:
        return None
    said = (
        f"{estimate.quantity} is exactly {estimate.at:g} with probability {share(estimate.spike)}"
    )
    if given is None:
        return said
    return (
        f"{said}; the numbers over {estimate.over!r} count that, those {given.over!r} do not"
        if given.spike == 0
        else f"{said}, and {given.over} with probability {share(given.spike)}"
    )


def component_in_words(component: Component) -> str:
    """Which way the data speak on a component, and how much."""
    odds = math.exp(min(abs(component.log_bf), 700.0))
    way = "for" if component.log_bf >= 0 else "against"
    return (
        f"{component.name}: the data speak {odds:.3g} to 1 {way} it; its probability goes "
        f"from {share(component.prior)} to {share(component.posterior)}"
    )


@dataclass(frozen=True)
class _Quantity:
    """What is averaged: the value ``at`` of members in which it is absent, or what is read."""

    name: str
    component: str
    at: float
    absent: Callable[[Member], bool]
    read: Callable[[Member], Marginal]


def _no_effect(member: Member) -> bool:
    return not member.effect


def _no_heterogeneity(member: Member) -> bool:
    return not member.heterogeneity


def _no_true_effect(member: Member) -> bool:
    """Whether every study's true effect is 0."""
    return not member.effect and not member.heterogeneity


_MAIN: Mapping[Main, _Quantity] = {
    "mean": _Quantity("mean", "effect", 0.0, _no_effect, lambda m: mean_of(m.fit)),
    "tau": _Quantity("tau", "heterogeneity", 0.0, _no_heterogeneity, lambda m: m.fit.posterior.tau),
    "new": _Quantity("new", "effect", 0.0, _no_true_effect, lambda m: new_of(m.fit)),
}


def _weight(low: float, high: float) -> _Quantity:
    """How often results of a stretch of one-sided p are reported, relative to the most favoured."""
    p = 0.5 * (low + high)

    def read(member: Member) -> Marginal:
        step, band = _step_of(member), _band(member, p)
        assert step is not None
        if step.weights is not None:
            return Point(step.weights[band - 1])
        return member.fit.posterior.parameters[step.omegas[band - 1]]

    name = f"omega[{low:g}-{high:g}]"
    return _Quantity(name, "weight function", 1.0, lambda member: _band(member, p) == 0, read)


def _band(member: Member, p: float) -> int:
    """The band of a one-sided p: 0, of weight 1, where nothing is selected by p."""
    step = _step_of(member)
    return 0 if step is None else step.band_of[int(np.searchsorted(step.one_sided, p))]


def _step_of(member: Member) -> Step | None:
    selection = member.fit.problem.model.selection
    return selection.step if isinstance(selection, StepSelection) else None


def _slope(name: str, bias: Bias) -> _Quantity:
    """How much more is reported a standard error (PET) or a sampling variance (PEESE)."""
    return _Quantity(
        name,
        bias,
        0.0,
        lambda member: member.bias != bias,
        lambda member: member.fit.posterior.parameters[name],
    )
