"""Every study predicted by the others, and how surprising it is.

A number is as surprising as the two-sided tail that it lies in, 2 min(PIT, 1 − PIT) with
PIT = P(y_new ≤ y | the other studies); a word as improbable as it was, P(word | all other rows).
Both in bits, −log₂: one for what is as likely as not, 4.3 for one in twenty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from metarho.data.effect_sizes import WORDS
from metarho.data.studies import Row
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.posterior.leave_out import Score


@dataclass(frozen=True)
class Surprise:
    """A row of the evidence as the others predict it; None where a number does not exist.

    Of a row that printed a number ``pit`` and ``tail``, its study left out with all its rows; of
    a word its ``probability``, all other rows kept, siblings too; of a range neither. ``study`` is
    what the other studies say of all rows of the study together.
    """

    row: Row
    pit: float | None
    tail: float | None
    probability: float | None
    study: Score

    @property
    def bits(self) -> float | None:
        """−log₂ of the tail, or of the word's probability."""
        chance = self.probability if self.tail is None else self.tail
        if chance is None:
            return None
        return max(0.0, -math.log2(chance)) if chance > 0 else math.inf

    def printed(self, scale: str) -> str:
        """What the row printed: its number, on r unless the scale is yi, or its word."""
        if self.row.is_interval:
            return self.row.reported
        return f"yi = {self.row.yi:z.3f}" if scale == "yi" else f"r = {self.row.ri:z.3f}"


def no_surprises(fit: Fit) -> str | None:
    """Why no row has a surprise; None when some have."""
    problem = fit.problem
    if not isinstance(fit.result, Quadrature):
        return "studies are not predicted by the others: the model is sampled"
    if not _has_pit(problem) and not any(row.reported in WORDS for row in problem.evidence.rows):
        return "studies are not predicted by the others: numbers have no PIT under this model"
    return None


def surprises(fit: Fit) -> tuple[Surprise, ...]:
    """The rows of an exact fit, the most surprising first; () where ``no_surprises`` says why.

    Rows that have no surprise come last. A tail is that of one row, whatever the study's other rows
    are.
    """
    # Leaving out takes its time where rows are not normal.
    scores, evidence = None if no_surprises(fit) else fit.leave_out, fit.problem.evidence
    if scores is None:
        return ()
    found = []
    for index, (row, study) in enumerate(zip(evidence.rows, evidence.study, strict=True)):
        score = scores.studies[study]
        pit = probability = None
        if not evidence.is_interval[index]:
            numbers = np.flatnonzero((evidence.study == study) & ~evidence.is_interval)
            pit = score.pit[int((numbers < index).sum())] if score.pit else None
        elif row.reported in WORDS:
            log_chance = scores.effects[index].log_density
            probability = None if log_chance is None else min(1.0, math.exp(log_chance))
        tail = None if pit is None else min(1.0, 2 * min(pit, 1 - pit))
        found.append(Surprise(row, pit, tail, probability, score))
    return tuple(sorted(found, key=_most_surprising_first))


def _has_pit(problem: Problem) -> bool:
    """Whether ``fit.leave_out`` has the PIT of numbers: where rows are normal given the nodes."""
    model = problem.model
    return (model.likelihood, model.effects, model.selection) == ("normal", "normal", "none")


def _most_surprising_first(one: Surprise) -> float:
    return math.inf if one.bits is None else -one.bits
