"""``metarho sensitivity`` and ``metarho tipping``: how much hangs on a prior."""

from __future__ import annotations

from typing import Annotated, Literal

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

From = Annotated[
    str | None,
    typer.Option(
        "--from", help="Begin of the range, one a varied argument: 0.05, or 0.1x the prior's own."
    ),
]
To = Annotated[str | None, typer.Option("--to", help="End of the range, in the same way.")]
OfEnsemble = Annotated[
    bool,
    typer.Option(
        "--ensemble",
        help="Of the config's ensemble, not of one model: bf_effect, bf_heterogeneity, bf_bias, "
        "and averages over all its members.",
    ),
]
Points = Annotated[
    int | None, typer.Option("--points", min=2, max=1000, help="Values of each argument.")
]


def sensitivity(
    config: Config,
    over: Annotated[
        str | None,
        typer.Option(
            help="One or two arguments of priors, as mu.sigma,tau.sigma (default: the scales of "
            "mu's and tau's); mu.width is any prior's width. Or how rarely some results were "
            "reported: 'omega[p > 0.025]'."
        ),
    ] = None,
    quantity: Annotated[
        list[str] | None,
        typer.Option(
            help="rho_median, rho_mean, lower, upper, new_lower, new_upper, 'P(rho > t)', "
            "'P(rho_new > t)', tau, log_evidence, bf_mu, bf_tau; again or apart by commas."
        ),
    ] = None,
    match: Annotated[
        Literal["median", "tail", "information"] | None,
        typer.Option(help="Compare families of tau's prior that are equal in this instead."),
    ] = None,
    ensemble: OfEnsemble = False,
    model: OneModel = None,
    prior_set: OnePriorSet = None,
    intervals: OneIntervals = None,
    start: From = None,
    end: To = None,
    points: Points = None,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Show how estimates move with the scales of priors: a surface, a curve, families compared."""
    from metarho.batch.ensemble import ensemble_cell
    from metarho.batch.plan import cell_of
    from metarho.batch.plan import plan as make_plan
    from metarho.batch.sensitivity import Asked, question
    from metarho.batch.sensitivity import sensitivity as find

    check_one_form(json, csv)
    plan = make_plan(config_path(config), output)
    if ensemble:
        cell, members = ensemble_cell(plan, model, prior_set, intervals)
    else:
        cell, members = cell_of(plan, model, prior_set, intervals), ()
    quantities = tuple(quantity or ())
    asked = question(plan, cell, Asked(over, quantities, match, start, end, points, members))
    # Only now, so that a bad question is refused at once.
    from metarho.report.sensitivity import print_sensitivity, publish_sensitivity
    from metarho.report.terminal import Progress

    with Progress(plan, fits=asked.steps) as progress:
        found = find(plan, asked, progress.announce, progress.warn)
        publish_sensitivity(plan, found)
    if json:
        print_json(list(found.rows))
    elif csv:
        print_csv(found.rows)
    else:
        print_sensitivity(plan, found)
    if any(row["status"] == "not reportable" for row in found.rows):
        raise typer.Exit(EXIT_NOT_REPORTABLE)


def tipping(
    config: Config,
    claim: Annotated[
        str, typer.Option(help="As 'P(rho > 0.1) >= 0.95', 'lower > 0' or 'bf_mu > 3'.")
    ],
    vary: Annotated[
        str,
        typer.Option(
            help="An argument of a prior: mu.sigma, tau.sigma, mu.mu, mu.width. Or how rarely some "
            "results were reported: 'omega[p > 0.025]', 'omega[two-sided p > 0.05]'."
        ),
    ] = "mu.sigma",
    adversary: Annotated[
        bool,
        typer.Option("--adversary", help="Also: what one further study would have to find."),
    ] = False,
    sizes: Annotated[
        str | None, typer.Option(help="Its numbers of people, as 50,200,1000.")
    ] = None,
    ensemble: OfEnsemble = False,
    model: OneModel = None,
    prior_set: OnePriorSet = None,
    intervals: OneIntervals = None,
    start: From = None,
    end: To = None,
    points: Points = None,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Find how far a prior or selection must go before a claim fails; which study would flip it."""
    from metarho.batch.ensemble import ensemble_cell
    from metarho.batch.plan import cell_of
    from metarho.batch.plan import plan as make_plan
    from metarho.batch.tipping import doubt, further_sizes, tip
    from metarho.spec.claims import parse_claim
    from metarho.spec.weight_arguments import parse_varied

    check_one_form(json, csv)
    stated, argument = parse_claim(claim, of_ensemble=ensemble), parse_varied(vary)
    people = further_sizes(sizes) if adversary or sizes is not None else ()
    plan = make_plan(config_path(config), output)
    if ensemble:
        cell, members = ensemble_cell(plan, model, prior_set, intervals)
    else:
        cell, members = cell_of(plan, model, prior_set, intervals), ()
    asked = doubt(plan, cell, stated, argument, start, end, points, people, members)
    from metarho.report.sensitivity import print_tipping, publish_tipping
    from metarho.report.terminal import Progress

    with Progress(plan, fits=asked.steps) as progress:
        found = tip(plan, asked, progress.announce, progress.warn)
        publish_tipping(plan, found)
    if json:
        print_json({"sentence": found.sentence, "rows": list(found.rows)})
    elif csv:
        print_csv(found.rows)
    else:
        print_tipping(plan, found)
