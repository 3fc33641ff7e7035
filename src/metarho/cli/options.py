"""Exit codes and what commands share: words of options, names of configs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

# The same words as in spec/analysis.py, which is not loaded for help.
Measure = Literal["ZCOR", "COR", "GEN"]
Engine = Literal["auto", "exact", "nuts"]
Intervals = Literal["use", "drop"]

EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_NOT_REPORTABLE = 3
EXIT_INTERRUPTED = 130

Configs = Annotated[list[str], typer.Argument(help="Configs: names or paths of YAML files.")]
Output = Annotated[
    Path | None, typer.Option(help="Folder for results (default: the workspace's outputs).")
]


def config_path(name: str) -> Path:
    """Where a config of this name, or path, is. Raises InputError when it is not there."""
    from metarho.spec.lookup import find

    return find(name, "configs", Path.cwd())
