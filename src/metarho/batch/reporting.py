"""What the reporting hides: the answer under other readings of what was printed, and what was not.

Each reading is the evidence, or the law of what is reported, with one assumption changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from metarho.batch.plan import Plan
from metarho.batch.run import settings_of
from metarho.batch.tables import Row, threshold_probabilities
from metarho.data.reporting import as_tests, at_alpha, is_word, zero_order
from metarho.data.studies import Studies
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError, did_you_mean
from metarho.fitting import choose, fit_many
from metarho.posterior.fit import Fit

TABLE = "reporting.csv"

# The levels that papers use, and numbers of tests up to where a paper prints a table instead.
ALPHAS = (0.01, 0.05, 0.10)
TESTS = (1, 2, 3, 5)


@dataclass(frozen=True)
class Reading:
    """Evidence under one assumption on its reporting, as a setting of it."""

    assumption: str
    setting: str
    studies: Studies


@dataclass(frozen=True)
class Reported:
    """The table, its remarks, and how many fits it took."""

    rows: tuple[Row, ...]
    remarks: tuple[str, ...]


def check(plan: Plan, models: Sequence[str], prior_sets: Sequence[str]) -> None:
    """Raise InputError for names that the analysis does not have, or evidence without intervals."""
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
    return found, remarks


def reporting(
    plan: Plan,
    models: Sequence[str],
    prior_sets: Sequence[str],
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
) -> Reported:
    """Fit the models under every reading, through the store. Writes only to the store.

    ``models`` and ``prior_sets`` are names of the analysis.
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
            choose(problem, settings.engine)
        except InputError as error:
            remarks.append(f"{model}, {reading.assumption}, {reading.setting}: {error}")
            continue
        heads.append((model, prior_set, reading))
        problems.append(problem)
    fits = fit_many(problems, settings)
    rows = [
        row_of(plan, model, prior_set, reading.assumption, reading.setting, fit)
        for (model, prior_set, reading), fit in zip(heads, fits, strict=True)
    ]
    return Reported(tuple(rows), tuple(remarks))


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
