"""A saved fit read back: the fit that it was, to be asked of new studies or added to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from metarho.data.studies import Studies
from metarho.engines import exact
from metarho.errors import InputError
from metarho.posterior.fit import Fit
from metarho.posterior.tree import quadrature_from
from metarho.spec.analysis import Interval, Sampler
from metarho.store.problems import problem_from
from metarho.store.save import FORMAT


@dataclass(frozen=True)
class Saved:
    """An exact fit from its file, and the rows that it was fitted to."""

    fit: Fit
    studies: Studies


def read_saved(path: Path) -> Saved:
    """Read a fit that ``metarho fit --save`` or a run wrote.

    Raises InputError for a file that is no saved fit of the exact engine, of another version, or
    whose rows are not those that it was fitted to.
    """
    try:
        with xr.open_datatree(path, engine="netcdf4") as tree:
            return _read(tree.load())
    except InputError as error:
        raise error.at(str(path)) from None
    # A file of others may hold anything, and what it says may be wrong in any way.
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"is not a saved fit: {said}", place=str(path)) from None


def _read(tree: xr.DataTree) -> Saved:
    if tree.attrs.get("creation_library") != "metarho":
        raise InputError("is not a saved fit of metarho")
    if tree.attrs["engine"] != "exact":
        raise InputError(
            "was sampled, and holds draws for ArviZ; name its config instead, whose fits are in "
            "the store"
        )
    written = int(tree.attrs.get("format", 0))
    if written != FORMAT:
        age = "a newer" if written > FORMAT else "an older"
        remedy = "read it with that one" if written > FORMAT else "save the fit again"
        raise InputError(
            f"was written by {age} metarho (format {written}; this one reads {FORMAT}); {remedy}"
        )
    problem, studies = problem_from(tree.attrs["problem"])
    if refusal := exact.covers(problem):
        raise InputError(f"says exact, but {refusal}")
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
    fit = Fit(
        problem,
        "exact",
        str(tree.attrs["reason"]),
        quadrature_from(tree["quadrature"].to_dataset()),
        int(tree.attrs["seed"]),
        Sampler(),
        str(tree.attrs["status"]),
        notes=tuple(json.loads(tree.attrs["notes"])),
        interval=Interval(**json.loads(tree.attrs["interval"])),
    )
    return Saved(fit, studies)
