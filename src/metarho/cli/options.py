"""Exit codes and what commands share: words of options, names of configs, rows for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from metarho.cli import completion
from metarho.errors import InputError

if TYPE_CHECKING:
    from metarho.compare.rows import Row

# The same words as in spec/analysis.py, which is not loaded for help.
Measure = Literal["ZCOR", "COR", "GEN"]
Engine = Literal["auto", "exact", "nuts"]
Intervals = Literal["use", "drop"]

EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_NOT_REPORTABLE = 3
EXIT_INTERRUPTED = 130

Config = Annotated[
    str,
    typer.Argument(
        help="A config: name or path of a YAML file.", autocompletion=completion.configs
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print the rows as CSV.")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print a table in Markdown.")]
AsLatex = Annotated[bool, typer.Option("--latex", help="Print a table in LaTeX (booktabs).")]
# One cell of a config.
OneModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Default: the config's first.",
        autocompletion=completion.models_of_config,
    ),
]
OnePriorSet = Annotated[
    str | None,
    typer.Option(
        "--prior-set",
        help="Default: the config's reference.",
        autocompletion=completion.prior_sets_of_config,
    ),
]
OneIntervals = Annotated[
    Intervals | None, typer.Option("--intervals", help="Default: as the config names first.")
]
Configs = Annotated[
    list[str],
    typer.Argument(
        help="Configs: names or paths of YAML files.", autocompletion=completion.configs
    ),
]
Output = Annotated[
    Path | None, typer.Option(help="Folder for results (default: the workspace's outputs).")
]


def config_path(name: str) -> Path:
    """Where a config of this name, or path, is. Raises InputError when it is not there."""
    from metarho.spec.lookup import find

    return find(name, "configs", Path.cwd())


def check_one_form(json: bool, csv: bool) -> None:
    """Raises InputError where output is asked for in two forms."""
    if json and csv:
        raise InputError("--json and --csv are two forms of one output; give one of them")


def one_form(forms: Mapping[str, bool]) -> str | None:
    """The form that is asked for; None for the usual one. Raises InputError for several."""
    asked = [form for form, wanted in forms.items() if wanted]
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} are forms of one output; give one of them")
    return asked[0] if asked else None


def check_fit_file(save: Path | None) -> None:
    """Raises InputError where a fit cannot be written."""
    if save is None:
        return
    if save.suffix != ".nc":
        raise InputError(f"--save writes NetCDF: the name ends in .nc, not {save.name!r}")
    if not save.parent.is_dir():
        raise InputError(f"--save: there is no folder {save.parent}")
    if save.is_dir():
        raise InputError(f"--save: {save} is a folder; name a file")


def columns_of(text: str | None) -> dict[str, str] | None:
    """Role -> column as ``--columns`` says. Raises InputError for what is no such list."""
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


def printable(text: str) -> str:
    """Text without what steers a terminal, which file names and labels may hold."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def print_json(content: object) -> None:
    """Print plain values; raises ValueError for a number that JSON does not have."""
    import json

    print(json.dumps(content, indent=1, allow_nan=False))


def print_csv(rows: Sequence[Row]) -> None:
    """Print rows of a table."""
    from metarho.batch.tables import to_csv

    print(to_csv(rows), end="")
