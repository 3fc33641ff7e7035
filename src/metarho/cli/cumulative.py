"""``metarho cumulative``: studies in the order in which they came, predicted before they did."""

from __future__ import annotations

from typing import Annotated

import typer

from metarho.cli.options import (
    EXIT_NOT_REPORTABLE,
    AsCsv,
    AsJson,
    Config,
    OneIntervals,
    OneModel,
    OnePriorSet,
    Output,
    check_one_form,
    config_path,
    print_csv,
    print_json,
)


def cumulative(
    config: Config,
    by: Annotated[
        str, typer.Option(help="The table's column that orders studies, as year: numbers.")
    ],
    model: OneModel = None,
    prior_set: OnePriorSet = None,
    intervals: OneIntervals = None,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Show what was known after each year, and score what was predicted before each study came.

    --csv prints the record of the predictions.
    """
    from metarho.batch.cumulative import ordered, recorded
    from metarho.batch.plan import cell_of
    from metarho.batch.plan import plan as make_plan

    check_one_form(json, csv)
    plan = make_plan(config_path(config), output)
    cell = cell_of(plan, model, prior_set, intervals)
    asked = ordered(plan, cell, by)
    # Only now, so that a bad question is refused at once.
    from metarho.report.cumulative import print_cumulative, publish_cumulative
    from metarho.report.terminal import Progress

    with Progress(plan, fits=asked.steps) as progress:
        found = recorded(plan, asked, progress.announce, progress.warn)
        publish_cumulative(plan, found)
    if json:
        tables = {"summary": found.summary, "years": found.years, "record": found.record}
        print_json({name: list(rows) for name, rows in tables.items()})
    elif csv:
        print_csv(found.record)
    else:
        print_cumulative(plan, found)
    if not found.reportable:
        raise typer.Exit(EXIT_NOT_REPORTABLE)
