"""The command line: load, call one library function, write.

Everything heavy is imported inside the commands, so that help is instant.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from metarho.errors import FitError, InputError

if TYPE_CHECKING:
    from metarho.posterior.fit import Fit

# The same words as in spec/analysis.py, which is not loaded for help.
Measure = Literal["ZCOR", "COR", "GEN"]
Engine = Literal["auto", "exact", "nuts"]
Intervals = Literal["use", "drop"]

EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_NOT_REPORTABLE = 3
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="metarho",
    help="A Bayesian workbench for meta-analyses of correlations.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Configs = Annotated[list[str], typer.Argument(help="Configs: names or paths of YAML files.")]


@app.command()
def run(
    configs: Configs,
    output: Annotated[
        Path | None, typer.Option(help="Folder for results (default: the workspace's outputs).")
    ] = None,
) -> None:
    """Run analyses: fit every model with every prior set, write tables and a report."""
    from metarho.batch.plan import plan_all

    plans = plan_all([_config(name) for name in configs], output)
    # Only now, so that a bad config is refused at once.
    from metarho.report.publish import publish
    from metarho.report.terminal import Progress, headline, say

    worst = "ok"
    for plan in plans:
        with Progress(plan) as progress:
            fits = publish(plan, progress.announce, progress.warn).fits
        headline(plan, fits)
        say(f"results: {plan.folder}")
        if any(fit.status == "not reportable" for fit in fits):
            worst = "not reportable"
    if worst == "not reportable":
        raise typer.Exit(EXIT_NOT_REPORTABLE)


@app.command()
def check(configs: Configs) -> None:
    """Validate configs and print the plan; compute and write nothing."""
    from metarho.batch.describe import describe
    from metarho.batch.plan import plan_all

    plans = plan_all([_config(name) for name in configs])
    for plan in plans:
        print("\n".join(describe(plan)))


@app.command()
def fit(
    data: Annotated[str, typer.Argument(help="A table (.csv .tsv .parquet .xlsx) or shipped set.")],
    measure: Annotated[Measure, typer.Option(help="metafor's code of the effect size.")] = "ZCOR",
    columns: Annotated[
        str | None, typer.Option(help="Roles: ri=r,ni=n,study=study,effect=id.")
    ] = None,
    model: Annotated[str, typer.Option(help="A model: name or path.")] = "random-effects",
    mods: Annotated[str | None, typer.Option(help="Moderators: '~ center(year)'.")] = None,
    prior: Annotated[
        list[str] | None, typer.Option(help="'mu=Normal(mu=0, sigma=1)'; may be repeated.")
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
    seed: Annotated[
        int, typer.Option(help="Seed of the sampled engine.", min=0, max=2**63 - 1)
    ] = 20261122,
    save: Annotated[Path | None, typer.Option(help="Write the fit to this NetCDF file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit one model to a table and print the posterior."""
    from metarho.api import fit as fit_model
    from metarho.api import load_model, load_studies

    if save is not None and save.suffix != ".nc":
        raise InputError(f"--save writes NetCDF: the name ends in .nc, not {save.name!r}")
    if save is not None and not save.parent.is_dir():
        raise InputError(f"--save: there is no folder {save.parent}")
    studies = load_studies(
        data,
        measure=measure,
        columns=_columns(columns),
        where=where,
        intervals=intervals,
        rho_within=rho_within,
        covariance=covariance,
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


def main() -> NoReturn:
    """Run the command line with the exit codes of ARCHITECTURE.md."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character shows a stand-in, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        # Outside standalone mode an exit code comes back as a value.
        code = app(standalone_mode=False)
    except InputError as error:
        _stop(str(error), EXIT_INPUT)
    except FitError as error:
        _stop(str(error), EXIT_FAILED)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _stop("interrupted", EXIT_INTERRUPTED)
    except Exception as error:
        # Click's own complaints about the command line carry their exit code and form.
        show = getattr(error, "show", None)
        if show is None:
            if isinstance(error, OSError):
                where = f" {error.filename}" if error.filename else ""
                _stop(f"cannot write or read{where}: {error.strerror or error}", EXIT_FAILED)
            raise
        show()
        sys.exit(EXIT_INPUT)
    if code == EXIT_INTERRUPTED:
        _stop("interrupted", EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _stop(message: str, code: int) -> NoReturn:
    # File names and labels may hold what steers a terminal.
    plain = "".join(c if c.isprintable() or c == "\n" else "?" for c in message)
    print(f"metarho: {plain}", file=sys.stderr)
    sys.exit(code)


def _config(name: str) -> Path:
    from metarho.spec.lookup import find

    return find(name, "configs", Path.cwd())


def _columns(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    columns = {}
    for part in text.split(","):
        role, equals, column = part.partition("=")
        if not equals or not role.strip() or not column.strip():
            raise InputError(f"--columns: {part!r} is not role=column, for instance ri=r,ni=n")
        if role.strip() in columns:
            raise InputError(f"--columns: {role.strip()} is mapped twice")
        columns[role.strip()] = column.strip()
    return columns


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
        import json

        from metarho.posterior.fit import as_dict

        print(json.dumps(as_dict(result), indent=1, allow_nan=False))
        return
    from metarho.report.terminal import block

    block(result)
