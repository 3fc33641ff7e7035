"""``metarho init``: a workspace that runs at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metarho.cli.options import printable


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.")],
) -> None:
    """Begin a workspace: configs, a model and a table of studies that run as they are."""
    from metarho.batch.workspace import make_workspace

    written = make_workspace(folder)
    lines = [
        "written:",
        *(f"  {path}" for path in written),
        "",
        "next:",
        f"  cd {folder}",
        "  metarho run alliance       # shipped evidence; outputs/alliance/report.html",
        "  metarho run own-studies    # data/studies.csv: its rows are invented, put yours there",
    ]
    print(printable("\n".join(lines)))
