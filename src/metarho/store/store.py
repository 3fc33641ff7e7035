"""Results under their keys, one NetCDF file each, below ``<output>/store``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.posterior.tree import quadrature_dataset, quadrature_from
from metarho.store.files import write_whole


def _silent(message: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Store:
    """A folder of results. Exact ones hold quadrature, sampled ones draws of hyperparameters."""

    folder: Path
    warn: Callable[[str], None] = field(default=_silent)

    def path(self, key: str) -> Path:
        """Where a key's result lies."""
        return self.folder / key[:2] / f"{key}.nc"

    def read(self, key: str) -> Quadrature | Draws | None:
        """A result, or None when it is not there.

        A file that cannot be read, or is another key's, is set aside (``.damaged``) with a
        message and counts as not there.
        """
        path = self.path(key)
        if not path.exists():
            return None
        try:
            with xr.open_dataset(path, engine="netcdf4") as dataset:
                loaded = dataset.load()
            if loaded.attrs.get("key") != key:
                raise ValueError("it holds another fit")
            return quadrature_from(loaded) if loaded.attrs["engine"] == "exact" else _draws(loaded)
        except Exception as error:  # whatever a damaged file makes the reader raise
            damaged = path.with_suffix(".damaged")
            path.replace(damaged)
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.warn(f"a stored fit was damaged ({said}); set aside as {damaged}, computed again")
            return None

    def write(self, key: str, result: Quadrature | Draws) -> None:
        """Write a result whole."""
        if isinstance(result, Quadrature):
            dataset = quadrature_dataset(result)
            dataset.attrs["engine"] = "exact"
        else:
            dataset = _dataset(result)
            dataset.attrs["engine"] = "nuts"
        dataset.attrs["key"] = key
        write_whole(self.path(key), lambda path: _to_netcdf(dataset, path))


def _to_netcdf(dataset: xr.Dataset, path: Path) -> None:
    # Checksums: a damaged number is an error on reading, not another number.
    checked = {
        name: {"fletcher32": True}
        for name, variable in dataset.variables.items()
        if variable.ndim and variable.dtype.kind in "fiub"
    }
    dataset.to_netcdf(path, engine="netcdf4", encoding=checked)


def _dataset(draws: Draws) -> xr.Dataset:
    names = list(draws.parameters)
    variables: dict[str, object] = {
        "parameters": (
            ("parameter", "chain", "draw"),
            np.stack([draws.parameters[name] for name in names]),
        )
    }
    for name, values in draws.latent.items():
        variables[f"latent_{name}"] = (("chain", "draw", "effect"), values)
    if draws.theta_new is not None:
        variables["theta_new"] = (("chain", "draw"), draws.theta_new)
    for row, values in draws.imputed.items():
        variables[f"imputed_{row}"] = (("chain", "draw", "design_column"), values)
    for level, values in draws.deviations.items():
        variables[f"deviation_{level}"] = (("chain", "draw", f"group_{level}"), values)
    for name, values in draws.statistics.items():
        variables[f"statistic_{name}"] = (("chain", "draw"), values)
    attrs = {"target_accept": draws.target_accept, "retried": int(draws.retried)}
    if draws.log_evidence is not None and draws.log_evidence_mcse is not None:
        attrs |= {
            "log_evidence": draws.log_evidence,
            "log_evidence_mcse": draws.log_evidence_mcse,
        }
    return xr.Dataset(variables, {"parameter": names}, attrs)


def _draws(dataset: xr.Dataset) -> Draws:
    return Draws(
        {
            str(name): dataset["parameters"].sel(parameter=name).to_numpy()
            for name in dataset["parameter"].to_numpy()
        },
        _prefixed(dataset, "deviation_"),
        _prefixed(dataset, "statistic_"),
        float(dataset.attrs["target_accept"]),
        bool(dataset.attrs["retried"]),
        _number(dataset, "log_evidence"),
        _number(dataset, "log_evidence_mcse"),
        _prefixed(dataset, "imputed_"),
        _prefixed(dataset, "latent_"),
        dataset["theta_new"].to_numpy() if "theta_new" in dataset else None,
    )


def _prefixed(dataset: xr.Dataset, prefix: str) -> dict[str, np.ndarray]:
    names = [str(name) for name in dataset.data_vars if str(name).startswith(prefix)]
    return {name.removeprefix(prefix): dataset[name].to_numpy() for name in names}


def _number(dataset: xr.Dataset, name: str) -> float | None:
    return float(dataset.attrs[name]) if name in dataset.attrs else None
