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
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpstrf

from metarho.cells.table import answered, answers, by_estimand, choice, varied
from metarho.compare.rows import Row

type Array = NDArray[np.float64]
type Codes = NDArray[np.intp]

COLUMNS = ("answer", "over", "term", "changes", "share", "sd", "cells")
"""The columns of the table of shares, in order."""

ALL, WITHIN = "all cells", "within estimands"
BETWEEN, REST = "between estimands", "interactions and rest"

# Quantiles are exact to about 1e-8 of what they are of: smaller spreads are rounding.
_SAME = 1e-8
# A dummy repeats those before it where its sum of squares beyond them is less. Sums of squares are
# of counts: what is not 0 is hardly below 1/cells, and rounding is below 1e-9 at 1e5 cells.
_ALIASED = 1e-7


@dataclass(frozen=True)
class Shares:
    """Shares of a variance by decision, which with ``rest`` sum to 1.

    ``by_chance`` is the sum that they would have on average had the answers been dealt to the cells
    at random: the number of main effects that can be told apart over the number of cells, each less
    what is held fixed. Of cells that all give the same answer there are no shares, and None.
    """

    shares: Mapping[str, float]
    rest: float | None
    by_chance: float | None


@dataclass(frozen=True)
class VarianceByDecision:
    """The variance of ``answer`` over ``cells`` cells, two ways.

    ``sd`` is its square root, on the answer's scale, None without cells; ``without`` counts cells
    that are reportable and have no such number. ``everywhere`` are shares among all decisions.
    ``between`` is the share of the variance between estimands, ``sd_within`` the root of the
    variance within, and ``within`` are shares of that among the decisions that change only
    estimation. Where all cells have one estimand, or one answer, ``between`` is None and within is
    what is everywhere.
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
) -> tuple[list[float], int]:
    """Shares of P decisions in the variance of y (N), and how many main effects there are.

    R²(S) is that of the regression of y on the dummies of the decisions S, main effects only. The
    share of decision d is its gain in R² averaged over all orders in which decisions can enter,

        Σ_{S not with d} |S|! (P - |S| - 1)! / P! [R²(S with d) - R²(S)]

    (Lindeman, Merenda & Gold 1980, pp. 119 ff., known as LMG; Grömping 2007,
    10.1198/000313007X188252; the Shapley value of R²). Shares sum to R²(all). In a balanced product
    each is the decision's sum of squares over the total. Decisions that always change together
    share by symmetry. ``chosen`` has each decision's values (N). ``sizes`` are those of groups, one
    after the other, within which all is taken less its mean; y varies within one at least. There
    are 2^P regressions, whose cost does not depend on N.
    """
    groups = np.repeat(np.arange(len(sizes)), sizes)
    response = _less_means(y, groups)
    response /= math.sqrt(float(response @ response))
    gram, cross, block = _normal_equations(response, [_codes(names) for names in chosen], groups)
    count = len(chosen)
    sets = np.arange(2**count)
    explained, rank = np.zeros(2**count), 0
    for members in range(1, 2**count):
        inside = (members >> block & 1).astype(bool)
        explained[members], rank = _explained(gram[np.ix_(inside, inside)], cross[inside])
    entered = np.bitwise_count(sets)
    orders = np.array(
        [
            math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for size in range(count)
        ]
    )
    shares = []
    for index in range(count):
        bit = 1 << index
        without = sets[(sets & bit) == 0]
        gains = explained[without | bit] - explained[without]
        # Below 0 is rounding.
        shares.append(max(0.0, float(orders[entered[without]] @ gains)))
    return shares, rank


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
        return None, Shares({}, None, None)
    y = np.array(answers(rows, answer))
    # Squares of tiny or huge numbers have no place.
    unit = float(np.abs(y).max()) or 1.0
    deviations = _less_means(y / unit, np.repeat(np.arange(len(sizes)), sizes))
    largest = float(np.abs(deviations).max())
    if not largest > _SAME:
        return 0.0, Shares({}, None, None)
    chosen = [[choice(row, name) for row in rows] for name in decisions]
    shares, rank = shapley(deviations, chosen, sizes)
    sd = unit * math.sqrt(float(deviations @ deviations) / len(y))
    rest = max(0.0, 1 - math.fsum(shares))
    by_chance = rank / (len(y) - len(sizes))
    return sd, Shares(dict(zip(decisions, shares, strict=True)), rest, by_chance)


def _less_means(y: Array, groups: Codes) -> Array:
    """Numbers (N) less the mean of their group."""
    means = np.bincount(groups, weights=y) / np.bincount(groups)
    return np.asarray(y - means[groups])


def _codes(names: Sequence[str]) -> Codes:
    """Each name as its place (N) among those that there are."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names])


def _normal_equations(
    response: Array, decisions: Sequence[Codes], groups: Codes
) -> tuple[Array, Array, Codes]:
    """X'X (L, L) and X'y (L) of dummies less their group means, and each dummy's decision (L).

    By counting: X'X = N - C' diag(1/n) C, with N the number of cells that have both values, C (G,
    L) of those in a group that have one, and n (G) of those in a group.
    """
    widths = [int(codes.max()) + 1 for codes in decisions]
    starts = np.cumsum([0, *widths])
    dummies = [codes + start for codes, start in zip(decisions, starts, strict=False)]
    count, size = int(starts[-1]), int(groups.max()) + 1
    both, in_group, cross = np.zeros((count, count)), np.zeros((size, count)), np.zeros(count)
    for one in dummies:
        np.add.at(in_group, (groups, one), 1.0)
        np.add.at(cross, one, response)
        for other in dummies:
            np.add.at(both, (one, other), 1.0)
    gram = both - in_group.T @ (in_group / np.bincount(groups)[:, None])
    return gram, cross, np.repeat(np.arange(len(widths)), widths)


def _explained(gram: Array, cross: Array) -> tuple[float, int]:
    """The sum of squares of y that dummies explain, and how many of them repeat no others.

    With the Cholesky factor R'R = X'X, rows and columns in the order of pivots, it is |R'⁻¹ X'y|².
    """
    if not gram.any():  # decisions that go with the groups
        return 0.0, 0
    factor, pivots, rank, _ = dpstrf(gram, tol=_ALIASED)
    solved = solve_triangular(factor[:rank, :rank], cross[pivots[:rank] - 1], trans="T")
    return float(solved @ solved), int(rank)
