"""A YAML document as plain values with the line of each, read without running anything.

The text is scanned event by event before it is loaded: tags, anchors, aliases, merge keys,
deep nesting and large files are refused, so no object is constructed and nothing expands.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    NodeEvent,
    ScalarEvent,
)

from metarho.errors import InputError, did_you_mean, shown

LARGEST_BYTES = 1_000_000
DEEPEST_LEVEL = 30
LARGEST_INTEGER = 2**63

# Everything that could steer a terminal or turn text around; line ends may stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Frozen(BaseModel):
    """What every value of the spec is: immutable, strict, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


@dataclass(frozen=True)
class Document:
    """Plain values and the line each of them stands on."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[tuple[str | int, ...], int]

    def place(self, location: tuple[str | int, ...] = ()) -> str:
        """``file:line`` of the deepest part of ``location`` that the document has."""
        while location and location not in self.lines:
            location = location[:-1]
        line = self.lines.get(location)
        return f"{self.path}:{line}" if line else str(self.path)

    def validate[T: Frozen](self, kind: type[T], **known: object) -> T:
        """The document as a value of ``kind``; every fault is named with its line."""
        text = json.dumps({**self.data, **known})
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            faults = [self._fault(kind, dict(fault)) for fault in error.errors()]
            raise InputError("\n".join(dict.fromkeys(faults))) from None

    def _fault(self, kind: type[BaseModel], fault: Mapping[str, Any]) -> str:
        location = tuple(fault["loc"])
        place = self.place(location)
        key = ".".join(str(part) for part in self._known(location)) or "the document"
        match fault["type"]:
            case "extra_forbidden":
                allowed = _fields_at(kind, location[:-1])
                return f"{place}: unknown key {location[-1]!r}; " + did_you_mean(
                    str(location[-1]), allowed
                )
            case "missing":
                return f"{place}: the key {location[-1]!r} is missing"
            case "value_error":
                return f"{place}: {key}: {str(fault['msg']).removeprefix('Value error, ')}"
            case _:
                # Of a fault in a key, pydantic says so behind it.
                is_key = location[-1:] == ("[key]",)
                value = location[-2] if is_key else self._value(location)
                said = str(fault["msg"]).replace("Input should", "should")
                return f"{place}: {key}: {shown(value)} {said}"

    def _known(self, location: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """The part of a pydantic location that names something in the document."""
        known: tuple[str | int, ...] = ()
        for part in location:
            if (*known, part) not in self.lines:
                break
            known = (*known, part)
        return known

    def _value(self, location: tuple[str | int, ...]) -> object:
        value: Any = self.data
        for part in self._known(location):
            value = value[part]
        return value


def read_document(path: Path) -> Document:
    """Read a YAML mapping from a file.

    Raises InputError when the file cannot be read, is larger than 1 MB, is not UTF-8, is not
    YAML, or uses what is refused (see the module).
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=str(path)) from None
    if len(raw) > LARGEST_BYTES:
        raise InputError(f"has {len(raw)} bytes; {LARGEST_BYTES} are allowed", place=str(path))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 (byte {error.start})", place=str(path)) from None
    try:
        _scan(text, path)
        loaded = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        said = str(error.problem or error.context).splitlines()[0]
        raise InputError(f"is not valid YAML: {said}", place=f"{path}{line}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"is not valid YAML: {said}", place=str(path)) from None
    if loaded is None:
        raise InputError("is empty", place=str(path))
    if not isinstance(loaded, CommentedMap):
        raise InputError("must be a mapping (key: value)", place=f"{path}:1")
    lines: dict[tuple[str | int, ...], int] = {}
    data = _plain(loaded, (), lines, path)
    return Document(path, data, lines)


def _scan(text: str, path: Path) -> None:
    """Refuse what a document of ours never needs, before anything is built from it."""
    depth = 0
    documents = 0
    for event in YAML(typ="rt", pure=True).parse(text):
        place = f"{path}:{event.start_mark.line + 1}"
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise InputError("one document a file is allowed", place=place)
        if isinstance(event, AliasEvent):
            raise InputError("aliases (*name) are not allowed; repeat the value", place=place)
        if isinstance(event, NodeEvent) and event.anchor is not None:
            raise InputError("anchors (&name) are not allowed; repeat the value", place=place)
        tag = getattr(event, "ctag", None) or getattr(event, "tag", None)
        if tag is not None and str(tag) not in ("None", ""):
            raise InputError(f"tags ({shown(str(tag))}) are not allowed", place=place)
        if isinstance(event, ScalarEvent) and event.value == "<<":
            raise InputError("merge keys (<<) are not allowed; repeat the value", place=place)
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > DEEPEST_LEVEL:
                raise InputError(f"is nested deeper than {DEEPEST_LEVEL} levels", place=place)
        elif isinstance(event, CollectionEndEvent):
            depth -= 1


def without_control(text: str) -> str:
    """A text of a user without what steers terminals, breaks lines or turns directions."""
    return _CONTROL.sub("", text)


def _plain(
    node: Any,
    location: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
    path: Path,
) -> Any:
    """Plain dict, list, str, int, float, bool or None; the lines go into ``lines``."""
    if isinstance(node, CommentedMap):
        lines.setdefault(location, node.lc.line + 1)
        plain: dict[str, Any] = {}
        for key, value in node.items():
            line = node.lc.key(key)[0] + 1
            if not isinstance(key, str):
                raise InputError(f"the key {shown(key)} must be text", place=f"{path}:{line}")
            name = without_control(str(key))
            if name in plain:
                raise InputError(f"the key {name!r} stands here twice", place=f"{path}:{line}")
            here = (*location, name)
            lines[here] = line
            plain[name] = _plain(value, here, lines, path)
        return plain
    if isinstance(node, CommentedSeq):
        lines.setdefault(location, node.lc.line + 1)
        items = []
        for index, value in enumerate(node):
            here = (*location, index)
            lines[here] = node.lc.item(index)[0] + 1
            items.append(_plain(value, here, lines, path))
        return items
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, int):
        if abs(node) > LARGEST_INTEGER:
            raise InputError(
                "a whole number has more than 64 bits", place=f"{path}:{lines.get(location)}"
            )
        return int(node)
    if isinstance(node, float):
        if not math.isfinite(node):
            line_number = lines.get(location)
            raise InputError(
                f"{shown(float(node))} is not a finite number", place=f"{path}:{line_number}"
            )
        return float(node)
    return without_control(str(node))


def _fields_at(kind: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The keys that ``kind`` allows at a location."""
    fields = kind.model_fields
    for part in location:
        field = fields.get(str(part))
        annotation = field.annotation if field else None
        inner = [annotation, *getattr(annotation, "__args__", ())]
        nested = [item for item in inner if isinstance(item, type) and issubclass(item, BaseModel)]
        if nested:
            fields = nested[0].model_fields
    # The name of a model or an analysis is its file's.
    return [name for name, field in fields.items() if not field.exclude and name != "name"]
