"""``metarho compare``: the table that answers "which prior?"."""

from __future__ import annotations

from typing import Annotated

import typer

from metarho.cli.options import EXIT_NOT_REPORTABLE, Output, config_path


def compare(
    config: Annotated[str, typer.Argument(help="A config: name or path of a YAML file.")],
    output: Output = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rows as a JSON list.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the rows as CSV.")] = False,
) -> None:
    """Compare prior sets and models: estimates, evidence, prediction, conflict, information."""
    from metarho.batch.plan import plan as make_plan
    from metarho.errors import InputError

    if json and csv:
        raise InputError("--json and --csv are two forms of one output; give one of them")
    plan = make_plan(config_path(config), output)
    # Only now, so that a bad config is refused at once.
    from metarho.batch.compare import TABLE
    from metarho.report.publish import publish_comparison
    from metarho.report.terminal import Progress, averaged, comparison, say

    with Progress(plan, fits=len(plan.cells), further=len(plan.cells)) as progress:
        compared = publish_comparison(plan, progress.announce, progress.warn)
    if json:
        import json as as_json

        print(as_json.dumps(list(compared.rows), indent=1, allow_nan=False))
    elif csv:
        from metarho.batch.tables import to_csv

        print(to_csv(compared.rows), end="")
    else:
        comparison(plan, compared.rows)
        averaged(plan, compared.averages)
        for remark in compared.remarks:
            say(f"note: {remark}")
        say(f"all columns: {plan.folder / TABLE}")
    if any(row["status"] == "not reportable" for row in compared.rows):
        raise typer.Exit(EXIT_NOT_REPORTABLE)
