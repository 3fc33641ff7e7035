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

    Each is a text. What the report can say by itself is not asked here.
    """

    # What each asks for is in ``descriptions.py``.
    purpose: Reason | None = None
    bayesian: Reason | None = None
    variables: Reason | None = None
    model: Reason | None = None
    exchangeability: Reason | None = None
    priors: dict[Annotated[str, Field(min_length=1, max_length=200)], Reason] = Field(default={})
    weights: Reason | None = None
    sense: Reason | None = None
    decision: Reason | None = None
    loss: Reason | None = None
    thresholds: Reason | None = None
    data: Reason | None = None
    archive: Reason | None = None
