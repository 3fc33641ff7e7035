"""Moderators that are blank in some rows: what is unknown, and what the rows could be.

An unknown value is one row's, or one study's where the moderator never differs within a study. What
the known values say of it does not depend on the effects, and is all that the model needs: factors
have chances with a uniform prior, Dirichlet(1 + counts) given the known ones; numbers are normal
with the reference prior 1/s, so that given n known values with mean m and sd s

    σ² ~ InverseGamma((n − 1)/2, (n − 1)s²/2),    μ ~ Normal(m, σ/√n),    x ~ Normal(μ, σ)

(Gelman et al., Bayesian Data Analysis, 3rd ed. 2013, ch. 3.2). The evidence of a model is then that
of the effects given the moderators, as without blanks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from metarho.data.design import Design
from metarho.data.tables import Cell, is_blank, number, text
from metarho.errors import InputError

type Array = NDArray[np.float64]
type Index = NDArray[np.intp]

# Rows are computed once a candidate; more than this is a table that wants dropping.
MOST_CANDIDATES = 64
# A design column is a straight line in a number where it bends by no more than rounding.
_BEND = 1e-9


@dataclass(frozen=True)
class Factor:
    """A factor with unknown values: how many known ones are at each of its levels."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Number:
    """A numeric moderator with unknown values: count, mean and sd of the known ones."""

    name: str
    n: int
    mean: float
    sd: float


@dataclass(frozen=True)
class Block:
    """Unknown values that meet in some rows: ``factors`` and ``numbers`` by name, one value each.

    ``rows`` (m) are those rows. ``levels`` (c, factors) are the candidates: every combination of
    levels. In candidate c and at numbers x (u) the design has ``constant[c]`` + Σ x_u
    ``slopes[c, :, u]``, with (c, m, p) and (c, m, u, p).
    """

    rows: Index
    factors: tuple[str, ...]
    numbers: tuple[str, ...]
    levels: Index
    constant: Array
    slopes: Array

    @property
    def candidates(self) -> int:
        """How many combinations of levels there are; 1 where only numbers are unknown."""
        return len(self.levels)

    def rows_at(self, candidate: Index, values: Sequence[Array]) -> dict[str, Array]:
        """Rows of the design at candidates and numbers of any shape: row -> (shape, p)."""
        found = {}
        for place, row in enumerate(self.rows):
            design = self.constant[candidate, place]
            for which, value in enumerate(values):
                design = design + value[..., None] * self.slopes[candidate, place, which]
            found[str(row)] = design
        return found


@dataclass(frozen=True)
class Imputation:
    """All that is unknown of a design, in blocks without common rows."""

    factors: Mapping[str, Factor]
    numbers: Mapping[str, Number]
    blocks: tuple[Block, ...]

    @property
    def rows(self) -> Index:
        """The rows with an unknown value."""
        return np.concatenate([block.rows for block in self.blocks])

    def log_chances(self, block: Block) -> Array:
        """Log P(candidate | the known moderators) of a block: (1 + count) over the sum, multiplied.

        The chances of levels are integrated out.
        """
        found = np.zeros(block.candidates)
        for place, name in enumerate(block.factors):
            counts = 1.0 + np.array(self.factors[name].counts)
            found += np.log(counts / counts.sum())[block.levels[:, place]]
        return found

    def only(self, rows: NDArray[np.bool_]) -> Imputation | None:
        """The unknown values of some rows, numbered anew; what is known of moderators stays."""
        place = np.cumsum(rows) - 1
        blocks = []
        for block in self.blocks:
            kept = rows[block.rows]
            if kept.any():
                blocks.append(
                    replace(
                        block,
                        rows=place[block.rows[kept]],
                        constant=block.constant[:, kept],
                        slopes=block.slopes[:, kept],
                    )
                )
        return replace(self, blocks=tuple(blocks)) if blocks else None


