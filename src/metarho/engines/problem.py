"""A problem: one model with one prior set on one evidence set, encoded. What an engine solves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarho.data import effect_sizes
from metarho.data.design import Design, encode_at_levels, encode_studies
from metarho.data.effect_sizes import critical_r
from metarho.data.missing import Imputation, imputation_of
from metarho.data.studies import Row, Studies
from metarho.data.tables import is_blank, text
from metarho.engines.slope_scales import horseshoe_scale, r2d2_scale, shares
from metarho.errors import InputError
from metarho.spec.analysis import Intervals, Measure
from metarho.spec.formulas import columns_of
from metarho.spec.model import (
    RELIABILITIES,
    AppliedPrior,
    Model,
    StepSelection,
    names_reached,
    reliability_priors,
    resolve_priors,
)
from metarho.spec.priors import PER_BAND, PER_HORSESHOE, PER_R2D2, PER_TAU, Prior
from metarho.spec.shrinkage import at_sds

type Array = NDArray[np.float64]

# What a study that nobody has run is called.
FURTHER = "a further study"


@dataclass(frozen=True)
class Correlated:
    """Rows of one study whose sampling errors correlate: which (m), and their covariance (m, m)."""

    rows: NDArray[np.intp]
    covariance: Array


@dataclass(frozen=True)
class Reporting:
    """How reporting depends on a result beyond what it prints (``exact/reporting.py``).

    ``omega`` is how many times as often a not significant result appears at all as a significant
    one, ``delta`` the log-odds by which a not significant one prints a number at the upper end of
    its band rather than at 0. 1 and 0 are coarsening at random.
    """

    omega: float = 1.0
    delta: float = 0.0


@dataclass(frozen=True)
class Evidence:
    """The rows used, as arrays of length k on the model's scale, sorted by study and effect.

    ``y`` is NaN in interval rows, ``lower`` and ``upper`` are NaN in exact ones; ``v`` is the
    sampling variance (nominal, in interval rows). ``study`` numbers the studies 0, 1, ….
    ``correlated`` lists the groups of rows whose sampling errors are not independent. ``labels``
    has the group of each row on every level of the model but study and effect.
    """

    rows: tuple[Row, ...]
    y: Array
    v: Array
    lower: Array
    upper: Array
    study: NDArray[np.intp]
    study_names: tuple[str, ...]
    correlated: tuple[Correlated, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def k(self) -> int:
        """Number of effects."""
        return len(self.rows)

    @cached_property
    def is_interval(self) -> NDArray[np.bool_]:
        """Which rows are intervals."""
        return np.isnan(self.y)

    @cached_property
    def is_silent(self) -> NDArray[np.bool_]:
        """Which rows are intervals without ends: they say nothing."""
        return self.is_interval & np.isneginf(self.lower) & np.isposinf(self.upper)

    @property
    def has_intervals(self) -> bool:
        """Whether a row says that it lies in an interval."""
        return bool((self.is_interval & ~self.is_silent).any())

    @cached_property
    def sums_up(self) -> NDArray[np.bool_]:
        """Which rows are intervals that sum up several tests."""
        several = np.array([row.tests > 1 for row in self.rows], dtype=bool)
        return np.asarray(self.is_interval & ~self.is_silent & several)

    @cached_property
    def v_own(self) -> Array:
        """Of the sampling variance, what is each test's own where a row sums up several."""
        rho = _array([row.rho_tests for row in self.rows])
        return np.where(self.sums_up, self.v * (1 - rho), self.v)

    @cached_property
    def v_mean(self) -> Array:
        """The sampling variance of the mean of the tests that a row sums up."""
        tests = _array([row.tests for row in self.rows])
        return np.where(self.sums_up, self.v - self.v_own * (1 - 1 / tests), self.v)

    @cached_property
    def critical(self) -> Array:
        """|z| beyond which each row's test is significant, for rows of which n is known."""
        return _array(
            [
                None if row.ni is None else math.atanh(critical_r(row.ni, row.alpha))
                for row in self.rows
            ]
        )

    @cached_property
    def is_not_significant(self) -> NDArray[np.bool_]:
        """Which rows are numbers of not significant results, or say that they are."""
        words = np.array([row.reported == "not significant" for row in self.rows], dtype=bool)
        return np.asarray(np.where(self.is_interval, words, np.abs(self.y) < self.critical))

    def shifted(self, by: Array) -> Evidence:
        """The same rows with as much (k) added to what each says."""
        return replace(self, y=self.y + by, lower=self.lower + by, upper=self.upper + by)

    def silenced(self) -> Evidence:
        """The same rows before anything is known of them but their sampling variances."""
        unknown, end = np.full(self.k, np.nan), np.full(self.k, np.inf)
        return replace(self, y=unknown, lower=-end, upper=end)

    @cached_property
    def sizes(self) -> Array:
        """People a row; NaN where the table has none."""
        return _array([row.ni for row in self.rows])

    def artefact(self, name: str) -> Array:
        """rxx, ryy or ux of each row; NaN where the table has none."""
        return _array([getattr(row, name) for row in self.rows])

    @cached_property
    def effect_names(self) -> tuple[str, ...]:
        """``study: effect``, one a row, without repeats."""
        return tuple(f"{row.study}: {row.effect}" for row in self.rows)

    def groups(self, level: str) -> tuple[NDArray[np.intp], tuple[str, ...]]:
        """The group of each row on a level, numbered 0, 1, …, and the groups' names."""
        if level == "study":
            return self.study, self.study_names
        if level == "effect":
            return np.arange(self.k), self.effect_names
        names = tuple(dict.fromkeys(self.labels[level]))
        number = {name: index for index, name in enumerate(names)}
        return np.array([number[label] for label in self.labels[level]], dtype=np.intp), names

    def only(self, rows: NDArray[np.bool_]) -> Evidence:
        """The evidence of some rows; studies are numbered anew."""
        found, study = np.unique(self.study[rows], return_inverse=True)
        place = np.cumsum(rows) - 1
        groups = [(group, rows[group.rows]) for group in self.correlated]
        return Evidence(
            tuple(compress(self.rows, rows.tolist())),
            self.y[rows],
            self.v[rows],
            self.lower[rows],
            self.upper[rows],
            study,
            tuple(self.study_names[index] for index in found),
            tuple(
                Correlated(place[group.rows[kept]], group.covariance[np.ix_(kept, kept)])
                for group, kept in groups
                if kept.sum() > 1
            ),
            {name: tuple(compress(one, rows.tolist())) for name, one in self.labels.items()},
        )

    def turned(self, columns: Array) -> tuple[Array, Array]:
        """Columns (k, c) and variances (k) with correlated errors turned to be independent.

        Each group is turned into the directions of its covariance, where errors have its
        eigenvalues for variances; adding one variance to all rows keeps them independent. What
        each row has of its study's deviation, 1, turns like any other column.
        """
        columns, v = columns.copy(), self.v.copy()
        for group in self.correlated:
            v[group.rows], directions = np.linalg.eigh(group.covariance)
            columns[group.rows] = directions.T @ columns[group.rows]
        return columns, v


