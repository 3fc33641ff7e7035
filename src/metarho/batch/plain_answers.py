"""The answers of a run without a grid, in full precision: what a later run is compared with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metarho.batch.answers import Asked, answers
from metarho.batch.plan import Plan
from metarho.compare.rows import Value
from metarho.fitting import Settings
from metarho.posterior.fit import Fit
from metarho.store.problems import cleaned

ANSWERS = "answers.json"

QUANTITIES = ("median", "lower", "upper", "new_lower", "new_upper", "tau", "log_evidence")
"""The answers of a cell that are compared: those of ``batch/answers.py``."""


@dataclass(frozen=True)
class Answer:
    """What a run said in one cell. ``errors``: the Monte Carlo errors that are known."""

    decisions: Mapping[str, Value]
    engine: str
    status: str
    numbers: Mapping[str, float | None]
    errors: Mapping[str, float]


def answers_text(plan: Plan, fits: Sequence[Fit]) -> str:
    """One entry a cell, as JSON."""
    settings = Settings(interval=plan.analysis.interval)
    rows = answers(fits, Asked(()), settings)
    content = [
        {
            "decisions": {
                "intervals": cell.intervals,
                "model": cell.model,
                "priors": cell.prior_set,
            },
            "engine": fit.engine,
            "status": fit.status,
            "numbers": {name: row[name] for name in QUANTITIES},
            "errors": monte_carlo_errors(fit),
        }
        for cell, fit, row in zip(plan.cells, fits, rows, strict=True)
    ]
    return json.dumps(content, allow_nan=False) + "\n"


def monte_carlo_errors(fit: Fit) -> dict[str, float]:
    """Monte Carlo errors of a sampled fit's answers; none of an exact one.

    The ends of shortest intervals have none that ArviZ knows.
    """
    if fit.engine == "exact":
        return {}
    # Loaded here: ArviZ is for sampled fits only.
    from metarho.posterior.sampled import Sample
    from metarho.posterior.sampled import monte_carlo_errors as of_draws

    posterior, interval = fit.posterior, fit.interval
    ends = ("lower", "upper") if interval.kind == "eti" else ()
    mean = posterior.rho(posterior.mean_of(posterior.head))
    new = posterior.rho(posterior.theta_new(posterior.head))
    named = (
        (mean, {"median": "median", **{end: end for end in ends}}),
        (new, {end: f"new_{end}" for end in ends}),
        (posterior.tau, {"median": "tau"}),
    )
    found: dict[str, float] = {}
    for marginal, names in named:
        if not isinstance(marginal, Sample):
            continue
        if marginal.draws.min() == marginal.draws.max():
            # All draws are one number, known without error: ArviZ would divide by their spread.
            found |= dict.fromkeys(names.values(), 0.0)
            continue
        errors = of_draws(marginal.draws, interval.prob)
        found |= {name: errors[of] for of, name in names.items()}
    if fit.log_evidence_mcse is not None:
        found["log_evidence"] = fit.log_evidence_mcse
    return {name: value for name, value in found.items() if math.isfinite(value)}


def answers_from(text: str) -> tuple[Answer, ...]:
    """What ``answers_text`` wrote. Raises ValueError, KeyError or TypeError for other texts."""
    return tuple(
        answer(
            one["decisions"],
            one["engine"],
            one["status"],
            one["numbers"],
            {name: float(value) for name, value in one["errors"].items()},
        )
        for one in cleaned(json.loads(text))
    )


def answer(
    decisions: Mapping[str, Any],
    engine: str | None,
    status: str,
    numbers: Mapping[str, Any],
    errors: Mapping[str, float],
) -> Answer:
    """An answer from values that a file holds. Raises KeyError, TypeError or ValueError."""
    if not all(isinstance(value, str | int | float) for value in decisions.values()):
        raise ValueError("a decision is no text or number")
    values = {name: numbers[name] for name in QUANTITIES}
    found = {name: None if value is None else float(value) for name, value in values.items()}
    if not all(value is None or math.isfinite(value) for value in found.values()):
        raise ValueError("an answer is not a finite number")
    return Answer(dict(decisions), str(engine or ""), str(status), found, errors)
