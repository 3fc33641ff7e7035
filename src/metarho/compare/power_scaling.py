"""Power-scaling sensitivity of a fit, by ArviZ.

Prior and likelihood are raised to powers near 1; how far the posterior moves tells which of them
decides it (Kallioinen, Paananen, Bürkner, Vehtari 2024, 10.1007/s11222-023-10366-5).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from metarho.posterior.fit import Fit


@dataclass(frozen=True)
class PowerScaling:
    """Sensitivity of a parameter to its prior and to the likelihood; .05 and more is sensitive.

    ``diagnosis`` is ArviZ's word on both, ``✓`` where there is nothing to say.
    """

    parameter: str
    prior: float
    likelihood: float
    diagnosis: str


def power_scaling(fit: Fit) -> tuple[PowerScaling, ...]:
    """The sensitivity of the mean and of each sd of true effects.

    () where all are points, and where the prior is flat: raised to a power it is the same.
    """
    # Loaded here: ArviZ's statistics load scipy.stats.
    from arviz_stats import psense_summary

    tree = fit.tree
    present = set(tree["log_prior"].data_vars)
    # A point does not move.
    names = [
        name
        for name in ("mu", *fit.problem.spreads)
        if name in present and not fit.problem.prior(name).is_point
    ]
    # By draw: slopes have one density each.
    log_prior = sum(
        np.asarray(one.sum([d for d in one.dims if d not in ("chain", "draw")]))
        for one in (tree["log_prior"][name] for name in present)
    )
    if not names or np.ptp(log_prior) == 0:
        return ()
    logger = logging.getLogger("arviz_stats")
    level = logger.level
    # What it would say on standard error is in the diagnosis.
    logger.setLevel(logging.ERROR)
    try:
        found = psense_summary(tree, var_names=names, round_to=12)
    finally:
        logger.setLevel(level)
    return tuple(
        PowerScaling(name, float(row["prior"]), float(row["likelihood"]), str(row["diagnosis"]))
        for name, (_, row) in zip(names, found.iterrows(), strict=True)
    )


def in_words(found: tuple[PowerScaling, ...]) -> str | None:
    """The diagnosis of each parameter that has one, else ``✓``; None where nothing is scaled."""
    if not found:
        return None
    said = [f"{item.parameter}: {item.diagnosis}" for item in found if item.diagnosis != "✓"]
    return "; ".join(said) or "✓"
