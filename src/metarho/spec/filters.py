"""Row filters (``where: role == "main" and year > 2010``): parsed into values, never evaluated.

A filter compares columns with literals: ``== != < <= > >= in not in``, joined by ``and``,
``or`` and ``not``. Column names that are no identifiers stand in backticks.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from metarho.errors import InputError, shown
from metarho.spec.backticks import without_backticks
from metarho.spec.grammar import expression

LONGEST_FILTER = 1000

type Literal = str | float | bool

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class Comparison:
    """``column operator value``; for ``in`` and ``not in`` the values are several."""

    column: str
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Both:
    """All of the parts hold."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Either:
    """At least one of the parts holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Opposite:
    """The part does not hold."""

    part: Filter


type Filter = Comparison | Both | Either | Opposite


def parse_filter(text: str) -> Filter:
    """Read a filter. Raises InputError for anything but comparisons with literals."""
    if len(text) > LONGEST_FILTER:
        raise InputError(f"a filter may have {LONGEST_FILTER} characters, not {len(text)}")
    source, quoted = without_backticks(text)
    try:
        return _filter(expression(source.strip()), text, quoted)
    except (SyntaxError, OverflowError, RecursionError):
        raise _refused(text, "it does not parse") from None


def comparisons(condition: Filter) -> Iterator[Comparison]:
    """Every comparison in a filter, from left to right."""
    match condition:
        case Both(parts) | Either(parts):
            for part in parts:
                yield from comparisons(part)
        case Opposite(part):
            yield from comparisons(part)
        case Comparison():
            yield condition


def _filter(node: ast.expr, text: str, quoted: Mapping[str, str]) -> Filter:
    match node:
        case ast.BoolOp(op=ast.And(), values=values):
            return Both(tuple(_filter(value, text, quoted) for value in values))
        case ast.BoolOp(op=ast.Or(), values=values):
            return Either(tuple(_filter(value, text, quoted) for value in values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Opposite(_filter(operand, text, quoted))
        case ast.Compare(left=left, ops=operators, comparators=rights):
            parts = []
            for operator, right in zip(operators, rights, strict=True):
                parts.append(_comparison(left, operator, right, text, quoted))
                left = right
            return parts[0] if len(parts) == 1 else Both(tuple(parts))
        case _:
            raise _refused(text, f"{shown(ast.unparse(node))} is not a comparison")


def _comparison(
    left: ast.expr, operator: ast.cmpop, right: ast.expr, text: str, quoted: Mapping[str, str]
) -> Comparison:
    symbol = _OPERATORS.get(type(operator))
    if symbol is None:
        raise _refused(text, "'is' is not available; use ==")
    if isinstance(left, ast.Name):
        if symbol in ("in", "not in"):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set):
                raise _refused(text, f"write {symbol} with a list of values: [1, 2]")
            values = tuple(_literal(item, text) for item in right.elts)
        else:
            values = (_literal(right, text),)
        return Comparison(quoted.get(left.id, left.id), symbol, values)
    if isinstance(right, ast.Name) and symbol in _MIRRORED:
        column = quoted.get(right.id, right.id)
        return Comparison(column, _MIRRORED[symbol], (_literal(left, text),))
    raise _refused(text, "each comparison has a column on one side and a value on the other")


def _literal(node: ast.expr, text: str) -> Literal:
    sign = 1.0
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1.0, node.operand
        number = node.value if isinstance(node, ast.Constant) else None
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise _refused(text, "a minus sign goes with a number")
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool | str):
            return node.value
        if isinstance(node.value, int | float):
            return sign * float(node.value)
    raise _refused(text, f"{shown(ast.unparse(node))} is not a text or a number")


def _refused(text: str, why: str) -> InputError:
    return InputError(
        f"filter {shown(text)}: {why}; a filter compares columns with values, "
        'for instance role == "main" and year > 2010'
    )
