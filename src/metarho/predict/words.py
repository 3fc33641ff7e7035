"""What a test of no correlation says of a result: one of three words on significance."""

from __future__ import annotations

from metarho.posterior.marginals import Marginal, below

ORDERED_WORDS = ("significant negative", "not significant", "significant positive")
"""In the order of the results behind them."""


def word_probabilities(law: Marginal, critical: float) -> tuple[float, float, float]:
    """The probabilities of ORDERED_WORDS, by the law of a result on the model's scale.

    ``critical`` is the |result| beyond which it is significant.
    """
    negative, upto = below(law, -critical), below(law, critical)
    return negative, max(0.0, upto - negative), 1 - upto
