"""A result as bytes that say what they are, and back, bit for bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

type Result = Quadrature | Draws
type Variables = Mapping[str, xr.Variable]

# Numbers and nothing else: an array of objects would have to be unpickled.
NUMERIC = "fiub"


@dataclass(frozen=True)
class Entry:
    """A packed result.

    ``content`` is a line of JSON (attributes; names, dimensions, types and shapes of the arrays)
    and then the arrays' bytes, one after another.
    """

    key: str
    engine: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the key, the engine and the content: one's bytes are never another's."""
        digest = hashlib.sha256(f"{self.key}\n{self.engine}\n".encode())
        digest.update(self.content)
        return digest.hexdigest()


def pack(key: str, result: Result) -> Entry:
    """Pack a result. Raises TypeError for an array that does not hold numbers."""
    from metarho.posterior.tree import quadrature_variables

    if isinstance(result, Quadrature):
        engine, (variables, attrs) = "exact", quadrature_variables(result)
    else:
        engine, (variables, attrs) = "nuts", draws_variables(result)
    arrays = {name: _array(name, variable) for name, variable in variables.items()}
    header = {
        "attrs": attrs,
        "variables": [
            {
                "name": name,
                "dims": list(map(str, variables[name].dims)),
                "dtype": array.dtype.str,
                "shape": list(array.shape),
                "attrs": variables[name].attrs,
            }
            for name, array in arrays.items()
        ],
    }
    line = json.dumps(header, default=_plain).encode() + b"\n"
    content = b"".join([line, *(array.tobytes() for array in arrays.values())])
    return Entry(key, engine, content)


def unpack(entry: Entry) -> Result:
    """The result that was packed. Raises ValueError (or KeyError, TypeError) where it is none."""
    from metarho.posterior.tree import quadrature_of_variables

    variables, attrs = _read(entry.content)
    if entry.engine == "exact":
        return quadrature_of_variables(variables, attrs)
    return draws_of_variables(variables, attrs)


def _array(name: str, variable: xr.Variable) -> np.ndarray:
    array = variable.to_numpy()
    if array.dtype.kind not in NUMERIC:
        raise TypeError(f"{name} holds {array.dtype}; the store keeps numbers only")
    return array


def _plain(value: Any) -> object:
    """NumPy's numbers as Python's, for JSON."""
    return value.item()


def _read(content: bytes) -> tuple[dict[str, xr.Variable], dict[str, Any]]:
    import numpy as np
    import xarray as xr

    start = content.index(b"\n") + 1
    header = json.loads(content[:start])
    variables: dict[str, xr.Variable] = {}
    for one in header["variables"]:
        dtype = np.dtype(one["dtype"])
        if dtype.kind not in NUMERIC:
            raise ValueError(f"{one['name']} is of type {dtype}")
        # A copy: aligned, writable, and no link to the bytes of all. Too few bytes are a TypeError.
        array = np.ndarray(one["shape"], dtype, content, start).copy()
        variables[one["name"]] = xr.Variable(tuple(one["dims"]), array, one["attrs"], fastpath=True)
        start += array.nbytes
    if start != len(content):
        raise ValueError("there are more bytes than its arrays have")
    return variables, header["attrs"]


def draws_variables(draws: Draws) -> tuple[dict[str, xr.Variable], dict[str, object]]:
    """Draws as variables and attributes."""
    import numpy as np
    import xarray as xr

    by_draw = ("chain", "draw")
    variables = {
        "parameters": xr.Variable(
            ("parameter", *by_draw), np.stack(list(draws.parameters.values()))
        )
    }
    for name, values in draws.latent.items():
        variables[f"latent_{name}"] = xr.Variable((*by_draw, "effect"), values)
    if draws.theta_new is not None:
        variables["theta_new"] = xr.Variable(by_draw, draws.theta_new)
    for row, values in draws.imputed.items():
        variables[f"imputed_{row}"] = xr.Variable((*by_draw, "design_column"), values)
    for level, values in draws.deviations.items():
        variables[f"deviation_{level}"] = xr.Variable((*by_draw, f"group_{level}"), values)
    for name, values in draws.statistics.items():
        variables[f"statistic_{name}"] = xr.Variable(by_draw, values)
    attrs = {
        "parameters": list(draws.parameters),
        "target_accept": draws.target_accept,
        "retried": draws.retried,
        "log_evidence": draws.log_evidence,
        "log_evidence_mcse": draws.log_evidence_mcse,
    }
    return variables, attrs


def draws_of_variables(variables: Variables, attrs: Mapping[str, Any]) -> Draws:
    """The draws of ``draws_variables``. Raises ValueError or KeyError where they are damaged."""
    parameters = variables["parameters"].to_numpy()
    return Draws(
        dict(zip(attrs["parameters"], parameters, strict=True)),
        _prefixed(variables, "deviation_"),
        _prefixed(variables, "statistic_"),
        attrs["target_accept"],
        attrs["retried"],
        attrs["log_evidence"],
        attrs["log_evidence_mcse"],
        _prefixed(variables, "imputed_"),
        _prefixed(variables, "latent_"),
        variables["theta_new"].to_numpy() if "theta_new" in variables else None,
    )


def _prefixed(variables: Variables, prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): variable.to_numpy()
        for name, variable in variables.items()
        if name.startswith(prefix)
    }
