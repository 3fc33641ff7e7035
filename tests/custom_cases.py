"""Custom models written to a folder: a YAML file and its Python file beside it."""

from __future__ import annotations

from pathlib import Path

from metarho.spec.model import Model, read_model

PRIORS = 'priors: {mu: "Normal(mu=0, sigma=0.5)", tau: "HalfNormal(sigma=0.25)"}\n'

# The model random-effects, of numbers, with a variable for every true effect.
HIERARCHICAL = """\
import numpy as np
import pymc as pm

import metarho


def build(studies, priors):
    rows = studies.used
    y, v = np.array([[row.yi, row.vi] for row in rows]).T
    with pm.Model() as model:
        mu = metarho.random_variable("mu", priors["mu"])
        tau = metarho.random_variable("tau", priors["tau"])
        theta = pm.Deterministic("theta", mu + tau * pm.Normal("e", 0, 1, shape=len(rows)))
        pm.Deterministic("theta_new", mu + tau * pm.Normal("e_new", 0, 1))
        pm.Normal("y", theta, np.sqrt(v), observed=y)
    return model
"""

# The same with effects integrated out and nothing named but the parameters.
BARE = """\
import numpy as np
import pymc as pm

import metarho


def build(studies, priors):
    y, v = np.array([[row.yi, row.vi] for row in studies.used]).T
    with pm.Model() as model:
        mu = metarho.random_variable("mu", priors["mu"])
        tau = metarho.random_variable("tau", priors["tau"])
        pm.Potential("rows", pm.logp(pm.Normal.dist(mu, np.sqrt(v + tau**2)), y).sum())
    return model
"""


def write_custom(folder: Path, source: str | None, text: str = PRIORS, name: str = "mine") -> Path:
    """The YAML of a custom model below ``folder/models``, and its Python file unless None."""
    models = folder / "models"
    (models / "custom").mkdir(parents=True, exist_ok=True)
    if source is not None:
        (models / "custom" / f"{name}.py").write_text(source, "utf-8")
    path = models / f"{name}.yaml"
    path.write_text(f"custom: {name}.py\n{text}", "utf-8")
    return path


def custom(folder: Path, source: str, text: str = PRIORS) -> Model:
    """A custom model."""
    return read_model(write_custom(folder, source, text))
