"""``metarho schema``: what may stand in models and configs, for editors and other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from metarho.cli.options import printable
from metarho.errors import InputError


def schema(
    kind: Annotated[
        Literal["model", "config", "simulation"] | None,
        typer.Argument(help="A file of models/, of configs/, or one there that has simulate:."),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write all of them into this folder, made if need be.")
    ] = None,
) -> None:
    """Print the JSON Schema of a kind of file, or write all, for editors that complete and check.

    A YAML file whose first line is
    # yaml-language-server: $schema=../.schemas/config.schema.json
    is completed and checked as it is written.
    """
    if (kind is None) == (write is None):
        raise InputError(
            "say which schema to print: model, config or simulation; or --write DIR for all"
        )
    if kind is not None:
        from metarho.spec.schema import schema_text

        print(schema_text(kind), end="")
        return
    from metarho.batch.workspace import write_schemas

    assert write is not None
    if write.exists() and not write.is_dir():
        raise InputError(f"--write {write} is a file; name a folder, which may be a new one")
    print(printable("\n".join(["written:", *(f"  {path}" for path in write_schemas(write))])))
