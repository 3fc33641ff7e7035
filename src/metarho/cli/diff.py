"""``metarho diff``: two runs compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metarho.cli import completion
from metarho.cli.options import (
    AsCsv,
    AsJson,
    Output,
    check_one_form,
    config_path,
    print_csv,
    print_json,
)

_RUN = "A run's folder, or a config: name or path of a YAML file."


def diff(
    old: Annotated[str, typer.Argument(metavar="RUN1", help=_RUN, autocompletion=completion.runs)],
    new: Annotated[str, typer.Argument(metavar="RUN2", help=_RUN, autocompletion=completion.runs)],
    attribute: Annotated[
        int, typer.Option(help="Of how many changed cells to say what moved them.", min=0)
    ] = 10,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """Compare two runs: what changed in inputs and answers, and which change moved which answer.

    Both are read from their folders alone; nothing is written.
    """
    from metarho.batch.diff import diff as find
    from metarho.batch.diff import diff_json, diff_rows
    from metarho.batch.run_folder import read_run

    check_one_form(json, csv)
    runs = [read_run(_folder(name, output)) for name in (old, new)]
    found = find(runs[0], runs[1], attribute)
    if json:
        print_json(diff_json(found))
    elif csv:
        print_csv(diff_rows(found))
    else:
        from metarho.report.diff import print_diff

        print_diff(found)


def _folder(name: str, output: Path | None) -> Path:
    """The folder of a run: itself, or where the results of a config go.

    Raises InputError where it is neither.
    """
    from metarho.batch.plan import default_output

    if Path(name).is_dir():
        return Path(name)
    config = config_path(name)
    return (output or default_output(config)) / config.stem
