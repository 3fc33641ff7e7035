"""``metarho ensemble``: models averaged with and without an effect, heterogeneity and bias."""

from __future__ import annotations

from typing import Annotated

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


def ensemble(
    config: Config,
    ranges: Annotated[
        bool,
        typer.Option(
            "--ranges",
            help="Also how far inclusion Bayes factors go as mu's prior is made ten times narrower "
            "to ten times wider; as CSV, these.",
        ),
    ] = False,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Average models with and without an effect, heterogeneity and publication bias."""
    from metarho.batch.ensemble import check_ranges, ensembles, question
    from metarho.batch.ensemble import ranges as find_ranges
    from metarho.batch.plan import plan as make_plan

    check_one_form(json, csv)
    plan = make_plan(config_path(config), output)
    asked = question(plan)
    further = check_ranges(asked) if ranges else 0
    # Only now, so that a bad config is refused at once.
    from metarho.report.ensemble import print_ensembles, publish_ensembles
    from metarho.report.terminal import Progress

    with Progress(plan, fits=len(asked) + further) as progress:
        found = ensembles(plan, asked, progress.announce, progress.warn)
        if ranges:
            found = find_ranges(plan, asked, found, progress.announce, progress.warn)
        publish_ensembles(plan, found)
    if json:
        print_json(
            {
                "components": [row for one in found for row in one.components],
                "estimates": [row for one in found for row in one.estimates],
                "members": [row for one in found for row in one.probable],
                "ranges": [row for one in found for row in one.ranges],
                "sentences": [
                    {"intervals": one.intervals, "priors": one.prior_set, "said": sentence}
                    for one in found
                    for sentence in one.sentences
                ],
            }
        )
    elif csv:
        print_csv([row for one in found for row in (one.ranges if ranges else one.components)])
    else:
        print_ensembles(plan, found)
    if any(row["status"] == "not reportable" for one in found for row in one.members):
        raise typer.Exit(EXIT_NOT_REPORTABLE)
