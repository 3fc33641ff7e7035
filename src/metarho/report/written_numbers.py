"""Numbers as the APA's manual (7th edition, 6.36 and 6.44) writes them in a text.

What cannot exceed 1 (correlations, probabilities) has no zero before the point; what can has one.
Ties are rounded away from 0, on the digits that Python prints of the number: .125 is .13, and so is
0.285 at two digits .29, as a reader who sees these digits would round. (The binary number behind
0.285 lies below it; rounding that would print .28.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal

from metarho.posterior.marginals import Summary

MINUS = "\u2212"
# An interval narrower than this many digits is said to be narrower than its digits. Effects of
# measure GEN may be of any scale.
MOST_DIGITS = 12

# A double has up to 309 digits before the point; the digits after it come on top.
_CONTEXT = Context(prec=400)

type Write = Callable[[float, int], str]
"""A number and its digits as text."""


def rounded(value: float, digits: int) -> str:
    """A number with so many digits after the point; no sign on what rounds to 0."""
    if not math.isfinite(value):
        return f"{MINUS}∞" if value < 0 else "∞"
    unit = Decimal(1).scaleb(-digits)
    found = Decimal(repr(float(value))).quantize(unit, ROUND_HALF_UP, _CONTEXT)
    text = f"{abs(found):f}"
    return f"{MINUS}{text}" if found < 0 else text


def bounded(value: float, digits: int) -> str:
    """A number from -1 to 1, without the zero: ``.24``, ``−.08``; near an end ``> .99``.

    1 itself is ``1.00``; what only rounds to it is said to be beyond the last number below.
    """
    text = rounded(value, digits)
    if abs(value) < 1 and text.lstrip(MINUS).startswith("1"):
        last = "." + "9" * digits
        return f"> {last}" if value > 0 else f"< {MINUS}{last}"
    return text.replace("0.", ".", 1) if text.lstrip(MINUS).startswith("0.") else text


def probability(value: float, digits: int) -> str:
    """A probability with its relation: ``= .87``, ``> .999``, ``< .001``."""
    if 0 < value < 10.0**-digits / 2:
        return f"< .{'1'.zfill(digits)}"
    text = bounded(value, digits)
    return text if text.startswith(">") else f"= {text}"


def percent(value: float, digits: int) -> str:
    """A number of percent, with two digits less than others have: ``35%``, ``< 1%``, ``> 99%``."""
    fewer = max(digits - 2, 0)
    step = 10.0**-fewer
    text = rounded(value, fewer)
    if 0 < value < step / 2:
        return f"< {rounded(step, fewer)}%"
    if value < 100 and text.startswith("100"):
        return f"> {rounded(100 - step, fewer)}%"
    return f"{text}%"


def with_interval(found: Summary, digits: int, write: Write) -> str:
    """A median and its interval: ``.24 [.18, .30]``; ``.24 (fixed)`` where it is known.

    There are as many digits as its width takes to be seen, and more where a printed end would not
    differ from the median; up to ``MOST_DIGITS``, and it is said where these are not enough.
    """
    if found.median is None or found.lower is None or found.upper is None:
        return "not known"
    three = (found.median, found.lower, found.upper)
    if found.lower == found.upper:
        return f"{write(found.median, digits)} (fixed)"
    for more in _digits_of(found.lower, found.upper, digits):
        median, lower, upper = (write(value, more) for value in three)
        if median not in (lower, upper):
            return f"{median} [{lower}, {upper}]"
    return f"{median} [{lower}, {upper}] (narrower than these digits)"


def interval(found: Summary, digits: int, write: Write) -> str:
    """An interval alone, in brackets; with more digits where its ends would be printed alike."""
    if found.lower is None or found.upper is None:
        return "not known"
    for more in _digits_of(found.lower, found.upper, digits):
        lower, upper = write(found.lower, more), write(found.upper, more)
        if lower != upper:
            break
    return f"[{lower}, {upper}]"


def _digits_of(lower: float, upper: float, digits: int) -> range:
    """The digits to try for an interval: from those that show its width on."""
    width = upper - lower
    seen = -math.floor(math.log10(width)) if 0 < width < math.inf else digits
    return range(max(digits, min(seen, MOST_DIGITS)), max(MOST_DIGITS, digits) + 1)