@dataclass(frozen=True)
class Problem:
    """What an engine solves. ``priors`` holds exactly the parameters, in order.

    ``design`` encodes the moderators of the mean, ``scale_design`` those of log tau. ``imputation``
    is what of the former is unknown; ``dropped`` names rows that were left out for a blank one.
    ``reliabilities`` are the priors of unknown ones, in models of true scores. ``studies`` is what
    the file of a custom model gets: the rows used, and the columns of their table. ``overlaps``
    names what the evidence holds, which a prior may have been made from.
    ``reporting`` is how reporting depends on results, where it is more than coarsening at random.
    """

    model: Model
    priors: Mapping[str, AppliedPrior]
    evidence: Evidence
    design: Design
    scale_design: Design
    measure: Measure
    scale: str
    intervals: Intervals
    imputation: Imputation | None = None
    dropped: tuple[str, ...] = ()
    reliabilities: Mapping[str, AppliedPrior] = field(default_factory=dict)
    studies: Studies | None = None
    overlaps: tuple[str, ...] = ()
    reporting: Reporting | None = None

    @property
    def scale_label(self) -> str:
        """The model's scale as tables print it: of true scores it says so."""
        true_scores = self.model.measurement == "true-score"
        return f"{self.scale}, true scores" if true_scores else self.scale

    @property
    def r_label(self) -> str:
        """The scale of results for readers, as tables print it."""
        if self.scale == "yi":
            return "yi"
        return "r, true scores" if self.model.measurement == "true-score" else "r"

    def prior(self, parameter: str) -> Prior:
        """The prior of a parameter."""
        return self.priors[parameter].prior

    @cached_property
    def coefficients(self) -> tuple[str, ...]:
        """The parameters of the mean: mu, then the slopes."""
        return tuple(name for name in self.priors if name == "mu" or name.startswith("beta["))

    @cached_property
    def shrunk_slopes(self) -> tuple[str, ...]:
        """The slopes that share a joint prior."""
        units = (PER_HORSESHOE, PER_R2D2)
        return tuple(name for name in self.coefficients if self.prior(name).on in units)

    @property
    def is_total_form(self) -> bool:
        """Whether a nested model's heterogeneity is a total sd split by a share."""
        return "share" in self.priors and self.model.custom is None

    @cached_property
    def spreads(self) -> tuple[str, ...]:
        """The parameters of heterogeneity: level sds, or a total sd and its share.

        Of a custom model none is known: what a name means there, its file says.
        """
        if self.model.custom is not None:
            return ()
        sds = {"tau", "share", *self.model.level_sds.values()}
        return tuple(name for name in self.priors if name in sds)

    @property
    def shapes(self) -> tuple[str, ...]:
        """The parameters of the law of effects and of selection: nu, omega."""
        return self.model.shapes

    @cached_property
    def scale_slopes(self) -> tuple[str, ...]:
        """The slopes of log tau."""
        return tuple(name for name in self.priors if name.startswith("alpha["))

    def band_before(self, weight: str) -> str:
        """The weight of the band before that of a weight."""
        return self.shapes[self.shapes.index(weight) - 1]

    @property
    def bias(self) -> Array | None:
        """What the bias of small studies is a slope on: standard errors or variances (k)."""
        if self.model.selection not in ("pet", "peese"):
            return None
        return bias_of(self, self.evidence)

    @property
    def moderators(self) -> set[str]:
        """The columns that the mean or heterogeneity depend on."""
        return {*self.design.cells, *self.scale_design.cells}

    @property
    def names_reached(self) -> set[str]:
        """The names under which a prior set can speak to the model."""
        return names_reached(self.model, self.design.coefficients, self.scale_design.coefficients)

    @property
    def is_gaussian(self) -> bool:
        """Whether numbers are normal given mean and heterogeneity, and not selected."""
        model = self.model
        plain = (model.likelihood, model.effects, model.measurement)
        selected = isinstance(model.selection, StepSelection)
        return plain == ("normal", "normal", "observed") and not selected

    @property
    def may_vary(self) -> bool:
        """Whether a parameter of heterogeneity may be above 0."""
        total = [name for name in self.spreads if name != "share"]
        return any(self.prior(name) != Prior("DiracDelta", (("c", 0.0),)) for name in total)

    def level_variances(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Level -> tau² there, at values of the parameters of heterogeneity.

        Of effects whose tau has moderators: where these are 0.
        """
        if self.is_total_form:
            tau2, share = values["tau"] ** 2, values["share"]
            return {"study": tau2 * share, "effect": tau2 * (1 - share)}
        return {level: values[sd] ** 2 for level, sd in self.model.level_sds.items()}

    def total_sd(self, values: Mapping[str, Array]) -> Array:
        """The total sd of true effects, the root of Στ², at values of heterogeneity."""
        return np.sqrt(sum(self.level_variances(values).values(), np.zeros(())))

    def unit(self, parameter: str, values: Mapping[str, Any]) -> Any:
        """What a relative prior is in units of, at values of the other parameters.

        Of mu the total heterogeneity, of slopes what their joint prior gives them, of weights the
        band before theirs.
        """
        column = parameter.removeprefix("beta[").removesuffix("]")
        on = self.prior(parameter).on
        if on == PER_BAND:
            return values[self.band_before(parameter)]
        if on == PER_HORSESHOE:
            return horseshoe_scale(column, values)
        total = self.total_sd(values)
        return r2d2_scale(column, values, total) if on == PER_R2D2 else total

    def implied(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """What parameters imply: level sds of a total and its share; the φ of R2D2."""
        found = shares(values)
        if self.is_total_form:
            total, share = values["tau"], values["share"]
            found |= {"tau_study": total * np.sqrt(share), "tau_effect": total * np.sqrt(1 - share)}
        return found


def bias_of(problem: Problem, evidence: Evidence) -> Array:
    """What small-study bias is a slope on, of some of a problem's rows: se (pet) or v (peese)."""
    return np.sqrt(evidence.v) if problem.model.selection == "pet" else evidence.v


@dataclass(frozen=True)
class Encoding:
    """A model on studies before its priors are said: rows as arrays, moderators as designs.

    Many prior sets on one encoding share its rows and designs.
    """

    model: Model
    studies: Studies
    designs: tuple[Design, Design]
    dropped: tuple[str, ...]
    evidence: Evidence

    def under(self, prior_set: Mapping[str, Prior] | None = None) -> Problem:
        """The problem under a prior set. Raises InputError as ``encode`` does."""
        design, scale_design = self.designs
        given = prior_set or {}
        priors = resolve_priors(
            self.model,
            design.coefficients,
            given,
            scale_design.coefficients,
            design.column_sds,
        )
        problem = _problem(self.model, self.studies, priors, self.designs, self.evidence)
        reliabilities = reliability_priors(self.model, given)
        return _checked(replace(problem, dropped=self.dropped, reliabilities=reliabilities))


def encoding(model: Model, studies: Studies, *, all_rows: Studies | None = None) -> Encoding:
    """Encode a model on studies. ``all_rows`` is the evidence before interval rows were dropped.

    Factor levels come from ``all_rows``. Raises InputError when a moderator cannot be encoded.
    """
    everyone, all_rows = studies.used, all_rows or studies
    if model.missing == "drop":
        studies, all_rows = (one.dropping_blanks(model.columns) for one in (studies, all_rows))
    kept = {row.index for row in studies.used}
    dropped = tuple(f"{row.study}: {row.effect}" for row in everyone if row.index not in kept)
    designs = _designs(model, studies, all_rows)
    return Encoding(model, studies, designs, dropped, evidence_of(studies, _labels(model, studies)))


def encode(
    model: Model,
    studies: Studies,
    prior_set: Mapping[str, Prior] | None = None,
    *,
    all_rows: Studies | None = None,
) -> Problem:
    """Encode a model with a prior set on studies.

    ``all_rows`` is the evidence before interval rows were dropped; factor levels come from it.

    Raises InputError when a prior is missing or has no meaning here, a moderator cannot be
    encoded, or the posterior would be improper.
    """
    return encoding(model, studies, all_rows=all_rows).under(prior_set)


def encode_known(
    model: Model,
    studies: Studies,
    priors: Mapping[str, AppliedPrior],
    levels: tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]],
    reliabilities: Mapping[str, AppliedPrior] | None = None,
) -> Problem:
    """The problem of rows under priors, and levels of the mean's and log tau's factors, as known.

    ``reliabilities`` are the priors of unknown ones. Knots, centres and the sds that R2D2's slopes
    go by are learned from the rows. Raises InputError as ``encode`` does.
    """
    if model.missing == "drop":
        studies = studies.dropping_blanks(model.columns)
    mean, scale = (
        encode_at_levels(formula, known, studies)
        for formula, known in zip((model.mods, model.scale), levels, strict=True)
    )
    at_rows = at_sds({name: one.prior for name, one in priors.items()}, mean.column_sds)
    priors = {name: replace(one, prior=at_rows[name]) for name, one in priors.items()}
    problem = _problem(
        model, studies, priors, (mean, scale), evidence_of(studies, _labels(model, studies))
    )
    return _checked(replace(problem, reliabilities=reliabilities or {}))


