"""A study that has come: was it expected, is it of the same population, and what did it move.

- Expected: what was observed, looked up in its predictive law (Box 1980, 10.2307/2982063): that is
  the conflict between today's posterior, taken as a prior, and the new study.
- Same population: log p(new | evidence) − log p(new | priors), theta_new from the posterior
  predictive against the prior predictive.
- Sceptical p (Held 2020, 10.1111/rssa.12493): the original is mu under a flat prior.
- Moved: every headline before and after. The posterior after is that of all rows, fitted anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from metarho.compare.bayes_factors import bayes_factors, nulls
from metarho.data.new_study import NewStudy, with_new_study
from metarho.data.studies import Row, Studies
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import (
    Problem,
    encode_known,
    improper,
    problem_without,
)
from metarho.errors import InputError
from metarho.fitting import Settings, choose, fit_before_data, fit_many
from metarho.posterior.fit import Fit
from metarho.posterior.heterogeneity import scale_of_derived, scale_of_parameter
from metarho.posterior.marginals import Marginal, Summary, below
from metarho.predict.new_studies import observed, words_of
from metarho.spec.analysis import Profile
from metarho.spec.model import AppliedPrior
from metarho.spec.priors import Prior


@dataclass(frozen=True)
class Expectation:
    """What the evidence expected of what a new study printed.

    ``summary`` is the predictive law of the observed r (GEN: yi) with its interval, ``held``
    whether a number lies in it. ``pit`` is P(r_new <= r) and ``tail`` twice the smaller side, of
    numbers; ``words`` has P(word) where n is known. ``probability`` is that of what was printed,
    for words and ranges. ``surprise`` in bits is −log2 of the tail, or of the probability.
    """

    summary: Summary
    held: bool | None
    pit: float | None
    tail: float | None
    words: Mapping[str, float]
    probability: float | None
    surprise: float


@dataclass(frozen=True)
class Moved:
    """A headline before and after the new study, on its ``scale``."""

    quantity: str
    scale: str
    before: Summary
    after: Summary

    @property
    def change(self) -> float | None:
        """By how much the median moved."""
        if self.before.median is None or self.after.median is None:
            return None
        return self.after.median - self.before.median


@dataclass(frozen=True)
class Shift:
    """A probability, or a log Bayes factor, before and after the new study."""

    quantity: str
    before: float
    after: float


@dataclass(frozen=True)
class Replication:
    """A new study against the evidence before it, and both together.

    ``log_density`` is log p(new | evidence), a density of z for correlations (GEN: of yi), the log
    of a probability for words; centres and knots stay those of the evidence. ``log_bf_same`` is
    against p(new | priors). ``sceptical_p`` is one-sided. Where one of them does not exist,
    ``reasons`` has why, by its name.
    """

    row: Row
    before: Fit
    after: Fit
    expected: Expectation | None
    log_density: float | None
    log_bf_same: float | None
    sceptical_p: float | None
    moved: tuple[Moved, ...]
    shifts: tuple[Shift, ...]
    reasons: Mapping[str, str]


def replication(
    problem: Problem,
    studies: Studies,
    new: NewStudy,
    thresholds: Sequence[float],
    settings: Settings,
) -> Replication:
    """Add a study to the evidence of a problem, and say what it changed.

    ``studies`` are the rows of the problem. Raises InputError for a study that no table could
    hold, or that leaves a moderator of the model open.
    """
    grown = with_study(problem, studies, new)
    before, after = fit_many([problem, grown], settings)
    row = next(row for row in grown.evidence.rows if row.study == new.study)
    reasons: dict[str, str] = {}
    profile = Profile.model_validate(
        {"label": "new", "ni": new.ni, "sei": new.sei, **_plain(problem, new)}
    )
    expected = None
    if problem.model.selection != "none":
        reasons["expected"] = "results are selected, and predictions are of studies before they are"
    elif (expected := _expectation(before, row, profile)) is None:
        reasons["expected"] = "the law of what a new study observes is not known here"
    log_density, log_bf = _densities(before, after, row, profile, settings, reasons)
    moved, shifts = _moved(before, after, thresholds, settings)
    sceptical, why = _sceptical(problem, new, row, settings)
    if sceptical is None:
        reasons["sceptical_p"] = why
    return Replication(
        row,
        before,
        after,
        expected,
        log_density,
        log_bf,
        sceptical,
        moved,
        shifts,
        reasons,
    )


def with_study(problem: Problem, studies: Studies, new: NewStudy) -> Problem:
    """The problem on its rows and a new study: what encoding all of them at once would give.

    Raises InputError for a study that the evidence cannot hold, and for a model with a moderator
    that is called as what a profile says of a new study's size.
    """
    wanted = problem.moderators
    if taken := sorted(wanted & Profile.model_fields.keys()):
        raise InputError(
            f"model {problem.model.name} has a moderator called {taken[0]}, which in a new study "
            "is something else; give the column another name"
        )
    missing = sorted(wanted - new.moderators.keys())
    # Only what can be imputed may be left open: a row without its moderators would be dropped.
    if missing and problem.model.missing != "impute":
        levels = {**problem.design.levels, **problem.scale_design.levels}
        named = [f"{n} ({', '.join(levels[n])})" if n in levels else n for n in missing]
        raise InputError(
            f"model {problem.model.name} needs {'; '.join(named)} of the new study: name them by "
            "--set"
        )
    known = {
        name: str(value)
        for name, value in new.moderators.items()
        if name in wanted and value is not None
    }
    problem.design.encode(known)
    problem.scale_design.encode(known)
    known_levels = (problem.design.levels, problem.scale_design.levels)
    grown = encode_known(problem.model, with_new_study(studies, new), problem.priors, known_levels)
    return replace(grown, dropped=problem.dropped, reliabilities=problem.reliabilities)


def _expectation(before: Fit, row: Row, profile: Profile) -> Expectation | None:
    law = observed(before, profile)
    if law is None:
        return None
    summary = before.posterior.rho(law).summary(before.interval.prob, before.interval.kind)
    words: dict[str, float] = {}
    if before.problem.scale == "z" and profile.ni is not None:
        words = words_of(law, profile.ni)
    if row.lower is not None and row.upper is not None:
        chance = below(law, row.upper) - below(law, row.lower)
        bits = -math.log2(max(chance, 5e-324))
        return Expectation(summary, None, None, None, words, chance, bits)
    assert row.yi is not None
    share = below(law, row.yi)
    tail = 2 * min(share, 1 - share)
    shown = math.tanh(row.yi) if before.problem.scale == "z" else row.yi
    held = None
    if summary.lower is not None and summary.upper is not None:
        held = summary.lower <= shown <= summary.upper
    return Expectation(summary, held, share, tail, words, None, -math.log2(max(tail, 5e-324)))


def _plain(problem: Problem, new: NewStudy) -> dict[str, str]:
    """The moderators of a new study that the model has, as a profile names them."""
    return {
        name: str(value)
        for name, value in new.moderators.items()
        if name in problem.moderators and value is not None
    }


def _densities(
    before: Fit,
    after: Fit,
    row: Row,
    profile: Profile,
    settings: Settings,
    reasons: dict[str, str],
) -> tuple[float | None, float | None]:
    """Log p(new | evidence), and its difference to log p(new | priors).

    Of the predictive laws; of evidences where they are sampled, or results are selected.
    """
    problem = before.problem
    improper_ones = [name for name, one in problem.priors.items() if not one.prior.proper]
    if improper_ones:
        reasons["log_bf_same"] = (
            f"before data an improper prior of {' and '.join(improper_ones)} expects nothing"
        )
    if not isinstance(before.result, Quadrature) or problem.model.selection != "none":
        return _differences(before, after, row, settings, reasons)
    law = observed(before, profile)
    if law is None:
        reasons["log_density"] = reasons["log_bf_same"] = reasons["expected"]
        return None, None
    density = _log_density(law, row)
    if improper_ones:
        return density, None
    expected = observed(fit_before_data(problem, settings), profile)
    assert expected is not None
    return density, density - _log_density(expected, row)


def _log_density(law: Marginal, row: Row) -> float:
    """Of what a row printed: a density on the model's scale, or a probability."""
    if row.lower is not None and row.upper is not None:
        chance = below(law, row.upper) - below(law, row.lower)
        return math.log(chance) if chance > 0 else -math.inf
    density = float(np.atleast_1d(law.density(np.array([row.yi])))[0])
    return math.log(density) if density > 0 else -math.inf


