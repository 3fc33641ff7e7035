"""What the terminal shows of models and configs: lists of them, and one model."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

from metarho.batch.describe import model_in_words
from metarho.batch.listing import ListedConfig, ListedModel
from metarho.batch.symbols import model_in_symbols
from metarho.report.priors import FORMULAS, WIDTH, wrapped
from metarho.spec.model import PARTS, Model, StepSelection

type Listed = ListedModel | ListedConfig

_NAME, _LABEL = 24, 14


def listing_lines(entries: Iterable[Listed]) -> list[str]:
    """Models or configs by where they come from: name and title, and below what each is."""
    lines: list[str] = []
    for heading, some in _by_origin(entries).items():
        lines += ["", heading]
        for one in some:
            if one.broken is not None:
                lines += _head(one.name, "broken")
                lines += [line for text in one.broken.splitlines() for line in _inside(text)]
                continue
            lines += [*_head(one.name, one.title), *_inside(_said(one))]
    return lines[1:]


def _said(one: Listed) -> str:
    """What a model says and who can answer it; what a config is and its models."""
    if isinstance(one, ListedConfig):
        return f"{one.kind}: {', '.join(one.models)}"
    engines = f"engine: {' or '.join(one.engines)}" if one.engines else "no engine"
    return f"{one.words} ({engines})"


def model_lines(model: Model, listed: ListedModel, refusals: Mapping[str, str | None]) -> list[str]:
    """One model: what it says in words, symbols and values, and its priors with their densities."""
    lines = wrapped(f"{listed.name}: {model.title}" if model.title else listed.name)
    lines += wrapped(model.description)
    lines += ["", *_row("file", f"{listed.path} ({listed.origin})")]
    lines += _row("in words", model_in_words(model))
    for engine, refusal in refusals.items():
        lines += _row(f"engine {engine}", "can answer it" if refusal is None else refusal)
    lines += ["", "in symbols", *_indented(model_in_symbols(model))]
    lines += ["", "values", *(line for name in PARTS for line in _value(model, name))]
    lines += ["", "priors"]
    for name, prior in model.priors.items():
        lines += _row(f"  {name}", prior.described)
        on = f"; x is on {prior.on}" if prior.on else ""
        lines += _row("", f"density {FORMULAS[prior.family]}{on}")
    for label, texts in (("references", model.references), ("made from", model.data_overlap)):
        if texts:
            lines += ["", *_row(label, ", ".join(texts))]
    return lines


def _value(model: Model, name: str) -> list[str]:
    if model.custom is not None:
        return []
    value = getattr(model, name)
    if isinstance(value, StepSelection):
        value = value.model_dump(exclude_none=True)
    if name == "reference":
        value = ", ".join(f"{column}: {level}" for column, level in value.items()) or "none"
    return _row(f"  {name}", str(value))


def _by_origin(entries: Iterable[Listed]) -> dict[str, list[Listed]]:
    """The entries under a heading each: a workspace's own first."""
    found: dict[str, list[Listed]] = {}
    for one in sorted(entries, key=lambda one: one.origin != "workspace"):
        heading = "shipped with metarho"
        if one.origin == "workspace":
            heading = f"in {one.path.parent}"
        found.setdefault(heading, []).append(one)
    return found


def _head(name: str, text: str) -> list[str]:
    head = f"  {name:{_NAME}} "
    if len(head) + len(text) <= WIDTH:
        return [(head + text).rstrip()]
    return [head.rstrip(), *_inside(text)]


def _inside(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _indented(lines: Iterable[str]) -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
    ]


def _row(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{label:{_LABEL}}",
        subsequent_indent=" " * _LABEL,
        break_on_hyphens=False,
    )
