"""Reasons that only the author can give; the report prints each at its place."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from metarho.spec.document import Frozen

# A paragraph or two; what is longer belongs into the paper.
LONGEST_REASON = 4000

type Reason = Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)]


class Why(Frozen):
    """What guidelines of reporting ask of the author, under ``why:`` in a config.

    Each is a text, None where it is not said. What the report can say by itself is not asked here.
    """

    purpose: Reason | None = None
    """What the analysis is for: to describe, to predict, to compare or to decide."""
    bayesian: Reason | None = None
    """Why it is Bayesian, for readers who need to be told."""
    variables: Reason | None = None
    """What was correlated with what: measures, informants, times, how rows were coded."""
    model: Reason | None = None
    """Why these models: the likelihood, the moderators and their functional form."""
    exchangeability: Reason | None = None
    """Why, given the moderators, studies can stand for each other before their results are seen."""
    priors: dict[Annotated[str, Field(min_length=1, max_length=200)], Reason] = Field(default={})
    """Prior set -> why it expects what it expects, and what it was made from."""
    weights: Reason | None = None
    """Judgements that gave rows or studies more or less weight; that there are none."""
    sense: Reason | None = None
    """Whether the posterior makes sense to somebody who knows the field."""
    decision: Reason | None = None
    """What is decided by the result, or that nothing is."""
    loss: Reason | None = None
    """What errors in either direction cost, where something is decided."""
    thresholds: Reason | None = None
    """Why the thresholds of rho matter in practice."""
    data: Reason | None = None
    """Where data and codebook are, and under what licence."""
    archive: Reason | None = None
    """The persistent place of data, configs and results: a DOI."""
