"""The weight of a stretch of p, by name, as something to vary: ``omega[p > 0.025]``.

How often results of the stretch were reported, relative to all others: 1 without selection. What
is varied is then an argument of a prior, or such a weight.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from metarho.errors import InputError, shown
from metarho.spec.model import Step
from metarho.spec.prior_arguments import PriorArgument, parse_argument
from metarho.spec.priors import Prior

# Reported a hundred times less often is more than any survey of a literature has found; to none
# at all is no range, for that is nowhere on a scale of factors.
LOWEST = 0.01

_WEIGHT = re.compile(r"omega\[\s*(two-sided\s+p|p)\s*(>|<)\s*([0-9.eE+-]+)\s*\]")
_FORMS = "omega[p > 0.025], omega[p < 0.975] or omega[two-sided p > 0.05]"

type Stretch = Literal["p >", "p <", "two-sided p >"]


@dataclass(frozen=True)
class WeightArgument:
    """The weight of results with such a p, that of all others being 1.

    p is one-sided, of a mean above 0: ``p >`` a cutpoint are those that do not favour a positive
    effect enough, ``p <`` those that do not favour a negative one, ``two-sided p >`` those that
    favour neither.
    """

    stretch: Stretch
    cutpoint: float

    @property
    def parameter(self) -> str:
        """The parameter that it is, in a model that selects by it."""
        return "omega"

    @property
    def name(self) -> str:
        """The argument of that parameter's prior, which holds it at a value."""
        return "c"

    def __str__(self) -> str:
        return f"omega[{self.stretch} {self.cutpoint:.15g}]"

    def of(self, prior: Prior) -> float:
        """Its value in a prior, which is a point."""
        return prior.values[self.name]

    def put_into(self, prior: Prior, value: float) -> Prior:
        """The weight held at another value. Raises InputError unless it is above 0."""
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{self}: {value!r} is no finite number above 0")
        return Prior("DiracDelta", ((self.name, float(value)),))

    def is_scale(self, prior: Prior) -> bool:
        """Whether factors and not differences are its steps: they are, it is a relative chance."""
        return True

    def default_range(self, prior: Prior) -> tuple[float, float]:
        """From a hundred times less often (see ``LOWEST``) to as often as all others."""
        return LOWEST, 1.0

    def step(self, test: Literal["z", "t"]) -> Step:
        """The step function whose one weight it is; ``test`` is what p is of."""
        if self.stretch == "p <":
            # Step's favours: negative takes one-sided p of means below 0.
            return Step(cutpoints=(1 - self.cutpoint,), favours="negative", test=test)
        sides: Literal["one", "two"] = "two" if self.stretch == "two-sided p >" else "one"
        return Step(cutpoints=(self.cutpoint,), sides=sides, test=test)


type Argument = PriorArgument | WeightArgument
"""What can be varied."""


def parse_varied(text: str) -> Argument:
    """Read an argument of a prior, or a weight of selection. Raises InputError for others."""
    word = text.strip()
    # omega[0.05-0.5].alpha is an argument of a prior like any other.
    if not (word.startswith("omega[") and word.endswith("]")):
        return parse_argument(text)
    found = _WEIGHT.fullmatch(word)
    if found is None or (found[1] != "p" and found[2] == "<"):
        raise InputError(f"{shown(word)} is no weight of selection: write {_FORMS}")
    try:
        cutpoint = float(found[3])
    except ValueError:
        cutpoint = math.nan
    if not 0 < cutpoint < 1:
        raise InputError(f"{shown(word)}: p lies between 0 and 1, and {found[3]} does not")
    if found[1] != "p":
        return WeightArgument("two-sided p >", cutpoint)
    return WeightArgument("p >" if found[2] == ">" else "p <", cutpoint)
