"""A saved fit read back: the fit that it was, to be printed, asked of new studies or added to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from metarho.data.studies import Studies
from metarho.engines import exact, nuts
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.posterior.fit import Agreement, Fit
from metarho.posterior.tree import quadrature_from
from metarho.spec.analysis import Interval, Sampler
from metarho.spec.document import without_control
from metarho.store.entries import NUMERIC, draws_of_variables
from metarho.store.problems import cleaned, problem_from
from metarho.store.save import FORMAT

STATUSES = ("ok", "warnings", "not reportable")
ENGINES = {"exact": exact, "nuts": nuts}


@dataclass(frozen=True)
class Saved:
    """A fit from its file, and the rows that it was fitted to."""

    fit: Fit
    studies: Studies


def read_saved(path: Path) -> Saved:
    """Read a fit that ``metarho fit --save`` or a run wrote.

    Raises InputError for a file that is no saved fit, of another version, or whose rows are not
    those that it was fitted to.
    """
    if not path.is_file():
        said = "is a folder; name a file in it" if path.is_dir() else "there is no such file"
        raise InputError(said, place=str(path))
    try:
        with xr.open_datatree(path, engine="netcdf4") as tree:
            return _read(tree.load())
    except InputError as error:
        raise error.at(str(path)) from None
    except OSError as error:
        said = "is not a saved fit: it is no NetCDF file, or one that is damaged or cut short"
        raise InputError(f"{said} ({error.strerror})", place=str(path)) from None
    # A file of others may hold anything, and what it says may be wrong in any way.
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"is not a saved fit: {said}", place=str(path)) from None


def _read(tree: xr.DataTree) -> Saved:
    attrs = tree.attrs
    if attrs.get("creation_library") != "metarho":
        raise InputError("is not a saved fit of metarho")
    _check_format(attrs)
    problem, studies = problem_from(attrs["problem"])
    engine, status = attrs["engine"], attrs["status"]
    if status not in STATUSES:
        raise ValueError("its status is not known")
    if refusal := ENGINES[engine].covers(problem):
        raise InputError(f"says {engine}, but {refusal}")
    _check_evidence(tree, problem)
    sampler = Sampler(**_plain(attrs, "sampler", {}))
    agreement = _plain(attrs, "agreement", None)
    fit = Fit(
        problem,
        engine,
        without_control(str(attrs["reason"])),
        _result(tree, problem, engine),
        int(attrs["seed"]),
        sampler,
        status,
        _texts(attrs, "reasons"),
        _texts(attrs, "notes"),
        None if agreement is None else Agreement(**agreement),
        Interval(**_plain(attrs, "interval", {})),
    )
    return Saved(fit, studies)


def _check_format(attrs: Mapping[Any, Any]) -> None:
    """Raises InputError for a file that this version does not read."""
    written = int(attrs.get("format", 0))
    if written != FORMAT:
        age = "a newer" if written > FORMAT else "an older"
        remedy = "read it with that one" if written > FORMAT else "save the fit again"
        raise InputError(
            f"was written by {age} metarho (format {written}; this one reads {FORMAT}); {remedy}"
        )
    if "problem" not in attrs:
        raise InputError(
            "was sampled and saved by an older metarho, and holds draws for ArviZ only; save the "
            "fit again"
        )


def _check_evidence(tree: xr.DataTree, problem: Problem) -> None:
    """Raises InputError where the file's data or priors are not those of its problem."""
    evidence, kept = problem.evidence, tree["constant_data"]
    columns = {
        "y": evidence.y,
        "y_lower": evidence.lower,
        "y_upper": evidence.upper,
        "v": evidence.v,
    }
    printed = np.array_equal(tree["observed_data"]["y"], evidence.y[~evidence.is_interval])
    same = (np.array_equal(kept[n], own, equal_nan=True) for n, own in columns.items())
    if not (printed and all(same)):
        raise InputError("holds other data than it was fitted to")
    priors = {name: str(applied.prior) for name, applied in problem.priors.items()}
    if json.loads(tree.attrs["priors"]) != priors:
        raise InputError("holds other priors than it was fitted with")


def _result(tree: xr.DataTree, problem: Problem, engine: str) -> Quadrature | Draws:
    if engine == "exact":
        return quadrature_from(tree["quadrature"].to_dataset())
    kept = tree["draws"].to_dataset()
    variables = {str(name): variable for name, variable in kept.variables.items()}
    if any(variable.dtype.kind not in NUMERIC for variable in variables.values()):
        raise ValueError("its draws are no numbers")
    draws = draws_of_variables(variables, json.loads(kept.attrs["header"]))
    if set(draws.parameters) != set(problem.priors):
        raise ValueError("its draws are of other parameters")
    if not np.array_equal(tree["posterior"]["mu"], draws.parameters["mu"]):
        raise InputError("holds other draws in its posterior than the sampler left")
    return draws


def _plain(attrs: Mapping[Any, Any], name: str, default: object) -> Any:
    """A value that is kept as JSON, and that older files may lack."""
    return cleaned(json.loads(attrs[name])) if name in attrs else default


def _texts(attrs: Mapping[Any, Any], name: str) -> tuple[str, ...]:
    found = _plain(attrs, name, [])
    if not all(isinstance(one, str) for one in found):
        raise ValueError(f"its {name} are no texts")
    return tuple(found)
