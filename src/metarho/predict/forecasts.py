"""What was expected of a row before it came, and how well that did.

A posterior of earlier rows, or a prior, predicts what a row of n people prints by the model's own
sampling law: a number, or a word on significance. Scores are proper (Gneiting and Raftery 2007,
10.1198/016214506000001437): the log score, the CRPS of a number, the ranked probability score of a
word (Epstein 1969).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.intervals import log_several
from metarho.engines.problem import Evidence, Problem
from metarho.posterior.crps import crps
from metarho.posterior.exact import Exact
from metarho.posterior.marginals import Curve, Point, below, median_and_interval
from metarho.posterior.mixtures import Mixture
from metarho.posterior.observed_r import ends_of, observed_z, on_panels
from metarho.predict.words import ORDERED_WORDS, word_probabilities
from metarho.spec.analysis import Interval

type Law = Curve | Mixture

# What a law has beyond its ends moves no CRPS that is printed to 1e-8: its square counts.
_BEYOND = 1e-8


@dataclass(frozen=True)
class Forecast:
    """What was expected of one row, and how that did against what it printed.

    ``median``, ``lower``, ``upper``: of the number that a row of its size prints, on r (GEN: yi).
    ``held``: whether the number lay within; None for intervals. ``pit``: P(result < lower end) and
    P(result <= upper end) of what was printed, which are one for a number; None for several tests.
    ``crps``: on r (GEN: yi), of numbers. ``log_score``: log density of z = atanh(r) (GEN: of yi)
    of the row alone, or log probability of its interval. ``words``: probabilities of ORDERED_WORDS;
    ``word``: the one that was printed, or that its number would have been. ``rps``: that of the
    word, Σ (P(word <= w) − 1{printed <= w})² over the first two w: 0 to 2, 0 is best.
    """

    median: float
    lower: float
    upper: float
    held: bool | None
    pit: tuple[float, float] | None
    crps: float | None
    log_score: float | None
    words: tuple[float, float, float] | None
    word: str | None
    rps: float | None

    @property
    def chance(self) -> float | None:
        """The probability of the word or range that was printed; None for numbers."""
        if self.held is not None or self.log_score is None:
            return None
        return math.exp(self.log_score)


def forecasts(
    posterior: Exact, problem: Problem, rows: Sequence[int], interval: Interval
) -> list[Forecast]:
    """What a posterior, of rows that came before, expected of some rows of a problem.

    The design of the rows is the problem's, of which the posterior has a part of the evidence.
    """
    laws = _laws(posterior, problem, rows)
    return [
        _forecast(posterior, problem, row, law, interval)
        for row, law in zip(rows, laws, strict=True)
    ]


def word_of(evidence: Evidence, row: int) -> str | None:
    """The word on significance that a row printed, or that its number would have been.

    None where its interval lies in no word's, or n is not known.
    """
    critical = float(evidence.critical[row])
    low = high = float(evidence.y[row])
    if evidence.is_interval[row]:
        low, high = float(evidence.lower[row]), float(evidence.upper[row])
    if low >= critical:
        return ORDERED_WORDS[2]
    if high <= -critical:
        return ORDERED_WORDS[0]
    return ORDERED_WORDS[1] if -critical <= low and high <= critical else None


def _laws(posterior: Exact, problem: Problem, rows: Sequence[int]) -> Iterator[Law]:
    """The law of what each row would find, on the model's scale; rows that are alike share one."""
    exactly = problem.model.likelihood == "exact-r"
    evidence, known = problem.evidence, dict[tuple[bytes, float], Law]()
    effects = dict[bytes, Curve | Point]()
    for row in rows:
        x = problem.design.matrix[row]
        size = float(evidence.sizes[row] if exactly else evidence.v[row])
        key = x.tobytes(), size
        if key not in known and exactly:
            if key[0] not in effects:
                effects[key[0]] = _resolved(posterior.theta_new(x))
            known[key] = observed_z(effects[key[0]], size)
        elif key not in known:
            known[key] = _spread(posterior.theta_new(x, size))
        yield known[key]


def _resolved(theta: Curve | Mixture | Point) -> Curve | Point:
    """A true effect on panels, once for all sizes of studies."""
    return theta if isinstance(theta, Point) else on_panels(theta, *ends_of(theta))


def _spread(law: Curve | Mixture | Point) -> Law:
    # Sampling error keeps every law of a result from being a point.
    assert not isinstance(law, Point)
    return law


def _forecast(
    posterior: Exact, problem: Problem, row: int, law: Law, interval: Interval
) -> Forecast:
    evidence, on_r = problem.evidence, problem.scale == "z"
    several = bool(evidence.sums_up[row])
    median, lower, upper = median_and_interval(
        lambda p: np.tanh(law.quantile(p)) if on_r else law.quantile(p),
        interval.prob,
        interval.kind,
    )
    words, word, rps = None, None, None
    if on_r and not several:
        words, word = word_probabilities(law, float(evidence.critical[row])), word_of(evidence, row)
        rps = None if word is None else _ranked(words, word)
    if not evidence.is_interval[row]:
        y = float(evidence.y[row])
        found = math.tanh(y) if on_r else y
        share = below(law, y)
        return Forecast(
            median,
            lower,
            upper,
            lower <= found <= upper,
            (share, share),
            _crps(law, y, on_r=on_r),
            _log(float(law.density(np.array([y]))[0])),
            words,
            word,
            rps,
        )
    if several:
        chance = _chance_of_several(posterior, problem, row)
        return Forecast(
            median, lower, upper, None, None, None, _log(chance), None, word_of(evidence, row), None
        )
    pit = below(law, float(evidence.lower[row])), below(law, float(evidence.upper[row]))
    chance = pit[1] - pit[0]
    return Forecast(median, lower, upper, None, pit, None, _log(chance), words, word, rps)


def _ranked(words: tuple[float, float, float], word: str) -> float:
    """The ranked probability score of a word."""
    at = ORDERED_WORDS.index(word)
    reached = np.cumsum(words)[:2] - (np.arange(2) >= at)
    return float((reached**2).sum())


def _crps(law: Law, y: float, *, on_r: bool) -> float | None:
    """The CRPS of a number; None where its law has no mean."""
    if not on_r and not law.moments > 1:
        return None
    low, high = law.range(0.25)
    return crps(law.cdf, y, law.range(_BEYOND), 0.5 * (high - low), on_r=on_r)


def _chance_of_several(posterior: Exact, problem: Problem, row: int) -> float:
    """P(word) of a row that sums up several tests.

    Given the true effect with the error that its tests share, they are independent
    (``engines/exact/intervals.py``).
    """
    evidence = problem.evidence
    own, printed = float(evidence.v_own[row]), evidence.rows[row]
    shared = float(evidence.v[row]) - own
    middle = _resolved(posterior.theta_new(problem.design.matrix[row], shared))
    ends = float(evidence.lower[row]), float(evidence.upper[row])

    def chance(x: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = [(end - x) / math.sqrt(own) for end in ends]
        return np.exp(log_several(scaled[0], scaled[1], printed.tests, printed.word_means))

    if isinstance(middle, Point):
        return float(chance(np.array([middle.value]))[0])
    return middle.expect(chance)


def _log(chance: float) -> float | None:
    """The log of a density or probability; None where it is too small for a number."""
    return math.log(chance) if chance > 0 else None
