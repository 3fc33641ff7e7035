"""Statistics from a Python file beside the config.

``{file: my_checks.py, function: kurtosis}`` names a function

    kurtosis(printed, rows) -> array (N,)

- ``printed`` (N, k) are N sets of what the rows print: numbers on the model's scale (Fisher's z of
  correlations), and -1, 0, 1 in rows that print a word (significant negative, not significant,
  significant positive).
- ``rows`` has the arrays ``v``, ``n``, ``critical``, ``is_word`` and ``kinds`` of the k rows
  (``checks/discrepancies.py``).

The file is text until ``metarho ppc`` runs; then it runs in a namespace of its own, with everything
that Python can do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarho.checks.discrepancies import Function, Rows
from metarho.errors import InputError
from metarho.spec.custom import CustomFile, where_raised

type Array = NDArray[np.float64]


def function_of(file: CustomFile, name: str) -> Function:
    """A function of a file, which is run for it. What it returns is checked at every call.

    Raises InputError with file and line where the file fails, and when it has no such function.
    """
    namespace: dict[str, Any] = {"__name__": file.path.stem, "__file__": str(file.path)}
    with _running(file):
        exec(compile(file.source, str(file.path), "exec", dont_inherit=True), namespace)
    function = namespace.get(name)
    if not callable(function):
        raise InputError(f"defines no function {name}(printed, rows)", place=str(file.path))
    return _checked(file, name, function)


def _checked(file: CustomFile, name: str, function: Callable[..., object]) -> Function:
    def of(printed: Array, rows: Rows) -> Array:
        with _running(file):
            returned = np.asarray(function(printed.copy(), rows))
            if np.iscomplexobj(returned):
                raise TypeError(f"{name} returned complex numbers")
            found = np.asarray(returned, dtype=np.float64)
        if found.shape != (len(printed),):
            raise InputError(
                f"{name} returned an array of shape {found.shape} for {len(printed)} sets of rows; "
                f"return one number a set, of shape ({len(printed)},)",
                place=str(file.path),
            )
        if not np.isfinite(found).all():
            raise InputError(f"{name} returned what is not finite", place=str(file.path))
        return found

    return of


@contextmanager
def _running(file: CustomFile) -> Iterator[None]:
    """Whatever a file raises is an error that names the file's line.

    What it prints goes to standard error: standard output is for tables and JSON.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except KeyboardInterrupt:
        raise
    # A file that asks to leave is not the one to end the command.
    except BaseException as error:
        said = (str(error).splitlines() or [""])[0]
        place = where_raised(file.path, error)
        raise InputError(f"{type(error).__name__}: {said}", place=place) from error
