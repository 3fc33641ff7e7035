"""How a forecaster did over all the studies that it predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import betaincinv

from metarho.predict.cumulative import Study
from metarho.predict.words import ORDERED_WORDS

type Forecaster = Literal["model", "prior"]


@dataclass(frozen=True)
class Tally:
    """Sums and means over the studies that were predicted.

    ``held`` of ``numbers`` lay within their intervals; ``coverage`` is the interval of the long-run
    share. ``crps`` and ``rps`` are means over studies of the means over their rows. ``words`` are
    rows of which it is known what a test said, ``not_significant`` how many of them were not,
    ``expected`` how many were expected to be. ``elpd``: Σ log p(rows of a study | what was known).
    None where nothing is to be summed.
    """

    forecaster: Forecaster
    studies: int
    rows: int
    numbers: int
    held: int
    coverage: tuple[float, float] | None
    crps: float | None
    words: int
    rps: float | None
    not_significant: int
    expected: float
    elpd: float | None


def tally(studies: Sequence[Study], forecaster: Forecaster, prob: float) -> Tally:
    """The record of the model, or of the prior alone; ``prob`` is that of the coverage interval."""
    by_model = forecaster == "model"
    predicted = [
        (rows, study.log_score if by_model else study.log_score_prior)
        for study in studies
        if (rows := study.forecasts if by_model else study.prior_forecasts) is not None
    ]
    everything = [one for rows, _ in predicted for one in rows]
    held = [one.held for one in everything if one.held is not None]
    scores = [score for _, score in predicted if score is not None]
    known = [(one.words[1], one.word) for one in everything if one.words and one.word]
    return Tally(
        forecaster,
        len(predicted),
        len(everything),
        len(held),
        sum(held),
        coverage(sum(held), len(held), prob) if held else None,
        _mean_of_studies((one.crps for one in rows) for rows, _ in predicted),
        len(known),
        _mean_of_studies((one.rps for one in rows) for rows, _ in predicted),
        sum(word == ORDERED_WORDS[1] for _, word in known),
        math.fsum(chance for chance, _ in known),
        math.fsum(scores) if scores else None,
    )


def coverage(held: int, numbers: int, prob: float) -> tuple[float, float]:
    """The equal-tailed interval of a share of which ``held`` of ``numbers`` were seen.

    Of the Beta posterior under Jeffreys' prior, with an end at 0 or 1 where none or all were seen
    (Brown, Cai and DasGupta 2001, 10.1214/ss/1009213286).
    """
    tail = (1 - prob) / 2
    a, b = held + 0.5, numbers - held + 0.5
    low = 0.0 if held == 0 else float(betaincinv(a, b, tail))
    high = 1.0 if held == numbers else float(betaincinv(a, b, 1 - tail))
    return low, high


def skill(score: float | None, reference: float | None) -> float | None:
    """1 − score/reference: 1 is perfect, 0 no better than the reference, below 0 worse."""
    if score is None or not reference:
        return None
    return 1 - score / reference


def better(studies: Sequence[Study]) -> int:
    """How many studies the model predicted better than the prior alone, by the log score."""
    return sum(
        study.log_score > study.log_score_prior
        for study in studies
        if study.log_score is not None and study.log_score_prior is not None
    )


def _mean_of_studies(scores: Iterable[Iterable[float | None]]) -> float | None:
    means = []
    for of_study in scores:
        found = [score for score in of_study if score is not None]
        if found:
            means.append(math.fsum(found) / len(found))
    return math.fsum(means) / len(means) if means else None
