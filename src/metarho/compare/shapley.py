"""Shapley values: what each of several changes moved, so that the parts sum to the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

# 2^8 = 256 values: some seconds of exact fits.
MOST_UNITS = 8


def shapley(values: Sequence[float], units: int) -> tuple[float, ...]:
    """The Shapley value of each of u units of a function of sets of them (Shapley 1953).

    ``values[S]`` is the function where exactly the units in S are switched, S being a number whose
    bit i is unit i: 2^u values. The value of a unit is the mean, over all orders of switching, of
    what switching it changes: Σ_S |S|! (u-|S|-1)! / u! · (values[S ∪ i] - values[S]). All sum to
    values[all] - values[none], and a unit that changes nothing anywhere has 0.

    Raises ValueError where there are not 2^u values.
    """
    if len(values) != 1 << units:
        raise ValueError(f"{units} units have {1 << units} sets, and {len(values)} values are here")
    weights = [1 / (units * math.comb(units - 1, size)) for size in range(units)]
    return tuple(
        math.fsum(
            weights[chosen.bit_count()] * (values[chosen | 1 << unit] - values[chosen])
            for chosen in range(1 << units)
            if not chosen >> unit & 1
        )
        for unit in range(units)
    )