def _differences(
    before: Fit, after: Fit, row: Row, settings: Settings, reasons: dict[str, str]
) -> tuple[float | None, float | None]:
    """The same as evidences: with and without the new row, and of the new row alone."""
    is_new = np.array([one.study == row.study for one in after.problem.evidence.rows])
    if not np.array_equal(after.problem.design.matrix[~is_new], before.problem.design.matrix):
        reasons["log_density"] = reasons["log_bf_same"] = (
            "the new study moves what moderators are centred at, and evidences are all there is"
        )
        return None, None
    if after.problem.priors != before.problem.priors:
        reasons["log_density"] = reasons["log_bf_same"] = (
            "the new study moves the sds of moderators that priors of slopes go by"
        )
        return None, None
    with_it, without = after.log_evidence, before.log_evidence
    if with_it is None or without is None:
        reasons["log_density"] = "there is no evidence with an improper prior"
        return None, None
    (alone,) = fit_many([problem_without(after.problem, ~is_new)], settings)
    expected = alone.log_evidence
    return with_it - without, None if expected is None else with_it - without - expected


def _moved(
    before: Fit, after: Fit, thresholds: Sequence[float], settings: Settings
) -> tuple[tuple[Moved, ...], tuple[Shift, ...]]:
    """Estimates and numbers before and after."""
    problem = before.problem
    pairs = {
        name: (scale_of_derived(name, problem.r_label), before.derived[name], after.derived[name])
        for name in before.derived
        if before.derived[name].median is not None and after.derived[name].median is not None
    }
    new = "theta" if problem.scale == "yi" else "rho"
    pairs[f"{new}_new"] = (problem.r_label, before.new_study[new], after.new_study[new])
    pairs |= {
        name: (
            scale_of_parameter(name, problem.scale_label),
            before.parameters[name],
            after.parameters[name],
        )
        for name in before.parameters
    }
    moved = tuple(Moved(name, *pair) for name, pair in pairs.items())
    shifts = [] if problem.scale == "yi" else _above(before, after, thresholds)
    of_mean = [null for null in nulls(problem) if null.name == "mu = 0"]
    factors = [bayes_factors(fit, settings, of_mean) for fit in (before, after)]
    shifts += [
        Shift(f"log BF of {one.null}", one.log_bf, other.log_bf)
        for one, other in zip(*factors, strict=True)
        if one.log_bf is not None and other.log_bf is not None
    ]
    return moved, tuple(shifts)


