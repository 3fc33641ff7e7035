"""The reference pages' tables, written from the code when the pages are built.

A page says where with a line ``<!-- from the code: NAME -->``; ``PARTS`` has what stands there.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import metarho
from metarho.cli import app as command_line
from metarho.spec.analysis import Analysis
from metarho.spec.descriptions import DESCRIPTIONS, PARAMETERS
from metarho.spec.model import Model
from metarho.spec.priors import FAMILIES, Family
from metarho.spec.simulation import Simulation

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

MARK = re.compile(r"^<!-- from the code: ([\w-]+) -->$", re.MULTILINE)

# ``name`` is a file's, no key of it.
NO_KEY = frozenset({"name"})


def setup(app: Sphinx) -> ExtensionMetadata:
    """Fill the marks of every page as it is read."""
    app.connect("source-read", _fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def filled(page: str) -> str:
    """A page with every mark replaced. Raises KeyError for a mark that names no part."""
    return MARK.sub(lambda mark: PARTS[mark[1]](), page)


def _fill(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = filled(source[0])


# The command line.


def commands() -> str:
    """Every command of ``metarho``: its help, usage, arguments and options."""
    root = typer.main.get_command(command_line)
    return "\n\n".join(_command("metarho", root))


def _command(name: str, command: Any, level: int = 1) -> Iterator[str]:
    # A group's own commands stand below it.
    inner: Mapping[str, Any] = getattr(command, "commands", {})
    context = typer.Context(command, info_name=name)
    if level > 1:
        yield f"{'#' * level} {name}"
        yield _prose(command.help or "")
    if not inner:
        yield f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```"
        yield _options(command, context)
        yield _prose(command.epilog or "")
    for short, one in inner.items():
        if not one.hidden:
            yield from _command(f"{name} {short}", one, level + 1)


def _options(command: Any, context: typer.Context) -> str:
    records = [parameter.get_help_record(context) for parameter in command.params]
    return "\n\n".join(
        f"{code(words)}\n: {literal(said) or 'No more is said.'}"
        for words, said in filter(None, records)
    )


def _prose(text: str) -> str:
    """Help as paragraphs; what Click was told not to rewrap stays in lines."""
    paragraphs = [part.strip("\n") for part in text.strip().split("\n\n")]
    return "\n\n".join(
        "```text\n" + part.replace("\b\n", "") + "\n```" if part.startswith("\b") else literal(part)
        for part in paragraphs
    )


# Configs and models, key by key.


def keys_of(kind: type[BaseModel], level: int) -> str:
    """A table of the keys of a YAML document, then one of each mapping within it.

    ``level`` is that of the headings.
    """
    return "\n\n".join(_keys(kind, "", level, set()))


def _keys(kind: type[BaseModel], above: str, level: int, seen: set[type]) -> Iterator[str]:
    seen.add(kind)
    rows = [
        (
            code(above + (field.alias or name)),
            _allowed(field),
            _default(field),
            literal(DESCRIPTIONS[kind.__name__][field.alias or name]),
        )
        for name, field in kind.model_fields.items()
        if name not in NO_KEY
    ]
    yield table(("key", "allowed", "default", "what it is"), rows)
    for name, field in kind.model_fields.items():
        for inner in _mappings(field.annotation):
            if inner not in seen:
                yield f"{'#' * level} {code(above + name)}"
                yield literal(str(inner.__doc__))
                yield from _keys(inner, f"{above}{name}: ", level, seen)


def _is_mapping(annotation: object) -> typing.TypeGuard[type[BaseModel]]:
    """Whether it has keys that users write: the file of a custom model has fields of its own."""
    return (
        isinstance(annotation, type)
        and issubclass(annotation, BaseModel)
        and annotation.__name__ in DESCRIPTIONS
    )


def _mappings(annotation: object) -> Iterator[type[BaseModel]]:
    """The pydantic models within an annotation."""
    if _is_mapping(annotation):
        yield annotation
    elif isinstance(annotation, typing.TypeAliasType):
        yield from _mappings(annotation.__value__)
    else:
        for part in typing.get_args(annotation):
            yield from _mappings(part)


def _allowed(field: FieldInfo) -> str:
    return allowed(field.annotation, tuple(field.metadata))


def allowed(annotation: object, limits: tuple[object, ...] = ()) -> str:
    """What YAML may hold there, in words."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    match annotation:
        case typing.TypeAliasType():
            said = allowed(annotation.__value__)
        case _ if _is_mapping(annotation):
            said = "a mapping"
        case _ if origin is typing.Annotated:
            return allowed(parts[0], (*parts[1:], *limits))
        case _ if origin is typing.Literal:
            said = ", ".join(code(str(one)) for one in parts)
        case _ if origin in (typing.Union, types.UnionType):
            said = " or ".join(
                dict.fromkeys(allowed(one) for one in parts if one is not types.NoneType)
            )
        case _ if origin is tuple:
            said = f"a list of: {allowed(parts[0])}"
        case _ if origin in (dict, Mapping):
            said = f"a mapping of names to: {allowed(parts[1])}"
        case _:
            said = WORDS.get(getattr(annotation, "__name__", ""), "a text")
    # Of a list: what its items may not be is not said twice.
    return said if said.endswith(extra := _limits(limits)) else said + extra


