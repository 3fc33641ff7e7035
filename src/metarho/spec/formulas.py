"""Moderator formulas: parsed, and every piece checked against an allow-list. Never evaluated.

A formula may hold column names (odd ones in backticks), numbers, the operators of the Wilkinson
grammar, and calls of ``C center scale log poly bs``. Encoding is the data's business
(``data/design.py``) and happens only for formulas that passed here.
"""

from __future__ import annotations

import ast
import math
import re

from metarho.errors import InputError, shown
from metarho.spec.backticks import without_backticks
from metarho.spec.grammar import expression

# Longer than any formula in print; keeps parsing instant.
LONGEST_FORMULA = 500
# (a + b + ...)**n grows binomially; interactions beyond this order are not moderators.
HIGHEST_POWER = 4
# More than any evidence can tell apart; a product of sums would write millions.
MOST_TERMS = 200

TRANSFORMS = frozenset({"C", "center", "scale", "log", "poly", "bs"})

_CHARACTERS = re.compile(r"[\w\s.+\-*/:^(),=~%]|`[^`]+`")
_POWER = re.compile(r"(\*\*|\^)\s*(\S*)")


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
    source, quoted = without_backticks(formula)
    for _, power in _POWER.findall(source):
        digits = re.match(r"\d{1,3}(?!\d)", power)
        if digits is None or int(digits[0]) > HIGHEST_POWER:
            raise _refused(formula, f"powers go up to {HIGHEST_POWER}")
    if _count_terms(source, formula) > MOST_TERMS:
        raise _refused(formula, f"its products write out to more than {MOST_TERMS} terms")
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
            if factor.eval_method.value == "lookup" and factor.expr in quoted.values():
                columns.add(str(factor.expr))
            else:
                columns |= _columns_of_factor(str(factor.expr), formula)
    if not columns:
        raise _refused(formula, "it has no moderators; write ~ 1")
    return frozenset(columns)


def _count_terms(source: str, formula: str) -> int:
    """At most how many terms a formula has when its products are written out.

    Python's grammar reads the same sums and products, with ``@`` for ``:``.
    """
    products = re.sub(r"%in%|:", "@", source.replace("^", "**")).strip().removeprefix("~")
    try:
        return _terms(expression(f"({products})"))
    except (SyntaxError, ValueError, RecursionError):
        raise _refused(formula, "it does not parse") from None


def _terms(node: ast.expr) -> int:
    match node:
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            return (_terms(left) + 1) * (_terms(right) + 1) - 1
        case ast.BinOp(op=ast.MatMult(), left=left, right=right):
            return _terms(left) * _terms(right)
        case ast.BinOp(op=ast.Pow(), left=left):
            count = _terms(left)
            return sum(math.comb(count, order) for order in range(1, HIGHEST_POWER + 1))
        case ast.BinOp(left=left, right=right):
            return _terms(left) + _terms(right)
        case ast.UnaryOp(operand=operand):
            return _terms(operand)
        case ast.Name() | ast.Attribute() | ast.Constant() | ast.Call():
            return 1
    raise ValueError(node)


def _columns_of_factor(factor: str, formula: str) -> set[str]:
    source, quoted = without_backticks(factor)
    try:
        tree = expression(source)
    except SyntaxError:
        raise _refused(formula, f"{shown(factor)} does not parse") from None
    return {quoted.get(name, name) for name in _names(tree, formula)}


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
            if called == "C" and len(arguments) + len(keywords) != 1:
                raise _refused(formula, "C() takes one column")
            found: set[str] = set()
            for argument in [*arguments, *(keyword.value for keyword in keywords)]:
                found |= _names(argument, formula)
            return found
        case _:
            raise _refused(formula, f"{shown(ast.unparse(node))} is not allowed in one")


def _refused(formula: str, why: str) -> InputError:
    return InputError(f"formula {shown(formula)}: {why}")
