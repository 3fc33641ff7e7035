"""Averages over the candidates of a comparison: one answer that does not pick the best of many.

The posterior averaged over candidates m is Σ w_m p(rho | data, m). The weights w_m are their
posterior probabilities, equal before the data (Hoeting, Madigan, Raftery, Volinsky 1999,
10.1214/ss/1009212519), or their stacking weights. Where mu may be exactly 0 the average has a spike
there: its numbers count it, and those given an effect leave it out. Neither stands for the other,
so both are shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.special import expit, logsumexp

from metarho.compare.rows import Row, Value
from metarho.compare.scores import incomparable
from metarho.compare.which_prior import Candidate
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Marginal, Point, Summary
from metarho.posterior.mixtures import invert

type Weights = Literal["evidence", "stacking"]

COLUMNS = (
    "intervals", "weights", "over", "candidates", "mean", "median", "lower", "upper", "new_mean",
    "new_median", "new_lower", "new_upper", "spike",
)  # fmt: skip
"""The columns of the table of averages, in order."""

ALL, EFFECT, BOTH = "all", "with an effect", "an effect or none"
"""What an average is over: all candidates; those that leave mu free; these and each one's mu = 0,
as probable as itself before the data."""

# The column of the comparison that holds each kind of weight.
_COLUMN: Mapping[Weights, str] = {"evidence": "probability", "stacking": "stacking"}
# Candidates that together weigh less do not move what is printed.
LEAST_WEIGHT = 1e-9


def averages(candidates: Sequence[Candidate], rows: Sequence[Row], prob: float) -> list[Row]:
    """Averages by evidence and by stacking over candidates that can be compared: COLUMNS.

    ``rows`` is the comparison's table of the candidates. Intervals are equal-tailed. ``spike`` is
    the probability that mu is exactly 0; where all candidates leave mu free, an average by
    evidence has rows with each candidate's mu = 0 beside it. Groups of one candidate, and
    candidates without a weight, are left out.
    """
    found: list[Row] = []
    left = list(range(len(candidates)))
    while left:
        first = candidates[left[0]].fit
        group = [i for i in left if incomparable(first, candidates[i].fit) is None]
        left = [i for i in left if i not in group]
        for weights in _COLUMN:
            found += _of_group([(candidates[i], rows[i]) for i in group], weights, prob)
    return found


def average(weights: Sequence[float], parts: Sequence[Marginal], prob: float) -> Summary:
    """The mixture's mean, sd, median and equal-tailed interval.

    A quantile of a mixture lies between the least and the largest of its parts'; one that a point
    holds is that point, exactly.
    """
    heaviest = max(weights)
    kept = [(w, p) for w, p in zip(weights, parts, strict=True) if w > LEAST_WEIGHT * heaviest]
    total = math.fsum(w for w, _ in kept)
    each = [(w / total, part, part.summary(prob, "eti")) for w, part in kept]

    def cdf(x: float) -> float:
        return math.fsum(w * float(part.cdf(np.array(x))) for w, part, _ in each)

    jumps: dict[float, float] = {}
    for w, part, _ in each:
        if isinstance(part, Point):
            jumps[part.value] = jumps.get(part.value, 0.0) + w

    def quantile(name: str, share: float) -> float | None:
        for value, mass in jumps.items():
            reached = cdf(value)
            if reached - mass < share <= reached:
                return value
        ends = [getattr(one, name) for _, _, one in each]
        return None if None in ends else invert(cdf, share, min(ends), max(ends))

    def moment(numbers: Sequence[float | None]) -> float | None:
        known = [number for number in numbers if number is not None]
        if len(known) < len(numbers):
            return None
        return math.fsum(w * number for (w, _, _), number in zip(each, known, strict=True))

    mean = moment([one.mean for _, _, one in each])
    square = moment([_square(one) for _, _, one in each])
    sd = None if mean is None or square is None else math.sqrt(max(0.0, square - mean**2))
    return Summary(
        mean,
        sd,
        quantile("median", 0.5),
        quantile("lower", (1 - prob) / 2),
        quantile("upper", (1 + prob) / 2),
    )


def in_words(row: Row) -> str | None:
    """The spike of an average, as a sentence; None without one."""
    spike = row["spike"]
    if not isinstance(spike, float):
        return None
    said = (
        f"averaged by {row['weights']}, the mean correlation is exactly 0 with probability "
        f"{spike:.3g}"
    )
    if row["over"] == BOTH:
        said += ", where an effect was as probable as none before the data"
    return (
        f"{said}; the interval over {row['over']!r} counts that, the one given an effect does not"
    )


def _square(one: Summary) -> float | None:
    return None if one.mean is None or one.sd is None else one.sd**2 + one.mean**2


def _of_group(group: Sequence[tuple[Candidate, Row]], weights: Weights, prob: float) -> list[Row]:
    column = _COLUMN[weights]
    weighed = [(c, row, w) for c, row in group if isinstance(w := row[column], float)]
    if len(weighed) < 2 or sum(w for _, _, w in weighed) <= 0:
        return []
    head: dict[str, Value] = {"intervals": weighed[0][0].intervals, "weights": weights}
    free = [(c, row, w) for c, row, w in weighed if not _is_null(c)]
    held = math.fsum(w for c, _, w in weighed if _is_null(c))
    rows: list[Row] = []
    if len(free) < len(weighed):
        rows.append(_row(head, ALL, weighed, prob, spike=held))
        if any(w > 0 for _, _, w in free):
            rows.append(_row(head, EFFECT, free, prob, spike=None))
        return rows
    rows.append(_row(head, ALL, weighed, prob, spike=None))
    if weights == "evidence" and (spike := _even_spike(free)) is not None:
        # The same given an effect: all candidates leave mu free.
        rows.append(_with_spike(head, free, prob, spike))
    return rows


def _is_null(candidate: Candidate) -> bool:
    """Whether mu is held at 0, and is all that the mean is made of."""
    problem = candidate.fit.problem
    prior = problem.prior("mu") if "mu" in problem.priors else None
    alone = len(problem.coefficients) == 1
    return prior is not None and alone and prior.is_point and prior.values["c"] == 0


def _even_spike(free: Sequence[tuple[Candidate, Row, float]]) -> float | None:
    """P(mu = 0 | data) with each candidate's mu = 0 beside it, as probable; None without BFs."""
    with_it, without = [], []
    for candidate, row, _ in free:
        log_evidence, times = row["log_evidence"], row["bf_mu"]
        slopes = len(candidate.fit.problem.coefficients) > 1
        if not isinstance(log_evidence, float) or not isinstance(times, float) or slopes:
            return None
        if times == 0:  # an underflow, whose log is no number
            return None
        with_it.append(log_evidence)
        without.append(log_evidence - math.log(times))
    return float(expit(logsumexp(without) - logsumexp(with_it)))


