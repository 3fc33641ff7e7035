"""Moderators of a new study as options write them: ``column=value``."""

from __future__ import annotations

from collections.abc import Sequence

from metarho.errors import InputError, shown
from metarho.spec.document import without_control


def parse_moderators(texts: Sequence[str]) -> dict[str, str]:
    """Column -> value. Raises InputError for what is no ``column=value``, and for doubles."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in without_control(text).partition("="))
        if not equals or not name or not value:
            raise InputError(f"--set {shown(text)}: write column=value, as guidance=guided")
        if name in found:
            raise InputError(f"--set names {name} twice")
        found[name] = value
    return found
