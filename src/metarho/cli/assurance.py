"""``metarho assurance``: what further studies would settle, before they are run."""

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


def assurance(
    config: Config,
    claim: Annotated[
        list[str] | None,
        typer.Option(help="As 'P(rho > 0.1) >= 0.95', 'lower > 0' or 'bf_mu > 3'; again for more."),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option(help="An interval of the median correlation narrower than this (on r)."),
    ] = None,
    ni: Annotated[
        str | None, typer.Option(help="Numbers of people in all further studies: 60,180,500.")
    ] = None,
    start: Annotated[
        float | None, typer.Option("--from", help="Begin of a range of people (default: 20).")
    ] = None,
    end: Annotated[float | None, typer.Option("--to", help="Its end (default: 2000).")] = None,
    studies: Annotated[
        str, typer.Option(help="Numbers of studies that share the people equally: 1,3.")
    ] = "1",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A moderator of theirs: guidance=guided; again for more."),
    ] = None,
    at_profile: Annotated[
        bool,
        typer.Option(
            "--at-profile",
            help="Ask about the mean at these moderators (default: at the evidence's average).",
        ),
    ] = False,
    probability: Annotated[
        float, typer.Option(help="The probability that is wanted of the claim or width.")
    ] = 0.8,
    futures: Annotated[int, typer.Option(help="Possible findings, of each size.")] = 2000,
    model: OneModel = None,
    prior_set: OnePriorSet = None,
    intervals: OneIntervals = None,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Show what further studies of which size would settle, before they are run."""
    from metarho.batch.assurance import Asked, assure, question
    from metarho.batch.plan import cell_of
    from metarho.batch.plan import plan as make_plan

    check_one_form(json, csv)
    plan = make_plan(config_path(config), output)
    cell = cell_of(plan, model, prior_set, intervals)
    asked = question(
        plan,
        cell,
        Asked(
            tuple(claim or ()),
            width,
            ni,
            start,
            end,
            studies,
            tuple(set_ or ()),
            probability,
            futures,
            at_profile,
        ),
    )
    # Only now, so that a bad question is refused at once.
    from metarho.report.assurance import print_assurance, publish_assurance
    from metarho.report.terminal import Progress

    with Progress(plan, fits=asked.steps) as progress:
        found = assure(plan, asked, progress.announce)
        publish_assurance(plan, found)
    if json:
        print_json({"sentences": list(found.sentences), "rows": list(found.rows)})
    elif csv:
        print_csv(found.rows)
    else:
        print_assurance(plan, found)
    if found.status == "not reportable":
        raise typer.Exit(EXIT_NOT_REPORTABLE)
