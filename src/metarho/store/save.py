"""A fit as a file of its own, for ArviZ and for archives."""

from __future__ import annotations

import json
from pathlib import Path

from metarho.engines.exact.quadrature import Quadrature
from metarho.posterior.fit import Fit
from metarho.store.files import write_whole
from metarho.store.problems import problem_text

# Raised when a file means something else than before.
FORMAT = 1


def save_fit(fit: Fit, path: Path) -> None:
    """Write a fit's DataTree as NetCDF; it opens in ``xarray.open_datatree`` and ArviZ.

    A fit by quadrature can be read back (``saved.py``), and asked of new studies.
    """
    tree = fit.tree.copy()
    tree.attrs["format"] = FORMAT
    if isinstance(fit.result, Quadrature):
        tree.attrs["problem"] = problem_text(fit.problem)
        tree.attrs["interval"] = json.dumps(fit.interval.model_dump())
    write_whole(path, lambda aside: tree.to_netcdf(aside, engine="netcdf4"))