def _problem(
    model: Model,
    studies: Studies,
    priors: Mapping[str, AppliedPrior],
    designs: tuple[Design, Design],
    evidence: Evidence,
) -> Problem:
    return Problem(
        model,
        priors,
        evidence,
        *designs,
        studies.measure,
        studies.scale,
        studies.intervals,
        imputation_of(designs[0], evidence.study),
        studies=replace(studies, rows=studies.used) if model.custom is not None else None,
        overlaps=studies.overlaps,
    )


def evidence_of(studies: Studies, labels: Mapping[str, tuple[str, ...]] | None = None) -> Evidence:
    """The rows used, as arrays; ``labels`` are their groups on levels beside study and effect."""
    rows = studies.used
    names = tuple(dict.fromkeys(row.study for row in rows))
    number = {name: index for index, name in enumerate(names)}
    return Evidence(
        rows,
        _array([row.yi for row in rows]),
        _array([row.vi for row in rows]),
        _array([row.lower for row in rows]),
        _array([row.upper for row in rows]),
        np.array([number[row.study] for row in rows], dtype=np.intp),
        names,
        _correlated(studies),
        labels or {},
    )


def _checked(problem: Problem) -> Problem:
    """The problem; raises InputError where a part has no meaning or the posterior is improper."""
    reason = misplaced(problem) or improper(problem)
    if reason:
        raise InputError(reason)
    return problem


