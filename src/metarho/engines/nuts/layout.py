"""How the rows of a problem enter its PyMC model, as plain arrays of one length.

True effects are integrated out wherever that is exact: on the level of the effect always, but for
the exact law of r; on one level of groups (the one with most of them) where rows are normal, for
groups whose rows are all numbers or that have one row, and whose moderators are known. Other groups
keep their deviation as a variable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarho.data.missing import Imputation
from metarho.engines import law_of_r
from metarho.engines.exact.intervals import log_several
from metarho.engines.exact.selection import stretch_ends
from metarho.engines.measurement import known_artefacts
from metarho.engines.problem import Evidence, Problem
from metarho.spec.model import StepSelection
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]
type Index = NDArray[np.intp]

# An end that is not there: so far out that the normal cdf is 0 or 1 at any heterogeneity.
ENDLESS = 1e10
# The law of r to this error of its log: a sampler cannot tell more.
LAW_ERROR = 1e-9

# Chances of intervals are tabulated for theta between −5 and 5 (a rho of .9999), at 15 cells in a
# standard error: their logs are right to 1e-7, with a million people (wider cells) to 3e-4.
FARTHEST_THETA = 5.0
CELLS = 15
MOST_CELLS = 20_000

# The shared part of several tests, in panels of this many sds of the narrowest integrand, to this
# many sds of one test beyond an interval (where its chance is exp(−112) and less), or to where an
# open one is certain in double precision.
PANEL_SDS, PANEL_NODES, FAR_SDS, FULL_SDS = 4.0, 12, 15.0, 8.5


@dataclass(frozen=True)
class Kept:
    """The groups of a level that keep their deviation.

    ``groups`` lists them; ``place`` is each row's entry in that list, -1 for rows whose group's
    deviation is integrated out.
    """

    groups: Index
    place: Index

    @property
    def rows(self) -> Array:
        """1 for rows whose group keeps its deviation, else 0."""
        return (self.place >= 0).astype(float)


def variables(problem: Problem) -> dict[str, str]:
    """Parameter -> a name that is an identifier (slopes and weights are numbered)."""
    found: dict[str, str] = {}
    for name in problem.priors:
        base, bracket, _ = name.partition("[")
        number = sum(one.startswith(f"{base}[") for one in found)
        found[name] = f"{base}_{number}" if bracket else name
    return found


def group_levels(problem: Problem) -> tuple[str, ...]:
    """The levels on which rows share a deviation: all but the effect."""
    return tuple(level for level in problem.model.levels if level != "effect")


def integrated_level(problem: Problem) -> str | None:
    """The level whose deviations are integrated out where that is exact; None where none is."""
    levels = group_levels(problem)
    if not levels or not problem.is_gaussian:
        return None
    return max(levels, key=lambda level: len(problem.evidence.groups(level)[1]))


def has_intervals(problem: Problem) -> bool:
    """Whether the model has a place for intervals.

    Two-level models of normal rows always have, one that may be empty, so that evidence with and
    without interval rows is one compiled model; others differ then anyway, in what is kept.
    """
    plain = problem.is_gaussian and not group_levels(problem)
    return plain or bool(problem.evidence.is_interval.any())


def lay_out(problem: Problem) -> dict[str, Kept]:
    """Which groups of each level keep a deviation."""
    evidence, integrated = problem.evidence, integrated_level(problem)
    found = {}
    for level in group_levels(problem):
        index, names = evidence.groups(level)
        groups = np.arange(len(names))
        if level == integrated:
            intervals = np.bincount(index, weights=evidence.is_interval)
            unknown = np.zeros(len(names), dtype=bool)
            if problem.imputation is not None:
                unknown[index[problem.imputation.rows]] = True
            groups = np.flatnonzero(((np.bincount(index) > 1) & (intervals > 0)) | unknown)
        place = np.full(len(names), -1, dtype=np.intp)
        place[groups] = np.arange(len(groups))
        found[level] = Kept(groups, place[index])
    return found


def is_steep(problem: Problem) -> bool:
    """Whether the posterior may be steep near an sd of 0.

    It is where deviations or true effects are variables, where several sds share what little a
    few groups say, where rows are not normal, and where a bias stretches out along mu.
    """
    kept = any(len(kept.groups) for kept in lay_out(problem).values())
    plain = problem.is_gaussian and problem.model.selection == "none"
    return kept or not plain or len(problem.spreads) > 1


def signature(prior: Prior) -> tuple[object, ...]:
    """What the priors of one compiled model share: all but their numbers."""
    return (
        prior.family,
        prior.on,
        tuple(name for name, _ in prior.arguments),
        tuple((name, len(values)) for name, values in prior.lists),
        signature(prior.dist) if prior.dist else (),
    )


def row_data(problem: Problem) -> dict[str, Array | Index]:
    """The rows as the model's data, by name.

    An interval has ``exact`` 0, which takes the density of its placeholder y out. Rows with
    correlated errors are turned into the directions of their covariance, and all that enters their
    mean with them.
    """
    evidence = problem.evidence
    interval = evidence.is_interval
    columns = {"y": np.where(interval, 0.0, evidence.y), "one": np.ones(evidence.k)}
    for column in range(1, problem.design.matrix.shape[1]):
        columns[f"x_{column - 1}"] = problem.design.matrix[:, column]
    if problem.bias is not None:
        columns["bias"] = problem.bias
    centre = {} if problem.bias is None else {"bias_centre": np.asarray(problem.bias.mean())}
    turned, v = evidence.turned(np.column_stack(list(columns.values())))
    data: dict[str, Array | Index] = dict(zip(columns, turned.T.copy(), strict=True))
    data |= centre
    if not evidence.correlated:
        del data["one"]
    for column in range(1, problem.scale_design.matrix.shape[1]):
        data[f"s_{column - 1}"] = problem.scale_design.matrix[:, column].copy()
    integrated = integrated_level(problem)
    if integrated is not None:
        index, names = evidence.groups(integrated)
        data |= {"group": index, "groups": np.zeros(len(names))}
    for level, kept in lay_out(problem).items():
        if len(kept.groups):
            data[f"place_{level}"] = np.maximum(kept.place, 0)
        if len(kept.groups) or level == integrated:
            data[f"kept_{level}"] = kept.rows
    if problem.model.likelihood == "exact-r":
        return data | _law_data(problem)
    data |= {"v": v, "exact": (~interval).astype(float)}
    if problem.imputation is not None:
        return _candidate_data(problem, problem.imputation, data)
    if problem.model.measurement == "true-score":
        data |= _artefact_data(problem)
    if isinstance(problem.model.selection, StepSelection):
        return data | _band_data(problem, problem.model.selection)
    return data | _interval_data(problem, np.arange(evidence.k))


def _artefact_data(problem: Problem) -> dict[str, Array | Index]:
    """Reliabilities and ux of each row, unknown ones at the mean of their prior, and its numbers.

    ``estimate`` and ``s`` are roughly what a number says of its true effect, and how surely.
    """
    data: dict[str, Array | Index] = {**known_artefacts(problem)}
    for name, applied in problem.reliabilities.items():
        values = applied.prior.values
        unknown = np.isnan(data[name])
        if applied.prior.is_point:
            data[name] = np.where(unknown, values["c"], data[name])
        elif unknown.any():
            data |= {f"{name}_{argument}": np.asarray(value) for argument, value in values.items()}
            mean = values["alpha"] / (values["alpha"] + values["beta"])
            data[name] = np.where(unknown, mean, data[name])
    slope = data["ux"] * np.sqrt(data["rxx"] * data["ryy"])
    y = np.where(problem.evidence.is_interval, 0.0, problem.evidence.y)
    return data | {"estimate": y / slope, "s": np.sqrt(problem.evidence.v) / slope}


def _interval_data(problem: Problem, row_of: Index) -> dict[str, Array | Index]:
    """Which of some rows are intervals, and their ends."""
    if not has_intervals(problem):
        return {}
    evidence = problem.evidence
    intervals = np.flatnonzero((evidence.is_interval & ~evidence.sums_up)[row_of])
    lower, upper = (ends[row_of][intervals] for ends in (evidence.lower, evidence.upper))
    return {
        "intervals": intervals,
        "lower": np.where(np.isfinite(lower), lower, -ENDLESS),
        "upper": np.where(np.isfinite(upper), upper, ENDLESS),
    } | _several_tests_data(evidence, np.flatnonzero(evidence.sums_up[row_of]), row_of)


def _several_tests_data(evidence: Evidence, places: Index, row_of: Index) -> dict[str, Any]:
    """Of intervals that sum up several tests, a rule over what their tests share.

    Given the shared part x the chance g(x) of the word is known (``exact/intervals.py``), and so is
    the rule: ``shared_x`` its nodes, ``shared_log`` log g with the log of the weights, both (rows,
    nodes). On the side ``shared_side`` of ``shared_end`` g is 1.
    """
    if not len(places):
        return {}
    rules = [several_tests_rule(evidence, int(row)) for row in row_of[places]]
    most = max(len(x) for x, *_ in rules)
    x, log_g = np.zeros((len(rules), most)), np.full((len(rules), most), -ENDLESS)
    for place, (nodes, values, *_) in enumerate(rules):
        x[place, : len(nodes)], log_g[place, : len(nodes)] = nodes, values
    return {
        "several": places,
        "shared_v": (evidence.v - evidence.v_own)[row_of[places]],
        "shared_x": x,
        "shared_log": log_g,
        "shared_end": np.array([end for _, _, end, _ in rules]),
        "shared_side": np.array([side for *_, side in rules]),
    }


def panels_of_several_tests(evidence: Evidence, row: int) -> int:
    """How many panels the rule of a row that sums up several tests has."""
    own, tests = float(evidence.v_own[row]), evidence.rows[row].tests
    ends = evidence.upper[row] - evidence.lower[row]
    far = 2 * FAR_SDS if math.isfinite(ends) else FAR_SDS + FULL_SDS
    length = far * math.sqrt(own) + (float(ends) if math.isfinite(ends) else 0.0)
    width = PANEL_SDS / math.sqrt(1 / (evidence.v[row] - own) + tests / own)
    return math.ceil(length / width)


def several_tests_rule(evidence: Evidence, row: int) -> tuple[Array, Array, float, float]:
    """Nodes, log of weight times g, the end beyond which g is 1, and on which side.

    Gauss–Legendre panels as wide as the integrand at tau = 0, where it is narrowest, is in
    ``PANEL_SDS`` sds: the log of the integral is right to 1e-8. Where g is 1 nowhere, the end is
    endless.
    """
    known, sd = evidence.rows[row], math.sqrt(evidence.v_own[row])
    lower, upper = float(evidence.lower[row]), float(evidence.upper[row])
    side = -1.0 if math.isinf(lower) else 1.0
    low, high = (lower, upper) if side > 0 else (-upper, -lower)
    is_open = math.isinf(high)
    first = low - FAR_SDS * sd
    last = low + FULL_SDS * sd if is_open else high + FAR_SDS * sd
    breaks = np.linspace(first, last, panels_of_several_tests(evidence, row) + 1)
    nodes, weights = np.polynomial.legendre.leggauss(PANEL_NODES)
    half = 0.5 * np.diff(breaks)[:, None]
    x = (breaks[:-1, None] + half * (1 + nodes)).ravel()
    log_g = log_several((low - x) / sd, (high - x) / sd, known.tests, known.word_means)
    end = side * last if is_open else ENDLESS
    return side * x, log_g + np.log((half * weights).ravel()), end, side


def _candidate_data(
    problem: Problem, imputation: Imputation, data: dict[str, Array | Index]
) -> dict[str, Array | Index]:
    """Rows with an unknown moderator once for each of their candidates, after the others.

    ``cell`` numbers what rows add their log likelihood to: 0 for those that are known, then a cell
    for each candidate of each block. ``slope_{number}_{column}`` is what an unknown number adds to
    a column of the design, in blocks that have it.
    """
    known = np.flatnonzero(problem.design.known)
    row_of, cell = [known], [np.zeros(len(known), dtype=np.intp)]
    columns = [problem.design.matrix[known]]
    first = 1
    for block in imputation.blocks:
        row_of.append(np.tile(block.rows, block.candidates))
        cell.append(first + np.repeat(np.arange(block.candidates), len(block.rows)))
        columns.append(block.constant.reshape(-1, problem.design.matrix.shape[1]))
        first += block.candidates
    rows, design = np.concatenate(row_of), np.concatenate(columns)
    found = {
        name: values if name in ("groups", "bias_centre") else values[rows]
        for name, values in data.items()
    }
    found |= {f"x_{column - 1}": design[:, column] for column in range(1, design.shape[1])}
    found["cell"] = np.concatenate(cell)
    start = len(known)
    for number, block in enumerate(imputation.blocks):
        length = block.candidates * len(block.rows)
        for place, _ in enumerate(block.numbers):
            for column in range(1, design.shape[1]):
                slope = np.zeros(len(rows))
                slope[start : start + length] = block.slopes[:, :, place, column].ravel()
                found[f"slope_{number}_{place}_{column - 1}"] = slope
        start += length
    for number, factor in enumerate(imputation.factors.values()):
        found[f"counts_{number}"] = 1.0 + np.array(factor.counts)
    for number, one in enumerate(imputation.numbers.values()):
        found[f"known_{number}"] = np.array([one.n, one.mean, one.sd])
    return found | _interval_data(problem, rows)


def _law_data(problem: Problem) -> dict[str, Array | Index]:
    """Of numbers: sizes and the coefficients of their law of r. Of intervals: their chances."""
    evidence = problem.evidence
    numbers, intervals = np.flatnonzero(~evidence.is_interval), np.flatnonzero(evidence.is_interval)
    data: dict[str, Array | Index] = {}
    if len(numbers):
        sizes = evidence.sizes[numbers]
        series = [law_of_r.log_factor(float(n), LAW_ERROR) for n in sizes]
        law = np.zeros((len(numbers), max(map(len, series))))
        for row, one in zip(law, series, strict=True):
            row[: len(one)] = one
        data |= {"numbers": numbers, "z": evidence.y[numbers], "n": sizes, "law": law}
    if len(intervals):
        data |= {"intervals": intervals, "chances": _chances(problem, intervals)}
    return data


def _chances(problem: Problem, intervals: Index) -> Array:
    """Log P(interval | theta) as cubics in theta on cells of one width: (rows, cells, 4).

    The first and the last cell, which reach to infinity, are straight lines: far out the law falls
    like an exponential.
    """
    from scipy.interpolate import CubicSpline

    evidence = problem.evidence
    most = float(evidence.sizes[intervals].max())
    cells = int(np.clip(2 * FARTHEST_THETA * CELLS * np.sqrt(most), 1000, MOST_CELLS))
    theta = np.linspace(-FARTHEST_THETA, FARTHEST_THETA, cells + 1)
    found = np.empty((len(intervals), cells, 4))
    for place, row in enumerate(intervals):
        ends = evidence.lower[row], evidence.upper[row]
        log_p = law_of_r.log_probability(*ends, theta, float(evidence.sizes[row]))
        spline = CubicSpline(theta, log_p)
        found[place] = spline.c[::-1].T
        found[place, [0, -1], 2:] = 0.0
    return found


def _band_data(problem: Problem, selection: StepSelection) -> dict[str, Array | Index]:
    """Stretches of y by their p, the first lying above the first cutpoint: (k, stretches).

    ``band_lower`` and ``band_upper`` are their ends, ``in_band`` says where a number lies. Where
    there are intervals, ``part_lower`` and ``part_upper`` are the ends of their parts in each one,
    and ``part_held`` says which are not empty.
    """
    evidence = problem.evidence
    ends = stretch_ends(selection.step, evidence.v, evidence.sizes)
    lower, upper = (np.clip(end, -ENDLESS, ENDLESS) for end in ends)
    y = np.where(evidence.is_interval, 0.0, evidence.y)[:, None]
    data: dict[str, Array | Index] = {
        "band_lower": lower,
        "band_upper": upper,
        "in_band": ((y >= lower) & (y < upper)).astype(float),
    }
    if evidence.is_interval.any():
        low = np.maximum(evidence.lower[:, None], lower)
        high = np.minimum(evidence.upper[:, None], upper)
        held = low < high  # False in numbers too, whose ends are NaN
        data["part_held"] = held.astype(float)
        data["part_lower"] = np.where(held, low, 0.0)
        data["part_upper"] = np.where(held, high, 1.0)
    return data
