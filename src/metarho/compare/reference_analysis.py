"""The posterior that its priors say least about: flat mu and Jeffreys' prior of tau.

How far a posterior lies from it says how much its priors did (Ott, Plummer, Roos 2021, Statistics
in Medicine, 10.1002/sim.9076).
"""

from __future__ import annotations

from dataclasses import replace

from metarho.engines import exact
from metarho.engines.problem import Problem, improper, misplaced
from metarho.spec.priors import Prior


def reference_analysis(problem: Problem) -> Problem | None:
    """The problem under flat mu and, where true effects vary, Jeffreys' prior of tau.

    Slopes keep their priors. None where that posterior is improper, where Jeffreys' prior is not
    defined (several levels, correlated sampling errors), and where the exact engine does not solve
    it.
    """
    if problem.model.custom is not None or "mu" not in problem.priors:
        return None
    if len(problem.spreads) > 1 or problem.model.scale.replace(" ", "") != "~1":
        return None
    own = {"mu": Prior("Flat", ())} | {name: Prior("Jeffreys", ()) for name in problem.spreads}
    priors = {
        name: replace(applied, prior=own[name]) if name in own else applied
        for name, applied in problem.priors.items()
    }
    found = replace(problem, priors=priors)
    refusal = misplaced(found) or improper(found) or exact.covers(found)
    return None if refusal else found
