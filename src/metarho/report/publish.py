"""A whole run: fits, tables, figures, report, record; and a whole comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from metarho.batch import reporting as reported
from metarho.batch.compare import AVERAGES, STUDIES, TABLE, Compared, compare
from metarho.batch.kept import KEPT
from metarho.batch.plan import Plan
from metarho.batch.run import Outcome, execute, record, write_results
from metarho.batch.tables import to_csv
from metarho.engines.problem import Problem
from metarho.store.files import write_text


def _ignore(event: str, problem: Problem | None) -> None:
    """Tell nobody."""


def _silent(message: str) -> None:
    """Say nothing."""


def publish(
    plan: Plan,
    announce: Callable[[str, Problem | None], None] = _ignore,
    warn: Callable[[str], None] = _silent,
) -> Outcome:
    """Run a plan and leave everything it makes in its folder."""
    outcome = execute(plan, announce, warn)
    announce("writing", None)
    written = write_results(outcome)
    if plan.analysis.report == "html":
        # Loaded here: Matplotlib is for reports only.
        from metarho.batch.findings import find
        from metarho.report.ensemble import write_ensembles
        from metarho.report.page import write_report

        # The bar is over the fits of the run; what follows only says what it does.
        def describe(event: str, problem: Problem | None) -> None:
            announce("comparing" if event in ("fitted", "compared") else event, problem)

        found = find(outcome, describe, warn)
        written |= write_report(found, announce)
        if found.ensembles:
            written |= write_ensembles(plan, found.ensembles)
            members = tuple(m.fit for one in found.ensembles for m in one.ensemble.members)
            outcome = replace(outcome, members=members)
        written.add(KEPT)
    if plan.analysis.scripts:
        from metarho.report.scripts import write_scripts

        written |= write_scripts(outcome)
    record(outcome, written)
    return outcome


def publish_comparison(
    plan: Plan,
    announce: Callable[[str, Problem | None], None] = _ignore,
    warn: Callable[[str], None] = _silent,
) -> Compared:
    """Compare the cells of a plan, and leave the table and its figure in the plan's folder."""
    compared = compare(plan, announce, warn)
    write_text(plan.folder / TABLE, to_csv(compared.rows))
    if compared.studies:
        write_text(plan.folder / STUDIES, to_csv(compared.studies))
    if compared.averages:
        write_text(plan.folder / AVERAGES, to_csv(compared.averages))
    if plan.analysis.report == "html":
        # Loaded here: Matplotlib is for pictures only.
        from metarho.report.figures.drawing import write_drawing
        from metarho.report.figures.which_prior import which_prior

        analysis = plan.analysis
        drawing = which_prior(
            compared.rows, analysis.reference_set, plan.evidence.scale, analysis.interval.prob
        )
        write_drawing(drawing, plan.folder / "figures")
    return compared


def publish_reporting(
    plan: Plan,
    models: Sequence[str],
    prior_sets: Sequence[str],
    threshold: float = 0.0,
    announce: Callable[[str, Problem | None], None] = _ignore,
    warn: Callable[[str], None] = _silent,
) -> reported.Reported:
    """Vary the reporting, and leave the table and its figure in the plan's folder."""
    found = reported.reporting(plan, models, prior_sets, threshold, announce, warn)
    write_text(plan.folder / reported.TABLE, to_csv(found.rows))
    write_text(plan.folder / reported.TIPPING, to_csv(found.tipping))
    if plan.analysis.report == "html":
        # Loaded here: Matplotlib is for pictures only.
        from metarho.report.figures.drawing import write_drawing
        from metarho.report.figures.reporting import reporting

        drawing = reporting(found.rows, plan.evidence.scale, plan.analysis.interval.prob)
        write_drawing(drawing, plan.folder / "figures")
    return found
