"""metarho: a Bayesian workbench for meta-analyses of correlations.

    studies = metarho.load_studies("internet-alliance", where='role == "main"')
    model = metarho.load_model("random-effects")
    fit = metarho.fit(model, studies, priors={"mu": "Normal(mu=0, sigma=1)"})

    fit.parameters["mu"], fit.derived["rho_median"], fit.new_study["rho"]  # summaries
    fit.tree  # xarray.DataTree, for ArviZ

    metarho.classical_answers(studies)  # what frequentist methods say, apart

    metarho.run("internet-alliance")  # a whole analysis, from its config
    metarho.ensemble("publication-bias")  # its models averaged: an effect, heterogeneity, bias

The same words as in YAML and on the command line (``metarho --help``). ``FitError`` and
``InputError`` are all that is raised on purpose; the other classes are what functions return.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metarho.api import (
        Ensembles,
        Result,
        classical_answers,
        ensemble,
        fit,
        load_model,
        load_studies,
        random_variable,
        run,
    )
    from metarho.data.studies import Studies
    from metarho.errors import FitError, InputError
    from metarho.posterior.fit import Fit
    from metarho.posterior.marginals import Summary
    from metarho.spec.model import Model
    from metarho.spec.priors import Prior

__all__ = [
    "Ensembles",
    "Fit",
    "FitError",
    "InputError",
    "Model",
    "Prior",
    "Result",
    "Studies",
    "Summary",
    "classical_answers",
    "ensemble",
    "fit",
    "load_model",
    "load_studies",
    "random_variable",
    "run",
]

_HOMES = {
    "Ensembles": "metarho.api",
    "Fit": "metarho.posterior.fit",
    "FitError": "metarho.errors",
    "InputError": "metarho.errors",
    "Model": "metarho.spec.model",
    "Prior": "metarho.spec.priors",
    "Result": "metarho.api",
    "Studies": "metarho.data.studies",
    "Summary": "metarho.posterior.marginals",
    "classical_answers": "metarho.api",
    "ensemble": "metarho.api",
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
    """The public names, and what every module has."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
