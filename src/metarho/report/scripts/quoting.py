"""Text and numbers as R and Python read them: nothing that data says becomes code."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

# What style guides of both languages ask for, give or take.
_WIDTH = 96


def comment(text: str) -> str:
    """Lines of a comment; what would end a line, or cannot be printed, is written as an escape."""
    return "\n".join(f"# {_on_one_line(line)}".rstrip() for line in text.split("\n"))


def remark(text: str) -> str:
    """The end of a line of code that says what it is: one line, whatever the text holds."""
    return f"  # {_on_one_line(text)}"


def _on_one_line(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def python_text(text: str) -> str:
    """A string literal of Python, in ASCII."""
    return ascii(text)


def r_text(text: str) -> str:
    """A string literal of R, in ASCII.

    R has no NUL and no half of a pair of surrogates in its strings: U+FFFD stands for them.
    """
    return '"' + "".join(map(_r_character, text)) + '"'


def _r_character(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if 32 <= code < 127:
        return character
    if code == 0 or 0xD800 <= code < 0xE000:
        return "\\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def python_number(value: float) -> str:
    """A number of Python, with all its digits."""
    if math.isfinite(value):
        return repr(float(value))
    return "np.nan" if math.isnan(value) else "np.inf" if value > 0 else "-np.inf"


def r_number(value: float) -> str:
    """A number of R, with all its digits."""
    if math.isfinite(value):
        return repr(float(value))
    return "NA" if math.isnan(value) else "Inf" if value > 0 else "-Inf"


def python_array(values: Iterable[float], indent: int = 0) -> str:
    """A NumPy array."""
    return _wrapped("np.array([", map(python_number, values), "])", indent)


def python_places(values: Iterable[int], indent: int = 0) -> str:
    """A NumPy array of integers."""
    return _wrapped("np.array([", (str(int(value)) for value in values), "], dtype=int)", indent)


def r_vector(values: Iterable[float], indent: int = 0) -> str:
    """A vector of numbers."""
    return _wrapped("c(", map(r_number, values), ")", indent)


def r_texts(values: Iterable[str], indent: int = 0) -> str:
    """A vector of strings."""
    return _wrapped("c(", map(r_text, values), ")", indent)


def r_places(values: Iterable[int], indent: int = 0) -> str:
    """A vector of integers, which R counts from 1."""
    return _wrapped("c(", (f"{int(value) + 1}L" for value in values), ")", indent)


def _wrapped(opening: str, words: Iterable[str], closing: str, indent: int) -> str:
    """Words between brackets, on lines that are not too long."""
    pad = " " * (indent + 4)
    lines, line = [], pad
    for word in words:
        if len(line) + len(word) + 2 > _WIDTH and line != pad:
            lines.append(line.rstrip())
            line = pad
        line += f"{word}, "
    text = "\n".join([*lines, line]).rstrip().removesuffix(",")
    if not text.strip():
        return opening + closing
    if "\n" not in text and len(text) < _WIDTH - 30:
        return f"{opening}{text.strip()}{closing}"
    return f"{opening}\n{text}\n{' ' * indent}{closing}"


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([^\w\s,;:()-])", r"\\\1", _on_one_line(text))
