"""A problem as a PyMC model, readable as the equations of its paper.

    mean_i   = x_i'β + bias + Σ deviations of the groups of row i that are kept
    tau_i    = tau · exp(s_i'α)
    theta_i  ~ effects(mean_i, tau_i): normal, Student-t or a mixture
    y_i      ~ likelihood(theta_i): Normal(theta_i, v_i), or the exact law of r, or what
               unreliable measures make of theta_i

Parts are one function each. True effects and deviations are integrated out where that is exact
(``layout.py`` says where); ``posterior/effects.py`` draws them back. Numbers of priors and data are
mutable, so one compiled model serves many problems. All rows stand in vectors of one length:
compiling takes seconds a node, and so there are few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pymc as pm
import pytensor.tensor as pt

from metarho.engines.nuts.exact_r import add_exact_r
from metarho.engines.nuts.layout import (
    group_levels,
    integrated_level,
    lay_out,
    row_data,
    variables,
)
from metarho.engines.nuts.measurement import add_observed_scores
from metarho.engines.nuts.missing import add_candidates, add_chances, add_numbers
from metarho.engines.nuts.priors import add_prior, add_shifted_prior, is_unbounded
from metarho.engines.nuts.rows import log_normal_rows, parts_of_effects
from metarho.engines.nuts.selection import add_selected_rows
from metarho.engines.problem import Problem
from metarho.spec.model import StepSelection
from metarho.spec.priors import PER_BAND


def build(problem: Problem) -> pm.Model:
    """The PyMC model of a problem."""
    with pm.Model(coords=coordinates(problem)) as model:
        rows = {name: pm.Data(name, values) for name, values in row_data(problem).items()}
        parameters = add_parameters(problem, rows)
        sds = level_sds(problem, parameters)
        imputation = problem.imputation
        chances = {} if imputation is None else add_chances(imputation, rows)
        unknown = [] if imputation is None else add_numbers(imputation, rows)
        mean = linear_predictor(problem, rows, parameters, unknown)
        mean = mean + kept_deviations(problem, rows, sds)
        sd_effect = sds.get("effect", 0.0) * scale_factor(problem, rows, parameters)
        tau2_effect = sd_effect**2
        if problem.model.likelihood == "exact-r":
            add_exact_r(problem, rows, mean, sd_effect)
        elif problem.model.measurement == "true-score":
            add_observed_scores(problem, rows, mean, sd_effect)
        elif isinstance(problem.model.selection, StepSelection):
            parts = parts_of_effects(problem, parameters, tau2_effect)
            add_selected_rows(problem, rows, parameters, mean, parts)
        else:
            parts = parts_of_effects(problem, parameters, tau2_effect)
            integrated = integrated_level(problem)
            tau2_group = sds[integrated] ** 2 if integrated else None
            log_rows = log_normal_rows(problem, rows, mean, parts, tau2_group)
            if imputation is None:
                pm.Potential("rows", log_rows.sum())
            else:
                add_candidates(imputation, rows, log_rows, chances)
    return model


def coordinates(problem: Problem) -> dict[str, tuple[str, ...]]:
    """The names along the model's dimensions: effects, and the groups that keep a deviation."""
    found = {"effect": problem.evidence.effect_names}
    for level, kept in lay_out(problem).items():
        names = problem.evidence.groups(level)[1]
        found[f"{level} groups"] = tuple(names[group] for group in kept.groups)
    return found


def add_parameters(problem: Problem, rows: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter with its prior, after those that it may be in units of; mu last.

    With small-study bias, mu is where studies without sampling error would be, far from the data
    and tied to the bias: the variable is then the mean of a study of average size.
    """
    names, v = variables(problem), problem.evidence.v
    found: dict[str, Any] = {
        name: add_prior(names[name], applied.prior, v, None, positive=name.startswith("tau"))
        for name, applied in problem.priors.items()
        if name != "mu" and not applied.prior.is_relative
    }
    weights = [name for name in problem.shapes if problem.prior(name).on == PER_BAND]
    for name in (*weights, *problem.shrunk_slopes):
        unit = problem.unit(name, found)
        found[name] = add_prior(names[name], problem.prior(name), v, unit, positive=False)
    prior = problem.prior("mu")
    if "bias" in rows and is_unbounded(prior):
        shift = found[str(problem.model.selection)] * rows["bias_centre"]
        found["mu"] = add_shifted_prior("mu", prior, v, shift)
    else:
        unit = problem.unit("mu", found) if prior.is_relative else None
        found["mu"] = add_prior("mu", prior, v, unit, positive=False)
    return found


def linear_predictor(
    problem: Problem,
    rows: Mapping[str, Any],
    parameters: Mapping[str, Any],
    unknown: Sequence[Sequence[Any]] = (),
) -> Any:
    """x'β, and what the bias of small studies adds: pet·se or peese·v.

    ``unknown`` are the numeric moderators that are imputed, block by block.
    """
    mean = parameters["mu"] * rows.get("one", 1.0)
    # Column by column: a matrix product takes many times longer to compile.
    for column, slope in enumerate(problem.coefficients[1:]):
        of_row = rows[f"x_{column}"]
        for number, values in enumerate(unknown):
            for place, value in enumerate(values):
                of_row = of_row + value * rows[f"slope_{number}_{place}_{column}"]
        mean = mean + of_row * parameters[slope]
    if "bias" in rows:
        mean = mean + rows["bias"] * parameters[str(problem.model.selection)]
    return mean


def scale_factor(problem: Problem, rows: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
    """exp(s'α), by which the sd of each row's effect is larger than at the reference."""
    if not problem.scale_slopes:
        return 1.0
    log_factor = sum(
        rows[f"s_{column}"] * parameters[slope] for column, slope in enumerate(problem.scale_slopes)
    )
    return pt.exp(log_factor)


def level_sds(problem: Problem, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Level -> its sd. Not the root of a variance, which has no slope at 0."""
    if problem.is_total_form:
        tau, share = parameters["tau"], parameters["share"]
        return {"study": tau * pt.sqrt(share), "effect": tau * pt.sqrt(1 - share)}
    return {level: parameters[sd] for level, sd in problem.model.level_sds.items()}


def kept_deviations(problem: Problem, rows: Mapping[str, Any], sds: Mapping[str, Any]) -> Any:
    """The deviations of groups that are not integrated out, as each row has them: tau·ε."""
    total: Any = 0.0
    for level in group_levels(problem):
        if f"place_{level}" not in rows:
            continue
        deviation = pm.Normal(f"deviation_{level}", 0, 1, dims=f"{level} groups")
        of_row = rows[f"kept_{level}"] * deviation[rows[f"place_{level}"]]
        total = total + sds[level] * of_row * rows.get("one", 1.0)
    return total
