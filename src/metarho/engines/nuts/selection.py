"""Rows that were selected by their p: a step function of its bands (Vevea & Hedges 1995).

A number y in band b has the likelihood Normal(y; mean, v + tau²)·ω_b/A, an interval
Σ_b ω_b P(y in the interval and in band b)/A, with A = Σ_b ω_b P(y in band b). Bands are stretches
of y; of two-sided p a band is two of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pymc as pm
import pytensor.tensor as pt

from metarho.engines.nuts.rows import Part, log_interval, log_normal, log_sum
from metarho.engines.problem import Problem
from metarho.spec.model import StepSelection

# Far below any log probability that counts.
_NONE = -1e6


def add_selected_rows(
    problem: Problem,
    rows: Mapping[str, Any],
    parameters: Mapping[str, Any],
    mean: Any,
    parts: Sequence[Part],
) -> None:
    """The likelihood of selected rows."""
    selection = problem.model.selection
    assert isinstance(selection, StepSelection)
    step = selection.step
    later = step.weights or [parameters[name] for name in step.omegas]
    weights = [1.0, *later]
    omega = pt.stack([weights[band] for band in step.band_of])
    seen, reported = [], []
    for part in parts:
        sd = pt.sqrt(rows["v"] + part.variance)
        number = log_normal(rows["y"], mean, sd**2) + pt.log((rows["in_band"] * omega).sum(axis=1))
        if "part_held" in rows:
            inside = _log_bands(rows["part_lower"], rows["part_upper"], mean, sd) + pt.log(omega)
            held = pt.switch(rows["part_held"] > 0, inside, _NONE)
            number = pt.switch(rows["exact"] > 0, number, pt.logsumexp(held, axis=1))
        seen.append(part.log_weight + number)
        bands = _log_bands(rows["band_lower"], rows["band_upper"], mean, sd) + pt.log(omega)
        reported.append(part.log_weight + pt.logsumexp(bands, axis=1))
    pm.Potential("rows", (log_sum(seen) - log_sum(reported)).sum())


def _log_bands(lower: Any, upper: Any, mean: Any, sd: Any) -> Any:
    """Log P(lower < y < upper), of each stretch: (k, stretches)."""
    # The mean of a model without moderators is a scalar.
    centre = (mean + 0 * sd)[:, None]
    return log_interval((lower - centre) / sd[:, None], (upper - centre) / sd[:, None])
