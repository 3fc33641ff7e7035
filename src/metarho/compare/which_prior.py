"""The table that answers "which prior?": one row a prior set and model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metarho.compare.bayes_factors import BayesFactor, Null, bayes_factors, nulls
from metarho.compare.conflict import Conflict, conflict, conflict_by_study, study_behind
from metarho.compare.exact_power_scaling import exact_power_scaling, numbers_in_words
from metarho.compare.families import over_family
from metarho.compare.hellinger import hellinger
from metarho.compare.information import PriorSampleSize, prior_sample_size_of_mu
from metarho.compare.power_scaling import in_words, power_scaling
from metarho.compare.probabilities import probabilities
from metarho.compare.reference_analysis import reference_analysis
from metarho.compare.rows import Row, Value
from metarho.compare.scores import crps, elpd, elpd_difference, incomparable
from metarho.compare.stacking import Stacked, stacking
from metarho.engines.exact.quadrature import Quadrature
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Marginal

COLUMNS = (
    "model", "prior", "rho_mean", "rho_median", "lower", "upper", "new_lower", "new_upper",
    "log_evidence", "bf_mu", "bf_tau", "elpd", "crps", "conflict_mu", "conflict_tau",
    "ess_studies", "ess_participants", "hellinger_mu", "hellinger_tau", "hellinger_new",
    "power_scaling", "status",
)  # fmt: skip
"""The columns that every table has, in order; further ones follow."""

# Below this prior predictive p a reader asks which study is behind it: the field's own threshold.
_A_CONFLICT = 0.05


@dataclass(frozen=True)
class Candidate:
    """A fit by its place in an analysis."""

    model: str
    prior_set: str
    intervals: str
    fit: Fit


@dataclass(frozen=True)
class Headline:
    """The posteriors that rows are compared by: the mean, the total sd, a new true effect."""

    fit: Fit
    mean: Marginal
    tau: Marginal
    new: Marginal

    @classmethod
    def of(cls, fit: Fit) -> Headline:
        """Of a fit, at the average row, on the model's scale."""
        posterior = fit.posterior
        row = posterior.head
        return cls(fit, posterior.mean_of(row), posterior.tau, posterior.theta_new(row))

    @property
    def is_exact(self) -> bool:
        """Whether they have exact densities."""
        return isinstance(self.fit.posterior, Exact)


def which_prior(
    candidates: Sequence[Candidate],
    reference: str,
    thresholds: Sequence[float],
    settings: Settings,
    compared: Callable[[Candidate], None],
    *,
    families: bool = True,
) -> list[Row]:
    """One row a candidate, columns as in ``COLUMNS`` and more; None for what does not exist.

    ``reference`` is the prior set that the others of a model are compared with: Hellinger distances
    and differences in elpd are to it, on the same rows. ``compared`` hears of each row.
    ``families`` says whether each Bayes factor is followed over its prior's family, which costs as
    many fits as it has points.
    """
    fits = [candidate.fit for candidate in candidates]
    flat = _reference_analyses(candidates, settings)
    # What rows are compared with is made ready once: a mixture's tables are most of a distance.
    ready: dict[int, Headline] = {}

    def headline(fit: Fit | None) -> Headline | None:
        if fit is not None and id(fit) not in ready:
            ready[id(fit)] = Headline.of(fit)
        return None if fit is None else ready[id(fit)]

    chances = probabilities(fits)
    stacked = stacking(fits, settings.interval.prob, settings.sampler.seed)
    rows: list[Row] = []
    for candidate, chance, weight in zip(candidates, chances, stacked, strict=True):
        other = reference_of(candidate, candidates, reference)
        least = flat.get((candidate.model, candidate.intervals))
        against = headline(other.fit if other else None), headline(least)
        row = _row(candidate, other, against, thresholds, settings, families=families)
        row |= {"probability": chance} | _stacked(weight)
        rows.append({name: _finite(value) for name, value in row.items()})
        compared(candidate)
    return rows


