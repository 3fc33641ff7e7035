"""Priors as values: a family, its keyword arguments, where it lives. No numerics.

Families and arguments are PyMC's, one parametrisation each. A prior is written as a call,
``HalfNormal(sigma=0.25)``, and read as a literal: parsed, checked, never evaluated.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.grammar import expression

# Long enough for every prior of the grammar, short enough that parsing is instant.
LONGEST_PRIOR = 500

# Beyond, squares are no longer numbers in double precision, and no prior means anything.
LARGEST_NUMBER = 1e100

REAL = (-math.inf, math.inf)
POSITIVE = (0.0, math.inf)


@dataclass(frozen=True)
class Family:
    """One row of the table: what a family is called, takes and where it has mass."""

    arguments: Mapping[str, str]
    """Argument -> constraint: ``real`` or ``positive``."""
    support: Callable[[Mapping[str, float]], tuple[float, float]]
    proper: bool = True


FAMILIES: Mapping[str, Family] = {
    "Normal": Family({"mu": "real", "sigma": "positive"}, lambda a: REAL),
    "StudentT": Family({"nu": "positive", "mu": "real", "sigma": "positive"}, lambda a: REAL),
    "Cauchy": Family({"alpha": "real", "beta": "positive"}, lambda a: REAL),
    "Uniform": Family({"lower": "real", "upper": "real"}, lambda a: (a["lower"], a["upper"])),
    "Flat": Family({}, lambda a: REAL, proper=False),
    "HalfNormal": Family({"sigma": "positive"}, lambda a: POSITIVE),
    "HalfStudentT": Family({"nu": "positive", "sigma": "positive"}, lambda a: POSITIVE),
    "HalfCauchy": Family({"beta": "positive"}, lambda a: POSITIVE),
    "Exponential": Family({"lam": "positive"}, lambda a: POSITIVE),
    "Gamma": Family({"alpha": "positive", "beta": "positive"}, lambda a: POSITIVE),
    "InverseGamma": Family({"alpha": "positive", "beta": "positive"}, lambda a: POSITIVE),
    "LogNormal": Family({"mu": "real", "sigma": "positive"}, lambda a: POSITIVE),
    "Beta": Family({"alpha": "positive", "beta": "positive"}, lambda a: (0.0, 1.0)),
    "DiracDelta": Family({"c": "real"}, lambda a: (a["c"], a["c"])),
}
"""Every family that can be written today, by its PyMC name."""

# Words of the grammar that a later version reads; told apart from misspellings.
COMING = frozenset({"TruncatedNormal", "NormalMixture", "Truncated", "Jeffreys", "Dirichlet"})


@dataclass(frozen=True)
class Prior:
    """A prior distribution: ``family`` from the table, ``arguments`` in the table's order."""

    family: str
    arguments: tuple[tuple[str, float], ...] = ()

    @property
    def values(self) -> dict[str, float]:
        """The arguments by name."""
        return dict(self.arguments)

    @property
    def proper(self) -> bool:
        """Whether the density has a finite integral."""
        return FAMILIES[self.family].proper

    @property
    def support(self) -> tuple[float, float]:
        """Lower and upper end of the support."""
        return FAMILIES[self.family].support(self.values)

    @property
    def is_point(self) -> bool:
        """Whether all mass sits in one value."""
        return self.family == "DiracDelta"

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={_plain(value)}" for name, value in self.arguments)
        return f"{self.family}({inside})"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def read(text: str) -> Prior:
            try:
                return parse_prior(text)
            except InputError as error:
                raise ValueError(error.message) from None

        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(
                read, core_schema.str_schema(strict=True)
            ),
            python_schema=core_schema.union_schema(
                [
                    core_schema.is_instance_schema(cls),
                    core_schema.no_info_after_validator_function(
                        read, core_schema.str_schema(strict=True)
                    ),
                ]
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


def parse_prior(text: str) -> Prior:
    """Read ``Family(argument=number, ...)``.

    Raises InputError for anything else: an unknown family or argument, a missing or
    positional one, a value that is not a finite number or breaks its constraint.
    """
    if len(text) > LONGEST_PRIOR:
        raise InputError(f"a prior may have {LONGEST_PRIOR} characters; this one has {len(text)}")
    if text.rstrip().endswith(" on r"):
        raise InputError(
            f"prior {shown(text)}: priors on the correlation scale ('... on r') are not "
            "available yet; state it on the model's scale"
        )
    try:
        call = expression(text.strip())
    except SyntaxError:
        raise InputError(_not_a_prior(text)) from None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise InputError(_not_a_prior(text))
    name = call.func.id
    if name in COMING:
        raise InputError(
            f"prior {shown(text)}: {name} belongs to the grammar but is not available yet; "
            f"{did_you_mean('', FAMILIES)}"
        )
    if name not in FAMILIES:
        raise InputError(f"prior {shown(text)}: no family {name!r}; {did_you_mean(name, FAMILIES)}")
    family = FAMILIES[name]
    wanted = _call_form(name)
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        raise InputError(f"prior {shown(text)}: arguments are given by name: {wanted}")
    given: dict[str, float] = {}
    for keyword in call.keywords:
        argument = str(keyword.arg)
        if argument not in family.arguments:
            raise InputError(
                f"prior {shown(text)}: {name} has no argument {argument!r}; "
                f"{did_you_mean(argument, family.arguments)}"
            )
        if argument in given:
            raise InputError(f"prior {shown(text)}: {argument} is given twice")
        given[argument] = _number(keyword.value, text, argument)
    missing = [argument for argument in family.arguments if argument not in given]
    if missing:
        raise InputError(f"prior {shown(text)}: {', '.join(missing)} missing; write {wanted}")
    for argument, constraint in family.arguments.items():
        if constraint == "positive" and given[argument] <= 0:
            raise InputError(
                f"prior {shown(text)}: {argument} must be greater than 0, not {given[argument]!r}"
            )
        size = abs(given[argument])
        if size > LARGEST_NUMBER or (constraint == "positive" and size < 1 / LARGEST_NUMBER):
            raise InputError(
                f"prior {shown(text)}: {argument} is {given[argument]!r}; sizes from "
                f"{1 / LARGEST_NUMBER:g} to {LARGEST_NUMBER:g} are allowed"
            )
    if name == "Uniform" and not given["lower"] < given["upper"]:
        raise InputError(f"prior {shown(text)}: lower must be less than upper")
    return Prior(name, tuple((argument, given[argument]) for argument in family.arguments))


def _plain(value: float) -> str:
    """A number that reads back as itself, whole ones without a decimal point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _call_form(name: str) -> str:
    return f"{name}({', '.join(f'{argument}=...' for argument in FAMILIES[name].arguments)})"


def _not_a_prior(text: str) -> str:
    return (
        f"{shown(text)} is not a prior: write a family and its arguments by name, "
        "for instance HalfNormal(sigma=0.25)"
    )


def _number(node: ast.expr, text: str, argument: str) -> float:
    sign = 1.0
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
        node = node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"prior {shown(text)}: {argument} must be a number")
    try:
        number = sign * float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"prior {shown(text)}: {argument} must be a finite number")
    return number
