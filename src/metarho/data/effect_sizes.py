"""From what a study printed to an effect size, its variance or its interval.

Measures carry metafor's codes. Formulas: ``STATISTICS``, documented in docs/statistics.md.
"""

from __future__ import annotations

import math

from scipy.special import stdtrit

# Words stand for a two-sided test at this level, the convention of the primary literature.
ALPHA = 0.05

WORDS = ("not significant", "significant positive", "significant negative")
REPORTED = ("exact", "range", *WORDS)

# What an interval that sums up several tests says of them.
WORD_MEANS = ("all", "any")
# More than a paper tests before it prints a table.
MOST_TESTS = 1000
# What a number or word is about; only the first is a zero-order correlation.
STATISTICS = ("correlation", "partial correlation", "regression", "unclear")


def usual_meaning(reported: str) -> str:
    """Of several tests "significant" says that at least one was, and the rest that all were.

    "Not significant" is then the negation of "significant", as in "no subscale predicted outcome".
    """
    return "any" if reported.startswith("significant") else "all"


def zcor(ri: float, ni: float) -> tuple[float, float]:
    """Fisher's z: ``yi = atanh(ri)``, ``vi = 1 / (ni - 3)``."""
    return math.atanh(ri), 1.0 / (ni - 3.0)


def cor(ri: float, ni: float) -> tuple[float, float]:
    """The raw correlation: ``yi = ri``, ``vi = (1 - ri²)² / (ni - 1)``."""
    return ri, (1.0 - ri**2) ** 2 / (ni - 1.0)


def critical_r(ni: float, alpha: float = ALPHA) -> float:
    """The |r| at which a two-sided t test at ``alpha`` with ``ni - 2`` df turns significant.

    ``r = t / sqrt(t² + df)``.
    """
    df = ni - 2.0
    t = float(stdtrit(df, 1.0 - alpha / 2.0))
    return t / math.sqrt(t**2 + df)


def word_interval(word: str, ni: float, alpha: float = ALPHA) -> tuple[float, float]:
    """The interval of r that a word on significance stands for (ends may be -1 or 1)."""
    limit = critical_r(ni, alpha)
    match word:
        case "not significant":
            return -limit, limit
        case "significant positive":
            return limit, 1.0
        case "significant negative":
            return -1.0, -limit
    raise ValueError(word)


def to_z(r: float) -> float:
    """``atanh(r)``, infinite at -1 and 1."""
    return math.copysign(math.inf, r) if abs(r) >= 1.0 else math.atanh(r)
