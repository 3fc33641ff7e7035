"""``metarho predict`` and ``metarho update``: new studies, before and after they come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from metarho.cli import completion
from metarho.cli.options import (
    EXIT_NOT_REPORTABLE,
    AsCsv,
    AsJson,
    Intervals,
    OneIntervals,
    OneModel,
    OnePriorSet,
    Output,
    check_fit_file,
    check_one_form,
    config_path,
    print_csv,
    print_json,
)
from metarho.errors import InputError

if TYPE_CHECKING:
    from metarho.batch.prediction import Answers
    from metarho.spec.analysis import Profile

Source = Annotated[
    str,
    typer.Argument(
        help="A config (name or path), or a saved fit (.nc).", autocompletion=completion.sources
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A moderator of the new study: guidance=guided; again for more."),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Only this model of the config.",
        autocompletion=completion.models_of_config,
    ),
]
PriorSetName = Annotated[
    str | None,
    typer.Option(
        "--prior-set",
        help="Only this prior set.",
        autocompletion=completion.prior_sets_of_config,
    ),
]
OfIntervals = Annotated[
    Intervals | None, typer.Option("--intervals", help="Only with, or without, interval rows.")
]


def predict(
    source: Source,
    ni: Annotated[float | None, typer.Option("--ni", help="People in the new study.")] = None,
    sei: Annotated[
        float | None, typer.Option("--sei", help="Measure GEN: its standard error.")
    ] = None,
    settings: Settings = None,
    label: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    law: Annotated[
        Literal["model", "exact"],
        typer.Option(help="Sampling law of the observed r: the model's own, or the exact one."),
    ] = "model",
    prior_only: Annotated[
        bool, typer.Option("--prior-only", help="Before any data: what the priors alone say.")
    ] = False,
    draws: Annotated[
        Path | None, typer.Option(help="Also write joint draws of the new studies to this CSV.")
    ] = None,
    model: ModelName = None,
    prior_set: PriorSetName = None,
    intervals: OfIntervals = None,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Say what a new study would see: the mean, its true correlation, the r it will observe."""
    from metarho.batch.prediction import (
        SAVED,
        ask_plan,
        ask_saved,
        cells_asked,
        check_profiles,
        profile_of,
    )
    from metarho.batch.prediction_rows import as_dicts, draw_rows, rows_of
    from metarho.predict.together import not_together

    check_one_form(json, csv)
    _check_draws(draws)
    asked = profile_of(ni, sei, settings or [], label)
    if source.endswith(".nc"):
        _check_one_fit(model, prior_set, intervals, output, prior_only or None)
        if asked is None:
            raise InputError("say which new study: --ni 80, with --set for its moderators")
        profiles: tuple[Profile, ...] = (asked,)
        answers = ask_saved(Path(source), asked, law)
        title = SAVED
    else:
        from metarho.batch.plan import plan as make_plan

        plan = make_plan(config_path(source), output)
        profiles = (asked,) if asked is not None else plan.analysis.new_studies
        if not profiles:
            raise InputError(
                f"{plan.config} names no new_studies; say which: --ni 80, with --set for its "
                "moderators"
            )
        cells = cells_asked(plan, model, prior_set, intervals)
        if draws is not None and len(cells) > 1:
            raise InputError(
                f"--draws are those of one fit, and {len(cells)} are asked; choose by --model, "
                "--prior-set and --intervals"
            )
        if draws is not None and (refusal := not_together(cells[0].problem)):
            raise InputError(f"--draws: {refusal}")
        check_profiles(profiles, plan.evidence.table.columns, [cell.problem for cell in cells])
        from metarho.report.prediction import publish_prediction
        from metarho.report.terminal import Progress

        with Progress(plan, fits=len(cells)) as progress:
            answers = ask_plan(
                plan, cells, profiles, law, prior_only, progress.announce, progress.warn
            )
            publish_prediction(plan, answers)
        title = plan.analysis.title or plan.analysis.name
    if draws is not None:
        from metarho.batch.tables import to_csv
        from metarho.store.files import write_text

        write_text(draws, to_csv(draw_rows(answers.candidates[0], profiles, law)))
    if json:
        print_json(as_dicts(answers))
    elif csv:
        print_csv(rows_of(answers))
    else:
        from metarho.report.prediction import print_prediction

        print_prediction(title, answers)
    _exit_by_status(answers)