def problem_without(problem: Problem, rows: NDArray[np.bool_]) -> Problem:
    """The problem on the rows that are not named; what encoding learned (levels, knots) stays."""
    kept = ~rows
    return replace(
        problem,
        evidence=problem.evidence.only(kept),
        design=problem.design.only(kept),
        scale_design=problem.scale_design.only(kept),
        imputation=problem.imputation.only(kept) if problem.imputation else None,
    )


def problem_with(
    problem: Problem,
    ri: float,
    ni: float,
    moderators: Mapping[str, str | float] | None = None,
    name: str = FURTHER,
) -> Problem:
    """The problem with one further study of ni people that found r (measures ZCOR and COR).

    Moderators that are not named stand at their average. What encoding learned stays, and so does
    the average row, where the headline is. Raises InputError for an unknown level.
    """
    measure = effect_sizes.zcor if problem.measure == "ZCOR" else effect_sizes.cor
    yi, vi = measure(ri, ni)
    evidence = problem.evidence
    row = Row(name, -1, name, name, "1", "exact", True, "hypothetical", ri, ni, yi=yi, vi=vi)
    names = evidence.study_names
    grown = replace(
        evidence,
        rows=(*evidence.rows, row),
        y=np.append(evidence.y, yi),
        v=np.append(evidence.v, vi),
        lower=np.append(evidence.lower, np.nan),
        upper=np.append(evidence.upper, np.nan),
        study=np.append(evidence.study, len(names)),
        study_names=(*names, name),
        labels={level: (*labels, name) for level, labels in evidence.labels.items()},
    )
    profile = moderators or {}
    return replace(
        problem,
        evidence=grown,
        design=problem.design.with_row(problem.design.encode(profile)),
        scale_design=problem.scale_design.with_row(problem.scale_design.encode(profile)),
    )


