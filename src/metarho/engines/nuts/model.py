"""A problem as a PyMC model, readable as the equations of its paper.

Rows that are numbers:    y_i ~ Normal(x_i'β, v_i + Σtau²)
Rows that are intervals:  log P(lower_i < y_i < upper_i) under the same law

True effects are integrated out (``layout.py`` says where); ``posterior/effects.py`` draws them
back. Numbers of priors and data are mutable, so one compiled model serves many problems. All
rows stand in vectors of one length: compiling takes seconds a node, and so there are few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from metarho.engines.nuts.layout import has_study_level, lay_out, row_data, variables
from metarho.engines.nuts.priors import add_prior
from metarho.engines.problem import Problem


def build(problem: Problem) -> pm.Model:
    """The PyMC model of a problem."""
    layout = lay_out(problem)
    names = variables(problem)
    with pm.Model() as model:
        rows = {name: pm.Data(name, values) for name, values in row_data(problem, layout).items()}
        parameters = {
            name: add_prior(name, names[name], applied.prior)
            for name, applied in problem.priors.items()
        }
        tau2_study, tau2_effect = variances(problem, parameters)
        mean = parameters["mu"]
        # Column by column: a matrix product takes many times longer to compile.
        for column, slope in enumerate(problem.coefficients[1:]):
            mean = mean + rows[f"x_{column}"] * parameters[slope]
        if len(layout.mixed):
            deviation = pm.Normal("deviation", 0, 1, shape=len(layout.mixed))
            mean = mean + pt.sqrt(tau2_study) * rows["kept"] * deviation[rows["place"]]
        variance = rows["v"] + tau2_effect

        d = variance
        log_density = -0.5 * rows["exact"] * (pt.log(2 * np.pi * d) + (rows["y"] - mean) ** 2 / d)
        if has_study_level(problem):
            pm.Potential("deviations_integrated", _integrated_deviations(rows, mean, d, tau2_study))
            variance = variance + (1 - rows["kept"]) * tau2_study
        if "lower" in rows:
            sd = pt.sqrt(variance)
            log_density = log_density + log_interval(
                (rows["lower"] - mean) / sd, (rows["upper"] - mean) / sd
            )
        pm.Potential("rows", log_density.sum())
    return model


def variances(problem: Problem, parameters: dict[str, Any]) -> tuple[Any, Any]:
    """Variance between studies and between effects of one study (0 where the model has none)."""
    by_level = problem.level_variances(parameters)
    return by_level.get("study", 0.0), by_level.get("effect", 0.0)


def _integrated_deviations(rows: dict[str, Any], mean: Any, d: Any, tau2_study: Any) -> Any:
    """What integrating out a study's deviation adds to the log density of its numbers.

    They have covariance D + tau2_study·11ᵀ, D = diag(d), so with residuals r, S = Σ 1/d and
    R = Σ r/d over the study's numbers (Woodbury):

        −½ [log(1 + tau2_study·S) − tau2_study·R²/(1 + tau2_study·S)]
    """
    weight = rows["exact"] * (1 - rows["kept"]) / d
    s = pt.inc_subtensor(rows["studies"][rows["study"]], weight)
    r = pt.inc_subtensor(rows["studies"][rows["study"]], weight * (rows["y"] - mean))
    return -0.5 * (pt.log1p(tau2_study * s) - tau2_study * r**2 / (1 + tau2_study * s)).sum()


def log_interval(lower: Any, upper: Any) -> Any:
    """log(Φ(upper) − Φ(lower)), taken in the tail where both ends are small."""
    flip = lower + upper > 0
    a, b = pt.switch(flip, -upper, lower), pt.switch(flip, -lower, upper)
    log_b = _log_cdf(b)
    return log_b + pt.log1p(-pt.exp(_log_cdf(a) - log_b))


def _log_cdf(x: Any) -> Any:
    """Log Φ(x); each branch sees only arguments where it and its gradient are finite."""
    tail = pt.minimum(x, -1.0)
    body = pt.maximum(x, -1.0)
    return pt.switch(
        x < -1.0,
        pt.log(0.5 * pt.erfcx(-tail / np.sqrt(2))) - 0.5 * tail**2,
        pt.log1p(-0.5 * pt.erfc(body / np.sqrt(2))),
    )
