"""Moderator formulas: parsed, and every piece checked against an allow-list. Never evaluated.

A formula may hold column names (odd ones in backticks), numbers, the operators of the Wilkinson
grammar, and calls of ``C center scale log poly bs``. Encoding is the data's business
(``data/design.py``) and happens only for formulas that passed here.
"""

from __future__ import annotations

import ast
import re

from metarho.errors import InputError, shown

# Longer than any formula in print; keeps parsing instant.
LONGEST_FORMULA = 500
# (a + b + ...)**n grows binomially; interactions beyond this order are not moderators.
HIGHEST_POWER = 4

TRANSFORMS = frozenset({"C", "center", "scale", "log", "poly", "bs"})

_CHARACTERS = re.compile(r"[\w\s.+\-*/:^(),=~%]|`[^`]+`")
_POWER = re.compile(r"(\*\*|\^)\s*(\S*)")
_QUOTED = re.compile(r"`([^`]+)`")


def is_intercept_only(formula: str) -> bool:
    """Whether the formula has no moderators (``~ 1``)."""
    return re.sub(r"\s", "", formula) in ("~1", "1")


def columns_of(formula: str) -> frozenset[str]:
    """Check a formula and return the columns that it reads.

    Raises InputError for anything outside the allow-list, a left-hand side, a removed
    intercept (``mu`` is the intercept) and what does not parse.
    """
    if is_intercept_only(formula):
        return frozenset()
    if len(formula) > LONGEST_FORMULA:
        raise InputError(f"a formula may have {LONGEST_FORMULA} characters, not {len(formula)}")
    if not formula.lstrip().startswith("~"):
        raise _refused(formula, "a formula starts with ~ and has no left-hand side")
    strange = _CHARACTERS.sub("", formula)
    if strange:
        raise _refused(formula, f"the character {strange[0]!r} has no place in one")
    for _, power in _POWER.findall(_QUOTED.sub("x", formula)):
        digits = re.match(r"\d{1,3}(?!\d)", power)
        if digits is None or int(digits[0]) > HIGHEST_POWER:
            raise _refused(formula, f"powers go up to {HIGHEST_POWER}")
    # Loaded here: formulaic brings pandas, and most models have no moderators.
    from formulaic.errors import FormulaicError
    from formulaic.parser import DefaultFormulaParser

    try:
        parsed = DefaultFormulaParser().get_terms(formula)
    except (FormulaicError, SyntaxError, ValueError, RecursionError, AttributeError) as error:
        said = str(error).splitlines()[0] if str(error) else "it does not parse"
        raise _refused(formula, said) from None
    terms = list(parsed)
    if not any(str(term) == "1" for term in terms):
        raise _refused(formula, "mu is the intercept, so it cannot be removed")
    columns: set[str] = set()
    for term in terms:
        for factor in term.factors:
            columns |= _columns_of_factor(str(factor.expr), formula)
    return frozenset(columns)


def _columns_of_factor(expression: str, formula: str) -> set[str]:
    quoted: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        quoted.append(match[1])
        return f"quoted_column_{len(quoted) - 1}"

    source = _QUOTED.sub(placeholder, expression)
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # A plain look-up of a column whose name is no identifier arrives without its backticks.
        if "(" not in expression and f"`{expression}`" in formula:
            return {expression}
        raise _refused(formula, f"{shown(expression)} does not parse") from None
    names = _names(tree, formula)
    return {
        quoted[int(name.removeprefix("quoted_column_"))]
        if name.startswith("quoted_column_")
        else name
        for name in names
    }


def _names(node: ast.expr, formula: str) -> set[str]:
    match node:
        case ast.Name(id=name):
            if name.startswith("__") or name in TRANSFORMS:
                raise _refused(formula, f"{name} is not a column")
            return {name}
        case ast.Constant(value=int() | float()):
            return set()
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _names(operand, formula)
        case ast.BinOp(
            op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.Pow(), left=left, right=right
        ):
            return _names(left, formula) | _names(right, formula)
        case ast.Call(func=ast.Name(id=called), args=arguments, keywords=keywords):
            if called not in TRANSFORMS:
                raise _refused(
                    formula,
                    f"{called}() cannot be called; allowed: {', '.join(sorted(TRANSFORMS))}",
                )
            found: set[str] = set()
            for argument in [*arguments, *(keyword.value for keyword in keywords)]:
                found |= _names(argument, formula)
            return found
        case _:
            raise _refused(formula, f"{shown(ast.unparse(node))} is not allowed in one")


def _refused(formula: str, why: str) -> InputError:
    return InputError(f"formula {shown(formula)}: {why}")
