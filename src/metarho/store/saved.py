"""A saved fit read back: its quadrature, as the posterior that it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from metarho.data.studies import Row, Studies
from metarho.data.tables import Table
from metarho.engines.problem import encode
from metarho.errors import InputError
from metarho.posterior.exact import Exact
from metarho.posterior.tree import quadrature_from
from metarho.spec.model import Model
from metarho.spec.priors import parse_prior

# The parameters of heterogeneity -> the structure that has them.
_RANDOM: Mapping[frozenset[str], str] = {
    frozenset(): "none",
    frozenset({"tau"}): "effect",
    frozenset({"tau_study"}): "study",
    frozenset({"tau_study", "tau_effect"}): "study/effect",
    frozenset({"tau", "share"}): "study/effect",
}


@dataclass(frozen=True)
class Saved:
    """An exact fit from its file: the posterior of mean and heterogeneity, and what it was of."""

    posterior: Exact
    model: str
    evidence: tuple[str, ...]


def read_saved(path: Path) -> Saved:
    """Read a fit that ``metarho fit --save`` or a run wrote.

    What a file does not say, the law of rows, is not needed for the mean and true effects. Raises
    InputError for a file that is no saved fit of the exact engine, and for models with moderators
    or Student-t effects.
    """
    try:
        with xr.open_datatree(path, engine="netcdf4") as tree:
            return _read(tree.load(), path)
    except (OSError, KeyError, ValueError, TypeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"is not a saved fit: {said}", place=str(path)) from None


def _read(tree: xr.DataTree, path: Path) -> Saved:
    if tree.attrs["engine"] != "exact":
        raise InputError(
            "was sampled: the law of a new study is known by draws only", place=str(path)
        )
    priors = {name: parse_prior(text) for name, text in json.loads(tree.attrs["priors"]).items()}
    names = [name for name in priors if name != "mu" and not name.startswith("omega")]
    random = _RANDOM.get(frozenset(names))
    if random is None:
        raise InputError(
            f"has parameters that only its model explains ({', '.join(names)}); name its config "
            "instead",
            place=str(path),
        )
    model = Model(name=str(tree.attrs["model"]), random=random)
    studies = _studies(tree, str(path))
    given = {name: prior for name, prior in priors.items() if not name.startswith("omega")}
    problem = encode(model, studies, given)
    quadrature = quadrature_from(tree["quadrature"].to_dataset())
    return Saved(Exact(problem, quadrature), model.name, studies.overlaps)


def _studies(tree: xr.DataTree, source: str) -> Studies:
    """The rows of the fit."""
    known, seen = tree["constant_data"], tree["observed_data"]
    columns = {
        "yi": seen["y"],
        "lower": seen["y_lower"],
        "upper": seen["y_upper"],
        "vi": known["v"],
        "ni": known["ni"],
    }
    numbers = {name: values.to_numpy().astype(float) for name, values in columns.items()}

    def number(column: str, index: int) -> float | None:
        value = float(numbers[column][index])
        return None if np.isnan(value) else value

    study = [str(name) for name in known["study_of_effect"].to_numpy()]
    rows = tuple(
        Row(
            source,
            index,
            name,
            name,
            # In the order of the file, which is that of the quadrature.
            f"{index:09d}",
            "",
            True,
            "",
            ni=number("ni", index),
            yi=number("yi", index),
            vi=number("vi", index),
            lower=number("lower", index),
            upper=number("upper", index),
        )
        for index, name in enumerate(study)
    )
    evidence = tuple(json.loads(tree.attrs.get("evidence", "[]")))
    table = Table(source, {}, (source,) * len(rows))
    measure, intervals = tree.attrs["measure"], tree.attrs["intervals"]
    return Studies(table, measure, intervals, rows, overlaps=evidence)
