"""A fit as a DataTree, in ArviZ's groups and names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from metarho.engines.exact.panels import Axis
from metarho.engines.exact.priors import log_density
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.posterior.effects import draw_effects, outlier_probabilities, replicate
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.posterior.joint import (
    hyperparameters_of_draws,
    hyperparameters_of_sample,
    independent_draws,
)
from metarho.posterior.prior_draws import draw_priors
from metarho.posterior.prior_predictive import draw_prior_predictive
from metarho.posterior.study_likelihood import (
    log_jacobian,
    log_jacobian_of_rows,
    no_study_likelihood,
    study_log_likelihood,
)
from metarho.spec.priors import Prior

if TYPE_CHECKING:
    from metarho.posterior.fit import Fit

type Array = NDArray[np.float64]


def tree_of(fit: Fit) -> xr.DataTree:
    """Posterior, prior, predictions of the rows, likelihoods and data of a fit."""
    problem = fit.problem
    tree = xr.DataTree.from_dict(_groups(fit) if problem.model.custom is None else _custom(fit))
    tree.attrs.update(
        {
            "engine": fit.engine,
            "reason": fit.reason,
            "status": fit.status,
            "notes": json.dumps(fit.notes),
            "model": problem.model.name,
            "priors": json.dumps({n: str(a.prior) for n, a in problem.priors.items()}),
            "measure": problem.measure,
            "scale": problem.scale,
            "intervals": problem.intervals,
            "evidence": json.dumps(problem.overlaps),
            "seed": str(fit.seed),
            "creation_library": "metarho",
        }
    )
    return tree


def _groups(fit: Fit) -> dict[str, xr.Dataset]:
    """The groups of a model of the grammar.

    Exact fits get independent draws in the sampler's number of chains and draws, remade from
    the quadrature and the seed.
    """
    problem = fit.problem
    # Separate streams, so that one group's draws do not depend on another's number.
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(fit.seed).spawn(6)]
    if isinstance(fit.result, Quadrature):
        shape = (fit.sampler.chains, fit.sampler.draws)
        flat = independent_draws(problem, fit.result, shape[0] * shape[1], streams[0])
        given = hyperparameters_of_draws(problem, flat, streams[4])
        parameters = {name: values.reshape(shape) for name, values in flat.items()}
        named = {name: parameters[name] for name in problem.priors}
    else:
        from metarho.posterior.sampled import Sampled

        posterior = fit.posterior
        assert isinstance(posterior, Sampled)
        given = hyperparameters_of_sample(posterior)
        named = dict(fit.result.parameters)
        parameters = dict(posterior.all_parameters)
        shape = posterior.coefficients.shape[:2]
    theta = draw_effects(problem, given, streams[1])
    replicated = replicate(problem, given, theta, streams[2])
    k = problem.evidence.k
    groups: dict[str, xr.Dataset] = {
        "/posterior": _dataset(problem, parameters, _of_rows(problem, given, theta, shape)),
        "/prior": _prior(problem, shape[0] * shape[1], streams[3]),
        "/posterior_predictive": _of_numbers(problem, replicated.reshape(*shape, k)),
        "/log_prior": _log_prior(problem, named, shape),
        "/observed_data": _observed(problem),
        "/constant_data": _constant(problem),
    }
    if all(applied.prior.proper for applied in problem.priors.values()):
        values = draw_priors(problem, streams[5], shape[0] * shape[1])
        expected = draw_prior_predictive(problem, values, streams[5])
        groups["/prior_predictive"] = _of_numbers(problem, expected[None])
    if no_study_likelihood(problem) is None:
        by_study = study_log_likelihood(problem, given) + log_jacobian(problem)
        groups["/log_likelihood"] = xr.Dataset(
            {"y": (("chain", "draw", "study"), by_study.reshape(*shape, -1))},
            {**_chains(shape), "study": list(problem.evidence.study_names)},
        )
    if isinstance(fit.result, Quadrature):
        groups["/quadrature"] = quadrature_dataset(fit.result)
    else:
        groups["/sample_stats"] = _statistics(fit.result, shape)
    return groups


def _custom(fit: Fit) -> dict[str, xr.Dataset]:
    """The groups of a custom model: what its file names.

    The log likelihood is that of rows, given whatever variables the file has.
    """
    problem, draws = fit.problem, fit.result
    assert isinstance(draws, Draws)
    chains, length = draws.parameters["mu"].shape
    shape = (chains, length)
    posterior = _stacked(draws.parameters, shape)
    coordinates: dict[str, object] = {**_chains(shape)}
    if draws.theta_new is not None:
        posterior["theta_new"] = (("chain", "draw"), draws.theta_new)
    if "theta" in draws.latent:
        posterior["theta"] = (("chain", "draw", "effect"), draws.latent["theta"])
        coordinates |= _rows(problem)
    (stream,) = np.random.SeedSequence(fit.seed).spawn(1)
    groups = {
        "/posterior": xr.Dataset(posterior, coordinates),
        "/prior": _prior(problem, shape[0] * shape[1], np.random.default_rng(stream)),
        "/log_prior": _log_prior(problem, draws.parameters, shape),
        "/observed_data": _observed(problem),
        "/constant_data": _constant(problem),
        "/sample_stats": _statistics(draws, shape),
    }
    if "y" in draws.latent:
        z = log_jacobian_of_rows(problem) + draws.latent["log_likelihood"]
        groups["/log_likelihood"] = _by_row(problem, {"y": z})
        groups["/posterior_predictive"] = _of_numbers(problem, draws.latent["y"])
    return groups


def quadrature_dataset(result: Quadrature) -> xr.Dataset:
    """Nodes and weights: enough to rebuild every density."""
    variables, attrs = quadrature_variables(result)
    return xr.Dataset(variables, attrs=attrs)


def quadrature_from(dataset: xr.Dataset) -> Quadrature:
    """The quadrature that ``quadrature_dataset`` wrote. Raises ValueError when it is damaged."""
    return quadrature_of_variables(dataset.variables, dataset.attrs)


def quadrature_variables(result: Quadrature) -> tuple[dict[str, xr.Variable], dict[str, object]]:
    """Variables and attributes of ``quadrature_dataset``: a dataset takes ten times as long."""
    data: dict[str, xr.Variable] = {}
    for name, axis in result.axes.items():
        data |= _axis_variables(name, axis)
    dims = [f"{name}_node" for name in result.axes]
    data["mass"] = xr.Variable(dims, result.mass)
    if result.mean is not None and result.covariance is not None:
        shape = [len(axis.nodes) for axis in result.axes.values()]
        p = result.mean.shape[-1]
        data["mean"] = xr.Variable((*dims, "coefficient"), result.mean.reshape(*shape, p))
        data["covariance"] = xr.Variable(
            (*dims, "coefficient", "coefficient_2"), result.covariance.reshape(*shape, p, p)
        )
    attrs: dict[str, object] = {
        "quad_err": result.quad_err,
        "axes": json.dumps(list(result.axes)),
        "log_integral": result.log_integral,
    }
    if result.log_evidence is not None:
        attrs["log_evidence"] = result.log_evidence
    return data, attrs


def quadrature_of_variables(
    variables: Mapping[Any, xr.Variable], attrs: Mapping[str, Any]
) -> Quadrature:
    """The quadrature of ``quadrature_variables``. Raises ValueError when it is damaged."""
    mass = variables["mass"].to_numpy()
    axes = {name: _axis_from(variables[f"{name}_breaks"]) for name in json.loads(attrs["axes"])}
    conjugate = "mu" not in axes
    shape = tuple(len(axis.nodes) for axis in axes.values())
    whole = abs(float(mass.sum()) - 1) < 1e-9 and mass.shape == shape
    if not whole or conjugate != ("mean" in variables):
        raise ValueError("its nodes do not make a posterior")
    mean = variables["mean"].to_numpy() if conjugate else None
    covariance = variables["covariance"].to_numpy() if conjugate else None
    return Quadrature(
        axes,
        mass,
        None if mean is None else mean.reshape(-1, mean.shape[-1]),
        None if covariance is None else covariance.reshape(-1, *covariance.shape[-2:]),
        float(attrs["log_integral"]),
        "log_evidence" in attrs,
        float(attrs["quad_err"]),
    )


def _axis_variables(name: str, axis: Axis) -> dict[str, xr.Variable]:
    attrs = {"kind": axis.kind, "centre": axis.centre, "scale": axis.scale, "order": axis.order}
    return {
        f"{name}_node": xr.Variable((f"{name}_node",), axis.nodes),
        f"{name}_weight": xr.Variable((f"{name}_node",), axis.weights),
        f"{name}_breaks": xr.Variable((f"{name}_break",), axis.breaks, attrs),
    }


def _axis_from(breaks: xr.Variable) -> Axis:
    return Axis(
        breaks.attrs["kind"],
        float(breaks.attrs["centre"]),
        float(breaks.attrs["scale"]),
        breaks.to_numpy(),
        int(breaks.attrs["order"]),
    )


def _chains(shape: tuple[int, int]) -> dict[str, NDArray[np.intp]]:
    return {"chain": np.arange(shape[0], dtype=np.intp), "draw": np.arange(shape[1], dtype=np.intp)}


def _statistics(draws: Draws, shape: tuple[int, int]) -> xr.Dataset:
    """What the sampler said of its draws."""
    values = {name: (("chain", "draw"), np.asarray(v)) for name, v in draws.statistics.items()}
    return xr.Dataset(values, _chains(shape))


def _rows(problem: Problem) -> dict[str, object]:
    evidence = problem.evidence
    return {"effect": list(evidence.effect_names)}


def _by_row(problem: Problem, values: Mapping[str, Array]) -> xr.Dataset:
    dims = ("chain", "draw", "effect")
    shape = next(iter(values.values())).shape
    return xr.Dataset(
        {name: (dims, array) for name, array in values.items()},
        {**_chains((shape[0], shape[1])), **_rows(problem)},
    )


# Parameters that come in several, with the dimension they lie along.
_ALONG = {
    "beta": "coef",
    **dict.fromkeys(("beta_local", "beta_gamma", "beta_phi"), "shrunk_coef"),
    "alpha": "scale_coef",
    "omega": "band",
}


def _members(values: Mapping[str, Array], base: str) -> dict[str, Array]:
    """The parameters ``base[name]``, by name."""
    start = f"{base}["
    return {
        name.removeprefix(start)[:-1]: array
        for name, array in values.items()
        if name.startswith(start)
    }


def _stacked(values: Mapping[str, Array], shape: tuple[int, int]) -> dict[str, object]:
    """Parameters as variables; those that come in several together, as beta[coef]."""
    variables: dict[str, object] = {
        name: (("chain", "draw"), array.reshape(shape))
        for name, array in values.items()
        if "[" not in name
    }
    for base, dimension in _ALONG.items():
        members = [array.reshape(shape) for array in _members(values, base).values()]
        if members:
            variables[base] = (("chain", "draw", dimension), np.stack(members, axis=-1))
    return variables


def _coefs(values: Mapping[str, Array]) -> dict[str, list[str]]:
    found = [(dimension, list(_members(values, base))) for base, dimension in _ALONG.items()]
    return {dimension: names for dimension, names in found if names}


def _of_rows(
    problem: Problem, given: Hyperparameters, theta: Array, shape: tuple[int, int]
) -> dict[str, Array]:
    """What each row has in the posterior: theta, and in a mixture the chance to be an outlier."""
    found = {"theta": theta}
    if problem.model.effects == "mixture":
        found["outlier"] = outlier_probabilities(problem, given)
    return {name: values.reshape(*shape, -1) for name, values in found.items()}


def _dataset(
    problem: Problem, parameters: Mapping[str, Array], of_rows: Mapping[str, Array]
) -> xr.Dataset:
    theta = of_rows["theta"]
    shape = (theta.shape[0], theta.shape[1])
    variables = _stacked(parameters, shape)
    for name, values in of_rows.items():
        variables[name] = (("chain", "draw", "effect"), values)
    return xr.Dataset(variables, {**_chains(shape), **_coefs(parameters), **_rows(problem)})


def _prior(problem: Problem, count: int, rng: np.random.Generator) -> xr.Dataset:
    proper = draw_priors(problem, rng, count)
    shape = (1, count)
    return xr.Dataset(_stacked(proper, shape), {**_chains(shape), **_coefs(proper)})


def _log_prior(
    problem: Problem, parameters: Mapping[str, Array], shape: tuple[int, int]
) -> xr.Dataset:
    def density(name: str, prior: Prior, values: Array) -> Array:
        if prior.is_point:
            return np.zeros(shape)
        if prior.is_relative:
            # Given its unit a parameter has the density of their ratio divided by the unit.
            unit = problem.unit(name, parameters)
            own = log_density(replace(prior, on=""), values / unit, problem.evidence.v)
            return np.reshape(own - np.log(unit), shape)
        return log_density(prior, values.reshape(shape), problem.evidence.v)

    values = {
        name: density(name, applied.prior, parameters[name])
        for name, applied in problem.priors.items()
    }
    return xr.Dataset(_stacked(values, shape), {**_chains(shape), **_coefs(values)})


def _of_numbers(problem: Problem, y: Array) -> xr.Dataset:
    """Replicates of the rows that print numbers, as ArviZ compares them with what was observed."""
    printed = ~problem.evidence.is_interval
    return _by_row(problem, {"y": y}).isel(effect=printed)


def _observed(problem: Problem) -> xr.Dataset:
    """The rows that printed numbers: ArviZ would take a blank for a number below all others."""
    printed = ~problem.evidence.is_interval
    return xr.Dataset({"y": ("effect", problem.evidence.y)}, _rows(problem)).isel(effect=printed)


def _constant(problem: Problem) -> xr.Dataset:
    evidence, design = problem.evidence, problem.design
    ni = [np.nan if row.ni is None else row.ni for row in evidence.rows]
    data: dict[str, object] = {
        "y": ("effect", evidence.y),
        "y_lower": ("effect", evidence.lower),
        "y_upper": ("effect", evidence.upper),
        "v": ("effect", evidence.v),
        "ni": ("effect", np.array(ni)),
        "reported": ("effect", [row.reported for row in evidence.rows]),
        "study_of_effect": ("effect", [row.study for row in evidence.rows]),
        "design": (("effect", "design_column"), design.matrix),
    }
    coordinates: dict[str, object] = {**_rows(problem), "design_column": list(design.names)}
    if design.cells:
        # One variable: a column's name may hold what a file format's names may not.
        cells = [[str(cell) for cell in column] for column in design.cells.values()]
        data["moderators"] = (("moderator", "effect"), cells)
        coordinates["moderator"] = list(design.cells)
    return xr.Dataset(
        data,
        coordinates,
        {"formula": design.formula, "levels": json.dumps(dict(design.levels))},
    )