def _finite(value: Value) -> Value:
    """None for what is no number: a table has blanks there."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def reference_of(
    candidate: Candidate, candidates: Sequence[Candidate], reference: str
) -> Candidate | None:
    """The candidate of the same model and intervals under the prior set ``reference``."""
    for other in candidates:
        same = other.model == candidate.model and other.intervals == candidate.intervals
        if same and other.prior_set == reference:
            return other
    return None


def _reference_analyses(
    candidates: Sequence[Candidate], settings: Settings
) -> dict[tuple[str, str], Fit]:
    """By model and intervals, the posterior under flat mu and Jeffreys' tau, where there is one."""
    found = {}
    for candidate in candidates:
        place = candidate.model, candidate.intervals
        problem = None if place in found else reference_analysis(candidate.fit.problem)
        if problem is not None:
            (found[place],) = fit_many([problem], replace(settings, engine="exact"))
    return found


def _row(
    candidate: Candidate,
    reference: Candidate | None,
    against: tuple[Headline | None, Headline | None],
    thresholds: Sequence[float],
    settings: Settings,
    *,
    families: bool,
) -> dict[str, Value]:
    fit = candidate.fit
    problem = fit.problem
    pooled, new = fit.pooled, fit.pooled_new
    mean = fit.derived.get("rho_mean")
    on_mu, on_tau = _bayes_factors(fit, settings)
    clash = conflict(problem)
    size = _prior_sample_size(fit)
    own = Headline.of(fit)
    distance, from_flat = (_distances(own, other) for other in against)
    score = elpd(fit)
    row: dict[str, Value] = {
        "model": candidate.model,
        "prior": candidate.prior_set,
        "rho_mean": None if mean is None else mean.mean,
        "rho_median": None if problem.scale == "yi" else pooled.median,
        "lower": pooled.lower,
        "upper": pooled.upper,
        "new_lower": new.lower,
        "new_upper": new.upper,
        "log_evidence": fit.log_evidence,
        "bf_mu": _times(on_mu and on_mu[1].log_bf),
        "bf_tau": _times(on_tau and on_tau[1].log_bf),
        "elpd": score,
        "crps": crps(fit),
        "conflict_mu": clash.mu,
        "conflict_tau": clash.tau,
        "ess_studies": size.studies,
        "ess_participants": size.participants,
        **distance,
        "power_scaling": _power_scaling(fit),
        "status": fit.status,
        "intervals": candidate.intervals,
        "median": pooled.median,
        "bf_mu_words": _words(on_mu),
        "bf_tau_words": _words(on_tau),
        **_family(fit, settings, on_mu if families else None, "bf_mu"),
        **_family(fit, settings, on_tau if families else None, "bf_tau"),
        "conflict_words": _conflict_words(clash),
        **_studies_behind(fit, clash),
        "power_scaling_exact": numbers_in_words(exact_power_scaling(fit)),
        **{f"{name}_flat": value for name, value in from_flat.items()},
    }
    row |= _elpd_difference(candidate, reference, settings)
    return row | _above(own, thresholds)


type _Found = tuple[Null, BayesFactor]


def _bayes_factors(fit: Fit, settings: Settings) -> tuple[_Found | None, _Found | None]:
    """Of mu = 0, and of no heterogeneity at all."""
    everything = nulls(fit.problem)
    on_mu = [null for null in everything if set(null.values) == {"mu"}]
    on_tau = [null for null in everything if null.with_it == "heterogeneity"]
    asked: list[Null] = [*on_mu[:1], *on_tau[:1]]
    found = iter(zip(asked, bayes_factors(fit, settings, asked), strict=True))
    return (next(found) if on_mu else None), (next(found) if on_tau else None)


def _family(fit: Fit, settings: Settings, found: _Found | None, name: str) -> dict[str, Value]:
    """The lowest and highest BF10 over the scale of the prior."""
    over = None if found is None else over_family(fit, *found, settings)
    return {
        f"{name}_lowest": None if over is None else _times(over.lowest),
        f"{name}_highest": None if over is None else _times(over.highest),
    }


def _times(log_bf: float | None) -> float | None:
    """BF10; None where there is none, or where it is no number that a computer has."""
    return None if log_bf is None or log_bf > 700 else math.exp(log_bf)


def _words(found: _Found | None) -> str | None:
    if found is None:
        return None
    said = found[1].direction or found[1].reason or ""
    return f"{said} ({found[1].label})" if found[1].label else said


def _conflict_words(found: Conflict) -> str | None:
    reasons = [reason for reason in (found.no_mu, found.no_tau) if reason]
    return "; ".join(dict.fromkeys(reasons)) or None


