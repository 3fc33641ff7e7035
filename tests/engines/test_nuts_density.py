"""Every part of the PyMC model has the density that textbooks write, seen without sampling.

What the sampler explores is right if this density is: what is left to prove is that it explores.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import other_measures
import textbook
from grammar_cases import PARTS
from metarho.engines import nuts
from metarho.engines.exact.priors import log_density as log_prior
from metarho.engines.nuts.layout import variables
from metarho.engines.nuts.model import build
from metarho.engines.problem import Problem
from metarho.spec.analysis import Measure
from pymc_density import free_variables, log_density

# log P of an interval under the exact law of r is tabulated to 1e-7 a row; the constant of PyMC's
# half-Cauchy and half-t, a log of 2, has the digits of single precision (2e-9).
TOLERANCE = {"exact-r": 5e-7, "normal": 1e-8}

STARTS = {
    "mu": 0.2,
    "mu_shifted": 0.3,
    "tau": 0.15,
    "tau_study": 0.12,
    "tau_effect": 0.1,
    "tau_rater": 0.08,
}
OTHERS = {"nu": 5.0, "weight": 0.2, "tau_outlier": 0.4, "pet": 0.7, "peese": 2.0}
OF_SLOPES = {
    "beta_global": 0.3,
    "beta_local": 0.8,
    "beta_slab2": 0.2,
    "beta_R2": 0.4,
    "beta_gamma": 0.7,
}


def _values(
    problem: Problem, shapes: dict[str, tuple[int, ...]], seed: int
) -> dict[str, np.ndarray]:
    """A value for every variable, by its name in the model: parameters scattered, noise normal."""
    rng = np.random.default_rng(seed)
    found = {}
    names = {variable: name for name, variable in variables(problem).items()}
    for variable, shape in shapes.items():
        name = names.get(variable, variable)
        base = name.partition("[")[0]
        centre = {**STARTS, **OTHERS, **OF_SLOPES, "beta": 0.02, "alpha": 0.3, "omega": 0.5}.get(
            base
        )
        if base.startswith("chances_"):
            # PyMC's own variable has one number less.
            found[variable] = rng.dirichlet(np.ones(shape[0] + 1))
        elif base.endswith("_unknown"):
            found[variable] = rng.uniform(0.3, 0.99, shape)
        elif variable.endswith("_on_band_before"):
            found[variable] = rng.uniform(0.2, 0.9, shape)
        elif base.startswith("variance_"):
            found[variable] = rng.uniform(0.5, 2, shape)
        elif centre is None:
            found[variable] = rng.standard_normal(shape)
        else:
            found[variable] = centre * rng.uniform(0.6, 1.4, shape)
    return found


def _effects(
    problem: Problem, values: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], float]:
    """In models of true scores the effects that variables stand for, and the log of their slope."""
    if problem.model.measurement != "true-score":
        return values, 0.0
    reliability = np.ones(problem.evidence.k)
    for name, applied in problem.reliabilities.items():
        known = np.array([getattr(row, name) for row in problem.evidence.rows], dtype=float)
        mean = stats.beta(*applied.prior.values.values()).mean()
        reliability = reliability * np.where(np.isnan(known), mean, known)
    slope = np.sqrt(reliability) * np.array([row.ux or 1.0 for row in problem.evidence.rows])
    tau = float(values["tau" if "tau" in values else "tau_effect"])
    mean, _ = textbook.mean_of_rows(problem, values)
    inverse = np.where(problem.evidence.is_interval, 0.0, slope**2 / problem.evidence.v)
    # The law of (theta - mean)/tau given a normal estimate of it.
    sd = 1 / np.sqrt(1 + inverse * tau**2)
    y = np.where(problem.evidence.is_interval, 0.0, problem.evidence.y)
    centre = sd**2 * inverse * tau * (y / slope - mean)
    return {**values, "effect_away": centre + sd * values["effect_away"]}, float(np.log(sd).sum())


def _units(problem: Problem, values: dict[str, np.ndarray]) -> np.ndarray:
    """What the variables of shrunk slopes are multiplied by: under R2D2 their sd is 1/sd(x)."""
    of_horseshoe = problem.model.priors["beta"].family == "RegularizedHorseshoe"
    own = np.ones(1) if of_horseshoe else problem.design.matrix[:, 1:].std(axis=0)
    return textbook.slope_sds(problem, values) * own


def _slopes(problem: Problem, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    units = dict(zip(problem.shrunk_slopes, _units(problem, values), strict=True))
    noise = [value for name, value in values.items() if "_on_" in name]
    return {name: unit * z for (name, unit), z in zip(units.items(), noise, strict=True)}


def _weights(
    problem: Problem, values: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], float]:
    """Weights with a joint prior, and its log density at the ratios that variables stand for."""
    first, *later = problem.shapes
    ratios = [value for name, value in values.items() if name.endswith("_on_band_before")]
    found = np.cumprod([float(values[variables(problem)[first]]), *map(float, ratios)])
    alpha = dict(problem.model.priors["omega"].lists)["alpha"]
    parts = -np.diff([1.0, *found, 0.0])
    log_density = float(stats.dirichlet(alpha).logpdf(parts)) + float(np.log(found[:-1]).sum())
    return {
        name: np.array(one) for name, one in zip((first, *later), found, strict=True)
    }, log_density


def _assert_density(problem: Problem, seeds: tuple[int, ...]) -> None:
    assert nuts.covers(problem) is None
    model = build(problem)
    names = variables(problem)
    for seed in seeds:
        values = _values(problem, free_variables(model), seed)
        if "mu_shifted" in values:
            shift = np.sqrt(problem.evidence.v) if "pet" in names else problem.evidence.v
            values["mu"] = values["mu_shifted"] - values[problem.shapes[0]] * shift.mean()
        by_parameter = {o: values[variable] for o, variable in names.items() if variable in values}
        prior = sum(
            float(log_prior(problem.prior(one), value, problem.evidence.v))
            for one, value in by_parameter.items()
            if not one.startswith("beta_")
        )
        joint = problem.model.priors.get("omega")
        if joint is not None and joint.is_joint:
            weights, own = _weights(problem, values)
            prior += own - float(
                sum(
                    log_prior(problem.prior(one), value, problem.evidence.v)
                    for one, value in by_parameter.items()
                    if one.startswith("omega")
                )
            )
            by_parameter |= weights
        meant, log_slope = _effects(problem, {**values, **by_parameter})
        if problem.shrunk_slopes:
            by_parameter |= _slopes(problem, {**values, **by_parameter})
            prior += textbook.log_slope_prior(problem, by_parameter)
            prior += float(np.log(_units(problem, by_parameter)).sum())
            meant = {**values, **by_parameter}
        truth = textbook.log_density(problem, meant) + prior + log_slope
        assert log_density(model, values) == pytest.approx(
            truth, abs=TOLERANCE[problem.model.likelihood]
        )


@pytest.mark.parametrize("name", PARTS)
def test_the_density_of_a_part_is_that_of_the_textbook(name: str) -> None:
    _assert_density(PARTS[name].problem(), (1, 2))


@pytest.mark.parametrize(
    ("measure", "name"),
    [
        # The engine is not told the measure: on r it is for make test-slow.
        pytest.param(*case, marks=[pytest.mark.slow] if case[0] == "COR" else [])
        for case in other_measures.SAMPLED
    ],
)
def test_the_density_of_other_measures_is_that_of_the_textbook(
    tmp_path: Path, measure: Measure, name: str
) -> None:
    _assert_density(other_measures.problem_of(tmp_path, measure, name), (1,))
