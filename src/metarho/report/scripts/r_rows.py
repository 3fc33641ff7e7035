"""The rows of a problem as a data frame of R, and what R scripts compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from metarho.engines.problem import Problem
from metarho.report.scripts.findings import NUMBERS, Found
from metarho.report.scripts.quoting import r_number, r_places, r_text, r_texts, r_vector, remark


def columns_of_mean(problem: Problem) -> tuple[str, ...]:
    """The columns of the data frame behind mu and the slopes, in order."""
    return ("constant", *(f"x_{n}" for n in range(len(problem.coefficients) - 1)))


def group_columns(problem: Problem) -> dict[str, str]:
    """Level -> the column of the data frame that says each row's group."""
    own = {"study": "study_id", "effect": "effect_id"}
    return {level: own.get(level, f"group_{n}_id") for n, level in enumerate(problem.model.levels)}


def data_lines(problem: Problem) -> list[str]:
    """Statements that make the data frame ``dat``: one row an effect, by study and effect."""
    evidence = problem.evidence
    vectors = {
        "study": (r_texts((row.study for row in evidence.rows), 2), ""),
        "effect": (r_texts((row.effect for row in evidence.rows), 2), ""),
        "yi": (r_vector(evidence.y, 2), ""),
        "vi": (r_vector(evidence.v, 2), ""),
        "constant": ("1", "of mu"),
    }
    names = problem.design.names
    for place, column in enumerate(columns_of_mean(problem)[1:], start=1):
        vectors[column] = (r_vector(problem.design.matrix[:, place], 2), names[place])
    for level, column in group_columns(problem).items():
        vectors[column] = (r_places(evidence.groups(level)[0], 2), level)
    lines = ["dat <- data.frame("]
    for place, (name, (vector, said)) in enumerate(vectors.items()):
        end = "," if place < len(vectors) - 1 else ""
        # A comment may not stand between a vector and its comma.
        if said:
            lines.append(f" {remark(said)[1:]}")
        lines.append(f"  {name} = {vector}{end}")
    return [*lines, ")", "dat$sei <- sqrt(dat$vi)"]


def covariance_lines(problem: Problem) -> list[str]:
    """Statements that make ``V``, the covariance matrix of the rows' sampling errors."""
    lines = ["V <- diag(dat$vi, nrow(dat))"]
    for group in problem.evidence.correlated:
        places = r_places(group.rows)
        matrix = r_vector(np.ravel(group.covariance))
        lines += [f"V[{places}, {places}] <- matrix({matrix}, {len(group.rows)})"]
    return lines


def found_lines(found: Sequence[Found], in_r: Mapping[str, str]) -> list[str]:
    """A data frame ``metarho``: quantity, its name in R, number, value, Monte Carlo error."""
    rows = [
        (one.name, in_r[one.name], number, one.numbers[number], one.errors.get(number, 0.0))
        for one in found
        if one.name in in_r
        for number in NUMBERS
        if number in one.numbers
    ]
    lines = [
        "# What metarho found, with its Monte Carlo errors (0 where it integrated).",
        "metarho <- rbind(",
    ]
    for place, (name, variable, number, value, error) in enumerate(rows):
        end = "," if place < len(rows) - 1 else ""
        lines.append(
            f"  data.frame(quantity = {r_text(name)}, variable = {r_text(variable)}, "
            f'number = "{number}", value = {r_number(value)}, error = {r_number(error)}){end}'
        )
    return [*lines, ")"]
