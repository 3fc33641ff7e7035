"""The PyMC scripts: their density is the engine's, and one that runs agrees with the exact engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

from grammar_cases import PARTS
from metarho.engines.nuts.model import build
from metarho.engines.problem import Problem
from metarho.report.scripts.pymc import covers, model_script
from pymc_density import free_variables, log_density

COVERED = [name for name, part in PARTS.items() if covers(part.problem()) is None]


def made(problem: Problem) -> Any:
    """The PyMC model that a script makes."""
    space: dict[str, Any] = {"__name__": "script"}
    exec(compile(model_script(problem), "script", "exec"), space)
    return space["model"]


print(COVERED)
for name in COVERED:
    problem = PARTS[name].problem()
    try:
        m = made(problem)
        print(name, free_variables(m), {k: v for k, v in free_variables(build(problem)).items()})
    except Exception as e:
        import traceback; traceback.print_exc()
        print("FAIL", name, repr(e)[:300])
