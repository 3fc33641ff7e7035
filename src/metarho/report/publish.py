"""A whole run: fits, tables, figures, report, record."""

from __future__ import annotations

from collections.abc import Callable

from metarho.batch.plan import Plan
from metarho.batch.run import Outcome, execute, record, write_results
from metarho.engines.problem import Problem


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
        from metarho.report.page import write_report

        written |= write_report(outcome, announce)
    record(outcome, written)
    return outcome
