"""Statistics of the evidence as a whole, each of N sets of rows at once.

``printed`` (N, k) is what rows print: numbers on the model's scale, and of rows that print a word
-1, 0, 1 for significant negative, not significant, significant positive. Ranges are not among the
rows. Named statistics are of rows that print numbers y, with weights w = 1/v and ȳ = Σ w y/Σ w;
``words`` is of those that print words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]
type Function = Callable[[Array, Rows], Array]


@dataclass(frozen=True)
class Rows:
    """What is known of k rows before they print anything.

    ``v`` are sampling variances on the model's scale and ``n`` numbers of people (NaN where
    unknown). ``critical`` is the |y| beyond which the row's own test is significant, ``is_word``
    says which rows print a word.
    """

    v: Array
    n: Array
    critical: Array
    is_word: NDArray[np.bool_]

    @property
    def kinds(self) -> tuple[str, ...]:
        """``exact`` or ``word``, a row."""
        return tuple("word" if word else "exact" for word in self.is_word)

    def only(self, kept: NDArray[np.bool_]) -> Rows:
        """Some of the rows."""
        return Rows(self.v[kept], self.n[kept], self.critical[kept], self.is_word[kept])


@dataclass(frozen=True)
class Discrepancy:
    """A statistic under the name that tables give it, and the rows (k) that it looks at."""

    name: str
    function: Function
    kept: NDArray[np.bool_]

    def of(self, printed: Array, rows: Rows) -> Array:
        """The statistic of N sets of all rows: (N)."""
        return np.asarray(
            self.function(printed[:, self.kept], rows.only(self.kept)), dtype=np.float64
        )


def q(printed: Array, rows: Rows) -> Array:
    """Cochran's Q = Σ w (y − ȳ)²."""
    return np.asarray(_away(printed, rows) ** 2 @ (1 / rows.v))


def largest_z(printed: Array, rows: Rows) -> Array:
    """The largest |y − ȳ|/√(v (1 − w/Σw)): internally standardised under a common effect."""
    variance = rows.v - 1 / (1 / rows.v).sum()
    return np.asarray((np.abs(_away(printed, rows)) / np.sqrt(variance)).max(axis=1))


def spread(printed: Array, rows: Rows) -> Array:
    """The standard deviation of the numbers, with k − 1 for a divisor."""
    return np.asarray(printed.std(axis=1, ddof=1))


def skew(printed: Array, rows: Rows) -> Array:
    """g₁ = m₃/m₂^(3/2), of central moments with k for a divisor; 0 where nothing varies."""
    away = printed - printed.mean(axis=1, keepdims=True)
    second = (away**2).mean(axis=1)
    return np.asarray((away**3).mean(axis=1) / np.where(second > 0, second, 1.0) ** 1.5)


def spanned(printed: Array, rows: Rows) -> Array:
    """The largest number less the smallest."""
    return np.asarray(np.ptp(printed, axis=1))


def negative(printed: Array, rows: Rows) -> Array:
    """The share of numbers below 0."""
    return np.asarray((printed < 0).mean(axis=1))


def asymmetry(printed: Array, rows: Rows) -> Array:
    """Egger's t: that of the slope of y on √v, least squares at weights 1/v with k − 2 df.

    The dispersion is estimated (Egger et al. 1997, 10.1136/bmj.315.7109.629: the intercept of
    y/√v on 1/√v; metafor's ``regtest`` with ``model = "lm"``). Above 0 small studies have the
    larger effects.
    """
    v = rows.v
    x = np.column_stack([1 / np.sqrt(v), np.ones(len(v))])
    scaled = printed / np.sqrt(v)
    coefficients = scaled @ np.linalg.pinv(x).T
    left = ((scaled - coefficients @ x.T) ** 2).sum(axis=1) / (len(v) - 2)
    return np.asarray(coefficients[:, 1] / np.sqrt(left * np.linalg.inv(x.T @ x)[1, 1]))


def significant(printed: Array, rows: Rows) -> Array:
    """The share of numbers whose own test, at the row's alpha, is significant on either side."""
    return np.asarray((np.abs(printed) > rows.critical).mean(axis=1))


def words(printed: Array, rows: Rows) -> Array:
    """How many of the rows that print a word print "not significant"."""
    return np.asarray((printed == 0).sum(axis=1), dtype=np.float64)


NAMED: Mapping[str, Function] = {
    "q": q,
    "largest_z": largest_z,
    "spread": spread,
    "skew": skew,
    "range": spanned,
    "negative": negative,
    "asymmetry": asymmetry,
    "significant": significant,
    "words": words,
}

# With fewer numbers a statistic is a constant.
_NUMBERS: Mapping[str, int] = {
    "q": 2, "largest_z": 2, "spread": 2, "skew": 3, "range": 2, "negative": 1, "asymmetry": 3,
    "significant": 1,
}  # fmt: skip


def named(name: str, label: str, kept: NDArray[np.bool_], rows: Rows) -> Discrepancy:
    """A named statistic of some rows, of those that it is about: numbers, or words."""
    about = rows.is_word if name == "words" else ~rows.is_word
    return Discrepancy(label, NAMED[name], kept & about)


def no_statistic(name: str, rows: Rows) -> str | None:
    """Why a named statistic of the rows that it is about does not exist; None when it does."""
    if name == "words":
        return None if len(rows.v) else "no row printed a word"
    if len(rows.v) < _NUMBERS[name]:
        return f"too few rows print a number ({len(rows.v)}, {_NUMBERS[name]} are needed)"
    if name == "asymmetry" and np.ptp(rows.v) <= 1e-9 * rows.v.max():
        return "all standard errors are equal: there is no funnel"
    if name == "significant" and np.isnan(rows.critical).any():
        return "n is unknown in some rows, and with it whether they are significant"
    return None


def _away(printed: Array, rows: Rows) -> Array:
    """Numbers less their weighted mean, y − ȳ: (N, k)."""
    w = 1 / rows.v
    return np.asarray(printed - (printed @ w / w.sum())[:, None])