def _with_spike(
    head: Mapping[str, Value],
    free: Sequence[tuple[Candidate, Row, float]],
    prob: float,
    spike: float,
) -> Row:
    """The mean with its spike; a new study under mu = 0 is another model's, and left out."""
    parts = [mean_of(candidate.fit) for candidate, _, _ in free]
    total = math.fsum(w for _, _, w in free)
    own = [(1 - spike) * w / total for _, _, w in free]
    found = average([*own, spike], [*parts, Point(0.0)], prob)
    return _numbers(head, BOTH, len(free), found, None, spike)


def _row(
    head: Mapping[str, Value],
    over: str,
    weighed: Sequence[tuple[Candidate, Row, float]],
    prob: float,
    *,
    spike: float | None,
) -> Row:
    weights = [w for _, _, w in weighed]
    mean = average(weights, [mean_of(candidate.fit) for candidate, _, _ in weighed], prob)
    new = average(weights, [new_of(candidate.fit) for candidate, _, _ in weighed], prob)
    return _numbers(head, over, len(weighed), mean, new, spike)


def _numbers(
    head: Mapping[str, Value],
    over: str,
    count: int,
    mean: Summary,
    new: Summary | None,
    spike: float | None,
) -> Row:
    return {
        **head,
        "over": over,
        "candidates": count,
        **{name: getattr(mean, name) for name in ("mean", "median", "lower", "upper")},
        **{
            f"new_{name}": None if new is None else getattr(new, name)
            for name in ("mean", "median", "lower", "upper")
        },
        "spike": spike,
    }


def mean_of(fit: Fit) -> Marginal:
    """The headline: rho_median on r, or for GEN the mean at the average row."""
    posterior = fit.posterior
    mean = posterior.mean_of(posterior.head)
    return mean if fit.problem.scale == "yi" else posterior.rho(mean)


def new_of(fit: Fit) -> Marginal:
    """The true effect of a new study like the average row, on the scale of the headline."""
    posterior = fit.posterior
    new = posterior.theta_new(posterior.head)
    return new if fit.problem.scale == "yi" else posterior.rho(new)
