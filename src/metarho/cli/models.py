"""``metarho models`` and ``metarho configs``: what there is to name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarho.cli import completion
from metarho.cli.examples import examples
from metarho.cli.options import (
    AsCsv,
    AsJson,
    check_one_form,
    print_csv,
    print_json,
    printable,
)
from metarho.cli.sections import Sections

if TYPE_CHECKING:
    from metarho.batch.listing import ListedConfig, ListedModel

models_app = typer.Typer(
    name="models",
    cls=Sections,
    help="The models that can be named: the workspace's own, and those that come with metarho.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
configs_app = typer.Typer(
    name="configs",
    cls=Sections,
    help="The configs that can be named: the workspace's own, and those that come with metarho.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@models_app.command("list", epilog=examples("models list"))
def list_models(json: AsJson = False, csv: AsCsv = False) -> None:
    """List the models: what each says, and which engine can answer it.

    That is on rows that print numbers; what an analysis adds, metarho check says.
    """
    check_one_form(json, csv)
    from metarho.batch.listing import listed_models
    from metarho.report.listing import listing_lines

    _print(listed_models(Path.cwd()), json, csv, listing_lines)


@models_app.command("show", epilog=examples("models show"))
def show_model(
    name: Annotated[
        str,
        typer.Argument(
            help="A model: name, or path of a YAML file.", autocompletion=completion.models
        ),
    ],
    json: AsJson = False,
) -> None:
    """Show a model: in words, in symbols, its values, its priors and its file."""
    from metarho.batch.listing import listed_model, refusals
    from metarho.spec.lookup import find
    from metarho.spec.model import read_model

    path = find(name, "models", Path.cwd())
    model = read_model(path)
    listed, refused = listed_model(model.name, path), refusals(model)
    if json:
        from metarho.batch.symbols import model_in_symbols

        values = model.model_dump(mode="json", exclude={"name", "custom"})
        custom = None if model.custom is None else model.custom.name
        symbols = model_in_symbols(model)
        content = _plain(listed) | {"refusals": dict(refused), "symbols": symbols}
        print_json(content | {"model": values | {"custom": custom}})
        return
    from metarho.report.listing import model_lines

    print(printable("\n".join(model_lines(model, listed, refused))))


@configs_app.command("list", epilog=examples("configs list"))
def list_configs(json: AsJson = False, csv: AsCsv = False) -> None:
    """List the configs: analyses, grids and simulations, and their models."""
    check_one_form(json, csv)
    from metarho.batch.listing import listed_configs
    from metarho.report.listing import listing_lines

    _print(listed_configs(Path.cwd()), json, csv, listing_lines)


def _print[T: (ListedModel, ListedConfig)](
    entries: Sequence[T], json: bool, csv: bool, lines: Callable[[Sequence[T]], list[str]]
) -> None:
    if json:
        print_json([_plain(one) for one in entries])
    elif csv:
        rows = [_plain(one) for one in entries]
        print_csv([{key: _joined(value) for key, value in row.items()} for row in rows])
    else:
        print(printable("\n".join(lines(entries))))


def _plain(entry: ListedModel | ListedConfig) -> dict[str, object]:
    """An entry as JSON has it."""
    from dataclasses import asdict

    return {**asdict(entry), "path": str(entry.path)}


def _joined(value: object) -> str | None:
    """A value as a cell has it: several names apart by blanks."""
    if isinstance(value, tuple):
        return " ".join(value)
    return None if value is None else str(value)
