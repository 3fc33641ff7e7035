"""What a row of the evidence printed, as figures draw it and say it of a point."""

from __future__ import annotations

import math

from metarho.data.studies import Row
from metarho.report.figures.scales import seen

# The classical interval of a number, so that readers find the numbers of the papers.
_Z = 1.959963984540054


def printed_ends(row: Row, scale: str) -> tuple[float | None, float, float]:
    """A row's number, None for an interval, and its ends on the readers' scale (r; GEN: yi).

    Those of a number are y ± 1.96 sqrt(v) on the model's scale, those of a row without one are
    the ends of the interval that it stands for.
    """
    if row.is_interval:
        assert row.lower is not None and row.upper is not None
        return None, seen(scale, row.lower), seen(scale, row.upper)
    assert row.yi is not None and row.vi is not None
    half = _Z * math.sqrt(row.vi)
    return seen(scale, row.yi), seen(scale, row.yi - half), seen(scale, row.yi + half)


def printed(row: Row, scale: str) -> str:
    """``0.47 [0.09, 0.73]``, ``0.13 to 0.33``, ``not significant``, ``not significant × 3``."""
    middle, lower, upper = printed_ends(row, scale)
    if middle is not None:
        return f"{two_digits(middle)} [{two_digits(lower)}, {two_digits(upper)}]"
    if row.reported == "range":
        return f"{two_digits(lower)} to {two_digits(upper)}"
    return f"{row.reported} × {row.tests}" if row.tests > 1 else row.reported


def tip_of(row: Row, scale: str, *more: str) -> str:
    """What a point says of its row: its name without a cut, what it printed, and more lines."""
    people = "" if row.ni is None else f", n {row.ni:g}"
    return "\n".join([f"{row.study}, {row.effect}", f"{printed(row, scale)}{people}", *more])


def two_digits(value: float) -> str:
    """A number to two digits; what rounds to 0 has no sign."""
    return f"{value:z.2f}"
