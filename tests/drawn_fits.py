"""Fits of the sampled engine without its sampler: draws that no data made, for what reads draws."""

from __future__ import annotations

import numpy as np

from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.spec.analysis import Sampler
from metarho.spec.model import RELIABILITIES

CHAINS, LENGTH = 2, 150


def drawn_fit(problem: Problem, status: str = "ok", reasons: tuple[str, ...] = ()) -> Fit:
    """A fit whose parameters are drawn at random, where they may lie."""
    rng = np.random.default_rng(1)
    shape = (CHAINS, LENGTH)
    parameters = {
        name: rng.normal(0.2, 0.1, shape)
        if name == "mu" or name.startswith("beta[")
        else rng.uniform(0.05, 0.3, shape)
        for name in problem.priors
    }
    statistics = {
        "diverging": np.zeros(shape, dtype=bool),
        "reached_max_treedepth": np.zeros(shape, dtype=bool),
        "energy": rng.normal(size=shape),
    }
    latent = {}
    if problem.model.measurement == "true-score":
        by_row = (*shape, problem.evidence.k)
        latent = {name: rng.uniform(0.7, 0.95, by_row) for name in RELIABILITIES}
        latent["theta"] = rng.normal(0.2, 0.1, by_row)
    draws = Draws(parameters, {}, statistics, 0.8, True, -3.25, 0.01, latent=latent)
    sampler = Sampler(chains=CHAINS, draws=LENGTH, tune=100)
    return Fit(problem, "nuts", "asked for", draws, 7, sampler, status, reasons, ("a note",))
