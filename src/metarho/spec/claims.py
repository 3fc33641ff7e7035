"""Quantities of a fit by name, and claims about them. Read as text, never evaluated.

A claim is a quantity, a comparison and a number: ``P(rho > 0.1) >= 0.95``, ``lower > 0``,
``bf_mu > 3``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from metarho.errors import InputError, did_you_mean, shown

NAMES = (
    "rho_median", "rho_mean", "lower", "upper", "new_lower", "new_upper", "tau",
    "log_evidence", "bf_mu", "bf_tau",
)  # fmt: skip
"""What stands alone. They are the columns of ``metarho compare`` of the same names, and ``tau``,
the posterior median of the sd of true effects."""
OF_ENSEMBLE = (
    "rho_median", "lower", "upper", "new_lower", "new_upper", "tau", "log_evidence",
    "bf_effect", "bf_heterogeneity", "bf_bias",
)  # fmt: skip
"""What stands alone and is asked of an ensemble: averages over all its members, which count their
spikes, and inclusion Bayes factors."""
FORMS = ("P(rho > t)", "P(rho_new > t)")
"""What takes a threshold t: the probability that the median true correlation, or that of a new
study, lies above it."""

# Longer than any quantity or claim with all digits of its numbers.
LONGEST = 200

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
PROBABILITY = rf"P\(\s*(rho|rho_new)\s*>\s*({_NUMBER})\s*\)"
"""A pattern of ``FORMS``."""
_PROBABILITY = re.compile(PROBABILITY)
_CLAIM = re.compile(rf"(.*[^<>=\s])\s*(>=|<=|>|<)\s*({_NUMBER})", re.DOTALL)


@dataclass(frozen=True)
class Quantity:
    """A number that every fit of a model has. ``threshold`` is that of a probability."""

    name: str
    threshold: float | None = None

    def __str__(self) -> str:
        return self.name if self.threshold is None else f"P({self.name} > {self.threshold:.15g})"

    @property
    def is_bayes_factor(self) -> bool:
        """Whether it lives on a log scale."""
        return self.name.startswith("bf_")


@dataclass(frozen=True)
class Claim:
    """A quantity compared with a number."""

    quantity: Quantity
    comparison: str
    value: float

    def __str__(self) -> str:
        return f"{self.quantity} {self.comparison} {self.value:.15g}"

    @property
    def asks_for_more(self) -> bool:
        """Whether the quantity has to lie above the number, not below."""
        return self.comparison in (">", ">=")

    def margin(self, found: float) -> float:
        """How far a value lies on the claim's side of its number: it holds above 0.

        Of Bayes factors on the log scale. NaN where there is no value.
        """
        if self.quantity.is_bayes_factor:
            apart = (math.log(found) if found > 0 else -math.inf) - math.log(self.value)
        else:
            apart = found - self.value
        if math.isnan(found):
            return math.nan
        return apart if self.asks_for_more else -apart

    def holds(self, found: float) -> bool:
        """Whether a value fulfils the claim."""
        margin = self.margin(found)
        return margin > 0 or (margin == 0 and self.comparison in (">=", "<="))


def parse_quantity(text: str, *, of_ensemble: bool = False) -> Quantity:
    """Read one quantity, of a model or of an ensemble.

    Raises InputError for anything else, with what is allowed.
    """
    word = text.strip()
    names, others = (OF_ENSEMBLE, NAMES) if of_ensemble else (NAMES, OF_ENSEMBLE)
    if len(word) <= LONGEST:
        if word in names:
            return Quantity(word)
        if found := _PROBABILITY.fullmatch(word):
            threshold = float(found[2])
            if not -1 < threshold < 1:
                raise InputError(
                    f"{shown(word)}: the threshold is a correlation, between -1 and 1, not "
                    f"{found[2]}"
                )
            return Quantity(found[1], threshold)
    if word in others:
        whose = "one model, not an ensemble" if of_ensemble else "an ensemble, not one model"
        raise InputError(f"{word} is asked of {whose}; allowed here: {', '.join([*names, *FORMS])}")
    raise InputError(f"{shown(word)} is no quantity; {did_you_mean(word, [*names, *FORMS])}")


def parse_quantities(texts: Sequence[str], *, of_ensemble: bool = False) -> tuple[Quantity, ...]:
    """Read quantities, several of a text apart by commas; each is kept once."""
    words = [word for text in texts for word in text.split(",")]
    return tuple(dict.fromkeys(parse_quantity(word, of_ensemble=of_ensemble) for word in words))


def parse_claim(text: str, *, of_ensemble: bool = False) -> Claim:
    """Read one claim, about a model or an ensemble.

    Raises InputError for anything else, with what is allowed.
    """
    found = _CLAIM.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if found is None:
        raise InputError(
            f"{shown(text)} is no claim: write a quantity, a comparison (>, >=, <, <=) and a "
            "number, for instance 'P(rho > 0.1) >= 0.95', 'lower > 0' or 'bf_mu > 3'"
        )
    quantity = parse_quantity(found[1], of_ensemble=of_ensemble)
    value = float(found[3])
    if quantity.threshold is not None and not 0 < value < 1:
        raise InputError(f"{shown(text)}: a probability is compared with one between 0 and 1")
    if (quantity.is_bayes_factor or quantity.name == "tau") and value <= 0:
        raise InputError(f"{shown(text)}: {quantity} is compared with a number above 0")
    if not math.isfinite(value):
        raise InputError(f"{shown(text)}: {found[3]} is larger than a computer's numbers")
    return Claim(quantity, found[2], value)