def _studies_behind(fit: Fit, clash: Conflict) -> dict[str, Value]:
    """The study without which a conflict is least, of mu and of tau; None where there is none."""
    names = {"conflict_mu_study": clash.mu, "conflict_tau_study": clash.tau}
    row: dict[str, Value] = dict.fromkeys(names)
    if all(p is None or p >= _A_CONFLICT for p in names.values()):
        return row
    changes = conflict_by_study(fit.problem)
    for (name, p), parameter in zip(names.items(), ("mu", "tau"), strict=True):
        if p is not None and p < _A_CONFLICT:
            row[name] = study_behind(changes, parameter)
    return row


def _prior_sample_size(fit: Fit) -> PriorSampleSize:
    if not isinstance(fit.posterior, Exact):
        return PriorSampleSize(None, None)
    return prior_sample_size_of_mu(fit.problem, fit.posterior)


def _distances(own: Headline, other: Headline | None) -> dict[str, Value]:
    """Hellinger distances to another posterior, on the model's scale."""
    names = ("mean", "tau", "new")
    columns = ("hellinger_mu", "hellinger_tau", "hellinger_new")
    if other is None or not (own.is_exact and other.is_exact):
        return dict.fromkeys(columns)
    # A new Student-t effect is a mixture of millions of parts: minutes for one distance.
    heavy = own.fit.problem.model.effects == "student-t"
    return {
        column: None
        if name == "new" and heavy
        else hellinger(getattr(own, name), getattr(other, name))
        for column, name in zip(columns, names, strict=True)
    }


def _power_scaling(fit: Fit) -> str | None:
    """None for custom models, whose priors have no names of ours."""
    if fit.problem.model.custom is not None:
        return None
    return in_words(power_scaling(fit))


def _elpd_difference(
    candidate: Candidate, reference: Candidate | None, settings: Settings
) -> dict[str, Value]:
    names = ("elpd_diff", "elpd_diff_lower", "elpd_diff_upper", "better_studies", "studies")
    if reference is None or reference is candidate:
        return dict.fromkeys(names)
    # The same weights for every row, so that equal fits have equal intervals.
    rng = np.random.default_rng(settings.sampler.seed)
    found = elpd_difference(candidate.fit, reference.fit, settings.interval.prob, rng)
    if found is None:
        return dict.fromkeys(names)
    values = found.elpd, found.lower, found.upper, found.better, found.studies
    return dict(zip(names, values, strict=True))


def _stacked(found: Stacked | None) -> dict[str, Value]:
    return {
        "stacking": None if found is None else found.weight,
        "stacking_lower": None if found is None else found.lower,
        "stacking_upper": None if found is None else found.upper,
    }


def _above(own: Headline, thresholds: Sequence[float]) -> dict[str, Value]:
    """P(rho_median > t) and P(rho_new > t); none for GEN."""
    if own.fit.problem.scale == "yi":
        return {}
    rho = own.fit.posterior.rho
    row: dict[str, Value] = {}
    for name, marginal in (("rho", rho(own.mean)), ("rho_new", rho(own.new))):
        for threshold in thresholds:
            above = 1 - float(marginal.cdf(np.array(threshold)))
            row[f"P({name} > {threshold:g})"] = above
    return row


def remarks(candidates: Sequence[Candidate]) -> list[str]:
    """What a reader of the table must know: what cannot be compared, and the best of many."""
    said = []
    scored = [candidate for candidate in candidates if elpd(candidate.fit) is not None]
    reasons = {
        reason
        for first in scored
        for second in scored
        if (reason := incomparable(first.fit, second.fit)) is not None
    }
    said += [f"elpd and evidence are compared within equal evidence only: {r}" for r in reasons]
    if len(scored) > 2:
        said.append(
            f"the best elpd of {len(scored)} is better than it deserves: picking the best of many "
            "uses the data twice"
        )
    sampled = [c for c in candidates if not isinstance(c.fit.result, Quadrature)]
    if sampled:
        models = ", ".join(dict.fromkeys(candidate.model for candidate in sampled))
        said.append(
            f"{models} with interval rows or beyond the exact engine: sampled, without elpd, crps, "
            "information and distances"
        )
    return said
