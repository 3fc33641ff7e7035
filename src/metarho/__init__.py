"""metarho: a Bayesian workbench for meta-analyses of correlations.

studies = metarho.load_studies("internet-alliance", where='role == "main"')
model = metarho.load_model("random-effects")
fit = metarho.fit(model, studies, priors={"mu": "Normal(mu=0, sigma=1)"})
fit.parameters["mu"], fit.derived["rho_median"], fit.tree
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metarho.api import fit, load_model, load_studies, random_variable, run
    from metarho.errors import FitError, InputError

__all__ = [
    "FitError",
    "InputError",
    "fit",
    "load_model",
    "load_studies",
    "random_variable",
    "run",
]

_HOMES = {
    "FitError": "metarho.errors",
    "InputError": "metarho.errors",
    "fit": "metarho.api",
    "load_model": "metarho.api",
    "load_studies": "metarho.api",
    "random_variable": "metarho.api",
    "run": "metarho.api",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used, so that importing metarho is instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'metarho' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
