"""``metarho run`` and ``metarho check``: analyses, from their configs."""

from __future__ import annotations

import typer

from metarho.cli.options import EXIT_NOT_REPORTABLE, Configs, Output, config_path


def run(
    configs: Configs,
    output: Output = None,
) -> None:
    """Run analyses: fit every model with every prior set, write tables and a report."""
    from metarho.batch.plan import plan_all

    plans = plan_all([config_path(name) for name in configs], output)
    # Only now, so that a bad config is refused at once.
    from metarho.report.publish import publish
    from metarho.report.terminal import Progress, headline, say

    worst = "ok"
    for plan in plans:
        with Progress(plan) as progress:
            fits = publish(plan, progress.announce, progress.warn).fits
        headline(plan, fits)
        for remark in plan.citations:
            say(f"note: {remark}")
        say(f"results: {plan.folder}")
        if any(fit.status == "not reportable" for fit in fits):
            worst = "not reportable"
    if worst == "not reportable":
        raise typer.Exit(EXIT_NOT_REPORTABLE)


def check(configs: Configs) -> None:
    """Validate configs and print the plan; compute and write nothing."""
    from metarho.batch.describe import describe
    from metarho.batch.plan import plan_all

    plans = plan_all([config_path(name) for name in configs])
    for plan in plans:
        print("\n".join(describe(plan)))
