"""A model whose results were selected to a known degree: how strong must selection be.

The weight of one stretch of p is held at a value, instead of being unknown (Vevea and Woods 2005,
10.1037/1082-989X.10.4.428). The value at which an answer falls says how much more often the others
would have to be reported (the S-value of Mathur and VanderWeele 2020, 10.1111/rssc.12440).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metarho.engines.problem import Problem, misplaced
from metarho.errors import InputError
from metarho.spec.model import AppliedPrior, StepSelection
from metarho.spec.priors import Prior
from metarho.spec.weight_arguments import Argument, WeightArgument

# All are reported alike: what a model without selection says.
_NO_SELECTION = Prior("DiracDelta", (("c", 1.0),))


def weights_in(arguments: Sequence[Argument]) -> tuple[WeightArgument, ...]:
    """Those that are weights of selection."""
    return tuple(one for one in arguments if isinstance(one, WeightArgument))


def selectable(problem: Problem, arguments: Sequence[Argument]) -> Problem:
    """The problem with the weight among the arguments, held at 1; itself without a weight.

    p is that of r's t test, which papers print, with ZCOR where all rows have an n; else that of
    y/√v, 1 − Φ(y/√v).
    Raises InputError for two weights, and for a model that knows of selection already, has no place
    for it, or has rows that no p can be said of.
    """
    weights = weights_in(arguments)
    if not weights:
        return problem
    if len(weights) > 1:
        raise InputError(
            f"{' and '.join(map(str, weights))}: vary one weight at a time; beside it may stand an "
            "argument of a prior, as tau.sigma"
        )
    (weight,), model = weights, problem.model
    if model.custom is not None or model.selection != "none":
        has = "is custom" if model.custom is not None else "has a selection or bias of its own"
        raise InputError(
            f"{weight}: model {model.name} {has}; name a model without one (selection: none) with "
            "--model"
        )
    has_test = problem.measure == "ZCOR" and not np.isnan(problem.evidence.sizes).any()
    selection = StepSelection(step=weight.step("t" if has_test else "z"))
    found = replace(
        problem,
        model=model.model_copy(update={"selection": selection}),
        priors={**problem.priors, weight.parameter: AppliedPrior(_NO_SELECTION, "varied")},
    )
    if reason := misplaced(found):
        raise InputError(f"{weight}: {reason}")
    return found


def less_often(weight: float) -> str:
    """A weight in words: ``5.1 times less often``."""
    if weight == 1:
        return "as often"
    return f"{max(weight, 1 / weight):.3g} times {'less' if weight < 1 else 'more'} often"