WORDS: Mapping[str, str] = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "`true`, `false`",
    "Prior": "a prior",
    "CustomFile": "the name of a Python file",
}


def _limits(limits: tuple[object, ...]) -> str:
    said = []
    for limit in limits:
        for one in getattr(limit, "metadata", [limit]):
            match one:
                case Ge(least):
                    said.append(f"at least {least:,}")
                case Gt(least):
                    said.append(f"above {least:,}")
                case Le(most):
                    said.append(f"at most {most:,}")
                case Lt(most) if most < 2**60:
                    said.append(f"below {most:,}")
                case MinLen(1) if limit is limits[0]:
                    said.append("not empty")
                case _:
                    pass
    return f" ({', '.join(said)})" if said else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None or value in ((), {}, ""):
        return "–"
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, tuple):
        return code(f"[{', '.join(str(one) for one in value)}]")
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(f"{value}")


# Priors.


def parameters() -> str:
    """A table of what may have a prior, with one that it may have."""
    rows = [(code(name), literal(what), code(prior)) for name, (what, prior) in PARAMETERS.items()]
    return table(("parameter", "what it is", "for instance"), rows)


def families() -> str:
    """A table of every family of priors that can be written."""
    rows = [(code(_call(name, one)), _values(one), _kind(one)) for name, one in FAMILIES.items()]
    return table(("family", "values it takes", "kind"), rows)


def _call(name: str, family: Family) -> str:
    words = [
        *(["dist"] if family.nests else []),
        *family.arguments,
        *(f"{one}=[…]" for one in family.lists),
    ]
    return f"{name}({', '.join(words)})"


def _values(family: Family) -> str:
    said = {"end": "a number, or left out", "share": "between 0 and 1", "positive": "above 0"}
    words = {**family.arguments, **family.lists}
    return "; ".join(f"{code(one)} {said.get(kind, 'any number')}" for one, kind in words.items())


def _kind(family: Family) -> str:
    if family.joint:
        return {"beta": "all slopes together", "omega": "all weights together"}[family.joint]
    if family.reference:
        return "reference prior of tau" + ("" if family.proper else ", improper")
    if family.nests:
        return "cuts another prior"
    return "proper" if family.proper else "improper"


# Python.


def public_names() -> str:
    """What ``import metarho`` gives, by autodoc: functions and errors, then classes."""
    names = sorted(metarho.__all__, key=lambda name: (_autodoc(name) == "autoclass", name.lower()))
    return "```{eval-rst}\n" + "\n\n".join(map(_directive, names)) + "\n```"


def _autodoc(name: str) -> str:
    found = getattr(metarho, name)
    if not isinstance(found, type):
        return "autofunction"
    return "autoexception" if issubclass(found, BaseException) else "autoclass"


def _directive(name: str) -> str:
    kind = _autodoc(name)
    # What pydantic gives a model besides its fields is pydantic's to explain.
    members = (
        "\n   :members:\n   :exclude-members: model_config, model_fields, model_computed_fields"
    )
    return f".. {kind}:: metarho.{name}{members if kind == 'autoclass' else ''}"


# Markdown.


def code(text: str) -> str:
    """Text in code font, whatever it holds."""
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{text}{ticks}"


# What Markdown would read as something else.
_SPECIAL = re.compile(r"([\\*_\[\]<>$|#{}])")


def literal(text: str) -> str:
    """Running text as it is; what stands in double backticks is code."""
    parts = re.split(r"``([^`]+)``", " ".join(text.split()))
    return "".join(
        code(part) if index % 2 else _SPECIAL.sub(r"\\\1", part) for index, part in enumerate(parts)
    )


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; a column in which nothing stands is left out."""
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line[i] for i in kept) + " |" for line in lines)


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "config-keys": lambda: keys_of(Analysis, 3),
    "model-keys": lambda: keys_of(Model, 2),
    "simulation-keys": lambda: keys_of(Simulation, 3),
    "parameters": parameters,
    "prior-families": families,
    "public-names": public_names,
}