def _above(before: Fit, after: Fit, thresholds: Sequence[float]) -> list[Shift]:
    at = np.array(thresholds, dtype=float)
    above = [
        1 - np.atleast_1d(fit.posterior.rho(fit.posterior.mean_of(fit.posterior.head)).cdf(at))
        for fit in (before, after)
    ]
    return [
        Shift(f"P(rho_median > {threshold:g})", float(one), float(other))
        for threshold, one, other in zip(thresholds, *above, strict=True)
    ]


def sceptical_p(z_original: float, z_replication: float, ratio: float) -> float:
    """The one-sided sceptical p-value; ``ratio`` is the variance of the original over the other's.

    z_S solves (z_o²/z_S² − 1)(z_r²/z_S² − 1) = ratio, and p = 1 − Φ(z_S) where both z have one
    sign, else Φ(z_S).
    """
    if z_original == 0 or z_replication == 0:
        return 0.5
    small, large = sorted((abs(z_original), abs(z_replication)))
    # (c − 1) x² + (a + b) x − ab = 0 in x = z_S², its positive root without cancellation; over the
    # larger one of a and b, whose square may be no number.
    share = (small / large) ** 2
    linear = 1 + share
    factor = 2 / (linear + math.sqrt(linear**2 + 4 * (ratio - 1) * share))
    sign = math.copysign(1.0, z_original) * math.copysign(1.0, z_replication)
    return float(ndtr(-sign * small * math.sqrt(factor)))


def _sceptical(
    problem: Problem, new: NewStudy, row: Row, settings: Settings
) -> tuple[float | None, str]:
    """Against the mean at the new study's moderators under a flat prior of mu; or why not."""
    if row.yi is None or row.vi is None:
        return None, "the new study printed no number"
    if problem.scale_label not in ("z", "yi"):
        return None, f"the error of what is observed is not known on {problem.scale_label}"
    flat = replace(
        problem,
        priors={**problem.priors, "mu": AppliedPrior(Prior("Flat", ()), "sceptical p")},
    )
    if reason := improper(flat):
        return None, reason
    try:
        choose(flat, "exact")
    except InputError as error:
        return None, f"under a flat prior of mu: {error}"
    (fit,) = fit_many([flat], replace(settings, engine="exact", agreement=False))
    at = problem.design.encode(_plain(problem, new))
    original = fit.posterior.mean_of(at).summary(0.95, "eti")
    if original.mean is None or original.sd is None or original.sd == 0:
        return None, "the mean has no sd under a flat prior of mu"
    return sceptical_p(
        original.mean / original.sd, row.yi / math.sqrt(row.vi), original.sd**2 / row.vi
    ), ""
