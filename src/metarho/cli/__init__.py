"""The command line: load, call one library function, write.

One file a group of commands. Everything heavy is imported inside the commands, so that help is
instant.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, NoReturn

import typer

from metarho.cli import (
    assurance,
    classical,
    compare,
    cumulative,
    diff,
    ensemble,
    fit,
    init,
    models,
    ppc,
    predict,
    priors,
    reporting,
    run,
    schema,
    script,
    sensitivity,
    show,
    store,
)
from metarho.cli.examples import examples
from metarho.cli.options import EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, printable
from metarho.cli.sections import Sections
from metarho.errors import FitError, InputError

__all__ = ["app", "main"]

# What a newcomer reads from top to bottom. A new command is a line here, and its examples.
SECTIONS: Mapping[str, Sequence[Callable[..., None] | typer.Typer]] = {
    "Start": (
        init.init,
        models.models_app,
        models.configs_app,
        schema.schema,
    ),
    "Fit": (
        fit.fit,
        run.check,
        run.run,
        show.show,
        classical.classical,
    ),
    "Compare priors and models": (
        compare.compare,
        priors.app,
        sensitivity.sensitivity,
        sensitivity.tipping,
        reporting.reporting,
        ensemble.ensemble,
        diff.diff,
    ),
    "Predict new studies": (
        predict.predict,
        predict.update,
        assurance.assurance,
    ),
    "Check the model": (
        ppc.ppc,
        cumulative.cumulative,
    ),
    "Keep results and check them elsewhere": (store.app, script.script),
}

app = typer.Typer(
    name="metarho",
    cls=Sections,
    help="A Bayesian workbench for meta-analyses of correlations.",
    epilog="metarho COMMAND --help says what a command takes, with examples.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for section, commands in SECTIONS.items():
    for command in commands:
        if isinstance(command, typer.Typer):
            app.add_typer(command, rich_help_panel=section)
        else:
            app.command(rich_help_panel=section, epilog=examples(command.__name__))(command)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"metarho {version('metarho')}")
        raise typer.Exit


@app.callback()
def _before_any_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Take what is asked of no command."""


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
    print(printable(f"metarho: {message}"), file=sys.stderr)
    sys.exit(code)