def _check_one_fit(*options: object) -> None:
    """Raises InputError where options of configs are given for a saved fit."""
    if any(option is not None for option in options):
        raise InputError(
            "a saved fit is one fit: --model, --prior-set, --intervals, --output and --prior-only "
            "are for configs"
        )


def _check_draws(draws: Path | None) -> None:
    """Raises InputError where draws cannot be written."""
    if draws is None:
        return
    if draws.suffix != ".csv":
        raise InputError(f"--draws writes CSV: the name ends in .csv, not {draws.name!r}")
    if not draws.parent.is_dir():
        raise InputError(f"--draws: there is no folder {draws.parent}")
    if draws.exists():
        raise InputError(f"--draws: {draws} is there already; name another file, or remove it")


def _exit_by_status(answers: Answers) -> None:
    if any(one.fit.status == "not reportable" for one in answers.candidates):
        raise typer.Exit(EXIT_NOT_REPORTABLE)


def update(
    source: Source,
    ri: Annotated[float | None, typer.Option("--ri", help="The correlation it printed.")] = None,
    ni: Annotated[float | None, typer.Option("--ni", help="Its people.")] = None,
    reported: Annotated[
        Literal["not significant", "significant positive", "significant negative"] | None,
        typer.Option(help="The word it printed in place of a number."),
    ] = None,
    ri_low: Annotated[float | None, typer.Option("--ri-low", help="Lower end of a range.")] = None,
    ri_high: Annotated[
        float | None, typer.Option("--ri-high", help="Upper end of a range.")
    ] = None,
    yi: Annotated[float | None, typer.Option("--yi", help="Measure GEN: its effect.")] = None,
    sei: Annotated[
        float | None, typer.Option("--sei", help="Measure GEN: its standard error.")
    ] = None,
    settings: Settings = None,
    study: Annotated[str, typer.Option(help="Its name.")] = "new study",
    model: OneModel = None,
    prior_set: OnePriorSet = None,
    intervals: OneIntervals = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the fit with the new study to this NetCDF file.")
    ] = None,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Add a study that has come; say if it was expected, if it belongs, and what it moved."""
    from metarho.batch.update import (
        as_dict,
        check_new_study,
        new_study_of,
        rows_of,
        update_plan,
        update_saved,
    )

    check_one_form(json, csv)
    check_fit_file(save)
    numbers = {"ri": ri, "ni": ni, "ri_low": ri_low, "ri_high": ri_high, "yi": yi, "sei": sei}
    new = new_study_of(numbers, reported, settings or [], study)
    if source.endswith(".nc"):
        _check_one_fit(model, prior_set, intervals, output)
        found = update_saved(Path(source), new)
    else:
        from metarho.batch.plan import cell_of
        from metarho.batch.plan import plan as make_plan
        from metarho.report.terminal import Progress

        plan = make_plan(config_path(source), output)
        cell = cell_of(plan, model, prior_set, intervals)
        # Now, so that bad input is refused before anything begins.
        check_new_study(plan, cell, new)
        # Before, after, the study alone, under a flat mean, and what Bayes factors compare with.
        with Progress(plan, fits=6) as progress:
            found = update_plan(plan, cell, new, progress.announce, progress.warn)
    if save is not None:
        from metarho.store.save import save_fit

        save_fit(found.after, save)
    if json:
        print_json(as_dict(found))
    elif csv:
        print_csv(rows_of(found))
    else:
        from metarho.report.update import print_update

        print_update(found, new)
    if "not reportable" in (found.before.status, found.after.status):
        raise typer.Exit(EXIT_NOT_REPORTABLE)