def before_data(problem: Problem) -> Problem:
    """The problem before its rows are known: its posterior is its prior.

    Rows keep their sampling variances, for some priors are made of them.
    """
    return replace(problem, evidence=problem.evidence.silenced())


def misplaced(problem: Problem) -> str | None:
    """Why the likelihood or a prior has no meaning on this evidence; None when all have."""
    if problem.model.likelihood == "exact-r":
        if problem.measure != "ZCOR":
            return (
                f"likelihood: exact-r is the law of a sample correlation on Fisher's z; measure "
                f"{problem.measure} has no place in it: use measure ZCOR"
            )
        if np.isnan(problem.evidence.sizes).any():
            return "likelihood: exact-r needs ni, the number of people, in every row"
    if reason := _without_test(problem):
        return reason
    if reason := _mismeasured(problem) or _several_tests_elsewhere(problem):
        return reason
    for name, applied in problem.priors.items():
        if applied.prior.on == PER_TAU and not problem.may_vary:
            return (
                f"{name}: {applied.prior} has no meaning where true effects do not vary (tau = 0); "
                "give a prior of mu itself"
            )
        if applied.prior.on == PER_R2D2 and not problem.may_vary:
            return (
                f"{name}: R2D2 has no meaning where true effects do not vary (tau = 0); "
                "give beta another prior"
            )
        if applied.prior.on == "r" and problem.scale != "z":
            why = "mu is r already" if problem.scale == "r" else "effects are no correlations"
            return (
                f"{name}: {applied.prior} is for correlations on Fisher's z (measure ZCOR); with "
                f"{problem.measure} {why}: give the prior without 'on r'"
            )
        if applied.prior.is_reference and problem.evidence.correlated:
            return (
                f"{name}: {applied.prior} is defined for independent sampling errors, and those of "
                "one study correlate here (rho_within or covariance); use another prior"
            )
        if applied.prior.family == "UniformI2" and problem.evidence.k < 2:
            return f"{name}: UniformI2() needs at least 2 rows, and there is {problem.evidence.k}"
    return None


