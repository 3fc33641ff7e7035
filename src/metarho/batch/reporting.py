"""What the reporting hides: the answer under other readings of what was printed, and what was not.

Each reading is the evidence, or the law of what is reported, with one assumption changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from metarho.batch.plan import Plan
from metarho.batch.run import settings_of
from metarho.batch.tables import threshold_probabilities
from metarho.compare.rows import Row
from metarho.compare.tipping import crossings
from metarho.data.reporting import as_tests, at_alpha, is_word, zero_order
from metarho.data.studies import Studies
from metarho.engines.problem import Problem, Reporting, encode
from metarho.errors import InputError, did_you_mean
from metarho.fitting import Settings, choose, fit_many
from metarho.posterior.fit import Fit
from metarho.spec.claims import Claim, Quantity

TABLE, TIPPING = "reporting.csv", "reporting-tipping.csv"

# Names of the laws of informative reporting, as settings of them.
OMEGA, DELTA = "no row at all", "no number"

# The levels that papers use, and numbers of tests up to where a paper prints a table instead.
ALPHAS = (0.01, 0.05, 0.10)
TESTS = (1, 2, 3, 5)
# How many times as often a not significant result appears: to one in a hundred, beyond what any
# study of publication found. Log-odds of a number: to e⁴, 55, between 0 and the end of the band.
OMEGAS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
DELTAS = (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Reading:
    """Evidence under one assumption on its reporting, as a setting of it.

    ``law`` is informative reporting, None where it depends on what is printed only.
    """

    assumption: str
    setting: str
    studies: Studies
    law: Reporting | None = None

    @property
    def value(self) -> float:
        """Where on its path a law stands: log omega, or delta."""
        assert self.law is not None
        return math.log(self.law.omega) if self.assumption == OMEGA else self.law.delta


@dataclass(frozen=True)
class Reported:
    """The table, its remarks, and where on the paths of informative reporting the answer tips."""

    rows: tuple[Row, ...]
    remarks: tuple[str, ...]
    tipping: tuple[Row, ...]


def check(plan: Plan, models: Sequence[str], prior_sets: Sequence[str], threshold: float) -> None:
    """Raise InputError for what ``reporting`` could not use.

    That is a name that the analysis does not have, evidence without intervals, or a threshold that
    is no number, or no correlation where there are correlations.
    """
    for given, allowed in ((models, plan.models), (prior_sets, plan.analysis.priors)):
        for name in given:
            if name not in allowed:
                raise InputError(f"the analysis has no {name!r}; {did_you_mean(name, allowed)}")
    if "use" not in plan.studies:
        raise InputError(
            "reporting varies what interval rows say, and the config drops them; write "
            "intervals: use, or [use, drop]",
            place=str(plan.config),
        )
    if plan.analysis.studies.measure == "GEN":
        if not math.isfinite(threshold):
            raise InputError(f"--threshold is a number, not {threshold:g}")
    elif not -1 < threshold < 1:
        raise InputError(f"--threshold is a correlation between -1 and 1, not {threshold:g}")


def readings(studies: Studies) -> tuple[list[Reading], list[str]]:
    """The evidence under every reading that it has a use for, and why others are left out."""
    found, remarks = [Reading("as printed", "intervals used", studies)], []

    def add(assumption: str, setting: str, change: Callable[[], Studies]) -> None:
        try:
            found.append(Reading(assumption, setting, change()))
        except InputError as error:
            remarks.append(f"{assumption}, {setting}: {error}")

    if any(row.is_interval for row in studies.used):
        add("intervals", "dropped", studies.dropping_intervals)
    else:
        remarks.append("every row printed a number: there are no interval rows to drop")
    if any(is_word(row) for row in studies.rows):
        for alpha in ALPHAS:
            add("alpha", f"{alpha:g}", partial(at_alpha, studies, alpha))
        for tests in TESTS:
            add("tests", f"{tests}", partial(as_tests, studies, tests))
    else:
        remarks.append("no row printed a word on significance: alpha and tests do not matter")
    if not all(row.is_zero_order for row in studies.used):
        add("statistic", "zero-order correlations only", partial(zero_order, studies))
    else:
        remarks.append("no row is known to be about another statistic (column statistic)")
    if studies.measure == "ZCOR":
        found += [
            Reading(OMEGA, f"omega = {omega:g}", studies, Reporting(omega=omega))
            for omega in OMEGAS
        ]
        if any(row.reported == "not significant" for row in studies.used):
            found += [
                Reading(DELTA, f"delta = {delta:g}", studies, Reporting(delta=delta))
                for delta in DELTAS
            ]
    return found, remarks


def reporting(
    plan: Plan,
    models: Sequence[str],
    prior_sets: Sequence[str],
    threshold: float,
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
) -> Reported:
    """Fit the models under every reading, through the store. Writes only to the store.

    ``models`` and ``prior_sets`` are names of the analysis; ``threshold`` is what the lower end of
    the interval of the headline is asked to stay above.
    """
    settings = replace(settings_of(plan, announce, warn), agreement=False)
    read, remarks = readings(plan.studies["use"])
    heads, problems = [], []
    for model, prior_set, reading in _cells(models, prior_sets, read):
        try:
            problem = encode(
                plan.models[model][0],
                reading.studies,
                plan.analysis.priors[prior_set],
                all_rows=plan.studies["use"],
            )
            problem = replace(problem, reporting=reading.law)
            choose(problem, settings.engine)
        except InputError as error:
            about = "informative reporting" if reading.law else f"{reading.assumption}"
            setting = "" if reading.law else f" {reading.setting}"
            remarks.append(f"{model}, {about}{setting}: {error}")
            continue
        heads.append((model, prior_set, reading))
        problems.append(problem)
    fits = fit_many(problems, settings)
    rows = [
        row_of(plan, model, prior_set, reading.assumption, reading.setting, fit)
        for (model, prior_set, reading), fit in zip(heads, fits, strict=True)
    ]
    quiet = replace(settings, store=None, announce=lambda event, problem: None)
    tips = []
    for model, prior_set in dict.fromkeys((model, prior_set) for model, prior_set, _ in heads):
        mine = [
            (reading, fit)
            for (m, p, reading), fit in zip(heads, fits, strict=True)
            if (m, p) == (model, prior_set)
        ]
        for path in (OMEGA, DELTA):
            for tip in _tips(path, mine, threshold, quiet):
                tips.append({"model": model, "prior": prior_set, **tip})
    return Reported(tuple(rows), tuple(dict.fromkeys(remarks)), tuple(tips))


def _tips(
    path: str, fitted: Sequence[tuple[Reading, Fit]], threshold: float, settings: Settings
) -> Iterator[Row]:
    """Where on a path the lower end reaches the threshold, each way from coarsening at random."""
    on_path = [(reading.value, fit) for reading, fit in fitted if reading.assumption == path]
    if not on_path:
        return
    origin = fitted[0][1]
    ways = [-1.0] if path == OMEGA else [-1.0, 1.0]
    for way in ways:
        stops = sorted((point for point in on_path if point[0] * way > 0), key=lambda p: p[0] * way)
        yield _tip(path, [(0.0, origin), *stops], threshold, settings)


def _tip(
    path: str, stops: Sequence[tuple[float, Fit]], threshold: float, settings: Settings
) -> Row:
    """The first crossing along a way that begins at 0; and how many there are."""
    name = "omega" if path == OMEGA else "delta"
    last = _shown(path, stops[-1][0])
    percent = f"{settings.interval.prob * 100:g}%"
    start = f"the lower end of the {percent} interval is {_lower(stops[0][1]):.3f} as printed"
    problem = stops[1][1].problem

    def lower(value: float) -> float:
        law = Reporting(omega=math.exp(value)) if path == OMEGA else Reporting(delta=value)
        (fit,) = fit_many([replace(problem, reporting=law)], settings)
        return _lower(fit)

    ordered = sorted(stops, key=lambda stop: stop[0])
    found = crossings(
        Claim(Quantity("lower"), ">", threshold),
        np.array([value for value, _ in ordered]),
        np.array([_lower(fit) for _, fit in ordered]),
        lower,
    )
    row: Row = {"parameter": name, "towards": last, "threshold": threshold}
    if not found:
        side = "above" if _lower(stops[0][1]) > threshold else "at or below"
        there = f"{name} = {last:g}, where it is {_lower(stops[-1][1]):.3f}"
        said = f"{start} and stays {side} {threshold:g} all the way to {there}"
        return {**row, "at": None, "lower": None, "sentence": said}
    value, reached, _ = min(found, key=lambda crossing: abs(crossing[0]))
    at = _shown(path, value)
    said = f"{start} and reaches {threshold:g} at {name} = {at:.3g}"
    if len(found) > 1:
        said += f"; it crosses {len(found)} times up to {name} = {last:g}"
    return {**row, "at": at, "lower": reached, "sentence": said}


def _shown(path: str, value: float) -> float:
    return math.exp(value) if path == OMEGA else value


def _lower(fit: Fit) -> float:
    lower = fit.pooled.lower
    assert lower is not None
    return lower


def _cells(
    models: Sequence[str], prior_sets: Sequence[str], read: Sequence[Reading]
) -> Iterator[tuple[str, str, Reading]]:
    for model in models:
        for prior_set in prior_sets:
            for reading in read:
                yield model, prior_set, reading


def row_of(plan: Plan, model: str, prior_set: str, assumption: str, setting: str, fit: Fit) -> Row:
    """The answer of one fit, in the columns of the comparison of priors."""
    pooled, new, mean = fit.pooled, fit.pooled_new, fit.derived.get("rho_mean")
    above = {f"P(rho > {t:g})": chance for t, chance in threshold_probabilities(plan, fit)}
    return {
        "model": model,
        "prior": prior_set,
        "assumption": assumption,
        "setting": setting,
        "k_effects": fit.problem.evidence.k,
        "k_studies": len(fit.problem.evidence.study_names),
        "median": pooled.median,
        "lower": pooled.lower,
        "upper": pooled.upper,
        "rho_mean": None if mean is None else mean.mean,
        "new_lower": new.lower,
        "new_upper": new.upper,
        **above,
        "engine": fit.engine,
        "status": fit.status,
    }
