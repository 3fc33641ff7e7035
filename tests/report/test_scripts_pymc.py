"""The PyMC scripts: the density of each is the engine's, and one that runs agrees with metarho.

The scripts keep deviations of groups and Student-t effects as variables that the engine integrates
out. Given all else these are independent, and are integrated here one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy.special import logsumexp

from cases import CUT, JOINT, PRIORS, TRANSFORMED, WEIGHTS, molloy
from grammar_cases import PARTS
from metarho.engines.exact.priors import log_density as exact_log_density
from metarho.engines.nuts.layout import lay_out
from metarho.engines.nuts.model import build
from metarho.engines.problem import Problem
from metarho.report.scripts.pymc import covers, model_script
from metarho.report.scripts.pymc_priors import prior_lines
from metarho.spec.priors import FAMILIES, Prior, parse_prior
from pymc_density import free_variables

type Values = dict[str, np.ndarray]

COVERED = [name for name, part in PARTS.items() if covers(part.problem()) is None]

# Where variables that are positive, or between 0 and 1, are looked at; the others near 0.
CENTRES = {
    **{"tau": 0.15, "tau_study": 0.12, "tau_effect": 0.1, "tau_rater": 0.08},
    **{"nu": 5.0, "weight": 0.2, "tau_outlier": 0.4, "pet": 0.7, "peese": 2.0},
    **{"beta_global": 0.3, "beta_slab2": 0.2, "beta_R2": 0.4, "omega": 0.5},
    **{f"omega_{n}": 0.5 for n in range(2)},
    **{f"beta_{what}_{n}": 0.7 for what in ("local", "gamma") for n in range(4)},
}

# The nodes of the trapezoidal rule for what is integrated out, and their weights. Its error falls
# like exp(-2π²σ²/h²), σ the sd of the integrand, 0.3 or more. t effects go by x = sinh(s), and
# logs of precisions have an exponential tail to the left.
NORMAL = np.arange(-7.0, 7.0, 0.2)
OF_SINH = np.arange(-8.0, 8.0, 0.2)
TO_THE_LEFT = np.arange(-22.0, 7.0, 0.3)
NODES = {
    "effect_away": (np.sinh(OF_SINH), 0.2 * np.cosh(OF_SINH)),
    "precision_away": (TO_THE_LEFT, np.full(len(TO_THE_LEFT), 0.3)),
}


def made(text: str, given: Mapping[str, object]) -> pm.Model:
    """The PyMC model that a script makes."""
    space: dict[str, Any] = {"__name__": "script", **given}
    exec(compile(text, "script", "exec"), space)
    model = space["model"]
    assert isinstance(model, pm.Model)
    return model


@dataclass(frozen=True)
class Density:
    """The log density of a model as a function of its variables, on their own scales."""

    model: pm.Model

    @cached_property
    def function(self) -> Callable[[Values], float]:
        """The same, on the scales that the sampler sees."""
        log_p = self.model.logp(jacobian=False)
        compiled = self.model.compile_fn(log_p, inputs=self.model.value_vars, mode="FAST_COMPILE")
        return lambda point: float(compiled(point))

    def point(self, values: Values) -> Values:
        """Values of the variables as the sampler sees them."""
        found = {}
        for rv in self.model.free_RVs:
            given = np.asarray(values[rv.name], dtype=float)
            transform = self.model.rvs_to_transforms[rv]
            if transform is not None:
                moved = transform.forward(pt.as_tensor(given), *rv.owner.inputs)
                given = moved.eval(mode="FAST_COMPILE")
            found[self.model.rvs_to_values[rv].name] = given
        return found

    def integrated(self, values: Values, name: str, members: np.ndarray) -> float:
        """What integrating members of a vector out, one by one, adds to the log density."""
        nodes, step = NODES.get(name, (NORMAL, np.full(len(NORMAL), 0.2)))
        point = self.point(values)
        start, total = self.function(point), 0.0
        for member in members:
            found = []
            for node in nodes:
                moved = point[name].copy()
                moved[member] = node
                found.append(self.function({**point, name: moved}))
            total += float(logsumexp(np.array(found) + np.log(step))) - start
        return total

    def at(self, values: Values) -> float:
        """The log density there."""
        return self.function(self.point(values))


def scattered(shapes: Mapping[str, tuple[int, ...]], seed: int) -> Values:
    """A value for every variable."""
    rng = np.random.default_rng(seed)
    return {
        name: CENTRES[name] * rng.uniform(0.8, 1.3, shape)
        if name in CENTRES
        else 0.2 + 0.1 * rng.standard_normal(shape)
        for name, shape in shapes.items()
    }


def differences(problem: Problem, seed: int) -> float:
    """The log density of a script's model less the engine's, all that differs integrated."""
    ours, theirs = build(problem), made(model_script(problem), {})
    own, other = free_variables(ours), free_variables(theirs)
    of_engine, of_script = Density(ours), Density(theirs)
    values = scattered({**own, **other}, seed)
    found = 0.0
    if "mu_shifted" in own:
        bias = problem.bias
        assert bias is not None
        slope = values[str(problem.model.selection)]
        values["mu_shifted"] = values["mu"] + slope * bias.mean()
    for level, kept in lay_out(problem).items():
        name = f"deviation_{level}"
        groups = len(problem.evidence.groups(level)[1])
        ours_of_level = values[name][kept.groups] if name in own else np.zeros(0)
        free = np.setdiff1d(np.arange(groups), kept.groups)
        assert other[name] == (groups,)
        found += of_script.integrated(values, name, free)
        values |= {f"own {name}": ours_of_level}
    rows = np.arange(problem.evidence.k)
    if "effect_away" in other:
        found += of_script.integrated(values, "effect_away", rows)
    found += of_script.at(values)
    values |= {name: values.get(f"own {name}", values[name]) for name in own}
    if "precision_away" in own:
        found -= of_engine.integrated(values, "precision_away", rows)
    return found - of_engine.at(values)


# 28 effects to integrate out, twice; of fewer there is another.
LONG = "Student-t effects, words"


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=[pytest.mark.slow] if one == LONG else []) for one in COVERED],
)
def test_the_density_of_a_script_s_model_is_that_of_the_engine(name: str) -> None:
    problem = PARTS[name].problem()
    # Sums of a few hundred terms at 1e-16; integrals to 1e-9 each.
    assert differences(problem, 1) == pytest.approx(0.0, abs=1e-6)


# A truncated density, and one that PyMC lacks, may leave a constant out: what is compared is how
# it changes between points.
DENSE = [text for text in (*PRIORS.values(), *TRANSFORMED, *CUT) if "DiracDelta" not in text]
V = np.array([row.vi for row in molloy().used], dtype=float)


def points(prior: Prior) -> np.ndarray:
    """Points of the parameter inside its support."""
    low, high = prior.support
    if np.isinf(low) and np.isinf(high):
        return np.array([-0.4, 0.05, 0.3])
    if np.isinf(high):
        return low + np.array([0.02, 0.2, 0.7])
    if np.isinf(low):
        return high - np.array([0.02, 0.2, 0.7])
    return low + np.array([0.07, 0.5, 0.93]) * (high - low)


@pytest.mark.parametrize("text", DENSE)
def test_a_prior_of_a_script_has_the_density_of_the_exact_engine(text: str) -> None:
    prior = parse_prior(text)
    positive = prior.on != "r" and not prior.support[0] < 0
    lines = prior_lines("x", prior, positive=positive)
    body = "\n".join(f"    {line}" for line in lines)
    program = (
        "import numpy as np\nimport pymc as pm\nimport pytensor.tensor as pt\n"
        f"with pm.Model() as model:\n{body}\n"
    )
    model = Density(made(program, {"v": V}))
    x = points(prior)
    moved, slope = x, np.zeros(3)
    if prior.on == "r":
        moved, slope = np.tanh(x), np.log1p(-(np.tanh(x) ** 2))
    elif prior.on == "tau2":
        moved, slope = x**2, np.log(2 * x)
    (name,) = free_variables(model.model)
    ends = prior.own_support
    of_variable = {
        "_share": (1 + moved) / 2,
        "_above": moved - ends[0],
        "_below": ends[1] - moved,
    }.get(name[-6:], moved)
    found = np.array([model.at({name: at}) for at in of_variable]) + slope
    expected = exact_log_density(prior, x, V)
    # The log of 2 in PyMC's half-t has the digits of single precision (2e-9).
    assert np.diff(found) == pytest.approx(np.diff(expected), abs=1e-8, rel=1e-7)


def test_every_family_has_been_seen() -> None:
    seen = {parse_prior(text).family for text in DENSE} | {"DiracDelta", *JOINT, *WEIGHTS}
    assert seen == {*FAMILIES}
