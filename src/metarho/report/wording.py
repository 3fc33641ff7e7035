"""Numbers and words as the report prints them."""

from __future__ import annotations

import math

from metarho.posterior.printed import Printed, digits_of
from metarho.report.terminal import interval, number

__all__ = [
    "between", "evidence_words", "interval", "people", "percent", "percent_number",
    "printed_interval", "printed_median", "probability", "r", "times",
]  # fmt: skip


def r(value: float | None) -> str:
    """A number to three digits; a dash where there is none."""
    if value is not None and math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return number(value)


def between(ends: tuple[float | None, float | None]) -> str:
    """Two ends in brackets."""
    low, high = ends
    return "–" if low is None or high is None else f"[{r(low)}, {r(high)}]"


def printed_median(row: Printed) -> str:
    """The median of a quantity with as many digits as it is printed with."""
    return number(row.summary.median, digits_of(row, 3)) + ("%" if row.scale == "percent" else "")


def printed_interval(row: Printed) -> str:
    """The interval of a quantity likewise."""
    return interval(row.summary, digits_of(row, 3))


def percent_number(value: float | None) -> str:
    """A number that is in percent already."""
    return "–" if value is None else f"{value:.0f}%"


def percent(value: float | None) -> str:
    """A share in percent; what would print as 0 or 100 is below or above the last digit."""
    if value is None:
        return "–"
    share = 100 * value
    if share < 0.1:
        return "< 0.1%"
    return "> 99.9%" if share > 99.9 else f"{share:.1f}%"


def probability(value: float) -> str:
    """A probability with its relation: ``= 2.3%``, ``> 99.9%``."""
    text = percent(value)
    return text if text[0] in "<>" else f"= {text}"


def evidence_words(intervals: str) -> str:
    """What was done with rows that printed no r."""
    return {"use": "interval rows used", "drop": "interval rows dropped"}[intervals]


def people(count: float) -> str:
    """How many people: ``1,200``; a size that was made up may be no whole number."""
    return f"{count:,.0f}" if float(count).is_integer() else f"{count:,.1f}"


def times(value: float | None) -> str:
    """A Bayes factor to three digits; a power of ten where it is very large or very small."""
    if value is None:
        return "–"
    if 1000 <= value < 1e6:
        return f"{float(f'{value:.2e}'):,.0f}"
    return f"{value:.3g}" if 0.01 <= value < 1000 else f"{value:.1e}"
