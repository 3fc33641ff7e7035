"""Studies in the order in which they came: sequential posteriors, and the record of predictions.

metafor calls the first ``cumul``. Every study is predicted from the studies of earlier years, the
first ones from the priors; studies of one year come together, and none of them predicts another.
With D_t the rows up to year t, the evidence is what the years add, one after the other (Dawid 1984,
10.2307/2981683, calls such a score prequential):

    log p(D_T) = Σ_t log p(rows of year t | D_{t−1}).

The densities of studies each alone given D_{t−1} do not add up to that where years have several.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metarho.compare.quantities import quantities_of, refusal
from metarho.engines import exact
from metarho.engines.problem import Problem, improper, misplaced, problem_without
from metarho.errors import InputError
from metarho.fitting import (
    Settings,
    choose,
    fit_before_data,
    fit_many,
    no_prior_posterior,
)
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.predict.forecasts import Forecast, forecasts
from metarho.spec.claims import Quantity
from metarho.spec.model import StepSelection

type Array = NDArray[np.float64]
type Rows = NDArray[np.bool_]

_BF_MU = Quantity("bf_mu")


@dataclass(frozen=True)
class Belief:
    """What was known after some rows; before the first of them it is the prior.

    ``mean``: the mean true effect at the average row of the whole evidence, ``new``: the true
    effect of a new study there, both on r (GEN: yi); ``tau``: the total sd of true effects, on the
    model's scale. ``above``: P(mean > t) for each threshold. ``bf_mu``: how many times as likely
    the rows are as with mu = 0. None where there is none.
    """

    mean: Summary
    new: Summary
    tau: Summary
    above: tuple[float, ...]
    log_evidence: float | None
    bf_mu: float | None
    status: str


@dataclass(frozen=True)
class Study:
    """The rows of one study as they were expected, by the model and by the prior alone.

    ``log_score``: log p(its rows | rows of earlier years), jointly; ``log_score_prior``:
    log p(its rows). None where there is no proper posterior, or prior, to predict from.
    """

    name: str
    rows: tuple[int, ...]
    forecasts: tuple[Forecast, ...] | None
    prior_forecasts: tuple[Forecast, ...] | None
    log_score: float | None
    log_score_prior: float | None


@dataclass(frozen=True)
class Step:
    """A year: the studies that came in it, and what was known when they had.

    ``log_score``: log p(all rows of the year | rows of earlier years), jointly. ``reason``: why
    nothing predicted them, or why there is no belief yet.
    """

    at: float
    studies: tuple[Study, ...]
    k_effects: int
    k_studies: int
    belief: Belief | None
    log_score: float | None
    reason: str | None


@dataclass(frozen=True)
class Cumulative:
    """The prior as a belief (None where improper), and the years in order."""

    prior: Belief | None
    steps: tuple[Step, ...]

    @property
    def studies(self) -> tuple[Study, ...]:
        """All studies in the order in which they came."""
        return tuple(study for step in self.steps for study in step.studies)


def check_cumulative(problem: Problem, settings: Settings) -> None:
    """Raises InputError for a problem whose studies cannot be predicted before they come."""
    name = problem.model.name
    engine, why = choose(problem, settings.engine)
    if engine != "exact":
        raise InputError(
            f"model {name} is sampled here ({why}), and would be sampled anew for every year; use "
            "a model, or intervals: drop, that the exact engine covers"
        )
    if problem.measure == "COR":
        raise InputError(
            "measure COR takes the sampling variance of a study from its own r, so that nothing "
            "can be said of the study before it comes; use measure ZCOR"
        )
    if isinstance(problem.model.selection, StepSelection) or problem.reporting is not None:
        raise InputError(
            f"model {name} lets results decide what is printed, and what it expects to be printed "
            "is not computed; use a model without selection"
        )
    for parameter, applied in problem.priors.items():
        if applied.prior.is_reference:
            raise InputError(
                f"{parameter}: {applied.prior} is made from the standard errors of all studies, "
                "those that are still to come with them; a prediction needs a prior that was there "
                "before, as HalfNormal(sigma=0.25)"
            )


def fits_needed(problem: Problem, at: Array) -> int:
    """How many fits a record takes: what ``settings.announce`` will hear of."""
    return len(_wanted(problem, at))


def cumulative(
    problem: Problem, at: Array, thresholds: Sequence[float], settings: Settings
) -> Cumulative:
    """The sequential posteriors of a problem, and the forecasts of every study before its year.

    ``at`` (k) is when each row of the evidence came, one value a study. The design is that of all
    rows throughout. Raises InputError where ``check_cumulative`` does.
    """
    check_cumulative(problem, settings)
    record = _Record(problem, thresholds, settings, _posteriors(problem, at, settings))
    steps = [record.step(float(year), at < year, at == year) for year in np.unique(at)]
    prior = record.prior
    return Cumulative(None if isinstance(prior, str) else record.belief_of_prior, tuple(steps))


def _posteriors(problem: Problem, at: Array, settings: Settings) -> dict[bytes, Fit | str]:
    """Fits of all parts of the evidence that are needed, or why there is none."""
    found: dict[bytes, Fit | str] = {}
    possible, problems = [], []
    for rows in _wanted(problem, at):
        part = problem_without(problem, ~rows)
        reason = _unanswerable(part)
        if reason is None:
            possible.append(rows.tobytes())
            problems.append(part)
        else:
            found[rows.tobytes()] = reason
            settings.announce("fitted", part)
    fits = fit_many(problems, replace(settings, agreement=False))
    return found | dict(zip(possible, fits, strict=True))


def _wanted(problem: Problem, at: Array) -> list[Rows]:
    """The rows up to each year, those before it with one of its studies, and each study alone."""
    wanted: dict[bytes, Rows] = {}
    for year in np.unique(at):
        own = list(_by_study(problem, at == year))
        for rows in (at <= year, *((at < year) | rows for rows in own), *own):
            wanted[rows.tobytes()] = rows
    return list(wanted.values())


def _by_study(problem: Problem, rows: Rows) -> Iterable[Rows]:
    study = problem.evidence.study
    return (study == number for number in np.unique(study[rows]))


def _unanswerable(part: Problem) -> str | None:
    """Why a part of the evidence has no posterior; None when it has one."""
    return misplaced(part) or improper(part) or exact.covers(part)


@dataclass(frozen=True)
class _Record:
    """What the steps are made of: the whole problem, and the fits of its parts."""

    problem: Problem
    thresholds: Sequence[float]
    settings: Settings
    parts: Mapping[bytes, Fit | str]

    def step(self, year: float, before: Rows, came: Rows) -> Step:
        """One year."""
        self.settings.announce("predicting", self.problem)
        upto = self.parts[(before | came).tobytes()]
        known = self._known(before)
        studies = tuple(self._study(rows, before, known) for rows in _by_study(self.problem, came))
        evidence = self.problem.evidence.only(before | came)
        reasons = [reason for reason in (known, upto) if isinstance(reason, str)]
        return Step(
            year,
            studies,
            evidence.k,
            len(evidence.study_names),
            None if isinstance(upto, str) else self._belief(upto),
            self._log_score(came, before),
            reasons[0] if reasons else None,
        )

    @cached_property
    def prior(self) -> Fit | str:
        """The problem before its rows are known, or why its prior predicts nothing."""
        if reason := no_prior_posterior(self.problem):
            return f"before the first study there is only the prior, and {reason}"
        return fit_before_data(self.problem, self.settings)

    @property
    def belief_of_prior(self) -> Belief:
        """The prior as a belief."""
        assert isinstance(self.prior, Fit)
        even = None if refusal(self.problem, _BF_MU) else 1.0
        return self._read(_exact(self.prior), 0.0, even, self.prior.status)

    def _known(self, before: Rows) -> Exact | str:
        """The posterior of the rows of earlier years, or why there is none."""
        fit = self.parts[before.tobytes()] if before.any() else self.prior
        return fit if isinstance(fit, str) else _exact(fit)

    def _study(self, rows: Rows, before: Rows, known: Exact | str) -> Study:
        numbers = np.flatnonzero(rows).tolist()

        def expected(by: Exact | str) -> tuple[Forecast, ...] | None:
            if isinstance(by, str):
                return None
            return tuple(forecasts(by, self.problem, numbers, self.settings.interval))

        nothing = np.zeros_like(rows)
        return Study(
            self.problem.evidence.study_names[self.problem.evidence.study[numbers[0]]],
            tuple(numbers),
            expected(known),
            expected(self.prior if isinstance(self.prior, str) else _exact(self.prior)),
            self._log_score(rows, before),
            self._log_score(rows, nothing),
        )

    def _log_score(self, rows: Rows, before: Rows) -> float | None:
        """Log p(rows | rows before), jointly; None where one of the two does not exist."""
        with_them = self.parts[(before | rows).tobytes()]
        log_before = 0.0
        if before.any():
            known = self.parts[before.tobytes()]
            if isinstance(known, str):
                return None
            log_before = _exact(known).quadrature.log_integral
        elif isinstance(self.prior, str):
            return None
        if isinstance(with_them, str):
            return None
        return _exact(with_them).quadrature.log_integral - log_before

    def _belief(self, fit: Fit) -> Belief:
        quiet = replace(self.settings, agreement=False, announce=lambda event, problem: None)
        bf_mu = None
        if refusal(self.problem, _BF_MU) is None:
            (value,) = quantities_of(fit, [_BF_MU], quiet)
            bf_mu = None if math.isnan(value) else value
        return self._read(_exact(fit), fit.log_evidence, bf_mu, fit.status)

    def _read(
        self, posterior: Exact, log_evidence: float | None, bf_mu: float | None, status: str
    ) -> Belief:
        prob, kind = self.settings.interval.prob, self.settings.interval.kind
        # One row of moderators for all years, so that what moves is what was learnt.
        head = self.problem.design.average
        mean = posterior.rho(posterior.mean_of(head))
        above = 1 - mean.cdf(np.asarray(self.thresholds, dtype=float))
        return Belief(
            mean.summary(prob, kind),
            posterior.rho(posterior.theta_new(head)).summary(prob, kind),
            posterior.tau.summary(prob, kind),
            tuple(above.tolist()),
            log_evidence,
            bf_mu,
            status,
        )


def _exact(fit: Fit) -> Exact:
    assert isinstance(fit.posterior, Exact)
    return fit.posterior
