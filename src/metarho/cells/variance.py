"""How much of the variance of an answer over the cells of a grid goes with each decision.

Cells are given, not drawn at random: the shares describe the table, and are no estimates. They
depend on which options were declared; a decision with extreme options has a large share.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.cells.table import answered, answers, by_estimand, choice, varied
from metarho.compare.rows import Row

type Array = NDArray[np.float64]

COLUMNS = ("answer", "over", "term", "changes", "share", "sd", "cells")
"""The columns of the table of shares, in order."""

ALL, WITHIN = "all cells", "within estimands"
BETWEEN, REST = "between estimands", "interactions and rest"

# Quantiles are exact to about 1e-8 of what they are of: smaller spreads are rounding.
_SAME = 1e-8
# Directions of dummies are whole cells or none (1e-3 of the largest at 10,000 cells); rounding is
# 1e-13.
_ALIASED = 1e-9


@dataclass(frozen=True)
class Shares:
    """Shares of a variance by decision, which with ``rest`` sum to 1.

    Of cells that all give the same answer there are none: ``shares`` is empty, ``rest`` is None.
    """

    shares: Mapping[str, float]
    rest: float | None


@dataclass(frozen=True)
class VarianceByDecision:
    """The variance of ``answer`` over ``cells`` cells, two ways.

    ``sd`` is its square root, on the answer's scale, None without cells; ``without`` counts cells
    that are reportable and have no such number. ``everywhere`` are shares among all decisions.
    ``between`` is the share of the variance between estimands, ``sd_within`` the root of the
    variance within, and ``within`` are shares of that among the decisions that change only
    estimation. Where all cells have one
    estimand, or one answer, ``between`` is None and within is what is everywhere.
    """

    answer: str
    cells: int
    without: int
    sd: float | None
    everywhere: Shares
    between: float | None
    sd_within: float | None
    within: Shares


def variance_by_decision(
    rows: Sequence[Row],
    decisions: Sequence[str],
    estimand: Collection[str],
    answer: str = "median",
) -> VarianceByDecision:
    """The shares of the decisions in the variance of ``answer`` over all cells that have it.

    With estimands e of n_e of the N cells, the law of total variance is

        Var(y) = Σ_e (n_e / N) (ȳ_e - ȳ)² + Σ_e (n_e / N) Var(y | e),

    between and within. Within, all is taken less its mean in the estimand, then split in the same
    way: decisions have effects common to all estimands, and what of them turns with the estimand is
    in the rest. Effects of each estimand's own would fit the few cells that a sample has of one.
    """
    groups = by_estimand(answered(rows, answer), decisions, estimand)
    used = [row for group in groups for row in group.rows]
    without = len(answered(rows)) - len(used)
    deciding = varied(used, decisions)
    sd, everywhere = _split(used, answer, deciding, [len(used)])
    if len(groups) < 2 or not sd:
        return VarianceByDecision(answer, len(used), without, sd, everywhere, None, sd, everywhere)
    estimation = [name for name in deciding if name not in estimand]
    sizes = [len(group.rows) for group in groups]
    inside, within = _split(used, answer, estimation, sizes)
    between = max(0.0, 1 - ((inside or 0.0) / sd) ** 2)
    return VarianceByDecision(answer, len(used), without, sd, everywhere, between, inside, within)


def shapley(
    y: Array, chosen: Sequence[Sequence[str]], sizes: Sequence[int]
) -> tuple[list[float], float]:
    """Shares of P decisions in the variance of y (N), and of interactions and the rest.

    R²(S) is that of the regression of y on the dummies of the decisions S, main effects only. The
    share of decision d is its gain in R² averaged over all orders in which decisions can enter,

        Σ_{S not with d} |S|! (P - |S| - 1)! / P! [R²(S with d) - R²(S)]

    (Lindeman, Merenda & Gold 1980, pp. 119 ff., known as LMG; Grömping 2007,
    10.1198/000313007X188252; the Shapley value of R²). In a balanced product it is the decision's
    sum of squares over the total. Decisions that always change together share by symmetry. The rest
    is 1 - R²(all). ``chosen`` has each decision's values (N). ``sizes`` are those of groups, one
    after the other, within which all is taken less its mean; y varies within one at least. The work
    grows as 2^P.
    """
    response = _less_means(y[:, None], sizes)
    blocks = [_less_means(_dummies(values), sizes) for values in chosen]
    # Only inner products count from here on, which the triangle of N rows keeps.
    triangle = np.linalg.qr(np.column_stack([*blocks, response]), mode="r")
    ends = np.cumsum([0, *(block.shape[1] for block in blocks)])
    explained = _explained(triangle, [int(end) for end in ends]) / float(np.sum(response**2))
    count = len(chosen)
    sets = np.arange(2**count)
    entered = np.bitwise_count(sets)
    orders = [
        math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
        for size in range(count)
    ]
    shares = []
    for index in range(count):
        bit = 1 << index
        without = sets[(sets & bit) == 0]
        gains = explained[without | bit] - explained[without]
        shares.append(float(np.array(orders)[entered[without]] @ gains))
    return shares, 1 - float(explained[-1])


def variance_rows(found: Sequence[VarianceByDecision], estimand: Collection[str]) -> list[Row]:
    """One row a share: COLUMNS; ``changes`` says whether a decision changes the estimand."""
    rows: list[Row] = []
    for one in found:
        terms: list[tuple[str, str, float | None]] = [
            (ALL, name, share) for name, share in one.everywhere.shares.items()
        ]
        terms.append((ALL, REST, one.everywhere.rest))
        if one.between is not None:
            terms.append((ALL, BETWEEN, one.between))
            terms += [(WITHIN, name, share) for name, share in one.within.shares.items()]
            terms.append((WITHIN, REST, one.within.rest))
        for over, term, share in terms:
            if share is None:
                continue
            is_decision = term not in (REST, BETWEEN)
            changes = "estimand" if term in estimand else "estimation"
            rows.append(
                {
                    "answer": one.answer,
                    "over": over,
                    "term": term,
                    "changes": changes if is_decision else None,
                    "share": share,
                    "sd": one.sd_within if over == WITHIN else one.sd,
                    "cells": one.cells,
                }
            )
    return rows


def _split(
    rows: Sequence[Row], answer: str, decisions: Sequence[str], sizes: Sequence[int]
) -> tuple[float | None, Shares]:
    """The sd within groups of these sizes, None without rows, and the shares of decisions in it."""
    if not rows:
        return None, Shares({}, None)
    y = np.array(answers(rows, answer))
    deviations = _less_means(y[:, None], sizes)[:, 0]
    unit = float(np.abs(deviations).max())
    if not unit > _SAME * float(np.abs(y).max()):
        return 0.0, Shares({}, None)
    # Squares of tiny or huge numbers have no place.
    scaled = deviations / unit
    shares, rest = shapley(scaled, [[choice(r, name) for r in rows] for name in decisions], sizes)
    sd = unit * math.sqrt(float(scaled @ scaled) / len(y))
    return sd, Shares(dict(zip(decisions, shares, strict=True)), rest)


def _less_means(columns: Array, sizes: Sequence[int]) -> Array:
    """Columns (N, K) less their means in groups of these sizes, one after the other."""
    starts = np.cumsum([0, *sizes[:-1]])
    means = np.add.reduceat(columns, starts, axis=0) / np.array(sizes)[:, None]
    return np.asarray(columns - np.repeat(means, sizes, axis=0))


def _dummies(values: Sequence[str]) -> Array:
    """A column (N) of 0 and 1 for each value."""
    names = {name: place for place, name in enumerate(dict.fromkeys(values))}
    block = np.zeros((len(values), len(names)))
    block[np.arange(len(values)), [names[value] for value in values]] = 1.0
    return block


def _explained(columns: Array, ends: Sequence[int]) -> Array:
    """The sum of squares of the last column that each set of blocks explains (2^P).

    Block i is the columns from ``ends[i]`` to ``ends[i + 1]``; bit i of a set's place says that it
    is in. Sets are gone through as a tree: each adds a block to its parent, off which all columns
    to come have been projected already, so what a block explains is a square, never below 0.
    """
    count = len(ends) - 1
    found = np.zeros(2**count)
    threshold = _ALIASED * float(np.linalg.norm(columns[:, :-1], axis=0).max(initial=0.0))

    def descend(members: int, start: int, left: Array, sofar: float) -> None:
        """``left``: the columns from block ``start`` on, less what the members explain."""
        found[members] = sofar
        for block in range(start, count):
            first, last = ends[block] - ends[start], ends[block + 1] - ends[start]
            directions, lengths, _ = np.linalg.svd(left[:, first:last], full_matrices=False)
            basis = directions[:, lengths > threshold]
            later = left[:, last:]
            along = basis.T @ later
            gained = float(along[:, -1] @ along[:, -1])
            descend(members | 1 << block, block + 1, later - basis @ along, sofar + gained)

    descend(0, 0, columns, 0.0)
    return found
