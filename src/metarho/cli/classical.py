"""``metarho classical``: what frequentist methods say of the same rows."""

from __future__ import annotations

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
            help="A config (name or path); a table (.csv .tsv .parquet .xlsx), or with one of its "
            "options a shipped set.",
            autocompletion=completion.configs_and_tables,
        ),
    ],
    test: Annotated[
        Literal["z", "t", "knha"], typer.Option(help="Test of two-level rows; knha: Knapp–Hartung.")
    ] = "z",
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
        float | None, typer.Option(help="Of a table: correlation of errors within a sample.")
    ] = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Print the classical answers: estimators of the mean, heterogeneity, small-study tests.

    Rows that printed no number cannot enter. --csv prints the table of estimators; with
    --influence, that of effects.
    """
    from metarho.classical.answers import classical_answers

    check_one_form(json, csv)
    studies, usual = _evidence(source, measure, columns_of(columns), where, rho_within)
    answers = classical_answers(studies, mods=mods, test=test, prob=usual if prob is None else prob)
    from metarho.classical import tables

    effects = tables.influence_rows(answers) if influence else []
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
    """The studies of a config, or of a table read as options say, and the probability asked for."""
    is_read = any(one is not None for one in (measure, columns, where, rho_within))
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
    return planned.evidence, planned.analysis.interval.prob
