"""Custom models: a Python file builds the PyMC model, which is sampled like any other.

``custom: mine.py`` in ``models/NAME.yaml`` names ``models/custom/mine.py``, which defines

    build(studies, priors) -> pm.Model

- ``studies`` is metarho's ``Studies``. ``studies.used`` are its rows, sorted by study and effect: a
  number has ``yi`` and ``vi``; an interval has ``lower`` and ``upper``, a nominal ``vi``, and None
  for ``yi``; all have ``ni``, ``study`` and ``effect``. ``studies.moderator(name)`` is a column of
  the table at these rows.
- ``priors`` maps every name under ``priors:`` to its ``Prior``, prior sets laid over.
  ``metarho.random_variable(name, prior)`` makes the variable of it, in the current model.

The model has a scalar variable of every name, with that prior; ``mu`` is one of them, the mean on
the model's scale. What else it has is up to the file. Some names are understood: ``y``, observed,
one value a row (its log likelihood and replicates are kept); ``theta``, true effects, one a row;
``theta_new``, the true effect of a new study.

The file is text until a fit of the model starts; then it runs, in a namespace of its own and with
everything that Python can do.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from numpy.typing import NDArray
from pymc.distributions.continuous import FlatRV, HalfFlatRV
from pymc.exceptions import ImputationWarning

from metarho.engines.exact.priors import log_density
from metarho.engines.nuts.draws import Draws
from metarho.engines.nuts.priors import variable_of
from metarho.engines.nuts.sampling import first_line, reproducible, sample
from metarho.engines.problem import Problem
from metarho.errors import FitError
from metarho.spec.analysis import Sampler
from metarho.spec.custom import CustomFile, where_raised
from metarho.spec.priors import Prior

type Array = NDArray[np.float64]

# Two densities that are one agree to rounding; other priors differ in the first digits.
_SAME = 1e-6


def sample_custom(
    problem: Problem, sampler: Sampler, seed: int, announce: Callable[[str], None]
) -> Draws:
    """Run the file of a custom model, and sample what it builds.

    Raises FitError with file and line where the file fails, and with what is wrong where its model
    is not what this module's text says.
    """
    announce("compiling")
    with reproducible():
        model = build(problem)
        with _failing(problem, "compiling"):
            compiled = nutpie.compile_pymc_model(model)
        announce("sampling")
        with _failing(problem, "sampling"):
            draws, tree = sample(compiled, problem, sampler, seed)
            found = replace(
                draws,
                latent=_of_rows(model, tree, problem.evidence.k, seed),
                theta_new=_values(tree, "theta_new"),
            )
    if any(isinstance(one.owner.op, FlatRV | HalfFlatRV) for one in model.free_RVs):
        found = replace(found, log_evidence=None, log_evidence_mcse=None)
    return found


def build(problem: Problem) -> pm.Model:
    """The model that a file builds, checked. Raises FitError."""
    custom, studies = problem.model.custom, problem.studies
    assert custom is not None and studies is not None
    namespace: dict[str, Any] = {"__name__": custom.path.stem, "__file__": str(custom.path)}
    with _running(custom), warnings.catch_warnings():
        # PyMC would take a blank yi, an interval, for a value to be imputed.
        warnings.simplefilter("error", ImputationWarning)
        exec(compile(custom.source, str(custom.path), "exec", dont_inherit=True), namespace)
        function = namespace.get("build")
        if not callable(function):
            raise FitError(f"{custom.path}: defines no function build(studies, priors)")
        model = function(studies, {name: one.prior for name, one in problem.priors.items()})
    fault = _fault(model, problem)
    if fault:
        raise FitError(f"{custom.path}: {fault}")
    return model


@contextmanager
def _running(custom: CustomFile) -> Iterator[None]:
    """Whatever a file raises is a failed fit that names the file's line."""
    try:
        yield
    except FitError:
        raise
    # A file that asks to leave ends its own fit, not the run.
    except (Exception, SystemExit) as error:
        place = where_raised(custom.path, error)
        raise FitError(f"{place}: {type(error).__name__}: {first_line(error)}") from error