def draw_rows(imputation: Imputation, count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draws of the unknown rows from what is known of moderators: row -> (count, p)."""
    chances = {
        name: rng.dirichlet(1.0 + np.array(factor.counts), count)
        for name, factor in imputation.factors.items()
    }
    laws = {}
    for name, one in imputation.numbers.items():
        freedom = (one.n - 1) / 2
        sigma = one.sd / np.sqrt(rng.gamma(freedom, 1 / freedom, count))
        laws[name] = rng.normal(one.mean, sigma / np.sqrt(one.n)), sigma
    found: dict[str, Array] = {}
    for block in imputation.blocks:
        share = np.ones((count, block.candidates))
        for place, name in enumerate(block.factors):
            share = share * chances[name][:, block.levels[:, place]]
        reached = np.cumsum(share, axis=1)
        candidate = (reached < rng.uniform(size=(count, 1)) * reached[:, -1:]).sum(axis=1)
        values = [rng.normal(*laws[name]) for name in block.numbers]
        found |= block.rows_at(candidate, values)
    return found


def imputation_of(design: Design, study: Index) -> Imputation | None:
    """What is unknown of a design whose rows belong to studies; None where all is known.

    Raises InputError where a number enters the formula otherwise than in a straight line, where
    too few values are known to impute from, and where a block has too many candidates.
    """
    if design.known.all():
        return None
    units = {name: _units(column, study) for name, column in design.cells.items()}
    factors, numbers = {}, {}
    for name, column in design.cells.items():
        if not any(map(is_blank, column)):
            continue
        known = [column[rows[0]] for rows in units[name] if not is_blank(column[rows[0]])]
        if name in design.levels:
            found = [text(cell) for cell in known]
            factors[name] = Factor(name, tuple(found.count(level) for level in design.levels[name]))
        else:
            numbers[name] = _number(name, known)
    blocks = tuple(_block(design, group, units) for group in _groups(design, units))
    return Imputation(factors, numbers, blocks)


def _units(column: Sequence[Cell], study: Index) -> list[list[int]]:
    """Rows that share a value: those of a study where the moderator never differs within one."""
    by_study: dict[int, list[int]] = {}
    for row, index in enumerate(study):
        by_study.setdefault(int(index), []).append(row)
    groups = list(by_study.values())
    seen = [[text(column[row]) for row in rows if not is_blank(column[row])] for rows in groups]
    complete = [len(values) in (0, len(rows)) for values, rows in zip(seen, groups, strict=True)]
    # A study that is blank in part says that the moderator belongs to rows.
    if all(complete) and all(len(set(values)) <= 1 for values in seen):
        return groups
    return [[row] for row in range(len(study))]


def _number(name: str, cells: Sequence[Cell]) -> Number:
    values = np.array([number(cell) for cell in cells], dtype=float)
    if len(values) < 2 or np.ptp(values) == 0:
        raise InputError(
            f"missing: impute needs two different values of {name} to impute from, and there are "
            f"{len(set(values.tolist()))}; missing: drop"
        )
    return Number(name, len(values), float(values.mean()), float(values.std(ddof=1)))


def _groups(design: Design, units: Mapping[str, list[list[int]]]) -> list[dict[str, list[int]]]:
    """Unknown values (moderator -> its rows) that meet in rows, group by group."""
    unknown = [
        (name, rows)
        for name, groups in units.items()
        for rows in groups
        if is_blank(design.cells[name][rows[0]])
    ]
    found: list[list[tuple[str, list[int]]]] = []
    for name, rows in unknown:
        meeting = [one for one in found if any({*rows} & {*other} for _, other in one)]
        joined = [(name, rows), *(value for one in meeting for value in one)]
        found = [one for one in found if one not in meeting] + [joined]
    groups = []
    for one in found:
        if len({name for name, _ in one}) < len(one):
            names = sorted({name for name, _ in one})
            raise InputError(
                f"missing: impute cannot tie unknown values of {' and '.join(names)} that differ "
                "within a study to one that it shares; missing: drop"
            )
        groups.append(dict(sorted(one)))
    return sorted(groups, key=lambda group: min(min(rows) for rows in group.values()))


def _check_straight(design: Design, names: Sequence[str], line: Array, found: Array) -> None:
    finite = np.isfinite(line).all() and np.isfinite(found).all()
    if not finite or np.abs(line - found).max() > _BEND * (1 + np.abs(found).max()):
        raise InputError(
            f"missing: impute needs {' and '.join(names)} in straight lines (as they are, or "
            f"within center or scale), and {design.formula} bends them; missing: drop"
        )


def _block(
    design: Design, group: Mapping[str, list[int]], units: Mapping[str, list[list[int]]]
) -> Block:
    rows = sorted({row for of_one in group.values() for row in of_one})
    factors = tuple(name for name in group if name in design.levels)
    numbers = tuple(name for name in group if name not in design.levels)
    levels = list(product(*(range(len(design.levels[name])) for name in factors)))
    if len(levels) > MOST_CANDIDATES:
        raise InputError(
            f"missing: impute has {len(levels)} combinations of {' and '.join(factors)} for one "
            f"row, and takes up to {MOST_CANDIDATES}; missing: drop"
        )

    def encoded(choice: Sequence[int], values: Mapping[str, float]) -> Array:
        filled = dict(values) | {
            name: design.levels[name][level] for name, level in zip(factors, choice, strict=True)
        }
        cells = {
            name: tuple(
                filled[name] if name in filled and is_blank(column[row]) else column[row]
                for row in rows
            )
            for name, column in design.cells.items()
        }
        return design.rows_of(cells)

    zero = dict.fromkeys(numbers, 0.0)
    constant, slopes = [], []
    for choice in levels:
        at_zero = encoded(choice, zero)
        constant.append(at_zero)
        of_choice = []
        for name in numbers:
            once, twice = (encoded(choice, zero | {name: x}) - at_zero for x in (1.0, 2.0))
            _check_straight(design, [name], 2 * once, twice)
            of_choice.append(once)
        if numbers:
            together = encoded(choice, dict.fromkeys(numbers, 1.0)) - at_zero
            _check_straight(design, numbers, np.sum(of_choice, axis=0), together)
        shape = (len(numbers), len(rows), len(design.names))
        slopes.append(np.array(of_choice).reshape(shape).transpose(1, 0, 2))
    return Block(
        np.array(rows, dtype=np.intp),
        factors,
        numbers,
        np.array(levels, dtype=np.intp).reshape(len(levels), len(factors)),
        np.array(constant),
        np.array(slopes),
    )