def _without_test(problem: Problem) -> str | None:
    """Why rows have no t test to be selected by; None where they do, or are not."""
    selection = problem.model.selection
    if not isinstance(selection, StepSelection) or selection.step.test == "z":
        return None
    if problem.measure != "ZCOR":
        return (
            f"selection by the t test of a correlation is for Fisher's z (measure ZCOR), not "
            f"{problem.measure}; use test: z"
        )
    unknown = np.isnan(problem.evidence.sizes)
    if unknown.any():
        names = ", ".join(np.array(problem.evidence.effect_names)[unknown][:5])
        return f"selection by the t test of a correlation needs n: {names}; use test: z"
    return None


def _several_tests_elsewhere(problem: Problem) -> str | None:
    """Where rows sum up several tests that the model has no joint law of; None elsewhere.

    Their joint law is that of normal errors around effects that are normal, or in normal parts.
    """
    model, evidence = problem.model, problem.evidence
    if not evidence.sums_up.any():
        return None
    names = ", ".join(np.array(evidence.effect_names)[evidence.sums_up][:5])
    parts = {
        "likelihood: exact-r": model.likelihood == "exact-r",
        "effects: student-t": model.effects == "student-t",
        "selection by steps": isinstance(model.selection, StepSelection),
        "measurement: true-score": model.measurement == "true-score",
    }
    for part, used in parts.items():
        if used:
            return (
                f"words that sum up several tests ({names}) have no joint law with {part}; use "
                "normal effects and errors, or leave the column tests out"
            )
    for group in evidence.correlated:
        if evidence.sums_up[group.rows].any():
            return (
                f"words that sum up several tests ({names}) do not go with sampling errors that "
                "correlate between rows (rho_within or covariance); give one of the two"
            )
    return None


def _mismeasured(problem: Problem) -> str | None:
    """Why observed scores say nothing of true ones here; None when they do."""
    if problem.model.measurement != "true-score":
        return None
    if problem.measure != "ZCOR":
        return f"measurement: true-score is for correlations on Fisher's z, not {problem.measure}"
    for name in RELIABILITIES:
        unknown = np.isnan(problem.evidence.artefact(name))
        if unknown.any() and name not in problem.reliabilities:
            rows = ", ".join(np.array(problem.evidence.effect_names)[unknown][:5])
            return (
                f"the reliability {name} is unknown in {unknown.sum()} rows ({rows}): map a column "
                f"to {name}, or give unknown ones a prior, {name}: Beta(alpha=..., beta=...)"
            )
    return None


def improper(problem: Problem) -> str | None:
    """Why the posterior would be improper; None when it is proper.

    With k_b rows that are exact or bounded intervals and p flat coefficients of full rank on
    them: flat coefficients need k_b >= p. For large tau the likelihood falls like
    tau**-(k_b - p), so a prior of tau that goes like tau**-t needs besides t + k_b - p > 1
    (Flat, t = 0: two rows more than p; Jeffreys, t = 1: one). Of custom models nothing is known.
    """
    if problem.model.custom is not None:
        return None
    evidence = problem.evidence
    bounded = ~evidence.is_interval | (np.isfinite(evidence.lower) & np.isfinite(evidence.upper))
    flat = [not problem.prior(name).proper for name in problem.coefficients]
    k_b, p = int(bounded.sum()), sum(flat)
    informing = problem.design.matrix[bounded & problem.design.known][:, flat]
    rank = int(np.linalg.matrix_rank(informing)) if p and k_b else 0
    if rank < p:
        return (
            f"the posterior is improper: {p} coefficients with a Flat() prior, but the {k_b} rows "
            f"that are numbers or bounded intervals determine {rank} of them; give a proper prior"
        )
    spreads = [name for name in problem.spreads if name != "share"]
    vague = [name for name in spreads if not problem.prior(name).proper]
    if vague and len(spreads) + problem.is_total_form > 1:
        return f"{vague[0]}: models with several levels need proper priors on heterogeneity"
    for name in vague:
        needed = p + 1 + math.floor(1 - problem.prior(name).improper_tail)
        if k_b < needed:
            return (
                f"the posterior is improper: with the prior {problem.prior(name)}, {name} needs at "
                f"least {needed} rows that are numbers or bounded intervals, and there are {k_b}; "
                "give a proper prior"
            )
    return None


