"""Python's own grammar, read and never run: what priors, filters and formulas are parsed with."""

from __future__ import annotations

import ast
import warnings


def expression(text: str) -> ast.expr:
    """The syntax tree of one expression.

    Raises SyntaxError when it does not parse, however the parser put it.
    """
    with warnings.catch_warnings():
        # An odd escape in a text literal is the user's own; Python need not comment on it.
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            return ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error)) from None
