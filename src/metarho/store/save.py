"""A fit as a file of its own, for ArviZ and for archives."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import xarray as xr

from metarho.engines.nuts.draws import Draws
from metarho.posterior.fit import Fit
from metarho.store.entries import draws_variables
from metarho.store.files import write_whole
from metarho.store.problems import problem_text

# Raised when a file means something else than before.
FORMAT = 1


def save_fit(fit: Fit, path: Path) -> None:
    """Write a fit's DataTree as NetCDF; it opens in ``xarray.open_datatree`` and ArviZ.

    It can be read back (``saved.py``), printed, and asked of new studies: the group ``draws`` has
    what the sampler left and no group of ArviZ's has.
    """
    tree = fit.tree.copy()
    tree.attrs |= {
        "format": FORMAT,
        "problem": problem_text(fit.problem),
        "interval": json.dumps(fit.interval.model_dump()),
        "sampler": json.dumps(fit.sampler.model_dump()),
        "reasons": json.dumps(fit.reasons),
        "agreement": json.dumps(None if fit.agreement is None else asdict(fit.agreement)),
    }
    if isinstance(fit.result, Draws):
        tree["draws"] = xr.DataTree(_draws(fit.result))
    write_whole(path, lambda aside: tree.to_netcdf(aside, engine="netcdf4"))


def _draws(draws: Draws) -> xr.Dataset:
    variables, attrs = draws_variables(draws)
    return xr.Dataset(variables, attrs={"header": json.dumps(attrs)})
