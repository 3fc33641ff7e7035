"""What can go wrong, and what the command line answers with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user wrote cannot be used: a file, a value, a name (exit code 2).

    The message is one sentence for a reader who has the file open: place (file and
    line or row), value, what is allowed, what to do.
    """

    def __init__(self, message: str, *, place: str | None = None) -> None:
        self.message = message
        self.place = place
        super().__init__(f"{place}: {message}" if place else message)

    def at(self, place: str) -> InputError:
        """The same error with a place in the user's document, if it has none yet."""
        return self if self.place else InputError(self.message, place=place)


class FitError(Exception):
    """A computation that was asked for ended without a result (exit code 1)."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """A sentence end that lists what is allowed, the nearest name first if there is one."""
    names = sorted(allowed)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"allowed: {', '.join(names) or 'none'}{hint}"


def shown(value: object, limit: int = 60) -> str:
    """A value as it may stand in a message: on one line, without control characters, short."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
