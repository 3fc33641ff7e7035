"""A fit as a file of its own, for ArviZ and for archives."""

from __future__ import annotations

from pathlib import Path

from metarho.posterior.fit import Fit
from metarho.store.files import write_whole


def save_fit(fit: Fit, path: Path) -> None:
    """Write a fit's DataTree as NetCDF; it opens in ``xarray.open_datatree`` and ArviZ."""
    tree = fit.tree
    write_whole(path, lambda aside: tree.to_netcdf(aside, engine="netcdf4"))
