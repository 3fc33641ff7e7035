"""``metarho fit``: one model on one table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarho.cli import completion
from metarho.cli.options import (
    EXIT_NOT_REPORTABLE,
    Engine,
    Intervals,
    Measure,
    check_fit_file,
    columns_of,
    print_json,
)
from metarho.errors import InputError

if TYPE_CHECKING:
    from metarho.posterior.fit import Fit


def fit(
    data: Annotated[
        str,
        typer.Argument(
            help="A table (.csv .tsv .parquet .xlsx) or shipped set.",
            autocompletion=completion.data,
        ),
    ],
    measure: Annotated[Measure, typer.Option(help="metafor's code of the effect size.")] = "ZCOR",
    columns: Annotated[
        str | None,
        typer.Option(
            help="Roles: ri=r,ni=n,study=study,effect=id.", autocompletion=completion.columns
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="A model: name or path.", autocompletion=completion.models)
    ] = "random-effects",
    mods: Annotated[str | None, typer.Option(help="Moderators: '~ center(year)'.")] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            help="'mu=Normal(mu=0, sigma=1)' or mu=NAME; may be repeated.",
            autocompletion=completion.cited_priors,
        ),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="How the posterior is computed.")] = "auto",
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Run the second engine too and compare.")
    ] = False,
    intervals: Annotated[Intervals, typer.Option(help="Rows that printed no r.")] = "use",
    where: Annotated[str | None, typer.Option(help="Rows to keep: 'year > 2010'.")] = None,
    rho_within: Annotated[
        float, typer.Option(help="Correlation of sampling errors within a sample.")
    ] = 0.0,
    covariance: Annotated[
        Path | None, typer.Option(help="A table with the covariance matrix of sampling errors.")
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Two-sided level of tests that printed only a word.")
    ] = 0.05,
    seed: Annotated[
        int, typer.Option(help="Seed of the sampled engine.", min=0, max=2**63 - 1)
    ] = 20261122,
    save: Annotated[Path | None, typer.Option(help="Write the fit to this NetCDF file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit one model to a table and print the posterior."""
    from metarho.api import fit as fit_model
    from metarho.api import load_model, load_studies

    check_fit_file(save)
    studies = load_studies(
        data,
        measure=measure,
        columns=columns_of(columns),
        where=where,
        intervals=intervals,
        rho_within=rho_within,
        covariance=covariance,
        alpha=alpha,
    )
    result = fit_model(
        load_model(model, mods=mods),
        studies,
        priors=_priors(prior or []),
        engine=engine,
        agreement=agreement,
        seed=seed,
    )
    if save is not None:
        from metarho.store.save import save_fit

        save_fit(result, save)
    _print_fit(result, json)
    if result.status == "not reportable":
        raise typer.Exit(EXIT_NOT_REPORTABLE)


def _priors(texts: list[str]) -> dict[str, str]:
    priors = {}
    for text in texts:
        match = re.fullmatch(r"\s*(\w+(?:\[.*\])?)\s*=\s*(.+)", text, flags=re.DOTALL)
        if match is None:
            raise InputError(
                f"--prior: {text!r} is not parameter=prior, for instance 'mu=Normal(mu=0, sigma=1)'"
            )
        if match[1] in priors:
            raise InputError(f"--prior: {match[1]} is given twice")
        priors[match[1]] = match[2]
    return priors


def _print_fit(result: Fit, as_json: bool) -> None:
    if as_json:
        from metarho.posterior.fit import as_dict

        print_json(as_dict(result))
        return
    from metarho.report.terminal import block

    block(result)
