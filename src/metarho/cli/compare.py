"""``metarho compare``: the table that answers "which prior?"."""

from __future__ import annotations

import typer

from metarho.cli.options import (
    EXIT_NOT_REPORTABLE,
    AsCsv,
    AsJson,
    Config,
    Output,
    check_one_form,
    config_path,
    print_csv,
    print_json,
)


def compare(
    config: Config,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Compare prior sets and models: estimates, evidence, prediction, conflict, information."""
    from metarho.batch.plan import plan as make_plan

    check_one_form(json, csv)
    plan = make_plan(config_path(config), output)
    # Only now, so that a bad config is refused at once.
    from metarho.batch.compare import TABLE
    from metarho.report.publish import publish_comparison
    from metarho.report.terminal import Progress, averaged, comparison, say

    with Progress(plan, fits=len(plan.cells), further=len(plan.cells)) as progress:
        compared = publish_comparison(plan, progress.announce, progress.warn)
    if json:
        print_json(list(compared.rows))
    elif csv:
        print_csv(compared.rows)
    else:
        comparison(plan, compared.rows)
        averaged(plan, compared.averages)
        for remark in compared.remarks:
            say(f"note: {remark}")
        say(f"all columns: {plan.folder / TABLE}")
    if any(row["status"] == "not reportable" for row in compared.rows):
        raise typer.Exit(EXIT_NOT_REPORTABLE)
