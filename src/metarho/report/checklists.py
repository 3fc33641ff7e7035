"""Guidelines of reporting, item by item, against what a report holds and what its author says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

from metarho.spec.why import Why


@dataclass(frozen=True)
class Item:
    """What a guideline asks: ``at`` these places of a report, and ``why`` by its author."""

    id: str
    text: str
    at: tuple[str, ...]
    why: tuple[str, ...]
    how: str


@dataclass(frozen=True)
class Guideline:
    """A guideline and its items."""

    name: str
    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Answered:
    """An item as a report answers it.

    ``unsaid`` are the keys under ``why`` that the author has to write, ``absent`` the places that
    the report does not have.
    """

    item: Item
    unsaid: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def is_satisfied(self) -> bool:
        """Whether the report, with what its author says, holds everything."""
        return not self.unsaid and not self.absent

    @property
    def places(self) -> tuple[str, ...]:
        """The ids to look at."""
        return (*self.item.at, *(f"why-{key}" for key in self.item.why))


@cache
def guidelines() -> tuple[Guideline, ...]:
    """The guidelines that the package knows."""
    text = (files("metarho.report") / "checklists.yaml").read_text(encoding="utf-8")
    return tuple(
        Guideline(one["guideline"], one["title"], tuple(_item(item) for item in one["items"]))
        for one in YAML(typ="safe", pure=True).load(text)
    )


def _item(said: Mapping[str, Any]) -> Item:
    at, why = tuple(said.get("at", ())), tuple(said.get("why", ()))
    return Item(said["id"], said["text"], at, why, said.get("how", ""))


def answered(guideline: Guideline, places: Set[str], why: Why) -> list[Answered]:
    """Every item of a guideline, against the ids of a report and the words of its author."""
    return [
        Answered(
            item,
            tuple(key for key in item.why if not getattr(why, key)),
            tuple(place for place in item.at if place not in places),
        )
        for item in guideline.items
    ]


def places_in(page: str) -> frozenset[str]:
    """The ids that a page sets."""
    return frozenset(re.findall(r'\sid="([\w-]+)"', page))
