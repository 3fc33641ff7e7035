"""``metarho store``: what is stored, whether it is whole, and what may go."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarho.cli.examples import examples
from metarho.cli.options import (
    EXIT_FAILED,
    AsCsv,
    AsJson,
    Output,
    check_one_form,
    print_csv,
    print_json,
    printable,
)
from metarho.cli.sections import Sections
from metarho.errors import InputError

if TYPE_CHECKING:
    from metarho.compare.rows import Row
    from metarho.store.store import Store

app = typer.Typer(
    name="store",
    cls=Sections,
    help="The store of fits: what it holds, whether it is whole, and what may go.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SECONDS_A_DAY = 86_400


@app.command("ls", epilog=examples("store ls"))
def list_store(
    keys: Annotated[bool, typer.Option("--keys", help="One line a fit.")] = False,
    output: Output = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """List fits, files and bytes by engine, those of simulations, and what is set aside."""
    check_one_form(json, csv)
    from dataclasses import asdict

    from metarho.store.upkeep import holdings, set_aside

    store = _store(output)
    if keys:
        columns = ("key", "engine", "bytes", "file")
        if json or csv:
            fits: list[Row] = [dict(zip(columns, fit, strict=True)) for fit in store.fits()]
            print_json(fits) if json else print_csv(fits)
            return
        for fit in store.fits():
            print(*fit)
        return
    held, aside = holdings(store), set_aside(store)
    if csv:
        print_csv([asdict(holding) for holding in held])
        return
    if json:
        engines = [asdict(holding) for holding in held]
        print_json({"store": str(store.folder), "engines": engines, "set_aside": list(aside)})
        return
    print(printable(f"store: {store.folder}"))
    if not held:
        print("nothing is kept")
    for holding in held:
        of_fits = "" if holding.fits is None else f"{_counted(holding.fits, 'fit')} in "
        there = f"{of_fits}{_counted(holding.files, 'file')}, {_megabytes(holding.bytes)}"
        print(f"{holding.engine}: {there}")
    for file in aside:
        print(printable(f"set aside: {file}"))


@app.command("verify", epilog=examples("store verify"))
def verify_store(output: Output = None, json: AsJson = False) -> None:
    """Read all fits and simulations; set aside what is damaged. Exit code 1 where something was."""
    from dataclasses import asdict

    from metarho.store.upkeep import verify

    found = verify(_store(output))
    if json:
        print_json(asdict(found))
    else:
        whole = f"whole: {_counted(found.fits, 'fit')} in {_counted(found.files, 'file')}"
        if found.simulations:
            whole += f", {_counted(found.simulations, 'file')} of simulations"
        print(f"{whole}; damaged: {_counted(len(found.damaged), 'file')}")
    if found.damaged:
        raise typer.Exit(EXIT_FAILED)


@app.command("gc", epilog=examples("store gc"))
def collect_garbage(
    days: Annotated[
        float | None, typer.Option(min=0, help="Remove nothing younger (default: 1).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    output: Output = None,
    json: AsJson = False,
) -> None:
    """Remove files that no run of the output folder names, and what is set aside or left over."""
    from dataclasses import asdict

    from metarho.store.upkeep import DAYS, named_by_runs, removable, remove

    store = _store(output)
    before = time.time() - SECONDS_A_DAY * (DAYS if days is None else days)
    gone = []
    for one in removable(store, named_by_runs(store.folder.parent), before):
        if not dry_run:
            remove(store, one.file)
        gone.append(one)
    if json:
        print_json({"removed": not dry_run, "files": [asdict(one) for one in gone]})
        return
    for reason, count in sorted(Counter(one.reason for one in gone).items()):
        print(f"{reason}: {_counted(count, 'file')}")
    freed = _megabytes(sum(one.bytes for one in gone))
    print(f"{'would free' if dry_run else 'freed'}: {_counted(len(gone), 'file')}, {freed}")


def _store(output: Path | None) -> Store:
    """The store of an output folder. Raises InputError where there is no such folder."""
    from metarho.batch.plan import default_output
    from metarho.store.store import Store

    folder = default_output() if output is None else output
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder} of results; run a config, or name another with --output"
        )
    return Store(folder / "store", _warn)


def _warn(message: str) -> None:
    print(printable(f"metarho: {message}"), file=sys.stderr)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
