"""Names in backticks: columns whose names are no identifiers, in filters and formulas."""

from __future__ import annotations

import re

# A string literal first, so that a backtick inside a text stays text.
_TOKEN = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`([^`]+)`""")


def without_backticks(text: str) -> tuple[str, dict[str, str]]:
    """The text with an identifier for each name in backticks, and what each stands for."""
    prefix = "quoted_column_"
    while prefix in text:
        prefix += "_"
    names: dict[str, str] = {}

    def identifier(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        names[f"{prefix}{len(names)}"] = match[1]
        return next(reversed(names))

    return _TOKEN.sub(identifier, text), names
