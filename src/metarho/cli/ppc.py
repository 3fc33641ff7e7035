"""``metarho ppc``: posterior predictive checks."""

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


def ppc(
    config: Config,
    model: OneModel = None,
    prior_set: OnePriorSet = None,
    intervals: OneIntervals = None,
    simulations: Annotated[
        int | None,
        typer.Option(
            min=0, max=1_000_000, help="Data sets for calibrated p (default: 1000; 0: none)."
        ),
    ] = None,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Check a fit against replicates of its evidence, and each study against the others."""
    from metarho.batch.plan import cell_of
    from metarho.batch.plan import plan as make_plan
    from metarho.batch.ppc import check, question

    check_one_form(json, csv)
    plan = make_plan(config_path(config), output)
    asked = question(plan, cell_of(plan, model, prior_set, intervals), simulations)
    # Only now, so that a bad question is refused at once.
    from metarho.report.ppc import print_ppc, publish_ppc
    from metarho.report.terminal import Progress

    with Progress(plan, fits=1) as progress:
        found = check(plan, asked, progress.announce, progress.warn)
        publish_ppc(plan, found)
    if json:
        content = {"checks": found.rows, "studies": found.studies, "remarks": found.remarks}
        print_json(content)
    elif csv:
        print_csv(found.rows)
    else:
        print_ppc(plan, found)
    if found.fit.status == "not reportable":
        raise typer.Exit(EXIT_NOT_REPORTABLE)
