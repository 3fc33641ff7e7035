"""Numbers and words as the report prints them."""

from __future__ import annotations

from metarho.report.terminal import interval, number

__all__ = [
    "between", "evidence_words", "interval", "percent", "percent_number", "probability", "r",
    "times",
]  # fmt: skip


def r(value: float | None) -> str:
    """A number to three digits; a dash where there is none."""
    return number(value)


def between(ends: tuple[float | None, float | None]) -> str:
    """Two ends in brackets."""
    low, high = ends
    return "–" if low is None or high is None else f"[{r(low)}, {r(high)}]"


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


def times(value: float | None) -> str:
    """A Bayes factor to three digits."""
    if value is None:
        return "–"
    return f"{value:,.3g}" if 0.01 <= value < 1e4 else f"{value:.1e}"