@contextmanager
def _failing(problem: Problem, stage: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever kind the libraries have
        custom = problem.model.custom
        said = first_line(error)
        raise FitError(f"{stage} {problem.model.name} ({custom}) failed: {said}") from error


def _fault(model: Any, problem: Problem) -> str | None:
    """What of a model is not as agreed; None when all is."""
    if not isinstance(model, pm.Model):
        return f"build returned {type(model).__name__}, not a pm.Model"
    free = {variable.name: variable for variable in model.free_RVs}
    named = free | {variable.name: variable for variable in model.deterministics}
    for name, applied in problem.priors.items():
        fault = _fault_of_parameter(name, applied.prior, free, named, problem.evidence.v)
        if fault:
            return fault
    for variable in model.discrete_value_vars:
        return f"{variable.name} is discrete, and NUTS samples continuous variables only"
    shapes = {"theta": (problem.evidence.k,), "theta_new": ()}
    for name, shape in shapes.items():
        if name in named and _shape(named[name]) != shape:
            rows = f"one value a row ({problem.evidence.k})" if shape else "one value"
            return f"{name} has shape {_shape(named[name])}, and should have {rows}"
    return None


def _fault_of_parameter(
    name: str, prior: Prior, free: dict[str, Any], named: dict[str, Any], v: Array
) -> str | None:
    if prior.is_point:
        # Held at a value, as in the null of a Bayes factor.
        return f"{name} is known, {prior}, and the model samples it" if name in free else None
    own = variable_of(name, prior)
    if own not in free or name not in named:
        there = ", ".join(sorted(free)) or "none"
        return f"the model has no free variable {own} for the parameter {name}; it has {there}"
    if _shape(named[name]) != ():
        return f"{name} has shape {_shape(named[name])}, and a parameter is one number"
    if not _follows(free[own], prior, v):
        return (
            f"{name} does not have the prior {prior} that the model or a prior set gives it; "
            f'make it with metarho.random_variable("{name}", priors["{name}"])'
        )
    return None


def _shape(variable: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in variable.shape.eval(mode="FAST_COMPILE"))


def _follows(variable: Any, prior: Prior, v: Array) -> bool:
    """Whether a variable has the density of a prior, at a few points of its support."""
    points = _points(*prior.own_support)
    expected = log_density(replace(prior, on=""), points, v)
    logs = [float(pm.logp(variable, x).eval(mode="FAST_COMPILE")) for x in points]
    return bool(np.allclose(logs, expected, rtol=_SAME, atol=_SAME))


def _points(low: float, high: float) -> Array:
    """Points between two ends, either of which may be infinite."""
    inside = np.array([0.2, 0.5, 0.7])
    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) * inside
    if math.isfinite(low):
        return low + inside
    return high - inside if math.isfinite(high) else inside


def _values(tree: xr.DataTree, name: str) -> Array | None:
    posterior = tree["posterior"]
    return np.asarray(posterior[name], dtype=float) if name in posterior else None


def _of_rows(model: pm.Model, tree: xr.DataTree, k: int, seed: int) -> dict[str, Array]:
    """What a model says of each row: true effects; of an observed y its likelihood, replicates."""
    theta = _values(tree, "theta")
    found = {} if theta is None else {"theta": theta}
    y = {variable.name: variable for variable in model.observed_RVs}.get("y")
    if y is None or _shape(y) != (k,):
        return found
    log_likelihood = pm.compute_log_likelihood(
        tree, var_names=["y"], extend_inferencedata=False, model=model, progressbar=False
    )
    replicated = pm.sample_posterior_predictive(
        tree,
        model=model,
        var_names=["y"],
        freeze_vars=[variable.name for variable in model.free_RVs],
        random_seed=seed,
        progressbar=False,
    )
    found["log_likelihood"] = np.asarray(log_likelihood["y"], dtype=float)
    found["y"] = np.asarray(replicated.posterior_predictive["y"], dtype=float)
    return found
