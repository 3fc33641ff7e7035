"""``metarho classical``: what frequentist methods say of the same rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from metarho.cli import completion
from metarho.cli.options import (
    AsCsv,
    AsJson,
    Measure,
    check_one_form,
    columns_of,
    config_path,
    print_csv,
    print_json,
)

if TYPE_CHECKING:
    from metarho.data.studies import Studies


def classical(
    source: Annotated[
        str,
        typer.Argument(
            help="A config (name or path); a table (.csv .tsv .parquet .xlsx), or with --measure, "
            "--columns or --where a shipped set.",
            autocompletion=completion.configs_and_tables,
        ),
    ],
    test: Annotated[
        Literal["z", "t", "knha", "adhoc"],
        typer.Option(
            help="Test of two-level rows; knha: Knapp–Hartung; adhoc: that, never narrower than t."
        ),
    ] = "z",
    predtype: Annotated[
        Literal["default", "Riley"],
        typer.Option(
            help="A new study's interval, two levels: the test's law, or t with k - 2 df."
        ),
    ] = "default",
    mods: Annotated[str | None, typer.Option(help="Moderators: '~ center(year)'.")] = None,
    influence: Annotated[
        bool, typer.Option("--influence", help="Each effect left out, with its influence, besides.")
    ] = False,
    prob: Annotated[
        float | None, typer.Option(help="Confidence (default: the config's, .95).")
    ] = None,
    measure: Annotated[
        Measure | None, typer.Option(help="Of a table: metafor's code (default ZCOR).")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Of a table, roles: ri=r,ni=n,study=study.", autocompletion=completion.columns
        ),
    ] = None,
    where: Annotated[str | None, typer.Option(help="Of a table, rows to keep.")] = None,
    rho_within: Annotated[
        float | None,
        typer.Option(help="Correlation of errors within a sample (default: the config's, 0)."),
    ] = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Print the classical answers: estimators of the mean, heterogeneity, small-study tests.

    Rows that printed no number cannot enter. --csv prints the table of estimators; with
    --influence, that of effects.
    """
    from metarho.classical.answers import classical_answers
    from metarho.classical.effects import NotEstimableError

    check_one_form(json, csv)
    studies, usual = _evidence(source, measure, columns_of(columns), where, rho_within)
    answers = classical_answers(
        studies, mods=mods, test=test, predtype=predtype, prob=usual if prob is None else prob
    )
    from metarho.classical import tables

    effects: list[tables.Row] = []
    if influence:
        try:
            effects = tables.influence_rows(answers)
        except NotEstimableError as error:
            # As CSV influence is all that was asked for; else the rest stands.
            if csv:
                raise
            note = f"no influence of each effect: {error.message}"
            answers = replace(answers, notes=(*answers.notes, note))
    if json:
        found = {
            "estimates": tables.estimate_rows(answers),
            "heterogeneity": tables.heterogeneity_rows(answers),
            "small_studies": tables.small_study_rows(answers),
            "regressions": tables.regression_rows(answers),
            "notes": list(answers.notes),
        }
        print_json(found | {"influence": effects} if influence else found)
    elif csv:
        print_csv(effects if influence else tables.estimate_rows(answers))
    else:
        from metarho.report.classical import print_answers

        print_answers(answers, effects)


def _evidence(
    source: str,
    measure: Measure | None,
    columns: dict[str, str] | None,
    where: str | None,
    rho_within: float | None,
) -> tuple[Studies, float]:
    """The studies of a config, or of a table read as options say, and the probability asked for.

    Measure, columns and rows to keep say how to read a table, and a config says them itself; how
    errors correlate is an assumption, which may be another than the config's.
    """
    is_read = any(one is not None for one in (measure, columns, where))
    if is_read or Path(source).suffix in completion.TABLES:
        from metarho.data.studies import load_studies

        studies = load_studies(
            source,
            measure=measure or "ZCOR",
            columns=columns,
            where=where,
            rho_within=rho_within or 0.0,
        )
        return studies, 0.95
    from metarho.batch.plan import plan

    planned = plan(config_path(source))
    studies = planned.evidence
    if rho_within is not None:
        studies = studies.with_errors_correlated(rho_within)
    return studies, planned.analysis.interval.prob
