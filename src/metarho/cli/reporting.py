"""``metarho reporting``: what the answer owes to the assumptions on what was printed."""

from __future__ import annotations

from typing import Annotated

import typer

from metarho.cli.options import EXIT_NOT_REPORTABLE, Output, config_path


def reporting(
    config: Annotated[str, typer.Argument(help="A config: name or path of a YAML file.")],
    model: Annotated[
        list[str] | None, typer.Option(help="A model of the config (default: all); repeatable.")
    ] = None,
    prior: Annotated[
        list[str] | None, typer.Option(help="A prior set (default: the reference); repeatable.")
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            help="What the lower end of the interval is to stay above, on r.", min=-1, max=1
        ),
    ] = 0.0,
    output: Output = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rows as a JSON list.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the rows as CSV.")] = False,
) -> None:
    """Vary what is assumed of results that printed no number, or nothing at all."""
    from metarho.batch.plan import plan as make_plan
    from metarho.errors import InputError

    if json and csv:
        raise InputError("--json and --csv are two forms of one output; give one of them")
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
        import json as as_json

        print(as_json.dumps(list(found.rows), indent=1, allow_nan=False))
    elif csv:
        from metarho.batch.tables import to_csv

        print(to_csv(found.rows), end="")
    else:
        reported(plan, found.rows)
        for tip in found.tipping:
            say(f"{tip['model']}, {tip['prior']}: {tip['sentence']}")
        for remark in found.remarks:
            say(f"note: {remark}")
        say(f"all columns: {plan.folder / TABLE}")
    if any(row["status"] == "not reportable" for row in found.rows):
        raise typer.Exit(EXIT_NOT_REPORTABLE)