def _correlated(studies: Studies) -> tuple[Correlated, ...]:
    """Groups of rows of one study whose sampling errors covary, with their covariance."""
    rows = studies.used
    variances = _array([row.vi for row in rows])
    groups = _known_groups(studies) if studies.covariances else _samples(studies)
    covariances = {(a, b): value for a, b, value in studies.covariances}
    found = []
    for members in groups:
        sd = np.sqrt(variances[members])
        covariance = np.where(np.eye(len(members)) == 1, 1.0, studies.rho_within) * np.outer(sd, sd)
        for a, b in combinations(range(len(members)), 2):
            pair = sorted((rows[members[a]].index, rows[members[b]].index))
            known = covariances.get((pair[0], pair[1]))
            if known is not None:
                covariance[a, b] = covariance[b, a] = known
        if np.count_nonzero(covariance) > len(members):
            found.append(Correlated(np.array(members, dtype=np.intp), covariance))
    return tuple(found)


def _designs(model: Model, studies: Studies, all_rows: Studies) -> tuple[Design, Design]:
    """The moderators of the mean and of log tau. A reference may be of a factor in either."""
    in_mods, in_scale = columns_of(model.mods), columns_of(model.scale)
    of_scale = {name: level for name, level in model.reference.items() if name in in_scale}
    # One that is in neither is the mean's, to be refused there.
    of_mean = {
        name: level
        for name, level in model.reference.items()
        if name in in_mods or name not in in_scale
    }
    return (
        encode_studies(model.mods, of_mean, studies, all_rows, blanks=model.missing == "impute"),
        encode_studies(model.scale, of_scale, studies, all_rows),
    )


def _labels(model: Model, studies: Studies) -> dict[str, tuple[str, ...]]:
    """The group of each row on every level but study and effect; nested ones within their outer.

    Levels are the roles study and sample, or columns of the table.
    """
    own = {
        "study": tuple(row.study for row in studies.used),
        # Samples are named within their study.
        "sample": tuple(f"{row.study} / {row.sample}" for row in studies.used),
    }
    found = {}
    for level, path in model.paths.items():
        if level in ("study", "effect"):
            continue
        parts = [own.get(outer) or _column(studies, outer) for outer in path]
        found[level] = tuple(" / ".join(labels) for labels in zip(*parts, strict=True))
    return found


def _column(studies: Studies, name: str) -> tuple[str, ...]:
    """A column of the table as labels of groups. Raises InputError where it is blank."""
    cells = studies.moderator(name)
    blank = [row.place for row, cell in zip(studies.used, cells, strict=True) if is_blank(cell)]
    if blank:
        raise InputError(
            f"random: the level {name} is blank in {', '.join(blank)}; fill it in, or leave these "
            "rows out with where"
        )
    return tuple(text(cell) for cell in cells)


def _samples(studies: Studies) -> list[list[int]]:
    """Rows of one sample of one study, where errors within a sample correlate."""
    samples: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(studies.used if studies.rho_within else ()):
        samples.setdefault((row.study, row.sample), []).append(index)
    return [members for members in samples.values() if len(members) > 1]


def _known_groups(studies: Studies) -> list[list[int]]:
    """Rows of one study, of which some covary."""
    covary = {a for a, _, _ in studies.covariances} | {b for _, b, _ in studies.covariances}
    found: dict[str, list[int]] = {}
    for index, row in enumerate(studies.used):
        if row.index in covary:
            found.setdefault(row.study, []).append(index)
    return [members for members in found.values() if len(members) > 1]


def _array(values: list[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
