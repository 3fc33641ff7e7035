"""``metarho script``: a script that checks one result without metarho."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from metarho.cli.options import (
    EXIT_NOT_REPORTABLE,
    OneIntervals,
    OneModel,
    OnePriorSet,
    Output,
    config_path,
)
from metarho.errors import InputError


def script(
    source: Annotated[str, typer.Argument(help="A config (name or path), or a saved fit (.nc).")],
    to: Annotated[
        Literal["metafor", "bayesmeta", "brms", "pymc"],
        typer.Option("--to", help="What the script is for: an R package, or PyMC."),
    ],
    model: OneModel = None,
    prior_set: OnePriorSet = None,
    intervals: OneIntervals = None,
    output: Output = None,
) -> None:
    """Print an R or PyMC script that checks one result without metarho: > check.R."""
    from metarho.report.scripts import Origin, check_covered
    from metarho.report.scripts import script as script_of

    if source.endswith(".nc"):
        if any(option is not None for option in (model, prior_set, intervals, output)):
            raise InputError(
                "a saved fit is one fit: --model, --prior-set, --intervals and --output are for "
                "configs"
            )
        from metarho.store.saved import read_saved

        fit = read_saved(Path(source)).fit
        problem = fit.problem
        origin = Origin(Path(source).name, problem.model.name, "as saved", problem.intervals)
    else:
        from metarho.batch.plan import cell_of
        from metarho.batch.plan import plan as make_plan
        from metarho.batch.run import settings_of
        from metarho.fitting import fit_many
        from metarho.report.terminal import Progress

        plan = make_plan(config_path(source), output)
        cell = cell_of(plan, model, prior_set, intervals)
        # Now, so that nothing is fitted for a script that cannot be written.
        check_covered(cell.problem, to)
        with Progress(plan, fits=1) as progress:
            settings = settings_of(plan, progress.announce, progress.warn)
            (fit,) = fit_many([cell.problem], settings)
        origin = Origin(plan.config.name, cell.model, cell.prior_set, cell.intervals)
    print(script_of(fit, to, origin), end="")
    if fit.status == "not reportable":
        raise typer.Exit(EXIT_NOT_REPORTABLE)
