"""``metarho show``: a fit that is there, as it is printed, as sentences, or as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarho.cli.options import (
    EXIT_NOT_REPORTABLE,
    AsCsv,
    AsJson,
    AsLatex,
    AsMarkdown,
    OneIntervals,
    OneModel,
    OnePriorSet,
    Output,
    config_path,
    one_form,
    print_csv,
    print_json,
)
from metarho.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metarho.posterior.fit import Fit

# Digits of a correlation in a text by the APA, and in a table of our own.
APA_DIGITS, TABLE_DIGITS = 2, 3


def show(
    source: Annotated[
        str, typer.Argument(help="A saved fit (.nc), or a config (name or path).", metavar="FIT")
    ],
    apa: Annotated[bool, typer.Option("--apa", help="Sentences in APA style.")] = False,
    markdown: AsMarkdown = False,
    latex: AsLatex = False,
    csv: AsCsv = False,
    json: AsJson = False,
    digits: Annotated[
        int | None,
        typer.Option(
            help="Digits after the point (--apa: 2; --markdown, --latex: 3).", min=1, max=8
        ),
    ] = None,
    model: OneModel = None,
    prior_set: OnePriorSet = None,
    intervals: OneIntervals = None,
    output: Output = None,
) -> None:
    """Print a fit: a block, sentences in APA style, or a table for a text or a program."""
    from metarho.spec.analysis import Thresholds

    forms = {"--apa": apa, "--markdown": markdown, "--latex": latex, "--csv": csv, "--json": json}
    form = one_form(forms)
    _check_digits(form, digits)
    if source.endswith(".nc"):
        _check_one_fit(model, prior_set, intervals, output)
        from metarho.store.saved import read_saved

        fit = read_saved(Path(source)).fit
        thresholds: Sequence[float] = Thresholds().rho
    else:
        fit, thresholds = _of_config(source, model, prior_set, intervals, output)
    _print(fit, form, digits, thresholds)
    if fit.status == "not reportable":
        raise typer.Exit(EXIT_NOT_REPORTABLE)


def _of_config(
    name: str, model: str | None, prior_set: str | None, intervals: str | None, output: Path | None
) -> tuple[Fit, Sequence[float]]:
    """One cell of a config, fitted through its store, and its thresholds."""
    from metarho.batch.plan import cell_of
    from metarho.batch.plan import plan as make_plan
    from metarho.batch.run import settings_of
    from metarho.fitting import fit_many
    from metarho.report.terminal import Progress

    plan = make_plan(config_path(name), output)
    cell = cell_of(plan, model, prior_set, intervals)
    with Progress(plan, fits=1 + plan.analysis.agreement) as progress:
        settings = settings_of(plan, progress.announce, progress.warn)
        (fit,) = fit_many([cell.problem], settings)
    return fit, plan.analysis.thresholds.rho


def _check_digits(form: str | None, digits: int | None) -> None:
    """Raises InputError for digits where numbers are printed with all, or as always."""
    if digits is not None and form not in ("--apa", "--markdown", "--latex"):
        raise InputError("--digits is for --apa, --markdown and --latex; add one of them")


def _check_one_fit(*options: object) -> None:
    """Raises InputError where options of configs are given for a saved fit."""
    if any(option is not None for option in options):
        raise InputError(
            "a saved fit is one fit: --model, --prior-set, --intervals and --output are for configs"
        )


def _print(fit: Fit, form: str | None, digits: int | None, thresholds: Sequence[float]) -> None:
    match form:
        case "--apa":
            from metarho.report.apa import apa_sentences
            from metarho.report.terminal import say

            sentences = apa_sentences(fit, digits=digits or APA_DIGITS, thresholds=thresholds)
            say(" ".join(sentences))
        case "--markdown" | "--latex":
            from metarho.report.terminal import say
            from metarho.report.written_tables import fit_latex, fit_markdown

            write = fit_markdown if form == "--markdown" else fit_latex
            say(write(fit, digits or TABLE_DIGITS).rstrip("\n"))
        case "--csv":
            from metarho.batch.tables import quantity_rows

            print_csv(quantity_rows(fit))
        case "--json":
            from metarho.posterior.fit import as_dict

            print_json(as_dict(fit))
        case _:
            from metarho.report.terminal import block

            block(fit)
