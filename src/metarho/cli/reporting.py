"""``metarho reporting``: what the answer owes to the assumptions on what was printed."""

from __future__ import annotations

from typing import Annotated

import typer

from metarho.cli import completion
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


def reporting(
    config: Config,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model of the config (default: all); repeatable.",
            autocompletion=completion.models_of_config,
        ),
    ] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            help="A prior set (default: the reference); repeatable.",
            autocompletion=completion.prior_sets_of_config,
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            help="What the lower end of the interval is to stay above, on r.", min=-1, max=1
        ),
    ] = 0.0,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Vary what is assumed of results that printed no number, or nothing at all."""
    from metarho.batch.plan import plan as make_plan

    check_one_form(json, csv)
    plan = make_plan(config_path(config), output)
    # Only now, so that a bad config is refused at once.
    from metarho.batch.reporting import TABLE, check, readings
    from metarho.report.publish import publish_reporting
    from metarho.report.terminal import Progress, reported, say

    models = list(dict.fromkeys(model or plan.models))
    priors = list(dict.fromkeys(prior or [plan.analysis.reference_set]))
    check(plan, models, priors, threshold)
    count = len(models) * len(priors) * len(readings(plan.studies["use"])[0])
    with Progress(plan, fits=count) as progress:
        found = publish_reporting(plan, models, priors, threshold, progress.announce, progress.warn)
    if json:
        print_json(list(found.rows))
    elif csv:
        print_csv(found.rows)
    else:
        reported(plan, found.rows)
        for tip in found.tipping:
            say(f"{tip['model']}, {tip['prior']}: {tip['sentence']}")
        for remark in found.remarks:
            say(f"note: {remark}")
        say(f"all columns: {plan.folder / TABLE}")
    if any(row["status"] == "not reportable" for row in found.rows):
        raise typer.Exit(EXIT_NOT_REPORTABLE)
